"""Which strategy finds the better front, on two bowls whose Pareto front is known: the line between their lowest points.

By hypervolume, over twenty seeds: were two strategies equal, fifteen wins of twenty would have a probability of 2 %.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from automl.draws import unit_at
from automl.events import Configuration
from automl.pareto import hypervolume
from automl.space import SearchSpace
from automl.strategies import make_strategy
from contracts.studies import COST, continuous, make_study, many_sided_space, play

SEEDS = range(20)


def bowl_around(space: SearchSpace, name: str, seed: int) -> Callable[[Configuration], float]:
    """The mean squared distance from a point that the seed draws."""
    lowest = [unit_at(name, seed, parameter.name) for parameter in space.parameters]

    def value(configuration: Configuration) -> float:
        return sum((x - o) ** 2 for x, o in zip(space.encode(configuration), lowest, strict=True)) / len(lowest)

    return value


def reached(name: str, space: SearchSpace, seed: int, trials: int) -> float:
    """The hypervolume of the front that a strategy finds, of two losses up to what the other bowl's lowest point has in each."""
    first, second = (bowl_around(space, bowl, seed) for bowl in ("first", "second"))
    study = make_study(space, seed=seed, maximize=False, further=(COST,))
    play(study, make_strategy(name, {}, space, 2), first, trials, parallel=2, cost=second)
    return hypervolume([study.losses(trial.number) for trial in study.front], (0.4, 0.4))


def wins(name: str, space: SearchSpace, trials: int, seeds: range = SEEDS) -> int:
    return sum(reached(name, space, seed, trials) > reached("random", space, seed, trials) for seed in seeds)


def test_bayesian_finds_a_better_front_than_random() -> None:
    assert wins("bayesian", continuous(4), trials=60) >= 15


def test_evolution_finds_a_better_front_than_random() -> None:
    assert wins("evolution", continuous(4), trials=100) >= 15


@pytest.mark.long
def test_evolution_does_so_over_mixed_and_conditional_parameters() -> None:
    assert wins("evolution", many_sided_space(), trials=120) >= 15


@pytest.mark.long
def test_gp_does_so_with_few_trials() -> None:
    """Eight seeds: seven wins would have a probability of 4 %."""
    assert wins("gp", continuous(4), trials=40, seeds=range(8)) >= 7
