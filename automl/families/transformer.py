"""The family ``transformer``: its parameters and its size. The network is in ``automl.models.transformer``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from automl.events import Value
from automl.families.costs import Cost, dense, steps_read
from automl.families.family import Family, named, whole
from automl.families.settings import ACTIVATIONS, INSTANCE_NORM, WORD_SETTINGS, Setting
from automl.inputs import Inputs

_SETTINGS = named(
    *WORD_SETTINGS,
    Setting("layers", "int", 2, "number of encoder layers", low=0, high=32),
    Setting("units", "int", 64, "width of the network", low=1, high=4096),
    Setting("heads", "int", 4, "attentions side by side in every layer, which share the units (rounded up)", low=1, high=64),
    Setting("feed_forward", "int", 2, "width of the hidden layer in every encoder layer, in multiples of the units", low=1, high=16),
    Setting("patch", "int", 1, "steps or words that are read together as one", low=1, high=1024),
    Setting(
        "stride",
        "int",
        0,
        "steps from one patch to the next: small ones overlap, large ones make long sequences affordable (0: as many as a patch has)",
        low=0,
        high=1024,
    ),
    Setting(
        "positional",
        "categorical",
        "learned",
        "how a step knows where it stands: by a learned vector, by sines and cosines, or not at all",
        choices=("learned", "sinusoidal", "none"),
    ),
    Setting(
        "pooling",
        "categorical",
        "mean",
        "what is taken of all steps in the end: their mean, their largest values, the first, or all of them side by side (for forecasts)",
        choices=("mean", "max", "first", "all"),
    ),
    Setting("activation", "categorical", "gelu", "the non-linearity of every hidden layer", choices=ACTIVATIONS),
    Setting(
        "dropout",
        "float",
        0.0,
        "the share of units that is dropped in training, of what the layers read and of what each adds",
        low=0,
        high=1,
        high_open=True,
    ),
    INSTANCE_NORM,
)


def stride_of(settings: Mapping[str, Value]) -> int:
    """From one patch to the next."""
    return whole(settings["stride"]) or whole(settings["patch"])


def _cost(settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> Cost:
    steps, features, cost = steps_read(settings, inputs)
    layers, units, heads, factor, patch = (whole(settings[name]) for name in ("layers", "units", "heads", "feed_forward", "patch"))
    places, inner = math.ceil(steps / stride_of(settings)), math.ceil(units / heads) * heads
    norm = Cost(2 * units)
    cost += dense(features * patch, units, places=places) + norm
    if settings["positional"] == "learned":
        cost += Cost(places * units)
    attention = dense(units, 3 * inner, places=places) + Cost(0, 2 * places * places * inner) + dense(inner, units, places=places)
    feed_forward = dense(units, factor * units, places=places) + dense(factor * units, units, places=places)
    cost += (norm.times(2) + attention + feed_forward).times(layers)
    return cost + dense(units * places if settings["pooling"] == "all" else units, outputs)


TRANSFORMER = Family(
    "transformer",
    "an encoder with attention between the steps of sequences or the words of texts",
    _SETTINGS,
    kinds=("sequences", "tokens"),
    cost=_cost,
)
