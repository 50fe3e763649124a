"""Fully connected networks of any widths and depths side by side on a CPU, without padding.

The products of one lane keep a core busy, and cost a microsecond each to call; what is dear are the other operations of a step, which are
many and short. So every lane multiplies by itself, and the others are one call for all (``rooms``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from automl.models.layers import ACTIVATIONS
from automl.models.multiplication import numpy_multiplies
from automl.training.lanes.draws import Draws
from automl.training.lanes.layout import Shapes
from automl.training.lanes.packedlane import BY_NUMPY, BY_TORCH, Library, PackedLane, Turned
from automl.training.lanes.rooms import Room
from automl.training.samples import Split
from automl.training.weights import length

_MEASURED_AT_ONCE = 4096  # samples


class PackedStack:
    """As ``automl.training.lanes.stack.Stack`` says, of networks of the family ``mlp`` with one activation and kind of normalisation."""

    takes_pictures = False
    drawn = 0  # masks are made when they are wanted

    def __init__(self, activation: str, device: torch.device, dtype: torch.dtype) -> None:
        self.weights_layout = self.statistics_layout = Turned()
        self._activation, self._like = activation, torch.empty(0, device=device, dtype=dtype)
        self._lanes: list[PackedLane] = []
        self._library: Library | None = None
        self._rooms: dict[int, Room] = {}  # by the number of samples

    @property
    def layers(self) -> Sequence[int]:
        """The hidden ones of the deepest lane."""
        return range(max((len(lane.units) for lane in self._lanes), default=1) - 1)

    def admit(self, shapes: Shapes, buffer_shapes: Shapes) -> None:
        """A last lane for a network of these shapes, all of its numbers 0."""
        weights, gradients, statistics = (self._like.new_zeros(length(of)) for of in (shapes, shapes, buffer_shapes))
        self._lanes.append(PackedLane(shapes, buffer_shapes, weights, gradients, statistics))

    def drop(self, lane: int) -> None:
        """Without this lane; the last one takes its place."""
        last = self._lanes.pop()
        if lane < len(self._lanes):
            self._lanes[lane] = last

    def weights(self, lane: int) -> Tensor:
        """All weights of a lane as a vector."""
        return self._lanes[lane].weights

    def gradient(self, lane: int) -> Tensor:
        """Their gradients."""
        return self._lanes[lane].gradients

    def statistics(self, lane: int) -> Tensor:
        """The running statistics of its normalisations."""
        return self._lanes[lane].statistics

    def clear_gradients(self) -> None:
        """Those of all lanes are 0."""
        for lane in self._lanes:
            lane.gradients.zero_()

    def bind(self, draws: Draws) -> None:
        """Make ready for the lanes that are there."""
        library = BY_NUMPY if numpy_multiplies(self._like.device) else BY_TORCH
        for lane in self._lanes:
            if not lane.layers or library is not self._library:
                lane.look(self.weights_layout, library)
        self._library, self._draws = library, draws
        self._rooms.clear()

    def masks(self, rows: Sequence[Tensor], first: int, last: int) -> list[Tensor]:
        """The bits of these pieces' rows: what dropout drops is drawn when the units are there."""
        return [bits[first:last] for bits in rows]

    def measured_at_once(self, split: Split) -> int:
        """How many samples of each lane are measured at once: of one lane after the other, and none has maps."""
        return _MEASURED_AT_ONCE

    def forward(self, x: Tensor, masks: Sequence[Tensor] | None) -> Tensor:
        """``[lanes, samples, features]`` to ``[lanes, samples, outputs]``, which stand there until the next call."""
        assert self._library is not None
        if masks is None:
            return self._measured(x, self._library)
        samples = x.shape[1]
        if samples not in self._rooms:
            self._rooms[samples] = Room(self._lanes, samples, self._activation, self._draws, self._library, self._like)
        self._room = self._rooms[samples]
        return self._room.forward(x, masks)

    def backward(self, d: Tensor, adds: bool) -> None:
        """From the loss by the outputs: the gradients are written, or added where ``adds``."""
        self._room.backward(d, adds)

    def _measured(self, x: Tensor, library: Library) -> Tensor:
        outputs = self._like.new_empty(len(self._lanes), x.shape[-2], self._lanes[0].units[-1])
        activation = ACTIVATIONS[self._activation]
        for number, (lane, out) in enumerate(zip(self._lanes, outputs.unbind(), strict=True)):
            y = x if x.dim() == 2 else x[number]
            for layer in lane.layers:
                product = library.multiply(library.matrix(y), layer.weight)
                y = library.tensor(product if layer.bias is None else library.add(product, layer.bias, out=product))
                if layer is not lane.layers[-1]:
                    y = activation(y if layer.norm is None else layer.norm.measured(y))
            out.copy_(y)
        return outputs
