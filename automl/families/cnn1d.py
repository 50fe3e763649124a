"""The family ``cnn1d``: its parameters and its size. The network is in ``automl.models.cnn1d``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from automl.events import Value
from automl.families.costs import OWN_WEIGHTS, Cost, dense, steps_read
from automl.families.family import Family, layer_values, named, whole
from automl.families.settings import INSTANCE_NORM, LAYER_SETTINGS, WORD_SETTINGS, Setting
from automl.inputs import Inputs

_SETTINGS = named(
    *WORD_SETTINGS,
    Setting("conv_layers", "int", 1, "number of convolutions, one after another; 0: the steps are pooled as they are", low=0, high=32),
    Setting("channels", "int", 64, "channels of every convolution, for each of its kernels", low=1, high=4096),
    Setting(
        "kernel_size", "int", 3, "steps that the (smallest) kernel sees; the number of steps is kept (padding 'same')", low=1, high=127
    ),
    Setting("kernels", "int", 1, "kernels side by side: each next one sees a step more", low=1, high=8),
    Setting("residual", "bool", False, "whether a convolution with as many channels as the one before adds to what it is given"),
    Setting(
        "most_steps",
        "int",
        0,
        "steps after the first convolution, at most: it moves on by several where there are more, with a kernel as large as that (0: all)",
        low=0,
    ),
    Setting("pooling", "categorical", "max", "what becomes of all steps: their largest values, or their mean", choices=("max", "mean")),
    Setting("dense_units", "int", 0, "width of a hidden layer after that; 0 leaves it out", low=0, high=65536),
    *LAYER_SETTINGS,
    INSTANCE_NORM,
)


def stride_of(settings: Mapping[str, Value], steps: int) -> int:
    """By how many of so many steps the first convolution moves on."""
    most = whole(settings["most_steps"])
    return math.ceil(steps / most) if most else 1


def _cost(settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> Cost:
    steps, width, cost = steps_read(settings, inputs)
    kernel_size, kernels, dense_units = (whole(settings[name]) for name in ("kernel_size", "kernels", "dense_units"))
    own = OWN_WEIGHTS[str(settings["normalization"])]
    stride = stride_of(settings, steps)
    places = math.ceil(steps / stride)
    for layer, channels in enumerate(layer_values(settings, "channels", whole(settings["conv_layers"]))):
        smallest = kernel_size if layer else max(kernel_size, stride)
        for kernel in range(smallest, smallest + kernels):
            cost += dense(width * kernel, channels, own, places=places)
        width = channels * kernels
    if dense_units:
        cost += dense(width, dense_units, own)
    return cost + dense(dense_units or width, outputs)


CNN1D = Family(
    "cnn1d",
    "convolutions over the steps of sequences or the words of texts, then a pooling of all steps",
    _SETTINGS,
    per_layer={"channels": "conv_layers"},
    kinds=("sequences", "tokens"),
    cost=_cost,
)
