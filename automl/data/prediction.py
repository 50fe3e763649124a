"""From raw rows to a network's input, and from its outputs to labels and values, with what a folder of prepared data has stored."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from automl.data import DataInfo
from automl.data.preparation import read_info, read_info_file
from automl.data.values import is_number
from automl.errors import DataError

READERS = {"forecast": "forecasts", "pictures": "pictures", "sequences": "sequences", "table": "tablerows", "texts": "texts"}
"""What stands under ``reader`` in ``info.json``, and the module of this package whose ``encode`` knows such rows."""


def encode(folder: Path, rows: Any) -> NDArray[Any]:
    """New raw rows as a network's input ``[rows, *input_shape]``, ready to be used (``input_scale`` is applied already).

    ``rows`` is a pandas DataFrame with the columns of the training file (more do no harm, the target may be missing), an array of raw
    pictures (``[rows, channels, height, width]``, without the one channel, or flat), a list of texts or of sequences, or the series that a
    forecast goes on from. ``folder`` needs ``info.json`` and ``preprocessing.skops`` only. Cells may be missing or infinite, and categories
    new, as in training rows. Raises ``DataError`` for rows of another form, and for a cell that is no number (date, truth) where the
    training rows had some, with its column, row and text.
    """
    info, content = read_info(folder), read_info_file(folder)
    if "reader" in content:
        reader = importlib.import_module(f"automl.data.{READERS[content['reader']]}")  # none but ours, whatever a file says
        encoded: NDArray[Any] = reader.encode(folder, info, content, rows)
        return encoded
    x = np.asarray(rows)
    shape = info.input_shape
    if x.shape[1:] in ((math.prod(shape),), shape[1:] if shape[0] == 1 else shape):
        x = x.reshape(-1, *shape)
    if x.shape[1:] != shape:
        wanted = ", ".join(str(size) for size in shape)
        raise DataError(f"{info.name}: rows must have the shape (rows, {wanted}), but have {x.shape}. Reshape them.")
    return np.asarray(x, np.int32) if info.kind == "tokens" else np.asarray(x, np.float32) * np.float32(info.input_scale)


def decode(info: DataInfo, outputs: ArrayLike) -> NDArray[Any]:
    """A network's raw outputs as labels, or as values in the target's own unit for regression: ``[rows]``.

    ``outputs`` is ``[rows]`` or ``[rows, 1]`` for binary (one logit: positive means the second class) and regression, else
    ``[rows, classes]``. Labels are numbers or booleans where all of them are, as pandas reads such a column, else texts.
    """
    raw = np.asarray(outputs)
    if info.task == "regression":
        values = raw.reshape(-1) if info.outputs == 1 else raw
        return values.astype(np.float64) * info.target_scale + info.target_mean
    numbers = raw.argmax(axis=1) if info.task == "multiclass" else (raw.reshape(-1) > 0).astype(np.int64)
    labels: NDArray[Any] = _typed(info.classes)[numbers]
    return labels


def in_own_units(folder: Path, values: NDArray[Any]) -> NDArray[Any]:
    """What ``decode`` gave, or, where one model forecasts several series, each in its own unit."""
    content = read_info_file(folder)
    if content.get("reader") != "forecast":
        return values
    from automl.data.forecasts import rescaled

    return rescaled(content, values)


def _typed(classes: tuple[str, ...]) -> NDArray[Any]:
    if all(label.lower() in ("true", "false") for label in classes):
        return np.array([label.lower() == "true" for label in classes])
    if not all(is_number(label) for label in classes):
        return np.array(classes)
    values = np.array([float(label) for label in classes])
    return values.astype(np.int64) if (values == np.floor(values)).all() else values
