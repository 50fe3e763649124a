"""Which trials share a group: as many as gain by it.

Sharing saves what a step costs however small the networks are (the calls into torch), and costs the arithmetic of the padding and,
on a CPU, the cache that many lanes' weights no longer fit in. Both sides are measured or bounded here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from automl.data import DataInfo
from automl.events import TrialSpec
from automl.families import complete, parameter_count
from automl.models import build
from automl.models.multiplication import multiply, multiplying
from automl.training.lanes.networks import arithmetic, kind_of, widths_of, with_widths
from automl.training.lanes.own import Built
from automl.training.threads import FLOPS_A_MULTIPLICATION

_MOST_WASTE = 2.0  # padded arithmetic over real arithmetic
_CACHED_BYTES = 4 * 2**20  # of weights, gradients and optimiser state of a group on a CPU
_STEP_CALLS = 60  # calls into torch that a step makes, about


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a device is: seconds of a call that has next to nothing to do, and floating-point operations a second of products."""

    call_seconds: float
    flops: float

    @property
    def free_flops(self) -> float:
        """The arithmetic that takes as long as the calls of one step."""
        return _STEP_CALLS * self.call_seconds * self.flops


@lru_cache(maxsize=8)
def pace_of(device: torch.device, dtype: torch.dtype) -> Pace:
    """Measured once for each device, in a few milliseconds."""
    small = torch.zeros(8, 8, device=device, dtype=dtype)
    large = torch.zeros(8, 128, 128, device=device, dtype=dtype)
    call = _seconds(lambda: small.mul_(1.0), 200, device)
    with multiplying():
        product = _seconds(lambda: multiply(large, large), 20, device)
    return Pace(call, 2 * large.numel() * 128 / product)


def _seconds(call: Any, times: int, device: torch.device) -> float:
    """The best of three rounds, since anything else on the machine only makes a round longer."""
    best = math.inf
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(times):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return best / times


@dataclass(frozen=True, slots=True)
class Need:
    """What a trial needs of a group. ``cost`` are multiplications a sample; the least that they can be where they are not known.

    What is compiled trains by itself, whatever the other lanes are: it has no ``widths``.
    """

    kind: Hashable
    widths: tuple[int, ...]
    batch_size: int
    cost: int
    lane_bytes: int
    is_known: bool = True  # its cost
    is_compiled: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """What a group offers: the same, for its widest network, with the samples that it takes at once and room for so many lanes."""

    kind: Hashable
    widths: tuple[int, ...]
    rows: int
    cost: int
    room: int
    widest: dict[str, Any]
    is_known: bool = True  # its cost
    is_compiled: bool = False

    def flops(self, lanes: int) -> float | None:
        """Floating-point operations of a piece of a step that are done at once, where they are known."""
        is_known = self.is_known and not self.is_compiled  # its lanes differ
        return float(self.cost * self.rows * FLOPS_A_MULTIPLICATION * lanes) if is_known else None


def need_of(trial: TrialSpec, info: DataInfo, itemsize: int, together: bool, compiled: bool) -> Need:
    """Of any trial of the families that can ride. ``together``: the lanes of a group take their steps in one update."""
    job, settings = trial.job, complete(trial.job.model, trial.configuration)
    if not compiled:
        build(job.model, settings, info.inputs, info.outputs)  # says what is wrong where there is no such network
    widths, batch_size = widths_of(job.model, settings), min(int(settings["batch_size"] or 1), info.sizes["train"])
    cost = arithmetic(job.model, settings, widths, info.input_shape, info.outputs)
    if compiled:  # whose network is built in any case when it is admitted
        return Need((job.data, job.model), (), batch_size, cost, 0, is_compiled=True)
    batches = info.sizes["train"] if settings["normalization"] == "batch" else None  # of which it wants the same in all lanes
    rule = (settings["optimizer"], bool(settings["momentum"])) if together else None
    return Need(
        kind=(job.data, info.input_shape, batches, kind_of(job.model, settings), rule),
        widths=widths,
        batch_size=batch_size,
        cost=cost,
        lane_bytes=4 * itemsize * parameter_count(job.model, settings, info.inputs, info.outputs),
    )


def need_of_own(built: Built, trial: TrialSpec, info: DataInfo, itemsize: int, together: bool) -> Need:
    """Of a trial whose network a factory has made: its group has batches of one size, and networks of one shape."""
    settings = complete(trial.job.model, trial.configuration)
    batch_size, weights = min(int(settings["batch_size"] or 1), info.sizes["train"]), len(built.flat)
    return Need(
        kind=(
            *(trial.job.data, info.sizes["train"], batch_size, built.kind),
            (settings["optimizer"], bool(settings["momentum"])) if together else None,
        ),
        widths=(),
        batch_size=batch_size,
        cost=weights if built.multiply_adds is None else round(built.multiply_adds),  # each weight is met at least once
        lane_bytes=4 * itemsize * weights,
        is_known=built.multiply_adds is not None,
    )


def room_for(need: Need, most_lanes: int, device: torch.device) -> int:
    """How many lanes pay: on a CPU as many as its cache holds."""
    return most_lanes if device.type != "cpu" or need.is_compiled else max(1, min(most_lanes, _CACHED_BYTES // need.lane_bytes))


def place_of_own(need: Need, most_lanes: int, device: torch.device) -> Place:
    """A new group for networks of this kind."""
    return Place(need.kind, need.widths, need.batch_size, need.cost, room_for(need, most_lanes, device), {}, need.is_known)


def arithmetic_of(need: Need) -> float:
    """Floating-point operations of one step of a trial."""
    return float(need.cost * need.batch_size * FLOPS_A_MULTIPLICATION)


def fits(need: Need, place: Place, pace: Pace) -> bool:
    """Whether a trial may join: its padding stays under twice its own arithmetic, and costs less than the calls that it saves."""
    if need.kind != place.kind or any(mine > widest for mine, widest in zip(need.widths, place.widths, strict=True)):
        return False
    if need.is_compiled:
        return True
    padded, real = padded_cost(need, place), need.cost * need.batch_size
    saved = pace.free_flops / FLOPS_A_MULTIPLICATION
    return padded <= _MOST_WASTE * real and padded - real <= saved


def padded_cost(need: Need, place: Place) -> int:
    """Multiplications of one of its batches there."""
    if place.is_compiled:
        return need.cost * need.batch_size
    return place.cost * math.ceil(need.batch_size / place.rows) * place.rows


def place_for(need: Need, trial: TrialSpec, info: DataInfo, pace: Pace, most_lanes: int, device: torch.device) -> Place:
    """A new group for this trial, somewhat wider than it where others may join."""
    job, settings = trial.job, complete(trial.job.model, trial.configuration)
    room = room_for(need, most_lanes, device)
    rows = need.batch_size
    widths = need.widths
    if need.is_compiled:
        return Place(need.kind, (), rows, need.cost, room, {}, is_compiled=True)
    if room > 1:
        wider = tuple(rounded_up(width) for width in need.widths)
        cost = arithmetic(job.model, settings, wider, info.input_shape, info.outputs)
        if fits(need, Place(need.kind, wider, rows, cost, room, {}), pace):
            widths = wider
    cost = arithmetic(job.model, settings, widths, info.input_shape, info.outputs)
    return Place(need.kind, widths, rows, cost, room, dict(with_widths(job.model, settings, widths)))


def rounded_up(width: int) -> int:
    """To one of four widths an octave: 32, 40, 48, 56, 64, 80, ... At most a quarter is added."""
    step = 1 << max(0, width.bit_length() - 3)
    return math.ceil(width / step) * step


def best_place(need: Need, places: Sequence[Place], pace: Pace) -> int | None:
    """The index of the place with the least padding that the trial may join."""
    allowed = [(padded_cost(need, place), index) for index, place in enumerate(places) if fits(need, place, pace)]
    return min(allowed)[1] if allowed else None
