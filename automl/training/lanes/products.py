"""The products of linear layers of many lanes, by the library that makes more of this processor (``automl.models.multiplication``).

Weights are ``[lanes, inputs, units]``: of the three products of a layer the one that is slow in OpenBLAS, with a transposed second matrix,
is then that of the gradient of the inputs, which the first layer and validation do without.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from automl.models.multiplication import numpy_multiplies


class Products(Protocol):
    """Of one layer of all lanes, ``y = x W + b``."""

    def outputs(self, x: Tensor, training: bool) -> Tensor:
        """``[lanes, samples, inputs]`` to ``[lanes, samples, units]``. While training they are there until the next call."""

    def gradients(self, d: Tensor, adds: bool) -> None:
        """Write, or add, the gradients of weights and bias, from the loss by the last outputs, ``[lanes, samples, units]``."""

    def inputs(self, d: Tensor) -> Tensor:
        """The loss by the inputs, ``[lanes, samples, inputs]``; there until the next call."""


def products_of(weight: Tensor, weight_gradient: Tensor, bias: Tensor | None, bias_gradient: Tensor | None) -> Products:
    """Views of the rows of all lanes: ``[lanes, inputs, units]`` and ``[lanes, 1, units]``."""
    kind = _ByNumpy if numpy_multiplies(weight.device) else _ByTorch
    return kind(weight, weight_gradient, bias, bias_gradient)


class _ByTorch:
    def __init__(self, weight: Tensor, weight_gradient: Tensor, bias: Tensor | None, bias_gradient: Tensor | None) -> None:
        self._weight, self._turned, self._weight_gradient = weight, weight.transpose(1, 2), weight_gradient
        self._bias, self._bias_gradient = bias, bias_gradient

    def outputs(self, x: Tensor, training: bool) -> Tensor:
        if training:
            self._x = x
        return torch.bmm(x, self._weight) if self._bias is None else torch.baddbmm(self._bias, x, self._weight)

    def gradients(self, d: Tensor, adds: bool) -> None:
        if adds:
            self._weight_gradient.baddbmm_(self._x.transpose(1, 2), d)
        else:
            torch.bmm(self._x.transpose(1, 2), d, out=self._weight_gradient)
        if self._bias_gradient is not None and adds:
            self._bias_gradient += d.sum(1, keepdim=True)
        elif self._bias_gradient is not None:
            torch.sum(d, 1, keepdim=True, out=self._bias_gradient)

    def inputs(self, d: Tensor) -> Tensor:
        return torch.bmm(d, self._turned)


class _Room(NamedTuple):
    """For one number of samples: outputs and gradients of inputs, as tensors and as arrays, and as many ones as samples."""

    outputs: Tensor
    outputs_array: np.ndarray
    inputs: Tensor
    inputs_array: np.ndarray
    ones: np.ndarray


class _ByNumpy:
    """What is a view of a tensor for as long as the lanes stay is made once: one costs as much as a small product."""

    def __init__(self, weight: Tensor, weight_gradient: Tensor, bias: Tensor | None, bias_gradient: Tensor | None) -> None:
        self._like, self._bias = weight, bias
        self._weight, self._weight_gradient = weight.numpy(), weight_gradient.numpy()
        self._turned = self._weight.transpose(0, 2, 1)
        self._bias_gradient = None if bias_gradient is None else bias_gradient.numpy()
        self._rooms: dict[int, _Room] = {}  # by the number of samples

    def outputs(self, x: Tensor, training: bool) -> Tensor:
        self._x = x.numpy()
        samples = x.shape[1]
        if training:
            room = self._rooms.get(samples) or self._made(samples)
            y, array = room.outputs, room.outputs_array
        else:
            y = self._like.new_empty(len(x), samples, self._weight.shape[2])
            array = y.numpy()
        np.matmul(self._x, self._weight, out=array)
        return y if self._bias is None else y.add_(self._bias)

    def gradients(self, d: Tensor, adds: bool) -> None:
        by_outputs, x = d.numpy(), self._x.transpose(0, 2, 1)
        ones = self._rooms[d.shape[1]].ones
        if adds:
            self._weight_gradient += np.matmul(x, by_outputs)
            if self._bias_gradient is not None:
                self._bias_gradient += np.matmul(ones, by_outputs)
            return
        np.matmul(x, by_outputs, out=self._weight_gradient)
        if self._bias_gradient is not None:
            np.matmul(ones, by_outputs, out=self._bias_gradient)

    def inputs(self, d: Tensor) -> Tensor:
        room = self._rooms[d.shape[1]]
        np.matmul(d.numpy(), self._turned, out=room.inputs_array)
        return room.inputs

    def _made(self, samples: int) -> _Room:
        lanes, inputs, units = self._weight.shape
        y, dx = self._like.new_empty(lanes, samples, units), self._like.new_empty(lanes, samples, inputs)
        room = self._rooms[samples] = _Room(y, y.numpy(), dx, dx.numpy(), np.ones((1, samples), self._weight.dtype))
        return room
