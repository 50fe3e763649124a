"""Gaussian processes: the contract, what they learn from, and the spaces that they refuse."""

import re
import statistics

import numpy as np
import pytest

from automl.errors import UsageError
from automl.space import Categorical, Condition, Float, Int, SearchSpace
from automl.strategies import check_strategy, make_strategy
from automl.strategies.gp import _last_fit, _log_improvement
from automl.study import Study
from automl.trials import State
from contracts.strategy import StrategyContract
from contracts.studies import Play, bowl, continuous, make_study, many_sided_space, play


class TestGaussianProcess(StrategyContract):
    name = "gp"
    options = {"n_startup": 15}  # noqa: RUF012


def test_until_enough_trials_have_a_value_it_draws_what_random_search_would() -> None:
    space = continuous(3)
    studies = [make_study(space, seed=4) for _ in range(2)]
    for study, name in zip(studies, ("gp", "random"), strict=True):
        play(study, make_strategy(name, {}, space), bowl(space), 11)
    ours, theirs = ([trial.configuration for trial in study.trials] for study in studies)
    assert ours[:10] == theirs[:10]
    assert ours[10] != theirs[10]


@pytest.mark.parametrize("space", [continuous(4), many_sided_space()], ids=["continuous", "conditional"])
def test_it_beats_random_search_on_a_smooth_function(space: SearchSpace) -> None:
    pairs = []
    for seed in range(6):
        best = []
        for name in ("gp", "random"):
            study = make_study(space, seed=seed, maximize=False)
            play(study, make_strategy(name, {}, space), bowl(space), 30, parallel=2)
            best.append(min(bowl(space)(trial.configuration) for trial in study.trials))
        pairs.append(best)
    assert sum(ours < theirs for ours, theirs in pairs) >= 5
    assert statistics.mean(ours for ours, _ in pairs) < 0.8 * statistics.mean(theirs for _, theirs in pairs)


def after(trials: list[tuple[float, State, float]], seed: int = 0, *, maximize: bool = True) -> Study:
    """A study of one parameter: (x, how it ended, its value)."""
    study = make_study(SearchSpace((Float("x", 0.0, 1.0),)), maximize=maximize, seed=seed)
    played = Play(study)
    for x, state, value in trials:
        played.train(played.suggest({"x": x}), [value] if state in ("complete", "pruned") else [], state)
    return study


def suggested(trials: list[tuple[float, State, float]]) -> list[float]:
    studies = [after(trials, seed) for seed in range(8)]
    return [float(make_strategy("gp", {"n_startup": 5}, each.space).suggest(each, 1)[0]["x"]) for each in studies]  # type: ignore[arg-type]


def test_trials_that_broke_down_and_pruned_ones_teach_that_their_region_is_bad() -> None:
    broken: list[tuple[float, State, float]] = [(0.6 + index / 20, "diverged", 0.0) for index in range(8)]
    pruned: list[tuple[float, State, float]] = [(index / 20, "pruned", 0.9) for index in range(8)]
    sound: list[tuple[float, State, float]] = [(0.41 + index / 40, "complete", 0.1 + index / 100) for index in range(6)]
    assert all(0.4 < x < 0.6 for x in suggested([*broken, *sound, *pruned]))


def test_one_value_that_is_far_out_hides_nothing() -> None:
    """What is modelled is the rank: a loss of 1e30 on one side leaves the valley where it is."""
    trials: list[tuple[float, State, float]] = [(x, "complete", -((x - 0.3) ** 2)) for x in np.linspace(0, 1, 11).tolist()]
    trials[-1] = (1.0, "complete", -1e30)
    assert all(abs(x - 0.3) < 0.1 for x in suggested(trials))


def test_maximising_is_minimising_the_negative() -> None:
    found = []
    for maximize in (True, False):
        sign = 1 if maximize else -1
        study = after([(x / 11, "complete", sign * float(np.sin(x))) for x in range(12)], maximize=maximize)
        found.append(make_strategy("gp", {}, study.space).suggest(study, 3))
    assert found[0] == found[1]


def test_in_a_study_of_a_thousand_trials_two_hundred_are_modelled() -> None:
    study = after([(number / 1000, "complete", -abs(number / 1000 - 0.4)) for number in range(1000)])
    strategy = make_strategy("gp", {}, study.space)
    (configuration,) = strategy.suggest(study, 1)
    assert abs(float(configuration["x"]) - 0.4) < 0.02  # type: ignore[arg-type]
    assert len(strategy._fitted.best) == 200  # type: ignore[attr-defined]


def test_the_improvement_has_no_break_and_falls_to_the_left() -> None:
    """log(z Phi(z) + phi(z)), also where its expansion takes over: its slope there is -z - 2 / z, nearly."""
    z = np.linspace(-40, 5, 45_001)
    slopes = np.diff(_log_improvement(z)) / np.diff(z)
    assert (slopes > 0).all()
    left = z[:-1][z[:-1] < -20]
    assert slopes[: len(left)] == pytest.approx(-left - 2 / left, rel=0.01)
    assert _log_improvement(np.array([0.0])) == pytest.approx(np.log(1 / np.sqrt(2 * np.pi)))


def test_the_kernel_is_fitted_again_as_the_study_grows() -> None:
    assert [_last_fit(ended) for ended in (1, 10, 16, 17, 18, 19, 20, 100)] == [1, 10, 16, 16, 18, 18, 20, 98]


CONDITION = (Condition("layers", ">=", (2,)),)


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (
            SearchSpace(tuple(Int(f"x{side}", 0, 3) for side in range(21))),
            "--strategy gp: at most 20 parameters may have more than one value, but 21 have. Take --strategy bayesian.",
        ),
        (
            SearchSpace((Int("layers", 1, 3), Float("a", 0, 1, when=CONDITION), Categorical("b", ("x", "y"), when=CONDITION))),
            "--strategy gp: at most half of the parameters may have conditions, but 2 of 3 have. Take --strategy bayesian.",
        ),
    ],
)
def test_spaces_that_are_too_large_or_too_conditional_are_an_error_before_anything_starts(space: SearchSpace, sentence: str) -> None:
    for door in (check_strategy, make_strategy):
        with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
            door("gp", {}, space)


def test_what_has_one_value_does_not_count() -> None:
    check_strategy("gp", {}, SearchSpace(tuple(Int(f"x{side}", 0, int(side < 20)) for side in range(40))))
