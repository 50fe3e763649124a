"""Which configurations are still to be had: what a study has visited, and a walk through what a finite space has left."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from automl.draws import Position, seed_at, unit_at
from automl.events import Configuration, Value
from automl.expressions import Expression
from automl.space import Categorical, ConfigurationKey, Float, Int, Parameter, SearchSpace
from automl.study import Study

_MOST_NODES = 2_000_000  # of the tree of values, once for a study: some seconds
_MOST_KEPT = 100_000  # configurations in memory
_WALKS = 20
_MOST_NODES_ONCE = 40_000  # where the space is larger than that, for each suggestion
_FEW_VALUES = 64  # of a parameter: more of them are tried by sixteen draws
_DRAWS = 16

Rules = tuple[list[Expression], list[Expression]]  # forbid, require


class Visited:
    """The configurations not to suggest: those of the study's trials, and those that ``add`` brought in during the same call."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._added: set[ConfigurationKey] = set()

    def __contains__(self, configuration: Configuration) -> bool:
        return self.study.knows(configuration) or self.study.space.key(configuration) in self._added

    def add(self, configuration: Configuration) -> None:
        self._added.add(self.study.space.key(configuration))


def one_by_one(study: Study, count: int, draw: Callable[[int, Visited], Configuration | None]) -> list[Configuration]:
    """The configurations that ``draw`` gives for the trials ``len(study.trials)``, ``len(study.trials) + 1``, ..., until it gives None."""
    visited = Visited(study)
    suggestions: list[Configuration] = []
    for number in range(len(study.trials), len(study.trials) + count):
        configuration = draw(number, visited)
        if configuration is None:
            break
        visited.add(configuration)
        suggestions.append(configuration)
    return suggestions


class Walk:
    """Allowed configurations by depth-first search, each once; branches end where the values chosen so far break a rule.

    ``values_of`` gives the values to try for a parameter. At most ``nodes`` values are tried: ``complete`` says whether that sufficed.
    """

    def __init__(self, space: SearchSpace, values_of: Callable[[Parameter], Iterable[Value]], nodes: int) -> None:
        self.complete = True
        self._space = space
        self._values_of = values_of
        self._left = nodes
        self._settled = _rules_by_last_parameter(space)

    def __iter__(self) -> Iterator[Configuration]:
        return self._descend(0, dict(self._space.fixed), {})

    def _descend(self, index: int, values: dict[str, Value], chosen: dict[str, Value]) -> Iterator[Configuration]:
        if index == len(self._space.parameters):
            if self._space.allows(chosen):
                yield dict(chosen)
            return
        parameter = self._space.parameters[index]
        if not all(condition.holds(values) for condition in parameter.when):
            if not self._broken(index, values):
                yield from self._descend(index + 1, values, chosen)
            return
        for value in self._values_of(parameter):
            if self._left <= 0:
                self.complete = False
                break
            self._left -= 1
            values[parameter.name] = chosen[parameter.name] = value
            if not self._broken(index, values):
                yield from self._descend(index + 1, values, chosen)
        values.pop(parameter.name, None)
        chosen.pop(parameter.name, None)

    def _broken(self, index: int, values: dict[str, Value]) -> bool:
        forbid, require = self._settled[index]
        return any(rule.holds(values) for rule in forbid) or not all(rule.holds(values, inactive=True) for rule in require)


def _rules_by_last_parameter(space: SearchSpace) -> list[Rules]:
    """For each parameter but the last the rules that are settled with it: (forbid, require). The rest is settled at the leaves."""
    place = {parameter.name: index for index, parameter in enumerate(space.parameters)}
    settled: list[Rules] = [([], []) for _ in space.parameters]
    for kind, rules in enumerate((space.forbid, space.require)):
        for rule in rules:
            if all(name in place or name in space.fixed for name in rule.names):
                last = max((place.get(name, 0) for name in rule.names), default=0)
                if last < len(space.parameters) - 1:
                    settled[last][kind].append(rule)
    return settled


def size(space: SearchSpace) -> float:
    """An upper bound of the number of configurations: conditions and rules are left out of account."""
    return math.prod(parameter.size for parameter in space.parameters)


class Unvisited:
    """What a space has left, in a seeded order. A small space is listed once and then crossed out: whole and without repeats."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._study: Study | None = None
        self._listed: list[Configuration] | None = None
        self._crossed_out = 0  # so many of the listed ones, from the first on, are known to the study
        self._is_large = math.isinf(size(space))

    def first(self, number: int, visited: Visited) -> Configuration | None:
        """An allowed configuration that was not visited, for trial ``number``.

        None: there is none left (or, in a large space that its rules leave almost nothing of, none was found).
        """
        study = visited.study
        if study is not self._study:
            self._study, self._listed, self._crossed_out = study, None, 0
        if self._listed is None and not self._is_large:
            self._listed = self._list(study.seed)
            self._is_large = self._listed is None
        if self._listed is None:
            return self._found(study.seed, number, visited)
        while self._crossed_out < len(self._listed) and study.knows(self._listed[self._crossed_out]):
            self._crossed_out += 1
        return next((each for each in itertools.islice(self._listed, self._crossed_out, None) if each not in visited), None)

    def _found(self, seed: int, number: int, visited: Visited) -> Configuration | None:
        """The first one that some walks through drawn values meet."""
        for attempt in range(_WALKS):
            walk = Walk(self._space, lambda parameter: _some_values(parameter, seed, number, attempt), _MOST_NODES_ONCE // _WALKS)  # noqa: B023
            configuration = next((each for each in walk if each not in visited), None)
            if configuration is not None:
                return configuration
        return None

    def _list(self, seed: int) -> list[Configuration] | None:
        walk = Walk(self._space, _every_value, _MOST_NODES)
        listed: list[Configuration] = []
        for configuration in walk:
            listed.append(configuration)
            if len(listed) > _MOST_KEPT:
                return None
        if not walk.complete:
            return None
        return sorted(listed, key=lambda configuration: seed_at(seed, "left", repr(self._space.key(configuration))))


def _every_value(parameter: Parameter) -> Sequence[Value]:
    match parameter:
        case Int(low=low, high=high, step=step):
            return range(low, high + 1, step)
        case Categorical(choices=choices):
            return choices
        case Float(low=low):
            return (low,)


def _some_values(parameter: Parameter, *position: Position) -> Sequence[Value]:
    """All values in a seeded order where they are few, else some draws."""
    if parameter.size > _FEW_VALUES:
        return [parameter.at(unit_at(*position, "left", parameter.name, draw)) for draw in range(_DRAWS)]
    values = list(_every_value(parameter))
    order = sorted(range(len(values)), key=lambda index: seed_at(*position, "left", parameter.name, index))
    return [values[index] for index in order]
