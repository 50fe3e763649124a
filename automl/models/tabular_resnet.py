"""Residual networks for tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from automl.events import Value
from automl.families.tabular_resnet import hidden_units
from automl.inputs import Inputs
from automl.models.layers import ACTIVATIONS, Drop, keep_all, normalization
from automl.models.multiplication import Linear


class Block(nn.Module):
    """x + linear(drop(activation(linear(norm(x)))))."""

    def __init__(self, units: int, hidden: int, kind: str, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.norm = normalization(kind, units, pictures=False)
        self.inner = Linear(units, hidden)
        self.outer = Linear(hidden, units)

    def forward(self, x: Tensor, drop: Drop, layer: int) -> Tensor:
        """``[samples, units]`` to the same."""
        out: Tensor = x + self.outer(drop(self.activation(self.inner(self.norm(x))), layer))
        return out


class TabularResNet(nn.Module):
    """A linear layer, ``layers`` blocks, normalisation, activation, and a linear layer to the outputs.

    Categories arrive as a feature for each value, so that the first layer holds a vector for each of them, as an embedding does.

    Source: Gorishniy et al., Revisiting Deep Learning Models for Tabular Data (arXiv 2106.11959), section 3.2:
    ResNet(x) = Prediction(Block(...(Block(Linear(x))))), Prediction(x) = Linear(ReLU(BatchNorm(x))). Its second dropout, of what a block
    adds, is left out.
    """

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__()
        units, kind = int(settings["units"] or 0), str(settings["normalization"])
        self.activation = ACTIVATIONS[str(settings["activation"])]
        self.first = Linear(inputs.shape[0], units)
        hidden = hidden_units(settings)
        self.blocks = nn.ModuleList(Block(units, hidden, kind, self.activation) for _ in range(int(settings["layers"] or 0)))
        self.norm = normalization(kind, units, pictures=False)
        self.output = Linear(units, outputs)

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, features]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        x = self.first(x)
        for layer, block in enumerate(self.blocks):
            x = block(x, drop, layer)
        out: Tensor = self.output(self.activation(self.norm(x)))
        return out
