"""Charts made of characters: a line of bars, and a plot with axes. Numbers in, text out; NaN leaves a gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from automl.summary import number_text

_BARS, _ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column of one braille character


@dataclass(frozen=True, slots=True)
class Series:
    """Points of a plot, drawn over earlier series. ``joined``: by ``lines``, or by ``steps`` where a value holds until the next."""

    x: Sequence[float]
    y: Sequence[float]
    style: str
    joined: Literal["", "lines", "steps"] = ""


def sampled(values: Sequence[float], width: int) -> list[float]:
    """At most ``width`` of the values, evenly spread, the first and the last among them."""
    if len(values) <= width:
        return list(values)
    return [values[round(index * (len(values) - 1) / max(1, width - 1))] for index in range(width)]


def sparkline(values: Sequence[float], width: int, ascii_only: bool = False) -> str:
    """One character for each value, at most ``width``, higher for more; a blank for NaN. All equal: all in the middle."""
    bars, shown = _ASCII_BARS if ascii_only else _BARS, sampled(values, width)
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    return "".join(bars[_level(value, low, high, len(bars))] if math.isfinite(value) else " " for value in shown)


def _level(value: float, low: float, high: float, levels: int) -> int:
    if high == low:
        return levels // 2
    return min(levels - 1, int((value - low) / (high - low) * levels))


def plot(series: Sequence[Series], width: int, height: int, x_label: str, ascii_only: bool = False) -> list[Text]:
    """A plot of ``height`` lines and at most ``width`` columns: values at the left, the first and last x and ``x_label`` below.

    Whole lines come out: ``height - 2`` of points, an axis, and its labels. Nothing where there is no finite point or no room.
    """
    points = [(x, y) for one in series for x, y in zip(one.x, one.y, strict=True) if math.isfinite(y)]
    rows = height - 2
    if not points or rows < 2:
        return []
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = _span([y for _, y in points])
    labels = [number_text(high), number_text(low)]
    margin = max(map(len, labels))
    canvas = _Canvas(width - margin - 2, rows, ascii_only)
    if canvas.columns < 8:
        return []
    for one in series:
        canvas.draw(one, (left, right, low, high))
    edge, corner, floor = ("|", "+", "-") if ascii_only else ("┤", "└", "─")
    lines = []
    for row in range(rows):
        label = labels[0] if row == 0 else labels[1] if row == rows - 1 else ""
        lines.append(Text(f"{label:>{margin}} {edge if label else '|' if ascii_only else '│'}", style="dim").append_text(canvas.line(row)))
    first, last = f"{left:g}", f"{x_label} {right:g}"
    if len(first) + len(last) >= canvas.columns:
        last = f"{right:g}" if len(first) + len(f"{right:g}") < canvas.columns else ""
    lines.append(Text(f"{'':>{margin}} {corner}{floor * canvas.columns}", style="dim"))
    lines.append(Text(f"{'':>{margin + 2}}{first[: canvas.columns]}{last:>{max(0, canvas.columns - len(first))}}", style="dim"))
    return lines


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low < high:
        return low, high
    room = abs(low) * 0.1 or 1.0
    return low - room, high + room


class _Canvas:
    """Characters of 2x4 dots each (of one where only ASCII can be shown), each in the style of what was drawn last."""

    def __init__(self, columns: int, rows: int, ascii_only: bool) -> None:
        self.columns, self.rows = columns, rows
        self._ascii = ascii_only
        self._wide, self._high = (columns, rows) if ascii_only else (2 * columns, 4 * rows)
        self._cells: dict[tuple[int, int], int] = {}
        self._styles: dict[tuple[int, int], str] = {}

    def draw(self, series: Series, bounds: tuple[float, float, float, float]) -> None:
        left, right, low, high = bounds
        previous: tuple[int, int] | None = None
        for x, y in zip(series.x, series.y, strict=True):
            if not math.isfinite(y):
                previous = None
                continue
            share = (x - left) / (right - left) if right > left else 0.5
            column = round(share * (self._wide - 1))
            row = round((high - y) / (high - low) * (self._high - 1))
            if series.joined == "steps" and previous is not None:
                self._line(previous, (column, previous[1]), series.style)
                previous = (column, previous[1])
            if series.joined and previous is not None:
                self._line(previous, (column, row), series.style)
            self._dot(column, row, series.style)
            previous = (column, row)

    def _line(self, start: tuple[int, int], end: tuple[int, int], style: str) -> None:
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            column, row = (round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True))
            self._dot(column, row, style)

    def _dot(self, column: int, row: int, style: str) -> None:
        cell = (column, row) if self._ascii else (column // 2, row // 4)
        self._cells[cell] = self._cells.get(cell, 0) | (1 if self._ascii else _DOTS[row % 4][column % 2])
        self._styles[cell] = style

    def line(self, row: int) -> Text:
        text = Text()
        for column in range(self.columns):
            dots = self._cells.get((column, row))
            mark = " " if dots is None else "*" if self._ascii else chr(_BRAILLE + dots)
            text.append(mark, self._styles.get((column, row), ""))
        return text
