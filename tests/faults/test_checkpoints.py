"""Trials long enough to have a checkpoint, cut off in the middle by SIGKILL: real commands on real data."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from automl.store import Store
from contracts.driving import numbers
from contracts.killing import strike

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

# Adam at a small rate: neither order of the same sums leads far from the other.
SPACE = """\
name: lengthy
data: digits
model: mlp
epochs: 2000
space:
  units:         {type: int, low: 240, high: 256}
  layers: 2
  dropout: 0.1
  batch_size: 16
  learning_rate: 0.0001
study: {strategy: random, pruner: none, trials: 2}
"""


def start(folder: Path, study: str, lanes: int) -> subprocess.Popen[bytes]:
    (folder / "space.yaml").write_text(SPACE)
    command = [sys.executable, "-m", "automl", "run", "space.yaml", "--study", study, "--workers", "1", "--lanes", str(lanes)]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen([*command, "--mlflow", "off"], cwd=folder, stdout=log, stderr=log)


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_trial_that_is_cut_off_ends_with_the_same_numbers_from_its_checkpoint_or_from_its_beginning(tmp_path: Path, lanes: int) -> None:
    """Cut off at a checkpoint, then once more at one that is torn: it goes on from the first and begins again after the second."""
    assert start(tmp_path, "calm", lanes).wait(timeout=300) == 0
    trials = tmp_path / "studies" / "shaken" / "trials"
    for torn in (False, True):
        process, had = start(tmp_path, "shaken", lanes), {path: path.stat().st_mtime_ns for path in trials.glob("*/checkpoint.pt")}
        while not (written := [path for path in trials.glob("*/checkpoint.pt") if path.stat().st_mtime_ns != had.get(path)]):
            assert process.poll() is None
            time.sleep(0.01)
        assert strike(process, "everything", random.Random(0))
        with Store.read_only(tmp_path / "studies" / "shaken") as store:
            assert any(0 < store.study().trials[int(path.parent.name)].epochs < 2000 for path in written)
        for path in written if torn else []:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert start(tmp_path, "shaken", lanes).wait(timeout=300) == 0
    studies = []
    for name in ("calm", "shaken"):
        with Store.read_only(tmp_path / "studies" / name) as store:
            studies.append(store.study())
    calm, shaken = studies
    assert [trial.epochs for trial in shaken.trials] == [2000, 2000]
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
    if lanes == 1:
        assert numbers(shaken) == numbers(calm)
    for trial, same in zip(shaken.trials, calm.trials, strict=True):
        assert trial.configuration == same.configuration
        assert [report.value for report in trial.reports] == pytest.approx([report.value for report in same.reports], abs=0.02)
