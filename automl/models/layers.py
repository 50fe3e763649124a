"""What all families build with: activations, normalisation, and the place where dropout goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)


class Drop(Protocol):
    """Dropout as a trainer gives it to ``forward``: takes hidden units ``[samples, units]`` (or ``[samples, ..., units]``), the number of
    their layer and, where it is not the trial's ``dropout``, the share of them that is dropped."""

    def __call__(self, hidden: Tensor, layer: int, share: float | None = None, /) -> Tensor: ...


Link = tuple[tuple[nn.Module, ...], Callable[[Tensor], Tensor]]
"""Of a network that is a chain: some of its layers, and what they do."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
}


def keep_all(hidden: Tensor, layer: int, share: float | None = None) -> Tensor:
    """No dropout: what ``forward`` does where nobody says otherwise."""
    return hidden


def has_bias(normalization: str) -> bool:
    """Whether a layer before this normalisation has a bias.

    Batch normalisation takes away any bias before it. Its gradient would be zero but for rounding errors, which adaptive optimisers
    blow up to full steps: two devices would soon disagree about the running mean.
    """
    return normalization != "batch"


class SameConv(nn.Conv2d):
    """A convolution that keeps the map's size, or divides it by ``stride``, rounded up.

    Zeros stand around the map, with an even kernel one more on the right and at the bottom.
    """

    def __init__(self, inputs: int, units: int, kernel: int, stride: int = 1, *, bias: bool) -> None:
        before, after = (kernel - 1) // 2, kernel // 2
        super().__init__(inputs, units, kernel, stride, padding=before if before == after else 0, bias=bias)
        self.uneven = None if before == after else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.uneven) if self.uneven else x)


def begins_at_zero(part: nn.Module) -> None:
    """Mark a layer whose weights are zero at first, biases included, whatever others of its kind begin with."""
    part.begins_at_zero = True  # type: ignore[assignment]


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the second, for vectors and pictures alike.

    A batch of one sample has no variance: it is normalised with the running statistics, and leaves them as they are.
    """

    def __init__(self, units: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.empty(units))
        self.bias = nn.Parameter(torch.empty(units))
        self.register_buffer("running_mean", torch.empty(units))
        self.register_buffer("running_var", torch.empty(units))

    running_mean: Tensor
    running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        training = self.training and len(x) > 1
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training, self.momentum, self.epsilon)


class PictureNorm(nn.GroupNorm):
    """Normalises each picture over all of its channels and pixels: GroupNorm of one group, which also stands a map of one number."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, 1, self.weight, self.bias, self.eps)


def normalization(kind: str, units: int, *, pictures: bool) -> nn.Module:
    """The layer for ``none``, ``batch`` or ``layer``."""
    match kind:
        case "batch":
            return BatchNorm(units)
        case "layer":
            return PictureNorm(units) if pictures else nn.LayerNorm(units)
        case _:
            return nn.Identity()
