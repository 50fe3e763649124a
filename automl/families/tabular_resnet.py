"""The family ``tabular_resnet``: its parameters and its size. The network is in ``automl.models.tabular_resnet``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from automl.events import Value
from automl.families.costs import Cost, dense
from automl.families.family import Family, named, whole
from automl.families.settings import ACTIVATIONS, NORMALIZATIONS, Setting
from automl.inputs import Inputs

_SETTINGS = named(
    Setting("layers", "int", 2, "number of residual blocks, of two linear layers each", low=0, high=64),
    Setting("units", "int", 128, "width of the residual stream, from the first layer to the last", low=1, high=65536),
    Setting("hidden_factor", "float", 2.0, "times the width that a block has inside", low=0.25, high=8),
    Setting("activation", "categorical", "relu", "the non-linearity within every block, and before the outputs", choices=ACTIVATIONS),
    Setting(
        "normalization", "categorical", "batch", "what normalises the input of every block, and of the outputs", choices=NORMALIZATIONS
    ),
    Setting("dropout", "float", 0.0, "the share of units within every block that is dropped in training", low=0, high=1, high_open=True),
)

_OF_NORMALIZATION = {"none": 0, "batch": 2, "layer": 2}  # weights for each unit


def hidden_units(settings: Mapping[str, Value]) -> int:
    """The width within the blocks, of a completed configuration."""
    return max(1, round(whole(settings["units"]) * float(settings["hidden_factor"] or 0)))


def _cost(settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> Cost:
    units, hidden, layers = whole(settings["units"]), hidden_units(settings), whole(settings["layers"])
    norm = Cost(_OF_NORMALIZATION[str(settings["normalization"])] * units)
    block = norm + dense(units, hidden) + dense(hidden, units)
    return dense(math.prod(inputs.shape), units) + block.times(layers) + norm + dense(units, outputs)


TABULAR_RESNET = Family(
    "tabular_resnet",
    "residual blocks of fully connected layers, over tables",
    _SETTINGS,
    kinds=("features",),
    cost=_cost,
)
