"""Quasi-random search."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.draws import seed_at
from automl.errors import UsageError
from automl.events import Configuration
from automl.space import SearchSpace
from automl.strategies.uniform import Uniform
from automl.strategies.unvisited import Visited, one_by_one
from automl.study import Study

MOST_PARAMETERS = 21_201  # of which Joe and Kuo gave direction numbers
_POINTS = 200  # of the sequence for each trial


def check(space: SearchSpace) -> None:
    """Raises UsageError for more parameters than the sequence has coordinates."""
    count = sum(parameter.size > 1 for parameter in space.parameters)
    if count > MOST_PARAMETERS:
        raise UsageError(
            f"--strategy sobol: at most {MOST_PARAMETERS} parameters may have more than one value, but {count} have. "
            f"Take --strategy random."
        )


class Sobol:
    """Source: Sobol', "On the distribution of points in a cube and the approximate evaluation of integrals", 1967; direction numbers of
    Joe and Kuo, SIAM J. Sci. Comput. 30 (2008); scrambled as by Matousek, J. Complexity 14 (1998), in scipy's implementation.

    Each parameter has a coordinate of the unit cube; those of inactive parameters are ignored. The next configuration is the first one of
    the sequence that is allowed and was not visited, so that what is visited spreads as the sequence does, however many points
    rules and repetitions cost. Trial n looks at 200 (n + 1) points of the sequence at most; past those it draws as random search does.
    """

    def __init__(self, space: SearchSpace) -> None:
        check(space)
        self._space = space
        self._uniform = Uniform(space)
        self._names = [parameter.name for parameter in space.parameters if parameter.size > 1]
        self._study: Study | None = None

    def suggest(self, study: Study, count: int) -> list[Configuration]:
        if study is not self._study:
            self._study, self._settled = study, 0  # so many points of the sequence will never be suggested (again)
            self._sequence = _Sequence(len(self._names), seed_at(study.seed, "sobol"))
        while self._settled < _POINTS * (len(study.trials) + 1) and self._names and not self._is_new(study, self._settled):
            self._settled += 1
        self._position = self._settled
        return one_by_one(study, count, self._next)

    def _is_new(self, study: Study, position: int) -> bool:
        configuration = self._at(position)
        return self._space.allows(configuration) and not study.knows(configuration)

    def _next(self, number: int, visited: Visited) -> Configuration | None:
        while self._names and self._position < _POINTS * (number + 1):
            configuration = self._at(self._position)
            if self._space.allows(configuration) and configuration not in visited:
                return configuration
            self._position += 1
        return self._uniform.draw(number, visited)

    def _at(self, position: int) -> Configuration:
        units = dict(zip(self._names, self._sequence.at(position), strict=True))
        return self._space.configure(lambda parameter: parameter.at(units.get(parameter.name, 0.5)))


class _Sequence:
    """The points of the unit cube, made in blocks of doubling size as they are needed."""

    def __init__(self, dimensions: int, seed: int) -> None:
        self._engine: Any = None
        self._dimensions = dimensions
        self._seed = seed
        self._points: NDArray[np.float64] = np.empty((0, dimensions))

    def at(self, position: int) -> list[float]:
        while position >= len(self._points):
            if self._engine is None:
                from scipy.stats import qmc

                self._engine = qmc.Sobol(self._dimensions, scramble=True, rng=np.random.default_rng(self._seed))
            self._points = np.vstack((self._points, self._engine.random(max(64, len(self._points)))))
        point: list[float] = self._points[position].tolist()
        return point
