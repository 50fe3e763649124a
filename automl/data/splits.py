"""Which rows are for training, validation and test: seeded, stratified, the same in every process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl.draws import seed_at
from automl.errors import DataError

Rows = NDArray[np.int64]

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Splits:
    """Row numbers, ascending and disjoint. ``test`` is empty where the test rows lie apart."""

    train: Rows
    validation: Rows
    test: Rows


def split_rows(count: int, groups: Rows | None, test: float | None, validation: float, seed: int, most: int | None = None) -> Splits:
    """Split ``count`` rows. ``test`` is a share of all rows (None: no test rows), ``validation`` a share of those that are left, of
    which no more than ``most`` are used.

    With ``groups`` (a class number per row) each split takes its share of each class, rounded down or up; a class never leaves
    training altogether, so rare ones may be missing elsewhere; only where there are not two rows more than classes is all that given up.
    Every split has at least one row: ``count`` is at least 3 (2 without test).
    """
    taken, rows = _held(count, groups, test, seed, most)
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


def fold_rows(count: int, groups: Rows | None, test: float | None, folds: int, seed: int, most: int | None = None) -> Folds:
    """Cut the rows that ``split_rows`` leaves for training and validation into ``folds`` parts; its test rows stay the same.

    The sizes of the parts differ by one row at most, and with ``groups`` so do the numbers of each class in them.
    """
    taken, rows = _held(count, groups, test, seed, most)
    places = np.random.default_rng(seed_at(seed, "split", "folds")).permutation(len(rows))
    if groups is not None:
        places = places[np.argsort(groups[rows[places]], kind="stable")]  # class after class
    fold = np.empty(len(rows), np.int64)
    fold[places] = np.arange(len(rows)) % folds  # dealt like cards
    return Folds(rows, fold, taken)


def check_most(where: str, most: int | None, count: int) -> None:
    """Raises ``DataError`` where more rows are to be used than there are, or too few to be split."""
    if most is not None and most > count:
        raise DataError(f"{where}: rows must be at most its {count} rows, but is {most}. Give fewer.")
    if most is not None and most < 2:
        raise DataError(f"{where}: rows must be at least 2, for training and validation, but is {most}. Give more.")


def most_note(used: int, count: int) -> list[str]:
    """What a person should know of rows that are left out since fewer are wanted."""
    return [f"Used: {used:,} of {count:,} rows, drawn at random."] if used < count else []


def some_rows(rows: Rows, groups: Rows | None, most: int | None, seed: int) -> Rows:
    """``most`` of these rows, drawn at random, of each class its share; a class never leaves altogether."""
    if most is None or most >= len(rows):
        return rows
    return _take(rows, groups, 1 - most / len(rows), 2, seed_at(seed, "split", "rows"))[1]


def _held(count: int, groups: Rows | None, test: float | None, seed: int, most: int | None) -> tuple[Rows, Rows]:
    """The test rows, and those that are left for training and validation."""
    rows = np.arange(count, dtype=np.int64)
    taken = rows[:0]
    if test is not None:
        taken, rows = _take(rows, groups, test, 2, seed_at(seed, "split", "test"))
    return taken, some_rows(rows, groups, most, seed)


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
