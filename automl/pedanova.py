"""PED-ANOVA: how differently the best trials are spread over a parameter than all of them.

Source: Watanabe, Bansal and Hutter, "PED-ANOVA", arXiv:2304.10255, theorem 4.2 and algorithm 1, for parameters that not every trial has as
in "Conditional PED-ANOVA", arXiv:2601.20800. The numbers are those of Optuna's ``PedAnovaImportanceEvaluator`` with its defaults, which
a test holds; this takes milliseconds, needs no scikit-learn, and looks at the same trials under many rankings at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl.space import Categorical, Int, Parameter
from automl.trials import Trial

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_STEPS = 50  # points on which densities are compared, at most
_PRIOR_WEIGHT = 1.0
_TINY = 1e-12
_LEAST_ACTIVE = 2  # trials that have the parameter
_LEAST_WIDTH = 0.5 / 1.64  # of a kernel, in steps: 90 % of it lie on its own point


@dataclass(frozen=True, slots=True)
class Column:
    """One parameter of some trials: on which point of its grid each of them lies, -1 where it does not have the parameter."""

    points: Ints
    size: int
    is_categorical: bool


def column(parameter: Parameter, trials: Sequence[Trial]) -> Column:
    """The parameter of these trials, which lie in the space."""
    name, size = parameter.name, _size(parameter)
    points = np.full(len(trials), -1, dtype=np.int64)
    having = [index for index, trial in enumerate(trials) if name in trial.configuration]
    if isinstance(parameter, Categorical):
        points[having] = [parameter.index(trials[index].configuration[name]) or 0 for index in having]
        return Column(points, size, True)
    values = np.array([trials[index].configuration[name] for index in having], dtype=np.float64)
    low, high = float(parameter.low), float(parameter.high)
    if isinstance(parameter, Int) and not parameter.log:
        high = low + (int(parameter.size) - 1) * parameter.step
    if parameter.log:
        low, high, values = math.log(low), math.log(high), np.log(values)
    if size > 1:
        points[having] = np.clip(np.ceil((values - low) / ((high - low) / (size - 1)) - 0.5), 0, size - 1)
    else:
        points[having] = 0
    return Column(points, size, False)


def _size(parameter: Parameter) -> int:
    """How many points the parameter's grid has."""
    if parameter.size == 1:
        return 1
    if isinstance(parameter, Categorical):
        return len(parameter.choices)
    if not isinstance(parameter, Int):
        return _STEPS
    if parameter.log:
        return min(math.ceil(math.log(parameter.high - parameter.low + 1) / math.log(2)) + 1, _STEPS)
    return min(int(parameter.size), _STEPS)


def importances(columns: Sequence[Column], rankings: Sequence[Bools]) -> Floats:
    """The importance of each parameter under each ranking: ``[rankings, parameters]``. A ranking says which trials are among the best."""
    return np.array([[_importance(each, is_best) for each in columns] for is_best in rankings], dtype=np.float64)


def _importance(parameter: Column, is_best: Bools) -> float:
    """Equation (16) of the conditional paper: (gamma'/gamma)^2 * alpha^2 / beta * the divergence among the trials that have it."""
    active = parameter.points >= 0
    best_active = active & is_best
    if parameter.size < 2 or active.sum() < _LEAST_ACTIVE or not best_active.any():
        return 0.0
    alpha, beta = best_active.sum() / is_best.sum(), active.sum() / len(active)
    top, everywhere = (_density(parameter, parameter.points[each]) for each in (best_active, active))
    divergence = float(everywhere @ (top / everywhere - 1) ** 2)  # Pearson's
    return float(is_best.mean() ** 2 * alpha**2 / beta * divergence)


def _density(parameter: Column, points: Ints) -> Floats:
    """The density of these trials over the parameter's grid: a mixture of a kernel for each of its points that is taken and a wide one."""
    counts = np.bincount(points, minlength=parameter.size)
    taken = np.flatnonzero(counts)
    weights = np.append(counts[taken], _PRIOR_WEIGHT) / (counts.sum() + _PRIOR_WEIGHT)
    kernels = _choices(taken, parameter.size) if parameter.is_categorical else _normals(taken, counts[taken], parameter.size)
    density: Floats = weights @ kernels + _TINY
    return density


def _choices(taken: Ints, size: int) -> Floats:
    """A kernel for each choice that is taken, and one for all alike: ``[kernels, size]``."""
    kernels = np.full((len(taken) + 1, size), _PRIOR_WEIGHT / (len(taken) + 1))
    kernels[np.arange(len(taken)), taken] += 1.0
    kernels /= kernels.sum(axis=1, keepdims=True)
    return kernels


def _normals(taken: Ints, counts: Ints, size: int) -> Floats:
    """Normal distributions cut off at the ends of the grid, with Scott's width, and a wide one in the middle: ``[kernels, size]``."""
    from scipy.special import ndtr

    middles = np.append(taken, (size - 1) / 2)[:, None]
    widths = np.append(np.full(len(taken), max(_scott(taken, counts), _LEAST_WIDTH)), size)[:, None]
    edges = np.arange(size + 1) - 0.5
    below: Floats = ndtr((edges - middles) / widths)
    masses: Floats = np.diff(below, axis=1) / (below[:, -1:] - below[:, :1])
    return masses


def _scott(taken: Ints, counts: Ints) -> float:
    """Scott's rule for the width of a kernel, with the quartiles of the weighted points."""
    total, cumulative = int(counts.sum()), np.cumsum(counts)
    mean = float(taken @ counts) / total
    deviation = math.sqrt(float((taken - mean) ** 2 @ counts) / max(1, total - 1))
    first = int(np.searchsorted(cumulative, total // 4, side="left"))
    third = min(len(taken) - 1, int(np.searchsorted(cumulative, total * 3 // 4, side="right")))
    return float(1.059 * min((taken[third] - taken[first]) / 1.34, deviation) * total**-0.2)
