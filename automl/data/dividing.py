"""Rows with a target, divided for training, validation and test; and what is fitted to the targets of the training rows."""

from __future__ import annotations

import numpy as np

from automl.data.folding import check_folds
from automl.data.splits import TEST_SHARE, VALIDATION_SHARE, Rows, Splits, check_most, fold_rows, most_note, split_rows
from automl.data.targets import Target
from automl.errors import DataError, listed
from automl.spec import DataSpec


def divided(spec: DataSpec, where: str, target: Target, official: bool) -> list[Splits]:
    """The one way in which the rows are split, or those of the folds."""
    count, least = len(target.values), 2 if official else 3
    if count < least:
        raise DataError(f"{where}: must have at least {least} rows with a target to be split, but has {count}. Add rows.")
    groups = None if target.is_regression else target.values.astype(np.int64)
    test = None if official else float(spec.test or TEST_SHARE)
    check_most(where, spec.rows, count)
    if spec.folds is None:
        return [split_rows(count, groups, test, spec.validation or VALIDATION_SHARE, spec.split_seed, spec.rows)]
    folds = fold_rows(count, groups, test, spec.folds, spec.split_seed, spec.rows)
    check_folds(where, spec.folds, len(folds.rows), None if groups is None else groups[folds.rows], target.classes)
    return [folds.splits(fold) for fold in range(spec.folds)]


def target_scale(target: Target, train: Rows) -> tuple[float, float]:
    """Mean and standard deviation of the training targets of a regression; 0 and 1 for classes and for targets that do not vary."""
    if not target.is_regression:
        return 0.0, 1.0
    values = target.values[train]
    mean = float(values.mean())
    widest = float(np.abs(values - mean).max())
    scale = widest * float(((values - mean) / widest).std()) if widest else 0.0  # so that the squares of tiny numbers do not vanish
    return (mean, scale) if scale > 0 else (mean, 1.0)


def divided_notes(target: Target, splits: Splits, rows: int) -> list[str]:
    """What a person should know of it: rows of the ``rows`` that have no target, classes too rare for some part."""
    notes = []
    if len(target.kept) < rows:
        notes.append(f"Left out: {rows - len(target.kept)} of {rows} rows, because their target {target.name!r} is missing.")
    notes += most_note(len(splits.train) + len(splits.validation) + len(splits.test), len(target.kept))
    if not target.is_regression:
        parts = {"validation": splits.validation, "test": splits.test}
        for part, taken in parts.items():
            absent = np.setdiff1d(np.arange(len(target.classes)), target.values[taken])
            if len(taken) and len(absent):
                names = listed([target.classes[number] for number in absent], 10)
                notes.append(f"Too rare to be in the {part} part: {names}.")
    return notes
