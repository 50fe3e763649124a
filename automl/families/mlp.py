"""The family ``mlp``: its parameters and its size. The network is in ``automl.models.mlp``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

from automl.events import Value
from automl.families.costs import OWN_WEIGHTS, Cost, dense, total
from automl.families.family import Family, layer_values, named, whole
from automl.families.settings import INSTANCE_NORM, LAYER_SETTINGS, RIDGE, Setting
from automl.inputs import Inputs

_SETTINGS = named(
    Setting("layers", "int", 1, "number of hidden layers", low=0, high=64),
    Setting("units", "int", 128, "width of every hidden layer", low=1, high=65536),
    *LAYER_SETTINGS,
    INSTANCE_NORM,
    RIDGE,
)


def _cost(settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> Cost:
    widths = [math.prod(inputs.shape), *layer_values(settings, "units", whole(settings["layers"]))]
    own = OWN_WEIGHTS[str(settings["normalization"])]
    beside = dense(widths[0], outputs, own=0) if settings["ridge"] and len(widths) > 1 else Cost()
    return total(dense(a, b, own) for a, b in pairwise(widths)) + dense(widths[-1], outputs) + beside


MLP = Family(
    "mlp",
    "fully connected layers over flattened inputs",
    _SETTINGS,
    per_layer={"units": "layers"},
    kinds=("features", "pictures", "sequences"),
    cost=_cost,
)
