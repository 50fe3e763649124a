"""What a family of models is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from automl.events import Value
from automl.families.costs import Cost
from automl.families.settings import Setting
from automl.families.training import TRAINING
from automl.inputs import Inputs, SampleKind

CostOf = Callable[[Mapping[str, Value], Inputs, int], Cost]
"""Of a completed configuration, for such samples and so many outputs."""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of model: its parameters, and which of them may be given for each layer (``units_1``, ``units_2``, ...).

    ``per_layer`` maps such a name to the parameter that counts the layers. ``kinds`` are the kinds of samples that it takes, ``cost`` says
    how large a network is. Code of a person's own is a family as well: one that ``is_open`` takes parameters of any other name, one that
    ``trains_itself`` knows nothing of those of the trainer.
    """

    name: str
    about: str
    settings: Mapping[str, Setting]
    per_layer: Mapping[str, str] = field(default_factory=dict)
    kinds: tuple[SampleKind, ...] = ()
    cost: CostOf | None = None
    is_open: bool = False
    trains_itself: bool = False

    @property
    def known(self) -> Mapping[str, Setting]:
        """The parameters of the family, and those of its training."""
        return self.settings if self.trains_itself else {**self.settings, **TRAINING}


def named(*settings: Setting) -> dict[str, Setting]:
    """Settings by their names."""
    return {setting.name: setting for setting in settings}


def layer_values(settings: Mapping[str, Value], base: str, layers: int) -> list[int]:
    """``[settings["units_1"], settings["units_2"], ...]`` of a completed configuration."""
    values = [settings[f"{base}_{layer}"] for layer in range(1, layers + 1)]
    return [int(value) for value in values if isinstance(value, int)]


def whole(value: Value) -> int:
    """The value of a setting of the kind int."""
    assert isinstance(value, int)
    return value
