"""The family ``cnn``: its parameters and its size. The network is in ``automl.models.cnn``."""

from __future__ import annotations

from collections.abc import Mapping

from automl.events import Value
from automl.families.costs import OWN_WEIGHTS, Cost, dense
from automl.families.family import Family, layer_values, named, whole
from automl.families.settings import LAYER_SETTINGS, Setting
from automl.inputs import Inputs

_SETTINGS = named(
    Setting("conv_layers", "int", 2, "number of convolutions", low=1, high=32),
    Setting("channels", "int", 32, "channels of every convolution", low=1, high=4096),
    Setting("kernel_size", "int", 3, "side of the square kernels; the picture's size is kept (padding 'same')", low=1, high=31),
    Setting(
        "pooling",
        "categorical",
        "max",
        "2x2 pooling after every convolution (none: no pooling), as long as the map has at least 2x2 pixels",
        choices=("max", "average", "none"),
    ),
    Setting("dense_units", "int", 128, "width of the hidden layer after the convolutions; 0 leaves it out", low=0, high=65536),
    *LAYER_SETTINGS,
)


def _cost(settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> Cost:
    channels, height, width = inputs.shape
    kernel, dense_units = whole(settings["kernel_size"]), whole(settings["dense_units"])
    own, cost = OWN_WEIGHTS[str(settings["normalization"])], Cost()
    for out in layer_values(settings, "channels", whole(settings["conv_layers"])):
        cost += dense(channels * kernel * kernel, out, own, places=height * width)
        channels = out
        if settings["pooling"] != "none" and min(height, width) >= 2:
            height, width = height // 2, width // 2
    features = channels * height * width
    if dense_units:
        cost += dense(features, dense_units, own)
    return cost + dense(dense_units or features, outputs)


CNN = Family(
    "cnn",
    "convolutions, then one fully connected layer, over pictures",
    _SETTINGS,
    per_layer={"channels": "conv_layers"},
    kinds=("pictures",),
    cost=_cost,
)
