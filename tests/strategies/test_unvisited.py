"""What a space has left: the walk through its configurations, and crossing out what was visited."""

from hypothesis import given
from hypothesis import strategies as st

from automl.events import Value
from automl.space import Parameter, SearchSpace
from automl.strategies.grid import lattice
from automl.strategies.unvisited import Unvisited, Visited, Walk
from contracts.strategy import QUICK
from contracts.studies import Play, cube, make_study, spaces


def points(parameter: Parameter) -> tuple[Value, ...]:
    assert parameter.points is not None
    return parameter.points


@QUICK
@given(spaces())
def test_the_walk_meets_exactly_what_the_rules_allow(space: SearchSpace) -> None:
    walk = Walk(space, points, nodes=10_000)
    assert [space.key(each) for each in walk] == [space.key(each) for each in space.grid()]
    assert walk.complete


@QUICK
@given(spaces(), st.integers(0, 5))
def test_a_walk_that_ran_out_of_nodes_says_so(space: SearchSpace, nodes: int) -> None:
    walk = Walk(space, points, nodes)
    met = {space.key(each) for each in walk}
    everything = {space.key(each) for each in space.grid()}
    assert met <= everything
    assert not walk.complete or met == everything


@QUICK
@given(spaces(), st.integers(0, 3))
def test_what_is_left_is_given_once_each_until_nothing_is_left(space: SearchSpace, seed: int) -> None:
    space = lattice(space)
    study = make_study(space, seed=seed)
    unvisited, played = Unvisited(space), Play(study)
    order = []
    while (configuration := unvisited.first(len(study.trials), Visited(study))) is not None:
        order.append(space.key(configuration))
        played.suggest(configuration)
    assert len(order) == len(set(order)) == sum(1 for _ in space.every())


def test_what_was_added_in_the_same_call_is_not_left_but_may_be_later() -> None:
    """A suggestion that never became a trial is still to be had."""
    space = cube(1, 2)
    study = make_study(space)
    unvisited, visited = Unvisited(space), Visited(study)
    first = unvisited.first(0, visited)
    assert first is not None
    visited.add(first)
    second = unvisited.first(1, visited)
    assert second is not None
    assert second != first
    visited.add(second)
    assert unvisited.first(2, visited) is None
    assert unvisited.first(0, Visited(study)) == first
