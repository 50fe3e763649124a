"""Runs in the background, and what stops a run from elsewhere: real processes and real signals."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from automl.errors import AutomlError, StudyError
from automl.store import driver_of, hold, is_being_driven

SPACE = """\
name: small
data: digits
model: mlp
epochs: 30
space:
  units:         {type: int, low: 8, high: 64, log: true}
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
study: {strategy: random, pruner: none, trials: 4000}
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"} | {"COLUMNS": "200", "NO_COLOR": "1"}
RUN = ("run", "small.yaml", "--study", "s", "--mlflow", "off", "--workers", "1", "--lanes", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "small.yaml").write_text(SPACE)
    yield tmp_path
    left = driver_of(tmp_path / "studies" / "s")
    if left is not None:
        psutil.Process(left).kill()


def automl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "automl", *arguments]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


def test_a_detached_run_returns_once_the_study_has_begun_outlives_a_hangup_and_can_be_stopped(folder: Path) -> None:
    begun = automl(folder, *RUN, "--detach")
    assert begun.returncode == 0, begun.stderr
    study = folder / "studies" / "s"
    process = driver_of(study)
    assert process is not None
    assert begun.stdout.splitlines() == [
        f"studies/s runs in the background (process {process}); what it says is in studies/s/run.log.",
        "Watch it:  automl watch s",
        "Stop it:   automl stop s",
        f"Continue:  automl {' '.join(RUN)} --detach",
    ]
    os.kill(process, signal.SIGHUP)
    assert json.loads(automl(folder, "status", "s", "--json").stdout)["state"] == "running"
    again = automl(folder, *RUN, "--detach")
    assert again.returncode == 2
    assert again.stderr == f"studies/s: another automl (process {process}) is at work on this study. `automl watch` shows it.\n"
    stopped = automl(folder, "stop", "s")
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert stopped.stdout == "s: stopped. Everything so far is kept; the same `automl run` goes on with it.\n"
    assert not is_being_driven(study)
    said = (study / "run.log").read_text()
    assert said.endswith(f"Interrupted. Everything so far is kept; to continue:\n  automl {' '.join(RUN)}\n")
    assert "Traceback" not in said
    nothing = automl(folder, "stop", "s")
    assert (nothing.returncode, nothing.stderr) == (0, "s: nobody runs it now, so there is nothing to stop.\n")


def test_a_detached_run_that_cannot_begin_says_why_and_leaves_nothing(folder: Path) -> None:
    refused = automl(folder, "run", "small.yaml", "--study", "s", "--devices", "cuda:7", "--mlflow", "off", "--detach")
    assert refused.returncode == 2
    assert "--devices: cuda:7 is not there." in refused.stderr
    assert not (folder / "studies").exists()
    (folder / "studies").mkdir()
    (folder / "studies" / "s").touch()
    assert automl(folder, *RUN, "--detach").returncode == 2


def test_a_detached_run_of_a_finished_study_says_so(folder: Path) -> None:
    small = ("--trials", "1", "--epochs", "1")
    assert automl(folder, *RUN, *small).returncode == 0
    again = automl(folder, *RUN, *small, "--detach")
    assert again.returncode == 0
    assert "studies/s has 1 of 1 trials and its winner; there is nothing left to do." in again.stdout


def test_a_closed_terminal_leaves_the_study_in_order(folder: Path) -> None:
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - another process
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-m", "automl", *RUN], {**ENVIRONMENT, "TERM": "xterm"})
    until = time.monotonic() + 60
    while not is_trained(folder / "studies" / "s") and time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):
                os.read(terminal, 2**16)
    os.close(terminal)
    os.waitpid(process, 0)
    status = json.loads(automl(folder, "status", "s", "--json").stdout)
    assert status["state"] == "interrupted"
    from automl.store import Store

    with Store.read_only(folder / "studies" / "s") as store:
        assert store.study().why_rested == "interrupted"


def test_a_detached_run_outlives_the_terminal_that_it_was_started_in(folder: Path) -> None:
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - another process
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-m", "automl", *RUN, "--detach"], {**ENVIRONMENT, "TERM": "xterm"})
    with contextlib.suppress(OSError):
        while os.read(terminal, 2**16):
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    os.close(terminal)
    study = folder / "studies" / "s"
    assert driver_of(study) is not None
    assert json.loads(automl(folder, "status", "s", "--json").stdout)["state"] == "running"
    assert automl(folder, "stop", "s").returncode == 0
    assert driver_of(study) is None


def is_trained(study: Path) -> bool:
    from automl.store import Store

    if not (study / "study.db").exists():
        return False
    with Store.read_only(study) as store:
        return store.study().ended > 0


# stop


def test_a_study_that_is_not_there_cannot_be_stopped(folder: Path) -> None:
    answer = automl(folder, "stop", "nothing")
    assert answer.returncode == 2
    assert answer.stderr.startswith("studies/nothing: there must be a study here, but there is no study.db.")


def test_a_process_of_another_machine_is_not_taken_for_one_of_this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of a study on a shared disk names a number; here it is somebody else's."""
    from automl.cli.stop import stop

    killed: list[int] = []
    with hold(tmp_path / "s"):
        (tmp_path / "s" / "study.lock").write_text(str(os.getppid()))
        monkeypatch.setattr(os, "kill", lambda process, number: killed.append(process))
        with pytest.raises(StudyError) as error:
            stop.callback(str(tmp_path / "s"))  # type: ignore[misc]
    assert str(error.value) == (
        f"{tmp_path / 's'}: must be run by a process of this machine to be stopped here, but is not (process {os.getppid()}). "
        "Stop it where it runs."
    )
    assert killed == []


def test_a_run_that_does_not_leave_is_told_twice_and_then_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl.cli import stop

    told: list[tuple[int, int]] = []
    monkeypatch.setattr(stop, "_PATIENCE_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(os, "kill", lambda *signal_to: told.append(signal_to))
    with hold(tmp_path / "s"), pytest.raises(AutomlError) as error:
        stop.stop.callback(str(tmp_path / "s"))  # type: ignore[misc]
    assert told == [(os.getpid(), signal.SIGTERM)] * 2
    assert str(error.value) == (
        f"{tmp_path / 's'}: process {os.getpid()} must leave when it is told to, but was told twice and is still there. "
        f"`kill -KILL {os.getpid()}` ends it; what is written so far is kept."
    )
