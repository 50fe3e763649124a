"""The benchmark of whole studies runs, on both sides, and its figures are what they say."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from automl import spacefile
from automl.data import DataInfo, prepare
from automl.spec import DataSpec

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
INFO = DataInfo("digits", "multiclass", (1, 8, 8), 10, (), {"train": 1000, "validation": 100, "test": 1}, kind="pictures")


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


@pytest.mark.long
def test_a_tracked_study_on_both_sides_and_a_contender_that_is_not_there() -> None:
    """Two trials each: the same shape of answer as from thousands."""
    small = ("--trials", "2", "--epochs", "2", "--pairs", "1", "--settings", "processes:2+async")
    done = throughput(*small, "--ray-python", "/bin/false", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["tracked"]
    assert set(result["contenders"]) == {"automl", "optuna"}
    assert all(each["trials"] == 2 and 0 < each["startup_seconds"] < each["wall_seconds"] for each in result["runs"])
    assert all(0 < row["floor_share"] < 1 for row in result["contenders"].values())
    assert result["ratios"]["optuna"]["with_startup"]["pairs"] == 1
    assert result["ratios"]["optuna"]["steady"] is None
    assert result["accuracies"]["optuna"]["are_equal"]
    how = "Install them (pip install 'ray[tune]' mlflow torch), or give --ray-python."
    why = f"/bin/false: must have Ray and MLflow, but it does not start. {how}"
    assert result["left_out"] == {"ray": why}
    assert f"ray is left out: {why}" in done.stderr


def test_a_peer_without_tracking_in_threads(tmp_path: Path, part: Any) -> None:
    prepare(DataSpec("digits"), tmp_path / "data")
    parameters = [
        {"name": "batch_size", "type": "categorical", "choices": [64, 128], "when": []},
        {"name": "units", "type": "int", "low": 16, "high": 32, "log": False, "when": []},
        {"name": "momentum", "type": "float", "low": 0.5, "high": 0.9, "log": False, "when": [["optimizer", "in", ["sgd"]]]},
    ]
    fixed = {"layers": 1, "dropout": 0.1, "learning_rate": 0.01, "l2": 0.0}
    work = part("work").Work(str(tmp_path), str(tmp_path / "data"), "mlp", parameters, fixed, 3, 2, 0, None, "cpu", "threads:2+loader")
    script = BENCHMARKS / "throughput_parts" / "optuna_mlflow.py"
    subprocess.run([sys.executable, str(script), str(work.write())], check=True, cwd=tmp_path)
    trials = part("work").Answer.read(tmp_path).trials
    assert [len(trial.ends) for trial in trials] == [2, 2, 2]
    assert all(trial.started <= trial.ends[0] <= trial.ends[1] and trial.best > 0.1 for trial in trials)
    assert all(trial.configuration.keys() == {*fixed, "batch_size", "units"} for trial in trials)


def test_the_trainer_of_lanes_by_itself(
    tmp_path: Path, part: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six lanes, two of which stay. Nothing of this size says anything about speed, so targets may be missed."""
    lanes, benchmark = part("lanes"), importlib.import_module("throughput")
    monkeypatch.setattr(lanes, "LANES", 6)
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    info = prepare(DataSpec("digits"), tmp_path / "data")
    (tmp_path / "space.yaml").write_text(benchmark.SPACES["digits"])
    space = spacefile.load(tmp_path / "space.yaml").space
    mixed = lanes.mixed(space, info, tmp_path / "data", tmp_path, "cpu", 1, 1)
    freed = lanes.freed(16, tmp_path / "data", tmp_path, "cpu", 1)
    assert mixed["share"] == pytest.approx(mixed["mixed_per_second"] / mixed["equal_per_second"])
    assert (freed["trials"], freed["left"]) == (6, 2)
    assert freed["used"] == pytest.approx((1 - freed["epoch_seconds_after"] / freed["epoch_seconds_before"]) * 1.5)
    benchmark.print_lanes({"mixed": mixed, "freed": [freed]})
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[:2]] == ["mixed networks", "6 trials of 2 x 16, then 2"]


def test_equal_networks_have_the_arithmetic_of_the_mixed_ones(part: Any) -> None:
    lanes, floor = part("lanes"), part("floor")
    mixed = [{"layers": 1 + n % 3, "units": 32 + 10 * n, "batch_size": 32} for n in range(20)]
    of = [[sum(floor.multiplications("mlp", v, (1, 8, 8), 10)) for v in side] for side in (mixed, lanes.equal_configurations(mixed, INFO))]
    assert sum(of[1]) == pytest.approx(sum(of[0]), rel=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--peers", "hyperopt"], "--peers: must be names out of optuna, ray, but 'hyperopt' was given. Leave it out for all."),
        (["--settings", "fast"], "--settings: must read like threads:2 or processes:2+async, but 'fast' was given. Leave it out."),
        (["--pairs", "0"], "--trials, --peer-trials, --epochs and --pairs: must be at least 1, but less was given. Leave them out."),
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
