"""Trials whose networks are alike, trained side by side as one set of batched tensors."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from automl.data import DataInfo
from automl.events import TrialKey, TrialSpec
from automl.models.multiplication import multiplying
from automl.training.lanes.draws import Draws
from automl.training.lanes.feed import Feed
from automl.training.lanes.group import Group, Lane
from automl.training.lanes.making import StackedNetworks
from automl.training.lanes.replay import Recorder, Replay
from automl.training.lanes.timetable import timetable
from automl.training.lanes.together import Together
from automl.training.losses import rows_loss, smoothed
from automl.training.randomness import hashed, key_at, places
from automl.training.samples import Samples

_NUMBERS_AT_ONCE = 2**18  # of inputs and dropout masks that are gathered for several pieces at once
_NUMBERS_AT_ONCE_CUDA = 2**26


class StackedGroup(Group):
    """Lanes whose networks run as one stack.

    Args:
        networks: how they are made, and the stack that runs them.
        rows: samples of each lane that go through the network at once; larger batches take several turns.
        info: of the data of all lanes; what folds have apart (sizes, the scale of targets) is asked of theirs.
        together: whether one update moves all lanes, which then have one optimiser rule; else each has a call of its own.
        recorder: records the steps of lanes that are moved together, where that pays; None: every step is called.
    """

    def __init__(
        self,
        networks: StackedNetworks,
        rows: int,
        info: DataInfo,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        together: bool = False,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__(networks, networks.stack, device, dtype)
        self._rows, self.info = rows, info
        self._stack = networks.stack
        self._steps_together = together
        self._together: Together | None = None
        self._recorder = recorder
        self._replays: dict[bool, Replay] = {}  # by whether all lanes move
        self._is_warm = False  # whether libraries have been called for every kind of stage
        self._is_bound = False

    @property
    def rows(self) -> int:
        return self._rows

    def admit(self, trial: TrialSpec, samples: Samples, checkpoint: dict[str, Any] | None = None) -> Lane:
        self._is_bound = False
        return super().admit(trial, samples, checkpoint)

    def drop(self, key: TrialKey) -> None:
        self._is_bound = False
        super().drop(key)

    def _bind(self) -> None:
        """Let the stack have the lanes that are there, if any came or went since."""
        if self._is_bound:
            return
        self._replays.clear()  # which have the tensors of the lanes that were there
        lanes, stack = self.lanes, self._stack
        seeds, shares = [lane.trial.seed for lane in lanes], [lane.shares for lane in lanes]
        self._draws = Draws(seeds, shares, stack.layers, self._device, self._dtype)
        stack.bind(self._draws)
        for row, lane in enumerate(lanes):
            lane.optimiser.weights = stack.weights(row)
        self._own_gradients = [stack.gradient(row) for row in range(len(lanes))]
        self._train = Feed([lane.samples.train for lane in lanes], stack.takes_pictures)
        self._validation = Feed([lane.samples.validation for lane in lanes], stack.takes_pictures)
        smoothing = [lane.course.recipe.label_smoothing for lane in lanes]
        self._smoothing = torch.tensor(smoothing, device=self._device, dtype=self._dtype)[:, None, None]
        if self._steps_together:
            self._together = Together([lane.optimiser for lane in lanes], [lane.course for lane in lanes], stack.rows[0])
        self._is_bound = True

    # training

    @multiplying()
    @torch.no_grad()
    def train_epoch(self) -> list[float]:
        epoch = self._epoch()
        losses = self._train_pieces(epoch, len(epoch))
        for lane in self.lanes:
            lane.course.epoch += 1
        samples = losses.new_tensor([lane.course.samples for lane in self.lanes], dtype=torch.float64)
        means: list[float] = (losses.double() * epoch.is_sample).sum((0, 2)).div(samples).tolist()
        return means

    @multiplying()
    @torch.no_grad()
    def seconds_of_an_epoch(self, pieces: int, clock: Callable[[], float] = time.perf_counter, until: float = math.inf) -> float:
        epoch, warming_up = self._epoch(), clock()
        self._train_pieces(epoch, 1).sum().item()
        piece = clock() - warming_up
        self.predict()
        began = clock()
        epoch = self._epoch()
        self.predict()[0].sum().item()  # which waits for the device
        around, began = clock() - began, clock()
        pieces = max(1, int(min(pieces, len(epoch), max(0.0, until - began) / max(piece, 1e-9))))
        self._train_pieces(epoch, pieces).sum().item()
        return around + (clock() - began) / pieces * len(epoch)

    def _epoch(self) -> _Epoch:
        self._bind()
        epoch = _Epoch(self.lanes, self.rows, self._device, self._dtype)
        epoch.dropout_rows = self._draws.rows(epoch.places)
        if self._steps_together:
            epoch.tabulate_steps()
        return epoch

    def _train_pieces(self, epoch: _Epoch, count: int) -> Tensor:
        """The first so many pieces of an epoch; returns the losses ``[pieces, lanes, rows]``."""
        adds = any(lane.course.batch_size > self.rows for lane in self.lanes)
        if adds:
            self._stack.clear_gradients()
        losses = torch.zeros(count, len(self.lanes), self.rows, device=self._device, dtype=self._dtype)
        at_once = self._pieces_at_once()
        for first in range(0, count, at_once):
            last = min(first + at_once, count)
            tensors = (tensor.unbind() for tensor in (epoch.weight[first:last], *self._gather(epoch, first, last)))
            for piece, weight, x, target, *mask in zip(range(first, last), *tensors, strict=True):
                rows = epoch.rows[piece]
                if rows < self.rows:
                    x, target, weight = x[:rows] if self._stack.takes_pictures else x[:, :rows], target[:, :rows], weight[:, :rows]
                    mask = [whole[:, :rows] for whole in mask]
                if self._together is not None:
                    losses[piece, :, :rows] = self._piece_together(epoch, piece, count - piece, (x, target, weight, *mask), adds)
                    continue
                losses[piece, :, :rows] = self._piece(adds, x, target, weight, *mask)
                for row in epoch.steps[piece]:
                    self._step(row, epoch.step_number(row, piece), adds)
        return losses

    def _pieces_at_once(self) -> int:
        numbers = len(self.lanes) * self.rows * (self._train.numbers + self._stack.drawn)
        return max(1, (_NUMBERS_AT_ONCE_CUDA if self._device.type == "cuda" else _NUMBERS_AT_ONCE) // numbers)

    def _gather(self, epoch: _Epoch, first: int, last: int) -> list[Tensor]:
        """For some pieces: inputs ``[pieces, lanes, rows, features]``, pictures ``[pieces, rows, lanes * channels, ...]``; targets
        ``[pieces, lanes, rows, outputs]``; and where there is dropout what the stack wants of it for each layer."""
        chosen = epoch.order[first:last]
        inputs = self._train.inputs(chosen)
        targets = smoothed(self.info.task, self._train.targets(chosen), self._smoothing, self.info.outputs)
        return [inputs, targets, *self._stack.masks(epoch.dropout_rows, first, last)]

    def _piece(self, adds: bool, x: Tensor, targets: Tensor, weight: Tensor, *masks: Tensor) -> Tensor:
        """Forward and backward for one piece of a batch of every lane; returns the losses ``[lanes, rows]``."""
        losses, d = rows_loss(self.info.task, self._stack.forward(x, masks), targets)
        self._stack.backward(d.mul_(weight), adds)
        return losses

    def _step(self, row: int, number: int, adds: bool) -> None:
        """One step of a lane's optimiser, by its own gradient alone."""
        lane, gradient = self.lanes[row], self._own_gradients[row]
        recipe = lane.course.recipe
        if recipe.l1:
            gradient.add_(lane.optimiser.weights.sign(), alpha=recipe.l1)
        if recipe.clip_norm:
            gradient.mul_((recipe.clip_norm / (gradient.norm() + 1e-6)).clamp(max=1))
        lane.optimiser.step(gradient, lane.course.learning_rate(number))
        if adds:
            gradient.zero_()

    def _piece_together(self, epoch: _Epoch, piece: int, ahead: int, tensors: tuple[Tensor, ...], adds: bool) -> Tensor:
        """One piece, and a step of every lane whose batch ends here; as one launch where so many pieces ``ahead`` make that pay."""
        together, stack, moves = self._together, self._stack, len(epoch.steps[piece]) < len(self.lanes)
        assert together is not None
        weights, gradients, statistics = stack.rows

        def work(learning_rates: Tensor, moving: Tensor, *tensors: Tensor) -> Tensor:
            losses = self._piece(adds, *tensors)
            together.step(gradients, learning_rates, moving if moves else None)
            if adds:
                gradients.masked_fill_(moving, 0.0)
            return losses

        tensors = (epoch.learning_rates[piece], epoch.moves[piece], *tensors)
        if self._recorder is None or not self._is_warm or epoch.rows[piece] < self.rows:
            self._is_warm = True
            return work(*tensors)
        if moves in self._replays:
            return self._replays[moves](*tensors)
        if not self._recorder.pays(ahead):
            return work(*tensors)
        losses, replay = self._recorder.record(work, tensors, [weights, gradients, statistics, *together.state.values()])
        if replay is not None:
            self._replays[moves] = replay
        return losses

    # measuring

    @multiplying()
    @torch.no_grad()
    def predict(self) -> list[Tensor]:
        self._bind()
        outputs = []
        for x in self._validation.in_order(self._stack.measured_at_once(self.lanes[0].samples.validation)):
            outputs.append(self._stack.forward(x, None))
        whole = torch.cat(outputs, dim=1)
        return [own[: len(lane.samples.validation)] for lane, own in zip(self.lanes, whole, strict=True)]


class _Epoch:
    """What all lanes do in one epoch, piece by piece: tensors ``[pieces, lanes, rows]``."""

    def __init__(self, lanes: Sequence[Lane], rows: int, device: torch.device, dtype: torch.dtype) -> None:
        self._courses = [lane.course for lane in lanes]
        self._tables = [timetable(course.samples, course.batch_size, rows, device) for course in self._courses]
        self._length = max(len(table.rows) for table in self._tables)
        orders = self._orders(device)
        steps = [course.epoch * course.steps_per_epoch for course in self._courses]
        self.order = self._stacked([order[table.order] for order, table in zip(orders, self._tables, strict=True)])
        self.is_sample = self._stacked([table.is_sample for table in self._tables])
        self.weight = self._stacked([table.weight for table in self._tables]).to(dtype)[..., None]
        self.places = self._stacked([places(table.batch + step, table.row) for table, step in zip(self._tables, steps, strict=True)])
        self.rows = [max(table.rows[piece] for table in self._tables if piece < len(table.rows)) for piece in range(self._length)]
        self.steps = [
            [row for row, table in enumerate(self._tables) if piece < len(table.rows) and table.ends_batch[piece]]
            for piece in range(self._length)
        ]
        self.dropout_rows: list[Tensor] = []
        self.learning_rates = self.moves = torch.empty(0)
        self._batches = [table.batch.flatten().tolist() for table in self._tables]

    def __len__(self) -> int:
        return self._length

    def _orders(self, device: torch.device) -> Tensor:
        """As ``permutation`` has them, ``[lanes, samples]``; at the end of a lane with fewer samples than others stands what it lacks."""
        keys = torch.tensor([key_at(course.trial.seed, "shuffle", course.epoch) for course in self._courses], device=device)[:, None]
        samples = [course.samples for course in self._courses]
        hashes = hashed(torch.arange(max(samples), device=device), keys)
        if min(samples) < max(samples):
            is_missing = torch.arange(max(samples), device=device) >= torch.tensor(samples, device=device)[:, None]
            hashes.masked_fill_(is_missing, torch.iinfo(hashes.dtype).max)
        return torch.argsort(hashes, dim=1, stable=True)

    def step_number(self, row: int, piece: int) -> int:
        """Which step of its training the lane in this row makes after this piece."""
        course = self._courses[row]
        return course.epoch * course.steps_per_epoch + int(self._batches[row][piece])

    def tabulate_steps(self) -> None:
        """``learning_rates`` and ``moves`` as tensors ``[pieces, lanes, 1]``, for all lanes at once."""
        rates = [[0.0] * len(self._courses) for _ in range(self._length)]
        for piece, rows in enumerate(self.steps):
            for row in rows:
                rates[piece][row] = self._courses[row].learning_rate(self.step_number(row, piece))
        self.learning_rates = self.weight.new_tensor(rates)[..., None]
        self.moves = self.learning_rates.new_tensor([[row in rows for row in range(len(self._courses))] for rows in self.steps])[
            ..., None
        ].bool()

    def _stacked(self, tables: Sequence[Tensor]) -> Tensor:
        """``[pieces, lanes, rows]``, with zeros after the end of a lane that has fewer pieces."""
        return nn.utils.rnn.pad_sequence(list(tables))
