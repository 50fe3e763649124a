"""Covariance matrix adaptation: the contract, that it is the package's search, and what points stand for."""

import math
import re
import statistics

import numpy as np
import pytest
from cmaes import CMA
from hypothesis import given
from hypothesis import strategies as st

from automl.draws import seed_at, unit_at
from automl.errors import UsageError
from automl.space import Categorical, Float, Int, Parameter, SearchSpace
from automl.strategies import make_strategy
from automl.strategies.cmaes import CmaEs, share
from contracts.strategy import QUICK, StrategyContract
from contracts.studies import Play, bowl, continuous, make_study, play


class TestCmaEs(StrategyContract):
    name = "cmaes"
    takes_several = False


class TestCmaEsInGenerationsOfSix(StrategyContract):
    name = "cmaes"
    options = {"population": 6, "sigma": 0.5}  # noqa: RUF012
    takes_several = False


def test_it_says_that_it_searches_for_one_objective() -> None:
    message = "--strategy cmaes: there must be one objective, but there are 2. Take --strategy bayesian or evolution."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        make_strategy("cmaes", {}, continuous(2), 2)


def test_one_trial_after_another_it_is_the_packages_own_search() -> None:
    """Ten generations of a continuous space, with the same draws."""
    space = continuous(4)
    study = make_study(space, seed=5, maximize=False)
    play(study, make_strategy("cmaes", {}, space), bowl(space), trials=80)
    theirs = CMA(np.full(4, 0.5), 0.3, np.tile([0.0, 1.0], (4, 1)), population_size=8)
    for generation in range(10):
        told = []
        for number in range(8 * generation, 8 * generation + 8):
            theirs.reseed_rng(seed_at(5, "cmaes", number, 0) % 2**32)
            point = theirs.ask()
            assert space.encode(study.trials[number].configuration) == pytest.approx(point)
            told.append((point, bowl(space)(space.decode(tuple(point)))))
        theirs.tell(told)


def test_it_begins_at_the_baseline() -> None:
    space = continuous(3)
    study = make_study(space)
    played = Play(study)
    played.train(played.suggest({"x0": 0.9, "x1": 0.1, "x2": 0.5}, "baseline"), [0.5])
    draws = make_strategy("cmaes", {"sigma": 0.01}, space).suggest(study, 40)
    mean = np.mean([space.encode(each) for each in draws], axis=0)
    assert mean == pytest.approx([0.9, 0.1, 0.5], abs=0.01)


def test_with_whole_numbers_and_choices_it_finds_the_optimum_and_does_not_stand_still() -> None:
    """Of 7 * 9 * 5 * 3 configurations; random search finds the best one in 200 trials once in five times."""
    parameters: tuple[Parameter, ...] = (
        Int("a", 1, 7),
        Int("b", 8, 2048, log=True, step=8),
        Int("c", 0, 40, step=10),
        Categorical("d", ("x", "y", "z")),
    )
    space = SearchSpace(parameters)
    found = []
    for seed in range(5):
        study = make_study(space, seed=seed, maximize=False)

        def value(configuration: dict[str, object]) -> float:
            a, b, c = configuration["a"], configuration["b"], configuration["c"]
            return abs(a - 6) + abs(math.log2(b / 64)) + abs(c - 10) / 10 + (configuration["d"] != "y")  # type: ignore[operator, no-any-return]

        play(study, make_strategy("cmaes", {}, space), value, trials=200)  # type: ignore[arg-type]
        found.append(min(value(trial.configuration) for trial in study.trials))  # type: ignore[arg-type]
    assert statistics.median(found) < 0.2


def test_a_search_that_has_converged_is_followed_by_another_one() -> None:
    space = continuous(2)
    study = make_study(space, maximize=False)
    strategy = CmaEs(space, None, 0.3)
    play(study, strategy, bowl(space), trials=600)
    assert strategy._searches >= 2
    ends = [space.encode(trial.configuration) for trial in study.trials]
    assert min(math.dist(end, (0.3, 0.7)) for end in ends) < 1e-3


@QUICK
@given(
    st.sampled_from((Int("x", 1, 9), Int("x", 1, 300, log=True), Int("x", 8, 64, log=True, step=8), Int("x", 0, 12, step=3),
                     Categorical("x", ("a", True, 1, None)), Float("x", 1e-3, 1.0, log=True))),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0, exclude_max=True),
)  # fmt: skip
def test_a_share_is_where_the_value_comes_from(parameter: Parameter, unit: float, within: float) -> None:
    value = parameter.at(unit)
    low, high = share(parameter, value)
    assert low - 1e-9 <= unit <= high + 1e-9
    inside = low + (1e-6 + within * (1 - 2e-6)) * (high - low)
    assert (
        parameter.at(inside) == pytest.approx(value)
        if isinstance(value, float)
        else parameter.at(inside) is value or value == parameter.at(inside)
    )


def test_generations_are_made_of_what_has_ended_and_wait_for_nothing() -> None:
    """One trial that never ends does not keep the search back."""
    space = continuous(3)
    study = make_study(space, maximize=False)
    strategy = make_strategy("cmaes", {}, space)
    played = Play(study)
    played.suggest({f"x{side}": unit_at("stays", side) for side in range(3)})
    for _ in range(140):
        (configuration,) = strategy.suggest(study, 1)
        played.train(played.suggest(configuration), [bowl(space)(configuration)])
    assert min(bowl(space)(trial.configuration) for trial in study.trials) < 1e-3
