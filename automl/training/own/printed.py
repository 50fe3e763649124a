"""The metrics of a program, found in what it prints or writes into a file: lines of JSON, lines that match a pattern, or rows of CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LONGEST_LINE = 2**16
_TEST = "test"


@dataclass(frozen=True, slots=True)
class Found:
    """What a line says: metrics of an epoch, or (``is_test``) of test data. ``epoch`` is the number that it gives the epoch itself."""

    metrics: Mapping[str, float]
    is_test: bool = False
    epoch: int | None = None


@dataclass(slots=True)
class Reader:
    """Finds metrics in lines. A line is a report where all objectives are in it; ``seen`` collects all names, for whoever has to say why
    there was none. A line that says the same of the same epoch as the report before it is no other report: what is printed and logged
    alike, or printed by each of several processes, counts once.

    Without a ``pattern`` a line holds a JSON object from its first brace on: ``{"epoch": 1, "accuracy": 0.9}``; numbers in it are
    metrics, and ``{"test": {"accuracy": 0.88}}`` is what was reached on test data. With one, its named groups are metrics.
    """

    objective: str
    pattern: str = ""
    further: tuple[str, ...] = ()
    seen: dict[str, None] = field(default_factory=dict)
    _last: str = ""

    def line(self, text: str) -> list[Found]:
        """What a line says; nothing in most."""
        values: Mapping[str, Any] | None
        if self.pattern:
            match = re.search(self.pattern, text)
            values = {name: _number(value) for name, value in match.groupdict().items()} if match else None
        else:
            values = _object(text)
        return [] if values is None else self.values(values)

    def values(self, values: Mapping[str, Any]) -> list[Found]:
        """What an object says."""
        found: list[Found] = []
        metrics = {str(name): float(value) for name, value in values.items() if _is_number(value) and name != "epoch"}
        self.seen.update(dict.fromkeys(metrics))
        if all(name in metrics for name in (self.objective, *self.further)):
            report = Found(metrics, epoch=_whole(values.get("epoch")))
            if report.epoch is None or repr(report) != self._last:
                found.append(report)
            self._last = repr(report)  # as a text, in which NaN is equal to itself
        tests = values.get(_TEST)
        if isinstance(tests, Mapping):
            numbers = {str(name): float(value) for name, value in tests.items() if _is_number(value)}
            found.append(Found({name: number for name, number in numbers.items() if math.isfinite(number)}, is_test=True))
        return found


def _object(text: str) -> Mapping[str, Any] | None:
    start = text.find("{")
    if start < 0:
        return None
    try:
        content = json.loads(text[start:].strip())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, Mapping) else None


def _is_number(value: object) -> bool:
    """Whole numbers that no float can hold are none."""
    return (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max) or isinstance(value, float)


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) and value == int(value) else None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


class Lines:
    """Cuts what comes in into lines; a carriage return ends one as well, as progress bars have it."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes, *, last: bool = False) -> Iterator[str]:
        """The lines that are whole with this; with the ``last`` data also what has no end."""
        *whole, rest = re.split(rb"[\r\n]", self._rest + data)
        self._rest = b"" if last or len(rest) > _LONGEST_LINE else rest
        if last:
            whole.append(rest)
        for line in whole:
            if line:
                yield line.decode("utf-8", errors="replace")


class MetricsFile:
    """A file that a program writes its metrics to. What is in it before the program starts does not count."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self._path, self._reader = path, reader
        self._lines, self._rows = Lines(), 0
        self._is_csv = path.suffix == ".csv" and not reader.pattern
        self._read = self._size()
        if self._is_csv and self._read:
            self._rows = len(self._table())

    def news(self, *, last: bool = False) -> list[Found]:
        """What was written since the last look; the ``last`` one takes a line without an end, and a file that is one JSON text."""
        if self._is_csv:
            return self._news_of_rows()
        size = self._size()
        if size < self._read:  # written anew
            self._read, self._lines = 0, Lines()
        data = b""
        if size > self._read:
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
            self._read += len(data)
        found = [each for line in self._lines.take(data, last=last) for each in self._reader.line(line)]
        if last and not found and not self._reader.seen and not self._reader.pattern:
            found = self._whole()
        return found

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _table(self) -> list[dict[str, Any]]:
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        whole = text[: text.rfind("\n") + 1]  # the last row may be on its way
        return [{name: _number(value) for name, value in row.items() if name} for row in csv.DictReader(io.StringIO(whole))]

    def _news_of_rows(self) -> list[Found]:
        table = self._table()
        if len(table) < self._rows:
            self._rows = 0
        news, self._rows = table[self._rows :], len(table)
        return [each for row in news for each in self._reader.values(row)]

    def _whole(self) -> list[Found]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        entries = content if isinstance(content, list) else [content]
        return [each for entry in entries if isinstance(entry, Mapping) for each in self._reader.values(entry)]
