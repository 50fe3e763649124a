"""One trial in training does what a plain loop with torch's own parts does."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from automl.data import Task
from automl.events import Configuration, TrialSpec
from automl.models import build
from automl.training.fit import Fit
from automl.training.losses import loss_of
from automl.training.outcomes import NotFiniteError
from automl.training.randomness import Dropout, key_at, permutation
from automl.training.samples import Samples, read_samples
from automl.training.weights import initialised
from contracts.training import PLAIN, continued, job, trial

CPU = torch.device("cpu")


def begin(spec: TrialSpec) -> Fit:
    return Fit(spec, read_samples(spec.job.data, CPU, torch.float64), CPU, torch.float64)


def plain_loop(spec: TrialSpec, samples: Samples, epochs: int) -> dict[str, torch.Tensor]:
    """Adam with weight decay, cosine schedule, L1 through autograd, torch's clipping, the last partial batch kept."""
    values, info = spec.configuration, samples.info
    module = build(spec.job.model, values, info.input_shape, info.outputs)
    initialised(module, spec.seed, dtype=torch.float64)
    parameters = [nn.Parameter(weight.detach().clone()) for weight in module.parameters()]
    names = [name for name, _ in module.named_parameters()]
    optimizer = torch.optim.Adam(parameters, lr=values["learning_rate"], weight_decay=values["l2"])
    steps = math.ceil(len(samples.train) / values["batch_size"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps * spec.epochs)
    dropout = Dropout(spec.seed, values["dropout"], values["batch_size"])
    for epoch in range(epochs):
        order = permutation(key_at(spec.seed, "shuffle", epoch), len(samples.train))
        for chosen in order.split(values["batch_size"]):
            outputs = torch.func.functional_call(
                module, dict(zip(names, parameters, strict=True)), (samples.train.inputs[chosen].double(), dropout)
            )
            penalty = values["l1"] * sum(weight.abs().sum() for weight in parameters)
            optimizer.zero_grad()
            (loss_of(info.task, outputs, samples.train.targets[chosen], values["label_smoothing"]) + penalty).backward()
            nn.utils.clip_grad_norm_(parameters, values["clip_norm"])
            optimizer.step()
            schedule.step()
            dropout.step += 1
    return dict(zip(names, [weight.detach() for weight in parameters], strict=True))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_training_is_the_plain_loop(tmp_path: Path, task: Task) -> None:
    everything: Configuration = {
        **{"layers": 2, "units": 6, "dropout": 0.3, "batch_size": 16, "learning_rate": 0.01, "schedule": "cosine"},
        **{"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.2, "label_smoothing": 0.1},
    }
    spec = trial(job(tmp_path, task), everything)
    fit = begin(spec)
    fit.train_epoch()
    fit.train_epoch()
    expected = plain_loop(spec, fit.samples, epochs=2)
    for name, weight in fit.module.named_parameters():
        assert torch.allclose(weight.detach(), expected[name], rtol=1e-10, atol=1e-12), name


def test_the_training_loss_is_the_mean_over_the_samples(tmp_path: Path) -> None:
    """At a standstill it is the loss of the training split, the last batch of one sample counting as one sample."""
    fit = begin(trial(job(tmp_path), {**PLAIN, "learning_rate": 1e-300}))
    assert fit.train_epoch() == pytest.approx(fit.measure(fit.samples.train, ("loss",))["loss"], rel=1e-12)


def test_every_epoch_has_an_order_of_its_own(tmp_path: Path) -> None:
    spec = trial(job(tmp_path), PLAIN)
    first, second = (permutation(key_at(spec.seed, "shuffle", epoch), 65) for epoch in (0, 1))
    assert not torch.equal(first, second)


def test_a_loss_that_is_no_number_is_noticed_within_the_epoch(tmp_path: Path) -> None:
    fit = begin(trial(job(tmp_path), {**PLAIN, "batch_size": 1}))
    fit.weights.fill_(math.nan)
    with pytest.raises(NotFiniteError):
        fit.train_epoch()
    assert fit.optimiser.state["steps"] < len(fit.samples.train)


def test_bytes_are_scaled_as_they_are_used(tmp_path: Path) -> None:
    """Pictures stay bytes in memory and give the numbers that the same pictures give as floats."""
    study = job(tmp_path, model="cnn")
    info = (Path(study.data) / "info.json").read_text()
    losses = []
    for kind, scale in ((np.uint8, "0.25"), (np.float32, "1.0")):
        for split in ("train", "validation", "test"):
            random = np.random.default_rng(len(split))
            x = random.integers(0, 255, (len(np.load(Path(study.data) / f"y_{split}.npy")), 1, 6, 6))
            np.save(Path(study.data) / f"x_{split}.npy", (x * (1 if kind is np.uint8 else 0.25)).astype(kind))
        (Path(study.data) / "info.json").write_text(info.replace('"input_scale": 1.0', f'"input_scale": {scale}'))
        fit = begin(trial(study, {"batch_size": 16, "channels": 2, "dense_units": 3}))
        assert fit.samples.train.inputs.dtype == (torch.uint8 if kind is np.uint8 else torch.float32)
        losses.append((fit.train_epoch(), fit.measure(fit.samples.validation, ("loss",))))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("size", [1, 7, 16, 65, 200])
def test_batches_hold_every_sample_once_and_keep_the_rest(tmp_path: Path, size: int) -> None:
    train = read_samples(job(tmp_path).data, CPU).train
    order = permutation(5, len(train))
    inputs, targets = zip(*train.batches(order, size), strict=True)
    assert [len(batch) for batch in targets] == [min(size, 65 - start) for start in range(0, 65, size)]
    assert torch.equal(torch.cat(inputs), train.inputs[order])
    assert torch.equal(torch.cat(targets), train.targets[order])


def test_a_continuation_in_float32_ends_with_the_same_bits(tmp_path: Path) -> None:
    study = job(tmp_path, model="cnn")
    spec = trial(
        study, {"channels": 3, "dense_units": 4, "batch_size": 16, "normalization": "batch", "dropout": 0.3, "schedule": "one_cycle"}
    )
    course = continued(spec).course
    assert (course.best, course.best_epoch) == (0.5, 2)
