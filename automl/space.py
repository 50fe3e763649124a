"""The search space: parameters, the conditions under which they are active, and the combinations that are not allowed.

A *configuration* maps the names of the active searched parameters to values, in the order of the space. Strategies see the
space as a unit cube with a coordinate per parameter, in which the coordinates of inactive parameters mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from automl.draws import Position, unit_at
from automl.events import Configuration, Value
from automl.expressions import Expression

ConfigurationKey = tuple[tuple[str, Value], ...]

MOST_WALKED = 200_000  # combinations that counting tries, which takes about a second

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of ``when``: the value of ``parent`` is one of ``values``, or compares with ``values[0]`` as ``operator`` says."""

    parent: str
    operator: str  # "in", ">=", "<=", ">", "<"
    values: tuple[Value, ...]

    def holds(self, values: Configuration) -> bool:
        """Whether the test is true; false where the parent is itself inactive."""
        if self.parent not in values:
            return False
        value = values[self.parent]
        if self.operator == "in":
            return any(value == allowed and isinstance(value, bool) == isinstance(allowed, bool) for allowed in self.values)
        bound = self.values[0]
        if not isinstance(value, int | float) or not isinstance(bound, int | float):
            return False
        return _COMPARE[self.operator](value, bound)

    def __str__(self) -> str:
        if self.operator == "in":
            words = [str(value).lower() if isinstance(value, bool) else str(value) for value in self.values]
            return f"{self.parent} is {' or '.join(words)}"
        return f"{self.parent} {self.operator} {self.values[0]}"


@dataclass(frozen=True, slots=True)
class Float:
    """A number from ``low`` to ``high``, both included; ``log``: uniform on the logarithm. ``grid``: the points that a grid visits."""

    name: str
    low: float
    high: float
    log: bool = False
    grid: tuple[float, ...] | None = None
    when: tuple[Condition, ...] = ()

    @property
    def points(self) -> tuple[Value, ...] | None:
        """What a grid visits; None where only ``grid`` could say."""
        return (self.low,) if self.low == self.high else self.grid

    @property
    def size(self) -> float:
        """How many different values there are."""
        return 1 if self.low == self.high else math.inf

    def contains(self, value: Value) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def at(self, unit: float) -> float:
        """The value at ``unit`` in [0, 1] of the parameter's own scale."""
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def unit(self, value: Value) -> float:
        """Where a value lies on the parameter's own scale, in [0, 1]."""
        assert isinstance(value, int | float)
        if self.low == self.high:
            return 0.5
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def spaced(self, count: int) -> tuple[float, ...]:
        """``count`` evenly spaced values on the parameter's own scale, both ends included (one: the middle)."""
        units = [0.5] if count == 1 else [index / (count - 1) for index in range(count)]
        return tuple(min(max(float(f"{self.at(unit):.12g}"), self.low), self.high) for unit in units)


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number ``low, low + step, ...`` up to ``high``."""

    name: str
    low: int
    high: int
    log: bool = False
    step: int = 1
    grid: tuple[int, ...] | None = None
    when: tuple[Condition, ...] = ()

    @property
    def points(self) -> tuple[Value, ...] | None:
        return self.grid if self.grid is not None else tuple(range(self.low, self.high + 1, self.step))

    @property
    def size(self) -> float:
        return (self.high - self.low) // self.step + 1

    def contains(self, value: Value) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def at(self, unit: float) -> int:
        """The value in whose share of [0, 1] ``unit`` lies."""
        last = int(self.size) - 1
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.low + last * self.step + 0.5)
            index = round((math.exp(low + unit * (high - low)) - self.low) / self.step)
        else:
            index = math.floor(unit * (last + 1))
        return self.low + min(max(index, 0), last) * self.step

    def unit(self, value: Value) -> float:
        """The middle of the value's own share of [0, 1], so that ``at(unit(value)) == value``."""
        assert isinstance(value, int)
        last = int(self.size) - 1
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.low + last * self.step + 0.5)
            return (math.log(value) - low) / (high - low)
        return ((value - self.low) // self.step + 0.5) / (last + 1)

    def spaced(self, count: int) -> tuple[int, ...]:
        """At most ``count`` different values, evenly spaced on the parameter's own scale, both ends included."""
        units = [0.5] if count == 1 else [index / (count - 1) for index in range(count)]
        return tuple(dict.fromkeys(self._nearest(self._between(unit)) for unit in units))

    def _between(self, unit: float) -> float:
        """The number at ``unit`` of the way from the first value to the last, on the parameter's own scale."""
        first, last = self.low, self.low + (int(self.size) - 1) * self.step
        return first * (last / first) ** unit if self.log else first + unit * (last - first)

    def _nearest(self, number: float) -> int:
        return self.low + min(max(round((number - self.low) / self.step), 0), int(self.size) - 1) * self.step


@dataclass(frozen=True, slots=True)
class Categorical:
    """One of a few values: texts, numbers, true or false, or null."""

    name: str
    choices: tuple[Value, ...]
    grid: tuple[Value, ...] | None = None
    when: tuple[Condition, ...] = ()

    @property
    def points(self) -> tuple[Value, ...] | None:
        return self.grid if self.grid is not None else self.choices

    @property
    def size(self) -> float:
        return len(self.choices)

    def contains(self, value: Value) -> bool:
        return self.index(value) is not None

    def index(self, value: Value) -> int | None:
        """Which choice this is; ``1``, ``1.0`` and ``true`` are told apart by type where the choices hold several of them."""
        is_bool = isinstance(value, bool)
        same = [index for index, choice in enumerate(self.choices) if choice == value and isinstance(choice, bool) == is_bool]
        exact = [index for index in same if type(self.choices[index]) is type(value)]
        return next(iter(exact or same), None)

    def at(self, unit: float) -> Value:
        return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]

    def unit(self, value: Value) -> float:
        index = self.index(value)
        assert index is not None
        return (index + 0.5) / len(self.choices)

    def spaced(self, count: int) -> tuple[Value, ...]:
        """The first ``count`` choices."""
        return self.choices[:count]


Parameter = Float | Int | Categorical


@dataclass(frozen=True)
class SearchSpace:
    """What is searched. ``parameters`` come after those that their conditions speak of; ``fixed`` values are the same in every trial.

    ``measures`` gives further names that ``forbid`` and ``require`` may use, known before training (``parameters``, the number of
    weights) of fixed and chosen values together; it is bound when the data are known.
    """

    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Value] = field(default_factory=dict)
    forbid: tuple[Expression, ...] = ()
    require: tuple[Expression, ...] = ()
    measures: Callable[[Configuration], Mapping[str, float]] | None = field(default=None, compare=False)

    @cached_property
    def by_name(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def _rules_measure(self) -> bool:
        """Whether a rule speaks of what ``measures`` gives."""
        known = {*self.by_name, *self.fixed}
        return self.measures is not None and any(name not in known for rule in (*self.forbid, *self.require) for name in rule.names)

    def measured(self, configuration: Configuration) -> Mapping[str, float]:
        """What is known of the configuration before it trains; nothing while the data are not known."""
        return {} if self.measures is None else self.measures(self.whole(configuration))

    def whole(self, configuration: Configuration) -> Configuration:
        """With what is fixed, unless the configuration (of a baseline) says otherwise."""
        return {**self.fixed, **configuration}

    def configure(self, choose: Callable[[Parameter], Value]) -> Configuration:
        """A configuration whose active parameters take the values that ``choose`` gives, asked in the order of the space."""
        values: dict[str, Value] = dict(self.fixed)
        chosen: dict[str, Value] = {}
        for parameter in self.parameters:
            if all(condition.holds(values) for condition in parameter.when):
                chosen[parameter.name] = values[parameter.name] = choose(parameter)
        return chosen

    def sample(self, *position: Position) -> Configuration:
        """The uniform draw at this position, among configurations that may break ``forbid`` or ``require`` (see ``allows``)."""
        return self.configure(lambda parameter: parameter.at(unit_at(*position, parameter.name)))

    def allows(self, configuration: Configuration) -> bool:
        """Whether no ``forbid`` holds and every ``require`` does."""
        if not self.forbid and not self.require:
            return True
        values = self._ruled(configuration)
        return not any(rule.holds(values) for rule in self.forbid) and all(rule.holds(values, inactive=True) for rule in self.require)

    def broken_rule(self, configuration: Configuration) -> str | None:
        """The first rule that the configuration breaks, as written in the file; None when it breaks none."""
        values = self._ruled(configuration)
        for rule in self.forbid:
            if rule.holds(values):
                return f"forbid: {rule.text}"
        for rule in self.require:
            if not rule.holds(values, inactive=True):
                return f"require: {rule.text}"
        return None

    def _ruled(self, configuration: Configuration) -> dict[str, Value]:
        """What rules may speak of."""
        return {**self.fixed, **configuration, **(self.measured(configuration) if self._rules_measure else {})}

    def contains(self, configuration: Configuration) -> bool:
        """Whether exactly the active parameters are given, each within its range, and no rule is broken."""
        wanted = dict(configuration)

        def take(parameter: Parameter) -> Value:
            if parameter.name not in wanted or not parameter.contains(wanted[parameter.name]):
                raise LookupError(parameter.name)
            return wanted.pop(parameter.name)

        try:
            self.configure(take)
        except LookupError:
            return False
        return not wanted and self.allows(configuration)

    def key(self, configuration: Configuration) -> ConfigurationKey:
        """The same for equal configurations and for no others: what "trained twice" is judged by."""
        return tuple(sorted((name, _plain(value)) for name, value in {**self.fixed, **configuration}.items()))

    def encode(self, configuration: Configuration) -> tuple[float, ...]:
        """The point of the unit cube, a coordinate per parameter; 0.5 for inactive ones."""
        return tuple(
            parameter.unit(configuration[parameter.name]) if parameter.name in configuration else 0.5 for parameter in self.parameters
        )

    def decode(self, point: tuple[float, ...]) -> Configuration:
        """The configuration at a point of the unit cube; coordinates of inactive parameters are ignored."""
        units = dict(zip((parameter.name for parameter in self.parameters), point, strict=True))
        return self.configure(lambda parameter: parameter.at(units[parameter.name]))

    def without_grid(self) -> list[str]:
        """The parameters for which a grid would not know its points."""
        return [parameter.name for parameter in self.parameters if _grid_points(parameter) is None]

    def grid(self) -> Iterator[Configuration]:
        """Every allowed configuration of the grid once, in the order of the parameters' points (the last parameter moves fastest).

        Only for spaces in which ``without_grid()`` is empty.
        """
        yield from (configuration for configuration in self._walk(0, dict(self.fixed), {}) if self.allows(configuration))

    def _walk(self, index: int, values: dict[str, Value], chosen: dict[str, Value]) -> Iterator[Configuration]:
        if index == len(self.parameters):
            yield dict(chosen)
            return
        parameter = self.parameters[index]
        if not all(condition.holds(values) for condition in parameter.when):
            yield from self._walk(index + 1, values, chosen)
            return
        for point in parameter.points or ():
            yield from self._walk(index + 1, {**values, parameter.name: point}, {**chosen, parameter.name: point})

    def count_grid(self, at_most: int = MOST_WALKED) -> int | None:
        """The number of grid configurations; None when some parameter has no points, or when counting would walk over more than
        ``at_most`` combinations of the values that conditions and rules speak of."""
        points = {parameter.name: _grid_points(parameter) for parameter in self.parameters}
        return self._count({name: found for name, found in points.items() if found is not None}, at_most)

    def count(self, at_most: int = MOST_WALKED) -> float | None:
        """The number of different allowed configurations: infinite with a continuous parameter, None where ``count_grid`` gives up."""
        if any(math.isinf(parameter.size) for parameter in self.parameters):
            return math.inf
        return self._count({parameter.name: _all_values(parameter) for parameter in self.parameters}, at_most)

    def _count(self, options: Mapping[str, Sequence[Value]], at_most: int) -> int | None:
        """Walks over the values that conditions and rules tell apart, and multiplies by the number of all others."""
        if len(options) < len(self.parameters):
            return None
        rules = (*self.forbid, *self.require)
        in_rules = set(self.by_name) if self._rules_measure else {name for rule in rules for name in rule.names}
        parents = {test.parent for parameter in self.parameters for test in parameter.when}
        if any(len(values) > at_most and name in parents for name, values in options.items() if name not in in_rules):
            return None
        groups = {name: _groups(name, values, self) for name, values in options.items() if name not in in_rules}
        walked = 0

        def walk(index: int, values: dict[str, Value]) -> int:
            nonlocal walked
            walked += 1
            if walked > at_most:
                raise _TooManyError
            if index == len(self.parameters):
                return int(self.allows(values))
            parameter = self.parameters[index]
            if not all(condition.holds(values) for condition in parameter.when):
                return walk(index + 1, values)
            name = parameter.name
            choices = groups.get(name) or ((value, 1) for value in options[name])
            return sum(weight * walk(index + 1, {**values, name: value}) for value, weight in choices)

        try:
            return walk(0, dict(self.fixed))
        except _TooManyError:
            return None

    def every(self) -> Iterator[Configuration]:
        """Every allowed configuration of a space without continuous parameters, once."""
        parameters = tuple(_all_points(parameter) for parameter in self.parameters)
        return replace(self, parameters=parameters).grid()


class _TooManyError(Exception):
    """Counting would take too long."""


def _groups(name: str, options: Sequence[Value], space: SearchSpace) -> list[tuple[Value, int]]:
    """The values of a parameter, those that no condition can tell apart counted together: one value of each group, and how many it has."""
    tests = {test for parameter in space.parameters for test in parameter.when if test.parent == name}
    if not tests:
        return [(options[0], len(options))]
    found: dict[tuple[bool, ...], list[Value]] = {}
    for value in options:
        found.setdefault(tuple(test.holds({name: value}) for test in tests), []).append(value)
    return [(values[0], len(values)) for values in found.values()]


def _grid_points(parameter: Parameter) -> Sequence[Value] | None:
    """Like ``points``, without writing out long ranges."""
    return _all_values(parameter) if isinstance(parameter, Int) and parameter.grid is None else parameter.points


def _all_values(parameter: Parameter) -> Sequence[Value]:
    """All values of a parameter that has finitely many."""
    match parameter:
        case Int(low=low, high=high, step=step):
            return range(low, high + 1, step)
        case Categorical(choices=choices):
            return choices
        case _:
            return (parameter.low,)


def _all_points(parameter: Parameter) -> Parameter:
    match parameter:
        case Int(name=name, low=low, high=high, log=log, step=step, when=when):
            return Int(name, low, high, log, step, None, when)
        case Categorical(name=name, choices=choices, when=when):
            return Categorical(name, choices, None, when)
        case _:
            return parameter


def _plain(value: Value) -> Value:
    """Numbers that are equal become the same text, texts and booleans stay apart from them."""
    if isinstance(value, bool) or value is None:
        return f"={value}"
    if isinstance(value, int | float):
        return f"#{float(value)!r}"
    return f"'{value}"
