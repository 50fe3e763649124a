"""The target column of a table: the task, the classes and their numbers, or the values of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl.data.classes import Label, group_classes
from automl.data.sequencedata import TargetKind
from automl.data.values import TARGET_MISSING, NumberStyle, Texts, has_parts, is_number, number_style, number_text, parse_number, texts_of
from automl.errors import DataError

MOST_NUMBER_CLASSES = 20  # whole numbers of more different values are quantities
MOST_SCORES = 100  # different whole numbers, up to which classes may have been meant
LARGEST = 1e100  # so that the squares of errors stay finite


@dataclass(frozen=True, slots=True)
class Target:
    """The column that is to be predicted. ``values`` are class numbers, or floats for regression, one per row of ``kept``.

    ``kept`` are the rows that have a target. ``numbers`` maps the text of a class to its number, all spellings of numbers alike.
    """

    name: str
    kept: NDArray[np.int64]
    values: NDArray[np.int64] | NDArray[np.float64]
    classes: tuple[str, ...]
    numbers: dict[str, int]
    style: NumberStyle = "plain"

    @property
    def is_regression(self) -> bool:
        return not self.classes


def read_target(
    where: str,
    name: str,
    column: pd.Series[Any],
    positive: Sequence[Label] = (),
    kind: TargetKind = "auto",
) -> Target:
    """What to predict and how: regression for fractional or many different numbers, else classification, unless ``kind`` says it.

    Raises ``DataError`` where there is nothing to learn: no values, one class, a class with one row, an infinite number.
    """
    if has_parts(column):
        raise DataError(
            f"{where}: target {name!r} must be numbers or classes, but holds lists or other values of several parts. Choose another target."
        )
    texts = texts_of(column, TARGET_MISSING)
    kept = np.flatnonzero([text is not None for text in texts])
    if not len(kept):
        raise DataError(f"{where}: target {name!r} must have values, but all {len(texts)} are missing. Choose another target.")
    distinct = np.array(sorted(set(texts[kept])), object)
    if positive and kind == "numbers":
        raise DataError(f"{where}: positive must be left out of a regression, since it groups classes, but is given. Take it away.")
    if pd.api.types.is_bool_dtype(column.dtype) and kind != "numbers":
        return _classification(where, name, texts, kept, {text: text for text in distinct}, positive)
    style: NumberStyle
    style, share = ("plain", 1.0) if _is_typed(column) else number_style(distinct)
    if share < 1.0:
        if kind == "numbers" or (kind == "auto" and share >= 0.9 and len(distinct) > MOST_NUMBER_CLASSES):
            _refuse_words(where, name, distinct, style)
        return _classification(where, name, texts, kept, {text: text for text in distinct}, positive)
    parsed = {text: parse_number(text, style) for text in distinct}
    if positive or kind == "classes" or (kind == "auto" and _few(np.array(list(parsed.values())), len(kept))):
        labels = {text: number_text(value) or text for text, value in parsed.items()}
        return _classification(where, name, texts, kept, labels, positive, style)
    return _regression(where, name, np.array([parsed[text] for text in texts[kept]]), kept, style)


def _is_typed(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def kind_of_task(task: str | None) -> TargetKind:
    """How a target is to be read for the ``task`` of a data specification."""
    if task is None:
        return "auto"
    return "classes" if task == "classification" else "numbers"


def target_note(target: Target) -> str:
    """That whole numbers were taken for classes or for a quantity, where the other may have been meant; else nothing."""
    if target.is_regression:
        whole = bool(np.all(target.values == np.floor(target.values)))
        count = len(np.unique(target.values))
        if not whole or count > MOST_SCORES or 3 * count > len(target.values):
            return ""
        return f"Target: {target.name} has {count} different whole numbers, taken for a quantity. For classes: --task classification."
    if len(target.classes) <= 2 or not all(map(is_number, target.classes)):
        return ""
    return f"Target: {target.name} has {len(target.classes)} different numbers, taken for classes. For a quantity: --task regression."


def read_test_target(where: str, target: Target, column: pd.Series[Any]) -> tuple[NDArray[np.int64], NDArray[Any], str]:
    """The rows of a test table that have a target, their values in the target's own terms, and a note, maybe empty.

    Labels that end in a full stop which the training labels lack (the census data have them) are taken without it.
    """
    texts = texts_of(column, TARGET_MISSING)
    kept = np.flatnonzero([text is not None for text in texts])
    if not len(kept):
        raise DataError(f"{where}: target {target.name!r} must have values, but all {len(texts)} are missing. Choose another test file.")
    if target.is_regression:
        values = np.array([parse_number(text, target.style) for text in texts[kept]])
        _refuse_infinite(where, target.name, values, kept)
        return kept, values, ""
    labels = {text: _number_label(text, target.style) for text in set(texts[kept])}
    note = ""
    if not all(label in target.numbers for label in labels.values()):
        stripped = {text: _number_label(text.rstrip("."), target.style) for text in labels}
        if all(label in target.numbers for label in stripped.values()):
            labels, note = stripped, "Test: labels are read without the full stop at their end."
    unseen = sorted(label for label in labels.values() if label not in target.numbers)
    if unseen:
        known = ", ".join(dict.fromkeys(target.numbers))
        raise DataError(
            f"{where}: the classes of target {target.name!r} must be those of the training data ({known}), but {', '.join(unseen)} "
            f"{'is' if len(unseen) == 1 else 'are'} not among them. Remove these rows or add such rows to the training data."
        )
    return kept, np.array([target.numbers[labels[text]] for text in texts[kept]], np.int64), note


def _few(values: NDArray[np.float64], rows: int) -> bool:
    """Whether numbers are the names of classes: two, or a few whole ones, with several rows each."""
    if not np.all(np.isfinite(values)):
        return False
    distinct = len(np.unique(values))
    return (distinct <= 2 and 2 * distinct <= rows) or (
        distinct <= MOST_NUMBER_CLASSES and bool(np.all(values == np.floor(values))) and 3 * distinct <= rows
    )


def _number_label(text: str, style: NumberStyle) -> str:
    return number_text(parse_number(text, style)) or text


def _classification(
    where: str,
    name: str,
    texts: Texts,
    kept: NDArray[np.int64],
    labels: dict[str, str],
    positive: Sequence[Label],
    style: NumberStyle = "plain",
) -> Target:
    classes = tuple(sorted(set(labels.values()), key=_order))
    _refuse_classes(where, name, classes, len(kept))
    numbers = {label: number for number, label in enumerate(classes)}
    values = np.array([numbers[labels[text]] for text in texts[kept]], np.int64)
    if positive:
        groups, classes = group_classes(classes, positive, where)
        numbers = {label: int(groups[number]) for label, number in numbers.items()}
        values = groups[values]
    counts = np.bincount(values, minlength=len(classes))
    if counts.min() < 2:
        rare = classes[int(counts.argmin())]
        raise DataError(
            f"{where}: every class of target {name!r} must have at least 2 rows, but {rare!r} has 1. "
            "Remove that row, or add rows of its class."
        )
    return Target(name, kept, values, classes, numbers, style)


def _order(label: str) -> tuple[bool, float, str]:
    """Numbers by their size, then texts by their letters."""
    return (False, float(label), label) if is_number(label) else (True, 0.0, label)


def _refuse_classes(where: str, name: str, classes: Sequence[str], rows: int) -> None:
    if len(classes) == 1:
        raise DataError(
            f"{where}: target {name!r} must have at least two different values, but has one, {classes[0]!r}. Choose another target."
        )
    if len(classes) == rows or len(classes) > max(rows / 2, 10):
        raise DataError(
            f"{where}: target {name!r} must be numbers or classes with several rows each, but has {len(classes)} different values in "
            f"{rows} rows. Choose another target."
        )


def _refuse_words(where: str, name: str, distinct: Texts, style: NumberStyle) -> None:
    """Many numbers and a few words are numbers with mistakes in them, not classes."""
    words = [text for text in distinct if np.isnan(parse_number(text, style))]
    raise DataError(
        f"{where}: target {name!r} must be numbers, but {len(words)} of {len(distinct)} different values are not, such as "
        f"{words[0]!r}. Correct them, or leave them empty to have their rows left out."
    )


def _regression(where: str, name: str, values: NDArray[np.float64], kept: NDArray[np.int64], style: NumberStyle) -> Target:
    _refuse_infinite(where, name, values, kept)
    return Target(name, kept, values, (), {}, style)


def _refuse_infinite(where: str, name: str, values: NDArray[np.float64], kept: NDArray[np.int64]) -> None:
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise DataError(
            f"{where}: target {name!r} must be a finite number in every row, but is not in row {kept[wrong[0]] + 1}. "
            "Correct it, or leave it empty to have its row left out."
        )
    huge = np.flatnonzero(np.abs(values) > LARGEST)
    if len(huge):
        raise DataError(
            f"{where}: target {name!r} must be at most {LARGEST:g} in size, so that errors can be squared, but is {values[huge[0]]:g} "
            f"in row {kept[huge[0]] + 1}. Correct it, or write the target in a larger unit."
        )
