"""What the columns of a table are: recognised on the training rows, written down as a plan, applied to any rows of the same form."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl.data.splits import Rows
from automl.data.values import (
    TRUTHS,
    Floats,
    NumberStyle,
    Texts,
    date_style,
    dates_of,
    has_parts,
    number_style,
    numbers_of,
    texts_of,
    truths_of,
)

Kind = Literal["number", "boolean", "category", "date", "text", "given"]

NUMERIC_SHARE = 0.9  # so many of the different texts must be numbers for a column of numbers
DISTINCT_SHARE = 0.5  # texts of which more are different than this are keys or prose, not categories
EMPTY = "it is empty"
FREE_TEXT = "it is free text"
SAME_VALUE = "it has the same value in every training row"
SEVERAL_PARTS = "it holds lists or other values of several parts"
NOTHING_FINITE = "it has no finite number in any training row"
NUMBERS_THE_ROWS = "it numbers the rows"
LONG_WORDS, LONG_CHARACTERS = 4.0, 40.0  # mean length from which a text is prose
NUMBERED = re.compile(r"(?i:(.*[\W_])?(id|ids|uuid|guid|key|index|idx|row|rownum|unnamed_\d+|unnamed: \d+))|.*[a-z](Id|ID)")
LOOKED_AT = 5000  # different texts, to find how numbers are written
LARGEST, SMALLEST = 1e100, 1e-100  # between these, squares and sums neither overflow nor vanish
FEWEST_ROWS = 10  # in fewer rows, numbers that go up by one may be chance
MOST_WORDS = 32  # of a free text, that become features
FEWEST_ROWS_OF_A_WORD, SHARE_OF_A_WORD = 10, 0.02  # that have it
ABSENT = "(missing)"  # the category of missing values
DAY = pd.Timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Column:
    """How a column becomes features. ``style`` is how its numbers or dates are written; dates count days from ``origin`` (ISO).

    ``unit`` divides numbers that are too large or too small to be squared. ``words`` are the texts which are no numbers (or dates) and
    which training took for missing values.

    A ``text`` becomes a feature for each word of its ``vocabulary``. Of a ``given`` column no more is used than whether a row has a value;
    ``why`` says why.
    """

    name: str
    kind: Kind
    style: str = ""
    origin: str = ""
    hours: bool = False
    unit: float = 1.0
    words: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """A column that is left out, and why. ``otherwise`` is what it is taken for where there is nothing else to learn from."""

    name: str
    why: str
    otherwise: Column | None = None


def recognise(column: pd.Series[Any], name: str, positions: Rows) -> Column | Left:
    """What this column is, judged by its training rows, which lie at these positions of their file."""
    found = _recognise(column, name, positions)
    if isinstance(found, Left) and found.otherwise is None and found.why not in (EMPTY, SAME_VALUE, SEVERAL_PARTS, NOTHING_FINITE):
        found = _still_worth(column, found)
    taken = found.otherwise if isinstance(found, Left) else found
    if taken is None or taken.kind in ("category", "text", "given"):
        return found
    words = tuple(sorted(set(texts_of(column)[misfits(column, taken)])))
    taken = replace(taken, words=words)
    return replace(found, otherwise=taken) if isinstance(found, Left) else taken


def _recognise(column: pd.Series[Any], name: str, positions: Rows) -> Column | Left:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _date(column, name, "")
    if pd.api.types.is_bool_dtype(column.dtype):
        return Left(name, SAME_VALUE) if _constant(column) else Column(name, "boolean")
    if has_parts(column):
        return Left(name, SEVERAL_PARTS)
    texts = texts_of(column)
    present = np.array([text for text in texts if text is not None], object)
    if not len(present):
        return Left(name, EMPTY)
    distinct = np.array(sorted(set(present)), object)
    if len(distinct) == 1:
        return Left(name, SAME_VALUE) if len(present) == len(texts) else Column(name, "category")
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _number(column, name, "plain", positions)
    if all(text.lower() in TRUTHS for text in distinct):
        is_same = len(present) == len(texts) and len({TRUTHS[text.lower()] for text in distinct}) == 1  # yes and Yes
        return Left(name, SAME_VALUE) if is_same else Column(name, "boolean")
    style, share = number_style(distinct, most=LOOKED_AT)
    if share >= NUMERIC_SHARE and not _codes(distinct):
        return _number(column, name, style, positions)
    dates = date_style(distinct)
    return _date(column, name, dates) if dates is not None else _words(name, present, distinct)


def _constant(column: pd.Series[Any]) -> bool:
    return column.nunique(dropna=False) == 1


def _codes(distinct: Texts) -> bool:
    """Whether these are codes written with digits, such as postal codes: some begin with a zero that a number would not have."""
    return any(re.fullmatch(r"0\d+", text) for text in distinct) and len({len(text) for text in distinct}) == 1


def _number(column: pd.Series[Any], name: str, style: NumberStyle, positions: Rows) -> Column | Left:
    values = numbers_of(column, style)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Left(name, NOTHING_FINITE)
    if len(finite) == len(values) and np.all(finite == finite[0]):
        return Left(name, SAME_VALUE)
    if np.all(finite == np.floor(finite)):
        if len(finite) == len(values) >= FEWEST_ROWS and len(np.unique(finite - positions)) == 1:
            return Left(name, NUMBERS_THE_ROWS, Column(name, "number", style))
        if len(finite) >= 3 and NUMBERED.fullmatch(name) and len(np.unique(finite)) >= 0.95 * len(finite):
            return Left(name, "it is an id")
    largest = float(np.abs(finite).max())
    return Column(name, "number", style, unit=1.0 if SMALLEST <= largest <= LARGEST or not largest else largest)


def _words(name: str, present: Texts, distinct: Texts) -> Column | Left:
    words = float(np.mean([len(text.split()) for text in distinct]))
    characters = float(np.mean([len(text) for text in distinct]))
    prose = words >= LONG_WORDS or characters >= LONG_CHARACTERS
    every = len(distinct) == len(present) >= 3
    most = len(distinct) > max(DISTINCT_SHARE * len(present), 10)
    if every or most:
        return Left(name, FREE_TEXT if prose else f"it is an id or key ({len(distinct)} of {len(present)} values differ)")
    if characters >= LONG_CHARACTERS and len(distinct) > 100:
        return Left(name, FREE_TEXT)
    return Column(name, "category")


def _still_worth(column: pd.Series[Any], left: Left) -> Column | Left:
    """Of a column that is left out: the frequent words of a free text, and of any other whether there is a value, where that differs."""
    texts = texts_of(column)
    if left.why == FREE_TEXT:
        vocabulary = _frequent_words(texts)
        return Column(left.name, "text", vocabulary=vocabulary) if vocabulary else left
    absent = sum(text is None for text in texts)
    least = _fewest(len(texts))
    return Column(left.name, "given", why=left.why) if least <= absent <= len(texts) - least else left


def _frequent_words(texts: Texts) -> tuple[str, ...]:
    """The most frequent words of the texts, each of them in many rows and missing in many."""
    rows = Counter(word for text in texts if text is not None for word in words_of(text))
    least = _fewest(len(texts))
    fitting = [word for word, count in rows.items() if least <= count <= len(texts) - least]
    return tuple(sorted(fitting, key=lambda word: (-rows[word], word))[:MOST_WORDS])


def words_of(text: str) -> set[str]:
    """The different words of a text, in small letters."""
    return set(re.findall(r"\w+", text.lower()))


def _fewest(rows: int) -> int:
    return max(FEWEST_ROWS_OF_A_WORD, math.ceil(SHARE_OF_A_WORD * rows))


def _date(column: pd.Series[Any], name: str, style: str) -> Column | Left:
    dates = dates_of(column, style)
    first = dates.min()
    if dates.nunique() < 2:
        return Left(name, SAME_VALUE) if dates.notna().any() else Left(name, EMPTY)
    hours = bool((dates.dropna() != dates.dropna().dt.normalize()).any())
    return Column(name, "date", style, first.isoformat(), hours)


# -- applying ----------------------------------------------------------------------------------------------------------


def features(frame: pd.DataFrame, plan: Sequence[Column]) -> pd.DataFrame:
    """The frame's rows as typed features: a column of floats (NaN: missing) or of texts for each, several for a date."""
    made: dict[str, Any] = {}
    for number, column in enumerate(plan):
        made.update(_features(frame[column.name], column, f"{number}:{column.name}"))
    return pd.DataFrame(made)


def _features(cells: pd.Series[Any], column: Column, name: str) -> dict[str, Any]:
    match column.kind:
        case "number":
            values = numbers_of(cells, column.style)  # type: ignore[arg-type]
            finite = np.where(np.isfinite(values), values, np.nan)
            return {name: np.clip(finite if column.unit == 1.0 else finite / column.unit, -LARGEST, LARGEST)}
        case "boolean":
            return {name: truths_of(cells)}
        case "date":
            return _calendar(dates_of(cells, column.style), column, name)
        case "category":
            texts = pd.Series(texts_of(cells), dtype=object)
            return {name: texts.where(texts.notna(), ABSENT)}
        case "text":
            said = [set() if text is None else words_of(text) for text in texts_of(cells)]
            return {f"{name}.{word}": np.array([float(word in words) for words in said]) for word in column.vocabulary}
        case "given":
            return {name: np.array([float(text is not None) for text in texts_of(cells)])}


def misfits(cells: pd.Series[Any], column: Column) -> NDArray[np.bool_]:
    """Which cells say what this kind of column does not have, such as words among numbers. Missing and infinite ones are none."""
    present = np.array([text is not None for text in texts_of(cells)], np.bool_)
    match column.kind:
        case "number":
            return present & np.isnan(numbers_of(cells, column.style))  # type: ignore[arg-type]
        case "boolean":
            return present & np.isnan(truths_of(cells))
        case "date":
            return present & dates_of(cells, column.style).isna().to_numpy()
        case "category" | "text" | "given":
            return np.zeros(len(cells), np.bool_)


def _calendar(dates: pd.Series[Any], column: Column, name: str) -> dict[str, Floats]:
    parts = {
        "year": dates.dt.year,
        "month": dates.dt.month,
        "day": dates.dt.day,
        "weekday": dates.dt.day_of_week,
        "days": (dates - pd.Timestamp(column.origin)) / DAY,
    }
    if column.hours:
        parts["hour"] = dates.dt.hour + dates.dt.minute / 60
    return {f"{name}.{part}": values.to_numpy(np.float64, na_value=np.nan) for part, values in parts.items()}


# -- saying ------------------------------------------------------------------------------------------------------------


def describe(plan: Sequence[Column], left: Iterable[Left], train: pd.DataFrame) -> list[str]:
    """What a person should know of the columns: those that are left out, dates, missing values, values that do not fit."""
    notes = []
    reasons: dict[str, list[str]] = {}
    for column in left:
        reasons.setdefault(column.why, []).append(column.name)
    for why, names in reasons.items():
        notes.append(f"Left out: {_names(names)}, because {_plural(why) if len(names) > 1 else why}.")
    for item in plan:
        if item.kind == "date":
            notes.append(
                f"Date: {item.name} ({_style_words(item)}) becomes year, month, day, weekday{', hour' if item.hours else ''} and days."
            )
    missing = []
    kept: dict[str, list[str]] = {}
    for item in plan:
        if item.kind == "given":
            kept.setdefault(item.why, []).append(item.name)
        elif item.kind == "text":
            notes.append(
                f"Free text: of {item.name} it is used which of these words it has: {_names(item.vocabulary, 5)}. "
                f"To learn from its texts alone: --text {shlex.quote(item.name)}."
            )
    for why, names in kept.items():
        notes.append(f"Of {_names(names)} it is only used whether there is a value, because {_plural(why) if len(names) > 1 else why}.")
    for item in plan:
        absent = sum(text is None for text in texts_of(train[item.name]))
        if absent and item.kind not in ("text", "given"):
            missing.append(f"{item.name} {absent} ({'a category of its own' if item.kind == 'category' else 'median, and a flag'})")
        notes.extend(_strange(item, train[item.name], "training"))
    if missing:
        notes.append(f"Missing in the training part: {_names(missing)}.")
    return notes


def describe_part(plan: Sequence[Column], part: str, rows: pd.DataFrame) -> list[str]:
    """Values of these columns in the validation or test part that do not fit."""
    return [note for item in plan for note in _strange(item, rows[item.name], part)]


def _strange(item: Column, cells: pd.Series[Any], part: str) -> Iterable[str]:
    infinite = int(np.isinf(numbers_of(cells, item.style)).sum()) if item.kind == "number" else 0  # type: ignore[arg-type]
    if infinite:
        yield f"Infinite: {infinite} {part} values of {item.name} are treated as missing."
    others = int(misfits(cells, item).sum())
    if others:
        yield f"Not {_kind_words(item)}: {others} {part} values of {item.name} are treated as missing."


def _kind_words(item: Column) -> str:
    return {"number": "numbers", "boolean": "true or false", "date": "dates"}.get(item.kind, item.kind)


def _style_words(item: Column) -> str:
    if item.style.startswith(("%m/%d", "%d/%m")):
        return "read as month/day/year" if item.style.startswith("%m") else "read as day/month/year"
    return f"from {item.origin[:10]}"


def _names(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _plural(why: str) -> str:
    return (
        why.replace("it is", "they are")
        .replace("it holds", "they hold")
        .replace("it has", "they have")
        .replace("it numbers", "they number")
        .replace("they are an id", "they are ids")
    )
