"""Which rows are for training, validation and test: seeded, stratified, the same in every process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl.draws import seed_at

Rows = NDArray[np.int64]

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Splits:
    """Row numbers, ascending, disjoint and together all rows. ``test`` is empty where the test rows lie apart."""

    train: Rows
    validation: Rows
    test: Rows


def split_rows(count: int, groups: Rows | None, test: float | None, validation: float, seed: int) -> Splits:
    """Split ``count`` rows. ``test`` is a share of all rows (None: no test rows), ``validation`` a share of those that are left.

    With ``groups`` (a class number per row) each split takes its share of each class, rounded down or up; a class never leaves
    training altogether, so rare ones may be missing elsewhere; only where there are not two rows more than classes is all that given up.
    Every split has at least one row: ``count`` is at least 3 (2 without test).
    """
    rows = np.arange(count, dtype=np.int64)
    taken = rows[:0]
    if test is not None:
        taken, rows = _take(rows, groups, test, 2, seed_at(seed, "split", "test"))
    chosen, rows = _take(rows, groups, validation, 1, seed_at(seed, "split", "validation"))
    return Splits(rows, chosen, taken)


@dataclass(frozen=True, slots=True)
class Folds:
    """``rows`` are those that are not for ``test``, ascending; ``fold`` says of each of them in which fold it is for validation."""

    rows: Rows
    fold: Rows
    test: Rows

    def splits(self, fold: int) -> Splits:
        """One fold: what is not for its validation is for its training."""
        return Splits(self.rows[self.fold != fold], self.rows[self.fold == fold], self.test)


def fold_rows(count: int, groups: Rows | None, test: float | None, folds: int, seed: int) -> Folds:
    """Cut the rows that ``split_rows`` leaves for training and validation into ``folds`` parts; its test rows stay the same.

    The sizes of the parts differ by one row at most, and with ``groups`` so do the numbers of each class in them.
    """
    rows = np.arange(count, dtype=np.int64)
    taken = rows[:0]
    if test is not None:
        taken, rows = _take(rows, groups, test, 2, seed_at(seed, "split", "test"))
    places = np.random.default_rng(seed_at(seed, "split", "folds")).permutation(len(rows))
    if groups is not None:
        places = places[np.argsort(groups[rows[places]], kind="stable")]  # class after class
    fold = np.empty(len(rows), np.int64)
    fold[places] = np.arange(len(rows)) % folds  # dealt like cards
    return Folds(rows, fold, taken)


def _take(rows: Rows, groups: Rows | None, share: float, spare: int, seed: int) -> tuple[Rows, Rows]:
    """Some of the rows, and the others: at least ``spare`` of them, a row of every class counting as one."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    total = max(round(len(rows) * share), 1)
    taken = shuffled[: min(total, len(rows) - spare)]
    if groups is not None:
        counts = np.bincount(groups[rows])
        total = min(total, len(rows) - spare + 1 - int(np.count_nonzero(counts)))
        if total > 0:
            taken = shuffled[_ranks_within(groups[shuffled]) < _quotas(counts, total)[groups[shuffled]]]
    return np.sort(taken), np.setdiff1d(rows, taken)


def _quotas(counts: Rows, total: int) -> Rows:
    """How many of each class to take: the exact share rounded down, then up for the largest remainders; one row of a class stays."""
    exact = counts * total / counts.sum()
    room = np.maximum(counts - 1, 0)
    quotas: Rows = np.minimum(np.floor(exact).astype(np.int64), room)
    for group in np.argsort(-(exact - np.floor(exact)), kind="stable"):
        if quotas.sum() >= total:
            break
        if quotas[group] < room[group] and quotas[group] < exact[group]:
            quotas[group] += 1
    return quotas


def _ranks_within(groups: Rows) -> Rows:
    """For each entry, how many earlier entries are of the same class."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.searchsorted(ordered, ordered)
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - starts
    return ranks
