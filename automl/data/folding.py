"""Data in folds: whether they can be cut, and where the rows of each fold lie among the prepared data.

Tables are prepared for each fold by its own training rows: fold 0 lies in the folder of the prepared data itself, as data without folds
do, the others in ``fold_1``, ``fold_2``, ... Pictures need no preparation: they lie there once, and ``fold.npy`` says which are whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.errors import DataError

FOLD_OF_ROW = "fold.npy"  # of each row of x_pool.npy the fold in which it is for validation
POOL = "pool"


def folder_of(folder: Path, fold: int) -> Path:
    """Where a table lies that was prepared for this fold."""
    return folder / f"fold_{fold}" if fold else folder


def check_folds(where: str, folds: int, rows: int, groups: NDArray[np.int64] | None, classes: Sequence[str]) -> None:
    """Raises DataError where these rows (``groups``: their class numbers) are too few for so many folds."""
    if rows < folds:
        raise DataError(f"{where}: must have a row for each of {folds} folds beside the test rows, but has {rows}. Give fewer folds.")
    if groups is None:
        return
    counts = np.bincount(groups, minlength=len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] < folds:
        most = f"Give at most {counts[rarest]} folds" if counts[rarest] > 1 else "Give a share in place of folds (validation: 0.2)"
        raise DataError(
            f"{where}: each class must have a row for each of {folds} folds beside the test rows, but class {classes[rarest]!r} has "
            f"{counts[rarest]}. {most}, or leave the rows of such classes out."
        )


def folds_note(sizes: Sequence[int]) -> str:
    """What a person should know, from the sizes of the validation splits."""
    least, most = min(sizes), max(sizes)
    rows = f"{least}" if least == most else f"{least} or {most}"
    return f"{len(sizes)} folds: each trial is trained {len(sizes)} times, and measured on {rows} other rows each time."


def rows_of(folder: Path, fold: int) -> dict[str, NDArray[Any]]:
    """Which rows of the pool are for training and validation in this fold; nothing where every split has files of its own."""
    if not (folder / FOLD_OF_ROW).exists():
        return {}
    validates = np.load(folder / FOLD_OF_ROW, allow_pickle=False) == fold
    return {"train": np.flatnonzero(~validates), "validation": np.flatnonzero(validates)}
