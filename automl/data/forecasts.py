"""Forecasts: a table's series, cut into windows, each with the steps that follow it; split by time and never shuffled across the cuts.

Of ``n`` rows the last are for test, those before them for validation, and the others for training. A window belongs to the part in which
all the steps that it is to forecast lie; what it sees may reach back into the part before, as it will when the model is used. Each series
is standardised by its training part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl.data import DataInfo
from automl.data.builtin import Frame
from automl.data.longtables import is_numeric, style_of
from automl.data.naive import naive_of, season_of
from automl.data.prepared import Prepared, refuse_unused
from automl.data.sequencedata import Floats
from automl.data.splits import TEST_SHARE, VALIDATION_SHARE
from automl.data.tables import Table, find_column, read_files, read_table
from automl.data.timestamps import instants, is_dates
from automl.data.values import numbers_of
from automl.data.windows import Windows
from automl.errors import DataError, listed
from automl.spec import DataSpec

if TYPE_CHECKING:
    from automl.data.sources import TableFile

ALL = "all"
_SHORTEST = 36  # steps of a window that nobody gave, where rows suffice
_LONG = 96  # of one where there are many rows,
_ROWS_A_STEP = 16  # so many for training for each of its steps
_MOST_TARGETS = 2**25  # values to be forecast in a split: beyond this, not every window is taken
_USED = ("horizon", "window", "timestamp", "rows")
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class _Cuts:
    """The first row of the validation part, the first of the test part, and the number of rows."""

    validation: int
    test: int
    end: int

    def of(self, part: str) -> tuple[int, int]:
        """Where the steps lie that windows of this part forecast."""
        return {"train": (0, self.validation), "validation": (self.validation, self.test), "test": (self.test, self.end)}[part]


def prepare_forecast(spec: DataSpec, source: TableFile | Frame) -> Prepared:
    """The windows of all series. Raises ``DataError`` where rows do not suffice or an option has no meaning for a forecast."""
    assert spec.horizon is not None
    _refuse(spec, source.name if isinstance(source, Frame) else source.where)
    table, own = _table(spec, source)
    frame, notes = _in_order(spec, table, own)
    names = _targets(spec, table)
    values = np.stack([_values(table.where, frame[name]) for name in names])
    cuts = _cuts(spec, values.shape[1], own)
    _check_rows(table.where, cuts, spec.window or 1, spec)
    names, values, left = _changing(spec, table.where, names, values, cuts)
    notes += left
    if (missing := int(np.isnan(values).sum())) > 0:
        notes.append(f"Missing: {missing} of {values.size} values, each taken to be the one before it.")
        values = _carried(values)
    train = values[:, : cuts.validation]
    means, scales = train.mean(axis=1), train.std(axis=1)
    standardised = ((values - means[:, None]) / scales[:, None]).astype(np.float32)
    season = season_of(standardised[:, : cuts.validation])
    window = spec.window or _window_for(spec.horizon, season, cuts)
    starts, thinned = _starts(len(names), cuts, window, spec.horizon)
    one = len(names) == 1
    mean, scale = (float(means[0]), float(scales[0])) if one else (0.0, 1.0)
    notes += _notes(frame, spec, cuts, window, names, thinned)
    naive = naive_of(standardised, {part: cuts.of(part) for part in _PARTS[1:]}, spec.horizon, season)
    notes += naive.notes(scale)
    info = DataInfo(
        name=source.name,
        task="regression",
        input_shape=(1, window),
        outputs=spec.horizon,
        classes=(),
        sizes={part: len(starts[part]) for part in _PARTS},
        target_mean=mean,
        target_scale=scale,
        notes=tuple(notes),
        kind="sequences",
        continues=True,
        naive=dict(naive.seasonal if naive.is_seasonal else naive.last),
        season=(season or 0) if naive.is_seasonal else 0,
    )
    plan = {"reader": "forecast", "targets": names, "means": means.tolist(), "scales": scales.tolist()}
    if (timestamp := _timestamp(spec, table)) is not None:
        plan["timestamp"] = timestamp
    return Prepared(info, {}, plan, windows=Windows(standardised.reshape(1, -1), starts))


def _refuse(spec: DataSpec, where: str) -> None:
    if spec.series is not None:
        raise DataError(
            f"{where}: a forecast is of columns of one table, but series is {spec.series!r}. Give each series a column, and target: {ALL}."
        )
    refuse_unused(spec, where, _USED)
    if spec.folds is not None:
        raise DataError(f"{where}: a forecast must be validated on what comes after training, but folds are asked for. Leave folds out.")
    if spec.positive:
        raise DataError(f"{where}: positive must name classes, but a forecast has none. Leave positive out.")


# -- rows and columns ----------------------------------------------------------------------------------------------------


def _table(spec: DataSpec, source: TableFile | Frame) -> tuple[Table, int | None]:
    """The table with the rows of its test file behind its own, and how many are its own where there is such a file."""
    names = [name for name in (*_named(spec.target), spec.timestamp, *spec.drop) if name]
    table = Table(source.name, source.frame) if isinstance(source, Frame) else read_files(source.where, source.content, source.more, names)
    if spec.rows is not None:
        if spec.rows > len(table.frame):
            raise DataError(f"{table.where}: rows must be at most its {len(table.frame)} rows, but is {spec.rows}. Give fewer.")
        table = Table(table.where, table.frame.iloc[: spec.rows], table.header)
    if isinstance(source, Frame) or not source.test_where:
        return table, None
    test = read_table(source.test_where, source.test_content, like=table)
    for name in table.frame.columns:
        find_column(test.where, test.frame, str(name))
    both = pd.concat([table.frame, test.frame[list(table.frame.columns)]], ignore_index=True)
    return Table(table.where, both, table.header), len(table.frame)


def _named(target: str | None) -> list[str]:
    return [name.strip() for name in target.split(",")] if target else []


def _targets(spec: DataSpec, table: Table) -> list[str]:
    where, frame = table.where, table.frame
    columns = [str(name) for name in frame.columns]
    dropped = {find_column(where, frame, name) for name in spec.drop}
    left = [name for name in columns if name not in dropped and name != _timestamp(spec, table)]
    numeric = [name for name in left if is_numeric(frame[name])]
    if spec.target is None:
        if len(numeric) == 1:
            return numeric
        raise DataError(
            f"{where}: a forecast needs a target, the column to be forecast (or {ALL}), but none is given. Columns: {listed(columns)}. "
            f"Give --target, maybe {(numeric or columns)[-1]!r}."
        )
    if spec.target == ALL and ALL not in columns:
        if not numeric:
            raise DataError(f"{where}: a forecast must have columns of numbers, but has none. Columns: {listed(columns)}.")
        return numeric
    names = [spec.target] if spec.target in columns else _named(spec.target)
    found = list(dict.fromkeys(find_column(where, frame, name) for name in names))
    for name in found:
        if not is_numeric(frame[name]):
            raise DataError(f"{where}: target {name!r} must hold numbers to be forecast, but does not. Choose another target.")
    return found


def _timestamp(spec: DataSpec, table: Table) -> str | None:
    """The column that orders the rows: the one that is given, else the first with dates that all differ, else one with dates that do not:
    such rows are no series as they stand."""
    frame = table.frame
    if spec.timestamp is not None:
        return find_column(table.where, frame, spec.timestamp)
    dates = [str(name) for name in frame.columns if str(name) not in spec.drop and is_dates(frame[name])]
    return next((name for name in dates if frame[name].is_unique), dates[0] if dates else None)


def _in_order(spec: DataSpec, table: Table, own: int | None) -> tuple[pd.DataFrame, list[str]]:
    """The rows by their time, and what a person should know of that."""
    name = _timestamp(spec, table)
    if name is None:
        return table.frame, ["The rows are taken to be one step each, in the order of the file."]
    when = instants(table.where, name, table.frame[name])
    order = np.argsort(when, kind="stable")
    steps = np.diff(when[order])
    if (steps == 0).any():
        twin = table.frame[name].iloc[order[int(np.flatnonzero(steps == 0)[0])]]
        raise DataError(
            f"{table.where}: timestamp {name!r} must differ from row to row, but {str(twin)!r} is there more than once. "
            f"Give each series a column of its own, or keep one row of each; --drop {name!r} takes the rows as they stand."
        )
    if own is not None and len(when) > own and when[own:].min() < when[:own].max():
        raise DataError(f"{table.where}: the rows of a test file must come after those for training, but some are earlier.")
    notes = [f"Ordered by {name}."] if (order != np.arange(len(order))).any() else []
    longer = int((steps > 1.5 * np.median(steps)).sum()) if len(steps) else 0
    if longer:
        notes.append(f"Gaps: {longer} of {len(steps)} steps in {name} are longer than others; a forecast counts rows, not time.")
    return table.frame.iloc[order], notes


def _values(where: str, column: pd.Series[Any]) -> Floats:
    values = numbers_of(column, style_of(column))
    values = np.where(np.isfinite(values), values, np.nan)
    if np.isnan(values).all():
        raise DataError(f"{where}: target {column.name!r} must have values, but all {len(values)} are missing. Choose another target.")
    return values


def _changing(spec: DataSpec, where: str, names: list[str], values: Floats, cuts: _Cuts) -> tuple[list[str], Floats, list[str]]:
    """The series of which there is something to learn, and a note of those of ``all`` that never change. Each has values in every part."""
    for name, row in zip(names, values, strict=True):
        for part in _PARTS:
            first, end = cuts.of(part)
            if np.isnan(row[first:end]).all():
                raise DataError(
                    f"{where}: target {name!r} must have values in every part, but all of rows {first + 1} to {end} ({part}) are missing. "
                    f"Fill them, or leave {name!r} out."
                )
    train = values[:, : cuts.validation]
    changes = np.nanmax(train, axis=1) > np.nanmin(train, axis=1)
    still = [name for name, is_changing in zip(names, changes, strict=True) if not is_changing]
    if still and (spec.target != ALL or not changes.any()):
        raise DataError(
            f"{where}: target {still[0]!r} must change in the rows for training, 1 to {cuts.validation}, but has one value in all of them. "
            "Choose another target, or give rows in which it changes."
        )
    notes = [f"Left out: {listed(still)}, because the rows for training have one value of each."] if still else []
    return [name for name in names if name not in still], values[changes], notes


def _carried(values: Floats) -> Floats:
    """What is missing is as it was before; what is missing at the beginning is as the first value."""
    return pd.DataFrame(values.T).ffill().bfill().to_numpy().T


# -- windows -------------------------------------------------------------------------------------------------------------


def _cuts(spec: DataSpec, rows: int, own: int | None) -> _Cuts:
    test = rows - own if own is not None else max(round(rows * float(spec.test or TEST_SHARE)), 1)
    validation = max(round((rows - test) * (spec.validation or VALIDATION_SHARE)), 1)
    return _Cuts(rows - test - validation, rows - test, rows)


def _window_for(horizon: int, season: int | None, cuts: _Cuts) -> int:
    """Some times the horizon and two seasons, longer where many rows tell what is far back, but no more than leaves most for windows."""
    wanted = max(_SHORTEST, min(cuts.validation // _ROWS_A_STEP, _LONG), round(3.5 * horizon), 2 * (season or 0))
    return max(1, min(wanted, (cuts.validation - horizon) // 3))


def _check_rows(where: str, cuts: _Cuts, window: int, spec: DataSpec) -> None:
    horizon = spec.horizon or 1
    for part, room in (("test", cuts.end - cuts.test), ("validation", cuts.test - cuts.validation), ("training", cuts.validation - window)):
        if room < horizon:
            seen = f" after a window of {window}" if part == "training" else ""
            steps = f"{horizon} step{'s' * (horizon > 1)}"
            raise DataError(
                f"{where}: the {part} part must have room for {steps}{seen}, but of {cuts.end} rows it has {max(room, 0)}. "
                f"Give more rows{', a smaller window' * (part == 'training')} or a smaller horizon."
            )


def _starts(series: int, cuts: _Cuts, window: int, horizon: int) -> tuple[dict[str, NDArray[np.int64]], dict[str, int]]:
    """Where the windows of each part begin, of one series after another; and of parts in which not all are taken, every how many-th is."""
    starts, thinned = {}, {}
    for part in _PARTS:
        first, end = cuts.of(part)
        own = np.arange(max(first - window, 0), end - horizon - window + 1, dtype=np.int64)
        step = -(-len(own) * series * horizon // _MOST_TARGETS)
        if step > 1:
            own, thinned[part] = own[::step], step
        starts[part] = (np.arange(series, dtype=np.int64)[:, None] * cuts.end + own).reshape(-1)
    return starts, thinned


def _notes(frame: pd.DataFrame, spec: DataSpec, cuts: _Cuts, window: int, names: Sequence[str], thinned: Mapping[str, int]) -> list[str]:
    of = names[0] if len(names) == 1 else f"{len(names)} series ({listed(names, 8)})"
    notes = [
        f"A forecast of the next {spec.horizon} step{'s' * ((spec.horizon or 1) > 1)} of {of} from the {window} before.",
        f"Split by time: rows 1 to {cuts.validation} for training, to {cuts.test} for validation, to {cuts.end} for test.",
    ]
    if len(names) > 1:
        notes.append("One model forecasts each series from its own past; errors count in spreads of each series in its training part.")
    notes += [f"Of the windows for {part} every {step}th is taken: there are too many." for part, step in thinned.items()]
    return notes


# -- new rows ------------------------------------------------------------------------------------------------------------


def encode(folder: Path, info: DataInfo, plan: Mapping[str, Any], rows: Any) -> NDArray[np.float32]:
    """The last window of what is known so far: of a table with the target columns one for each series; of an array ``[steps]`` or
    ``[histories, steps]`` one for each history of the one series."""
    names, window = list(plan["targets"]), info.input_shape[1]
    if isinstance(rows, pd.DataFrame):
        values = _history(str(folder), rows, names, plan.get("timestamp"))
    else:
        values = np.atleast_2d(np.asarray(rows, np.float64))
        if values.ndim != 2 or (len(names) > 1 and len(values) != len(names)):
            wanted = "(histories, steps)" if len(names) == 1 else f"({len(names)}, steps)"
            raise DataError(f"{folder}: rows must be a table, or an array of the shape {wanted}, but have the shape {values.shape}.")
    if values.shape[1] < window:
        raise DataError(f"{folder}: a forecast needs the last {window} rows, but has {values.shape[1]}. Give more of what came before.")
    values = _carried(np.where(np.isfinite(values), values, np.nan)[:, -window:])
    means, scales = np.array(plan["means"])[:, None], np.array(plan["scales"])[:, None]
    encoded: NDArray[np.float32] = np.nan_to_num((values - means) / scales)[:, None].astype(np.float32)
    return encoded


def _history(where: str, frame: pd.DataFrame, names: Sequence[str], timestamp: str | None) -> Floats:
    frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    for name in names:
        find_column(where, frame, name)
    if timestamp in frame.columns:
        assert timestamp is not None
        frame = frame.iloc[np.argsort(instants(where, timestamp, frame[timestamp]), kind="stable")]
    return np.stack([numbers_of(frame[name], style_of(frame[name])) for name in names])


def rescaled(plan: Mapping[str, Any], values: NDArray[Any]) -> NDArray[Any]:
    """Forecasts in the units of their series, ``[series, steps]``."""
    if len(plan["targets"]) == 1:
        return values
    means, scales = np.array(plan["means"]), np.array(plan["scales"])
    shape = (-1, *[1] * (values.ndim - 1))
    own: NDArray[Any] = values * scales.reshape(shape) + means.reshape(shape)
    return own
