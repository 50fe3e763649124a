"""Quasi-random search: the contract, and that what it visits is the sequence."""

import re
from collections import Counter

import numpy as np
import pytest
from scipy.stats import qmc

from automl.draws import seed_at
from automl.errors import UsageError
from automl.expressions import Expression
from automl.space import Int, SearchSpace
from automl.strategies import check_strategy, make_strategy
from contracts.strategy import StrategyContract
from contracts.studies import Play, bowl, continuous, make_study, many_sided_space, play


class TestSobol(StrategyContract):
    name = "sobol"


def points(space: SearchSpace, count: int, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    study = make_study(space, seed=seed)
    return np.array([space.encode(configuration) for configuration in make_strategy("sobol", {}, space).suggest(study, count)])


def test_it_is_the_scrambled_sequence_of_the_studys_seed() -> None:
    sequence = qmc.Sobol(3, scramble=True, rng=np.random.default_rng(seed_at(7, "sobol"))).random(256)
    assert points(continuous(3), 200, seed=7) == pytest.approx(sequence[:200])


def test_the_first_64_points_are_spread_far_more_evenly_than_random_ones() -> None:
    """In six dimensions, over ten seeds."""
    space = continuous(6)
    draws = make_strategy("random", {}, space)
    for seed in range(10):
        study = make_study(space, seed=seed)
        random = np.array([space.encode(configuration) for configuration in draws.suggest(study, 64)])
        assert qmc.discrepancy(points(space, 64, seed)) < 0.5 * qmc.discrepancy(random)


def test_each_quarter_by_quarter_of_two_parameters_has_its_share() -> None:
    """A property of the sequence (a (0, 6, 2)-net) that scrambling keeps: 4 of the first 64 points in each of 16 squares."""
    counts = Counter((int(4 * x), int(4 * y)) for x, y in points(continuous(2), 64, seed=3))
    assert set(counts.values()) == {4}


def test_forbidden_points_and_those_of_others_are_left_out_and_nothing_else() -> None:
    space = SearchSpace(continuous(2).parameters, forbid=(Expression.parse("x0 > 0.5"),))
    everything = points(continuous(2), 120)
    assert points(space, 50) == pytest.approx(everything[everything[:, 0] <= 0.5][:50])
    study = make_study(continuous(2))
    Play(study).suggest({"x0": 0.3, "x1": 0.3}, "baseline")
    after = make_strategy("sobol", {}, study.space).suggest(study, 20)
    assert np.array([study.space.encode(each) for each in after]) == pytest.approx(everything[:20]), "a baseline costs no point"


def test_what_happened_to_trials_does_not_matter() -> None:
    space = many_sided_space()
    studies = [make_study(space, seed=4) for _ in range(2)]
    for study, value in zip(studies, (bowl(space), lambda configuration: 1.0), strict=True):
        play(study, make_strategy("sobol", {}, space), value, 40, parallel=3)
    ours, theirs = ([trial.configuration for trial in study.trials] for study in studies)
    assert ours == theirs


def test_more_parameters_than_the_sequence_has_are_an_error() -> None:
    sentence = "--strategy sobol: at most 21201 parameters may have more than one value, but 21202 have. Take --strategy random."
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        check_strategy("sobol", {}, SearchSpace(tuple(Int(f"x{side}", 0, 1) for side in range(21_202))))
    check_strategy("sobol", {}, SearchSpace(tuple(Int(f"x{side}", 0, int(side > 0)) for side in range(21_202))))
