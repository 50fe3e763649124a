"""The layers of many networks at once, forward and backward.

Each stage does for all lanes what one layer does for one network. Backward passes are written out, for two reasons: gradients go straight
into their rows, and a step of a small network costs 50 microseconds instead of the 150 that recording a graph takes.

Hidden units of lanes are ``[lanes, samples, units]``, pictures ``[samples, lanes * channels, height, width]`` (what a grouped
convolution takes). Inputs that all lanes share have no axis of lanes: ``[samples, units]`` and ``[samples, channels, height, width]``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.models.layers import ACTIVATIONS
from automl.training.lanes.layout import Rows
from automl.training.lanes.products import products_of

_aten = torch.ops.aten
EPSILON = 1e-5  # what normalisation adds to a variance
MOMENTUM = 0.1  # the share of a batch in the running statistics


class Stage(ABC):
    """One layer of all lanes. ``backward`` follows the ``forward`` of the same step."""

    def bind(self, rows: Rows) -> None:  # noqa: B027 - most have no weights
        """Take views of these lanes; called when lanes come or go."""

    @abstractmethod
    def forward(self, x: Tensor, training: bool) -> Tensor:
        """What the next stage gets. Keeps what ``backward`` needs where ``training``."""

    @abstractmethod
    def backward(self, d: Tensor, adds: bool) -> Tensor:
        """From the loss by the outputs to the loss by the inputs; the weights' gradients are written, or added where ``adds``."""


class Linear(Stage):
    """``y = x W' + b`` for each lane. The first stage of a network hands no gradient back."""

    def __init__(self, name: str, is_first: bool = False, has_bias: bool = True) -> None:
        self._name, self._is_first, self._has_bias = name, is_first, has_bias

    @property
    def weight_name(self) -> str:
        """Of the weights, which stand turned in a row: inputs first."""
        return f"{self._name}.weight"

    def bind(self, rows: Rows) -> None:
        name, self._lanes = f"{self._name}.bias", len(rows)
        biases = (rows.weight(name)[:, None], rows.gradient(name)[:, None]) if self._has_bias else (None, None)
        self._products = products_of(rows.weight(self.weight_name), rows.gradient(self.weight_name), *biases)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return self._products.outputs(x.expand(self._lanes, *x.shape) if x.dim() == 2 else x, training)

    def backward(self, d: Tensor, adds: bool) -> Tensor:
        self._products.gradients(d, adds)
        return d if self._is_first else self._products.inputs(d)


class Convolution(Stage):
    """A convolution that keeps the size of the map; an even kernel reaches one further to the right and down."""

    def __init__(self, name: str, kernel: int, is_first: bool = False, has_bias: bool = True) -> None:
        self._name, self._is_first, self._has_bias = name, is_first, has_bias
        self._before, self._after = (kernel - 1) // 2, kernel // 2

    def bind(self, rows: Rows) -> None:
        self._weight, self._weight_gradient = rows.weight(f"{self._name}.weight"), rows.gradient(f"{self._name}.weight")
        if self._has_bias:
            self._bias, self._bias_gradient = rows.weight(f"{self._name}.bias"), rows.gradient(f"{self._name}.bias")

    @property
    def _is_even(self) -> bool:
        return self._before != self._after

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if self._is_even:
            x = F.pad(x, (self._before, self._after, self._before, self._after))
        kernels, bias = self._weight.flatten(0, 1), self._bias.flatten() if self._has_bias else None
        self._groups = x.shape[1] // kernels.shape[1]
        if training:
            self._x, self._kernels = x, kernels
        return F.conv2d(x, kernels, bias, padding=0 if self._is_even else self._before, groups=self._groups)

    def backward(self, d: Tensor, adds: bool) -> Tensor:
        padding = 0 if self._is_even else self._before
        wanted = [not self._is_first, True, self._has_bias]
        dx, kernels, bias = _aten.convolution_backward(
            d, self._x, self._kernels, [d.shape[1]], [1, 1], [padding] * 2, [1, 1], False, [0, 0], self._groups, wanted
        )
        _write(self._weight_gradient, kernels.view_as(self._weight_gradient), adds)
        if self._has_bias:
            _write(self._bias_gradient, bias.view_as(self._bias_gradient), adds)
        if self._is_first:
            return d
        height, width = d.shape[2:]
        inside: Tensor = dx[..., self._before : self._before + height, self._before : self._before + width] if self._is_even else dx
        return inside


class LayerNorm(Stage):
    """Normalises each sample over the real units of its lane, or each picture over its channels and pixels.

    Source: Ba, Kiros and Hinton, Layer Normalization (arXiv 1607.06450).
    """

    def __init__(self, name: str, pictures: bool) -> None:
        self._name, self._pictures = name, pictures
        self._axes = (2, 3, 4) if pictures else (2,)

    def bind(self, rows: Rows) -> None:
        name = f"{self._name}.weight"
        self._lanes = len(rows)
        self._weight, self._bias = self._across(rows.weight(name)), self._across(rows.weight(f"{self._name}.bias"))
        self._gradients = rows.gradient(name), rows.gradient(f"{self._name}.bias")
        units, is_unit = rows.units(name), rows.is_unit(name)
        self._units = units.view(1, -1, 1, 1, 1) if self._pictures else units.view(-1, 1, 1)
        self._is_unit = None if is_unit is None else self._across(is_unit)

    def _across(self, values: Tensor) -> Tensor:
        """``[lanes, units]`` as it multiplies what is normalised."""
        return values[None, :, :, None, None] if self._pictures else values[:, None]

    def _by_lane(self, x: Tensor) -> Tensor:
        return x.view(len(x), self._lanes, -1, *x.shape[2:]) if self._pictures else x

    def _mean(self, x: Tensor) -> Tensor:
        """Over the real units: those that pad are zero."""
        count = self._units * (x.shape[3] * x.shape[4] if self._pictures else 1)
        total: Tensor = x.sum(self._axes, keepdim=True)
        return total / count

    def _masked(self, x: Tensor) -> Tensor:
        return x if self._is_unit is None else x * self._is_unit

    def forward(self, x: Tensor, training: bool) -> Tensor:
        shape, x = x.shape, self._by_lane(x)
        centred = self._masked(x - self._mean(x))
        rate = (self._mean(centred.square()) + EPSILON).rsqrt()
        normal = centred * rate
        if training:
            self._normal, self._rate = normal, rate
        return torch.addcmul(self._bias, normal, self._weight).view(shape)

    def backward(self, d: Tensor, adds: bool) -> Tensor:
        shape, d = d.shape, self._by_lane(d)
        others = (0, 3, 4) if self._pictures else (1,)
        _write(self._gradients[0], (d * self._normal).sum(others), adds)
        _write(self._gradients[1], d.sum(others), adds)
        d = d * self._weight
        d = d - self._mean(d) - self._normal * self._mean(d * self._normal)
        return self._masked(d * self._rate).view(shape)


class BatchNorm(Stage):
    """Normalises each unit over the samples of its lane's batch, so every lane of the group has the same batches.

    A batch of one sample has no variance: it is normalised with the running statistics, and leaves them as they are.

    Source: Ioffe and Szegedy, Batch Normalization (arXiv 1502.03167), algorithm 1.
    """

    def __init__(self, name: str, pictures: bool) -> None:
        self._name, self._pictures = name, pictures

    def bind(self, rows: Rows) -> None:
        self._lanes = len(rows)
        self._weight, self._bias = rows.weight(f"{self._name}.weight"), rows.weight(f"{self._name}.bias")
        self._gradients = rows.gradient(f"{self._name}.weight"), rows.gradient(f"{self._name}.bias")
        self._mean, self._variance = (rows.statistic(f"{self._name}.running_{what}") for what in ("mean", "var"))

    def _channels(self, x: Tensor) -> Tensor:
        """``[samples, lanes * units, ...]``"""
        return x if self._pictures else x.transpose(0, 1).flatten(1)

    def _units(self, x: Tensor) -> Tensor:
        """The way back from ``_channels``."""
        return x if self._pictures else x.view(len(x), self._lanes, -1).transpose(0, 1)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        x = self._channels(x)
        by_batch = training and len(x) > 1
        mean, variance = self._mean.flatten().clone(), self._variance.flatten().clone()
        # torch takes them for contiguous where x is, which columns of the lanes' rows are not if each lane has one unit.
        weight, bias = self._weight.flatten().contiguous(), self._bias.flatten().contiguous()
        y, batch_mean, batch_rate = _aten.native_batch_norm(x, weight, bias, mean, variance, by_batch, MOMENTUM, EPSILON)
        if by_batch:
            self._mean.copy_(mean.view_as(self._mean))
            self._variance.copy_(variance.view_as(self._variance))
        if training:
            self._kept = x, weight, mean, variance, batch_mean, batch_rate, by_batch
        return self._units(y)

    def backward(self, d: Tensor, adds: bool) -> Tensor:
        d, weight, bias = _aten.native_batch_norm_backward(self._channels(d).contiguous(), *self._kept, EPSILON, [True, True, True])
        for gradient, new in zip(self._gradients, (weight, bias), strict=True):
            _write(gradient, new.view_as(gradient), adds)
        return self._units(d)


# What each activation hands back, from what it got and what it gave.
_BACKWARD: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "relu": lambda d, x, y: _aten.threshold_backward(d, y, 0),
    "gelu": lambda d, x, y: _aten.gelu_backward(d, x),
    "tanh": lambda d, x, y: _aten.tanh_backward(d, y),
    "sigmoid": lambda d, x, y: _aten.sigmoid_backward(d, y),
    "silu": lambda d, x, y: _aten.silu_backward(d, x),
    "leaky_relu": lambda d, x, y: _aten.leaky_relu_backward(d, x, 0.01, False),
    "elu": lambda d, x, y: _aten.elu_backward(d, 1.0, 1.0, 1.0, False, x),
}


class Activation(Stage):
    """A non-linearity after the layer called ``name``. All but the sigmoid leave a unit that pads at 0; the sigmoid's are set to 0."""

    def __init__(self, kind: str, name: str, pictures: bool) -> None:
        self._kind, self._name, self._pictures = kind, name, pictures
        self._is_unit: Tensor | None = None

    def bind(self, rows: Rows) -> None:
        if self._kind == "sigmoid":
            is_unit = rows.is_unit(f"{self._name}.weight")
            self._is_unit = is_unit if is_unit is None else is_unit.view(1, -1, 1, 1) if self._pictures else is_unit[:, None]

    def forward(self, x: Tensor, training: bool) -> Tensor:
        y = torch.relu_(x) if self._kind == "relu" else ACTIVATIONS[self._kind](x)
        if self._is_unit is not None:
            y = y * self._is_unit
        if training:
            self._x, self._y = x, y
        return y

    def backward(self, d: Tensor, adds: bool) -> Tensor:
        return _BACKWARD[self._kind](d, self._x, self._y)


class Dropout(Stage):
    """Multiplies with the masks ``[lanes, samples, units]`` of the step, where there are any.

    ``layer`` is part of what they are drawn by; ``before`` names the linear layer that takes the units.
    """

    def __init__(self, layer: int, before: str) -> None:
        self.layer, self._before = layer, before
        self.units = 0
        self.masks: Tensor | None = None

    def bind(self, rows: Rows) -> None:
        self.units = rows.weight(f"{self._before}.weight").shape[1]

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return x if self.masks is None or not training else x * self.masks

    def backward(self, d: Tensor, adds: bool) -> Tensor:
        return d if self.masks is None else d * self.masks


class Pool(Stage):
    """2x2 pooling, ``max`` or ``average``."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if training:
            self._x = x
        if self._kind == "average":
            return F.avg_pool2d(x, 2)
        y, self._where = _aten.max_pool2d_with_indices(x, [2, 2], [2, 2])
        return y  # type: ignore[no-any-return]

    def backward(self, d: Tensor, adds: bool) -> Tensor:
        if self._kind == "average":
            return _aten.avg_pool2d_backward(d, self._x, [2, 2], [2, 2], [0, 0], False, True, None)  # type: ignore[no-any-return]
        return _aten.max_pool2d_with_indices_backward(d, self._x, [2, 2], [2, 2], [0, 0], [1, 1], False, self._where)  # type: ignore[no-any-return]


class Flatten(Stage):
    """Pictures to units."""

    def bind(self, rows: Rows) -> None:
        self._lanes = len(rows)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        self._shape = x.shape
        return x.reshape(len(x), self._lanes, -1).transpose(0, 1)

    def backward(self, d: Tensor, adds: bool) -> Tensor:
        return d.transpose(0, 1).reshape(self._shape)


def _write(gradient: Tensor, new: Tensor, adds: bool) -> None:
    if adds:
        gradient += new
    else:
        gradient.copy_(new)
