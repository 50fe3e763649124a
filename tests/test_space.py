"""Laws of search spaces: samples are contained, decoding undoes encoding, counting agrees with walking."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl.expressions import Expression
from automl.space import Categorical, Condition, Float, Int, Parameter, SearchSpace

OPTIMIZER = Categorical("optimizer", ("adam", "sgd"))
LAYERS = Int("layers", 1, 3)
SGD = (Condition("optimizer", "in", ("sgd",)),)


@st.composite
def parameters(draw: st.DrawFn, name: str, finite: bool) -> Parameter:
    kind = draw(st.sampled_from(["int", "categorical"] if finite else ["float", "int", "categorical"]))
    if kind == "float":
        low, high = sorted((draw(st.floats(1e-9, 1e6)), draw(st.floats(1e-9, 1e6))))
        return Float(name, low, high, draw(st.booleans()))
    if kind == "int":
        step = draw(st.integers(1, 3))
        low = draw(st.integers(-5, 50))
        log = step == 1 and low >= 1 and draw(st.booleans())
        return Int(name, low, low + step * draw(st.integers(0, 4 if finite else 1000)), log, step)
    values = st.one_of(st.sampled_from(["a", "b", None, True, False, "1"]), st.integers(0, 3), st.just(0.5))
    picked = draw(st.lists(values, min_size=1, max_size=4, unique_by=lambda value: (isinstance(value, bool), value)))
    return Categorical(name, tuple(picked))


@st.composite
def spaces(draw: st.DrawFn, *, finite: bool = False) -> SearchSpace:
    """Up to five parameters, some of them conditional on earlier ones or on a fixed value, with rules or without."""
    made: list[Parameter] = []
    for index in range(draw(st.integers(1, 5))):
        parameter = draw(parameters(f"p{index}", finite))
        if made and draw(st.booleans()):
            parent = draw(st.sampled_from(made))
            parameter = replace(parameter, when=(draw(conditions(parent)),))
        made.append(parameter)
    rules = [Expression.parse(text) for text in ("p0 == 'a' and p1 == 1", "p1 > 3 and p0 != 2", "not p2 == 0.5", "fixed == 2 and p0 == 1")]
    forbid = draw(st.lists(st.sampled_from(rules), max_size=2, unique=True))
    require = draw(st.lists(st.just(Expression.parse("p2 != 1 or p0 == 1")), max_size=1))
    return SearchSpace(tuple(made), draw(st.sampled_from([{}, {"fixed": 2}])), tuple(forbid), tuple(require))


@st.composite
def conditions(draw: st.DrawFn, parent: Parameter) -> Condition:
    if isinstance(parent, Categorical):
        return Condition(parent.name, "in", tuple(draw(st.lists(st.sampled_from(parent.choices), min_size=1, max_size=3))))
    return Condition(parent.name, draw(st.sampled_from([">=", "<=", ">", "<"])), (draw(st.sampled_from([parent.low, parent.high])),))


@given(spaces(), st.integers(0, 99))
def test_a_sample_that_is_allowed_is_contained(space: SearchSpace, seed: int) -> None:
    sample = space.sample(seed)
    assert space.contains(sample) == space.allows(sample)
    assert space.contains(sample) == (space.broken_rule(sample) is None)


@given(spaces(), st.integers(0, 99))
def test_a_sample_is_a_function_of_its_position(space: SearchSpace, seed: int) -> None:
    assert space.sample(seed, "a") == space.sample(seed, "a")
    assert list(space.sample(seed)) == [parameter.name for parameter in space.parameters if parameter.name in space.sample(seed)]


@given(spaces(), st.integers(0, 99))
def test_decode_after_encode_is_the_identity(space: SearchSpace, seed: int) -> None:
    sample = space.sample(seed)
    point = space.encode(sample)
    assert all(0 <= unit <= 1 for unit in point)
    decoded = space.decode(point)
    assert list(decoded) == list(sample)
    for parameter in space.parameters:
        if parameter.name in sample:
            value: Any = sample[parameter.name]
            assert decoded[parameter.name] == (pytest.approx(value, rel=1e-9) if isinstance(parameter, Float) else value)
            assert type(decoded[parameter.name]) is type(value)


@given(spaces(), st.data())
def test_every_point_of_the_cube_is_a_configuration(space: SearchSpace, data: st.DataObject) -> None:
    point = data.draw(st.tuples(*[st.floats(0, 1)] * len(space.parameters)))
    assert replace(space, forbid=(), require=()).contains(space.decode(point))


@given(spaces(finite=True))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_counting_agrees_with_walking(space: SearchSpace) -> None:
    walked = list(space.every())
    assert space.count() == len(walked) == len({space.key(configuration) for configuration in walked})
    assert all(space.contains(configuration) for configuration in walked)
    assert space.count_grid() == len(list(space.grid()))


@given(spaces(), st.integers(0, 50))
def test_equal_configurations_have_equal_keys(space: SearchSpace, seed: int) -> None:
    a, b = space.sample(seed), space.sample(seed + 1)
    assert (space.key(a) == space.key(dict(reversed(list(a.items()))))) is True
    told_apart = [{name: (isinstance(value, bool), value) for name, value in each.items()} for each in (a, b)]  # True == 1
    assert (space.key(a) == space.key(b)) == (told_apart[0] == told_apart[1])


def test_keys_tell_types_apart_and_equal_numbers_not() -> None:
    space = SearchSpace((Categorical("x", (1, True, "1", None)),))
    assert len({space.key({"x": value}) for value in (1, True, "1", None, "None", "True")}) == 6
    assert space.key({"x": 1}) == space.key({"x": 1.0})


@given(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12), st.booleans(), st.integers(1, 20))
def test_grid_points_of_a_number_lie_in_its_range_and_hold_both_ends(a: float, b: float, log: bool, count: int) -> None:
    parameter = Float("x", min(a, b), max(a, b), log)
    points = parameter.spaced(count)
    assert len(points) == count
    assert all(parameter.contains(point) for point in points)
    if count > 1:
        assert points[0] == pytest.approx(parameter.low)
        assert points[-1] == pytest.approx(parameter.high)


@given(st.integers(1, 1000), st.integers(0, 1000), st.booleans(), st.integers(1, 30))
def test_grid_points_of_a_whole_number_differ(low: int, size: int, log: bool, count: int) -> None:
    parameter = Int("x", low, low + size, log)
    points = parameter.spaced(count)
    assert len(set(points)) == len(points) <= count
    assert all(parameter.contains(point) for point in points)


def test_every_whole_number_has_its_share_of_the_line() -> None:
    for parameter in (Int("x", 1, 64, log=True), Int("x", -3, 9, step=3), Int("x", 5, 5)):
        values = [parameter.at(index / 9999) for index in range(10000)]
        assert sorted(set(values)) == list(range(parameter.low, parameter.high + 1, parameter.step))
        assert values == sorted(values)


@pytest.mark.parametrize(
    ("condition", "values", "truth"),
    [
        (Condition("a", "in", (1, 2)), {"a": 2}, True),
        (Condition("a", "in", (1,)), {"a": True}, False),
        (Condition("a", "in", (True,)), {"a": True}, True),
        (Condition("a", "in", ("x",)), {}, False),
        (Condition("a", ">=", (2,)), {"a": 2}, True),
        (Condition("a", "<", (2,)), {"a": 2}, False),
        (Condition("a", ">", (2,)), {"a": "text"}, False),
        (Condition("a", "<=", (2.5,)), {"a": 2}, True),
    ],
)
def test_conditions(condition: Condition, values: dict[str, Any], truth: bool) -> None:
    assert condition.holds(values) == truth


def test_conditions_in_words() -> None:
    assert str(Condition("a", "in", ("x", True, 1))) == "a is x or true or 1"
    assert str(Condition("a", ">=", (2,))) == "a >= 2"


def test_inactive_parameters_are_not_contained() -> None:
    space = SearchSpace((OPTIMIZER, Float("momentum", 0.0, 0.9, when=SGD)))
    assert space.contains({"optimizer": "sgd", "momentum": 0.5})
    assert space.contains({"optimizer": "adam"})
    assert not space.contains({"optimizer": "adam", "momentum": 0.5})
    assert not space.contains({"optimizer": "sgd"})
    assert not space.contains({"optimizer": "sgd", "momentum": 0.95})
    assert not space.contains({"optimizer": "sgd", "momentum": 0.5, "other": 1})


def test_a_parameter_under_an_inactive_parameter_is_inactive() -> None:
    nesterov = Categorical("nesterov", (True, False), when=SGD)
    space = SearchSpace((OPTIMIZER, nesterov, Float("x", 0.0, 1.0, when=(Condition("nesterov", "in", (True, False)),))))
    assert all(("x" in space.sample(seed)) == (space.sample(seed)["optimizer"] == "sgd") for seed in range(30))


def test_rules_may_use_what_is_measured_before_training() -> None:
    space = SearchSpace((LAYERS,), {"units": 10}, (), (Expression.parse("parameters <= 20"),))
    assert space.count() == 3
    bound = replace(space, measures=lambda values: {"parameters": int(values["layers"]) * int(values["units"])})  # type: ignore[arg-type]
    assert [configuration["layers"] for configuration in bound.every()] == [1, 2]
    assert bound.count() == bound.count_grid() == 2
    assert bound.broken_rule({"layers": 3}) == "require: parameters <= 20"


def test_the_last_parameter_of_a_grid_moves_fastest() -> None:
    space = SearchSpace((replace(LAYERS, grid=(3, 1)), OPTIMIZER))
    assert [tuple(configuration.values()) for configuration in space.grid()] == [(3, "adam"), (3, "sgd"), (1, "adam"), (1, "sgd")]


def test_huge_spaces_are_counted_without_walking() -> None:
    wide = Int("units", 1, 10**9)
    deep = Int("depth", 1, 10**4)
    under = Int("units_2", 1, 3, when=(Condition("depth", ">=", (2,)),))
    assert SearchSpace((deep, wide, under)).count() == 10**9 * (1 + 3 * (10**4 - 1))
    assert SearchSpace((deep, wide), {}, (Expression.parse("depth == 7"),)).count() == 10**9 * (10**4 - 1)


def test_counting_gives_up_where_it_would_take_too_long() -> None:
    wide, other = Int("a", 1, 10**9), Int("b", 1, 10**9)
    assert SearchSpace((wide, other), {}, (Expression.parse("a * b == 12"),)).count(1000) is None
    assert SearchSpace((wide, replace(other, when=(Condition("a", ">", (5,)),)))).count(1000) is None


def test_continuous_parameters_make_a_space_infinite_and_a_grid_unknown() -> None:
    space = SearchSpace((LAYERS, Float("x", 0.0, 1.0), Float("y", 2.0, 2.0), Float("z", 0.0, 1.0, grid=(0.5,))))
    assert space.count() == math.inf
    assert space.without_grid() == ["x"]
    assert space.count_grid() is None
    assert replace(space, parameters=tuple(p for p in space.parameters if p.name != "x")).count_grid() == 3
