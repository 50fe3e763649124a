"""What there is to know of a study's data before it starts: facts, warnings, and notes of what was done to them.

Plain values from ``info.json``, for whoever tells a person: a run, a starter file, the study page, MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST_CLASSES = 10
_COLUMNS = {  # by kind: one, and several
    "number": ("number", "numbers"),
    "boolean": ("truth", "truths"),
    "category": ("category", "categories"),
    "date": ("date", "dates"),
    "text": ("free text", "free texts"),
    "given": ("key that is sometimes missing", "keys that are sometimes missing"),
}


@dataclass(frozen=True, slots=True)
class DataReport:
    """``facts``: rows, columns, classes. ``warnings``: what may be wrong, each with what to do. ``notes``: what was done to the data."""

    facts: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it as a run says it, warnings first."""
        return (
            *(f"warning: {warning}" for warning in self.warnings),
            *(f"data: {line}" for line in (*self.facts, *self.notes)),
        )


def report_of(info: Mapping[str, Any]) -> DataReport:
    """The report of prepared data, from the fields of their ``DataInfo``."""
    return DataReport(tuple(_facts(info)), tuple(info.get("warnings", ())), tuple(info.get("notes", ())))


def read_report(folder: Path) -> DataReport | None:
    """That of a study's folder; None where it has no data of its own, or they cannot be read."""
    try:
        info = json.loads((folder / "data" / "info.json").read_text(encoding="utf-8"))
        return report_of(info) if info["sizes"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_season(folder: Path) -> int:
    """Of a study's forecasts: after how many steps the naive one repeats the past; 0: it is the last value again, or nothing is known."""
    try:
        return int(json.loads((folder / "data" / "info.json").read_text(encoding="utf-8"))["season"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _facts(info: Mapping[str, Any]) -> Iterator[str]:
    sizes = info["sizes"]
    if sizes and not info.get("shared_splits"):
        yield f"{', '.join(f'{count:,} for {split}' for split, count in sizes.items())}."
    if info.get("column_kinds"):
        yield f"Columns: {', '.join(f'{count} {_COLUMNS[kind][count > 1]}' for kind, count in info['column_kinds'].items())}."
    counts = info.get("class_counts") or ()
    if counts and not info.get("shared_splits"):
        largest = sorted(zip(info["classes"], counts, strict=True), key=lambda pair: -pair[1])
        total = sum(counts)
        said = [f"{label} {count:,} ({count / total:.1%})" for label, count in largest[:_MOST_CLASSES]]
        rest = [f"and {len(largest) - _MOST_CLASSES} more, the rarest {largest[-1][1]:,}"] if len(largest) > _MOST_CLASSES else []
        yield f"Classes in training: {', '.join([*said, *rest])}."
