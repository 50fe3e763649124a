"""Convolutional networks for sequences and texts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.events import Value
from automl.families import layer_values
from automl.inputs import Inputs
from automl.models.embedding import Steps, largest_of, mean_over
from automl.models.instancenorm import InstanceNorm
from automl.models.layers import ACTIVATIONS, Drop, has_bias, keep_all, normalization


class _Kernels(nn.ModuleList):
    """Convolutions side by side: their channels one after another."""

    def forward(self, steps: Tensor) -> Tensor:
        sizes = [conv.kernel_size[0] for conv in self if isinstance(conv, nn.Conv1d)]
        return torch.cat([conv(F.pad(steps, ((size - 1) // 2, size // 2))) for conv, size in zip(self, sizes, strict=True)], dim=1)


class CNN1d(nn.Module):
    """``conv_layers`` times convolutions of several kernels side by side, normalisation, activation; then all steps are pooled.

    A hidden layer may follow; then come the outputs. The convolutions keep the number of steps: they pad with zeros, an even kernel by one
    more at the end. What is behind the end of a sample is 0 after every layer, so that it changes nothing. Dropout takes units of the
    hidden layer, or, where ``dense_units`` is 0, of what is pooled.

    Source: Kim, Convolutional neural networks for sentence classification (arXiv 1408.5882), section 2, for one layer and ``pooling: max``.
    """

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__()
        layers, smallest, kernels = (int(settings[name] or 0) for name in ("conv_layers", "kernel_size", "kernels"))
        kind = str(settings["normalization"])
        self.instance_norm = InstanceNorm(str(settings["instance_norm"]) if inputs.kind == "sequences" else "none", inputs)
        self.read = Steps(settings, inputs)
        sizes = range(smallest, smallest + kernels)
        channels = layer_values(settings, "channels", layers)
        widths = [self.read.features, *(each * kernels for each in channels)]
        self.conv = nn.ModuleList(
            _Kernels(nn.Conv1d(a, each, size, bias=has_bias(kind)) for size in sizes) for a, each in zip(widths, channels, strict=False)
        )
        self.norm = nn.ModuleList(normalization(kind, b, pictures=False) for _, b in pairwise(widths))
        self.activation = ACTIVATIONS[str(settings["activation"])]
        self.pool = {"max": largest_of, "mean": mean_over}[str(settings["pooling"])]
        dense = int(settings["dense_units"] or 0)
        self.hidden = nn.Linear(widths[-1], dense, bias=has_bias(kind)) if dense else None
        self.hidden_norm = normalization(kind, dense, pictures=False) if dense else None
        self.output = nn.Linear(dense or widths[-1], outputs)

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, *inputs]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        x, restore = self.instance_norm(x)
        steps, is_there = self.read(x, drop)
        for conv, norm in zip(self.conv, self.norm, strict=True):
            found = conv(steps.transpose(1, 2))  # [samples, channels, steps]
            found = norm(found.transpose(1, 2)) if isinstance(norm, nn.LayerNorm) else norm(found).transpose(1, 2)
            steps = self.activation(found)
            if is_there is not None:
                steps = steps * is_there[..., None]
        pooled = self.pool(steps, is_there)
        if self.hidden is not None and self.hidden_norm is not None:
            pooled = self.activation(self.hidden_norm(self.hidden(pooled)))
        restored: Tensor = restore(self.output(drop(pooled, 0)))
        return restored
