"""Trials that one worker trains side by side: what all groups have in common."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from automl.events import TrialKey, TrialSpec
from automl.training.course import Course
from automl.training.files import named_copies
from automl.training.lanes.layout import Shapes, weights_of
from automl.training.lanes.making import Networks
from automl.training.metrics import measure
from automl.training.optimisers import Optimiser
from automl.training.samples import Samples
from automl.training.weights import length, slices


@dataclass(slots=True, eq=False)
class Lane:
    """One trial in a group. ``shares`` are those of its dropouts, ``best`` its weights and statistics at its best epoch, while they may
    be wanted."""

    course: Course
    samples: Samples
    optimiser: Optimiser
    shapes: Shapes
    buffer_shapes: Shapes
    shares: tuple[float, ...]
    best: tuple[Tensor, Tensor] | None = None

    @property
    def trial(self) -> TrialSpec:
        return self.course.trial

    @property
    def key(self) -> TrialKey:
        return self.course.trial.key


class Arrangement(Protocol):
    """How the tensors of a network stand in one vector."""

    def length(self, shapes: Shapes) -> int:
        """Of that vector, for a network with tensors of these shapes."""

    def put(self, tensors: Iterable[tuple[str, Tensor]], vector: Tensor) -> None:
        """Write a network's tensors into it, zeros around them."""

    def take(self, vector: Tensor, shapes: Shapes) -> dict[str, Tensor]:
        """Views of the tensors in it."""


class Numbers(Protocol):
    """The numbers of lanes 0, 1, ...; a lane that leaves is replaced by the last one."""

    @property
    def weights_layout(self) -> Arrangement: ...
    @property
    def statistics_layout(self) -> Arrangement: ...

    def admit(self, shapes: Shapes, buffer_shapes: Shapes) -> None:
        """A last lane for a network of these shapes, all of its numbers 0."""

    def drop(self, lane: int) -> None:
        """Without this lane."""

    def weights(self, lane: int) -> Tensor:
        """All weights of a lane as a vector, until lanes come or go."""

    def statistics(self, lane: int) -> Tensor:
        """The running statistics of a lane's normalisations."""


class Group(ABC):
    """Lanes of one kind of network.

    A lane that leaves is replaced by the last one, so nothing is spent on empty ones. All lanes begin and end their epochs together, each
    with its own batches, order and learning rate, and, in folds, its own samples.

    Args:
        networks: how they are made.
        numbers: where their weights and running statistics stand.
    """

    def __init__(self, networks: Networks, numbers: Numbers, device: torch.device, dtype: torch.dtype) -> None:
        self.lanes: list[Lane] = []
        self._networks, self._numbers = networks, numbers
        self._device, self._dtype = device, dtype

    @property
    @abstractmethod
    def rows(self) -> int:
        """Samples of each lane that go through its network at once."""

    @abstractmethod
    def train_epoch(self) -> list[float]:
        """Train one epoch of every lane; returns their mean training losses, NaN or infinite where a lane has diverged."""

    @abstractmethod
    def predict(self) -> list[Tensor]:
        """The outputs of each lane for its validation split, ``[samples, outputs]``."""

    def measured(self, lane: Lane, outputs: Tensor, names: Sequence[str]) -> dict[str, float]:
        """These metrics of the lane's validation split, of what ``predict`` gave for it."""
        info, split = lane.samples.info, lane.samples.validation
        return measure(info.task, names, outputs, split.targets, info.target_scale, split.naive)

    @abstractmethod
    def seconds_of_an_epoch(self, pieces: int, clock: Callable[[], float] = time.perf_counter, until: float = math.inf) -> float:
        """How long an epoch with its validation would take, from its first few pieces, as many as there is time for, one at least; all is
        done once before, to warm up. ``until`` is a time of the ``clock``. The lanes cannot go on after this."""

    # lanes come and go

    def admit(self, trial: TrialSpec, samples: Samples, checkpoint: dict[str, Any] | None = None) -> Lane:
        """Give a trial a lane, at its beginning or where its checkpoint was written."""
        info, row = samples.info, len(self.lanes)
        made, course = self._networks.made(trial, info), Course(trial, info)
        shapes, flat, buffers = made.shapes, made.flat, made.buffers
        self._numbers.admit(shapes, made.buffer_shapes)
        try:
            lane = Lane(course, samples, Optimiser(course.settings, self._numbers.weights(row)), shapes, made.buffer_shapes, made.shares)
            self._begin(lane, row, flat, buffers, checkpoint)
        except BaseException:  # memory ran out: rows without a lane would be taken for the next one's
            self._numbers.drop(row)
            raise
        self.lanes.append(lane)
        return lane

    def _begin(self, lane: Lane, row: int, flat: Tensor, buffers: list[tuple[str, Tensor]], checkpoint: dict[str, Any] | None) -> None:
        """The lane's numbers as they are at its beginning (``flat`` weights, ``buffers``), or as its checkpoint has them."""
        course, shapes = lane.course, lane.shapes
        if checkpoint is not None and course.resume(checkpoint, self._dtype):
            flat.copy_(checkpoint["state"][0])
            buffers = [(name, saved) for (name, _), saved in zip(buffers, checkpoint["state"][1:], strict=True)]
            for name, tensor in lane.optimiser.state.items():
                self._restore(lane, tensor, checkpoint["optimiser"][name])
            if checkpoint["best_state"] is not None:
                lane.best = self._arranged(lane, checkpoint["best_state"])
        self._numbers.weights_layout.put(_named(flat, shapes), self._numbers.weights(row))
        self._numbers.statistics_layout.put(buffers, self._numbers.statistics(row))

    def drop(self, key: TrialKey) -> None:
        """Free the lane of this trial for the next one; the last lane takes its row."""
        row = next(row for row, lane in enumerate(self.lanes) if lane.key == key)
        last = self.lanes.pop()
        if row < len(self.lanes):
            self.lanes[row] = last
        self._numbers.drop(row)

    def keep_best(self, lane: Lane) -> None:
        """Remember the lane's weights as they are now, or that none are wanted yet."""
        row, numbers = self.lanes.index(lane), self._numbers
        lane.best = (numbers.weights(row).clone(), numbers.statistics(row).clone()) if lane.course.needs_best else None

    def best_weights(self, lane: Lane) -> dict[str, Tensor]:
        """The state dict of the lane's network at its best epoch, on the CPU."""
        module = self._networks.module(lane.trial, lane.samples.info)
        assert lane.best is not None
        weights, statistics = lane.best
        numbers = self._numbers
        _fill(module, numbers.weights_layout.take(weights, lane.shapes) | numbers.statistics_layout.take(statistics, lane.buffer_shapes))
        return named_copies(module)

    # checkpoints, as ``automl.training.fit.Fit`` writes them: a trial can go on in another group or alone

    def checkpoint(self, lane: Lane) -> dict[str, Any]:
        """All that is needed to go on with the trial elsewhere."""
        row = self.lanes.index(lane)
        return {
            **lane.course.record(self._dtype),
            "state": self._true_state(lane, self._numbers.weights(row), self._numbers.statistics(row)),
            "best_state": None if lane.best is None else self._true_state(lane, *lane.best),
            "optimiser": {
                name: tensor.clone() if tensor.dim() == 0 else self._flat(lane, tensor) for name, tensor in lane.optimiser.state.items()
            },
        }

    def _true_state(self, lane: Lane, weights: Tensor, statistics: Tensor) -> list[Tensor]:
        buffers = self._numbers.statistics_layout.take(statistics, lane.buffer_shapes)
        return [self._flat(lane, weights), *(buffer.clone() for buffer in buffers.values())]

    def _flat(self, lane: Lane, vector: Tensor) -> Tensor:
        """What stands for each weight of a lane, as one flat vector in the order of its network."""
        flat = vector.new_zeros(length(lane.shapes))
        found = self._numbers.weights_layout.take(vector, lane.shapes)
        for name, view in _named(flat, lane.shapes):
            view.copy_(found[name])
        return flat

    def _restore(self, lane: Lane, tensor: Tensor, saved: Tensor) -> None:
        if tensor.dim() == 0:
            tensor.copy_(saved)
        else:
            self._numbers.weights_layout.put(_named(saved, lane.shapes), tensor)

    def _arranged(self, lane: Lane, state: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Weights and statistics as the numbers has them."""
        numbers, like = self._numbers, state[0]
        weights = like.new_zeros(numbers.weights_layout.length(lane.shapes))
        statistics = like.new_zeros(numbers.statistics_layout.length(lane.buffer_shapes))
        numbers.weights_layout.put(_named(like, lane.shapes), weights)
        numbers.statistics_layout.put(list(zip(lane.buffer_shapes, state[1:], strict=True)), statistics)
        return weights, statistics


def _named(flat: Tensor, shapes: Shapes) -> list[tuple[str, Tensor]]:
    """The tensors of a network in its flat vector."""
    return [(name, flat[place].view(shapes[name])) for name, place in slices(shapes).items()]


def _fill(module: nn.Module, values: dict[str, Tensor]) -> None:
    """Give the weights and buffers of a module these values."""
    for name, tensor in [*weights_of(module), *module.named_buffers()]:
        tensor.copy_(values[name])
