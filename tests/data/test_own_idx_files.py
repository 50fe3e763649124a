"""Pictures in IDX files of one's own."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from automl.data import inspect, load, prepare
from automl.errors import DataError
from automl.spec import DataSpec


def written(file: Path, values: np.ndarray) -> None:
    content = bytes((0, 0, 8, values.ndim)) + b"".join(size.to_bytes(4, "big") for size in values.shape) + values.astype(np.uint8).tobytes()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


def pictures(count: int) -> np.ndarray:
    return np.arange(count)[:, None, None] * np.ones((1, 5, 4))


def test_pictures_labels_and_an_official_test_split(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    source.mkdir()
    written(source / "train-images-idx3-ubyte", pictures(30))
    written(source / "train-labels-idx1-ubyte.gz", np.arange(30) % 3)
    info = inspect(DataSpec(str(source)))
    assert (info.name, info.kind, info.input_shape, info.classes) == ("mine", "pictures", (1, 5, 4), ("0", "1", "2"))
    assert sum(info.sizes.values()) == 30
    written(source / "t10k-images-idx3-ubyte.gz", pictures(6))
    written(source / "t10k-labels-idx1-ubyte.gz", np.arange(6) % 3)
    assert prepare(DataSpec(str(source)), tmp_path / "out").sizes == {"train": 24, "validation": 6, "test": 6}
    _, arrays = load(tmp_path / "out")
    assert all(np.array_equal(x[:, 0, 0, 0] % 3, y) for x, y in arrays.values())


def test_a_part_of_the_pictures_beside_the_official_test_split(tmp_path: Path) -> None:
    for name, count in (("train", 60), ("t10k", 6)):
        written(tmp_path / f"{name}-images-idx3-ubyte", pictures(count))
        written(tmp_path / f"{name}-labels-idx1-ubyte", np.arange(count) % 3)
    info = inspect(DataSpec(str(tmp_path), rows=30))
    assert info.sizes == {"train": 24, "validation": 6, "test": 6}
    assert "Used: 30 of 60 rows, drawn at random." in info.notes
    sentence = f"{tmp_path.name}: rows must be at most its 60 rows, but is 61. Give fewer."
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        inspect(DataSpec(str(tmp_path), rows=61))


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    images = tmp_path / "train-images-idx3-ubyte"
    written(images, pictures(30))
    sentence = f"{images}: must have a file of labels beside it, but there is no train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz."
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        inspect(DataSpec(str(tmp_path)))
    written(tmp_path / "train-labels-idx1-ubyte", np.arange(29) % 3)
    with pytest.raises(DataError, match=r": must have as many pictures as there are labels, but has 30 and there are 29\.$"):
        inspect(DataSpec(str(tmp_path)))
    written(tmp_path / "more-images-idx3-ubyte", pictures(2))
    sentence = f"{tmp_path}: must hold one file of training pictures (train-images-idx3-ubyte), but holds more, train."
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        inspect(DataSpec(str(tmp_path)))
