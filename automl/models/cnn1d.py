"""Convolutional networks for sequences and texts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.events import Value
from automl.families import layer_values
from automl.families.cnn1d import stride_of
from automl.inputs import Inputs
from automl.models.embedding import Steps, largest_of, mean_over
from automl.models.instancenorm import InstanceNorm
from automl.models.layers import ACTIVATIONS, BatchNorm, Drop, has_bias, keep_all, normalization
from automl.models.multiplication import Linear


class _Kernels(nn.ModuleList):
    """Convolutions side by side that move on by ``stride`` steps: their channels one after another."""

    def __init__(self, inputs: int, channels: int, sizes: range, stride: int, *, bias: bool) -> None:
        super().__init__(nn.Conv1d(inputs, channels, size, stride, bias=bias) for size in sizes)
        self.sizes = sizes

    def forward(self, steps: Tensor) -> Tensor:
        padded = (F.pad(steps, ((size - 1) // 2, size // 2)) for size in self.sizes)
        return torch.cat([conv(each) for conv, each in zip(self, padded, strict=True)], dim=1)


class _StepsNorm(BatchNorm):
    """Batch normalisation over the steps that there are: those after the end of a sample do not count."""

    def forward(self, x: Tensor, is_there: Tensor | None = None) -> Tensor:
        """``[samples, channels, steps]``; what stands after an end may come out as anything."""
        if is_there is None or not self.training or len(x) == 1:
            return super().forward(x)
        rows = x.transpose(1, 2)
        normal = torch.zeros_like(rows)
        normal[is_there] = super().forward(rows[is_there])
        return normal.transpose(1, 2)


class CNN1d(nn.Module):
    """``conv_layers`` times convolutions of several kernels side by side, normalisation, activation; then all steps are pooled.

    A hidden layer may follow; then come the outputs. The convolutions pad with zeros, an even kernel by one more at the end, and keep the
    number of steps; but where there are more than ``most_steps``, the first one moves on by several. With ``residual`` a layer adds what it
    is given before its activation, where it has as many channels. What is behind the end of a sample is 0 after every layer, and counts in
    no normalisation, so that it changes nothing. Dropout takes units of the hidden layer, or, without one, of what is pooled.

    Sources: Kim, Convolutional neural networks for sentence classification (arXiv 1408.5882), section 2, for one layer and
    ``pooling: max``; Wang, Yan and Oates, Time series classification from scratch with deep neural networks (arXiv 1611.06455), for
    ``normalization: batch`` and ``pooling: mean``.
    """

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__()
        layers, smallest, kernels = (int(settings[name] or 0) for name in ("conv_layers", "kernel_size", "kernels"))
        kind = str(settings["normalization"])
        self.instance_norm = InstanceNorm(str(settings["instance_norm"]) if inputs.kind == "sequences" else "none", inputs)
        self.read = Steps(settings, inputs)
        self.stride, self.is_residual = stride_of(settings, self.read.steps), bool(settings["residual"])
        channels = layer_values(settings, "channels", layers)
        widths = [self.read.features, *(each * kernels for each in channels)]
        firsts = [max(smallest, self.stride), *[smallest] * layers]
        self.conv = nn.ModuleList(
            _Kernels(a, each, range(first, first + kernels), self.stride if layer == 0 else 1, bias=has_bias(kind))
            for layer, (a, each, first) in enumerate(zip(widths, channels, firsts, strict=False))
        )
        self.norm = nn.ModuleList(_StepsNorm(b) if kind == "batch" else normalization(kind, b, pictures=False) for b in widths[1:])
        self.activation = ACTIVATIONS[str(settings["activation"])]
        self.pool = {"max": largest_of, "mean": mean_over}[str(settings["pooling"])]
        dense = int(settings["dense_units"] or 0)
        self.hidden = Linear(widths[-1], dense, bias=has_bias(kind)) if dense else None
        self.hidden_norm = normalization(kind, dense, pictures=False) if dense else None
        self.output = Linear(dense or widths[-1], outputs)

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, *inputs]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        x, restore = self.instance_norm(x)
        steps, is_there = self.read(x, drop)
        if is_there is not None and len(self.conv):
            is_there = is_there[:, :: self.stride]
        for conv, norm in zip(self.conv, self.norm, strict=True):
            given = steps.transpose(1, 2)
            steps = _normalised(norm, conv(given), is_there)
            if self.is_residual and steps.shape == given.transpose(1, 2).shape:
                steps = steps + given.transpose(1, 2)
            steps = self.activation(steps)
            if is_there is not None:
                steps = steps * is_there[..., None]
        pooled = self.pool(steps, is_there)
        if self.hidden is not None and self.hidden_norm is not None:
            pooled = self.activation(self.hidden_norm(self.hidden(pooled)))
        restored: Tensor = restore(self.output(drop(pooled, 0)))
        return restored


def _normalised(norm: nn.Module, found: Tensor, is_there: Tensor | None) -> Tensor:
    """``[samples, channels, steps]`` to ``[samples, steps, channels]``."""
    if isinstance(norm, _StepsNorm):
        counted: Tensor = norm(found, is_there)
        return counted.transpose(1, 2)
    normal: Tensor = norm(found.transpose(1, 2))
    return normal
