"""Grid search."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from automl.draws import seed_at
from automl.errors import UsageError
from automl.events import Configuration, Value
from automl.space import Categorical, ConfigurationKey, Float, Int, SearchSpace
from automl.strategies.following import Follower
from automl.strategies.uniform import Uniform
from automl.strategies.unvisited import Visited, Walk
from automl.study import Study
from automl.trials import Trial

_MOST_CELLS = 10_000  # of a grid that is listed whole
_MOST_NODES = 50_000
_CANDIDATES = 64  # of a larger grid, for each suggestion
_REMEMBERED = 256  # trials that the next one keeps away from: the last ones, and the first ones where the grid is listed

Cells = NDArray[np.int64]  # [cells, parameters]: the index of each point, -1 where the parameter is inactive
Floats = NDArray[np.float64]


def check(space: SearchSpace) -> None:
    """Raises UsageError when the grid does not know its points."""
    missing = [parameter.name for parameter in space.parameters if isinstance(parameter, Float) and parameter.points is None]
    if missing:
        names = ", ".join(missing)
        raise UsageError(
            f"--strategy grid: every continuous parameter must have its points, but none are given for {names}. "
            f"Add 'grid: 4' (so many points) or 'grid: [...]' (these points) to each of them."
        )


def lattice(space: SearchSpace) -> SearchSpace:
    """The space whose configurations are the grid: every parameter takes its points only. A long range of whole numbers stays a range."""
    return replace(space, parameters=tuple(_axis(parameter) for parameter in space.parameters))


def _axis(parameter: Float | Int | Categorical) -> Int | Categorical:
    if isinstance(parameter, Int) and parameter.grid is None:
        return parameter
    return Categorical(parameter.name, parameter.points or (), None, parameter.when)


class Grid(Follower):
    """Every combination of the points once, in an order whose every prefix spreads.

    A point is known by its values (``SearchSpace.key``), so that points added later are the only new ones. The next point is, of those
    not visited, the one whose values were used least (every margin stays balanced), among equals the one farthest from what was
    visited, among equals the first in a seeded order. What was visited is whatever the study has trained or will train, the baseline and
    enqueued trials included; a point whose trial was lost comes once more at the end. Grids too large to be listed choose among
    seeded candidates.
    """

    def __init__(self, space: SearchSpace) -> None:
        check(space)
        self._lattice = lattice(space)
        self._axes = [_Axis(parameter) for parameter in self._lattice.parameters]
        self._uniform = Uniform(self._lattice)
        super().__init__()

    # -- what was visited ---------------------------------------------------------------------------------------------

    def _reset(self, study: Study) -> None:
        self._table: _Table | None = None
        self._is_listed = False
        self._used = [Counter[int]() for _ in self._axes]
        self._points: list[tuple[int, ...]] = []
        self._alive: defaultdict[ConfigurationKey, int] = defaultdict(int)
        self._lost: dict[ConfigurationKey, list[int]] = {}

    def _take(self, number: int, configuration: Configuration, in_space: bool) -> None:
        self._alive[self._lattice.key(configuration)] += 1
        point = self._point(configuration) if in_space else None
        if point is not None:
            self._points.append(point)
            for axis_used, index in zip(self._used, point, strict=True):
                axis_used[index] += 1

    def _end(self, trial: Trial) -> None:
        if trial.state == "lost":
            key = self._lattice.key(trial.configuration)
            self._alive[key] -= 1
            self._lost.setdefault(key, []).append(trial.number)

    def _point(self, configuration: Configuration) -> tuple[int, ...] | None:
        """The index of each value on its axis, -1 for inactive parameters; None for configurations beside the grid."""
        indices = [axis.index(configuration[axis.name]) if axis.name in configuration else -1 for axis in self._axes]
        return None if any(index is None for index in indices) else tuple(index for index in indices if index is not None)

    # -- the next point -----------------------------------------------------------------------------------------------

    def _next(self, study: Study, number: int, visited: Visited) -> Configuration | None:
        if not self._is_listed:
            self._table, self._is_listed = self._list(study), True
        found = self._next_listed(self._table) if self._table is not None else self._next_candidate(study, number, visited)
        return found if found is not None else self._next_lost(study, visited)

    def _list(self, study: Study) -> _Table | None:
        walk = Walk(self._lattice, _Axis, _MOST_NODES)
        configurations: list[Configuration] = []
        for configuration in walk:
            configurations.append(configuration)
            if len(configurations) > _MOST_CELLS:
                return None
        return _Table(configurations, self._cells(configurations), self._ties(study, configurations)) if walk.complete else None

    def _next_listed(self, table: _Table) -> Configuration | None:
        for point in self._points[table.crossed_out :]:
            if table.crossed_out < _REMEMBERED:
                table.crowding += self._closeness(table.cells, np.array([point]))
            table.is_left[table.rows.get(point, -1)] = False
            table.crossed_out += 1
        left = np.flatnonzero(table.is_left[:-1])
        if not len(left):
            return None
        return table.configurations[int(left[self._order(table.cells[left], table.crowding[left], table.ties[left])])]

    def _next_candidate(self, study: Study, number: int, visited: Visited) -> Configuration | None:
        drawn = [self._candidate(study.seed, number, draw) for draw in range(_CANDIDATES)]
        candidates = [each for each in drawn if self._lattice.allows(each) and each not in visited]
        if not candidates:
            return self._uniform.draw(number, visited)
        cells = self._cells(candidates)
        crowding = self._closeness(cells, np.array(self._points[-_REMEMBERED:], dtype=np.int64).reshape(-1, len(self._axes)))
        return candidates[self._order(cells, crowding, self._ties(study, candidates))]

    def _candidate(self, seed: int, number: int, draw: int) -> Configuration:
        """A random one among the points that use, on every axis, one of the values that were used least."""
        axes = {axis.name: (axis, used) for axis, used in zip(self._axes, self._used, strict=True)}

        def least_used(parameter: Float | Int | Categorical) -> Value:
            axis, used = axes[parameter.name]
            return axis[axis.least_used(used, seed_at(seed, "grid", number, draw, parameter.name))]

        return self._lattice.configure(least_used)

    def _next_lost(self, study: Study, visited: Visited) -> Configuration | None:
        """The first point whose only trial was lost."""
        for key, numbers in self._lost.items():
            configuration = study.trials[numbers[0]].configuration
            if self._alive[key] == 0 and len(numbers) == 1 and self._lattice.contains(configuration):
                return configuration
        return None

    # -- measures -----------------------------------------------------------------------------------------------------

    def _cells(self, configurations: list[Configuration]) -> Cells:
        points = [self._point(configuration) for configuration in configurations]
        return np.array(points, dtype=np.int64).reshape(len(points), len(self._axes))

    def _ties(self, study: Study, configurations: list[Configuration]) -> NDArray[np.int64]:
        return np.array([seed_at(study.seed, "grid", repr(self._lattice.key(each))) for each in configurations], dtype=np.int64)

    def _order(self, cells: Cells, crowding: Floats, ties: NDArray[np.int64]) -> int:
        """The row to visit next: least imbalance, then least crowding, then the tie break."""
        imbalance = np.round(self._imbalance(cells), 6)
        return int(np.lexsort((ties, np.round(crowding, 9), imbalance))[0])

    def _imbalance(self, cells: Cells) -> Floats:
        """How much more often than the average each cell's values were used: sum over its active axes of count * values - visits."""
        total = np.zeros(len(cells))
        for column, (axis, used) in enumerate(zip(self._axes, self._used, strict=True)):
            visits = sum(used.values()) - used[-1]
            indices, rows = np.unique(cells[:, column], return_inverse=True)
            excess = np.array([used[int(index)] * len(axis) - visits if index >= 0 else 0 for index in indices], dtype=float)
            total += excess[rows]
        return total

    def _closeness(self, cells: Cells, points: Cells) -> Floats:
        """How near each cell is to the visited points, seen in every pair of axes: sum of k_i * k_j, where k = 1 / (1 + steps apart)."""
        ordered = np.array([axis.is_ordered for axis in self._axes])
        both, here = cells[:, None, :], points[None, :, :]
        apart = np.abs(both - here)
        near = np.where(ordered, 1 / (1 + apart), apart == 0) * ((both >= 0) & (here >= 0))  # [cells, points, axes]
        total, squares = near.sum(axis=2), (near**2).sum(axis=2)
        pairs = (total**2 - squares) / 2
        return np.asarray((pairs + 1e-3 * total).sum(axis=1))


class _Table:
    """A grid that is listed whole. ``crowding`` is how near each cell is to the visited points, of which the first ``crossed_out`` are in.

    ``is_left`` has one entry more than there are cells: for points beside the grid.
    """

    def __init__(self, configurations: list[Configuration], cells: Cells, ties: NDArray[np.int64]) -> None:
        self.configurations = configurations
        self.cells = cells
        self.ties = ties
        self.crowding: Floats = np.zeros(len(configurations))
        self.rows = {tuple(point): row for row, point in enumerate(cells.tolist())}
        self.is_left = np.ones(len(configurations) + 1, dtype=bool)
        self.crossed_out = 0


class _Axis:
    """The points of a parameter, as a sequence that is never written out."""

    def __init__(self, parameter: Float | Int | Categorical) -> None:
        assert not isinstance(parameter, Float)
        self.name = parameter.name
        self._parameter = parameter
        values = parameter.choices if isinstance(parameter, Categorical) else ()
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        self.is_ordered = isinstance(parameter, Int) or (len(numbers) == len(values) and numbers == sorted(numbers))

    def __len__(self) -> int:
        return int(self._parameter.size)

    def __getitem__(self, index: int) -> Value:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if isinstance(self._parameter, Int):
            return self._parameter.low + index * self._parameter.step
        return self._parameter.choices[index]

    def __iter__(self) -> Iterator[Value]:
        return (self[index] for index in range(len(self)))

    def index(self, value: Value) -> int | None:
        """Where the value is among the points; None when it is none of them."""
        if isinstance(self._parameter, Int):
            is_point = self._parameter.contains(value) and isinstance(value, int)
            return (value - self._parameter.low) // self._parameter.step if is_point and isinstance(value, int) else None
        return self._parameter.index(value)

    def least_used(self, used: Counter[int], draw: int) -> int:
        """One of the indices with the smallest count, chosen by ``draw``."""
        length = len(self)
        if length > 8 * (1 + len(used)):  # nearly all are unused: step on from a random one
            index = draw % length
            while used[index]:
                index = (index + 1) % length
            return index
        fewest = min(used[index] for index in range(length))
        least = [index for index in range(length) if used[index] == fewest]
        return least[draw % len(least)]
