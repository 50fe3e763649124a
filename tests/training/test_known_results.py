"""Networks reach what such networks are known to reach."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from automl import events, metrics
from automl.data import prepare
from automl.events import Configuration, Job, Reported, TrialKey, TrialSpec
from automl.spec import DataSpec
from automl.training import make_trainer

MNIST = Path(os.environ.get("AUTOML_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "image"


def train(folder: Path, source: str, model: str, configuration: Configuration, epochs: int, seed: int = 0) -> Mapping[str, float]:
    """What the best epoch reaches on the test split."""
    info = prepare(DataSpec(source), folder / "data")
    objective = metrics.default_objective(info.task)
    names = metrics.reported(info.task, objective)
    job = Job("s", model, str(folder / "data"), str(folder), objective, metrics.METRICS[objective].maximize, names)
    spec = TrialSpec(TrialKey("s", seed), job, configuration, seed, epochs)
    trainer = make_trainer("cpu", "worker", 1)
    trainer.start(spec)
    while news := trainer.advance():
        assert all(isinstance(event, events.Started | Reported | events.Finished) for event in news), news
    tested = trainer.test(spec)
    assert isinstance(tested, events.Tested)
    return tested.metrics


def test_an_mlp_reads_digits(tmp_path: Path) -> None:
    measured = train(tmp_path, "digits", "mlp", {"layers": 2, "units": 128, "batch_size": 32, "dropout": 0.2}, 20)
    assert measured["accuracy"] > 0.95


def test_a_cnn_reads_digits(tmp_path: Path) -> None:
    configuration = {"conv_layers": 2, "channels": 16, "dense_units": 64, "batch_size": 32, "learning_rate": 0.003}
    assert train(tmp_path, "digits", "cnn", configuration, 8)["accuracy"] > 0.93


def test_regression_beats_the_mean(tmp_path: Path) -> None:
    measured = train(tmp_path, "diabetes", "mlp", {"layers": 1, "units": 32, "learning_rate": 0.01}, 40)
    assert measured["r2"] > 0.3


def test_four_hidden_units_learn_xor_with_some_seed(tmp_path: Path) -> None:
    """The smallest network that can; not every seed finds the way."""
    configuration = {"layers": 1, "units": 4, "activation": "sigmoid", "learning_rate": 0.05, "batch_size": 4}
    reached = [train(tmp_path / str(seed), "xor", "mlp", configuration, 300, seed)["accuracy"] for seed in range(6)]
    assert max(reached) == 1.0


@pytest.mark.long
@pytest.mark.skipif(not (MNIST / "mnist").exists(), reason=f"MNIST is not in {MNIST}")
def test_an_mlp_reads_mnist_as_well_as_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """128 and 64 units, Adam, 5 epochs: about 0.977."""
    monkeypatch.setenv("AUTOML_DATA", str(MNIST))
    measured = train(tmp_path, "mnist", "mlp", {"layers": 2, "units_1": 128, "units_2": 64, "batch_size": 32}, 5)
    assert measured["accuracy"] == pytest.approx(0.977, abs=0.006)
