"""The networks of all lanes of a group: where their numbers stand, and how samples go through them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from automl.training.fit import rows_at_once
from automl.training.lanes.draws import Draws
from automl.training.lanes.layout import Layout, Rows, Shapes
from automl.training.lanes.networks import Network
from automl.training.randomness import keep_masks
from automl.training.samples import Split


class Stack:
    """Networks of one depth, each tensor padded to the widest of its kind, so that one call does a layer of all lanes.

    Lanes are 0, 1, ...; one that leaves is replaced by the last one. ``bind`` follows whenever lanes came or went.

    Args:
        network: the stages.
        weights_layout, statistics_layout: of the rows ``[lanes, width]``.

    Attributes:
        takes_pictures: inputs keep their shape; else they are flattened.
        layers: those that drop units, by the names that masks are drawn by.
        drawn: how many numbers of masks a sample takes.
    """

    def __init__(
        self, network: Network, weights_layout: Layout, statistics_layout: Layout, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.weights_layout, self.statistics_layout = weights_layout, statistics_layout
        self.takes_pictures, self.layers, self.drawn = network.takes_pictures, [drop.layer for drop in network.dropouts], 0
        self._network, self._dropouts = network, network.dropouts
        self._lanes: list[Shapes] = []
        self._weights = torch.zeros(0, weights_layout.width, device=device, dtype=dtype)
        self._gradients = torch.zeros_like(self._weights)
        self._statistics = torch.zeros(0, statistics_layout.width, device=device, dtype=dtype)

    @property
    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, gradients and statistics of the lanes that are there."""
        count = len(self._lanes)
        return self._weights[:count], self._gradients[:count], self._statistics[:count]

    def admit(self, shapes: Shapes, buffer_shapes: Shapes) -> None:
        """A last lane for a network of these shapes, all of its numbers 0."""
        row = len(self._lanes)
        if row == len(self._weights):
            self._grow(max(4, 2 * row))
        self._lanes.append(shapes)

    def _grow(self, count: int) -> None:
        grown = []
        for old in (self._weights, self._gradients, self._statistics):
            new = old.new_zeros(count, old.shape[1])
            new[: len(old)] = old
            grown.append(new)
        self._weights, self._gradients, self._statistics = grown  # all of them, or none where memory runs out

    def drop(self, lane: int) -> None:
        """Without this lane."""
        last = self._lanes.pop()
        if lane < len(self._lanes):
            self._lanes[lane] = last
            self._weights[lane] = self._weights[len(self._lanes)]
            self._statistics[lane] = self._statistics[len(self._lanes)]

    def weights(self, lane: int) -> Tensor:
        """All weights of a lane as a vector, until lanes come or go."""
        return self._weights[lane]

    def gradient(self, lane: int) -> Tensor:
        """Their gradients."""
        return self._gradients[lane]

    def statistics(self, lane: int) -> Tensor:
        """The running statistics of a lane's normalisations."""
        return self._statistics[lane]

    def clear_gradients(self) -> None:
        """Those of all lanes are 0."""
        self._gradients[: len(self._lanes)].zero_()

    def bind(self, draws: Draws) -> None:
        """Make ready for the lanes that are there."""
        rows = Rows(*self.rows, tuple(self._lanes), self.weights_layout, self.statistics_layout)
        for stage in self._network.stages:
            stage.bind(rows)
        self._draws = draws
        self._units = [draws.units(layer, dropout.units) for layer, dropout in enumerate(self._dropouts)]
        self.drawn = sum(dropout.units for dropout in self._dropouts) if draws.are_needed else 0

    def masks(self, rows: Sequence[Tensor], first: int, last: int) -> list[Tensor]:
        """What ``forward`` wants of dropout for these pieces, ``[pieces, lanes, rows, ...]``, from the bits of the rows of each layer."""
        layers = zip(rows, self._units, self._draws.thresholds, self._draws.scales, strict=False)
        return [keep_masks(bits[first:last] + units, least, scale, self._weights) for bits, units, least, scale in layers]

    def measured_at_once(self, split: Split) -> int:
        """How many samples of each lane are measured at once."""
        return max(1, rows_at_once(split) // len(self._lanes))

    def forward(self, x: Tensor, masks: Sequence[Tensor] | None) -> Tensor:
        """``[lanes, samples, features]``, pictures ``[samples, lanes * channels, ...]``, to ``[lanes, samples, outputs]``. ``masks`` are
        those of a piece that trains, and None where nothing does; then lanes may share their samples, ``[samples, ...]``."""
        if masks is not None:
            for layer, dropout in enumerate(self._dropouts):
                dropout.masks = masks[layer] if masks else None
        for stage in self._network.stages:
            x = stage.forward(x, training=masks is not None)
        return x

    def backward(self, d: Tensor, adds: bool) -> None:
        """From the loss by the outputs of the last ``forward``: the gradients are written, or added where ``adds``."""
        for stage in reversed(self._network.stages):
            d = stage.backward(d, adds)
