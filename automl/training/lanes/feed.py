"""What the lanes of a group are trained and measured on: the same samples for all, or, in folds, rows or samples of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from automl.training.samples import Split


class Feed:
    """Gathers samples of a split for many lanes at once; lane by lane only where their samples do not lie in one tensor.

    Args:
        splits: that of each lane, alike in all but number and content of the samples.
        takes_pictures: whether samples keep their shape; else they are flattened.
    """

    def __init__(self, splits: Sequence[Split], takes_pictures: bool) -> None:
        first = splits[0]
        self._splits, self._takes_pictures = splits, takes_pictures
        self._is_shared = all(split is first for split in splits)
        self._longest = max(len(split) for split in splits)
        lanes_of: dict[int, list[int]] = {}
        for lane, split in enumerate(splits):
            lanes_of.setdefault(id(split.inputs), []).append(lane)
        self._sources = [(self._as_taken(splits[lanes[0]]), torch.tensor(lanes, device=first.inputs.device)) for lanes in lanes_of.values()]
        if not self._is_shared:
            self._lanes = torch.arange(len(splits), device=first.inputs.device)[:, None]
            every = torch.arange(self._longest, device=first.inputs.device)
            self._rows = torch.stack([self._padded(split.places(every[: len(split)])) for split in splits])
            self._targets = torch.stack([self._padded(split.targets) for split in splits])

    def _as_taken(self, split: Split) -> Tensor:
        return split.inputs if self._takes_pictures else split.inputs.flatten(1)

    def _padded(self, values: Tensor) -> Tensor:
        return torch.cat([values, values.new_zeros(self._longest - len(values), *values.shape[1:])])

    @property
    def numbers(self) -> int:
        """How many numbers a sample has."""
        return self._sources[0][0][0].numel()

    def inputs(self, chosen: Tensor) -> Tensor:
        """The inputs of the samples ``chosen``, ``[pieces, lanes, rows]``, as ``[pieces, lanes, rows, features]``; pictures as
        ``[pieces, rows, lanes * channels, height, width]``."""
        places = self._splits[0].places(chosen) if self._is_shared else self._rows[self._lanes, chosen]
        lanes = 1
        if self._takes_pictures:
            places, lanes = places.transpose(1, 2), 2
        inputs = self._splits[0].prepared(self._gathered(places, lanes))
        return inputs.flatten(2, 3) if self._takes_pictures else inputs

    def _gathered(self, places: Tensor, axis: int) -> Tensor:
        if len(self._sources) == 1:
            return _at(self._sources[0][0], places)
        source = self._sources[0][0]
        gathered = source.new_empty(*places.shape, *source.shape[1:])
        for source, lanes in self._sources:
            gathered.index_copy_(axis, lanes, _at(source, places.index_select(axis, lanes)))
        return gathered

    def targets(self, chosen: Tensor) -> Tensor:
        """Their targets, ``[pieces, lanes, rows]``; of forecasts ``[pieces, lanes, rows, steps]``."""
        return _at(self._splits[0].targets, chosen) if self._is_shared else self._targets[self._lanes, chosen]

    def in_order(self, size: int) -> list[Tensor]:
        """The inputs from the first sample to the last, ``size`` at a time: of all lanes, or without their axis where they share all.

        Lanes with fewer samples than others have any at their end.
        """
        first = self._splits[0]
        if self._is_shared and first.rows is None:
            return [first.prepared(inputs) for inputs in torch.split(self._sources[0][0], size)]
        if self._is_shared:
            return [first.prepared(_at(self._sources[0][0], rows)) for rows in torch.split(first.places(self._every()), size)]
        return [self.inputs(chosen.expand(1, len(self._splits), -1))[0] for chosen in torch.split(self._every(), size)]

    def _every(self) -> Tensor:
        return torch.arange(self._longest, device=self._sources[0][0].device)


def _at(source: Tensor, places: Tensor) -> Tensor:
    """What stands at these places, in their shape."""
    return source.index_select(0, places.flatten()).view(*places.shape, *source.shape[1:])
