"""Pictures in IDX files of one's own, named like those of MNIST."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from automl.data.arrays import Arrays
from automl.data.idx import read_idx
from automl.errors import DataError
from automl.folders import home_expanded
from automl.spec import DataSpec

_IMAGES, _LABELS = "-images-idx3-ubyte", "-labels-idx1-ubyte"
_TESTS = ("t10k", "test")


def has_idx(folder: Path) -> bool:
    """Whether a folder holds pictures in IDX files."""
    return next(_images(folder), None) is not None


def open_idx(spec: DataSpec) -> Arrays:
    """The pictures of ``train-images-idx3-ubyte`` with the labels beside it, and those of ``t10k-...`` or ``test-...`` as test split; each
    may be gzipped. Raises ``DataError`` where a file is not there, or holds another number of samples than the one beside it."""
    from automl.data.labels import labelled

    folder = home_expanded(spec.source)
    found = {file.name.partition(_IMAGES)[0]: file for file in _images(folder)}
    tests = [name for name in found if name in _TESTS]
    others = [name for name in found if name not in _TESTS]
    if len(others) != 1 or len(tests) > 1:
        raise DataError(f"{spec.source}: must hold one file of training pictures (train{_IMAGES}), but holds {', '.join(sorted(found))}.")
    x, y = _pair(found[others[0]])
    x_test, y_test = _pair(found[tests[0]]) if tests else (None, None)
    values, classes, test_values = labelled(spec.source, y, y_test)
    test = None if x_test is None or test_values is None else (x_test[:, None], test_values)
    return Arrays(folder.resolve().name, x[:, None], values, classes, 1 / 255, test, kind="pictures")


def _images(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.iterdir()) if file.name.endswith((_IMAGES, f"{_IMAGES}.gz")))


def _pair(images: Path) -> tuple[np.ndarray, np.ndarray]:
    stem = images.name.partition(_IMAGES)[0]
    labels = next((file for end in ("", ".gz") if (file := images.with_name(f"{stem}{_LABELS}{end}")).is_file()), None)
    if labels is None:
        raise DataError(f"{images}: must have a file of labels beside it, but there is no {stem}{_LABELS} or {stem}{_LABELS}.gz.")
    x, y = read_idx(images, 3), read_idx(labels, 1)
    if len(x) != len(y):
        raise DataError(f"{images}: must have as many pictures as there are labels, but has {len(x)} and there are {len(y)}.")
    return x, y
