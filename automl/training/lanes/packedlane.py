"""One of several fully connected networks that are packed side by side: its numbers, and its layers as views of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.training.lanes.layout import Shapes
from automl.training.lanes.stages import EPSILON, MOMENTUM
from automl.training.weights import length as length_of
from automl.training.weights import slices

_aten = torch.ops.aten

Matrix = Any
"""An array or a tensor, as the library takes it that multiplies."""


class Turned:
    """The tensors of a network one after the other in a vector; a matrix stands there turned, inputs first."""

    def length(self, shapes: Shapes) -> int:
        """Of the vector."""
        return length_of(shapes)

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


class Library(NamedTuple):
    """Who multiplies and adds, both into ``out``; what a tensor is to it, and what a matrix of it is to torch."""

    multiply: Callable[..., Matrix]
    add: Callable[..., Matrix]
    matrix: Callable[[Tensor], Matrix]
    tensor: Callable[[Matrix], Tensor]


BY_NUMPY = Library(np.matmul, np.add, Tensor.numpy, torch.from_numpy)
BY_TORCH = Library(torch.mm, torch.add, lambda tensor: tensor, lambda matrix: matrix)


class Norm(NamedTuple):
    """A normalisation of one lane, ``[units]`` each; mean and variance are the running ones, which layer normalisation has none of."""

    weight: Tensor
    bias: Tensor
    weight_gradient: Tensor
    bias_gradient: Tensor
    mean: Tensor | None
    variance: Tensor | None

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
        """Of samples that train; and what ``backward`` wants of it."""
        if self.mean is None:
            units = [len(self.weight)]
            y, mean, rate = torch.native_layer_norm(x, units, self.weight, self.bias, EPSILON)
            return y, (units, mean, rate, self.weight, self.bias)
        by_batch = len(x) > 1  # one sample has no variance
        y, mean, rate = _aten.native_batch_norm(x, self.weight, self.bias, self.mean, self.variance, by_batch, MOMENTUM, EPSILON)
        return y, (self.weight, self.mean, self.variance, mean, rate, by_batch, EPSILON)

    def backward(self, d: Tensor, x: Tensor, kept: tuple[Any, ...], adds: bool) -> Tensor:
        """From the loss by the outputs to the loss by the inputs ``x``."""
        backward = _aten.native_layer_norm_backward if self.mean is None else _aten.native_batch_norm_backward
        dx, *new = backward(d, x, *kept, [True, True, True])
        for gradient, values in zip((self.weight_gradient, self.bias_gradient), new, strict=True):
            gradient.add_(values) if adds else gradient.copy_(values)
        return dx  # type: ignore[no-any-return]

    def measured(self, x: Tensor) -> Tensor:
        """Of samples that nothing is learnt from."""
        if self.mean is None:
            return F.layer_norm(x, [len(self.weight)], self.weight, self.bias, EPSILON)
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, False, MOMENTUM, EPSILON)


class Linear(NamedTuple):
    """A layer of one lane, ``x W + b``: matrices ``[inputs, units]``, biases ``[1, units]``; and the normalisation after it."""

    weight: Matrix
    turned: Matrix
    weight_gradient: Matrix
    bias: Matrix | None
    bias_gradient: Matrix | None
    norm: Norm | None


@dataclass(slots=True, eq=False)
class PackedLane:
    """The numbers of one network, and its layers, which are views of them."""

    shapes: Shapes
    buffer_shapes: Shapes
    weights: Tensor
    gradients: Tensor
    statistics: Tensor
    layers: Sequence[Linear] = ()

    @property
    def units(self) -> list[int]:
        """Of each layer, the outputs last."""
        return [shape[0] for shape in self.shapes.values() if len(shape) == 2]

    def look(self, layout: Turned, library: Library) -> None:
        """Make the layers: once, since a view costs as much as a small product."""
        weights, gradients = (layout.take(numbers, self.shapes) for numbers in (self.weights, self.gradients))
        statistics = layout.take(self.statistics, self.buffer_shapes)

        def linear(name: str) -> Linear:
            norm, weight, gradient = name.replace("hidden", "norm"), weights[f"{name}.weight"], gradients[f"{name}.weight"]
            biases = [of[f"{name}.bias"][None] for of in (weights, gradients) if f"{name}.bias" in of]
            bias, bias_gradient = map(library.matrix, biases) if biases else (None, None)
            is_normalised = norm != name and f"{norm}.weight" in weights
            numbers = [of[f"{norm}.{what}"] for of in (weights, gradients) for what in ("weight", "bias")] if is_normalised else []
            running = [statistics.get(f"{norm}.running_{what}") for what in ("mean", "var")]
            return Linear(
                *(library.matrix(weight.mT), library.matrix(weight), library.matrix(gradient.mT), bias, bias_gradient),
                norm=Norm(*numbers, *running) if is_normalised else None,
            )

        self.layers = [linear(name.removesuffix(".weight")) for name, shape in self.shapes.items() if len(shape) == 2]
