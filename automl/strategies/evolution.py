"""Regularised evolution."""

from __future__ import annotations

import random
from collections import deque

from automl.draws import seed_at
from automl.events import Configuration
from automl.space import SearchSpace
from automl.strategies.following import Follower
from automl.strategies.mutation import mutated
from automl.strategies.nondomination import Survivors
from automl.strategies.standing import BROKEN, Standing, standing
from automl.strategies.uniform import Uniform
from automl.strategies.unvisited import Visited
from automl.study import Study
from automl.trials import Trial

_ATTEMPTS = 32  # to find something new by mutation; then a uniform draw
_STEP = 0.15  # standard deviation of a mutation, of a parameter's range


class Evolution(Follower):
    """Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", arXiv:1802.01548, Algorithm 1.

    The population are the last ``population`` trials that have ended, by when they ended: the oldest one leaves, not the worst. Until
    so many have ended with a value, trial n is the one that random search would make trial n. Then ``tournament`` of the population are
    drawn, and the best of them (as ``standing`` says) is the parent; the child differs in one parameter. A child that is forbidden or was
    visited is followed by further attempts, after every eight with one more parameter changed, and then by uniform draws. Running trials
    do not matter, so that any number of them can be waited for.

    With several objectives the population are the best ``population`` of all that have ended, as in NSGA-II: by the front that they lie
    on, on the last of these by how far their neighbours are; pruned and broken ones behind, as ``standing`` says. Of the drawn ones the one
    on the best front is the parent, of equals the first drawn.
    """

    def __init__(self, space: SearchSpace, population: int, tournament: int) -> None:
        self._space = space
        self._uniform = Uniform(space)
        self._size = population
        self._tournament = min(tournament, population)
        super().__init__()

    def _reset(self, study: Study) -> None:
        self._study_taken = study
        self._population: deque[tuple[Standing, int]] = deque(maxlen=self._size)
        self._survivors = Survivors(study, self._size) if len(study.objectives) > 1 else None
        self._told = 0  # trials that ended with a value

    def _take(self, number: int, configuration: Configuration, in_space: bool) -> None:
        pass  # what has not ended does not matter

    def _end(self, trial: Trial) -> None:
        stands = standing(trial, self._study_taken.objective) if trial.in_space else None
        if stands is not None:
            self._population.append((stands, trial.number))
            if self._survivors is not None:
                self._survivors.add(trial, stands)
            self._told += stands[0] != BROKEN

    def _next(self, study: Study, number: int, visited: Visited) -> Configuration | None:
        if self._told >= self._size:
            for attempt in range(_ATTEMPTS):
                source = random.Random(seed_at(study.seed, "evolution", number, attempt))
                parent = self._parent(source)
                child = mutated(self._space, study.trials[parent].configuration, source, _STEP, 1 + attempt // 8)
                if self._space.allows(child) and child not in visited:
                    return child
        return self._uniform.draw(number, visited)

    def _parent(self, source: random.Random) -> int:
        """The best of some of the population."""
        if self._survivors is None:
            return min(source.sample(self._population, self._tournament))[1]
        drawn = source.sample(self._survivors.ranked(), self._tournament)
        return min(drawn, key=lambda member: member[0])[1]
