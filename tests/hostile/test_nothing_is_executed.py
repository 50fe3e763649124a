"""Files hold data. None of them is code to us: not a study, not a data set, not a model."""

from __future__ import annotations

import ast
import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import automl
from automl.best import read_config
from automl.data.folding import FOLD_OF_ROW, rows_of
from automl.data.preprocessing import load as load_preprocessing
from automl.errors import AutomlError, DataError, StudyError
from automl.training.files import load, load_or_none

PACKAGE = Path(automl.__file__).parent
PICKLING = {"cloudpickle", "dill", "marshal", "shelve", "joblib", "jsonpickle"}
# Between the driver and the workers that it starts itself, through a pipe that nobody else has: no file.
PIPES = {"engines/forkserver.py", "engines/local.py"}


class Payload:
    """Whoever reads this with pickle makes the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.file),)


def sources() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path.relative_to(PACKAGE).as_posix(), node


def test_no_source_evaluates_text_or_unpickles_files() -> None:
    found = []
    for path, node in sources():
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            unpickles = {name.partition(".")[0] for name in modules} & (PICKLING if isinstance(node, ast.Import) else {*PICKLING, "pickle"})
        else:  # its errors may be named
            unpickles = isinstance(node, ast.Attribute) and ast.unparse(node) in ("pickle.load", "pickle.loads", "pickle.Unpickler")
        if unpickles and path not in PIPES:
            found.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
        if not isinstance(node, ast.Call):
            continue
        called, words = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        is_evil = called in ("eval", "exec", "compile", "__import__", "os.system", "os.popen") or called.endswith(
            ("read_pickle", "Unpickler")
        )
        is_evil |= called.endswith("torch.load") and words.get("weights_only") != "True"
        is_evil |= called.endswith("np.load") and words.get("allow_pickle") != "False"
        is_evil |= words.get("shell", "False") != "False"
        is_evil |= called in ("yaml.load", "yaml.unsafe_load") or (called == "YAML" and words.get("typ", "'rt'") not in ("'safe'", "'rt'"))
        if is_evil:
            found.append(f"{path}:{node.lineno}: {ast.unparse(node)[:80]}")
    assert found == []


def test_weights_and_checkpoints_with_a_payload_are_not_read(tmp_path: Path) -> None:
    for number, write in enumerate((torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, 2)))):
        file, mark = tmp_path / f"{number}.pt", tmp_path / f"mark{number}"
        write({"format": Payload(mark)}, file)
        assert load_or_none(file, torch.device("cpu")) is None
        with pytest.raises(pickle.UnpicklingError):
            load(file)
        assert not mark.exists()


def test_arrays_with_a_payload_are_not_read(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    np.save(tmp_path / FOLD_OF_ROW, np.array([Payload(mark)], dtype=object), allow_pickle=True)
    with pytest.raises((AutomlError, ValueError)):
        rows_of(tmp_path, 0)
    assert not mark.exists()


def test_preprocessing_with_a_payload_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(DataError):
        load_preprocessing(pickle.dumps(Payload(mark)), "x")
    archive = io.BytesIO()
    schema = '{"__class__": "mkdir", "__module__": "os", "__loader__": "FunctionNode", "__id__": 1, "content": "os.mkdir", "protocol": 0}'
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("schema.json", schema)
    with pytest.raises(DataError):
        load_preprocessing(archive.getvalue(), "x")
    assert not mark.exists()


@pytest.mark.parametrize("text", ["!!python/object/apply:os.mkdir [mark]", "a: &a [*a]", "[" * 3000, "3", "model: cnn", "a: " + "9" * 5000])
def test_a_configuration_of_a_winner_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(StudyError) as caught:
        read_config(tmp_path)
    expected = f"{tmp_path / 'config.yaml'}: must say the model and its parameters, but does not. Restore it from a copy."
    assert str(caught.value) == expected
    assert not Path("mark").exists()
