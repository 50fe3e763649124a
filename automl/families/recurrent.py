"""The families ``rnn``, ``lstm`` and ``gru``: their parameters and their size. The networks are in ``automl.models.recurrent``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from automl.events import Value
from automl.families.costs import Cost, dense, steps_read
from automl.families.family import Family, layer_values, named, whole
from automl.families.settings import INSTANCE_NORM, WORD_SETTINGS, Setting
from automl.inputs import Inputs

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
"""How many times the weights of a plain recurrent unit a unit has."""

_SETTINGS = (
    *WORD_SETTINGS,
    Setting("layers", "int", 1, "number of recurrent layers", low=1, high=16),
    Setting("units", "int", 64, "width of every layer, in each direction", low=1, high=4096),
    Setting("bidirectional", "bool", False, "whether every layer also reads from the end, with as many units again"),
    Setting(
        "pooling",
        "categorical",
        "last",
        "what is taken of all steps in the end: the last one read (in each direction), their mean, or their largest values",
        choices=("last", "mean", "max"),
    ),
    Setting("normalization", "categorical", "none", "what normalises every step of a layer's output", choices=("none", "layer")),
    Setting(
        "dropout",
        "float",
        0.0,
        "the share of units that is dropped after every layer in training",
        low=0,
        high=1,
        high_open=True,
    ),
    INSTANCE_NORM,
)
_ACTIVATION = Setting("activation", "categorical", "tanh", "the non-linearity of the recurrence", choices=("tanh", "relu"))


def _cost(gates: int, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> Cost:
    steps, features, cost = steps_read(settings, inputs)
    directions = 2 if settings["bidirectional"] else 1
    width = features - inputs.has_mask
    for units in layer_values(settings, "units", whole(settings["layers"])):
        cost += dense(width + units, gates * units, own=2, places=steps).times(directions)
        width = units * directions
        if settings["normalization"] == "layer":
            cost += Cost(2 * width)
    return cost + dense(width, outputs)


def _family(name: str, about: str, *more: Setting) -> Family:
    return Family(
        name,
        about,
        named(*_SETTINGS, *more),
        per_layer={"units": "layers"},
        kinds=("sequences", "tokens"),
        cost=partial(_cost, GATES[name]),
    )


RNN = _family("rnn", "plain recurrent layers over the steps of sequences or the words of texts", _ACTIVATION)
LSTM = _family("lstm", "layers of long short-term memory over the steps of sequences or the words of texts")
GRU = _family("gru", "layers of gated recurrent units over the steps of sequences or the words of texts")
