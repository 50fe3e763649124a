"""Bayesian search with a Gaussian process."""

from __future__ import annotations

import bisect
import itertools
import math
import random
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from automl.draws import seed_at, unit_at
from automl.errors import UsageError
from automl.events import Configuration
from automl.space import Categorical, SearchSpace
from automl.strategies.following import Follower
from automl.strategies.mutation import mutated
from automl.strategies.standing import BROKEN, COMPLETE, Standing, standing
from automl.strategies.uniform import Uniform
from automl.strategies.unvisited import Visited
from automl.study import Study
from automl.trials import Trial

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

MOST_PARAMETERS = 20
_MOST_BEST, _MOST_OTHERS = 50, 150  # trials that the model is made of
_DRAWS = 200  # of the space, for each suggestion
_NEAR = 40  # changes of each of the best three
_REFINED = 40  # changes of the most promising one, at each of these steps:
_LIE = 0.5  # of what the model expects where a trial runs; the middle of all ranks is 0
_STEPS = (0.1, 0.03, 0.01)

Floats = NDArray[np.float64]


def check(space: SearchSpace) -> None:
    """Raises UsageError for spaces that a Gaussian process does no good in."""
    searched = [parameter for parameter in space.parameters if parameter.size > 1]
    if len(searched) > MOST_PARAMETERS:
        raise UsageError(
            f"--strategy gp: at most {MOST_PARAMETERS} parameters may have more than one value, but {len(searched)} have. "
            f"Take --strategy bayesian."
        )
    conditional = sum(bool(parameter.when) for parameter in searched)
    if conditional > len(searched) / 2:
        raise UsageError(
            f"--strategy gp: at most half of the parameters may have conditions, but {conditional} of {len(searched)} have. "
            f"Take --strategy bayesian."
        )


class GaussianProcess(Follower):
    """Source: Snoek, Larochelle and Adams, "Practical Bayesian Optimization of Machine Learning Algorithms", arXiv:1206.2944, with
    scikit-learn's Gaussian process: a Matern 5/2 kernel with a length for each coordinate, and noise.

    Numbers have a coordinate on their own scale in [0, 1], a categorical parameter one for each choice; inactive parameters lie in the
    middle. What is modelled is the rank of each trial, as ``standing`` says, as a quantile of the normal distribution (Salinas, Shen and
    Perrone, arXiv:1909.13595): value is too far out, and pruned and broken trials have their place. Running trials count as though
    they had ended half-way between what the model expects and the middle of all ranks, so that others keep away from them. The greatest
    expected improvement is looked for among uniform draws and changes of the best configurations, all of them
    allowed and new, and then among ever smaller changes of the most promising one.

    With several objectives each suggestion has weights of its own, drawn by its number: what is modelled then is the rank of the weighted
    ranks (Knowles, "ParEGO", IEEE Transactions on Evolutionary Computation 10, 2006: the augmented Tchebycheff function, here of each
    objective's ranks instead of its values, so that no unit matters). The kernel is that of equal weights.

    Until ``n_startup`` trials have ended with a value, trial n is the one that random search would make trial n. The kernel is fitted to
    all that have ended up to 16, then each time that there are a seventh more. Of more than 200 trials the 50 best and 150 others,
    drawn by their position, count.
    """

    def __init__(self, space: SearchSpace, n_startup: int) -> None:
        check(space)
        self._space = space
        self._uniform = Uniform(space)
        self._features = _Features(space)
        self._n_startup = n_startup
        super().__init__()

    # -- what is known ------------------------------------------------------------------------------------------------

    def _reset(self, study: Study) -> None:
        self._study_taken = study
        self._rows: dict[int, Floats] = {}  # of the trials in the space: their features
        self._pending: set[int] = set()
        self._ended_order: list[tuple[Standing, int]] = []
        self._told = 0  # trials that ended with a value
        self._kernel: tuple[int, object] | None = None  # and the number of trials that it was fitted to
        self._fitted: _Fitted | None = None
        self._fitted_for: int | None = None  # for the weights of which suggestion, with several objectives

    def _take(self, number: int, configuration: Configuration, in_space: bool) -> None:
        if in_space:
            self._rows[number] = self._features.of(configuration)
            self._pending.add(number)

    def _end(self, trial: Trial) -> None:
        if trial.number not in self._rows:
            return
        self._pending.remove(trial.number)
        stands = standing(trial, self._study_taken.objective)
        if stands is None:
            return
        self._ended_order.append((stands, trial.number))
        self._told += stands[0] != BROKEN
        self._fitted = None

    # -- the next one -------------------------------------------------------------------------------------------------

    def _next(self, study: Study, number: int, visited: Visited) -> Configuration | None:
        if self._told >= self._n_startup and self._features.count:
            found = self._most_promising(study, number, visited)
            if found is not None:
                return found
        return self._uniform.draw(number, visited)

    def _most_promising(self, study: Study, number: int, visited: Visited) -> Configuration | None:
        source = random.Random(seed_at(study.seed, "gp", number))
        model = self._fit(study, number if len(study.objectives) > 1 else None)
        improvement = model.improvement([self._rows[each] for each in sorted(self._pending)])
        best = [study.trials[each].configuration for each in model.best[:3]]
        candidates = [self._space.configure(lambda parameter: parameter.at(source.random())) for _ in range(_DRAWS)]
        candidates += [self._near(each, source, _STEPS[index % 3]) for each in best for index in range(_NEAR)]
        found: Configuration | None = None
        greatest = -math.inf
        for step in (None, *_STEPS):
            if step is not None:
                if found is None:
                    return None
                candidates = [self._near(found, source, step) for _ in range(_REFINED)]
            candidates = [each for each in candidates if self._space.allows(each) and each not in visited]
            if candidates:
                values = improvement(np.array([self._features.of(each) for each in candidates]))
                index = int(np.argmax(values))
                if values[index] > greatest:
                    found, greatest = candidates[index], float(values[index])
        return found

    def _near(self, configuration: Configuration, source: random.Random, step: float) -> Configuration:
        return mutated(self._space, configuration, source, step, source.randint(1, 3))

    def _fit(self, study: Study, number: int | None) -> _Fitted:
        """The model of what has ended; with several objectives for the weights of suggestion ``number``."""
        if self._fitted is None or self._fitted_for != number:
            fitted_to = _last_fit(len(self._ended_order))
            if self._kernel is None or self._kernel[0] != fitted_to:
                ended = self._ended_order[:fitted_to]
                kernel = self._regress(study, ended if number is None else weighted(study, ended, None), None).model.kernel_
                self._kernel = (fitted_to, kernel)
            ended = self._ended_order if number is None else weighted(study, self._ended_order, number)
            self._fitted, self._fitted_for = self._regress(study, ended, self._kernel[1]), number
        return self._fitted

    def _regress(self, study: Study, ended: Sequence[tuple[Standing, int]], kernel: object | None) -> _Fitted:
        ranked = sorted(ended)
        best, others = ranked[:_MOST_BEST], ranked[_MOST_BEST:]
        if len(others) > _MOST_OTHERS:
            others = sorted(others, key=lambda each: seed_at(study.seed, "gp", "counts", each[1]))[:_MOST_OTHERS]
        quantiles = _normal_quantiles(ranked)
        numbers = [number for _, number in (*best, *others)]
        points, targets = ([each[number] for number in numbers] for each in (self._rows, quantiles))
        return _Fitted(np.array(points), np.array(targets), numbers, kernel)


def weighted(study: Study, ended: Sequence[tuple[Standing, int]], suggestion: int | None) -> list[tuple[Standing, int]]:
    """The same trials, the complete ones standing by all objectives: max_i w_i r_i + 0.05 sum_i w_i r_i of their ranks r in [0, 1].

    The weights are uniform over all that sum to 1, drawn for this suggestion; without one they are equal.
    """
    complete = [number for stands, number in ended if stands[0] == COMPLETE and study.values(study.trials[number]) is not None]
    if not complete:
        return list(ended)
    losses = np.array([study.losses(number) for number in complete])
    ranks = np.array([[np.searchsorted(np.sort(column), column, side=side) for side in ("left", "right")] for column in losses.T])
    shares = ranks.mean(axis=1).T / len(complete)  # [trials, objectives]; equals share the middle of their ranks
    weights = np.full(losses.shape[1], 1.0)
    if suggestion is not None:
        weights = -np.log([unit_at(study.seed, "gp", "weights", suggestion, column) or 1e-12 for column in range(losses.shape[1])])
    parts = shares * weights / weights.sum()
    scalars = dict(zip(complete, (parts.max(axis=1) + 0.05 * parts.sum(axis=1)).tolist(), strict=True))
    return [((COMPLETE, scalars[number], 0.0) if number in scalars else stands, number) for stands, number in ended]


class _Features:
    """Configurations as points: a coordinate in [0, 1] for a number, one for each choice of a categorical parameter."""

    def __init__(self, space: SearchSpace) -> None:
        self._parameters = [parameter for parameter in space.parameters if parameter.size > 1]
        widths = [len(parameter.choices) if isinstance(parameter, Categorical) else 1 for parameter in self._parameters]
        self._columns = list(itertools.accumulate(widths, initial=0))
        self.count = self._columns[-1]

    def of(self, configuration: Configuration) -> Floats:
        point = np.zeros(self.count)
        for column, parameter in zip(self._columns, self._parameters, strict=False):
            is_active = parameter.name in configuration
            if not isinstance(parameter, Categorical):
                point[column] = parameter.unit(configuration[parameter.name]) if is_active else 0.5
            elif is_active:
                index = parameter.index(configuration[parameter.name])
                assert index is not None
                point[column + index] = math.sqrt(0.5)  # any two choices are 1 apart
        return point


class _Fitted:
    """A Gaussian process through ``targets`` (smaller is better) at ``points``. Without a kernel one is fitted."""

    def __init__(self, points: Floats, targets: Floats, numbers: Sequence[int], kernel: object | None) -> None:
        self.best = numbers  # best first
        self.model = _regressor(points.shape[1], kernel)
        self._points, self._targets = points, targets
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of lengths at their limits: of parameters that do not matter
            self.model.fit(points, targets)
        self._least = float(self.model.predict(points).min())

    def improvement(self, pending: Sequence[Floats]) -> Callable[[Floats], Floats]:
        """The logarithm of the expected improvement of points, log E[max(0, least - f(x))], while trials run at the pending ones."""
        model = self.model
        if pending:
            points = np.array(pending)
            expected = model.predict(points)
            lies = np.maximum(expected, _LIE * expected)
            model = _regressor(points.shape[1], model.kernel_)
            model.fit(np.vstack((self._points, points)), np.append(self._targets, lies))

        def logarithm(points: Floats) -> Floats:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of variances that rounding makes negative: they are set to 0
                mean, deviation = model.predict(points, return_std=True)
            noise = model.kernel_.k2.noise_level  # which scikit-learn counts in: it would draw all to the best point
            deviation = np.sqrt(np.maximum(deviation**2 - noise, 1e-12))
            return np.asarray(np.log(deviation) + _log_improvement((self._least - mean) / deviation))

        return logarithm


def _log_improvement(z: Floats) -> Floats:
    """log(z Phi(z) + phi(z)); far to the left that is about phi(z) / z^2 (1 - 3 / z^2)."""
    from scipy.special import ndtr

    log_density = -0.5 * z**2 - math.log(math.sqrt(2 * math.pi))
    near = np.log(np.maximum(z * ndtr(z) + np.exp(log_density), 1e-300))
    left = np.minimum(z, -2.0)
    far = log_density - 2 * np.log(-left) + np.log1p(-3 / left**2)
    return np.asarray(np.where(z > -25, near, far))


def _regressor(dimensions: int, kernel: object | None) -> GaussianProcessRegressor:
    """A process with this kernel; without one, with a kernel that is to be fitted."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    if kernel is not None:
        return GaussianProcessRegressor(kernel, optimizer=None)
    lengths = Matern(np.full(dimensions, 0.5), (0.05, 20.0), nu=2.5)
    return GaussianProcessRegressor(ConstantKernel(1.0, (0.1, 10.0)) * lengths + WhiteKernel(1e-2, (1e-4, 1.0)))


def _normal_quantiles(ranked: Sequence[tuple[Standing, int]]) -> dict[int, float]:
    """The quantile of the normal distribution for the rank of each trial, by its number; equals have the middle of their ranks."""
    from scipy.special import ndtri

    standings = [stands for stands, _ in ranked]
    middles = {stands: (bisect.bisect_left(standings, stands) + bisect.bisect_right(standings, stands)) / 2 for stands in standings}
    return {number: float(ndtri(middles[stands] / len(ranked))) for stands, number in ranked}


def _last_fit(ended: int) -> int:
    """How many trials the kernel is fitted to when so many have ended: all up to 16, then 18, 20, 22, ... in steps of a seventh."""
    fitted = min(ended, 16)
    while (following := fitted + fitted // 7) <= ended and fitted >= 16:
        fitted = following
    return fitted
