"""Texts from a table or from files to numbers, fitted on the training rows; and new texts, read as the training texts were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl.data import DataInfo
from automl.data.builtin import Frame
from automl.data.classes import group_classes
from automl.data.dividing import divided, divided_notes, target_scale
from automl.data.folding import folds_note
from automl.data.prepared import Prepared, SplitArrays, refuse_unused
from automl.data.sources import TableFile
from automl.data.splits import Splits
from automl.data.tables import Table, find_column
from automl.data.tabular import tables_of, target_name
from automl.data.targets import Target, kind_of_task, read_target, read_test_target
from automl.data.textfiles import TextFiles
from automl.data.values import has_parts, texts_of
from automl.data.words import PARTS, Words, fit_words, unknown_share, words_of
from automl.errors import DataError, listed, suggestion
from automl.spec import DataSpec

_USED = ("task", "text", "vocabulary", "length", "rows")
_LABEL = "class"  # what the target is called where folders or files are the classes


@dataclass(frozen=True, slots=True)
class _Read:
    """Texts as lists of words, a list for each row with a target; of official test data likewise."""

    where: str
    name: str
    rows: int
    texts: list[list[str]]
    target: Target
    column: str | None
    test: tuple[list[list[str]], NDArray[Any]] | None
    notes: tuple[str, ...]


def prepare_texts(spec: DataSpec, source: Frame | TableFile | TextFiles, found: str = "") -> list[Prepared]:
    """The texts, prepared for their one validation split; with folds for each of them, by its own training rows alone.

    All folds have samples of one size, that of the largest vocabulary and length among them. ``found``: a note of how they were found.
    """
    refuse_unused(spec, source.name, _USED)
    read = _from_files(spec, source) if isinstance(source, TextFiles) else _from_table(spec, source)
    every = divided(spec, read.where, read.target, official=read.test is not None)
    fitted = [fit_words([read.texts[row] for row in splits.train], spec.vocabulary, spec.length) for splits in every]
    if not any(words.vocabulary for words in fitted):
        raise DataError(f"{read.where}: the training texts must have words, but are all empty. Choose another column, or other files.")
    length, size = max(words.length for words in fitted), max(words.size for words in fitted)
    notes = [*([found] if found else []), *([folds_note([len(splits.validation) for splits in every])] if len(every) > 1 else [])]
    return [
        _prepared(read, splits, replace(words, length=length), size, len(every), notes) for splits, words in zip(every, fitted, strict=True)
    ]


def _prepared(read: _Read, splits: Splits, words: Words, size: int, folds: int, notes: Sequence[str]) -> Prepared:
    target = read.target
    mean, scale = target_scale(target, splits.train)
    parts = {split: [read.texts[row] for row in getattr(splits, split)] for split in ("train", "validation", "test")}
    values = {split: target.values[getattr(splits, split)] for split in parts}
    if read.test is not None:
        parts["test"], values["test"] = read.test
    arrays: SplitArrays = {}
    for split, texts in parts.items():
        y = values[split]
        arrays[split] = words.numbers(texts), ((y - mean) / scale).astype(np.float32) if target.is_regression else y
    info = DataInfo(
        name=read.name,
        task="regression" if target.is_regression else "binary" if len(target.classes) == 2 else "multiclass",
        input_shape=(len(PARTS), words.length),
        outputs=len(target.classes) if len(target.classes) > 2 else 1,
        classes=target.classes,
        sizes={split: len(y) for split, y in values.items()},
        target_mean=mean,
        target_scale=scale,
        notes=(*notes, *divided_notes(target, splits, read.rows), *read.notes, *_word_notes(parts, words)),
        folds=folds,
        kind="tokens",
        vocabulary=size,
    )
    plan = {"reader": "texts", "column": read.column, "target": target.name, "words": list(words.vocabulary)}
    return Prepared(info, arrays, plan)


def _word_notes(parts: Mapping[str, Sequence[Sequence[str]]], words: Words) -> list[str]:
    train = parts["train"]
    known = sum(" " not in entry and (len(entry) == 1 or "*" not in entry) for entry in words.vocabulary)
    notes = [f"Words: {known}, and {len(words.vocabulary) - known} parts and pairs of words, from the training texts."]
    longer = sum(len(text) > words.length for text in train)
    if longer:
        have = f"{longer} of {len(train)} training texts have more than {words.length} words"
        notes.append(f"Cut: {have}, of which the first are read. More: --length.")
    for split, texts in parts.items():
        empty = sum(not text for text in texts)
        if empty:
            notes.append(f"Empty: {empty} {split if split != 'train' else 'training'} texts have no words.")
    share = unknown_share(parts["validation"], words)
    if share >= 0.01:
        notes.append(f"Unknown: {share:.0%} of the words of the validation texts.")
    return notes


# -- tables --------------------------------------------------------------------------------------------------------------


def _from_table(spec: DataSpec, source: Frame | TableFile) -> _Read:
    table, test = tables_of(spec, source)
    assert spec.text is not None
    column = find_column(table.where, table.frame, spec.text)
    label = target_name(spec, source, table)
    dropped = {find_column(table.where, table.frame, name) for name in spec.drop}
    for name, role in ((label, "target"), (column, "text")):
        if name in dropped:
            raise DataError(f"{table.where}: drop must leave the {role} {name!r}, but lists it. Take it from drop.")
    if column == label:
        raise DataError(f"{table.where}: text and target must be different columns, but both are {column!r}. Choose another target.")
    target = read_target(table.where, label, table.frame[label], spec.positive, kind_of_task(spec.task))
    texts = _column_texts(table, column)
    if len({text for text in texts[target.kept] if text is not None}) < 2:
        raise DataError(
            f"{table.where}: text {column!r} must have different texts, but has one or none in {len(target.kept)} rows. Choose another."
        )
    others = [str(name) for name in table.frame.columns if name not in (column, label) and name not in dropped]
    notes = []
    if others:
        notes.append(f"Left out: {listed(others, 10)}, because only the texts of {column!r} are read.")
    tested = None
    if test is not None:
        tested, more = _test_texts(test, column, target)
        notes += more
    words = [words_of(text or "") for text in texts[target.kept]]
    return _Read(table.where, source.name, len(texts), words, target, column, tested, tuple(notes))


def _column_texts(table: Table, column: str) -> NDArray[np.object_]:
    """The cells of the column, None where one is missing. Words such as ``none`` are texts here."""
    cells = table.frame[column]
    if pd.api.types.is_numeric_dtype(cells.dtype) or has_parts(cells):
        held = "lists or other values of several parts" if has_parts(cells) else "numbers"
        raise DataError(f"{table.where}: text {column!r} must be a column of texts, but holds {held}. Choose another.")
    return texts_of(cells, frozenset({""}))


def _test_texts(test: Table, column: str, target: Target) -> tuple[tuple[list[list[str]], NDArray[Any]], list[str]]:
    columns = [str(name) for name in test.frame.columns]
    for name in (target.name, column):
        if name not in columns:
            raise DataError(
                f"{test.where}: a test file must have the columns of the training data, but {name!r} is not there. "
                f"Columns: {listed(columns)}.{suggestion(name, columns)}"
            )
    kept, values, note = read_test_target(test.where, target, test.frame[target.name])
    words = [words_of(text or "") for text in _column_texts(test, column)[kept]]
    return (words, values), [f"Test: {len(kept)} rows of {Path(test.where).name}.", *([note] if note else [])]


# -- files ---------------------------------------------------------------------------------------------------------------


def _from_files(spec: DataSpec, source: TextFiles) -> _Read:
    for option, value in (("target", spec.target), ("text", spec.text)):
        if value:
            raise DataError(f"{source.where}: has folders or files for classes and no columns, but {option} is {value!r}. Leave it out.")
    if isinstance(spec.test, str) and not source.test_where:
        raise DataError(f"{source.where}: test must be a share of a built-in data set, but is {spec.test!r}. Give, say, test: 0.2.")
    classes = tuple(sorted(set(source.labels)))
    numbers = {label: number for number, label in enumerate(classes)}
    _refuse_classes(source, classes)
    if spec.positive:
        groups, classes = group_classes(classes, spec.positive, source.where)
        numbers = {label: int(groups[number]) for label, number in numbers.items()}
    values = np.array([numbers[label] for label in source.labels], np.int64)
    target = Target(_LABEL, np.arange(len(values)), values, classes, numbers)
    test, notes = None, [source.how, *([f"Left out: {listed(list(spec.drop), 5)}, because of drop."] if spec.drop else [])]
    if source.test_where:
        kept = np.array([numbers[label] for label in source.test_labels], np.int64)
        test = [words_of(text) for text in source.test_texts], kept
        notes.append(f"Test: {len(kept)} texts of {source.test_where}.")
    texts = [words_of(text) for text in source.texts]
    return _Read(source.where, source.name, len(texts), texts, target, None, test, tuple(notes))


def _refuse_classes(source: TextFiles, classes: Sequence[str]) -> None:
    counts = {label: source.labels.count(label) for label in classes}
    rare = min(counts, key=lambda label: counts[label], default="")
    if len(classes) < 2:
        raise DataError(f"{source.where}: must have texts of at least two classes, but has those of {len(classes)}. Add texts.")
    if counts[rare] < 2:
        raise DataError(f"{source.where}: every class must have at least 2 texts, but {rare!r} has 1. Add texts, or take it away.")
    unseen = sorted(set(source.test_labels) - set(classes))
    if unseen:
        raise DataError(
            f"{source.test_where}: the classes must be those of the training texts ({listed(classes)}), but {unseen[0]!r} is not among "
            "them. Take it away, or add such texts to the training texts."
        )


# -- new texts -----------------------------------------------------------------------------------------------------------


def encode(folder: Path, info: DataInfo, plan: Mapping[str, Any], rows: Any) -> NDArray[np.int32]:
    """Texts, in a list, a Series, an array or the column of a DataFrame, as ``[rows, parts, length]``."""
    words = Words(tuple(plan["words"]), info.input_shape[-1])
    return words.numbers([words_of(text) for text in _given_texts(folder, plan["column"], rows)])


def _given_texts(folder: Path, column: str | None, rows: Any) -> list[str]:
    if isinstance(rows, pd.DataFrame):
        names = [str(name) for name in rows.columns]
        if column is None and len(names) == 1:
            column = names[0]
        if column is None:
            raise DataError(f"{folder}: rows must be a list of texts, but are a table of {len(names)} columns. Give one of them.")
        if names.count(column) != 1:
            raise DataError(f"{folder}: column {column!r} must be there once. Columns: {listed(names)}.{suggestion(column, names)}")
        rows = rows.set_axis(names, axis="columns")[column]
    if isinstance(rows, str):
        raise DataError(f"{folder}: rows must be a list of texts, but are one text. Give it in a list.")
    texts = texts_of(pd.Series(list(rows), dtype=object), frozenset({""}))
    return [text or "" for text in texts]
