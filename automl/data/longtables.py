"""Sequences in a long table: a row for each step, and a column that says which rows are one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl.data.sequencedata import Floats, Sequences
from automl.data.tables import Table, find_column, read_files, read_table
from automl.data.timestamps import instants
from automl.data.values import NumberStyle, number_style, numbers_of, texts_of
from automl.errors import DataError, listed
from automl.spec import DataSpec

if TYPE_CHECKING:
    from automl.data.sources import TableFile


def read_long(spec: DataSpec, source: TableFile) -> Sequences:
    """The sequences of a table, in the order in which they begin, with those of its test file."""
    assert spec.series is not None
    names = [name for name in (spec.target, spec.series, spec.timestamp, *spec.drop) if name]
    table = read_files(source.where, source.content, source.more, names)
    where, frame = table.where, table.frame
    if spec.target is None:
        raise DataError(f"{where}: sequences need a target, the column to be predicted, but none is given. Give --target COLUMN.")
    target, series = find_column(where, frame, spec.target), find_column(where, frame, spec.series)
    timestamp = find_column(where, frame, spec.timestamp) if spec.timestamp else None
    dropped = {find_column(where, frame, name) for name in spec.drop}
    others = [str(name) for name in frame.columns if name not in {target, series, timestamp, *dropped}]
    channels = [name for name in others if is_numeric(frame[name])]
    if not channels:
        raise DataError(f"{where}: sequences must have columns of numbers beside {target!r} and {series!r}, but have none. Add some.")
    notes = tuple(f"Left out: {name}, because it does not hold numbers." for name in others if name not in channels)
    found = _taken(table, series, timestamp, channels, target, source.name)
    test = None
    if source.test_where:
        other = read_table(source.test_where, source.test_content, like=table)
        for name in (target, series, *([timestamp] if timestamp else []), *channels):
            find_column(other.where, other.frame, name)
        test = _taken(other, series, timestamp, channels, target, Path(other.where).stem)
    plan = {"series": series, **({"timestamp": timestamp} if timestamp else {})}
    used = ("series", "timestamp", "target", "drop")
    return Sequences(found.name, where, found.samples, found.targets, tuple(channels), "auto", target, test, notes, plan, used)


def series_of(where: str, frame: pd.DataFrame, series: str, timestamp: str | None, channels: Sequence[str]) -> list[Floats]:
    """The sequences of a table, ``[channels, steps]`` each, in the order in which they begin."""
    frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    for name in (series, *([timestamp] if timestamp else []), *channels):
        find_column(where, frame, name)
    return [group.values for group in _groups(where, frame, series, timestamp, channels)]


class _Group:
    """One sequence: its values, and the rows of the table that it comes from."""

    def __init__(self, name: str, rows: Any, values: Floats) -> None:
        self.name, self.rows, self.values = name, rows, values


def _groups(where: str, frame: pd.DataFrame, series: str, timestamp: str | None, channels: Sequence[str]) -> list[_Group]:
    names = texts_of(frame[series])
    missing = np.flatnonzero([name is None for name in names])
    if len(missing):
        raise DataError(f"{where}: column {series!r} must say of every row which sequence it is of, but row {missing[0] + 1} does not.")
    values = np.stack([numbers_of(frame[name], style_of(frame[name])) for name in channels])
    when = instants(where, timestamp, frame[timestamp]) if timestamp else None
    codes, order = pd.factorize(names)
    places = np.argsort(codes, kind="stable")
    groups = []
    for name, rows in zip(order, np.split(places, np.cumsum(np.bincount(codes))[:-1]), strict=True):
        if when is not None:
            rows = rows[np.argsort(when[rows], kind="stable")]
            twins = np.flatnonzero(when[rows][1:] == when[rows][:-1])
            if len(twins):
                raise DataError(
                    f"{where}: a sequence must have one row at a time, but {name!r} has two at "
                    f"{str(frame[timestamp].iloc[rows[twins[0]]])!r}. Leave one of them out."
                )
        groups.append(_Group(str(name), rows, values[:, rows]))
    return groups


def _taken(table: Table, series: str, timestamp: str | None, channels: Sequence[str], target: str, name: str) -> Sequences:
    groups = _groups(table.where, table.frame, series, timestamp, channels)
    cells = table.frame[target].to_numpy(object)
    targets = []
    for group in groups:
        values = pd.unique(cells[group.rows])
        if len(values) > 1:
            raise DataError(
                f"{table.where}: target {target!r} must be the same in all rows of a sequence, but {series} {group.name!r} has "
                f"{listed([repr(str(value)) for value in values], 3)}. For a forecast give horizon."
            )
        targets.append(values[0])
    return Sequences(name, table.where, [group.values for group in groups], targets, tuple(channels))


def is_numeric(column: pd.Series[Any]) -> bool:
    """Whether nearly all cells are numbers."""
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    if pd.api.types.is_numeric_dtype(column.dtype):
        return True
    distinct = np.array(sorted({text for text in texts_of(column) if text is not None}), object)
    return bool(len(distinct)) and number_style(distinct)[1] >= 0.9


def style_of(column: pd.Series[Any]) -> NumberStyle:
    """How its numbers are written."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "plain"
    distinct = np.array(sorted({text for text in texts_of(column) if text is not None}), object)
    return number_style(distinct)[0] if len(distinct) else "plain"
