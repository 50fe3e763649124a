"""Bayesian search: a tree-structured Parzen estimator."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl.draws import seed_at
from automl.events import Configuration, Value
from automl.pareto import Losses
from automl.space import Categorical, Float, Int, Parameter, SearchSpace
from automl.strategies.following import Follower
from automl.strategies.nondomination import best_rows
from automl.strategies.parzen import Choices, Mixture, Range, Scale, propose
from automl.strategies.standing import BROKEN, COMPLETE, Standing, standing
from automl.strategies.uniform import Uniform
from automl.strategies.unvisited import Visited
from automl.study import Study
from automl.trials import Trial

_ATTEMPTS = 8  # of the model to find something new; then a uniform draw
_MOST_GOOD = 25
_MOST_GOOD_OF_SEVERAL = 100  # with several objectives: a front has many places
_MOST_BAD = 500  # trials that have ended; running ones come on top

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]  # numbers of trials, ascending
Columns = tuple[int, ...]  # parameters, by their place among those with more than one value


class Bayesian(Follower):
    """Source: Watanabe, "Tree-Structured Parzen Estimator: Understanding Its Algorithm Components", arXiv:2304.11127, as in Optuna's
    TPESampler (multivariate, grouped by conditions, running trials counted as bad).

    Until ``n_startup`` trials have ended with a value, trial n is the one that random search would make trial n. Then the best tenth of
    the trials in the space, at most 25, is good and all others are bad: ranked as ``standing`` says, without the lost ones, and with
    the waiting and running ones as bad, points to stay away from. Of ``n_candidates`` draws from the density of the good ones the one with
    the greatest ratio of the densities is suggested. Of more than 500 bad trials that have ended, 500 drawn by their position count:
    a suggestion costs the same from then on.

    With several objectives the good ones are the best tenth, at most 100, of the complete trials as ``best_rows`` says, by fronts and
    hypervolume (as in Optuna; Ozaki et al., GECCO 2020), and old ones weigh as much as new ones; all else is the same.

    Parameters that are active in the same trials are modelled together. The draws of trial n are seeded by the study's seed, n and the
    attempt: a draw that is forbidden or was visited is followed by further attempts, and then by uniform draws.
    """

    def __init__(self, space: SearchSpace, n_startup: int, n_candidates: int) -> None:
        self._space = space
        self._uniform = Uniform(space)
        axes = (_axis(parameter) for parameter in sorted(space.parameters, key=lambda parameter: parameter.name))  # Optuna's order
        self._axes = [axis for axis in axes if axis is not None]
        self._column = {axis.name: column for column, axis in enumerate(self._axes)}
        self._n_startup = n_startup
        self._n_candidates = n_candidates
        super().__init__()

    # -- what is known ------------------------------------------------------------------------------------------------

    def _reset(self, study: Study) -> None:
        self._study_taken = study
        self._points: Floats = np.full((256, len(self._axes)), np.nan)  # [trials, parameters]: coordinates, NaN where inactive
        self._pending: set[int] = set()
        self._ranked: list[tuple[Standing, int]] = []  # what has ended, best first, by standing and number
        self._drawn: list[tuple[int, int]] = []  # the same, by a draw of their position
        self._complete: list[tuple[int, Losses]] = []  # with several objectives: what they reached in all of them, by number
        self._told = 0  # trials that ended with a value
        self._first_with: dict[Columns, int] = {}  # active parameters: the lowest number of an ended trial that has them
        self._groups: list[Columns] = []
        self._split: _Split | None = None

    def _take(self, number: int, configuration: Configuration, in_space: bool) -> None:
        if number >= len(self._points):
            self._points = np.vstack((self._points, np.full_like(self._points, np.nan)))
        if in_space:
            self._pending.add(number)
            for name, value in configuration.items():
                if name in self._column:
                    self._points[number, self._column[name]] = self._axes[self._column[name]].coordinate(value)

    def _end(self, trial: Trial) -> None:
        if trial.number not in self._pending:
            return
        self._pending.remove(trial.number)
        stands = standing(trial, self._study_taken.objective)
        if stands is None:
            return
        bisect.insort(self._ranked, (stands, trial.number))
        bisect.insort(self._drawn, (seed_at(self._study_taken.seed, "bayesian", "counts", trial.number), trial.number))
        self._told += stands[0] != BROKEN
        if stands[0] == COMPLETE and len(self._study_taken.objectives) > 1 and self._study_taken.values(trial) is not None:
            bisect.insort(self._complete, (trial.number, self._study_taken.losses(trial.number)))
        self._split = None
        active = tuple(np.flatnonzero(~np.isnan(self._points[trial.number])).tolist())
        if trial.number < self._first_with.get(active, len(self._points)):
            self._first_with[active] = trial.number
            self._groups = _grouped(sorted(self._first_with, key=self._first_with.__getitem__))

    # -- the next one -------------------------------------------------------------------------------------------------

    def _next(self, study: Study, number: int, visited: Visited) -> Configuration | None:
        if self._told >= self._n_startup and self._axes:
            scales, fades = [axis.scale for axis in self._axes], len(study.objectives) == 1
            model = _Model(self._divided(), sorted(self._pending), self._points, scales, fades)
            for attempt in range(_ATTEMPTS):
                configuration = self._ask(model, seed_at(study.seed, "bayesian", number, attempt))
                if self._space.allows(configuration) and configuration not in visited:
                    return configuration
        return self._uniform.draw(number, visited)

    def _divided(self) -> _Split:
        """The good and bad ones among what has ended."""
        if self._split is None:
            good = self._good()
            bad = itertools.islice((number for _, number in self._drawn if number not in good), _MOST_BAD)
            self._split = _Split(np.array(sorted(good), dtype=np.int64), sorted(bad), {})
        return self._split

    def _good(self) -> set[int]:
        """The best tenth of what has ended."""
        n_good = math.ceil(0.1 * len(self._ranked))
        if len(self._study_taken.objectives) == 1:
            return {number for _, number in self._ranked[: min(n_good, _MOST_GOOD)]}
        n_good = min(n_good, _MOST_GOOD_OF_SEVERAL)
        rows = best_rows(np.array([losses for _, losses in self._complete]), n_good).tolist() if self._complete else []
        good = {self._complete[row][0] for row in rows}
        return good | set(itertools.islice((number for _, number in self._ranked if number not in good), n_good - len(good)))

    def _ask(self, model: _Model, seed: int) -> Configuration:
        """One draw of the model."""
        random = np.random.RandomState(seed % 2**32)
        drawn: dict[int, float] = {}
        for group in self._groups:
            drawn.update(zip(group, model.propose(group, random, self._n_candidates), strict=True))

        def choose(parameter: Parameter) -> Value:
            column = self._column.get(parameter.name)
            if column is None:
                return parameter.at(0.5)
            if column not in drawn:  # was never active in a trial that has ended
                (drawn[column],) = model.propose((column,), random, self._n_candidates)
            return self._axes[column].value(drawn[column])

        return self._space.configure(choose)


@dataclass(frozen=True, slots=True)
class _Split:
    """The good and bad trials that have ended, and the densities of the good ones that were needed so far."""

    good: Rows
    bad: list[int]
    densities: dict[Columns, Mixture]


class _Model:
    """The densities of good and bad trials, made when they are first needed."""

    def __init__(self, split: _Split, pending: list[int], points: Floats, scales: list[Scale], fades: bool) -> None:
        self._split = split
        self._bad: Rows = np.array(sorted(split.bad + pending), dtype=np.int64)
        self._points = points
        self._scales = scales
        self._good_fade = fades
        self._densities: dict[Columns, Mixture] = {}

    def propose(self, group: Columns, random: np.random.RandomState, candidates: int) -> list[float]:
        """The coordinates of the parameters of a group."""
        if group not in self._split.densities:
            self._split.densities[group] = self._density(self._split.good, group, self._good_fade)
        if group not in self._densities:
            self._densities[group] = self._density(self._bad, group)
        return propose(self._split.densities[group], self._densities[group], random, candidates)

    def _density(self, rows: Rows, group: Columns, fades: bool = True) -> Mixture:
        """Over the trials that have all parameters of the group."""
        points = self._points[rows][:, list(group)]
        return Mixture(points[~np.isnan(points).any(axis=1)], [self._scales[column] for column in group], fades=fades)


def _grouped(active: list[Columns]) -> list[Columns]:
    """The coarsest division of the parameters of which each of these sets is made up, in Optuna's order."""
    groups: list[set[int]] = []
    for each in active:
        rest = set(each)
        divided: list[set[int]] = []
        for group in groups:
            divided += [group & rest, group - rest]
            rest -= group
        groups = [group for group in (*divided, rest) if group]
    return [tuple(sorted(group)) for group in groups]


@dataclass(frozen=True, slots=True)
class _Axis:
    """A parameter as the estimator sees it. ``coordinate`` and ``value`` translate there and back."""

    name: str
    scale: Scale
    coordinate: Callable[[Value], float]
    value: Callable[[float], Value]


def _axis(parameter: Parameter) -> _Axis | None:
    """None for a parameter with one value."""
    if parameter.size == 1:
        return None
    name = parameter.name
    match parameter:
        case Float(low=low, high=high, log=log):
            scale = Range(low, high, log)
            return _Axis(name, scale, _number(log), lambda at: min(max(math.exp(at) if log else at, low), high))
        case Int(low=low, step=step, log=log, size=size) if step == 1 or not log:
            scale = Range(low, low + (int(size) - 1) * step, log, step)
            return _Axis(name, scale, _number(log), lambda at: round(math.exp(at) if log else at))
        case Int():  # steps on a log scale have shares of very different sizes
            return _Axis(name, Range(0.0, 1.0), parameter.unit, parameter.at)
        case Categorical(choices=choices):
            return _Axis(name, Choices(len(choices)), lambda value: _index(parameter, value), lambda at: choices[int(at)])


def _number(log: bool) -> Callable[[Value], float]:
    def coordinate(value: Value) -> float:
        assert isinstance(value, int | float)
        return math.log(value) if log else float(value)

    return coordinate


def _index(parameter: Categorical, value: Value) -> float:
    index = parameter.index(value)
    assert index is not None
    return float(index)
