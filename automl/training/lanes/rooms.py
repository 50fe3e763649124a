"""A step of networks that are packed side by side: where its numbers stand, and its calls.

Every lane multiplies matrices of its own sizes, into its part of one vector; on that, activations and dropout of all lanes are one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from automl.training.lanes.draws import Draws
from automl.training.lanes.packedlane import Library, Linear, Matrix, PackedLane
from automl.training.randomness import keep_masks

_aten = torch.ops.aten


class _Product(NamedTuple):
    """One layer of one lane: where it takes its samples from (None: the inputs) and where it writes.

    ``gradients`` are the loss by its ``outputs``; of the layer that gives the network's outputs they come with ``backward`` (None).
    ``inputs_gradients`` are where the loss by its inputs goes; the first layer's goes nowhere.
    """

    lane: int
    layer: Linear
    inputs: Matrix | None
    outputs: Matrix
    gradients: Matrix | None
    inputs_gradients: Matrix | None


class Room:
    """A step of all lanes with so many samples each: everything that it writes to, and the calls in their order."""

    def __init__(self, lanes: Sequence[PackedLane], samples: int, activation: str, draws: Draws, library: Library, like: Tensor) -> None:
        self._multiply, self._add, self._matrix = library.multiply, library.add, library.matrix
        self._ones = library.matrix(like.new_ones(1, samples))
        self._outputs = like.new_empty(len(lanes), samples, lanes[0].units[-1])
        depth = max(len(lane.layers) for lane in lanes) - 1
        self._hidden = [_Hidden(lanes, layer, samples, activation, draws, library, like) for layer in range(depth)]
        outputs = [library.matrix(own) for own in self._outputs.unbind()]
        self._products: list[list[_Product]] = [[] for _ in range(depth + 1)]
        for number, lane in enumerate(lanes):
            for layer, linear in enumerate(lane.layers):
                before = self._hidden[layer - 1].of(number) if layer else (None, None, None)
                after = self._hidden[layer].of(number) if layer + 1 < len(lane.layers) else (outputs[number], None, None)
                self._products[layer].append(_Product(number, linear, before[1], after[0], after[2], before[2]))

    def forward(self, x: Tensor, rows: Sequence[Tensor]) -> Tensor:
        """``rows`` are the bits that dropout is drawn by, of each hidden layer ``[lanes, samples, 1]``; nothing where none drops any."""
        multiply, add = self._multiply, self._add
        self._inputs = [self._matrix(own) for own in x.unbind()]
        for layer, products in enumerate(self._products):
            for lane, linear, inputs, outputs, _, _ in products:
                multiply(self._inputs[lane] if inputs is None else inputs, linear.weight, out=outputs)
                if linear.bias is not None:
                    add(outputs, linear.bias, out=outputs)
            if layer < len(self._hidden):
                self._hidden[layer].forward(rows[layer] if rows else None)
        return self._outputs

    def backward(self, d: Tensor, adds: bool) -> None:
        """``d`` is the loss by the outputs, ``[lanes, samples, outputs]``."""
        multiply, of_outputs = self._multiply, [self._matrix(own) for own in d.unbind()]
        for layer in reversed(range(len(self._products))):
            for lane, linear, inputs, _, gradients, inputs_gradients in self._products[layer]:
                d_lane = of_outputs[lane] if gradients is None else gradients
                x = (self._inputs[lane] if inputs is None else inputs).T
                if adds:
                    _added(linear.weight_gradient, multiply(x, d_lane))
                else:
                    multiply(x, d_lane, out=linear.weight_gradient)
                if linear.bias_gradient is not None and adds:
                    _added(linear.bias_gradient, multiply(self._ones, d_lane))
                elif linear.bias_gradient is not None:
                    multiply(self._ones, d_lane, out=linear.bias_gradient)
                if inputs_gradients is not None:
                    multiply(d_lane, linear.turned, out=inputs_gradients)
            if layer:
                self._hidden[layer - 1].backward(adds)


def _added(gradient: Matrix, new: Matrix) -> None:
    gradient += new


class _Activation(NamedTuple):
    """All into given memory: ``forward(x, y)``, ``backward(d, kept)``. One that ``keeps_outputs`` works on them, in place of its inputs."""

    keeps_outputs: bool
    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor], object]


_ACTIVATIONS = {
    "relu": _Activation(True, lambda x, y: torch.relu_(x), lambda d, y: _aten.threshold_backward.grad_input(d, y, 0, grad_input=d)),
    "tanh": _Activation(True, lambda x, y: torch.tanh_(x), lambda d, y: _aten.tanh_backward.grad_input(d, y, grad_input=d)),
    "sigmoid": _Activation(True, lambda x, y: torch.sigmoid_(x), lambda d, y: _aten.sigmoid_backward.grad_input(d, y, grad_input=d)),
    "gelu": _Activation(False, lambda x, y: _aten.gelu.out(x, out=y), lambda d, x: _aten.gelu_backward.grad_input(d, x, grad_input=d)),
    "silu": _Activation(False, lambda x, y: _aten.silu.out(x, out=y), lambda d, x: _aten.silu_backward.grad_input(d, x, grad_input=d)),
    "leaky_relu": _Activation(
        False,
        lambda x, y: _aten.leaky_relu.out(x, out=y),
        lambda d, x: _aten.leaky_relu_backward.grad_input(d, x, 0.01, False, grad_input=d),
    ),
    "elu": _Activation(
        False,
        lambda x, y: _aten.elu.out(x, out=y),
        lambda d, x: _aten.elu_backward.grad_input(d, 1.0, 1.0, 1.0, False, x, grad_input=d),
    ),
}


class _Hidden:
    """Normalisation, activation and dropout of one hidden layer, of all lanes that have it: their units are one vector, lane by lane."""

    def __init__(
        self, lanes: Sequence[PackedLane], layer: int, samples: int, activation: str, draws: Draws, library: Library, like: Tensor
    ) -> None:
        self._lanes = [number for number, lane in enumerate(lanes) if len(lane.layers) > layer + 1]
        self._widths = [lanes[number].units[layer] for number in self._lanes]
        self._starts = list(accumulate((samples * width for width in self._widths), initial=0))
        norms = [lanes[number].layers[layer].norm for number in self._lanes]
        self._activation, self._is_masked, self._like = _ACTIVATIONS[activation], draws.are_needed, like

        def vector() -> Tensor:
            return like.new_empty(self._starts[-1])

        products, self._d = vector(), vector()
        self._x = products if norms[0] is None else vector()  # what the activation gets
        # The derivative of a relu is seen from its outputs also where dropout has gone over them.
        is_kept = not self._activation.keeps_outputs or (self._is_masked and activation != "relu")
        self._y = vector() if is_kept else self._x  # what the next layer gets
        views = [self._by_lane(numbers) for numbers in (products, self._y, self._d)]
        matrices = zip(*([library.matrix(view) for view in of] for of in views), strict=True)
        self._matrices = dict(zip(self._lanes, matrices, strict=True))
        self._norms = [
            (norm, before, x, d) for norm, before, x, d in zip(norms, views[0], self._by_lane(self._x), views[2], strict=True) if norm
        ]
        if self._is_masked:
            self._draw_by(draws, layer)

    def of(self, lane: int) -> tuple[Matrix, Matrix, Matrix]:
        """Where the products of a lane go, what its next layer gets, and where the loss by that goes: ``[samples, units]``."""
        return self._matrices[lane]

    def _by_lane(self, vector: Tensor) -> list[Tensor]:
        parts = zip(pairwise(self._starts), self._widths, strict=True)
        return [vector[start:end].view(-1, width) for (start, end), width in parts]

    def _draw_by(self, draws: Draws, layer: int) -> None:
        self._bits = torch.empty(self._starts[-1], dtype=torch.int32)
        self._thresholds, self._scales = torch.empty_like(self._bits), self._like.new_empty(self._starts[-1])
        for lane, (start, end) in zip(self._lanes, pairwise(self._starts), strict=True):
            self._thresholds[start:end] = draws.thresholds[layer][lane]
            self._scales[start:end] = draws.scales[layer][lane]
        units = draws.units(layer, max(self._widths)).numpy()
        bits = [own.numpy() for own in self._by_lane(self._bits)]
        self._draws = [(lane, units[lane, :, :width], own) for lane, width, own in zip(self._lanes, self._widths, bits, strict=True)]

    def forward(self, rows: Tensor | None) -> None:
        """From the products to what the next layer gets; ``rows`` are the bits that dropout is drawn by, ``[lanes, samples, 1]``."""
        self._kept = []
        for norm, products, x, _ in self._norms:
            normal, kept = norm.forward(products)
            x.copy_(normal)
            self._kept.append(kept)
        self._activation.forward(self._x, self._y)
        if self._is_masked and rows is not None:
            bits_of_rows = rows.numpy()
            for lane, units, bits in self._draws:
                np.add(bits_of_rows[lane], units, out=bits)
            self._mask = keep_masks(self._bits, self._thresholds, self._scales, self._like)
            torch.mul(self._x if self._activation.keeps_outputs else self._y, self._mask, out=self._y)

    def backward(self, adds: bool) -> None:
        """From the loss by what the next layer got to the loss by the products, in the same place."""
        if self._is_masked:
            self._d.mul_(self._mask)
        self._activation.backward(self._d, self._x)
        for (norm, products, _, d), kept in zip(self._norms, self._kept, strict=True):
            d.copy_(norm.backward(d, products, kept, adds))
