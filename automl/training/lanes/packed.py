"""Fully connected networks of any widths and depths side by side on a CPU, without padding.

The products of one lane keep a core busy, and cost a microsecond each to call; what is dear are the other operations of a step, which are
many and short. So every lane multiplies by itself, matrices of its own sizes, into its part of one vector, and on that activations and
dropout of all lanes are one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.models.layers import ACTIVATIONS
from automl.models.multiplication import numpy_multiplies
from automl.training.lanes.draws import Draws
from automl.training.lanes.layout import Shapes
from automl.training.lanes.stages import EPSILON, MOMENTUM
from automl.training.randomness import keep_masks
from automl.training.samples import Split
from automl.training.weights import length, slices

_aten = torch.ops.aten

_MEASURED_AT_ONCE = 4096  # samples

_Matrix = Any
"""An array or a tensor, as the library takes it that multiplies."""


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


class _Library(NamedTuple):
    """Who multiplies and adds, both into ``out``; what a tensor is to it, and what a matrix of it is to torch."""

    multiply: Callable[..., _Matrix]
    add: Callable[..., _Matrix]
    matrix: Callable[[Tensor], _Matrix]
    tensor: Callable[[_Matrix], Tensor]


_BY_NUMPY = _Library(np.matmul, np.add, Tensor.numpy, torch.from_numpy)
_BY_TORCH = _Library(torch.mm, torch.add, lambda tensor: tensor, lambda matrix: matrix)


class _Norm(NamedTuple):
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


class _Linear(NamedTuple):
    """A layer of one lane, ``x W + b``: matrices ``[inputs, units]``, biases ``[1, units]``; and the normalisation after it."""

    weight: _Matrix
    turned: _Matrix
    weight_gradient: _Matrix
    bias: _Matrix | None
    bias_gradient: _Matrix | None
    norm: _Norm | None


@dataclass(slots=True, eq=False)
class _Lane:
    """The numbers of one network, and its layers, which are views of them."""

    shapes: Shapes
    buffer_shapes: Shapes
    weights: Tensor
    gradients: Tensor
    statistics: Tensor
    layers: Sequence[_Linear] = ()

    @property
    def units(self) -> list[int]:
        """Of each layer, the outputs last."""
        return [shape[0] for shape in self.shapes.values() if len(shape) == 2]

    def look(self, layout: Turned, library: _Library) -> None:
        """Make the layers: once, since a view costs as much as a small product."""
        weights, gradients = (layout.take(numbers, self.shapes) for numbers in (self.weights, self.gradients))
        statistics = layout.take(self.statistics, self.buffer_shapes)

        def linear(name: str) -> _Linear:
            norm, weight, gradient = name.replace("hidden", "norm"), weights[f"{name}.weight"], gradients[f"{name}.weight"]
            biases = [of[f"{name}.bias"][None] for of in (weights, gradients) if f"{name}.bias" in of]
            bias, bias_gradient = map(library.matrix, biases) if biases else (None, None)
            is_normalised = norm != name and f"{norm}.weight" in weights
            numbers = [of[f"{norm}.{what}"] for of in (weights, gradients) for what in ("weight", "bias")] if is_normalised else []
            running = [statistics.get(f"{norm}.running_{what}") for what in ("mean", "var")]
            return _Linear(
                *(library.matrix(weight.mT), library.matrix(weight), library.matrix(gradient.mT), bias, bias_gradient),
                norm=_Norm(*numbers, *running) if is_normalised else None,
            )

        self.layers = [linear(name.removesuffix(".weight")) for name, shape in self.shapes.items() if len(shape) == 2]


class PackedStack:
    """As ``automl.training.lanes.stack.Stack`` says, of networks of the family ``mlp`` with one activation and kind of normalisation."""

    takes_pictures = False
    drawn = 0  # masks are made when they are wanted

    def __init__(self, activation: str, device: torch.device, dtype: torch.dtype) -> None:
        self.weights_layout = self.statistics_layout = Turned()
        self._activation, self._like = activation, torch.empty(0, device=device, dtype=dtype)
        self._lanes: list[_Lane] = []
        self._library: _Library | None = None
        self._rooms: dict[int, _Room] = {}  # by the number of samples

    @property
    def layers(self) -> Sequence[int]:
        """The hidden ones of the deepest lane."""
        return range(max((len(lane.units) for lane in self._lanes), default=1) - 1)

    def admit(self, shapes: Shapes, buffer_shapes: Shapes) -> None:
        """A last lane for a network of these shapes, all of its numbers 0."""
        weights, gradients, statistics = (self._like.new_zeros(length(of)) for of in (shapes, shapes, buffer_shapes))
        self._lanes.append(_Lane(shapes, buffer_shapes, weights, gradients, statistics))

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
        library = _BY_NUMPY if numpy_multiplies(self._like.device) else _BY_TORCH
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
            self._rooms[samples] = _Room(self._lanes, samples, self._activation, self._draws, self._library, self._like)
        self._room = self._rooms[samples]
        return self._room.forward(x, masks)

    def backward(self, d: Tensor, adds: bool) -> None:
        """From the loss by the outputs: the gradients are written, or added where ``adds``."""
        self._room.backward(d, adds)

    def _measured(self, x: Tensor, library: _Library) -> Tensor:
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


class _Product(NamedTuple):
    """One layer of one lane: where it takes its samples from (None: the inputs) and where it writes.

    ``gradients`` are the loss by its ``outputs``; of the layer that gives the network's outputs they come with ``backward`` (None).
    ``inputs_gradients`` are where the loss by its inputs goes; the first layer's goes nowhere.
    """

    lane: int
    layer: _Linear
    inputs: _Matrix | None
    outputs: _Matrix
    gradients: _Matrix | None
    inputs_gradients: _Matrix | None


class _Room:
    """A step of all lanes with so many samples each: everything that it writes to, and the calls in their order."""

    def __init__(self, lanes: Sequence[_Lane], samples: int, activation: str, draws: Draws, library: _Library, like: Tensor) -> None:
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


def _added(gradient: _Matrix, new: _Matrix) -> None:
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
        self, lanes: Sequence[_Lane], layer: int, samples: int, activation: str, draws: Draws, library: _Library, like: Tensor
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

    def of(self, lane: int) -> tuple[_Matrix, _Matrix, _Matrix]:
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
        units = [draws.units(layer, width)[lane].numpy() for lane, width in zip(self._lanes, self._widths, strict=True)]
        bits = [own.numpy() for own in self._by_lane(self._bits)]
        self._draws = list(zip(self._lanes, units, bits, strict=True))

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
