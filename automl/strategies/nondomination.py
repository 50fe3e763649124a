"""Which of many trials are the best by several objectives: whole fronts first, and of the front that is cut those that spread.

Losses are arrays ``[trials, objectives]``: less is better. ``automl.pareto`` has the same ideas for a few plain values.
"""

from __future__ import annotations

import bisect
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from automl.pareto import Losses, crowding
from automl.strategies.standing import COMPLETE, Standing
from automl.study import Study
from automl.trials import Trial

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_NOTHING = 1e-12  # of a reference point in place of 0


def fronts(losses: Floats, count: int) -> Rows:
    """The rank of each row: 0 on the Pareto front, 1 on the front of what is left without that, and so on. Equal rows have equal ranks.

    Only as many fronts are told apart as it takes to hold ``count`` rows; what is behind them has the next rank. Source: Deb et al.,
    "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation 6 (2002).
    """
    different, row = np.unique(losses, axis=0, return_inverse=True)  # sorted: none is dominated by a later one
    row = row.reshape(-1)
    ranks = np.full(len(different), -1)
    left, rank = np.arange(len(different)), 0
    while len(left) and (ranks[row] >= 0).sum() < count:
        candidates = left
        while len(candidates):
            first = candidates[0]
            ranks[first] = rank
            candidates = candidates[(different[candidates] < different[first]).any(axis=1)]
        left, rank = left[ranks[left] < 0], rank + 1
    ranks[left] = rank
    return np.asarray(ranks[row])


def best_rows(losses: Floats, count: int) -> Rows:
    """The ``count`` best rows, ascending: whole fronts, and of the one that does not fit those that ``spread`` chooses.

    So does Optuna's TPE for several objectives. Source: Ozaki et al., "Multiobjective Tree-Structured Parzen Estimator for
    Computationally Expensive Optimization Problems", GECCO 2020.
    """
    if count >= len(losses):
        return np.arange(len(losses))
    ranks = fronts(losses, count)
    sizes = np.cumsum(np.bincount(ranks))
    whole = int(np.searchsorted(sizes, count, side="right"))  # so many fronts fit
    chosen = np.flatnonzero(ranks < whole)
    cut = np.flatnonzero(ranks == whole)
    return np.sort(np.concatenate((chosen, cut[spread(losses[cut], count - len(chosen))])))


def spread(losses: Floats, count: int) -> Rows:
    """So many rows of a front that leave no part of it out.

    Of two objectives: each next one adds the most to the hypervolume of those before it (a greedy choice is at most 1/e below the best;
    Guerreiro, Fonseca and Paquete, Evolutionary Computation 24, 2016). Of more, where that takes too long: those with the farthest
    neighbours. Equal rows come in only after all that differ.
    """
    _, first = np.unique(losses, axis=0, return_index=True)
    if len(first) <= count:
        again = np.setdiff1d(np.arange(len(losses)), first)
        return np.concatenate((first, again[: count - len(first)]))
    if losses.shape[1] != 2:
        lonely = np.array(crowding([tuple(point) for point in losses[first].tolist()]))
        return np.asarray(first[np.argsort(-lonely, kind="stable")[:count]])
    return np.asarray(first[_greedy(losses[first], count)])


def _greedy(points: Floats, count: int) -> Rows:
    """Points of a front are sorted by the first loss, so falling in the second: what one adds is a box up to the chosen ones beside it."""
    worst = points.max(axis=0)
    reference = np.maximum(1.1 * worst, 0.9 * worst)
    corner = np.tile(np.where(reference == 0, _NOTHING, reference), (len(points), 1))
    chosen: list[int] = []
    for _ in range(count):
        added = (corner - points).prod(axis=1)
        added[chosen] = -np.inf
        best = int(np.argmax(added))
        chosen.append(best)
        corner[:best, 0] = np.minimum(corner[:best, 0], points[best, 0])
        corner[best:, 1] = np.minimum(corner[best:, 1], points[best, 1])
    return np.array(chosen, dtype=np.int64)


class Survivors:
    """The best trials of a study with several objectives, by number: a function of which ones were added, not of their order.

    Complete ones by fronts, then the others as ``standing`` says; of the front that does not fit whole those with the farthest neighbours.
    """

    def __init__(self, study: Study, count: int) -> None:
        self._study = study
        self._count = count
        self._complete: list[tuple[int, Losses]] = []
        self._others: list[tuple[Standing, int]] = []
        self._ranked: list[tuple[int, int]] | None = None

    def add(self, trial: Trial, stands: Standing) -> None:
        """A trial has ended."""
        if stands[0] == COMPLETE and self._study.values(trial) is not None:
            bisect.insort(self._complete, (trial.number, self._study.losses(trial.number)))
        else:
            bisect.insort(self._others, (stands, trial.number))
        self._ranked = None

    def ranked(self) -> list[tuple[int, int]]:
        """So many (rank of the front, number), best first."""
        if self._ranked is None:
            best = self._best_complete()
            behind = best[-1][0] + 1 if best else 0
            others = islice(self._others, self._count - len(best))
            self._ranked = best + [(behind + place, number) for place, (_, number) in enumerate(others)]
        return self._ranked

    def _best_complete(self) -> list[tuple[int, int]]:
        if not self._complete:
            return []
        losses = np.array([each for _, each in self._complete])
        ranks = fronts(losses, self._count)
        found: list[tuple[int, int]] = []
        for rank in range(int(ranks.max()) + 1):
            rows = np.flatnonzero(ranks == rank).tolist()
            lonely = dict(zip(rows, crowding([self._complete[row][1] for row in rows]), strict=True))
            rows.sort(key=lambda row: -lonely[row])
            found += [(rank, self._complete[row][0]) for row in rows[: self._count - len(found)]]
            if len(found) == self._count:
                break
        return found
