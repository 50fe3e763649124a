"""Parzen estimators: densities over several parameters, made from observed points.

Source: Watanabe, "Tree-Structured Parzen Estimator: Understanding Its Algorithm Components and Their Roles for Better Empirical
Performance", arXiv:2304.11127, with the choices of Optuna 5: multivariate kernels, a bandwidth per kernel by the distance of its
neighbours, magic clipping, a prior as one more kernel, and weights that fade with age. Draws are taken from the random state in Optuna's
order, so that the same random state gives the same draws; a test holds the two against each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]

_RECENT = 25  # observations of full weight
_NARROW = 1e-5  # bandwidths: of a bin so narrow the middle's density is the exact mass to ten digits, the difference of two is not


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, in steps where ``step`` is not 0. A coordinate is the number, or its logarithm with ``log``."""

    low: float
    high: float
    log: bool = False
    step: float = 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and greatest coordinate, with half a step on either side."""
        low, high = self.low - self.step / 2, self.high + self.step / 2
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def nearest(self, coordinates: Floats) -> Floats:
        """The coordinates of the nearest numbers of the range."""
        numbers = np.exp(coordinates) if self.log else coordinates
        if self.step:
            numbers = self.low + np.round((numbers - self.low) / self.step) * self.step
        numbers = np.clip(numbers, self.low, self.high)
        return np.asarray(np.log(numbers) if self.log else numbers)

    def bins(self, coordinates: Floats) -> tuple[Floats, Floats]:
        """Where the share of each number begins and ends."""
        if not self.log:
            return coordinates - self.step / 2, coordinates + self.step / 2
        numbers = np.exp(coordinates)
        return np.log(numbers - self.step / 2), np.log(numbers + self.step / 2)


@dataclass(frozen=True, slots=True)
class Choices:
    """So many values without an order. A coordinate is the index."""

    count: int


Scale = Range | Choices


class Mixture:
    """A density over the product of ``scales``: a kernel around each of the ``points`` ([n, scales], oldest first), and a prior.

    With n + 1 kernels and weights w_k: p(x) = sum_k w_k prod_i kernel_ik(x_i). Kernels over ranges are normal and cut off at the bounds,
    integrated over a step where there are steps. ``fades``: old points weigh less; else all weigh the same.
    """

    def __init__(self, points: Floats, scales: Sequence[Scale], *, fades: bool = True) -> None:
        self._scales = scales
        self._weights = _weights(len(points)) if fades else np.full(len(points) + 1, 1 / (len(points) + 1))
        self._choices = [(i, _choice_kernels(points[:, i], scale.count)) for i, scale in enumerate(scales) if isinstance(scale, Choices)]
        self._numbers = [i for i, scale in enumerate(scales) if isinstance(scale, Range)]
        ranges = [scale for scale in scales if isinstance(scale, Range)]
        bounds = np.array([scale.bounds for scale in ranges]).reshape(-1, 2)
        self._low, self._high = bounds[:, 0], bounds[:, 1]
        self._mu, self._sigma = _number_kernels(points[:, self._numbers], self._low, self._high)  # [kernels, ranges]
        self._below = ndtr((self._low - self._mu) / self._sigma)
        self._mass = ndtr((self._high - self._mu) / self._sigma) - self._below
        self._stepped = [(i, scale) for i, scale in enumerate(ranges) if scale.step]
        self._smooth = [i for i, scale in enumerate(ranges) if not scale.step]
        # the part of a kernel's logarithm that does not depend on x: log w_k - sum_i log mass_ik - sum_i log(sigma_ik sqrt(2 pi))
        self._constant = np.log(self._weights) - np.log(self._mass).sum(axis=1)
        smooth = self._sigma[:, self._smooth]
        self._constant -= np.log(smooth).sum(axis=1) + len(self._smooth) * math.log(math.sqrt(2 * math.pi))
        self._smooth_kernels = (self._mu[:, self._smooth], 1 / smooth)
        self._step_kernels = [_distinct(self._mu[:, i], self._sigma[:, i]) for i, _ in self._stepped]

    def sample(self, random: np.random.RandomState, count: int) -> Floats:
        """Draws of coordinates, [count, scales]."""
        drawn = np.empty((count, len(self._scales)))
        kernels = random.choice(len(self._weights), p=self._weights, size=count)
        for column, probabilities in self._choices:
            up_to = np.cumsum(probabilities[kernels], axis=1)
            up_to[:, -1] = 1.0
            drawn[:, column] = (up_to < random.rand(count)[:, None]).sum(axis=1)
        if self._numbers:
            quantiles = random.uniform(size=(len(self._numbers), count)).T
            at = self._between(quantiles, kernels)
            for i, column in enumerate(self._numbers):
                scale = self._scales[column]
                assert isinstance(scale, Range)
                drawn[:, column] = scale.nearest(at[:, i])
        return drawn

    def log_density(self, points: Floats) -> Floats:
        """log p(x) of each point, [points]."""
        total = np.repeat(self._constant[None, :], len(points), axis=0)  # [points, kernels]
        for column, probabilities in self._choices:
            total += np.log(probabilities).T[points[:, column].astype(np.int64)]
        numbers = points[:, self._numbers]
        if self._smooth:
            mu, inverse = self._smooth_kernels
            for i, column in enumerate(self._smooth):  # -((x - mu) / sigma)^2 / 2
                total -= 0.5 * np.square((numbers[:, column, None] - mu[:, i]) * inverse[:, i])
        for (column, scale), (mu, sigma, kernel) in zip(self._stepped, self._step_kernels, strict=True):
            values, value = np.unique(numbers[:, column], return_inverse=True)
            total += _log_bin_mass(scale, values, mu, sigma)[value[:, None], kernel[None, :]]
        greatest = total.max(axis=1)
        return np.asarray(np.log(np.exp(total - greatest[:, None]).sum(axis=1)) + greatest)

    def _between(self, quantiles: Floats, kernels: NDArray[np.int64]) -> Floats:
        """The inverse of the cut off normal distribution function, from the end that is nearer: no digits are lost in the tails."""
        below, mass = self._below[kernels], self._mass[kernels]
        mu, sigma = self._mu[kernels], self._sigma[kernels]
        above = ndtr((mu - self._high) / sigma)
        up, down = below + quantiles * mass, above + (1 - quantiles) * mass
        return np.asarray(mu + sigma * np.where(up < 0.5, ndtri(up), -ndtri(down)))


def propose(good: Mixture, bad: Mixture, random: np.random.RandomState, candidates: int) -> list[float]:
    """The coordinates that maximise good(x) / bad(x) among draws from ``good``."""
    drawn = good.sample(random, candidates)
    best = int(np.argmax(good.log_density(drawn) - bad.log_density(drawn)))
    found: list[float] = drawn[best].tolist()
    return found


def _weights(count: int) -> Floats:
    """1 for the last 25 observations and a ramp from 1 / n for older ones; the prior, last, has 1. They sum to 1."""
    ramp = np.linspace(1.0 / count, 1.0, num=count - _RECENT) if count >= _RECENT else np.empty(0)
    weights = np.concatenate((ramp, np.ones(min(count, _RECENT) + 1)))
    return np.asarray(weights / weights.sum())


def _choice_kernels(observed: Floats, count: int) -> Floats:
    """Probabilities, [kernels, choices]: with n + 1 kernels (1 + 1 / (n + 1)) parts for the observed choice, 1 / (n + 1) for others."""
    kernels = len(observed) + 1
    parts = np.full((kernels, count), 1.0 / kernels)
    parts[np.arange(len(observed)), observed.astype(np.int64)] += 1
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))


def _number_kernels(mu: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Means and bandwidths, [kernels, ranges]: the distance to the farther neighbour, within limits that depend on the number."""
    count = len(mu)
    span = high - low
    order = np.argsort(mu, axis=0, kind="stable")
    padded = np.vstack((low, np.take_along_axis(mu, order, axis=0), high))
    gaps = np.diff(padded, axis=0)
    bandwidths = np.maximum(gaps[:-1], gaps[1:])
    if count >= 2:  # the bounds are no neighbours
        bandwidths[0], bandwidths[-1] = gaps[1], gaps[-2]
    sigma = np.empty_like(mu)
    np.put_along_axis(sigma, order, np.clip(bandwidths, span / min(100.0, count + 2.0), span), axis=0)
    return np.vstack((mu, (low + high) / 2)), np.vstack((sigma, span))


def _distinct(mu: Floats, sigma: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """The different kernels, and which of them each one is."""
    order = np.lexsort((sigma, mu))
    sorted_mu, sorted_sigma = mu[order], sigma[order]
    is_new = np.append(True, (np.diff(sorted_mu) != 0) | (np.diff(sorted_sigma) != 0))
    which = np.empty(len(mu), dtype=np.int64)
    which[order] = np.cumsum(is_new) - 1
    return sorted_mu[is_new], sorted_sigma[is_new], which


def _log_bin_mass(scale: Range, values: Floats, mu: Floats, sigma: Floats) -> Floats:
    """The logarithm of each kernel's mass in the bin of each value, [values, kernels]. Minus infinity where it is below 1e-308: the
    prior's never is."""
    left, right = ((edge[:, None] - mu) / sigma for edge in scale.bins(values))
    is_right = left + right > 0  # the far tail is mirrored to the left, where differences are exact
    low, high = np.where(is_right, -right, left), np.where(is_right, -left, right)
    mass: Any = ndtr(high) - ndtr(low)
    width = high - low
    if width.min() < _NARROW:
        density = np.exp(-0.5 * np.square((low + high) / 2)) / math.sqrt(2 * math.pi)
        mass = np.where(width < _NARROW, density * width, mass)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(mass))
