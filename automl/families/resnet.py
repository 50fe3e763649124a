"""The family ``resnet``: its parameters and its size. The network is in ``automl.models.resnet``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from automl.events import Value
from automl.families.costs import OWN_WEIGHTS, Cost, dense
from automl.families.family import Family, layer_values, named, whole
from automl.families.settings import ACTIVATIONS, NORMALIZATIONS, Setting
from automl.inputs import Inputs

_SETTINGS = named(
    Setting("stages", "int", 3, "number of stages; each one after the first halves the map's sides", low=1, high=8),
    Setting("blocks", "int", 1, "residual blocks of every stage, of two convolutions each", low=1, high=64),
    Setting("channels", "int", 16, "channels of the stem and of the first stage", low=1, high=4096),
    Setting("widening", "float", 2.0, "times the channels of the stage before that each further stage has", low=1, high=4),
    Setting("kernel_size", "int", 3, "side of the square kernels; the map's size is kept (padding 'same')", low=1, high=31),
    Setting("stem_stride", "int", 1, "step of the first convolution; more than 1 makes large pictures small at once", low=1, high=4),
    Setting("activation", "categorical", "relu", "the non-linearity of the stem and of the blocks", choices=ACTIVATIONS),
    Setting("normalization", "categorical", "batch", "what normalises every convolution, before its activation", choices=NORMALIZATIONS),
    Setting("dropout", "float", 0.0, "the share of the pooled channels that is dropped in training", low=0, high=1, high_open=True),
)


def widths(settings: Mapping[str, Value]) -> list[int]:
    """The channels of each stage of a completed configuration."""
    widening = float(settings["widening"] or 1)
    return [round(whole(settings["channels"]) * widening**stage) for stage in range(whole(settings["stages"]))]


def _cost(settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> Cost:
    channels, *sides = inputs.shape
    kernel, own = whole(settings["kernel_size"]), OWN_WEIGHTS[str(settings["normalization"])]
    sides = [math.ceil(side / whole(settings["stem_stride"])) for side in sides]
    channels, cost = whole(settings["channels"]), dense(channels * kernel**2, whole(settings["channels"]), own, math.prod(sides))
    blocks = layer_values(settings, "blocks", whole(settings["stages"]))
    for stage, (width, count) in enumerate(zip(widths(settings), blocks, strict=True)):
        if stage:
            sides = [math.ceil(side / 2) for side in sides]
        places = math.prod(sides)
        if width != channels:
            cost += dense(channels, width, own, places)
        first, others = dense(channels * kernel**2, width, own, places), dense(width * kernel**2, width, own, places)
        cost += first + others.times(2 * count - 1)
        channels = width
    return cost + dense(channels, outputs)


RESNET = Family(
    "resnet",
    "a small residual network, over pictures",
    _SETTINGS,
    per_layer={"blocks": "stages"},
    kinds=("pictures",),
    cost=_cost,
)
