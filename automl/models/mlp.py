"""Fully connected networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from automl.events import Value
from automl.families import layer_values
from automl.inputs import Inputs
from automl.models.instancenorm import InstanceNorm
from automl.models.layers import ACTIVATIONS, Drop, begins_at_zero, has_bias, keep_all, normalization
from automl.models.multiplication import Linear


class MLP(nn.Module):
    """``layers`` times linear, normalisation, activation, dropout; then a linear layer to the outputs.

    With ``ridge`` a linear map from the inputs to the outputs, at which training begins (``automl.training.ridge``), is beside the hidden
    layers, which add nothing at first; without hidden layers the network is that map.

    Sources: Zeng et al., Are Transformers Effective for Time Series Forecasting?, arXiv 2205.13504 (the linear map); He et al., Deep
    Residual Learning for Image Recognition, arXiv 1512.03385 (layers that learn what is beside it).
    """

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__()
        units = layer_values(settings, "units", int(settings["layers"] or 0))
        widths = [math.prod(inputs.shape), *units]
        self.activation = ACTIVATIONS[str(settings["activation"])]
        self.instance_norm = InstanceNorm(str(settings["instance_norm"]) if inputs.kind == "sequences" else "none", inputs)
        kind = str(settings["normalization"])
        self.hidden = nn.ModuleList(Linear(a, b, bias=has_bias(kind)) for a, b in pairwise(widths))
        self.norm = nn.ModuleList(normalization(kind, b, pictures=False) for b in units)
        self.output = Linear(widths[-1], outputs)
        self.ridge = float(settings["ridge"] or 0)
        self.shortcut = Linear(widths[0], outputs, bias=False) if self.ridge and units else None
        if inputs.continues or self.ridge:
            begins_at_zero(self.output)  # so that with an instance_norm training begins at a naive forecast
        if self.shortcut is not None:
            begins_at_zero(self.shortcut)

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, *inputs]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        x, restore = self.instance_norm(x)
        x = given = x.flatten(1)
        for layer, (linear, norm) in enumerate(zip(self.hidden, self.norm, strict=True)):
            x = drop(self.activation(norm(linear(x))), layer)
        found = self.output(x) if self.shortcut is None else self.output(x) + self.shortcut(given)
        restored: Tensor = restore(found)
        return restored

    def design(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the linear map: its inputs, ``[samples, inputs]``; what its outputs are multiplied with and moved by, ``[samples, 1]``."""
        x, restore = self.instance_norm(x)
        moved = restore(x.new_zeros(len(x), 1))
        return x.flatten(1), restore(x.new_ones(len(x), 1)) - moved, moved

    @property
    def linear(self) -> nn.Linear:
        """The linear map, whose biases are those of ``output``."""
        return self.output if self.shortcut is None else self.shortcut
