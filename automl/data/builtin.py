"""The built-in data sets: those that come with scikit-learn, xor, drawn ones, MNIST and Fashion-MNIST."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.data.arrays import Arrays
from automl.data.generated import seasons, waves
from automl.data.mnist import PUBLISHED, read_published
from automl.data.sentences import sentences
from automl.data.sequencedata import Sequences
from automl.data.textfiles import TextFiles
from automl.folders import home_expanded

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]

FRAMES = ("iris", "wine", "breast_cancer", "diabetes")
GENERATED = ("waves", "seasons", "sentences")
NAMES = ("digits", *FRAMES, "xor", *GENERATED, *PUBLISHED)


@dataclass(frozen=True, slots=True)
class Frame:
    """A table that is known already: its columns with their own types, its target, and maybe official test rows."""

    name: str
    frame: pd.DataFrame
    target: str
    test: pd.DataFrame | None = None

    def digest(self) -> str:
        """sha256 of all cells."""
        tables = [self.frame, *([] if self.test is None else [self.test])]
        return hashlib.sha256("\n".join(table.to_csv(index=False, lineterminator="\n") for table in tables).encode()).hexdigest()


def canonical(source: str) -> str | None:
    """The built-in name that is meant, hyphens and capitals forgiven; None when the source is none of them."""
    name = source.lower().replace("-", "_")
    return name if name in NAMES else None


def is_built_in(source: str) -> bool:
    """Whether this is the name of a built-in data set."""
    return canonical(source) is not None


def namesake(source: str) -> Iterator[str]:
    """A warning where the name of a built-in data set is that of a folder or file as well."""
    if is_built_in(source) and home_expanded(source).exists():
        yield f"Name: {source} is the built-in data set, not the folder or file of that name which is here. To read that one: ./{source}."


def read_builtin(name: str) -> Arrays | Frame | Sequences | TextFiles:
    """The data set of this (canonical) name."""
    if name == "xor":
        x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
        return Arrays(name, x, np.array([0, 1, 1, 0]), ("0", "1"), shared=True)
    if name == "waves":
        return waves()
    if name == "seasons":
        return Frame(name, seasons(), "value")
    if name == "sentences":
        return sentences()
    if name == "digits":
        return _digits()
    if name in PUBLISHED:
        images, y, test_images, y_test = read_published(name)
        test = (test_images[:, None], y_test.astype(np.int64))
        return Arrays(name, images[:, None], y.astype(np.int64), PUBLISHED[name].classes, 1 / 255, test, kind="pictures")
    return _frame(name)


def _digits() -> Arrays:
    """As scikit-learn's ``load_digits`` has them. Read from the file that it reads, since to import it takes most of a second."""
    package = find_spec("sklearn")
    assert package is not None
    file = Path(str(package.origin)).parent / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        table = np.loadtxt(file, delimiter=",")
        x, y = table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    else:  # another version may keep it elsewhere
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x, y = bunch.images, bunch.target
    return Arrays("digits", x.astype(np.uint8)[:, None], y.astype(np.int64), tuple("0123456789"), 1 / 16, kind="pictures")


def _frame(name: str) -> Frame:
    """As published: diabetes unscaled, since the scaled one was scaled with all rows, those for test included."""
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(as_frame=True, **options)
    frame = bunch.frame
    if "target_names" in bunch:
        frame = frame.assign(target=bunch.target_names.astype(object)[bunch.target])
    return Frame(name, frame, "target")
