"""Asynchronous successive halving."""

import statistics

import pytest

from automl.pruners import make_pruner
from automl.pruners.asha import Asha, rung_epochs
from contracts.pruner import EPOCHS, PrunerContract, curve, levels, states, train_all


class TestAsha(PrunerContract):
    name = "asha"


class TestAshaByHalves(PrunerContract):
    name = "asha"
    options = {"reduction_factor": 2, "min_epochs": 2}  # noqa: RUF012


@pytest.mark.parametrize(
    ("first", "eta", "epochs", "rungs"),
    [(1, 3, 27, (1, 3, 9)), (1, 3, 28, (1, 3, 9, 27)), (5, 3, 50, (5, 15, 45)), (1, 4, 1, ()), (2, 2, 9, (2, 4, 8))],
)
def test_rungs_are_powers_of_the_reduction_factor_below_the_end(first: int, eta: int, epochs: int, rungs: tuple[int, ...]) -> None:
    assert rung_epochs(first, eta, epochs) == rungs


def test_a_trial_goes_on_when_it_is_among_the_best_third_of_those_that_have_arrived() -> None:
    """One after another, by hand: (error, whether it passes the only rung). Fewer than three arrivals all pass; equals pass together."""
    by_hand = [(5, True), (9, True), (6, False), (4, True), (4.5, False), (4.5, True), (4, True), (3, True), (3, True), (4.5, False)]
    played, _ = train_all(make_pruner("asha", {"min_epochs": 1}, 2), [[error] * 2 for error, _ in by_hand], parallel=1)
    assert [state == "complete" for state in states(played.study)] == [passes for _, passes in by_hand]


def test_decisions_fall_at_the_rungs_alone() -> None:
    _, decisions = train_all(make_pruner("asha", {}, EPOCHS), [curve(level) for level in levels(60)])
    assert {epoch for _, epoch, stops in decisions if stops} <= {3, 9}


def test_it_saves_more_than_half_of_the_epochs_and_hardly_ever_loses_the_best() -> None:
    """Twenty studies of 60 noisy curves (noise a tenth of the spread): the pick is nearly as good as without pruning."""
    saved, regrets = [], []
    for seed in range(20):
        error = levels(60, seed)
        played, _ = train_all(make_pruner("asha", {}, EPOCHS), [curve(e, noise=0.1, seed=60 * seed + n) for n, e in enumerate(error)])
        saved.append(1 - sum(trial.epochs for trial in played.study.trials) / (60 * EPOCHS))
        assert played.study.best is not None
        regrets.append(sorted(error).index(error[played.study.best.number]))
    assert min(saved) > 0.5
    assert statistics.mean(regret <= 2 for regret in regrets) >= 0.9, "one of the three best of 60 is the pick"


def test_what_is_remembered_of_trials_that_have_ended_is_one_number_for_each_rung() -> None:
    """The cost of a decision does not grow with the number of trials: of those that have ended none is looked at again."""
    rule = Asha(EPOCHS, min_epochs=3, reduction_factor=3)
    played, _ = train_all(rule, [curve(level) for level in levels(200)], parallel=3)
    rule.prune(played.study, played.study.trials[0])
    assert len(rule._rungs._arrived) == 0
    assert len(rule._rungs._losses[0]) == 200
    assert sum(map(len, rule._rungs._losses)) <= 200 * 2
