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


class MLP(nn.Module):
    """``layers`` times linear, normalisation, activation, dropout; then a linear layer to the outputs."""

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__()
        units = layer_values(settings, "units", int(settings["layers"] or 0))
        widths = [math.prod(inputs.shape), *units]
        self.activation = ACTIVATIONS[str(settings["activation"])]
        self.instance_norm = InstanceNorm(str(settings["instance_norm"]) if inputs.kind == "sequences" else "none", inputs)
        kind = str(settings["normalization"])
        self.hidden = nn.ModuleList(nn.Linear(a, b, bias=has_bias(kind)) for a, b in pairwise(widths))
        self.norm = nn.ModuleList(normalization(kind, b, pictures=False) for b in units)
        self.output = nn.Linear(widths[-1], outputs)
        if inputs.continues:
            begins_at_zero(self.output)  # so that with an instance_norm training begins at a naive forecast

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, *inputs]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        x, restore = self.instance_norm(x)
        x = x.flatten(1)
        for layer, (linear, norm) in enumerate(zip(self.hidden, self.norm, strict=True)):
            x = drop(self.activation(norm(linear(x))), layer)
        restored: Tensor = restore(self.output(x))
        return restored
