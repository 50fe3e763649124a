"""What the model families and the trainer understand: names, types, ranges and defaults of their parameters.

Pure data and arithmetic, without torch, so that a search-space file can be checked in milliseconds. Each family has a module of its own
here; the networks themselves are in ``automl.models``, in modules of the same names. Both sides read the defaults from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from automl.events import Configuration, Value
from automl.families.cnn import CNN
from automl.families.cnn1d import CNN1D
from automl.families.costs import Cost
from automl.families.family import Family, layer_values
from automl.families.finetune import FINETUNE
from automl.families.mlp import MLP
from automl.families.recurrent import GRU, LSTM, RNN
from automl.families.resnet import RESNET
from automl.families.settings import ACTIVATIONS, NORMALIZATIONS, Setting
from automl.families.tabular_resnet import TABULAR_RESNET
from automl.families.training import OPTIMIZERS, SCHEDULES, TRAINING
from automl.families.transformer import TRANSFORMER
from automl.inputs import KINDS, Inputs, inputs_of

__all__ = [
    "ACTIVATIONS",
    "FAMILIES",
    "FINETUNE",
    "NORMALIZATIONS",
    "OPTIMIZERS",
    "SCHEDULES",
    "TRAINING",
    "Cost",
    "Family",
    "Setting",
    "complete",
    "cost_of",
    "family_of",
    "find_setting",
    "layer_of",
    "layer_values",
    "multiply_adds",
    "own_family",
    "parameter_count",
    "setting_names",
    "takes",
    "wanted",
]

FAMILIES: Mapping[str, Family] = {
    family.name: family for family in (MLP, CNN, RESNET, CNN1D, RNN, LSTM, GRU, TRANSFORMER, FINETUNE, TABULAR_RESNET)
}

_NUMBERED = re.compile(r"^(?P<base>[a-z][a-z0-9_]*?)_(?P<layer>[1-9][0-9]?)$")


def own_family(name: str, takes: Sequence[str] | None, *, trains_itself: bool) -> Family:
    """Code of a person's own as a family: ``takes`` are the parameters that it names, None: any."""
    settings = {each: Setting(each, "any", None, "a parameter of your own code") for each in takes or ()}
    return Family(name, "code of your own", settings, is_open=takes is None, trains_itself=trains_itself)


def family_of(model: str | Family) -> Family:
    """The family of this name. What is no built-in name is a factory of a person's own, of which a worker need not know more."""
    if isinstance(model, Family):
        return model
    return FAMILIES[model] if model in FAMILIES else own_family(model, None, trains_itself=False)


def find_setting(model: str | Family, name: str) -> Setting | None:
    """What the family or the trainer knows under this name (``units_2`` counts as ``units``); None when neither knows it."""
    family = family_of(model)
    if name in family.known:
        return family.known[name]
    numbered = _NUMBERED.match(name)
    if numbered and numbered["base"] in family.per_layer:
        return family.settings[numbered["base"]]
    return None


def takes(model: str | Family, name: str) -> bool:
    """Whether the family or the trainer takes a parameter of this name."""
    return family_of(model).is_open or find_setting(model, name) is not None


def is_compiled(model: str, device: str) -> bool:
    """Whether networks of this family are trained by compiled code on this device, such as ``cpu:0``."""
    return model == "mlp" and device.startswith("cpu")


def wanted(model: str) -> str:
    """The data that a built-in family takes, in words: ``tables or pictures``."""
    *others, last = (KINDS[kind] for kind in FAMILIES[model].kinds)
    return f"{', '.join(others)} or {last}" if others else last


def setting_names(model: str | Family) -> Iterator[str]:
    """All names that the family and the trainer know, numbered ones for the first four layers."""
    family = family_of(model)
    yield from family.settings
    for base in family.per_layer:
        yield from (f"{base}_{layer}" for layer in range(1, 5))
    yield from () if family.trains_itself else TRAINING


def layer_of(model: str | Family, name: str) -> tuple[str, int] | None:
    """For ``units_2`` the parameter that counts the layers and the layer, ``("layers", 2)``; None for names without a number."""
    numbered = _NUMBERED.match(name)
    per_layer = family_of(model).per_layer
    if not numbered or numbered["base"] not in per_layer:
        return None
    return per_layer[numbered["base"]], int(numbered["layer"])


def complete(model: str | Family, configuration: Configuration) -> dict[str, Value]:
    """The configuration with the default of everything that it leaves out.

    Per-layer parameters are written out: ``units_1`` ... ``units_<layers>`` each take their own value, else that of ``units``. What code
    of a person's own takes has no default that is known here: it is there only where it is given.
    """
    family = family_of(model)
    values: dict[str, Value] = {
        name: configuration.get(name, setting.default) for name, setting in family.known.items() if setting.kind != "any"
    }
    if family.is_open or any(setting.kind == "any" for setting in family.settings.values()):
        values |= configuration
    for base, count in family.per_layer.items():
        default = values.pop(base)
        layers = values[count]
        assert isinstance(layers, int)
        for layer in range(1, layers + 1):
            values[f"{base}_{layer}"] = configuration.get(f"{base}_{layer}", default)
    return values


def parameter_count(model: str | Family, configuration: Configuration, inputs: Inputs | Sequence[int], outputs: int) -> int:
    """How many weights that train the network has, without building it.

    Args:
        inputs: one sample, or the bare shape of features or pictures: ``(features,)`` or ``(channels, height, width)``.
        outputs: number of outputs (1 for regression and binary classification, else the number of classes).
    """
    return cost_of(model, configuration, inputs, outputs).parameters


def multiply_adds(model: str | Family, configuration: Configuration, inputs: Inputs | Sequence[int], outputs: int) -> int:
    """How many products of an input with a weight one forward pass of one sample takes (each is added up): the cost of a prediction.

    Those of matrices and convolutions; biases, normalisation, activations and pooling are not counted. Padding is counted like
    pixels, as everybody does. The arguments are those of ``parameter_count``.
    """
    return cost_of(model, configuration, inputs, outputs).multiply_adds


def cost_of(model: str | Family, configuration: Configuration, inputs: Inputs | Sequence[int], outputs: int) -> Cost:
    """Both of them."""
    family = family_of(model)
    assert family.cost is not None  # nothing is known of a person's own code
    return family.cost(complete(family, configuration), inputs_of(inputs), outputs)
