"""Fully connected networks on a CPU: each lane trains a whole epoch in one call of compiled code (``kernels``).

The calls of a step, which lanes share elsewhere, are none here, so lanes share nothing but the worker: networks of any widths, depths,
activations, normalisations, batch sizes and optimisers are in one group.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numba.extending import get_cython_function_address
from torch import Tensor

from automl.events import TrialKey
from automl.models.multiplication import blas_threads, small_product
from automl.training.lanes import kernels
from automl.training.lanes.group import Group, Lane
from automl.training.lanes.kernels import ACTIVATIONS, NORMALIZATIONS, NOWHERE, OPTIMIZERS, TASKS, Blas, Draw, Net, Rule, State
from automl.training.lanes.layout import Shapes
from automl.training.lanes.making import FamilyNetworks
from automl.training.optimisers import Optimiser
from automl.training.randomness import key_at, threshold
from automl.training.samples import Samples, Split
from automl.training.threads import FLOPS_A_MULTIPLICATION, threads_of
from automl.training.weights import ALIGNED, length, slices

_MEASURED_AT_ONCE = 4096  # samples
_COPIED = 2**26  # bytes of inputs that are few enough to be kept as networks take them, where they are stored otherwise
_MOST_COPIED, _MOST_FEEDS = 2**27, 256
_LONGER = 4  # times as many steps of an epoch are measured: its first ones find the numbers of other lanes in the caches
_JUDGED = {"loss", "accuracy"}
_PARTS = ("weight", "bias", "weight", "bias", "running_mean", "running_var")  # of a layer and its normalisation, as ``kernels`` counts them

Result = TypeVar("Result")


class Turned:
    """The tensors of a network one after the other in a vector; a matrix stands there turned, inputs first."""

    def length(self, shapes: Shapes) -> int:
        """Of the vector."""
        return length(shapes)

    def put(self, tensors: Iterable[tuple[str, Tensor]], vector: Tensor) -> None:
        """Write a network's tensors into it."""
        new = dict(tensors)
        for name, place in self.take(vector, {name: tuple(tensor.shape) for name, tensor in new.items()}).items():
            place.copy_(new[name])

    def take(self, vector: Tensor, shapes: Shapes) -> dict[str, Tensor]:
        """Views of the tensors in it."""
        return {name: _turned(vector[place], shapes[name]) for name, place in slices(shapes).items()}


def _turned(numbers: Tensor, shape: tuple[int, ...]) -> Tensor:
    return numbers.view(shape[::-1]).mT if len(shape) == 2 else numbers.view(shape)


class Vectors:
    """The numbers of all lanes: vectors of each one's own (``group.Numbers``)."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.weights_layout = self.statistics_layout = Turned()
        self._like = torch.empty(0, device=device, dtype=dtype)
        self._lanes: list[tuple[Tensor, Tensor]] = []

    def admit(self, shapes: Shapes, buffer_shapes: Shapes) -> None:
        """A last lane for a network of these shapes, all of its numbers 0."""
        self._lanes.append((self._like.new_zeros(length(shapes)), self._like.new_zeros(length(buffer_shapes))))

    def drop(self, lane: int) -> None:
        """Without this lane; the last one takes its place."""
        last = self._lanes.pop()
        if lane < len(self._lanes):
            self._lanes[lane] = last

    def weights(self, lane: int) -> Tensor:
        """All weights of a lane as a vector."""
        return self._lanes[lane][0]

    def statistics(self, lane: int) -> Tensor:
        """The running statistics of its normalisations."""
        return self._lanes[lane][1]


class Feed:
    """Samples as compiled code takes them. Where they stand ready in memory they stay there, else they are made ready run by run.

    Args:
        ready: all inputs that a split shares, or None.

    Attributes:
        targets: of training, ``[samples, 1]`` or ``[samples, steps]``, of the numbers that a network has.
        validation_targets: the same of validation.
    """

    def __init__(self, samples: Samples, dtype: torch.dtype, ready: Callable[[Split], np.ndarray | None]) -> None:
        self.samples = samples
        self.targets, self.validation_targets = (
            split.targets.to(dtype).view(len(split.targets), -1).numpy() for split in (samples.train, samples.validation)
        )
        self._inputs = ready(samples.train)
        whole = None if samples.validation.rows is not None else ready(samples.validation)
        self._measured = None if whole is None else [whole[at : at + _MEASURED_AT_ONCE] for at in range(0, len(whole), _MEASURED_AT_ONCE)]

    def runs(self, order: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Whole batches of training samples in this order, many at once: inputs, the row of each sample there, and which they are."""
        train, chosen = self.samples.train, torch.from_numpy(order)
        if self._inputs is not None:
            yield self._inputs, train.places(chosen).numpy(), order
            return
        for of_run, x in train.runs(chosen, size):
            yield _matrix(x), np.arange(len(x)), of_run.numpy()

    def measured(self) -> Iterable[np.ndarray]:
        """The inputs of the validation samples, some at a time."""
        return self._measured or (_matrix(x) for x in self.samples.validation.in_order(_MEASURED_AT_ONCE))


class Feeds:
    """The samples of all folds of the last few studies; what folds share is there once."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._feeds: dict[int, Feed] = {}
        self._inputs: dict[int, np.ndarray | None] = {}
        self._copied = 0  # bytes

    def of(self, samples: Samples) -> Feed:
        """The same every time, unless so many others came in between that all were forgotten."""
        if id(samples) not in self._feeds:
            if self._copied > _MOST_COPIED or len(self._feeds) >= _MOST_FEEDS:
                self._feeds.clear()
                self._inputs.clear()
                self._copied = 0
            self._feeds[id(samples)] = Feed(samples, self._dtype, self._ready)
        return self._feeds[id(samples)]

    def _ready(self, split: Split) -> np.ndarray | None:
        """All inputs that the split shares, as networks take them: as they are, or, where they are few, a copy."""
        x = split.inputs
        if id(x) not in self._inputs:
            is_as_taken = x.dtype == split.dtype and split.scale == 1.0 and x.is_contiguous()
            size = 0 if is_as_taken else x.numel() * split.dtype.itemsize
            self._inputs[id(x)] = _matrix(split.prepared(x)) if split.stream is None and size <= _COPIED else None
            self._copied += size if self._inputs[id(x)] is not None else 0
        return self._inputs[id(x)]


class _Run(NamedTuple):
    """A lane as the compiled code takes it. ``flops`` are those of a step."""

    net: Net
    rule: Rule
    draw: Draw
    state: State
    flops: float


@cache
def blas_of(dtype: torch.dtype) -> Blas:
    """Scipy's, as numba has it too."""
    name = "sgemm" if dtype == torch.float32 else "dgemm"
    return Blas(get_cython_function_address("scipy.linalg.cython_blas", name), small_product())


@cache
def have_kernels(dtype: torch.dtype = torch.float32) -> None:
    """Compile the kernels for these numbers: seconds on a machine that has not done so before, else a moment to read what it kept."""
    x, empty = torch.ones(2, 1, dtype=dtype).numpy(), torch.empty(0, dtype=dtype).numpy()
    weights, nowhere = torch.zeros(2 * ALIGNED, dtype=dtype).numpy(), [NOWHERE] * 4
    net = Net(np.array([1, 1]), np.array([[0, ALIGNED, *nowhere]]), 0, 0, TASKS.index("regression"), blas_of(dtype))
    draw, rule = Draw(np.empty(0, np.uint64), 0, 0.0, 0.0), Rule(OPTIMIZERS.index("sgd"), 0.0, False, 0.0, 0.0, 0.0, 0.0, 0.0)
    state, rows = State(weights, weights.copy(), empty, empty, empty, empty), np.arange(2)
    kernels.train(net, rule, draw, state, x, rows, x, rows, 2, np.zeros(1), 0)
    kernels.outputs_of(net, weights, empty, x)
    kernels.hashes(2, np.uint64(0))
    kernels.judge(x, x)


class CompiledGroup(Group):
    """Lanes that train one after the other, each with all of its own; side by side on the threads that their products do not take."""

    def __init__(self, networks: FamilyNetworks, feeds: Feeds, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(networks, Vectors(device, dtype), device, dtype)
        self._runs: dict[TrialKey, _Run] = {}
        self._feeds = feeds

    @property
    def rows(self) -> int:
        return max(lane.course.batch_size for lane in self.lanes)

    def _begin(self, lane: Lane, row: int, flat: Tensor, buffers: list[tuple[str, Tensor]], checkpoint: dict[str, Any] | None) -> None:
        super()._begin(lane, row, flat, buffers, checkpoint)
        self._runs[lane.key] = _run(lane, self._numbers.weights(row), self._numbers.statistics(row))

    def drop(self, key: TrialKey) -> None:
        super().drop(key)
        del self._runs[key]

    @torch.no_grad()
    def train_epoch(self) -> list[float]:
        losses = self._of_each(self._trained)
        for lane in self.lanes:
            lane.course.epoch += 1
        return losses

    @torch.no_grad()
    def predict(self) -> list[Tensor]:
        return self._of_each(self._predicted)

    @torch.no_grad()
    def seconds_of_an_epoch(self, pieces: int, clock: Callable[[], float] = time.perf_counter, until: float = math.inf) -> float:
        began = clock()
        self._of_each(lambda lane: self._trained(lane, 1))
        piece = clock() - began
        began = clock()
        self.predict()
        around, began = clock() - began, clock()
        pieces = max(1, int(min(_LONGER * pieces, max(0.0, until - began) / max(piece, 1e-9))))
        self._of_each(lambda lane: self._trained(lane, pieces))
        steps = [lane.course.steps_per_epoch for lane in self.lanes]
        return around + (clock() - began) / sum(min(pieces, own) for own in steps) * sum(steps)

    def measured(self, lane: Lane, outputs: Tensor, names: Sequence[str]) -> dict[str, float]:
        if lane.samples.info.task != "multiclass" or not _JUDGED.issuperset(names):
            return super().measured(lane, outputs, names)
        loss, hits = kernels.judge(outputs.numpy(), self._feeds.of(lane.samples).validation_targets)
        values = {"loss": loss / len(outputs), "accuracy": hits / len(outputs)}
        return {name: values[name] for name in names}

    def _trained(self, lane: Lane, most: int | None = None) -> float:
        """Train an epoch, or its first few batches; the mean of the losses of its samples."""
        course, run, feed = lane.course, self._runs[lane.key], self._feeds.of(lane.samples)
        order = np.argsort(kernels.hashes(course.samples, np.uint64(key_at(lane.trial.seed, "shuffle", course.epoch))))
        steps, size = course.steps_per_epoch, course.batch_size
        if most is not None and most < steps:
            order, steps = order[: most * size], most
        first = course.epoch * course.steps_per_epoch
        rates = np.array(course.learning_rates(course.epoch))
        loss, done = 0.0, 0
        for x, rows, chosen in feed.runs(order, size):
            count = math.ceil(len(chosen) / size)
            of_run = rates[done : done + count]
            loss += kernels.train(*run[:4], x, rows, feed.targets, chosen, size, of_run, first + done)
            done += count
        lane.optimiser.state["steps"] += done
        return loss / len(order)

    def _predicted(self, lane: Lane) -> Tensor:
        net, state = self._runs[lane.key].net, self._runs[lane.key].state
        outputs = [kernels.outputs_of(net, state.weights, state.statistics, x) for x in self._feeds.of(lane.samples).measured()]
        return torch.from_numpy(outputs[0] if len(outputs) == 1 else np.concatenate(outputs))

    def _of_each(self, function: Callable[[Lane], Result]) -> list[Result]:
        """What it gives for each lane. How many threads products take depends on the lane alone, and with it its numbers."""
        most = torch.get_num_threads()
        if most == 1:
            with blas_threads(1):
                return [function(lane) for lane in self.lanes]
        threads = [threads_of(self._runs[lane.key].flops, most) for lane in self.lanes]
        found: dict[TrialKey, Result] = {}
        small = [lane for lane, count in zip(self.lanes, threads, strict=True) if count == 1]
        with blas_threads(1), ThreadPoolExecutor(most) as pool:
            found |= zip([lane.key for lane in small], pool.map(function, small), strict=True)
        for lane, count in zip(self.lanes, threads, strict=True):
            if count > 1:
                with blas_threads(count):
                    found[lane.key] = function(lane)
        return [found[lane.key] for lane in self.lanes]


def _matrix(x: Tensor) -> np.ndarray:
    return x.flatten(1).contiguous().numpy()


def _run(lane: Lane, weights: Tensor, statistics: Tensor) -> _Run:
    course, info, empty = lane.course, lane.samples.info, weights.new_empty(0)
    settings, recipe = course.settings, course.recipe
    names = [name.removesuffix(".weight") for name, shape in lane.shapes.items() if len(shape) == 2]
    shapes = [lane.shapes[f"{name}.weight"] for name in names]
    starts = {name: place.start for of in (lane.shapes, lane.buffer_shapes) for name, place in slices(of).items()}

    def places(name: str) -> list[int]:
        norm = name.replace("hidden", "norm") if name.startswith("hidden") else ""
        return [starts.get(f"{of}.{part}", NOWHERE) for of, part in zip((name, name, *[norm] * 4), _PARTS, strict=True)]

    net = Net(
        widths=np.array([shapes[0][1], *(units for units, _ in shapes)]),
        places=np.array([places(name) for name in names]),
        activation=ACTIVATIONS.index(str(settings["activation"])),
        normalization=NORMALIZATIONS.index(str(settings["normalization"])),
        task=TASKS.index(info.task),
        blas=blas_of(weights.dtype),
    )
    share = lane.shares[0] if lane.shares else 0.0
    keys = [key_at(lane.trial.seed, "dropout", layer) for layer in range(len(names) - 1)]
    draw = Draw(np.array(keys, np.uint64), threshold(share), share, recipe.label_smoothing)
    state = lane.optimiser.state
    vectors = weights, torch.zeros_like(weights), statistics, *(state.get(name, empty) for name in ("first", "second", "velocity"))
    flops = FLOPS_A_MULTIPLICATION * course.batch_size * sum(a * b for a, b in pairwise(net.widths.tolist()))
    return _Run(net, _rule(lane.optimiser, recipe.l1, recipe.clip_norm), draw, State(*(v.numpy() for v in vectors)), flops)


def _rule(optimiser: Optimiser, l1: float, clip_norm: float) -> Rule:
    return Rule(
        optimizer=OPTIMIZERS.index(optimiser.rule),
        momentum=optimiser.momentum,
        nesterov=optimiser.nesterov and optimiser.rule == "sgd",
        beta1=optimiser.betas[0],
        beta2=optimiser.betas[1],
        decay=optimiser.decay,
        l1=l1,
        clip_norm=clip_norm,
    )
