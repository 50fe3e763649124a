"""Grid search: the contract, the order of its points, and what makes it a grid."""

import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given

from automl.draws import seed_at
from automl.errors import UsageError
from automl.space import Categorical, Condition, Float, Int, SearchSpace
from automl.strategies import check_strategy, make_strategy
from automl.study import Study
from contracts.strategy import QUICK, StrategyContract
from contracts.studies import Play, cube, make_study, many_sided_space, play, spaces


class TestGrid(StrategyContract):
    name = "grid"
    repeats_lost = True


def searched(space: SearchSpace, trials: int, seed: int = 0) -> Study:
    study = make_study(space, seed=seed)
    play(study, make_strategy("grid", {}, space), lambda configuration: 0.0, trials)
    return study


def margins(study: Study) -> list[list[int]]:
    """How often each value was used, for each parameter."""
    used = [
        Counter(repr(trial.configuration[name]) for trial in study.trials if name in trial.configuration) for name in study.space.by_name
    ]
    return [[counts[repr(point)] for point in each.points or ()] for each, counts in zip(study.space.parameters, used, strict=True)]


@QUICK
@given(spaces())
def test_the_points_are_exactly_the_spaces_grid(space: SearchSpace) -> None:
    study = searched(space, 10_000)
    assert {space.key(trial.configuration) for trial in study.trials} == {space.key(configuration) for configuration in space.grid()}


def test_every_margin_of_every_prefix_is_balanced() -> None:
    space = SearchSpace((Int("a", 1, 4), Categorical("b", tuple("vwxyz")), Float("c", 0.0, 1.0, grid=(0.0, 0.5, 1.0)), Int("d", 1, 6)))
    study = searched(space, 120)
    for length in range(1, 121):
        prefix = make_study(space)
        prefix.trials = study.trials[:length]
        assert all(max(counts) - min(counts) <= 2 for counts in margins(prefix))


def test_conditional_parameters_are_balanced_among_the_trials_that_have_them() -> None:
    study = searched(many_sided_space(), 60)
    for counts in margins(study):
        assert max(counts) - min(counts) <= 2


@pytest.mark.parametrize(("space", "length"), [(cube(2, 16), 16), (cube(2, 16), 40), (cube(3, 8), 24)])
def test_a_prefix_leaves_smaller_holes_than_a_random_order(space: SearchSpace, length: int) -> None:
    """Fill distance: the farthest that any point of the grid is from the nearest visited one, on average over pairs of axes."""
    points = np.array([space.encode(configuration) for configuration in space.grid()])

    def fill(visited: np.ndarray) -> float:
        distances = [
            np.linalg.norm(points[:, None, list(pair)] - visited[None, :, list(pair)], axis=2).min(axis=1).max()
            for pair in combinations(range(points.shape[1]), 2)
        ]
        return float(np.mean(distances))

    for seed in range(3):
        study = searched(space, length, seed)
        ours = fill(np.array([space.encode(trial.configuration) for trial in study.trials]))
        shuffled = [fill(points[sorted(range(len(points)), key=lambda row: seed_at("order", again, row))[:length]]) for again in range(10)]
        assert ours < np.mean(shuffled)


def test_a_grid_that_nobody_could_list_is_searched_at_once() -> None:
    study = searched(cube(12, 10), 60)
    assert len({study.space.key(trial.configuration) for trial in study.trials}) == 60
    assert all(counts == [6] * 10 for counts in margins(study))


def test_a_range_of_a_thousand_million_whole_numbers_is_never_written_out() -> None:
    study = searched(SearchSpace((Int("a", 1, 10**9), Categorical("b", ("x", "y")))), 20)
    assert len({trial.configuration["a"] for trial in study.trials}) == 20
    assert sum(trial.configuration["b"] == "x" for trial in study.trials) == 10


def test_a_value_added_later_adds_new_points_only() -> None:
    """Points are known by their values, so what was trained over the smaller axis is not trained again."""
    small = SearchSpace((Int("a", 1, 3), Categorical("b", ("x", "z"))))
    large = SearchSpace((Int("a", 1, 3), Categorical("b", ("x", "y", "z"))))
    study = make_study(large)
    played = Play(study)
    for trial in searched(small, 100).trials:
        played.train(played.suggest(trial.configuration), [0.5])
    play(study, make_strategy("grid", {}, large), lambda configuration: 0.5, 100)
    assert [trial.configuration["b"] for trial in study.trials[6:]] == ["y", "y", "y"]
    assert len({large.key(trial.configuration) for trial in study.trials}) == len(study.trials) == 9


def test_failed_points_are_visited_and_lost_ones_come_once_more_at_the_end() -> None:
    space = cube(1, 4)
    study = make_study(space)
    strategy = make_strategy("grid", {}, space)
    played = Play(study)
    for state in ("failed", "lost", "diverged", "complete"):
        (configuration,) = strategy.suggest(study, 1)
        played.train(played.suggest(configuration), [0.5] * (state == "complete"), state)  # type: ignore[arg-type]
    (again,) = strategy.suggest(study, 3)
    assert again == study.trials[1].configuration
    played.train(played.suggest(again), [], "lost")
    assert strategy.suggest(study, 3) == [], "a point that kills its worker every time is given up"


def test_points_of_a_parameter_with_a_list_are_these_alone() -> None:
    space = SearchSpace((Int("a", 1, 100, grid=(1, 10, 100)), Float("b", 0.5, 0.5), Categorical("c", ("x", "y", "z"), grid=("z",))))
    study = searched(space, 100)
    assert sorted(trial.configuration["a"] for trial in study.trials) == [1, 10, 100]  # type: ignore[type-var]
    assert {(trial.configuration["b"], trial.configuration["c"]) for trial in study.trials} == {(0.5, "z")}


def test_conditions_see_the_points() -> None:
    space = SearchSpace((Int("a", 1, 9, grid=(1, 9)), Int("b", 1, 3, when=(Condition("a", ">=", (5,)),))))
    assert len(searched(space, 100).trials) == 1 + 3


def test_continuous_parameters_without_points_are_named_with_the_way_to_give_them() -> None:
    space = SearchSpace((Float("learning_rate", 1e-4, 1e-1, log=True), Float("dropout", 0.0, 0.5, grid=(0.0, 0.5)), Float("l2", 0.0, 1.0)))
    sentence = (
        "--strategy grid: every continuous parameter must have its points, but none are given for learning_rate, l2. "
        "Add 'grid: 4' (so many points) or 'grid: [...]' (these points) to each of them."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        check_strategy("grid", {}, space)


@pytest.mark.parametrize("seed", range(6))
def test_early_points_keep_apart_also_where_their_margins_would_allow_neighbours(seed: int) -> None:
    """The first eight of 16 x 16: any two of them are three steps apart on at least one axis."""
    points = [(trial.configuration["x0"], trial.configuration["x1"]) for trial in searched(cube(2, 16), 8, seed).trials]
    assert all(max(abs(a - c), abs(b - d)) >= 3 for (a, b), (c, d) in combinations(points, 2))  # type: ignore[operator]
