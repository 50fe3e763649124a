"""The dropout of all lanes of a group: what each trial's own seed says, by the place of a row in its training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from automl.training.randomness import key_at, row_bits, threshold, unit_bits


class Draws:
    """Keys, thresholds and scales of each layer ``[lanes, 1, 1]``.

    Args:
        seeds: of the trials of the lanes.
        shares: what each drops of its layers; a lane that has fewer layers than others drops nothing of theirs.
        layers: the names of the layers in what is drawn.
    """

    def __init__(
        self, seeds: Sequence[int], shares: Sequence[Sequence[float]], layers: Sequence[int], device: torch.device, dtype: torch.dtype
    ) -> None:
        by_layer = list(zip_longest(*shares, fillvalue=0.0))
        self.are_needed = any(map(any, by_layer))
        self.thresholds = [_by_lane([threshold(share) for share in own], device, torch.int32) for own in by_layer]
        self.scales = [_by_lane([1 / (1 - share) for share in own], device, dtype) for own in by_layer]
        self._device = device
        self._keys = [_by_lane([key_at(seed, "dropout", layer) for seed in seeds], device, torch.int64) for layer in layers]

    def rows(self, where: Tensor) -> list[Tensor]:
        """The bits of the rows at these places ``[pieces, lanes, rows]`` for each layer, ``[pieces, lanes, rows, 1]``; nothing where no
        lane drops anything."""
        return [row_bits(where, key) for key in self._keys] if self.are_needed else []

    def units(self, layer: int, units: int) -> Tensor:
        """The bits of so many units of a layer, ``[lanes, 1, units]``."""
        return unit_bits(self._keys[layer], units, self._device)


def _by_lane(values: Sequence[float], device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, device=device, dtype=dtype)[:, None, None]
