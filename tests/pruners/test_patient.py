"""Patience: what still gets better is not stopped."""

import pytest

from automl.pruners import make_pruner
from contracts.pruner import EPOCHS, PrunerContract, curve, levels, states, train_all


class TestPatient(PrunerContract):
    """A power law gets better all the time: by less than this from some epoch on."""

    name = "patient"
    options = {"min_delta": 0.05}  # noqa: RUF012


class TestPatientWithAnotherRule(PrunerContract):
    name = "patient"
    options = {"min_delta": 0.1, "patience": 1, "rule": "asha"}  # noqa: RUF012


GOOD = [[0.1] * EPOCHS] * 5


def falling(first: float, until: int) -> list[float]:
    """Gets better by 0.1 an epoch up to this epoch, and never is good."""
    return [first - 0.1 * min(epoch, until) for epoch in range(1, EPOCHS + 1)]


@pytest.mark.parametrize("patience", [1, 3, 6])
def test_a_bad_trial_is_stopped_so_many_epochs_after_it_last_got_better(patience: int) -> None:
    played, decisions = train_all(make_pruner("patient", {"patience": patience}, EPOCHS), [*GOOD, falling(9.0, 10)], parallel=1)
    assert states(played.study)[5] == "pruned"
    assert decisions[-1] == (5, 10 + patience, True)


def test_a_good_trial_that_gets_no_better_goes_on() -> None:
    played, _ = train_all(make_pruner("patient", {"patience": 1}, EPOCHS), [*GOOD, [0.05] * EPOCHS], parallel=1)
    assert states(played.study)[5] == "complete"


def test_gains_up_to_min_delta_do_not_count() -> None:
    for min_delta, state in ((0.29, "complete"), (0.31, "pruned")):
        pruner = make_pruner("patient", {"patience": 3, "min_delta": min_delta}, EPOCHS)
        played, _ = train_all(pruner, [*GOOD, falling(9.0, EPOCHS)], parallel=1)
        assert states(played.study)[5] == state, "it gets better by 0.3 in three epochs"


def test_it_stops_nothing_that_its_rule_would_not() -> None:
    curves = [curve(level, noise=0.3, seed=number) for number, level in enumerate(levels(40))]
    for rule in ("median", "percentile", "asha", "hyperband"):
        patient, alone = make_pruner("patient", {"rule": rule, "patience": 1}, EPOCHS), make_pruner(rule, {}, EPOCHS)
        asked = []
        train_all(
            make_pruner("none", {}, EPOCHS),
            curves,
            before_each_decision=lambda played, number: asked.append(  # noqa: B023
                (patient.prune(played.study, played.study.trials[number]), alone.prune(played.study, played.study.trials[number]))  # noqa: B023
            ),
        )
        assert not any(ours and not theirs for ours, theirs in asked)
        assert any(theirs and not ours for ours, theirs in asked)


def test_values_that_are_not_finite_are_no_gain() -> None:
    worse = [float("nan"), float("inf"), 9.0, *([float("nan")] * (EPOCHS - 3))]
    played, decisions = train_all(make_pruner("patient", {"patience": 3}, EPOCHS), [*GOOD, worse], parallel=1)
    assert decisions[-1] == (5, 6, True)
    assert states(played.study)[5] == "pruned"
