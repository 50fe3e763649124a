"""Real studies, killed with SIGKILL at random moments and continued with the same command, until they are done.

Every kill point is drawn from a seed. By hand, for longer: ``AUTOML_KILLS=200 pytest -m long tests/faults``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

KILLS = int(os.environ.get("AUTOML_KILLS", "12"))
TRIALS = 30
SPACE = """\
name: small
data: digits
model: mlp
epochs: 12
space:
  units:         {type: int, low: 8, high: 64, log: true}
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
  dropout:       {type: float, low: 0.0, high: 0.5}
baseline: {units: 16, learning_rate: 0.001, dropout: 0.0}
study: {pruner: none}
"""


class Victim:
    """A study in a folder of its own, driven by the real command with the real MLflow."""

    def __init__(self, folder: Path, strategy: str, workers: int, lanes: int) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "small.yaml").write_text(SPACE)
        places = ["--workers", str(workers), "--lanes", str(lanes)]
        arguments = ["run", "small.yaml", "--study", "s", "--strategy", strategy, "--trials", str(TRIALS)]
        self.command = [sys.executable, "-m", "automl", *arguments, *places]

    def start(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(self.command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True)

    def trials(self) -> list[dict[str, object]]:
        answer = subprocess.run(
            [sys.executable, "-m", "automl", "trials", "s", "--json"], cwd=self.folder, capture_output=True, text=True, check=True
        )
        trials: list[dict[str, object]] = json.loads(answer.stdout)
        return trials

    def runs(self) -> list[tuple[str, str, str, int]]:
        """(kind, trial, status, points of accuracy) of every MLflow run."""
        query = """
            select (select value from tags t where t.run_uuid = r.run_uuid and key = 'automl.kind'),
                   (select value from tags t where t.run_uuid = r.run_uuid and key = 'automl.trial'), status,
                   (select count(*) from metrics m where m.run_uuid = r.run_uuid and key = 'accuracy')
            from runs r where lifecycle_stage = 'active'
        """
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as connection:
            return connection.execute(query).fetchall()


def strike(process: subprocess.Popen[bytes], target: str, choose: random.Random) -> None:
    """Kill the driver, one worker, all workers, or everything."""
    with contextlib.suppress(psutil.NoSuchProcess):
        descendants = psutil.Process(process.pid).children(recursive=True)
        workers = [child for child in descendants if not child.children()]
        victims = {
            "driver": [psutil.Process(process.pid)],
            "worker": [choose.choice(workers)] if workers else [],
            "workers": workers,
            "everything": [*descendants, psutil.Process(process.pid)],
        }[target]
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL)


def survivors(process: subprocess.Popen[bytes], descendants: list[psutil.Process]) -> list[psutil.Process]:
    process.wait(timeout=60)
    _, alive = psutil.wait_procs(descendants, timeout=10)
    return alive


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("strategy", "workers", "lanes"), [("random", 1, 1), ("grid", 2, 1), ("random", 2, 6), ("bayesian", 1, 1)])
def test_a_study_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(
    tmp_path: Path, strategy: str, workers: int, lanes: int
) -> None:
    """To the bit with one lane; with several to what another order of the same sums may make of a short training."""
    choose = random.Random(f"{strategy} {workers}")
    calm, victim = Victim(tmp_path / "calm", strategy, workers, lanes), Victim(tmp_path / "victim", strategy, workers, lanes)
    if strategy == "grid":
        for study in (calm, victim):
            text = SPACE.replace("log: true}", "log: true, grid: 4}").replace("high: 0.5}", "high: 0.5, grid: 2}")
            (study.folder / "small.yaml").write_text(text)
    began = time.monotonic()
    assert calm.start().wait(timeout=300) == 0, (calm.folder / "log.txt").read_text()
    duration = time.monotonic() - began
    for _ in range(KILLS // 3):
        process = victim.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=choose.uniform(0.05, duration))
        descendants = []
        with contextlib.suppress(psutil.NoSuchProcess):
            descendants = psutil.Process(process.pid).children(recursive=True)
        target = choose.choice(["driver", "driver", "worker", "workers", "everything"])
        strike(process, target, choose)
        if target in ("driver", "everything"):
            assert survivors(process, descendants) == []
        else:
            assert process.wait(timeout=300) == 0, (victim.folder / "log.txt").read_text()
    last = victim.start()
    assert last.wait(timeout=300) == 0, (victim.folder / "log.txt").read_text()

    trials, expected = victim.trials(), calm.trials()
    assert [trial["number"] for trial in trials] == list(range(TRIALS))
    assert len({json.dumps(trial["parameters"], sort_keys=True) for trial in trials}) == TRIALS
    assert Counter(str(trial["state"]) for trial in trials) == {"complete": TRIALS}
    assert all(trial["epochs"] == 12 for trial in trials)
    fields = ("number", "parameters", "state") if lanes > 1 else ("number", "parameters", "objective", "metrics", "state")
    assert [[trial[field] for field in fields] for trial in trials] == [[trial[field] for field in fields] for trial in expected]
    assert [trial["objective"] for trial in trials] == pytest.approx([trial["objective"] for trial in expected], abs=0.05)
    runs = victim.runs()
    assert Counter(kind for kind, *_ in runs) == {"study": 1, "trial": TRIALS}
    assert {status for _, _, status, _ in runs} == {"FINISHED"}
    assert sorted(int(trial) for kind, trial, _, _ in runs if kind == "trial") == list(range(TRIALS))
    assert {points for kind, _, _, points in runs if kind == "trial"} == {12}
