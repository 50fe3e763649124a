"""How one trial is trained and how far it has come: plain numbers, whatever does the arithmetic."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from automl.data import DataInfo
from automl.events import TrialSpec, Value
from automl.families import complete
from automl.metrics import improves
from automl.training.schedules import factor

_CHECKPOINT_FORMAT = 2


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
    class_weights: str

    @classmethod
    def of(cls, settings: Mapping[str, Value]) -> Self:
        """From a completed configuration."""

        def number(name: str) -> float:
            return float(settings[name] or 0)

        has_dropout = isinstance(settings.get("dropout"), int | float)  # that of a factory of a person's own is its own affair

        return cls(
            learning_rate=number("learning_rate"),
            schedule=str(settings["schedule"]),
            warmup_epochs=number("warmup_epochs"),
            batch_size=int(number("batch_size")),
            dropout=number("dropout") if has_dropout else 0.0,
            label_smoothing=number("label_smoothing"),
            l1=number("l1"),
            clip_norm=number("clip_norm"),
            early_stopping=int(number("early_stopping")),
            bfloat16=settings["precision"] == "bfloat16",
            class_weights=str(settings["class_weights"]),
        )


class Course:
    """A trial on its way.

    ``epoch`` is the last one that is trained, ``best`` the objective's best value, ``best_epoch`` where it was (of epochs with the same
    value that of the smallest validation loss, ``best_loss``).
    """

    def __init__(self, trial: TrialSpec, info: DataInfo) -> None:
        self.trial = trial
        self.settings = complete(trial.job.model, trial.configuration)
        self.recipe = Recipe.of(self.settings)
        self.samples = info.sizes["train"]
        self.batch_size = min(self.recipe.batch_size, self.samples)
        self.steps_per_epoch = math.ceil(self.samples / self.batch_size)
        self.epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_loss: float | None = None
        self.improved_epoch = 0  # the first one with that value: early stopping counts from there
        self._fingerprint = info.fingerprint

    def learning_rate(self, step: int) -> float:
        """That of this step, counted from the start of the training."""
        recipe = self.recipe
        return recipe.learning_rate * factor(recipe.schedule, step, self.steps_per_epoch, self.trial.epochs, recipe.warmup_epochs)

    def learning_rates(self, epoch: int) -> list[float]:
        """Those of the steps of the epoch after ``epoch`` others."""
        first, count = epoch * self.steps_per_epoch, self.steps_per_epoch
        if self.recipe.schedule == "constant" and not self.recipe.warmup_epochs:
            return [self.learning_rate(first)] * count
        return [self.learning_rate(step) for step in range(first, first + count)]

    def note(self, objective: float, loss: float | None = None) -> bool:
        """Remember the value of the epoch just trained; whether it is the best so far."""
        is_best = improves(objective, self.best, loss, self.best_loss, maximize=self.trial.job.maximize)
        if is_best:
            self.improved_epoch = self.improved_epoch if objective == self.best else self.epoch
            self.best, self.best_loss, self.best_epoch = objective, loss, self.epoch
        return is_best

    @property
    def may_be_saved(self) -> bool:
        """Whether the best epoch so far beats what the trial has to beat to be saved."""
        return self.best is not None and (self.trial.save_if_beats is None or self._is_better(self.best, self.trial.save_if_beats))

    @property
    def needs_best(self) -> bool:
        """Whether the weights of the best epoch so far will be wanted."""
        return self.trial.tested or self.may_be_saved

    @property
    def is_at_its_end(self) -> bool:
        return self.epoch >= self.trial.epochs or self.stops_early

    @property
    def stops_early(self) -> bool:
        """Whether the objective has not improved for as many epochs as ``early_stopping`` allows."""
        patience = self.recipe.early_stopping
        return patience > 0 and self.epoch < self.trial.epochs and self.epoch - self.improved_epoch >= patience

    def record(self, dtype: object) -> dict[str, Any]:
        """What a checkpoint says beside the tensors; ``dtype`` is that of the arithmetic."""
        meaning = self._meaning(dtype)
        best = {"best": self.best, "best_loss": self.best_loss, "best_epoch": self.best_epoch, "improved": self.improved_epoch}
        return {"format": _CHECKPOINT_FORMAT, "meaning": meaning, "epoch": self.epoch, **best}

    def resume(self, checkpoint: Mapping[str, Any], dtype: object) -> bool:
        """Stand where a checkpoint of the same trial was written.

        False, and nothing changes, when it is of another, lacks weights (``best_state``) that are wanted now, or is of an epoch whose
        report the study has not got.
        """
        if checkpoint.get("format") != _CHECKPOINT_FORMAT or checkpoint.get("meaning") != self._meaning(dtype):
            return False
        if self.trial.reported is not None and checkpoint["epoch"] > self.trial.reported:
            return False
        bar = self.trial.save_if_beats
        if checkpoint["best_state"] is None and (self.trial.tested or bar is None or self._is_better(checkpoint["best"], bar)):
            return False
        self.epoch, self.best, self.best_epoch = checkpoint["epoch"], checkpoint["best"], checkpoint["best_epoch"]
        self.best_loss, self.improved_epoch = checkpoint["best_loss"], checkpoint["improved"]
        return True

    def _is_better(self, a: float, b: float) -> bool:
        return a > b if self.trial.job.maximize else a < b

    def _meaning(self, dtype: object) -> str:
        """Everything that the numbers of the trial depend on."""
        trial = self.trial
        parts = [trial.job.model, trial.job.objective, trial.seed, trial.epochs, self._fingerprint, str(dtype), self.settings]
        if trial.job.code is not None:
            parts.append(trial.job.code.digest)  # a network that was edited is another one
        return json.dumps(parts, sort_keys=True)
