"""The command as a person runs it: worker processes, MLflow, Ctrl-C in the middle, the same command again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [
    *(sys.executable, "-m", "automl", "compare", "digits_mlp", "--strategies", "grid,random,bayesian:n_startup=2"),
    *("--trials", "5", "--epochs", "3", "--workers", "2", "--json", "--csv", "rows.csv"),
]


@pytest.mark.long
def test_three_strategies_on_digits_through_an_interrupt(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    process = subprocess.Popen(COMMAND, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("lanes: ") or line.startswith("["):
            process.send_signal(signal.SIGINT)
            break
    answer, rest = process.communicate()
    assert (process.returncode, answer) == (130, "")
    assert "Interrupted. Everything so far is kept; to continue:" in rest

    done = subprocess.run(COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    assert record["why"] == "done"
    assert record["repeats"] == 7
    assert {each["name"]: each["trials"] for each in record["strategies"]} == {"grid": 5, "random": 5, "bayesian:n_startup=2": 5}
    assert [pair["verdict"] in ("a better", "b better", "cannot tell") for pair in record["pairs"]] == [True] * 3
    assert (tmp_path / record["page"]).stat().st_size > 100_000
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 21

    again = subprocess.run(COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout) == record
