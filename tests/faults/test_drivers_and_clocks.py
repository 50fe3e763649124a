"""Several drivers that begin on one study at once, and clocks that step while a study runs: real commands on real data."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from automl.store import Store
from contracts.killing import SPACE, TRIALS

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

# Python's clock, a day ahead, 400 days behind or right, by turns; in workers and in what prepares the data as well.
STEPS = """\
import itertools, os, time
_right, _calls = time.time, itertools.count()
time.time = lambda: _right() + (0.0, 86_400.0, -400 * 86_400.0)[(next(_calls) // 7 + int(os.environ["FIRST_STEP"])) % 3]
"""


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    (folder / "small.yaml").write_text(SPACE)
    command = [sys.executable, "-m", "automl", "run", "small.yaml", "--study", "s", "--workers", "1", "--lanes", "1", *arguments]
    environ = {**os.environ, **environment, "NO_COLOR": "1"}
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def events(folder: Path) -> list[tuple[str, float, list[Any]]]:
    """Kind, time and body of all events."""
    with contextlib.closing(sqlite3.connect(f"{(folder / 'studies/s/study.db').as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute("select kind, at, body from events order by id").fetchall()
    return [(kind, at, json.loads(body)) for kind, at, body in rows]


def test_of_several_drivers_that_begin_at_once_one_drives_and_the_others_are_told_so(tmp_path: Path) -> None:
    runs = [start(tmp_path, "--trials", str(TRIALS), "--strategy", "random", "--mlflow", "sqlite:///mlflow.db") for _ in range(5)]
    said = {run.pid: (*run.communicate(timeout=200), run.returncode) for run in runs}
    drivers = [pid for pid, (_, _, code) in said.items() if code == 0]
    assert len(drivers) == 1
    for pid, (out, err, code) in said.items():
        if pid not in drivers:
            assert (out, code) == ("", 2)
            assert err.splitlines()[-1] == (
                f"studies/s: another automl (process {drivers[0]}) is at work on this study. "
                "Wait for it, or use --study NAME for a new one."
            )
            assert "Traceback" not in err
    kinds = [kind for kind, *_ in events(tmp_path)]
    assert (kinds.count("Created"), kinds.count("Resumed"), kinds.count("Suggested")) == (1, 1, TRIALS)


def test_a_clock_that_steps_moves_no_time_of_a_study(tmp_path: Path) -> None:
    """Killed in the middle, too, and continued when the clock is a day ahead; `--time` counts what has passed."""
    (tmp_path / "sitecustomize.py").write_text(STEPS)
    options = ("--trials", "600", "--time", "250s", "--trial-time", "100s", "--mlflow", "sqlite:///mlflow.db", "--confirm", "0")
    began = time.monotonic()
    for first in ("0", "1"):
        run = start(tmp_path, *options, "--strategy", "random", PYTHONPATH=str(tmp_path), FIRST_STEP=first)
        while not (tmp_path / "studies/s/study.db").exists() or len(events(tmp_path)) < 150 * (1 + int(first)):
            assert run.poll() is None, run.communicate()
            time.sleep(0.05)
        run.kill()
        run.communicate()
    last = start(tmp_path, "--trials", "40", *options[2:], "--strategy", "random", PYTHONPATH=str(tmp_path), FIRST_STEP="2")
    said = last.communicate(timeout=200)
    passed = time.monotonic() - began
    assert (last.returncode, "Traceback" in said[1], "The time is over" in said[0]) == (0, False, False), said
    happened = events(tmp_path)
    resumed = [number for number, (kind, *_) in enumerate(happened) if kind == "Resumed"]
    assert len(resumed) == 3
    for begin, end in pairwise([*resumed, len(happened)]):
        times = [at for _, at, _ in happened[begin:end]]
        assert all(later - earlier < passed for earlier, later in pairwise(times))
        assert all(later >= earlier for earlier, later in pairwise(times))
    assert all(0 <= body[2] <= passed for kind, _, body in happened if kind == "Reported")
    kinds = [kind for kind, *_ in happened]
    assert kinds.count("Finished") + kinds.count("Pruned") >= 40
    assert {"Failed", "Lost", "Diverged"}.isdisjoint(kinds)
    with Store.read_only(tmp_path / "studies/s") as store:
        assert 0 < store.study().active_seconds <= passed
