"""The benchmark of whole studies runs, on both sides, and its figures are what they say."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from automl.data import DataInfo

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
INFO = DataInfo("digits", "multiclass", (1, 8, 8), 10, (), {"train": 1000, "validation": 100, "test": 1})


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the benchmark."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"throughput_parts.{name}")

    return load


def throughput(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "throughput.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_a_tracked_study_on_both_sides() -> None:
    """Two trials each: the same shape of answer as from thousands."""
    done = throughput(*("--trials", "2", "--epochs", "2", "--pairs", "1", "--peers", "optuna", "--settings", "threads:2+async"), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["tracked"]
    assert set(result["contenders"]) == {"automl", "optuna"}
    assert all(each["trials"] == 2 and 0 < each["startup_seconds"] < each["wall_seconds"] for each in result["runs"])
    assert all(0 < row["floor_share"] < 1 for row in result["contenders"].values())
    assert result["ratios"]["optuna"]["with_startup"]["pairs"] == 1
    assert result["ratios"]["optuna"]["steady"] is None
    assert result["accuracies"]["optuna"]["are_equal"]


def test_processes_that_share_a_storage_and_a_contender_that_is_not_there() -> None:
    done = throughput(
        *("--trials", "2", "--epochs", "2", "--pairs", "1", "--settings", "processes:2", "--untracked", "--ray-python", "/bin/false"),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ways"] == {"optuna": "processes:2"}
    why = "/bin/false: must have Ray, but it does not start. Install it (pip install 'ray[tune]' mlflow torch), or give --ray-python."
    assert result["left_out"] == {"ray": why}
    assert f"ray is left out: {why}" in done.stderr


def test_the_trainer_of_lanes_by_itself() -> None:
    """Targets may be missed here: nothing of this size says anything about speed."""
    done = throughput("--mixed", "--freed", "--pairs", "1", "--epochs", "1", "--json")
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(done.stdout)
    assert result["mixed"]["share"] > 0
    assert [(row["trials"], row["left"], row["epoch_seconds_after"] > 0) for row in result["freed"]] == [(24, 8, True), (24, 8, True)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--peers", "hyperopt"], "--peers: must be names out of optuna, ray, but 'hyperopt' was given. Leave it out for all."),
        (["--settings", "fast"], "--settings: must read like threads:2 or processes:2+async, but 'fast' was given. Leave it out."),
        (
            ["--study", "mnist", "--mixed"],
            "--mixed and --freed: must go with --study digits, but --study mnist was given. Leave one of them out.",
        ),
    ],
)
def test_wrong_options_are_answered(options: list[str], message: str) -> None:
    done = throughput(*options)
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: {message}\n")


def test_a_gpu_that_is_not_there_is_refused() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = throughput("--device", "cuda")
    assert done.returncode == 2
    message = "--device cuda: there must be a GPU that torch can use, but torch.cuda.is_available() is false. Leave it out."
    assert done.stderr.endswith(f"error: {message}\n")


def test_settings_are_read(part: Any) -> None:
    work = part("work")
    assert work.Settings.parse("processes:8+async") == work.Settings(processes=True, jobs=8, loader=False, asynchronous=True)
    for wrong in ("processes", "threads:0", "threads:two", "fibres:2", "threads:2+magic"):
        with pytest.raises(ValueError, match="^" + wrong.replace("+", "\\+") + "$"):
            work.Settings.parse(wrong)


def test_the_arithmetic_of_networks_is_that_of_their_layers(part: Any) -> None:
    floor = part("floor")
    assert floor.multiplications("mlp", {"layers": 2, "units": 50}, (1, 8, 8), 10) == [64 * 50, 50 * 50, 50 * 10]
    first, rest = 3200, 3000
    assert floor.trial_flops("mlp", {"layers": 2, "units": 50}, INFO, 3) == 3 * (1000 * (4 * first + 6 * rest) + 100 * 2 * (first + rest))
    cnn = {"conv_layers": 2, "channels": 4, "kernel_size": 3, "dense_units": 16}
    assert floor.multiplications("cnn", cnn, (1, 8, 8), 10) == [36 * 64, 144 * 16, 4 * 4 * 16, 160]


def test_the_steady_rate_counts_the_epochs_after_the_first_trials(part: Any) -> None:
    """One trial a second, of two epochs: 3600 an hour, however long the start took."""
    work, comparison = part("work"), part("comparison")
    trials = [work.Trained({}, 100.0 + n, [0.5, 0.6], [100.5 + n, 101.0 + n]) for n in range(40)]
    assert comparison.steady_per_hour(work.Answer(trials, 140.0)) == pytest.approx(3600)
    assert comparison.steady_per_hour(work.Answer(trials[:29], 129.0)) is None
    bunches = [work.Trained({}, 0.0, [0.5] * 4, [50.0 * (n // 20) + 10.0 * e for e in range(1, 5)]) for n in range(60)]
    assert comparison.steady_per_hour(work.Answer(bunches, 140.0)) == pytest.approx(3600 * 40 / 100)


def test_distributions_are_told_apart(part: Any) -> None:
    comparison = part("comparison")
    values = [n / 200 for n in range(200)]
    assert comparison.distributions(values, [value + 0.001 for value in values])["are_equal"]
    assert not comparison.distributions(values, [value + 0.2 for value in values])["are_equal"]


def test_ratios_are_of_pairs(part: Any) -> None:
    comparison = part("comparison")
    assert comparison.ratios([6.0, 8.0, 10.0], [1.0, 2.0, 2.0]) == {"median": 5.0, "low": 4.0, "high": 6.0, "pairs": 3}
    assert comparison.ratios([None], [1.0]) is None
