"""The built-in data sets: what they are, and that importing and naming them is cheap and forgiving."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl.data import DataInfo, inspect, load, prepare
from automl.data.arrays import Arrays
from automl.data.builtin import canonical, read_builtin
from automl.errors import DataError
from automl.spec import DataSpec


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, automl.data; sys.exit(bool({'numpy', 'pandas', 'sklearn', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["xor", "digits"])
def test_preparing_pictures_does_not_load_pandas(name: str) -> None:
    code = (
        "import sys, tempfile, pathlib, automl.data as d; from automl.spec import DataSpec;"
        f"d.prepare(DataSpec({name!r}), pathlib.Path(tempfile.mkdtemp()) / 'data');"
        "sys.exit('pandas' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("source", "name"),
    [("digits", "digits"), ("Fashion-MNIST", "fashion_mnist"), ("breast-cancer", "breast_cancer"), ("digit", None), ("iris.csv", None)],
)
def test_names_are_recognised_in_any_spelling(source: str, name: str | None) -> None:
    assert canonical(source) == name


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_digits_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch, is_elsewhere: bool) -> None:
    if is_elsewhere:
        monkeypatch.setattr("automl.data.builtin.find_spec", lambda name: SimpleNamespace(origin=f"/nowhere/{name}/__init__.py"))
    found, bunch = read_builtin("digits"), load_digits()
    assert isinstance(found, Arrays)
    assert (found.x.dtype, found.y.dtype) == (np.uint8, np.int64)
    assert (found.x[:, 0] == bunch.images).all()
    assert (found.y == bunch.target).all()


def test_digits_are_pictures_with_a_scale(tmp_path: Path) -> None:
    info = prepare(DataSpec("digits"), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    x, y = arrays["train"]
    assert info == DataInfo(
        name="digits",
        task="multiclass",
        input_shape=(1, 8, 8),
        outputs=10,
        classes=tuple("0123456789"),
        sizes={"train": 1150, "validation": 288, "test": 359},
        input_scale=1 / 16,
        fingerprint=info.fingerprint,
        kind="pictures",
        class_counts=(113, 117, 114, 117, 116, 117, 116, 114, 111, 115),
    )
    assert (x.dtype, y.dtype) == (np.uint8, np.int64)
    assert (x.min(), x.max()) == (0, 16)


def test_xor_is_training_validation_and_test_at_once(tmp_path: Path) -> None:
    info = prepare(DataSpec("xor"), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    assert info.shared_splits
    assert (info.task, info.outputs, info.input_shape, info.sizes) == ("binary", 1, (2,), {"train": 4, "validation": 4, "test": 4})
    assert info.notes == (
        "All 4 rows are training, validation and test at once: results say what was learnt, not how well it generalises.",
    )
    for x, y in arrays.values():
        assert x.dtype == np.float32
        assert [int(a) ^ int(b) for a, b in x] == y.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("name", "task", "features", "classes", "rows"),
    [
        ("iris", "multiclass", 4, ("setosa", "versicolor", "virginica"), 150),
        ("wine", "multiclass", 13, ("class_0", "class_1", "class_2"), 178),
        ("breast_cancer", "binary", 30, ("benign", "malignant"), 569),
        ("diabetes", "regression", 10, (), 442),
    ],
)
def test_the_tables_of_scikit_learn(name: str, task: str, features: int, classes: tuple[str, ...], rows: int) -> None:
    info = inspect(DataSpec(name))
    assert (info.task, info.input_shape, info.classes, sum(info.sizes.values())) == (task, (features,), classes, rows)
    assert info.outputs == (len(classes) if len(classes) > 2 else 1)


def test_positive_classes_make_the_task_binary(tmp_path: Path) -> None:
    info = prepare(DataSpec("digits", positive=(0, "2", 4.0, 6, 8)), tmp_path / "even")
    prepare(DataSpec("digits"), tmp_path / "all")
    _, even = load(tmp_path / "even")
    _, digits = load(tmp_path / "all")
    assert (info.task, info.outputs, info.classes) == ("binary", 1, ("1/3/5/7/9", "0/2/4/6/8"))
    for split, (x, y) in even.items():
        assert (x == digits[split][0]).all()
        assert y.tolist() == (1 - digits[split][1] % 2).tolist()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            DataSpec("digit"),
            "digit: must be a built-in data set or a file, but is neither. Built in: digits, iris, wine, breast_cancer, diabetes, xor, "
            "waves, seasons, sentences, mnist, fashion_mnist. Did you mean 'digits'?",
        ),
        (
            DataSpec("zebras"),
            "zebras: must be a built-in data set or a file, but is neither. Built in: digits, iris, wine, breast_cancer, diabetes, xor, "
            "waves, seasons, sentences, mnist, fashion_mnist.",
        ),
        (DataSpec("digits", target="x"), "digits: has no columns, but target is 'x'. Leave target out."),
        (DataSpec("digits", drop=("x", "y")), "digits: has no columns, but drop is 'x, y'. Leave drop out."),
        (DataSpec("digits", test="x.csv"), "digits: test must be a share of a built-in data set, but is 'x.csv'. Give, say, test: 0.2."),
        (DataSpec("iris", test="x.csv"), "iris: test must be a share of a built-in data set, but is 'x.csv'. Give, say, test: 0.2."),
        (DataSpec("xor", test=0.2), "xor: uses the same rows in every split, but test is 0.2. Leave test out."),
        (DataSpec("xor", validation=0.2), "xor: uses the same rows in every split, but validation is 0.2. Leave validation out."),
        (DataSpec("digits", test=1.0), "digits: test must be a share above 0 and below 1, but is 1.0. Give, say, test: 0.2."),
        (DataSpec("iris", validation=0), "iris: validation must be a share above 0 and below 1, but is 0. Give, say, validation: 0.2."),
        (
            DataSpec("digits", positive=(11,)),
            "digits: positive: class 11 is not there. Classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9. Did you mean '1'?",
        ),
        (
            DataSpec("xor", positive=(0, 1)),
            "xor: positive must leave at least one class out, but lists all of them: 0, 1. Take one away.",
        ),
    ],
)
def test_what_cannot_be_asked_of_a_built_in_set(spec: DataSpec, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(spec)


def test_an_official_test_split_is_not_up_for_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for name, shape in (("train", 30), ("t10k", 10)):
        head = bytes((0, 0, 8))
        sizes = b"".join(size.to_bytes(4, "big") for size in (shape, 2, 2))
        (folder / f"{name}-images-idx3-ubyte").write_bytes(head + b"\3" + sizes + bytes(shape * 4))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(head + b"\1" + sizes[:4] + bytes(number % 10 for number in range(shape)))
    monkeypatch.setenv("AUTOML_DATA", str(tmp_path))
    message = "fashion_mnist: has an official test split, but test is 0.2. Leave test out."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(DataSpec("fashion_mnist", test=0.2))
    assert inspect(DataSpec("fashion_mnist")).sizes["test"] == 10


def test_a_folder_of_the_same_name_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not any(warning.startswith("Name") for warning in inspect(DataSpec("iris", "target")).warnings)
    Path("iris").mkdir()
    assert inspect(DataSpec("iris", "target")).warnings[-1] == (
        "Name: iris is the built-in data set, not the folder or file of that name which is here. To read that one: ./iris."
    )
