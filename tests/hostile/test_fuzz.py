"""Whatever bytes a file has, the answer is a result or a sentence: ``fuzzing.py``, a little of it here and more as a long test."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from automl.errors import AutomlError

SCRIPT = Path(__file__).with_name("fuzzing.py")
SECONDS = os.environ.get("AUTOML_FUZZ_SECONDS", "10")
TARGETS = ("space", "rules", "table", "events")


@pytest.fixture
def fuzzing(monkeypatch: pytest.MonkeyPatch) -> Any:
    import importlib

    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("fuzzing")


@pytest.mark.parametrize(("target", "inputs"), [("space", 25), ("rules", 500), ("table", 12), ("events", 60)])
def test_hostile_bytes_are_answered(fuzzing: Any, tmp_path: Path, target: str, inputs: int) -> None:
    read, files = fuzzing.TARGETS[target]
    corpus, choose = files(), random.Random(target)
    for _ in range(inputs):
        with suppress(AutomlError):
            read(fuzzing.changed(choose.choice(corpus), corpus, choose), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("how", ["at random", "guided"])
@pytest.mark.parametrize("target", TARGETS)
def test_hostile_bytes_are_answered_within_a_gigabyte_and_twenty_seconds(tmp_path: Path, target: str, how: str) -> None:
    """By hand, for longer: ``AUTOML_FUZZ_SECONDS=60 pytest -m long tests/hostile``."""
    command = [sys.executable, str(SCRIPT), target, "--seconds", SECONDS, *(["--guided"] if how == "guided" else [])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
