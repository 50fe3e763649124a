"""The training of one trial: data, model, optimiser and schedule in one place, an epoch at a time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from automl.data import DataInfo
from automl.draws import seed_at
from automl.events import TrialSpec
from automl.families import multiply_adds
from automl.models import build
from automl.models.finetune import Finetuned
from automl.models.layers import BatchNorm, Drop, keep_all
from automl.models.mlp import MLP
from automl.training.augmentation import Augmentation, Mixture
from automl.training.course import Course
from automl.training.features import with_features
from automl.training.losses import class_weights, loss_of
from automl.training.metrics import measure
from automl.training.optimisers import Optimiser
from automl.training.outcomes import NotFiniteError
from automl.training.randomness import Dropout, key_at, permutation
from automl.training.ridge import begin_at_ridge
from automl.training.samples import Samples, Split
from automl.training.threads import FLOPS_A_MULTIPLICATION
from automl.training.weights import initialised, slices

if TYPE_CHECKING:
    from automl.training.own.dropout import AloneDropout

_LOOKED_AT = 50  # steps after which the training loss is looked at: each look waits for the device


class Fit:
    """One trial in training. All its numbers are functions of the trial's specification, the data and the device's arithmetic.

    ``course`` says how far it has come. The weights of its best epoch are kept when they beat what the trial has to beat to be saved.
    ``rows`` is how many samples go through the network at once, where memory does not suffice for a whole batch: gradients add up to
    those of the batch, so its size means the same. What batch normalisation does needs the whole batch.
    """

    def __init__(
        self, trial: TrialSpec, samples: Samples, device: torch.device, dtype: torch.dtype = torch.float32, rows: int | None = None
    ) -> None:
        self.trial, self.samples, self.device, self.dtype = trial, samples, device, dtype
        info = samples.info
        self.course = Course(trial, info)
        self.recipe = self.course.recipe
        self.rows = rows
        self.module, self.weights, self.gradients, self._multiply_adds = network(trial, info, device, dtype)
        if isinstance(self.module, MLP) and self.module.ridge:
            begin_at_ridge(self.module, samples.train)
        self.optimiser = Optimiser(self.course.settings, self.weights, self._multipliers())
        self.is_own = trial.job.code is not None
        self.is_foreign = self.is_own or trial.job.checkpoint is not None  # some of its layers may be torch's own
        self._own_dropout = _positioned(self.module, trial.seed, self.course.batch_size) if self.is_foreign else None
        has_dropout = (self.recipe.dropout or self.course.settings.get("word_dropout")) and not self.is_own
        self.dropout = Dropout(trial.seed, self.recipe.dropout, self.course.batch_size) if has_dropout else None
        self.augmentation = Augmentation.of(trial.seed, self.course.settings)
        if isinstance(self.module, Finetuned) and self.augmentation is None:
            found = with_features(samples, self.module, trial)
            self.module.takes_features = found is not None
            self.samples = found or samples
        self.class_weights = None
        if self.recipe.class_weights != "none" and info.task != "regression":
            self.class_weights = class_weights(self.recipe.class_weights, samples.train.targets, len(info.classes), dtype)
        self.autocast = self.recipe.bfloat16 and device.type == "cuda"
        self._best_state: list[Tensor] | None = None

    def _multipliers(self) -> Tensor | None:
        """Of the learning rate of each weight, where they are not all 1."""
        decay = float(self.course.settings.get("layer_decay") or 1)
        if not isinstance(self.module, Finetuned) or decay == 1:
            return None
        rates = self.module.rates(decay)
        trained = {name: weight for name, weight in self.module.named_parameters() if weight.requires_grad}
        found = torch.ones_like(self.weights)
        for name, place in slices({name: tuple(weight.shape) for name, weight in trained.items()}).items():
            found[place] = rates[name]
        return found

    @property
    def step_flops(self) -> float | None:
        """Floating-point operations of a step, about; None where they are not known."""
        return None if self._multiply_adds is None else FLOPS_A_MULTIPLICATION * self._multiply_adds * self.course.batch_size

    # training

    def train_epoch(self) -> float:
        """Train one epoch and return its mean training loss. Raises NotFiniteError soon after the loss is no longer a finite number."""
        self.module.train()
        train, course = self.samples.train, self.course
        order = permutation(key_at(self.trial.seed, "shuffle", course.epoch), len(train), self.device)
        losses: list[Tensor] = []
        for inputs, targets in train.batches(order, course.batch_size):
            losses.append(self._step(inputs, targets, course.epoch * course.steps_per_epoch + len(losses)))
            if len(losses) % _LOOKED_AT == 0:
                _check(torch.stack(losses[-_LOOKED_AT:]))
        course.epoch += 1
        return self._mean(losses)

    def _mean(self, losses: list[Tensor]) -> float:
        """The mean over the samples: the last batch counts for as many as it has."""
        values = torch.stack(losses).double()
        _check(values)
        batch_size = self.course.batch_size
        last = len(self.samples.train) - (len(losses) - 1) * batch_size
        total = (values.sum() - values[-1]) * batch_size + values[-1] * last
        return float(total / len(self.samples.train))

    def _step(self, inputs: Tensor, targets: Tensor, number: int) -> Tensor:
        """One step of the optimiser; returns the loss, without penalties, as it was before the step."""
        recipe = self.recipe
        if self.dropout:
            self.dropout.step = number
        if self.is_foreign:  # what other layers of its own draw is a function of the seed and the step, like everything else
            torch.manual_seed(seed_at(self.trial.seed, "step", number))
        self._number = number
        mixture = None
        if self.augmentation:
            inputs, mixture = self.augmentation(inputs, targets, number)
        self.gradients.zero_()
        loss = self._add_gradients(inputs, targets, mixture)
        if recipe.l1:
            self.gradients.add_(self.weights.sign(), alpha=recipe.l1)
        if recipe.clip_norm:
            self.gradients.mul_((recipe.clip_norm / (self.gradients.norm() + 1e-6)).clamp(max=1))
        self.optimiser.step(self.gradients, self.course.learning_rate(number))
        return loss

    def _add_gradients(self, inputs: Tensor, targets: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Forward and backward for one batch, whole or in pieces; returns its loss."""
        count = len(inputs)
        rows = self.rows or count
        losses = []
        for first in range(0, count, rows):
            if self.dropout:
                self.dropout.first_row = first
            part = targets[first : first + rows]
            if self._own_dropout:
                self._own_dropout.begin(self._number, first, len(part))
            with _past_statistics(self.module) if self.is_foreign and len(part) == 1 else contextlib.nullcontext():
                outputs = self._outputs(inputs[first : first + rows], self.dropout or keep_all)
            loss = self._loss(outputs, part)
            if mixture:
                loss = loss * mixture.share + self._loss(outputs, mixture.targets[first : first + rows]) * (1 - mixture.share)
            if len(part) < count:
                loss = loss * (len(part) / count)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return loss_of(self.samples.info.task, outputs, targets, self.recipe.label_smoothing, self.class_weights)

    def _outputs(self, inputs: Tensor, drop: Drop = keep_all) -> Tensor:
        more = () if self.is_own else (drop,)
        if self.autocast:
            with torch.autocast("cuda", dtype=torch.bfloat16):
                return self.module(inputs, *more).to(self.dtype)  # type: ignore[no-any-return]
        return self.module(inputs, *more)  # type: ignore[no-any-return]

    # measuring

    def measure(self, split: Split, names: Sequence[str]) -> dict[str, float]:
        """These metrics of a split, with the weights as they are now; NaN where one is not defined."""
        outputs = predict(self.module, split, self._outputs, self.rows)
        info = self.samples.info
        return measure(info.task, names, outputs, split.targets, info.target_scale, split.naive)

    def note_objective(self, value: float, loss: float | None = None) -> None:
        """Remember the value of the epoch just trained and, where it is the best so far and can be wanted, its weights."""
        if self.course.note(value, loss):
            self._best_state = [tensor.clone() for tensor in self._state] if self.course.needs_best else None

    @property
    def _state(self) -> list[Tensor]:
        """All that training changes in the model: its weights and, for batch normalisation, its running statistics."""
        return [self.weights, *self.module.buffers()]

    def fewer_rows(self) -> int | None:
        """How many samples at once to try where memory did not suffice for as many as now; None where it cannot be fewer.

        First no more than a batch, since a split is measured in larger pieces; then half as many each time.
        """
        whole = self.course.batch_size
        if self.rows is None:
            return whole
        needs_whole_batches = self.is_foreign or any(isinstance(part, BatchNorm) for part in self.module.modules())
        return None if self.rows == 1 or needs_whole_batches else math.ceil(self.rows / 2)

    def best_module(self) -> nn.Module:
        """The model with the weights of its best epoch; training cannot go on after this."""
        for tensor, best in zip(self._state, self._best_state or (), strict=bool(self._best_state)):
            tensor.copy_(best)
        if isinstance(self.module, Finetuned):
            self.module.takes_features = False  # what it is tested with are pictures
        return self.module

    # going on after an interruption

    def checkpoint(self) -> dict[str, Any]:
        """All that ``restore`` needs, as tensors and plain values. Valid until the next step."""
        return {
            **self.course.record(self.dtype),
            "best_state": self._best_state,
            "state": self._state,
            "optimiser": self.optimiser.state,
        }

    def restore(self, checkpoint: dict[str, Any]) -> bool:
        """Go on from a checkpoint of the same trial; False, and nothing changes, when that cannot be (``Course.resume``)."""
        if not self.course.resume(checkpoint, self.dtype):
            return False
        for tensor, saved in zip(self._state, checkpoint["state"], strict=True):
            tensor.copy_(saved)
        for name, tensor in self.optimiser.state.items():
            tensor.copy_(checkpoint["optimiser"][name])
        self._best_state = checkpoint["best_state"]
        return True


def network(trial: TrialSpec, info: DataInfo, device: torch.device, dtype: torch.dtype) -> tuple[nn.Module, Tensor, Tensor, float | None]:
    """The trial's network with its initial weights, and all weights and gradients that train as flat vectors (the module's are views).

    Last come the multiplications of the forward pass of one sample, where they are known.
    """
    job = trial.job
    if job.code is not None:
        from automl.training.own.factory import adopted, own_network

        own = own_network(job.model, job.code, trial.configuration, info.inputs, info.outputs, trial.seed)
        return own.module, *adopted(own.module, device, dtype), own.multiply_adds
    if job.checkpoint is not None:
        from automl.training.own.factory import adopted
        from automl.training.pretrained import finetuned

        tuned = finetuned(job.checkpoint, trial.configuration, info.inputs, info.outputs, trial.seed)
        return tuned, *adopted(tuned, device, dtype), None  # most of it may not run, where its features are kept
    module = build(job.model, trial.configuration, info.inputs, info.outputs)
    arithmetic = float(multiply_adds(job.model, trial.configuration, info.inputs, info.outputs))
    return module, *initialised(module, trial.seed, device, dtype), arithmetic


def _positioned(module: nn.Module, seed: int, rows: int) -> AloneDropout:
    from automl.training.own.dropout import AloneDropout, positioned

    return AloneDropout(positioned(module), seed, rows)


def _past_statistics(module: nn.Module) -> AbstractContextManager[None]:
    from automl.training.own.factory import normalised_by_the_past

    return normalised_by_the_past(module)


def predict(module: nn.Module, split: Split, outputs_of: Callable[[Tensor], Tensor] | None = None, rows: int | None = None) -> Tensor:
    """The outputs of a model for all samples of a split, ``[samples, outputs]``; ``rows``: at most so many at once."""
    module.eval()
    rows = min(rows_at_once(split), rows or len(split))
    with torch.inference_mode():
        return torch.cat([(outputs_of or module)(inputs) for inputs in split.in_order(rows)])


def rows_at_once(split: Split) -> int:
    """Enough rows to keep the device busy, few enough for the maps of a wide convolution to fit."""
    if split.inputs.dim() > 2:
        return 128 if split.targets.device.type == "cpu" else 2048
    return 4096 if split.targets.device.type == "cpu" else 65536


def _check(losses: Tensor) -> None:
    if not bool(losses.isfinite().all()):
        raise NotFiniteError
