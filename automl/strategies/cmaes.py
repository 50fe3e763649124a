"""Covariance matrix adaptation."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from automl.draws import seed_at, unit_at
from automl.events import Configuration, Value
from automl.space import Categorical, Float, Int, Parameter, SearchSpace
from automl.strategies.following import Follower
from automl.strategies.standing import Standing, standing
from automl.strategies.uniform import Uniform
from automl.strategies.unvisited import Visited
from automl.study import Study
from automl.trials import Trial

if TYPE_CHECKING:
    from cmaes import CMA

_ATTEMPTS = 16  # to find something new; then a uniform draw
_CONVERGED = 1e-3  # of the range: a generation that is no wider in any parameter teaches nothing more

Floats = NDArray[np.float64]


class CmaEs(Follower):
    """Source: Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772, in the implementation of the package ``cmaes``.

    Each parameter has a coordinate of the unit cube. The first mean is the baseline where it lies in the space, else the middle; the
    first standard deviation is ``sigma`` of the range. Every ``population`` trials that have ended, in the order in which they
    ended, are a generation, ranked as ``standing`` says: nothing waits for a trial that takes long. A generation that is no wider than a
    thousandth of the range in any parameter is the last of its search: the next one begins at a random mean.

    Of a configuration's point only what the configuration says is known. A value with a share of its coordinate (a whole number, a
    choice) stands for a point drawn from the share, which keeps the deviation from falling far below its width; an inactive parameter
    stands for a draw around the mean. Both are drawn by position, so that a replay gives the same.
    A draw that is forbidden or was visited is followed by wider ones, and then by uniform draws.
    """

    def __init__(self, space: SearchSpace, population: int | None, sigma: float) -> None:
        self._space = space
        self._uniform = Uniform(space)
        self._parameters = [parameter for parameter in space.parameters if parameter.size > 1]
        self._population = population if population is not None else 4 + math.floor(3 * math.log(max(1, len(self._parameters))))
        self._sigma = sigma
        super().__init__()

    def _reset(self, study: Study) -> None:
        self._study_taken = study
        self._search: CMA | None = None
        self._searches = 0
        self._generation: list[tuple[Standing, int]] = []

    def _take(self, number: int, configuration: Configuration, in_space: bool) -> None:
        pass  # what has not ended does not matter

    def _end(self, trial: Trial) -> None:
        stands = standing(trial, self._study_taken.objective) if trial.in_space else None
        if stands is None or not self._parameters:
            return
        self._generation.append((stands, trial.number))
        if len(self._generation) == self._population:
            search = self._begun()
            points = [self._point(number, search.mean) for _, number in sorted(self._generation)]
            search.tell([(point, float(rank)) for rank, point in enumerate(points)])
            self._generation = []
            if np.ptp(np.array(points), axis=0).max() < _CONVERGED:
                self._search = None

    def _begun(self) -> CMA:
        """The search of now."""
        if self._search is None:
            from cmaes import CMA

            bounds = np.tile([0.0, 1.0], (len(self._parameters), 1))
            self._search = CMA(self._first_mean(), self._sigma, bounds, population_size=self._population, seed=0)
            self._searches += 1
        return self._search

    def _first_mean(self) -> Floats:
        study, names = self._study_taken, [parameter.name for parameter in self._parameters]
        if self._searches > 0:
            return np.array([unit_at(study.seed, "cmaes", "mean", self._searches, name) for name in names])
        if study.baseline is None or not study.baseline.in_space:
            return np.full(len(names), 0.5)
        values = study.baseline.configuration
        return np.array([parameter.unit(values[parameter.name]) if parameter.name in values else 0.5 for parameter in self._parameters])

    def _point(self, number: int, mean: Floats) -> Floats:
        """The point of the unit cube that a trial's configuration stands for."""
        configuration = self._study_taken.trials[number].configuration
        draw = partial(unit_at, self._study_taken.seed, "cmaes", "point", number)
        point = np.array(mean)
        for column, parameter in enumerate(self._parameters):
            if parameter.name in configuration:
                low, high = share(parameter, configuration[parameter.name])
                point[column] = low + draw(parameter.name) * (high - low)
            else:
                point[column] += self._sigma * (2 * draw(parameter.name) - 1)
        return np.clip(point, 0.0, 1.0)

    def _next(self, study: Study, number: int, visited: Visited) -> Configuration | None:
        if self._parameters:
            search = self._begun()
            for attempt in range(_ATTEMPTS):
                search.reseed_rng(seed_at(study.seed, "cmaes", number, attempt) % 2**32)
                wider = 1.25 ** max(0, attempt - 3)
                configuration = self._configuration(search.mean + wider * (search.ask() - search.mean))
                if self._space.allows(configuration) and configuration not in visited:
                    return configuration
        return self._uniform.draw(number, visited)

    def _configuration(self, point: Floats) -> Configuration:
        units = dict(zip((parameter.name for parameter in self._parameters), np.clip(point, 0.0, 1.0).tolist(), strict=True))
        return self._space.configure(lambda parameter: parameter.at(units.get(parameter.name, 0.5)))


def share(parameter: Parameter, value: Value) -> tuple[float, float]:
    """The part of [0, 1] in which ``parameter.at`` gives this value."""
    match parameter:
        case Categorical(choices=choices):
            index = parameter.index(value)
            assert index is not None
            return index / len(choices), (index + 1) / len(choices)
        case Float():
            return parameter.unit(value), parameter.unit(value)
        case Int(low=low, step=step, log=log):
            assert isinstance(value, int)
            index, count = (value - low) // step, int(parameter.size)
            if not log:
                return index / count, (index + 1) / count
            first, last = math.log(low - 0.5), math.log(low + (count - 1) * step + 0.5)
            edges = (max(value - step / 2, low - 0.5), min(value + step / 2, low + (count - 1) * step + 0.5))
            return (math.log(edges[0]) - first) / (last - first), (math.log(edges[1]) - first) / (last - first)
