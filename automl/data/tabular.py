"""A table from its file to features and targets by split; every decision and every fitted number comes from the training rows."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl.data import DataInfo
from automl.data.bins import bins_note, fit_bins, spread
from automl.data.builtin import Frame
from automl.data.columns import FREE_TEXT, Column, Left, describe, describe_part, features, recognise
from automl.data.dividing import divided, divided_notes, target_scale
from automl.data.folding import folds_note
from automl.data.leaks import Known, Part, table_warnings
from automl.data.longtables import is_numeric
from automl.data.pictures import SUFFIXES as PICTURES
from automl.data.prepared import Prepared, SplitArrays, refuse_unused
from automl.data.preprocessing import dump, fit, rare_categories, transform
from automl.data.sources import TableFile
from automl.data.splits import Rows, Splits
from automl.data.tables import Table, find_column, read_files, read_table
from automl.data.targets import Target, kind_of_task, read_target, read_test_target, target_note
from automl.data.timestamps import is_dates
from automl.errors import DataError, listed, suggestion
from automl.spec import DataSpec

TARGET_NAMES = ("target", "label", "class", "y", "outcome", "output")


class OnlyTextsError(Exception):
    """A table has nothing to learn from but the texts of one column: they are read as texts."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


@dataclass(frozen=True, slots=True)
class _Read:
    """A table that is read, with what is to be learnt from it."""

    name: str
    table: Table
    test: Table | None
    target: Target
    columns: list[str]


def prepare_table(spec: DataSpec, source: Frame | TableFile) -> list[Prepared]:
    """The table, prepared for its one validation split; with folds for each of them, by its own training rows alone.

    Raises ``OnlyTextsError`` where it is rather for ``automl.data.texts``.
    """
    refuse_unused(spec, source.name if isinstance(source, Frame) else source.where, ("bins", "rows", "task"))
    table, test = tables_of(spec, source)
    label = target_name(spec, source, table)
    target = read_target(table.where, label, table.frame[label], spec.positive, kind_of_task(spec.task))
    every = divided(spec, table.where, target, official=test is not None)
    read = _Read(source.name, table, test, target, _feature_names(spec, table, label))
    notes = [folds_note([len(splits.validation) for splits in every])] if len(every) > 1 else []
    if spec.task is None and isinstance(source, TableFile) and (guessed := target_note(target)):
        notes.append(guessed)
    return [_prepared(read, splits, len(every), spec.bins, notes, is_first=splits is every[0]) for splits in every]


def _prepared(read: _Read, splits: Splits, folds: int, bins: int | None, notes: list[str], *, is_first: bool) -> Prepared:
    """``is_first``: whether it is looked at for what may be wrong; the other folds have the same rows."""
    frame, target, test = read.table.frame, read.target, read.test
    train = frame.iloc[target.kept[splits.train]]
    plan, left = _plan(train, read.columns, target.kept[splits.train], read.table.where)
    made = features(train, plan)
    transformer = fit(made)
    plain = transform(transformer, made)
    spreads = fit_bins(plain, bins)
    mean, scale = target_scale(target, splits.train)

    def scaled(values: NDArray[Any]) -> NDArray[Any]:
        return ((values - mean) / scale).astype(np.float32) if target.is_regression else values

    def pair(rows: pd.DataFrame, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return spread(transform(transformer, features(rows, plan)), spreads), scaled(values)

    x_train = spread(plain, spreads)
    arrays: SplitArrays = {"train": (x_train, scaled(target.values[splits.train]))}
    parts = {"validation": (frame.iloc[target.kept[splits.validation]], target.values[splits.validation])}
    notes = [*notes, *divided_notes(target, splits, len(frame))]
    if test is None:
        parts["test"] = (frame.iloc[target.kept[splits.test]], target.values[splits.test])
    else:
        rows, values, note = _test_rows(test, target, plan)
        parts["test"] = (rows, values)
        notes += [f"Test: {len(rows)} rows of {Path(test.where).name}.", *([note] if note else [])]
    notes += describe(plan, left, train)
    for part, (rows, values) in parts.items():
        arrays[part] = pair(rows, values)
        notes += describe_part(plan, part, rows)
    if rare := rare_categories(transformer):
        notes.append(f"Rare categories are taken together: {listed(rare, 10)}.")
    if spreads:
        notes.append(bins_note(spreads))
    warnings = []
    if is_first:
        others = {part: Part(*rows_and_values) for part, rows_and_values in parts.items()}
        known = Known(Part(train, target.values[splits.train]), others, plan, left, made, target.classes, official=test is not None)
        warnings = table_warnings(known)
    info = DataInfo(
        name=read.name,
        task="regression" if target.is_regression else "binary" if len(target.classes) == 2 else "multiclass",
        input_shape=(x_train.shape[1],),
        outputs=len(target.classes) if len(target.classes) > 2 else 1,
        classes=target.classes,
        sizes={split: len(y) for split, (_, y) in arrays.items()},
        target_mean=mean,
        target_scale=scale,
        notes=tuple(notes),
        warnings=tuple(warnings),
        column_kinds=dict(Counter(column.kind for column in plan)),
        folds=folds,
    )
    columns = {
        "reader": "table",
        "columns": [asdict(column) for column in plan],
        "target": target.name,
        "bins": [asdict(each) for each in spreads],
    }
    return Prepared(info, arrays, columns, dump(transformer))


def tables_of(spec: DataSpec, source: Frame | TableFile) -> tuple[Table, Table | None]:
    """The table of the source and, where it has one, that of its test rows."""
    if isinstance(source, Frame):
        if source.test is not None:
            return Table(source.name, source.frame), Table(source.name, source.test)
        if isinstance(spec.test, str):
            raise DataError(f"{source.name}: test must be a share of a built-in data set, but is {spec.test!r}. Give, say, test: 0.2.")
        return Table(source.name, source.frame), None
    names = [name for name in (spec.target, spec.text, *spec.drop) if name]
    table = read_files(source.where, source.content, source.more, names)
    test = read_table(source.test_where, source.test_content, like=table) if source.test_where else None
    return table, test


# -- columns -------------------------------------------------------------------------------------------------------------


def target_name(spec: DataSpec, source: Frame | TableFile, table: Table) -> str:
    """The column to be predicted."""
    if spec.target is not None:
        return find_column(table.where, table.frame, spec.target)
    if isinstance(source, Frame):
        return source.target
    columns = [str(column) for column in table.frame.columns]
    usual = [column for column in columns if column.lower() in TARGET_NAMES]
    likely = (usual or columns[-1:])[0]
    is_series = any(is_dates(table.frame[name]) for name in table.frame.columns)
    forecast = " To forecast it from its past, give --horizon STEPS as well." if is_series and is_numeric(table.frame[likely]) else ""
    raise DataError(
        f"{table.where}: a table needs a target, the column to be predicted, but none is given. Columns: {listed(columns)}. "
        f"Give --target, maybe {likely!r}.{forecast}"
    )


def _feature_names(spec: DataSpec, table: Table, target: str) -> list[str]:
    dropped = {find_column(table.where, table.frame, name) for name in spec.drop}
    if target in dropped:
        raise DataError(f"{table.where}: drop must leave the target {target!r}, but lists it. Take it from drop.")
    return [str(name) for name in table.frame.columns if name != target and name not in dropped]


def _plan(train: pd.DataFrame, names: Sequence[str], positions: Rows, where: str) -> tuple[list[Column], list[Left]]:
    found = [recognise(train[name], name, positions) for name in names]
    plan = [column for column in found if isinstance(column, Column)]
    left = [column for column in found if isinstance(column, Left)]
    texts = [column.name for column in found if (column.why == FREE_TEXT if isinstance(column, Left) else column.kind == "text")]
    if len(texts) == 1 and all(column.kind in ("text", "given") for column in plan):
        raise OnlyTextsError(texts[0])
    if not plan:
        plan = [column.otherwise for column in left if column.otherwise is not None]
        left = [column for column in left if column.otherwise is None]
    if not plan:
        reasons = "; ".join(f"{column.name}: {column.why}" for column in left) or "there are none beside the target"
        raise DataError(f"{where}: must have columns to learn from, but has none ({reasons}). {_advice(train, names)}")
    return plan, left


def _advice(train: pd.DataFrame, names: Sequence[str]) -> str:
    for name in names:
        texts = train[name].dropna().astype(str)
        if len(texts) and all(text.lower().endswith(PICTURES) for text in texts):
            return f"If {name} holds the paths of pictures: --image {shlex.quote(name)}."
    return "Add columns, or drop fewer."


# -- rows ----------------------------------------------------------------------------------------------------------------


def _test_rows(test: Table, target: Target, plan: Sequence[Column]) -> tuple[pd.DataFrame, NDArray[Any], str]:
    columns = [str(column) for column in test.frame.columns]
    for name in (target.name, *(column.name for column in plan)):
        if name not in columns:
            raise DataError(
                f"{test.where}: a test file must have the columns of the training data, but {name!r} is not there. "
                f"Columns: {listed(columns)}.{suggestion(name, columns)}"
            )
    kept, values, note = read_test_target(test.where, target, test.frame[target.name])
    return test.frame.iloc[kept], values, note
