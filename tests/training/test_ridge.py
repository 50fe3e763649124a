"""Training begins at a ridge regression: that which others solve, beside hidden layers that add nothing yet."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from automl import data
from automl.events import Configuration, Job, TrialSpec
from automl.models import build
from automl.models.mlp import MLP
from automl.spec import DataSpec
from automl.training import ridge
from automl.training.fit import Fit, predict
from automl.training.lanes.trainer import LaneTrainer
from automl.training.samples import Samples, Split, read_samples
from automl.training.solo import SoloTrainer
from contracts.training import PLAIN, continued, curve, finish, job, trial

CPU = torch.device("cpu")
PENALTY = 0.05


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A study of windows of 8 drawn months, the next 3 to forecast."""
    folder = tmp_path_factory.mktemp("months")
    data.prepare(DataSpec("seasons", horizon=3, window=8), folder / "data")
    return Job("study", "mlp", str(folder / "data"), str(folder / "study"), "rmse", False, ("train_loss", "rmse"))


def begin(spec: TrialSpec) -> Fit:
    return Fit(spec, read_samples(spec.job.data, CPU, torch.float64), CPU, torch.float64)


def every(split: Split) -> Tensor:
    return torch.cat(list(split.in_order(100)))


def solved(samples: Samples, instance_norm: str) -> Tensor:
    """What scikit-learn's regression says of the validation split; each window counts by the square of its scale, as its errors do."""

    def parts(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = x.flatten(1).double()
        middle = {"none": torch.zeros(len(x), 1), "last": x[:, -1:]}.get(instance_norm, x.mean(1, keepdim=True))
        scale = torch.ones(len(x), 1)
        if instance_norm == "standard":
            scale = (x.var(1, correction=0, keepdim=True) + 1e-4).sqrt()
        return (x - middle) / scale, middle, scale

    x, middle, scale = parts(every(samples.train))
    y = samples.train.targets.view(len(x), -1).double()
    model = Ridge(PENALTY * len(x)).fit(x, (y - middle) / scale, sample_weight=scale[:, 0].square())
    given, at, by = parts(every(samples.validation))
    return torch.from_numpy(model.predict(given)).view(len(given), -1) * by + at


@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize("instance_norm", ["none", "last", "mean", "standard"])
def test_a_forecast_begins_as_the_ridge_regression_of_others(months: Job, instance_norm: str, layers: int) -> None:
    fit = begin(trial(months, {**PLAIN, "layers": layers, "instance_norm": instance_norm, "ridge": PENALTY, "dropout": 0.4}))
    found = predict(fit.module, fit.samples.validation)
    assert found.shape == (len(fit.samples.validation), 3)
    assert torch.allclose(found, solved(fit.samples, instance_norm), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("layers", [0, 2])
def test_so_does_the_regression_of_a_table(tmp_path: Path, layers: int) -> None:
    fit = begin(trial(job(tmp_path, "regression"), {"layers": layers, "ridge": PENALTY, "normalization": "batch"}))
    assert torch.allclose(predict(fit.module, fit.samples.validation), solved(fit.samples, "none"), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("layers", [0, 2])
def test_all_weights_train(months: Job, layers: int) -> None:
    fit = begin(trial(months, {"layers": layers, "instance_norm": "last", "ridge": PENALTY, "batch_size": 64, "learning_rate": 1e-3}))
    before = {name: weight.clone() for name, weight in fit.module.named_parameters()}
    losses = [fit.train_epoch() for _ in range(3)]
    assert losses[-1] < losses[0]
    assert all(not torch.equal(weight, before[name]) for name, weight in fit.module.named_parameters())


def test_the_size_of_the_map_beside_the_layers_is_counted(months: Job) -> None:
    """And its name is stable: it is in every ``weights.pt``."""
    from automl.families import cost_of

    inputs = read_samples(months.data, CPU).info.inputs
    for layers, names in ((0, []), (1, ["hidden.0.weight", "hidden.0.bias"])):
        settings: Configuration = {"layers": layers, "units": 5, "ridge": PENALTY}
        module = build("mlp", settings, inputs, 3)
        shortcut = ["shortcut.weight"] if layers else []
        assert list(module.state_dict()) == [*names, "output.weight", "output.bias", *shortcut]
        cost = cost_of("mlp", settings, inputs, 3)
        assert cost.parameters == sum(weight.numel() for weight in module.parameters())
        assert cost.multiply_adds == sum(weight.numel() for weight in module.parameters() if weight.dim() == 2)


def test_columns_that_say_the_same_are_solved(tmp_path: Path) -> None:
    """Even with hardly a penalty: of all regressions that are as good the smallest is taken."""
    samples = read_samples(job(tmp_path, "regression").data, CPU, torch.float64)
    x = samples.train.inputs.clone()
    x[:, 1] = x[:, 0]
    x[:, 2] = 0
    samples = replace(samples, train=replace(samples.train, inputs=x))
    module = Fit(trial(job(tmp_path, "regression"), {"layers": 0, "ridge": 1e-300}), samples, CPU, torch.float64).module
    assert isinstance(module, MLP)
    weight = module.output.weight[0].detach()
    assert weight.isfinite().all()
    assert float(weight[0]) == pytest.approx(float(weight[1]))
    assert float(weight[2]) == pytest.approx(0, abs=1e-9)


def test_of_many_samples_every_nth_is_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = job(tmp_path, "regression")
    spec = trial(study, {"layers": 0, "ridge": PENALTY})
    monkeypatch.setattr(ridge, "_MOST_SAMPLES", 40)  # of 65
    some, samples = begin(spec), read_samples(study.data, CPU, torch.float64)
    x, y = every(samples.train)[::2], samples.train.targets[::2]
    model = Ridge(PENALTY * len(x)).fit(x, y)
    assert torch.allclose(some.weights[:5], torch.from_numpy(model.coef_).double(), rtol=1e-6, atol=1e-8)


def test_it_trains_alone_beside_lanes(tmp_path: Path) -> None:
    study = job(tmp_path, "regression", steps=3)
    specs = [trial(study, {**PLAIN, "layers": 1, "ridge": number * PENALTY}, number) for number in range(4)]
    lanes = LaneTrainer("cpu", "worker", 4, dtype=torch.float64, checkpoint_seconds=math.inf)
    solo = SoloTrainer("cpu", "reference", dtype=torch.float64, checkpoint_seconds=math.inf)
    for spec in specs:
        lanes.start(spec)
        solo.start(spec)
    events = lanes.advance()
    assert [len(group.lanes) for _, group in lanes._groups] in ([], [1])  # that without a penalty
    events, reference = [*events, *finish(lanes)], finish(solo)
    for spec in specs[1:]:
        assert curve(events, spec) == curve(reference, spec)


def test_a_continuation_ends_with_the_same_bits(months: Job) -> None:
    configuration = {"layers": 1, "units": 8, "instance_norm": "last", "ridge": PENALTY, "batch_size": 64, "optimizer": "adamw"}
    continued(trial(months, configuration))


def test_best_weights_make_the_same_forecast_again(months: Job) -> None:
    """In a network that is built anew, and knows nothing of the samples."""
    spec = trial(months, {"layers": 1, "units": 8, "instance_norm": "standard", "ridge": PENALTY})
    fit = Fit(spec, read_samples(months.data, CPU), CPU)
    fit.train_epoch()
    again = build("mlp", spec.configuration, fit.samples.info.inputs, 3).to_empty(device=CPU)
    again.load_state_dict(fit.module.state_dict())
    assert torch.equal(predict(again, fit.samples.test), predict(fit.module, fit.samples.test))
