"""NumPy's ``.npz`` files: samples and targets under the names that people give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.data.arrays import Arrays
from automl.data.builtin import Frame
from automl.data.labels import channels_first, labelled
from automl.data.npzarchive import described, read_arrays
from automl.data.sequencearrays import sequences_in
from automl.data.sequencedata import Sequences
from automl.errors import DataError
from automl.folders import home_expanded
from automl.spec import DataSpec

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]

_X, _Y = ("x", "data", "images", "features", "samples", "arr_0"), ("y", "labels", "label", "target", "targets", "arr_1")
_LENGTHS = ("lengths", "length")
_PAIRS = ("{}", "{}_train", "train_{}")
_TESTS = ("{}_test", "test_{}")
_KNOWN = frozenset(form.format(word) for form in (*_PAIRS, *_TESTS) for word in (*_X, *_Y, *_LENGTHS))


def open_npz(spec: DataSpec) -> Arrays | Frame | Sequences:
    """The samples by their shape: ``[n, features]`` are a table, ``[n, height, width]`` of bytes or squares and ``[n, ..., ..., ...]``
    pictures, other ``[n, ..., ...]`` and all that have ``lengths`` sequences.

    ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test`` (the official test split), also as ``data`` and ``labels`` or the
    like. Raises ``DataError`` for anything else; Python objects are never read.
    """
    where = spec.source
    content = _read(where)
    x, y = _pair(where, content)
    test = _named(content, _TESTS, _X), _named(content, _TESTS, _Y)
    if isinstance(spec.test, str):
        test = _pair(spec.test, _read(spec.test))
    x_test, y_test = test if test[0] is not None and test[1] is not None else (None, None)
    used = ("test",) if isinstance(spec.test, str) else ()
    name = home_expanded(where).name.partition(".")[0]
    for part, samples, targets in (("", x, y), ("test ", x_test, y_test)):
        if samples is not None and targets is not None and len(samples) != len(targets):
            raise DataError(
                f"{where}: there must be a target for each {part}sample, but there are {len(samples)} samples and {len(targets)} targets."
            )
    lengths = _named(content, _PAIRS, _LENGTHS)
    if x.ndim <= 3 and (lengths is not None or (x.ndim == 3 and x.dtype != np.uint8 and x.shape[1] != x.shape[2])):
        found = sequences_in(where, name, x, y, lengths)
        if x_test is None or y_test is None:
            return found
        ends = _named(content if not used else _read(str(spec.test)), _TESTS if not used else _PAIRS, _LENGTHS)
        test_where = str(spec.test) if used else where
        its_test = sequences_in(test_where, name, x_test, y_test, ends, bool(found.plan["steps_first"]))
        _check_channels(test_where, found, its_test)
        return replace(found, test=its_test)
    if x.ndim == 2:
        return Frame(name, _frame(x, y), "y", None if x_test is None or y_test is None else _frame(x_test, y_test))
    if x.ndim == 4 or (x.ndim == 3 and x.dtype == np.uint8):
        values, classes, test_values = labelled(where, y, y_test)
        official = None if x_test is None or test_values is None else (_plain(where, channels_first(x_test)), test_values)
        pixels = _plain(where, channels_first(x))
        scale = 1 / 255 if pixels.dtype == np.uint8 else 1.0
        return Arrays(name, pixels, values, classes, scale, official, kind="pictures", used=used)
    raise DataError(
        f"{where}: samples must be features (n, features), sequences (n, channels, steps) or pictures (n, height, width[, channels]), "
        f"but have the shape {x.shape}. Reshape them."
    )


def _check_channels(where: str, training: Sequences, test: Sequences) -> None:
    if len(training.channels) != len(test.channels):
        raise DataError(
            f"{where}: test sequences must have the {len(training.channels)} channels of those for training, but have {len(test.channels)}."
        )


def _read(where: str) -> dict[str, Array]:
    return read_arrays(where, _KNOWN)


def _pair(where: str, content: dict[str, Array]) -> tuple[Array, Array]:
    x, y = _named(content, _PAIRS, _X), _named(content, _PAIRS, _Y)
    if x is None or y is None or x.ndim < 2:
        raise DataError(
            f"{where}: must have samples called x and targets called y (or x_train, y_train, x_test, y_test), but has {described(where)}. "
            "Save them with numpy.savez(file, x=..., y=...)."
        )
    return x, y


def _named(content: dict[str, Array], forms: Sequence[str], words: Sequence[str]) -> Array | None:
    return next((content[form.format(word)] for form in forms for word in words if form.format(word) in content), None)


def _plain(where: str, x: Array) -> Array:
    """Bytes, or 32-bit floats that are finite."""
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where}: samples must be numbers, but are of type {x.dtype}. Convert them.")
    values = np.ascontiguousarray(x, np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{where}: samples must be finite numbers, but {int((~np.isfinite(values)).sum())} values are not. Replace them.")
    return values


def _frame(x: Array, y: Array) -> pd.DataFrame:
    """Features are prepared like the columns of a table."""
    import pandas as pd

    frame = pd.DataFrame(x, columns=[f"x_{number}" for number in range(1, x.shape[1] + 1)])
    return frame.assign(y=y if y.ndim == 1 else y.reshape(len(y), -1)[:, 0])
