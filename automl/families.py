"""What the model families and the trainer understand: names, types, ranges and defaults of their parameters.

Pure data and arithmetic, without torch, so that a search-space file can be checked in milliseconds. The networks themselves
are in ``automl.models``; both sides read the defaults from here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from automl.events import Configuration, Value

Kind = Literal["float", "int", "categorical", "bool", "any"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter that a family or the trainer takes: its kind, default, smallest and largest sensible value, and what it does."""

    name: str
    kind: Kind
    default: Value
    about: str
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    choices: tuple[str, ...] = ()

    def admits(self, value: Value) -> bool:
        """Whether a model can be built or trained with this value."""
        match self.kind:
            case "any":
                return True
            case "bool":
                return isinstance(value, bool)
            case "categorical":
                return value in self.choices
            case "int":
                if not isinstance(value, int) or isinstance(value, bool):
                    return False
            case "float":
                if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
                    return False
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        return not (self.high is not None and (value > self.high or (self.high_open and value == self.high)))

    @property
    def domain(self) -> str:
        """What must hold, in words: ``one of relu, tanh``, ``a whole number of at least 1``."""
        match self.kind:
            case "any":
                return "any value"
            case "bool":
                return "true or false"
            case "categorical":
                return "one of " + ", ".join(self.choices)
            case kind:
                words = "a whole number" if kind == "int" else "a number"
                bounds = []
                if self.low is not None:
                    bounds.append(f"{'above' if self.low_open else 'of at least'} {self.low:g}")
                if self.high is not None:
                    bounds.append(f"{'below' if self.high_open else 'at most'} {self.high:g}")
                return " ".join([words, " and ".join(bounds)]).strip()


ACTIVATIONS = ("relu", "gelu", "tanh", "sigmoid", "silu", "leaky_relu", "elu")
NORMALIZATIONS = ("none", "batch", "layer")
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
SCHEDULES = ("constant", "step", "cosine", "one_cycle")

_LAYER_SETTINGS = (
    Setting("activation", "categorical", "relu", "the non-linearity after every hidden layer", choices=ACTIVATIONS),
    Setting("normalization", "categorical", "none", "what normalises every hidden layer, before its activation", choices=NORMALIZATIONS),
    Setting("dropout", "float", 0.0, "the share of hidden units that is dropped in training", low=0, high=1, high_open=True),
)

_MLP = (
    Setting("layers", "int", 1, "number of hidden layers", low=0, high=64),
    Setting("units", "int", 128, "width of every hidden layer", low=1, high=65536),
    *_LAYER_SETTINGS,
)
_CNN = (
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
    *_LAYER_SETTINGS,
)

TRAINING: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("optimizer", "categorical", "adam", "the optimiser", choices=OPTIMIZERS),
        Setting("learning_rate", "float", 0.001, "the (largest) learning rate", low=0, low_open=True),
        Setting("momentum", "float", 0.0, "momentum of sgd and rmsprop", low=0, high=1, high_open=True),
        Setting("nesterov", "bool", False, "Nesterov's momentum for sgd (needs momentum above 0)"),
        Setting("beta1", "float", 0.9, "decay of the first moment of adam and adamw", low=0, high=1, high_open=True),
        Setting("beta2", "float", 0.999, "decay of the second moment of adam and adamw", low=0, high=1, high_open=True),
        Setting("schedule", "categorical", "constant", "how the learning rate moves over the epochs", choices=SCHEDULES),
        Setting("warmup_epochs", "float", 0.0, "epochs over which the learning rate rises linearly from 0", low=0),
        Setting("batch_size", "int", 64, "samples a step", low=1),
        Setting("l1", "float", 0.0, "weight of the sum of absolute weights in the loss", low=0),
        Setting("l2", "float", 0.0, "the optimiser's weight decay (decoupled for adamw)", low=0),
        Setting("label_smoothing", "float", 0.0, "share of the target spread over all classes", low=0, high=1, high_open=True),
        Setting("clip_norm", "float", 0.0, "largest norm of the gradient (0: no clipping)", low=0),
        Setting("early_stopping", "int", 0, "epochs without improvement after which a trial ends complete (0: never)", low=0),
        Setting("precision", "categorical", "float32", "bfloat16 trains under autocast on a GPU", choices=("float32", "bfloat16")),
    )
}


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of model: its parameters, and which of them may be given for each layer (``units_1``, ``units_2``, ...).

    ``per_layer`` maps such a name to the parameter that counts the layers. Code of a person's own is a family as well: one that
    ``is_open`` takes parameters of any other name, one that ``trains_itself`` knows nothing of those of the trainer.
    """

    name: str
    about: str
    settings: Mapping[str, Setting]
    per_layer: Mapping[str, str]
    is_open: bool = False
    trains_itself: bool = False

    @property
    def known(self) -> Mapping[str, Setting]:
        """The parameters of the family, and those of its training."""
        return self.settings if self.trains_itself else {**self.settings, **TRAINING}


FAMILIES: Mapping[str, Family] = {
    "mlp": Family("mlp", "fully connected layers over flattened inputs", {s.name: s for s in _MLP}, per_layer={"units": "layers"}),
    "cnn": Family(
        "cnn",
        "convolutions, then one fully connected layer, over pictures",
        {s.name: s for s in _CNN},
        per_layer={"channels": "conv_layers"},
    ),
}

_NUMBERED = re.compile(r"^(?P<base>[a-z][a-z0-9_]*?)_(?P<layer>[1-9][0-9]?)$")


def own_family(name: str, takes: Sequence[str] | None, *, trains_itself: bool) -> Family:
    """Code of a person's own as a family: ``takes`` are the parameters that it names, None: any."""
    settings = {each: Setting(each, "any", None, "a parameter of your own code") for each in takes or ()}
    return Family(name, "code of your own", settings, {}, is_open=takes is None, trains_itself=trains_itself)


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


def layer_values(settings: Mapping[str, Value], base: str, layers: int) -> list[int]:
    """``[settings["units_1"], settings["units_2"], ...]`` of a completed configuration."""
    values = [settings[f"{base}_{layer}"] for layer in range(1, layers + 1)]
    return [int(value) for value in values if isinstance(value, int)]


def parameter_count(model: str, configuration: Configuration, inputs: Sequence[int], outputs: int) -> int:
    """How many weights the network has, without building it.

    Args:
        inputs: shape of one sample, ``(features,)`` or ``(channels, height, width)``.
        outputs: number of outputs (1 for regression and binary classification, else the number of classes).
    """
    *hidden, last = _products(model, configuration, inputs, outputs)
    normalization = str(complete(model, configuration)["normalization"])
    own = {"none": 1, "batch": 2, "layer": 3}[normalization]  # of a unit, beside its inputs: biases and scales
    return sum((layer.inputs + own) * layer.units for layer in hidden) + (last.inputs + 1) * last.units


def multiply_adds(model: str, configuration: Configuration, inputs: Sequence[int], outputs: int) -> int:
    """How many products of an input with a weight one forward pass of one sample takes (each is added up): the cost of a prediction.

    Those of convolutions and dense layers; biases, normalisation, activations and pooling are not counted. Padding is counted like
    pixels, as everybody does. The arguments are those of ``parameter_count``.
    """
    return sum(layer.inputs * layer.units * layer.places for layer in _products(model, configuration, inputs, outputs))


@dataclass(frozen=True, slots=True)
class _Product:
    """A layer as a product of matrices: ``inputs`` of each unit, how many ``units``, and at how many ``places`` they are applied."""

    inputs: int
    units: int
    places: int = 1


def _products(model: str, configuration: Configuration, inputs: Sequence[int], outputs: int) -> Iterator[_Product]:
    """The layers in their order; the last one makes the outputs."""
    settings = complete(model, configuration)
    features = math.prod(inputs)
    if model == "cnn":
        channels, height, width = inputs if len(inputs) == 3 else (1, *inputs)
        kernel, layers, dense = (_whole(settings[name]) for name in ("kernel_size", "conv_layers", "dense_units"))
        for out in layer_values(settings, "channels", layers):
            yield _Product(channels * kernel * kernel, out, height * width)
            channels = out
            if settings["pooling"] != "none" and min(height, width) >= 2:
                height, width = height // 2, width // 2
        features = channels * height * width
        widths = [dense] if dense else []
    else:
        widths = layer_values(settings, "units", _whole(settings["layers"]))
    for units in widths:
        yield _Product(features, units)
        features = units
    yield _Product(features, outputs)


def _whole(value: Value) -> int:
    assert isinstance(value, int)
    return value
