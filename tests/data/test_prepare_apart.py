"""Preparing in a process of its own changes nothing but the memory of this one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from automl.data import prepare, prepare_apart
from automl.errors import DataError
from automl.spec import DataSpec


def a_table(folder: Path) -> DataSpec:
    rows = "\n".join(f"{n % 7},{'ab'[n % 2]},{n % 2}" for n in range(60))
    (folder / "rows.csv").write_text(f"size,kind,label\n{rows}\n")
    return DataSpec(str(folder / "rows.csv"), "label", drop=("kind",), positive=("1",))


def test_the_files_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    spec = a_table(tmp_path)
    assert prepare_apart(spec, tmp_path / "apart") == prepare(spec, tmp_path / "here")
    here = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "apart").iterdir()} == here


def test_the_errors_are_the_same_to_the_word(tmp_path: Path) -> None:
    spec = DataSpec(a_table(tmp_path).source, "lable")
    with pytest.raises(DataError) as here:
        prepare(spec, tmp_path / "here")
    with pytest.raises(DataError, match=f"^{re.escape(str(here.value))}$"):
        prepare_apart(spec, tmp_path / "apart")
    assert not (tmp_path / "apart").exists()


def test_this_process_loads_no_library_for_tables(tmp_path: Path) -> None:
    spec = a_table(tmp_path)
    code = f"""
import sys
from pathlib import Path
from automl.data import prepare_apart
from automl.spec import DataSpec
for _ in range(2):
    prepare_apart({spec!r}, Path({str(tmp_path / "data")!r}))
print(sorted(set(sys.modules) & {{"pandas", "sklearn", "scipy", "torch", "skops"}}))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_reader_that_the_system_kills_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greedy.py").write_text("import os, signal\ndef make():\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.chdir(tmp_path)
    sentence = (
        "greedy:make: must be data that fit in memory, but the process that read them was killed, as systems do where memory runs out. "
        "Free some, or give a file with less in it."
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        prepare_apart(DataSpec("greedy:make"), tmp_path / "data")
