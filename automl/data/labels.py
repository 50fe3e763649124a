"""Targets that come as an array beside the samples: class numbers or names, or values of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.errors import DataError

Array = NDArray[Any]


def labelled(where: str, y: Array, y_test: Array | None, names: Sequence[str] = ()) -> tuple[Array, tuple[str, ...], Array | None]:
    """Class numbers and the labels of the classes, or values and no labels; and those of the test samples in the same terms.

    ``names``: what the numbers 0, 1, ... are called. Raises ``DataError`` as for the target column of a table.
    """
    import pandas as pd

    from automl.data.targets import read_target, read_test_target

    y = flat(where, y)
    target = read_target(where, "y", pd.Series(y))
    if len(target.kept) < len(y):
        missing = int(np.setdiff1d(np.arange(len(y)), target.kept)[0])
        raise DataError(f"{where}: every sample must have a target, but sample {missing + 1} has none. Leave such samples out.")
    test = None
    if y_test is not None:
        kept, test, _ = read_test_target(where, target, pd.Series(flat(where, y_test)))
        if len(kept) < len(y_test):
            raise DataError(f"{where}: every test sample must have a target, but {len(y_test) - len(kept)} have none. Leave them out.")
    classes = target.classes
    if names and classes and len(names) > max(map(int, classes) if all(each.isdecimal() for each in classes) else [len(names)]):
        classes = tuple(str(names[int(each)]) for each in classes)
    return target.values, classes, test


def flat(where: str, y: Array) -> Array:
    """One target for each sample, ``[samples]``: also of one-hot rows."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.dtype.kind in "biuf" and y.shape[1] > 1 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        numbers: Array = y.argmax(axis=1)  # one-hot
        return numbers
    if y.ndim != 1:
        raise DataError(f"{where}: targets must be one for each sample, but have the shape {y.shape}. Give class numbers, names or values.")
    return y.astype(str) if y.dtype.kind in "SU" else y


def channels_first(x: Array) -> Array:
    """Pictures ``[n, channels, height, width]`` of such, of ``[n, height, width, channels]`` or of ``[n, height, width]``."""
    if x.ndim == 3:
        return x[:, None]
    if x.shape[-1] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        return np.moveaxis(x, -1, 1)
    return x
