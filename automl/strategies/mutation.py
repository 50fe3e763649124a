"""Configurations near others."""

from __future__ import annotations

import random

from automl.events import Configuration, Value
from automl.space import Categorical, Float, Int, Parameter, SearchSpace


def mutated(space: SearchSpace, configuration: Configuration, source: random.Random, step: float, count: int = 1) -> Configuration:
    """The configuration with other values for ``count`` of its active parameters (all, where it has fewer with more than one value).

    Numbers move on their own scale by a normal draw with standard deviation ``step`` (of the whole range), mirrored at the ends, and by one
    step of their own at least; categorical parameters take one of their other choices. Parameters that become active by this are drawn
    uniformly. Rules may be broken.
    """
    movable = [name for name in configuration if space.by_name[name].size > 1]
    moved = set(source.sample(movable, min(count, len(movable))))

    def choose(parameter: Parameter) -> Value:
        if parameter.name in moved:
            return _moved(parameter, configuration[parameter.name], source, step)
        if parameter.name in configuration:
            return configuration[parameter.name]
        return parameter.at(source.random())

    return space.configure(choose)


def _moved(parameter: Parameter, value: Value, source: random.Random, step: float) -> Value:
    match parameter:
        case Categorical(choices=choices):
            here = parameter.index(value)
            assert here is not None
            other = source.randrange(len(choices) - 1)
            return choices[other + (other >= here)]
        case Float():
            return parameter.at(_mirrored(parameter.unit(value) + source.gauss(0.0, step)))
        case Int():
            shift = source.gauss(0.0, step)
            found = parameter.at(_mirrored(parameter.unit(value) + shift))
            return found if found != value else _neighbour(parameter, found, upwards=shift > 0)


def _neighbour(parameter: Int, value: int, *, upwards: bool) -> int:
    """The next value on this side, or on the other where there is none."""
    step = parameter.step if upwards else -parameter.step
    return value + step if parameter.contains(value + step) else value - step


def _mirrored(unit: float) -> float:
    """Into [0, 1], as between two mirrors."""
    unit = abs(unit) % 2.0
    return 2.0 - unit if unit > 1.0 else unit
