"""How many weights a network has and what one prediction costs, added up layer by layer without building it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from automl.events import Value
from automl.inputs import Inputs

OWN_WEIGHTS = {"none": 1, "batch": 2, "layer": 3}
"""Of a unit with this normalisation, beside the weights of its inputs: biases (none before batch normalisation) and scales."""


@dataclass(frozen=True, slots=True)
class Cost:
    """``parameters``: weights that train. ``multiply_adds``: products of an input with a weight in the forward pass of one sample."""

    parameters: int = 0
    multiply_adds: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)

    def times(self, count: int) -> Cost:
        """That of so many layers like it."""
        return Cost(self.parameters * count, self.multiply_adds * count)


def dense(inputs: int, units: int, own: int = 1, places: int = 1) -> Cost:
    """A layer as a product of matrices: ``units`` of so many ``inputs`` and ``own`` weights each, applied at so many ``places``."""
    return Cost((inputs + own) * units, inputs * units * places)


def total(costs: Iterable[Cost]) -> Cost:
    """All of them together."""
    return sum(costs, Cost())


def steps_read(settings: Mapping[str, Value], inputs: Inputs) -> tuple[int, int, Cost]:
    """Of sequences and texts: how many steps there are, with how many features each, and the words' vectors, which are looked up."""
    if inputs.kind != "tokens":
        return inputs.shape[1], inputs.shape[0], Cost()
    units = settings["embedding"]
    assert isinstance(units, int)
    return inputs.shape[-1], units, Cost(inputs.vocabulary * units)
