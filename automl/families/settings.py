"""What a parameter of a family or of the training is: its name, kind, default and range; and those that several families share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from automl.events import Value
from automl.inputs import SampleKind

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
    kinds: tuple[SampleKind, ...] = ()  # of samples that a value other than the default is for; none: all
    tasks: tuple[str, ...] = ()  # likewise

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

INSTANCE_NORM = Setting(
    "instance_norm",
    "categorical",
    "none",
    "what is done to each sequence first: less its last step, less its mean, or standardised; undone for a forecast",
    choices=("none", "last", "mean", "standard"),
)

RIDGE = Setting(
    "ridge",
    "float",
    0.0,
    "at the beginning the outputs are a ridge regression on the inputs with this penalty, and layers learn what is beside it (0: without)",
    low=0,
    kinds=("features", "sequences"),
    tasks=("regression",),
)

LAYER_SETTINGS = (
    Setting("activation", "categorical", "relu", "the non-linearity after every hidden layer", choices=ACTIVATIONS),
    Setting("normalization", "categorical", "none", "what normalises every hidden layer, before its activation", choices=NORMALIZATIONS),
    Setting("dropout", "float", 0.0, "the share of hidden units that is dropped in training", low=0, high=1, high_open=True),
)

WORD_SETTINGS = (
    Setting("embedding", "int", 64, "numbers that a word becomes; for texts alone", low=1, high=65536),
    Setting(
        "word_dropout",
        "float",
        0.0,
        "the share of words, and of their parts, that is left out in training; for texts alone",
        low=0,
        high=1,
        high_open=True,
    ),
)
