"""Where the weights of many networks of one kind stand: a row each, every weight tensor padded with zeros to the widest of its kind.

A unit that pads has only zeros for weights, so that nothing flows through it, and its gradients are zero, so that it stays so.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Self

import torch
from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]
"""The true shape of every weight tensor and buffer of one network, by its name."""


@dataclass(frozen=True, slots=True)
class Part:
    """One tensor of every network: its name, its padded shape, and where it starts in a row; a matrix may stand there turned."""

    name: str
    shape: tuple[int, ...]
    start: int
    is_turned: bool = False

    def of(self, rows: Tensor) -> Tensor:
        """This tensor of many networks, a view of the rows ``[lanes, width]``: ``[lanes, *shape]``, turned with the last axes swapped."""
        shape = self.shape[::-1] if self.is_turned else self.shape
        return rows[:, self.start : self.start + prod(shape)].view(len(rows), *shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """The tensors of one kind in a row of ``width`` numbers."""

    parts: Mapping[str, Part]
    width: int

    @classmethod
    def of(cls, tensors: Iterable[tuple[str, Tensor]], turned: Container[str] = ()) -> Self:
        """One after the other; the matrices of these names ``turned``."""
        parts, start = {}, 0
        for name, tensor in tensors:
            parts[name] = Part(name, tuple(tensor.shape), start, name in turned)
            start += tensor.numel()
        return cls(parts, start)

    def length(self, shapes: Shapes) -> int:
        """Of a row, whatever the true shapes are."""
        return self.width

    def put(self, tensors: Iterable[tuple[str, Tensor]], row: Tensor) -> None:
        """Write a network's tensors into its row ``[width]``, zeros around them."""
        tensors = list(tensors)
        row.zero_()
        for (_, tensor), place in zip(tensors, self._corners(row, {name: tuple(t.shape) for name, t in tensors}), strict=True):
            place.copy_(tensor)

    def take(self, row: Tensor, shapes: Shapes) -> dict[str, Tensor]:
        """A network's tensors in its row: views without the zeros around them."""
        return dict(zip(shapes, self._corners(row, shapes), strict=True))

    def _corners(self, row: Tensor, shapes: Shapes) -> Iterator[Tensor]:
        for name, shape in shapes.items():
            part = self.parts[name]
            whole = part.of(row[None])[0]
            yield (whole.T if part.is_turned else whole)[tuple(slice(size) for size in shape)]


@dataclass(frozen=True, slots=True)
class Rows:
    """The lanes that train: their weights and gradients ``[lanes, width]``, and the running statistics of batch normalisation."""

    weights: Tensor
    gradients: Tensor
    statistics: Tensor
    shapes: tuple[Shapes, ...]
    layout: Layout
    statistics_layout: Layout

    def __len__(self) -> int:
        return len(self.weights)

    def weight(self, name: str) -> Tensor:
        return self.layout.parts[name].of(self.weights)

    def gradient(self, name: str) -> Tensor:
        return self.layout.parts[name].of(self.gradients)

    def statistic(self, name: str) -> Tensor:
        return self.statistics_layout.parts[name].of(self.statistics)

    def units(self, name: str) -> Tensor:
        """How many units of this weight tensor's layer each lane really has, ``[lanes]`` in the dtype of the weights."""
        return self.weights.new_tensor([shapes[name][0] for shapes in self.shapes])

    def is_unit(self, name: str) -> Tensor | None:
        """1 where a unit of the layer is real and 0 where it pads, ``[lanes, units]``; None where none pads."""
        width = self.layout.parts[name].shape[0]
        if all(shapes[name][0] == width for shapes in self.shapes):
            return None
        return (torch.arange(width, device=self.weights.device) < self.units(name)[:, None]).to(self.weights.dtype)


def weights_of(module: nn.Module) -> list[tuple[str, Tensor]]:
    """The weight tensors of a network by name."""
    return [(name, parameter.detach()) for name, parameter in module.named_parameters()]


def shapes_of(module: nn.Module) -> tuple[Shapes, Shapes]:
    """The shapes of the weight tensors and those of the buffers."""
    return (
        {name: tuple(parameter.shape) for name, parameter in module.named_parameters()},
        {name: tuple(buffer.shape) for name, buffer in module.named_buffers()},
    )
