"""Trials to train, for tests of trainers: small data, studies of them, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from automl import metrics
from automl.data import DataInfo, Task, load, read_info
from automl.events import (
    Configuration,
    Job,
    Reported,
    TrialKey,
    TrialSpec,
    WorkerEvent,
)
from automl.training import Trainer
from automl.training.course import Course
from automl.training.fit import Fit
from automl.training.lanes.compiled import CompiledGroup
from automl.training.lanes.group import Group
from automl.training.lanes.stacked import StackedGroup
from automl.training.samples import read_samples

EPOCHS = 4
SAMPLES = 65  # so that batches of 16 and 32 leave a last batch of one sample

PLAIN: Configuration = {"layers": 1, "units": 8, "batch_size": 16, "learning_rate": 0.01}
VARIETY: Mapping[str, Configuration] = {
    "plain": PLAIN,
    "deep": {**PLAIN, "layers": 3, "units_1": 12, "units_2": 5, "units_3": 9, "activation": "tanh"},
    "linear": {**PLAIN, "layers": 0},
    "dropout": {**PLAIN, "layers": 2, "dropout": 0.4, "label_smoothing": 0.1},
    "batch_norm": {**PLAIN, "layers": 2, "normalization": "batch"},
    "layer_norm": {**PLAIN, "layers": 2, "normalization": "layer", "activation": "gelu"},
    "momentum": {**PLAIN, "optimizer": "sgd", "momentum": 0.9, "schedule": "step", "l2": 0.01},
    "nesterov": {**PLAIN, "optimizer": "sgd", "momentum": 0.8, "nesterov": True, "schedule": "cosine"},
    "sgd": {**PLAIN, "optimizer": "sgd", "learning_rate": 0.1, "warmup_epochs": 1.5, "clip_norm": 0.3},
    "rmsprop": {**PLAIN, "optimizer": "rmsprop", "momentum": 0.5, "l2": 0.001, "l1": 0.0001},
    "adamw": {**PLAIN, "optimizer": "adamw", "l2": 0.1, "schedule": "one_cycle", "beta1": 0.8, "beta2": 0.99},
    "clipped": {**PLAIN, "clip_norm": 0.1, "l1": 0.001, "batch_size": 7},
    "whole": {**PLAIN, "batch_size": 1000},
}
PICTURES: Mapping[str, Configuration] = {
    "cnn": {"conv_layers": 2, "channels": 3, "dense_units": 6, "batch_size": 16, "learning_rate": 0.01},
    "cnn_batch_norm": {"channels_1": 4, "channels_2": 2, "dense_units": 5, "batch_size": 32, "normalization": "batch", "dropout": 0.3},
    "cnn_layer_norm": {
        "conv_layers": 1,
        "channels": 3,
        "kernel_size": 2,
        "dense_units": 0,
        "normalization": "layer",
        "pooling": "average",
        "dropout": 0.2,
    },
}


def prepare(
    folder: Path, task: Task, shape: tuple[int, ...] = (5,), samples: int = SAMPLES, shared: bool = False, steps: int = 1
) -> DataInfo:
    """Write small prepared data that can be learnt: the targets are sums of inputs, with some noise. ``steps``: of a forecast."""
    random = np.random.default_rng(len(shape))
    outputs = 3 if task == "multiclass" else steps
    info = DataInfo(
        name="synthetic",
        task=task,
        input_shape=shape,
        outputs=outputs,
        classes=() if task == "regression" else ("a", "b", "c")[: max(2, outputs)],
        sizes={"train": samples, "validation": 24, "test": 24},
        target_mean=10.0 if task == "regression" else 0.0,
        target_scale=4.0 if task == "regression" else 1.0,
        shared_splits=shared,
        naive=dict.fromkeys(("validation", "test"), 0.5) if steps > 1 else {},
        fingerprint=f"{task}{shape}{samples}",
        kind="pictures" if len(shape) == 3 else "features",
    )
    folder.mkdir(parents=True)
    for split, count in info.sizes.items():
        random = np.random.default_rng(0) if shared else random
        x = random.normal(size=(samples if shared else count, *shape)).astype(np.float32)
        flat = x.reshape(len(x), -1)
        score = flat[:, 0] - flat[:, 1] + 0.1 * random.normal(size=len(x))
        if task == "regression":
            y = score.astype(np.float32) if steps == 1 else np.outer(score, np.arange(1, steps + 1)).astype(np.float32)
        else:
            y = np.digitize(score, [-0.5, 0.5] if task == "multiclass" else [0.0]).astype(np.int64)
        np.save(folder / f"x_{split}.npy", x)
        np.save(folder / f"y_{split}.npy", y)
    (folder / "info.json").write_text(json.dumps(asdict(info)))
    return info


def job(folder: Path, task: Task = "multiclass", model: str = "mlp", **data: object) -> Job:
    """A study of prepared data, which are written at its first use, with everything measured at every epoch."""
    where = folder / f"data-{task}-{model}-{'-'.join(str(value) for value in data.values())}"
    if not where.exists():
        prepare(where, task, (1, 6, 6) if model == "cnn" else (5,), **data)  # type: ignore[arg-type]
    objective = metrics.default_objective(task)
    names = ("train_loss", *metrics.metrics_of(task, forecasts="steps" in data))
    return Job("study", model, str(where), str(folder / "study"), objective, metrics.METRICS[objective].maximize, names)


FOLDS = 3
FOLDED: Mapping[str, Configuration] = {
    "deep": VARIETY["deep"],
    "dropout": VARIETY["dropout"],
    "batch_norm": VARIETY["batch_norm"],
    "whole": {**PLAIN, "batch_size": 1000},
}


def folded_job(folder: Path, task: Task, layout: str, model: str = "mlp") -> Job:
    """A study in three folds of 22, 22 and 21 samples. ``layout``: ``pool``, as pictures lie; ``apart``, as tables do, each fold with
    inputs and a scale of its own; ``wider``, where the last fold has a column more."""
    study = job(folder, task, model)
    pooled, info = folder / f"folds-{task}-{model}-{layout}", read_info(Path(study.data))
    x, y = (np.load(Path(study.data) / f"{axis}_train.npy") for axis in "xy")
    fold = np.arange(SAMPLES) % FOLDS
    if layout == "pool":
        own = {"pool": (x, y), "test": (x[:24], y[:24])}
        _write_fold(pooled, replace(info, sizes={"train": 43, "validation": 22, "test": 24}, folds=FOLDS), own)
        np.save(pooled / "fold.npy", fold)
        return replace(study, data=str(pooled))
    for number in range(FOLDS):
        wide = np.concatenate([x, x[:, :1]], axis=1) if layout == "wider" and number == 2 else x * (1 + number)
        split = {"train": (wide[fold != number], y[fold != number]), "validation": (wide[fold == number], y[fold == number])}
        sizes = {"train": int((fold != number).sum()), "validation": int((fold == number).sum()), "test": 24}
        scale = 4.0 + number if task == "regression" else 1.0
        own_info = replace(info, sizes=sizes, folds=FOLDS, target_scale=scale, input_shape=wide.shape[1:])
        _write_fold(pooled / f"fold_{number}" if number else pooled, own_info, {**split, "test": (wide[:24], y[:24])})
    return replace(study, data=str(pooled))


def _write_fold(folder: Path, info: DataInfo, arrays: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    folder.mkdir(parents=True)
    for name, (x, y) in arrays.items():
        np.save(folder / f"x_{name}.npy", x)
        np.save(folder / f"y_{name}.npy", y)
    (folder / "info.json").write_text(json.dumps(asdict(info)))


def one_fold_alone(folder: Path, spec: TrialSpec) -> TrialSpec:
    """The same training on data that hold nothing but its fold, without any folds."""
    info, arrays = load(Path(spec.job.data), spec.key.replicate % FOLDS)
    _write_fold(folder, replace(info, folds=1), arrays)
    return replace(spec, job=replace(spec.job, data=str(folder)))


def trial(study: Job, configuration: Configuration, number: int = 0, epochs: int = EPOCHS) -> TrialSpec:
    return TrialSpec(TrialKey(study.study, number), study, configuration, seed=1000 + number, epochs=epochs)


def finish(trainer: Trainer) -> list[WorkerEvent]:
    """Train until nothing is left to train."""
    events: list[WorkerEvent] = []
    while news := trainer.advance():
        events += news
    return events


def continued(spec: TrialSpec) -> Fit:
    """A fit of four epochs on the CPU, which goes on from the checkpoint of another one after two of them.

    It is held to the law of continuations: its losses and its weights are, to the bit, those of a fit that was never interrupted.
    """
    device = torch.device("cpu")
    samples = read_samples(spec.job.data, device)
    whole, first, second = (Fit(spec, samples, device) for _ in range(3))
    losses = [whole.train_epoch() for _ in range(4)]
    assert [first.train_epoch() for _ in range(2)] == losses[:2]
    first.note_objective(0.5)
    assert second.restore(first.checkpoint())
    assert [second.train_epoch() for _ in range(2)] == losses[2:]
    assert torch.equal(whole.weights, second.weights)
    return second


def of(events: Iterable[WorkerEvent], spec: TrialSpec) -> list[WorkerEvent]:
    return [event for event in events if event.key == spec.key]


def curve(events: Iterable[WorkerEvent], spec: TrialSpec) -> dict[int, dict[str, float]]:
    """What the trial reported, by epoch."""
    return {event.epoch: dict(event.metrics) for event in of(events, spec) if isinstance(event, Reported)}


def kinds(events: Iterable[WorkerEvent]) -> list[type[WorkerEvent]]:
    return [type(event) for event in events]


class ScarceMemory:
    """A device on which no more than ``most`` samples go through a network at once, from epoch ``first_epoch`` (from 0) on.

    ``only_layers``: only networks of so many layers are meant.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int, first_epoch: int = 0, only_layers: int = 0) -> None:
        self.refused = 0
        outputs = Fit._outputs

        def check(samples: int, courses: Sequence[Course]) -> None:
            for course in courses:
                is_meant = not only_layers or course.settings["layers"] == only_layers
                if samples > most and is_meant and course.epoch >= first_epoch:
                    self.refused += 1
                    raise torch.OutOfMemoryError(f"no room for {samples} samples")

        def outputs_of_few(fit: Fit, inputs: torch.Tensor, *more: Any) -> torch.Tensor:
            check(len(inputs), [fit.course] if fit.module.training else [])
            return outputs(fit, inputs, *more)

        def of_few(train: Callable[[Any], list[float]]) -> Callable[[Any], list[float]]:
            def train_few(group: Group) -> list[float]:
                check(group.rows, [lane.course for lane in group.lanes])
                return train(group)

            return train_few

        monkeypatch.setattr(Fit, "_outputs", outputs_of_few)
        for kind in (StackedGroup, CompiledGroup):
            monkeypatch.setattr(kind, "train_epoch", of_few(kind.train_epoch))
