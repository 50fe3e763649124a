"""Every metric is that of scikit-learn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from automl.metrics import METRICS, default_objective, metrics_of, reported
from automl.training.losses import loss_of
from automl.training.metrics import measure

SAMPLES = st.integers(2, 40)
SEEDS = st.integers(0, 10**6)


def rounded(seed: int, *shape: int) -> np.ndarray:
    """Numbers with ties among them, as the area under the curve must stand them."""
    return np.random.default_rng(seed).normal(size=shape).round(1)


@given(SAMPLES, SEEDS)
@settings(max_examples=60, deadline=None)
def test_binary_metrics(samples: int, seed: int) -> None:
    logits, y = rounded(seed, samples), np.random.default_rng(seed + 1).integers(0, 2, samples)
    ours = measure("binary", metrics_of("binary"), torch.tensor(logits)[:, None], torch.tensor(y, dtype=torch.float32))
    called, probability = (logits > 0).astype(int), 1 / (1 + np.exp(-logits))
    check(ours, y, called, {"average": "binary"})
    assert ours["loss"] == pytest.approx(reference.log_loss(y, probability, labels=[0, 1]))
    if len(set(y)) == 2:
        assert ours["roc_auc"] == pytest.approx(reference.roc_auc_score(y, logits))
    else:
        assert math.isnan(ours["roc_auc"])


@given(SAMPLES, SEEDS, st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_multiclass_metrics(samples: int, seed: int, classes: int) -> None:
    logits, y = rounded(seed, samples, classes), np.random.default_rng(seed + 1).integers(0, classes, samples)
    ours = measure("multiclass", metrics_of("multiclass"), torch.tensor(logits), torch.tensor(y))
    probability = torch.tensor(logits).softmax(1).numpy()
    check(ours, y, logits.argmax(1), {"average": "macro"})
    assert ours["loss"] == pytest.approx(-np.log(probability[np.arange(samples), y]).mean())
    if len(set(y)) == classes and classes > 2:
        area = reference.roc_auc_score(y, probability, multi_class="ovr", average="macro", labels=range(classes))
        assert ours["roc_auc"] == pytest.approx(area, abs=1e-9)
    elif len(set(y)) < classes:
        assert math.isnan(ours["roc_auc"])


def check(ours: dict[str, float], y: np.ndarray, called: np.ndarray, options: dict[str, str]) -> None:
    assert ours["accuracy"] == pytest.approx(reference.accuracy_score(y, called))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted and not there
        assert ours["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(y, called))
    assert ours["precision"] == pytest.approx(reference.precision_score(y, called, zero_division=0, **options))
    assert ours["recall"] == pytest.approx(reference.recall_score(y, called, zero_division=0, **options))
    assert ours["f1"] == pytest.approx(reference.f1_score(y, called, zero_division=0, **options))


@given(SAMPLES, SEEDS, st.floats(0.01, 1000), st.floats(-1000, 1000))
@settings(max_examples=60, deadline=None)
def test_regression_metrics_are_in_the_units_of_the_target(samples: int, seed: int, scale: float, mean: float) -> None:
    """The model sees a standardised target; its loss is of that, everything else is not."""
    random = np.random.default_rng(seed)
    y, predicted = random.normal(size=samples), random.normal(size=samples)
    ours = measure("regression", metrics_of("regression"), torch.tensor(predicted)[:, None], torch.tensor(y), scale)
    raw, raw_predicted = y * scale + mean, predicted * scale + mean
    assert ours["loss"] == pytest.approx(reference.mean_squared_error(y, predicted))
    assert ours["mse"] == pytest.approx(reference.mean_squared_error(raw, raw_predicted))
    assert ours["rmse"] == pytest.approx(reference.root_mean_squared_error(raw, raw_predicted))
    assert ours["mae"] == pytest.approx(reference.mean_absolute_error(raw, raw_predicted))
    assert ours["r2"] == pytest.approx(reference.r2_score(raw, raw_predicted), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("naive", "skill"), [(4.0, 0.5), (2.0, 0.0), (1.0, -1.0), (0.0, math.nan), (math.nan, math.nan)])
def test_the_skill_of_a_forecast_is_what_it_saves_of_the_naive_error_whatever_the_units(naive: float, skill: float) -> None:
    outputs, y = torch.tensor([[2.0, 3.0], [0.0, -1.0]]), torch.tensor([[0.0, 1.0], [2.0, 1.0]])
    assert measure("regression", ("skill",), outputs, y, 7.0, naive)["skill"] == pytest.approx(skill, nan_ok=True)


def test_only_what_is_asked_for_is_measured() -> None:
    outputs, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    assert measure("multiclass", ("accuracy",), outputs, y) == {"accuracy": 0.5}
    assert list(measure("multiclass", ("recall", "loss"), outputs, y)) == ["loss", "recall"]


def test_measuring_rounds_no_more_than_float64() -> None:
    """A loss in float32 of many samples would differ with their order."""
    outputs, y = torch.randn(10_000, 3, generator=torch.Generator().manual_seed(0)), torch.arange(10_000) % 3
    order = torch.arange(9_999, -1, -1)
    assert measure("multiclass", ("loss",), outputs, y)["loss"] == pytest.approx(
        measure("multiclass", ("loss",), outputs[order], y[order])["loss"], rel=1e-13
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_two_classes_have_the_same_loss_with_one_logit_and_with_two(smoothing: float) -> None:
    logits, y = torch.tensor([1.5, -0.3, 0.2], dtype=torch.float64), torch.tensor([1, 0, 0])
    two = torch.stack([torch.zeros(3), logits], dim=1)
    assert float(loss_of("binary", logits[:, None], y.double(), smoothing)) == pytest.approx(
        float(loss_of("multiclass", two, y, smoothing)), rel=1e-6
    )


def test_every_metric_has_a_direction_and_the_usual_ones_are_objectives() -> None:
    for task in ("binary", "multiclass", "regression"):
        assert default_objective(task) in metrics_of(task)
        assert {*metrics_of(task), "skill"} == {"skill"} | {name for name, metric in METRICS.items() if task in metric.tasks}
    assert metrics_of("regression", forecasts=True) == (*metrics_of("regression"), "skill")
    assert [name for name, metric in METRICS.items() if not metric.maximize] == ["loss", "mse", "rmse", "mae"]


def test_losses_the_usual_metric_and_the_objective_are_reported() -> None:
    assert reported("binary", "roc_auc") == ("loss", "train_loss", "accuracy", "roc_auc")
    assert reported("multiclass", "accuracy") == ("loss", "train_loss", "accuracy")
    assert reported("regression", "loss") == ("loss", "train_loss", "rmse")
