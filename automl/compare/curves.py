"""Anytime curves: the best validation value so far against what it cost, over the repeats of each arm, on one grid for all arms."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from automl.compare import statistics
from automl.compare.results import Course, Result, by_arm

POINTS = 100  # of a grid of epochs or seconds


@dataclass(frozen=True, slots=True)
class Curve:
    """At each cost ``x``: the median over repeats, and the interval that holds it with probability ``confidence``, at that point alone.

    None where the middle repeat, or that at the end of the interval, had no complete trial yet. ``low`` is below ``high`` whichever of
    them is better.
    """

    x: tuple[float, ...]
    median: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    confidence: float

    def reaches(self, value: float, maximize: bool) -> float | None:
        """The first cost at which the median is as good as this; None where it never is."""
        sign = 1 if maximize else -1
        return next((x for x, at in zip(self.x, self.median, strict=True) if at is not None and sign * at >= sign * value), None)


Axis = Callable[[Course], Sequence[float]]

AXES: Mapping[str, Axis] = {
    "trials": lambda course: range(1, len(course.best) + 1),
    "epochs": lambda course: course.epochs,
    "seconds": lambda course: course.seconds,
    "seconds_asking": lambda course: [a + b for a, b in zip(course.seconds, course.ask_seconds, strict=True)],
}
"""What a course has cost after each trial: trials, epochs spent, device seconds, and device seconds with those of asking."""


def curves(results: Sequence[Result], axis: str, maximize: bool) -> dict[str, Curve]:
    """The curve of each arm against this axis, up to the cost that every repeat of that arm has spent."""
    cost = AXES[axis]
    arms = by_arm(results)
    ends = {name: min((max(cost(result.course), default=0.0) for result in own), default=0.0) for name, own in arms.items()}
    grid = _grid(max(ends.values(), default=0.0), axis)
    return {
        name: _curve([r.course for r in own], cost, [x for x in grid if x <= ends[name] + 1e-9], maximize) for name, own in arms.items()
    }


def _grid(end: float, axis: str) -> list[float]:
    if axis == "trials":
        return [float(number) for number in range(1, int(end) + 1)]
    return [end * (step + 1) / POINTS for step in range(POINTS)] if end > 0 else []


def _curve(courses: Sequence[Course], cost: Axis, grid: Sequence[float], maximize: bool) -> Curve:
    sign = 1 if maximize else -1
    steps = [(list(cost(course)), course.best) for course in courses]
    points = [statistics.median([_at(x, costs, best, sign) for costs, best in steps]) for x in grid]
    lows, highs = ([_value(end, sign) for end in ends] for ends in ([p.low for p in points], [p.high for p in points]))
    low, high = (lows, highs) if maximize else (highs, lows)
    medians = tuple(_value(point.value, sign) for point in points)
    return Curve(tuple(grid), medians, tuple(low), tuple(high), points[0].confidence if points else 0.0)


def _at(x: float, costs: Sequence[float], best: Sequence[float | None], sign: int) -> float:
    """The best value that was known at this cost, so that more is better."""
    index = bisect.bisect_right(costs, x + 1e-9) - 1
    value = best[index] if index >= 0 else None
    return -math.inf if value is None else sign * value


def _value(value: float | None, sign: int) -> float | None:
    return None if value is None else sign * value
