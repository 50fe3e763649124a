"""Random search."""

from __future__ import annotations

from automl.events import Configuration
from automl.space import SearchSpace
from automl.strategies.unvisited import Unvisited, Visited, one_by_one
from automl.study import Study

_ATTEMPTS = 200


class Uniform:
    """Uniform draws by position: trial n takes the first of its draws that is allowed and was not visited.

    Where most draws fail (a space that is nearly used up, rules that leave little) it takes from what is left, so that a finite space is
    visited whole, each configuration once.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._unvisited = Unvisited(space)

    def draw(self, number: int, visited: Visited) -> Configuration | None:
        """The draw of trial ``number``; None when nothing is left."""
        for attempt in range(_ATTEMPTS):
            configuration = self._space.sample(visited.study.seed, "random", number, attempt)
            if self._space.allows(configuration) and configuration not in visited:
                return configuration
        return self._unvisited.first(number, visited)


class Random:
    """Source: Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13 (2012); here without repeats."""

    def __init__(self, space: SearchSpace) -> None:
        self._uniform = Uniform(space)

    def suggest(self, study: Study, count: int) -> list[Configuration]:
        return one_by_one(study, count, self._uniform.draw)
