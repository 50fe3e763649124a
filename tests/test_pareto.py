"""The laws of Pareto fronts, crowding and hypervolume."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.pareto import Losses, crowding, dominates, front, hypervolume, with_one_more


def points(sides: int, most: int = 12) -> st.SearchStrategy[list[Losses]]:
    """On a coarse grid, so that equals and ties are common."""
    return st.lists(st.tuples(*[st.integers(0, 5).map(float)] * sides), max_size=most)


SETS = st.integers(1, 4).flatmap(points)


@given(st.integers(1, 4).flatmap(lambda sides: st.tuples(*[st.tuples(*[st.integers(0, 3).map(float)] * sides)] * 3)))
def test_domination_is_a_strict_order(three: tuple[Losses, Losses, Losses]) -> None:
    a, b, c = three
    assert not dominates(a, a)
    assert not (dominates(a, b) and dominates(b, a))
    assert dominates(a, c) or not (dominates(a, b) and dominates(b, c))


@given(SETS)
def test_the_front_is_what_nothing_dominates(given_points: list[Losses]) -> None:
    expected = [place for place, point in enumerate(given_points) if not any(dominates(other, point) for other in given_points)]
    assert front(given_points) == expected
    assert bool(expected) == bool(given_points)


@given(SETS, st.randoms())
def test_the_front_grows_one_by_one_in_any_order(given_points: list[Losses], random: np.random.Generator) -> None:
    order = list(range(len(given_points)))
    random.shuffle(order)
    members: list[int] = []
    for number in order:
        members = with_one_more(given_points.__getitem__, members, number)
    assert sorted(members) == front(given_points)


@given(st.integers(1, 4).flatmap(lambda sides: st.tuples(points(sides, 8), st.tuples(*[st.integers(0, 6).map(float)] * sides))))
def test_the_hypervolume_is_the_number_of_cells_that_are_dominated(case: tuple[list[Losses], Losses]) -> None:
    """Of points with whole coordinates: count the cells between each point and the reference."""
    given_points, reference = case
    cells = {
        cell
        for point in given_points
        for cell in np.ndindex(*(int(limit) for limit in reference))
        if all(value <= coordinate for value, coordinate in zip(point, cell, strict=True))
    }
    assert hypervolume(given_points, reference) == len(cells)


@given(points(3), st.tuples(*[st.integers(0, 5).map(float)] * 3))
def test_a_further_point_adds_volume_exactly_where_nothing_is_as_good(given_points: list[Losses], further: Losses) -> None:
    reference = (6.0, 6.0, 6.0)
    before, after = hypervolume(given_points, reference), hypervolume([*given_points, further], reference)
    is_covered = any(point == further or dominates(point, further) for point in given_points)
    assert after == before if is_covered else after > before


def test_hypervolume_is_that_of_optuna() -> None:
    from optuna._hypervolume import compute_hypervolume

    for sides in (2, 3, 4):
        drawn = np.random.default_rng(sides).random((25, sides))
        ours = hypervolume([tuple(point) for point in drawn.tolist()], (1.1,) * sides)
        assert ours == pytest.approx(compute_hypervolume(drawn, np.full(sides, 1.1)))


def test_crowding_is_the_distance_of_the_neighbours_as_a_share_of_the_range() -> None:
    assert crowding([(0.0, 10.0), (1.0, 4.0), (2.0, 2.0), (4.0, 0.0)]) == [math.inf, 2 / 4 + 8 / 10, 3 / 4 + 4 / 10, math.inf]
    assert crowding([]) == []
    assert crowding([(1.0, 2.0)]) == [math.inf]
    assert crowding([(1.0, 1.0)] * 3).count(0.0) == 1, "equals are no neighbours of anything"
