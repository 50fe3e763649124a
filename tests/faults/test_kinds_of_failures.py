"""One real study whose trials fail in every way there is: each is recognised, told with its last words, and shown in MLflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

CODE = """\
import os, signal, subprocess, time

def run(trial):
    trial.report(score=trial.parameters.way / 10)
    match trial.parameters.way:
        case 1: raise KeyError("the column is not there")
        case 2: raise MemoryError("too much for this machine")
        case 3: trial.report(score=float("nan"))
        case 4:
            subprocess.Popen(["sleep", "9876"])
            time.sleep(1000)
        case 5: os.kill(os.getpid(), signal.SIGKILL)
    trial.report(score=trial.parameters.way / 5)

def never(trial):
    raise ValueError("nothing ever works")
"""
SPACE = """\
name: ways
train: ways:{function}
objective: {{maximize: score}}
epochs: 2
space: {{way: {{type: int, low: 0, high: 6}}}}
study: {{strategy: grid, pruner: none, trials: 7, trial_time: 2s}}
"""
STATES = {0: "complete", 1: "failed", 2: "out_of_memory", 3: "diverged", 4: "timeout", 5: "lost", 6: "complete"}
LAST_WORDS = {
    1: "KeyError: 'the column is not there'",
    2: "MemoryError: too much for this machine",
    3: "the objective score became NaN or infinite in epoch 2",
    4: "in run",  # the stack of what hung
    5: "killed by SIGKILL",
}
IN_A_LINE = LAST_WORDS | {4: " s: it was at ways.py:11"}  # in a table; `automl trials s NUMBER` has it all


def automl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"} | {"COLUMNS": "200"}
    command = [sys.executable, "-m", "automl", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=200, check=False)


def test_every_kind_of_failure_is_recognised_told_and_shown(tmp_path: Path) -> None:
    (tmp_path / "ways.py").write_text(CODE)
    (tmp_path / "ways.yaml").write_text(SPACE.format(function="run"))
    done = automl(tmp_path, "run", "ways.yaml", "--study", "s", "--workers", "1", "--mlflow", "sqlite:///mlflow.db")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    trials = {trial["parameters"]["way"]: trial for trial in json.loads(automl(tmp_path, "trials", "s", "--json").stdout)}
    assert {way: trial["state"] for way, trial in trials.items()} == STATES
    for way, words in LAST_WORDS.items():
        assert words in trials[way]["reason"]
    assert trials[4]["reason"].startswith("a trial may take 2 s, and ways:run had reported nothing for ")
    assert 2.0 <= trials[4]["seconds"] < 7.0  # five seconds from its time to the end of all that it had started
    assert not [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", "9876"]]
    shown = automl(tmp_path, "trials", "s", "--failed").stdout
    for way, state in STATES.items():
        assert (state.replace("_", " ") in shown) == (state != "complete")
        assert IN_A_LINE.get(way, "") in shown
    assert _tags(tmp_path / "mlflow.db") == {trials[way]["number"]: state for way, state in STATES.items()}


def _tags(database: Path) -> dict[int, str]:
    """The state that MLflow shows of each trial; those that failed have a reason as well."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{database}", f"sqlite:///{database}")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()], "tags.`automl.kind` = 'trial'")
    assert all(("automl.reason" in run.data.tags) == (run.data.tags["automl.state"] != "complete") for run in runs)
    return {int(run.data.tags["automl.trial"]): run.data.tags["automl.state"] for run in runs}


def test_a_study_that_cannot_work_stops_shows_the_traceback_once_and_exits_with_1(tmp_path: Path) -> None:
    (tmp_path / "ways.py").write_text(CODE)
    (tmp_path / "ways.yaml").write_text(SPACE.format(function="never"))
    done = automl(tmp_path, "run", "ways.yaml", "--study", "s", "--workers", "1", "--mlflow", "sqlite:///mlflow.db")
    assert done.returncode == 1
    assert "The first 3 trials all failed in the same way, so the study stops." in done.stderr
    assert done.stderr.count('raise ValueError("nothing ever works")') == 1
    assert automl(tmp_path, "status", "s").stdout.startswith("s: failed, 3 of 7 trials (3 failed)")
    checked = automl(tmp_path, "sync", "s", "--check")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
