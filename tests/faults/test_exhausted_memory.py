"""A real study in a control group that really runs out of memory: the kernel kills the worker, and the study goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from automl.controlgroups import groups

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

MEMORY = 2 * 10**9
LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}
CODE = """\
def run(trial):
    if trial.parameters.greed == 2:
        hoard = [bytearray(b"x" * 50_000_000) for _ in range(100)]
    trial.report(score=float(trial.parameters.greed))
"""
SPACE = """\
name: greedy
train: greedy:run
objective: {maximize: score}
epochs: 1
space: {greed: {type: int, low: 0, high: 4}}
study: {strategy: grid, pruner: none, trials: 5}
"""


@pytest.fixture
def box() -> Iterator[Path]:
    """A control group below our own in which there is little memory."""
    own = next((group for group in groups("memory") if (group.folder / "cgroup.procs").exists()), None)
    if own is None:
        pytest.skip("this process is in no control group for memory")
    made = own.folder / f"automl-{uuid.uuid4().hex}"
    try:
        made.mkdir()
        (made / LIMIT[own.version]).write_text(str(MEMORY))
    except OSError as error:
        if made.exists():
            made.rmdir()
        pytest.skip(f"no control group can be made here: {error.strerror}")
    yield made
    until = time.monotonic() + 30
    while (made / "cgroup.procs").read_text() and time.monotonic() < until:
        time.sleep(0.05)  # the last processes of the study are on their way out
    made.rmdir()


def test_a_trial_that_takes_all_memory_ends_as_such_and_the_others_are_trained(tmp_path: Path, box: Path) -> None:
    (tmp_path / "greedy.py").write_text(CODE)
    (tmp_path / "greedy.yaml").write_text(SPACE)
    automl = f"{sys.executable} -m automl"
    boxed = f"echo $BASHPID > {box}/cgroup.procs && exec {automl} run greedy.yaml --workers 2 --mlflow off --study s"
    run = subprocess.run(["bash", "-c", boxed], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    listed = subprocess.run([*automl.split(), "trials", "s", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    trials = {trial["parameters"]["greed"]: trial for trial in json.loads(listed.stdout)}
    assert {greed: trial["state"] for greed, trial in trials.items()} == {
        greed: "out_of_memory" if greed == 2 else "complete" for greed in range(5)
    }
    assert trials[2]["reason"] == "killed by the kernel, since memory ran out"
