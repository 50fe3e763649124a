"""Data sets that a person's own code makes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from automl.data import inspect, load, prepare, prepare_apart
from automl.errors import DataError
from automl.spec import DataSpec

NAMES = count()

CODE = """
import numpy as np
import torch
from torch.utils.data import Dataset, TensorDataset

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()

class Named(Dataset):
    classes = ["cold", "warm"]
    def __len__(self):
        return 30
    def __getitem__(self, index):
        return X[index].numpy(), int(Y[index])

def pair():
    print("this is no part of any protocol")
    return X, Y
def named():
    return Named()
def pictures():
    return TensorDataset(torch.zeros(30, 3, 8, 6, dtype=torch.uint8), Y)
def sequences():
    return np.zeros((30, 2, 9), np.float32), Y.numpy() + 0.25 * np.arange(30)
def tokens():
    return (X.abs() * 10).long(), Y
def splits():
    return {"train": Named(), "val": TensorDataset(X[:5], Y[:5]), "test": (X[:7], Y[:7])}
def iterated():
    return ((X[index], Y[index]) for index in range(30))
def number():
    return 3
def raises():
    raise OSError("the disk is gone")
def uneven():
    return [(np.zeros(index + 1), index % 2) for index in range(30)]
def bare():
    return [np.zeros(3) for _ in range(30)]
def half():
    return {"training": Named()}
class Broken(Named):
    def __getitem__(self, index):
        if index == 12:
            raise ValueError("row 12 is gone")
        return super().__getitem__(index)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"own_data_{next(NAMES)}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield name
    sys.path[:] = before


@pytest.mark.parametrize(
    ("function", "kind", "shape", "task"),
    [
        ("pair", "features", (4,), "binary"),
        ("named", "features", (4,), "binary"),
        ("iterated", "features", (4,), "binary"),
        ("pictures", "pictures", (3, 8, 6), "binary"),
        ("sequences", "sequences", (2, 9), "regression"),
        ("tokens", "tokens", (4,), "binary"),
    ],
)
def test_samples_are_what_their_shape_says(module: str, function: str, kind: str, shape: tuple[int, ...], task: str) -> None:
    info = inspect(DataSpec(f"{module}:{function}"))
    assert (info.name, info.kind, info.input_shape, info.task) == (function, kind, shape, task)
    assert sum(info.sizes.values()) == 30
    assert (info.vocabulary > 1) == (kind == "tokens")


def test_classes_have_the_names_that_the_dataset_gives_them(module: str, tmp_path: Path) -> None:
    info = prepare(DataSpec(f"{module}:splits"), tmp_path / "out")
    assert (info.classes, info.sizes) == (("cold", "warm"), {"train": 30, "validation": 5, "test": 7})
    _, arrays = load(tmp_path / "out")
    assert all(np.array_equal(x[:, 0] > 0, y) for x, y in arrays.values())


MOVING = """
import os
import torch

class Moving(torch.utils.data.Dataset):
    def __len__(self):
        return 30
    def __getitem__(self, index):
        torch.set_default_dtype(torch.float64)
        return torch.full((4,), float(index)), index % 2

os.chdir("data")
def make():
    assert os.path.exists("here.txt")
    return Moving()
"""


def test_what_it_changes_for_the_whole_process_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prepared data are written to where the command was started, also by the process that they are prepared in."""
    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("data").mkdir()
    Path("data/here.txt").touch()
    name = f"own_data_{next(NAMES)}"
    Path(f"{name}.py").write_text(MOVING)
    assert inspect(DataSpec(f"{name}:make")).name == "make"
    assert (Path.cwd(), torch.get_default_dtype()) == (tmp_path, torch.float32)
    prepare_apart(DataSpec(f"{name}.py:make"), Path("out"))
    assert (tmp_path / "out" / "info.json").exists()


def test_code_runs_in_a_process_of_its_own_and_may_print(module: str, tmp_path: Path) -> None:
    spec = DataSpec(f"{module}.py:pair")
    first = prepare_apart(spec, tmp_path / "out")
    assert module not in sys.modules
    assert prepare_apart(spec, tmp_path / "out") == first
    with pytest.raises(DataError, match=f"^{module}:raises: must make a data set, but raises OSError: the disk is gone$"):
        prepare_apart(DataSpec(f"{module}:raises"), tmp_path / "other")


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("number", "must be a dataset of (sample, target) pairs or a pair of arrays, but is int."),
        ("raises", "must make a data set, but raises OSError: the disk is gone"),
        ("uneven", "samples must have the same shape, but item 0 has (1,) and item 1 has (2,). Resize or pad them."),
        ("bare", "items must be (sample, target) pairs, but item 0 is of type ndarray."),
        ("half", "a mapping of splits must have train, and may have validation and test, but has training."),
        ("Broken", "must give every item, but item 12 raises ValueError: row 12 is gone"),
    ],
)
def test_what_is_no_data_set_is_refused(module: str, function: str, sentence: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(f'{module}:{function}: {sentence}')}$"):
        inspect(DataSpec(f"{module}:{function}"))


def test_functions_that_are_not_there(module: str, tmp_path: Path) -> None:
    for source, sentence in (
        (f"{module}:piar", f"{module}:piar: '{module}' must have 'piar', but has not. Did you mean 'pair'?"),
        ("gone:make", f"gone:make: there must be a module 'gone', but none is in {tmp_path}."),
        ("gone.py:make", "gone.py:make: must name a function in a file, but there is no file 'gone.py'. Check the path."),
    ):
        with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
            inspect(DataSpec(source))
