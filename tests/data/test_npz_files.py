"""Files of NumPy arrays: what they are by their shapes and names, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl.data import inspect, load, prepare
from automl.errors import DataError
from automl.spec import DataSpec

Y = np.arange(40) % 2


def saved(folder: Path, **arrays: Any) -> DataSpec:
    np.savez(folder / "some.npz", **arrays)
    return DataSpec(str(folder / "some.npz"))


@pytest.mark.parametrize(
    ("shape", "expected"), [((40, 6, 5), (1, 6, 5)), ((40, 6, 5, 3), (3, 6, 5)), ((40, 3, 6, 5), (3, 6, 5)), ((40, 6, 5, 1), (1, 6, 5))]
)
def test_bytes_are_pictures(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    info = prepare(saved(tmp_path, x=pixels, y=Y), tmp_path / "out")
    assert (info.kind, info.input_shape, info.task, info.classes, info.input_scale) == ("pictures", expected, "binary", ("0", "1"), 1 / 255)
    _, arrays = load(tmp_path / "out")
    assert sorted(x.sum() for x, _ in arrays.values() for x in x) == sorted(each.sum() for each in pixels)


def test_a_keras_file_has_an_official_test_split(tmp_path: Path) -> None:
    pixels = np.zeros((40, 6, 5), np.uint8)
    info = inspect(saved(tmp_path, x_train=pixels, y_train=Y, x_test=pixels[:7], y_test=Y[:7]))
    assert info.sizes == {"train": 32, "validation": 8, "test": 7}


def test_rows_of_features_are_a_table(tmp_path: Path) -> None:
    """They are prepared as a CSV file with these columns would be."""
    x = np.random.default_rng(0).normal(5, 3, (40, 4))
    info = inspect(saved(tmp_path, x=x, y=x[:, 0] * 2))
    assert (info.kind, info.task, info.input_shape) == ("features", "regression", (4,))
    info = inspect(saved(tmp_path, x_train=x, y_train=Y, x_test=x[:9], y_test=Y[:9]))
    assert info.sizes == {"train": 32, "validation": 8, "test": 9}


def test_targets_may_be_names_or_one_hot(tmp_path: Path) -> None:
    pixels = np.zeros((40, 6, 5), np.uint8)
    assert inspect(saved(tmp_path, images=pixels, labels=np.array(["b", "a"])[Y])).classes == ("a", "b")
    assert inspect(saved(tmp_path, images=pixels, labels=np.eye(2)[Y])).classes == ("0", "1")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"first": Y},
            "must have samples called x and targets called y (or x_train, y_train, x_test, y_test), but has first (40,). "
            "Save them with numpy.savez(file, x=..., y=...).",
        ),
        ({"x": np.zeros((4, 2)), "y": Y}, "there must be a target for each sample, but there are 4 samples and 40 targets."),
        (
            {"x": np.array([{}, {}], object), "y": Y},
            "must be an npz file of arrays, but cannot be read (it holds Python objects). Save plain arrays with numpy.savez.",
        ),
        (
            {"x": np.zeros((40, 2, 2, 2, 2)), "y": Y},
            "samples must be features (n, features), sequences (n, channels, steps) or pictures (n, height, width[, channels]), "
            "but have the shape (40, 2, 2, 2, 2). Reshape them.",
        ),
        (
            {"x": np.zeros((40, 2, 2), np.uint8), "y": np.zeros(40, int)},
            "target 'y' must have at least two different values, but has one, '0'. Choose another target.",
        ),
        ({"x": np.full((40, 2, 2, 3), np.nan), "y": Y}, "samples must be finite numbers, but 480 values are not. Replace them."),
        ({"x": np.zeros((40, 2, 2, 3)), "y": np.eye(40)[:, :3]}, "targets must be one for each sample, but have the shape (40, 3). "),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    spec = saved(tmp_path, **arrays)
    with pytest.raises(DataError, match=f"^{re.escape(f'{spec.source}: {sentence}')}"):
        inspect(spec)


def test_another_file_is_no_npz_file(tmp_path: Path) -> None:
    (tmp_path / "some.npz").write_bytes(b"PK but no archive")
    with pytest.raises(DataError, match="must be an npz file of arrays, but cannot be read"):
        inspect(DataSpec(str(tmp_path / "some.npz")))
