"""From raw rows to a network's input, and from its outputs to labels and values, with what a folder of prepared data has stored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from automl.data import DataInfo
from automl.data.preparation import PREPROCESSING, read_info, read_info_file
from automl.data.values import is_number
from automl.errors import DataError, suggestion

if TYPE_CHECKING:
    import pandas as pd

    from automl.data.columns import Column


def encode(folder: Path, rows: Any) -> NDArray[np.float32]:
    """New raw rows as a network's input ``[rows, *input_shape]``, ready to be used (``input_scale`` is applied already).

    ``rows`` is a pandas DataFrame with the columns of the training file (more do no harm, the target may be missing), or an array of
    raw pictures: ``[rows, channels, height, width]``, without the one channel, or flat. ``folder`` needs ``info.json`` and
    ``preprocessing.skops`` only. Cells may be missing or infinite, and categories new, as in training rows. Raises ``DataError`` for rows
    of another form, and for a cell that is no number (date, truth) where the training rows had some, with its column, row and text.
    """
    info, content = read_info(folder), read_info_file(folder)
    if "columns" in content:
        return _encode_table(folder, rows, content["columns"], info.input_shape)
    x = np.asarray(rows)
    shape = info.input_shape
    if x.shape[1:] in ((math.prod(shape),), shape[1:] if shape[0] == 1 else shape):
        x = x.reshape(-1, *shape)
    if x.shape[1:] != shape:
        wanted = ", ".join(str(size) for size in shape)
        raise DataError(f"{info.name}: rows must have the shape (rows, {wanted}), but have {x.shape}. Reshape them.")
    return np.asarray(x, np.float32) * np.float32(info.input_scale)


def _encode_table(folder: Path, rows: Any, columns: list[dict[str, Any]], inputs: tuple[int, ...]) -> NDArray[np.float32]:
    import pandas as pd

    from automl.data.columns import Column, features
    from automl.data.preprocessing import load, transform
    from automl.data.tables import listed

    if not isinstance(rows, pd.DataFrame):
        raise DataError(
            f"{folder}: rows must be a pandas DataFrame, but are {type(rows).__name__}. Give them as a table with named columns."
        )
    plan = [Column(**{**column, "words": tuple(column.get("words", ()))}) for column in columns]
    names = [str(name) for name in rows.columns]
    for column in plan:
        if column.name not in names:
            raise DataError(f"{folder}: column {column.name!r} is not there. Columns: {listed(names)}.{suggestion(column.name, names)}")
    twins = [column.name for column in plan if names.count(column.name) > 1]
    if twins:
        raise DataError(f"{folder}: column names must differ, but {twins[0]!r} is there more than once. Leave one of them out.")
    if rows.empty:
        return np.empty((0, *inputs), np.float32)
    named = rows.set_axis(names, axis="columns")
    for column in plan:
        _refuse_misfits(folder, named[column.name], column)
    return transform(load(_stored(folder / PREPROCESSING), str(folder / PREPROCESSING)), features(named, plan))


def _refuse_misfits(folder: Path, cells: pd.Series[Any], column: Column) -> None:
    """What training has not seen, such as a word in a column of numbers, is a mistake in the rows and not a missing value."""
    from automl.data.columns import misfits
    from automl.data.values import texts_of

    wrong = np.flatnonzero(misfits(cells, column))
    if not len(wrong):
        return
    texts = texts_of(cells)
    for row in wrong:
        if texts[row] not in column.words:
            kind = {"number": "numbers", "boolean": "true or false", "date": "dates"}[column.kind]
            raise DataError(
                f"{folder}: column {column.name!r} must hold {kind} as in training, but row {row + 1} has {texts[row]!r}. "
                "Correct it, or leave it empty to have it taken for missing."
            )


def _stored(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: must be stored preprocessing, but cannot be read ({error.strerror}). Prepare the data again.") from error


def decode(info: DataInfo, outputs: ArrayLike) -> NDArray[Any]:
    """A network's raw outputs as labels, or as values in the target's own unit for regression: ``[rows]``.

    ``outputs`` is ``[rows]`` or ``[rows, 1]`` for binary (one logit: positive means the second class) and regression, else
    ``[rows, classes]``. Labels are numbers or booleans where all of them are, as pandas reads such a column, else texts.
    """
    raw = np.asarray(outputs)
    if info.task == "regression":
        return raw.reshape(-1).astype(np.float64) * info.target_scale + info.target_mean
    numbers = raw.argmax(axis=1) if info.task == "multiclass" else (raw.reshape(-1) > 0).astype(np.int64)
    labels: NDArray[Any] = _typed(info.classes)[numbers]
    return labels


def _typed(classes: tuple[str, ...]) -> NDArray[Any]:
    if all(label.lower() in ("true", "false") for label in classes):
        return np.array([label.lower() == "true" for label in classes])
    if not all(is_number(label) for label in classes):
        return np.array(classes)
    values = np.array([float(label) for label in classes])
    return values.astype(np.int64) if (values == np.floor(values)).all() else values
