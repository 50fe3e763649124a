"""The training of one trial: data, model, optimiser and schedule in one place, an epoch at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from automl.events import TrialSpec, Value
from automl.families import complete
from automl.models import build
from automl.models.layers import Drop, keep_all
from automl.training.losses import loss_of
from automl.training.metrics import measure
from automl.training.optimisers import Optimiser
from automl.training.randomness import Dropout, key_at, permutation
from automl.training.samples import Samples, Split
from automl.training.schedules import factor
from automl.training.weights import initialised

_LOOKED_AT = 50  # steps after which the training loss is looked at: each look waits for the device
_CHECKPOINT_FORMAT = 1


class NotFiniteError(ArithmeticError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a configuration that every step of training needs (``automl.families.TRAINING`` says what they mean)."""

    learning_rate: float
    schedule: str
    warmup_epochs: float
    batch_size: int
    dropout: float
    label_smoothing: float
    l1: float
    clip_norm: float
    early_stopping: int
    bfloat16: bool

    @classmethod
    def of(cls, settings: Mapping[str, Value]) -> Self:
        """From a completed configuration."""

        def number(name: str) -> float:
            return float(settings[name] or 0)

        return cls(
            learning_rate=number("learning_rate"),
            schedule=str(settings["schedule"]),
            warmup_epochs=number("warmup_epochs"),
            batch_size=int(number("batch_size")),
            dropout=number("dropout"),
            label_smoothing=number("label_smoothing"),
            l1=number("l1"),
            clip_norm=number("clip_norm"),
            early_stopping=int(number("early_stopping")),
            bfloat16=settings["precision"] == "bfloat16",
        )


class Fit:
    """One trial in training. All its numbers are functions of the trial's specification, the data and the device's arithmetic.

    ``epoch`` is the last one that is trained, ``best`` the objective's best value and ``best_epoch`` where it was. The weights of
    that epoch are kept when they beat what the trial has to beat to be saved.
    """

    def __init__(self, trial: TrialSpec, samples: Samples, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.trial, self.samples, self.device, self.dtype = trial, samples, device, dtype
        self.settings = complete(trial.job.model, trial.configuration)
        self.recipe = Recipe.of(self.settings)
        info = samples.info
        self.module = build(trial.job.model, trial.configuration, info.input_shape, info.outputs)
        self.weights, self.gradients = initialised(self.module, trial.seed, device, dtype)
        self.optimiser = Optimiser(self.settings, self.weights)
        self.batch_size = min(self.recipe.batch_size, len(samples.train))
        self.steps_per_epoch = math.ceil(len(samples.train) / self.batch_size)
        self.dropout = Dropout(trial.seed, self.recipe.dropout, self.batch_size) if self.recipe.dropout else None
        self.autocast = self.recipe.bfloat16 and device.type == "cuda"
        self.epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self._best_state: list[Tensor] | None = None

    # training

    def train_epoch(self) -> float:
        """Train one epoch and return its mean training loss. Raises NotFiniteError soon after the loss is no longer a finite number."""
        self.module.train()
        train = self.samples.train
        order = permutation(key_at(self.trial.seed, "shuffle", self.epoch), len(train), self.device)
        losses: list[Tensor] = []
        for inputs, targets in train.batches(order, self.batch_size):
            losses.append(self._step(inputs, targets, self.epoch * self.steps_per_epoch + len(losses)))
            if len(losses) % _LOOKED_AT == 0:
                _check(torch.stack(losses[-_LOOKED_AT:]))
        self.epoch += 1
        return self._mean(losses)

    def _mean(self, losses: list[Tensor]) -> float:
        """The mean over the samples: the last batch counts for as many as it has."""
        values = torch.stack(losses).double()
        _check(values)
        last = len(self.samples.train) - (len(losses) - 1) * self.batch_size
        total = (values.sum() - values[-1]) * self.batch_size + values[-1] * last
        return float(total / len(self.samples.train))

    def _step(self, inputs: Tensor, targets: Tensor, number: int) -> Tensor:
        """One step of the optimiser; returns the loss, without penalties, as it was before the step."""
        recipe = self.recipe
        if self.dropout:
            self.dropout.step = number
        loss = loss_of(self.samples.info.task, self._outputs(inputs, self.dropout or keep_all), targets, recipe.label_smoothing)
        self.gradients.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.l1:
            self.gradients.add_(self.weights.sign(), alpha=recipe.l1)
        if recipe.clip_norm:
            self.gradients.mul_((recipe.clip_norm / (self.gradients.norm() + 1e-6)).clamp(max=1))
        moved = factor(recipe.schedule, number, self.steps_per_epoch, self.trial.epochs, recipe.warmup_epochs)
        self.optimiser.step(self.gradients, recipe.learning_rate * moved)
        return loss.detach()

    def _outputs(self, inputs: Tensor, drop: Drop = keep_all) -> Tensor:
        if self.autocast:
            with torch.autocast("cuda", dtype=torch.bfloat16):
                return self.module(inputs, drop).to(self.dtype)  # type: ignore[no-any-return]
        return self.module(inputs, drop)  # type: ignore[no-any-return]

    # measuring

    def measure(self, split: Split, names: Sequence[str]) -> dict[str, float]:
        """These metrics of a split, with the weights as they are now; NaN where one is not defined."""
        outputs = predict(self.module, split, self._outputs)
        info = self.samples.info
        return measure(info.task, names, outputs, split.targets, info.target_scale)

    def note_objective(self, value: float) -> None:
        """Remember the value of the epoch just trained and, where it is the best so far and can be wanted, its weights."""
        if self.best is not None and not self._is_better(value, self.best):
            return
        self.best, self.best_epoch = value, self.epoch
        self._best_state = [tensor.clone() for tensor in self._state] if self.beats(self.trial.save_if_beats) else None

    def _is_better(self, a: float, b: float) -> bool:
        return a > b if self.trial.job.maximize else a < b

    def beats(self, value: float | None) -> bool:
        """Whether the best epoch so far is better than this (None: always)."""
        return self.best is not None and (value is None or self._is_better(self.best, value))

    @property
    def is_at_its_end(self) -> bool:
        return self.epoch >= self.trial.epochs or self.stops_early

    @property
    def stops_early(self) -> bool:
        """Whether the objective has not improved for as many epochs as ``early_stopping`` allows."""
        patience = self.recipe.early_stopping
        return patience > 0 and self.epoch < self.trial.epochs and self.epoch - self.best_epoch >= patience

    @property
    def _state(self) -> list[Tensor]:
        """All that training changes in the model: its weights and, for batch normalisation, its running statistics."""
        return [self.weights, *self.module.buffers()]

    def best_module(self) -> nn.Module:
        """The model with the weights of its best epoch; training cannot go on after this."""
        for tensor, best in zip(self._state, self._best_state or (), strict=bool(self._best_state)):
            tensor.copy_(best)
        return self.module

    # going on after an interruption

    def checkpoint(self) -> dict[str, Any]:
        """All that ``restore`` needs, as tensors and plain values. Valid until the next step."""
        return {
            "format": _CHECKPOINT_FORMAT,
            "meaning": self._meaning,
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_state": self._best_state,
            "state": self._state,
            "optimiser": self.optimiser.state,
        }

    def restore(self, checkpoint: dict[str, Any]) -> bool:
        """Go on from a checkpoint of the same trial.

        False, and nothing changes, when it is of another or lacks weights that are wanted now.
        """
        if checkpoint.get("format") != _CHECKPOINT_FORMAT or checkpoint.get("meaning") != self._meaning:
            return False
        bar = self.trial.save_if_beats
        if checkpoint["best_state"] is None and (bar is None or self._is_better(checkpoint["best"], bar)):
            return False
        for tensor, saved in zip(self._state, checkpoint["state"], strict=True):
            tensor.copy_(saved)
        for name, tensor in self.optimiser.state.items():
            tensor.copy_(checkpoint["optimiser"][name])
        self.epoch, self.best, self.best_epoch = checkpoint["epoch"], checkpoint["best"], checkpoint["best_epoch"]
        self._best_state = checkpoint["best_state"]
        return True

    @property
    def _meaning(self) -> str:
        """Everything that the numbers of the trial depend on."""
        trial, info = self.trial, self.samples.info
        parts = [trial.job.model, trial.job.objective, trial.seed, trial.epochs, info.fingerprint, str(self.dtype), self.settings]
        return json.dumps(parts, sort_keys=True)


def predict(module: nn.Module, split: Split, outputs_of: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """The outputs of a model for all samples of a split, ``[samples, outputs]``."""
    module.eval()
    rows = _rows_at_once(split)
    with torch.inference_mode():
        return torch.cat([(outputs_of or module)(inputs) for inputs in split.in_order(rows)])


def _rows_at_once(split: Split) -> int:
    """Enough rows to keep the device busy, few enough for the maps of a wide convolution to fit."""
    if split.inputs.dim() > 2:
        return 128 if split.inputs.device.type == "cpu" else 2048
    return 4096 if split.inputs.device.type == "cpu" else 65536


def _check(losses: Tensor) -> None:
    if not bool(losses.isfinite().all()):
        raise NotFiniteError
