"""What the cells of a column say: texts, numbers, truths and dates. The same for the texts of a CSV file and for typed columns."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texts = NDArray[np.object_]

MISSING = frozenset(
    {"", "?", "-", "--", ".", "NA", "N/A", "n/a", "na", "NaN", "nan", "null", "NULL", "None", "none", "#N/A", "<NA>", "NaT"}
)
TARGET_MISSING = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "#N/A", "<NA>", "NaT"})  # a class may be called "none"

NumberStyle = Literal["plain", "grouped", "comma"]
NUMBER_STYLES: dict[NumberStyle, re.Pattern[str]] = {
    "plain": re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(inf|infinity)", re.IGNORECASE | re.ASCII),
    "grouped": re.compile(r"[-+]?[$€£]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?%?", re.ASCII),  # 1,234.5 or $12 or 30%
    "comma": re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?%?", re.ASCII),  # 1.234,5
}

TRUTHS = {"true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0, "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0}

DATE_FORMATS = (
    "ISO8601",
    "%Y-%m-%d",
    "%Y-%m",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
DATE_LIKE = re.compile(r"\w+[-/.][^\W_]+([-/.]\d+)?([T ].*)?|\d{1,2} \w+ \d{4}|\w+ \d{1,2}, \d{4}")


def is_number(text: str) -> bool:
    """Whether the text is a number in the plain style."""
    return NUMBER_STYLES["plain"].fullmatch(text) is not None


def has_parts(column: pd.Series[Any]) -> bool:
    """Whether cells are lists, mappings, bytes or the like, as nested Parquet files have them, and not single values."""
    cells = column.to_numpy(object) if column.dtype == object else np.array([], object)
    return any(isinstance(cell, list | tuple | dict | set | bytes | np.ndarray) for cell in cells)


def texts_of(column: pd.Series[Any], missing: frozenset[str] = MISSING) -> Texts:
    """The cells as texts, None where they are missing. Equal numbers have equal texts: 1, 1.0 and True as they are written shortest.

    Durations are numbers of seconds.
    """
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        column = column.dt.total_seconds()
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return np.array([number_text(value) for value in _floats(column)], object)
    if pd.api.types.infer_dtype(column, skipna=True) == "string":
        stripped = (cell.strip() if isinstance(cell, str) else None for cell in column.to_numpy(object))  # .str is slow for short columns
        return np.array([None if text in missing else text for text in stripped], object)
    cells = column.to_numpy(object)
    texts = np.array([None if _absent(cell) else str(cell).strip() for cell in cells], object)
    texts[[text is not None and text in missing for text in texts]] = None
    return texts


def number_text(value: float) -> str | None:
    """A number as people write it: 3 and not 3.0; None for what is not a number."""
    if np.isnan(value):
        return None
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))


def numbers_of(column: pd.Series[Any], style: NumberStyle) -> Floats:
    """The cells as numbers, NaN for those that are missing or not numbers; infinite ones stay infinite."""
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        column = column.dt.total_seconds()
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _floats(column)
    if style == "plain":
        return np.asarray(pd.to_numeric(texts_of(column), errors="coerce"), np.float64)
    texts = pd.Series(texts_of(column), dtype=object)
    return texts.map({text: parse_number(text, style) for text in texts.dropna().unique()}).to_numpy(np.float64)


def parse_number(text: str, style: NumberStyle) -> float:
    """The number that the text says in this style; NaN when it says none."""
    if not NUMBER_STYLES[style].fullmatch(text):
        return float(text) if is_number(text) else np.nan
    if style == "grouped":
        text = re.sub(r"[,%$€£]", "", text)
    elif style == "comma":
        text = text.replace(".", "").replace(",", ".").rstrip("%")
    return float(text)


def number_style(texts: Texts, most: int | None = None) -> tuple[NumberStyle, float]:
    """The style in which most of these (present, different) texts are numbers, and their share; plain where styles are level.

    Of more than ``most`` texts, so many are looked at, evenly spread.
    """
    if most is not None and len(texts) > most:
        texts = texts[np.linspace(0, len(texts) - 1, most).astype(np.int64)]
    if all(map(is_number, texts)):
        return "plain", 1.0
    shares = {style: sum(pattern.fullmatch(text) is not None for text in texts) / len(texts) for style, pattern in NUMBER_STYLES.items()}
    best = max(shares, key=lambda style: shares[style])
    return best, shares[best]


def truths_of(column: pd.Series[Any]) -> Floats:
    """The cells as 1 (true, yes, t, y, 1) and 0 (false, no, f, n, 0); NaN for all others."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return _floats(column)
    known = {**TRUTHS, "1": 1.0, "0": 0.0}
    return np.array([np.nan if text is None else known.get(text.lower(), np.nan) for text in texts_of(column)], np.float64)


def dates_of(column: pd.Series[Any], style: str) -> pd.Series[Any]:
    """The cells as points in time (UTC, without a zone); NaT for those that are missing or not written in this format."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        dates = pd.to_datetime(column, utc=True)
    else:
        texts = pd.Series(texts_of(column), dtype=object)
        dates = pd.to_datetime(texts, format=style or "ISO8601", errors="coerce", utc=True)
    return dates.dt.tz_localize(None).reset_index(drop=True)


def date_style(texts: Texts, least: float = 0.95) -> str | None:
    """The format that reads most of these (present, different) texts as dates; None when no format reads nearly all."""
    sample = pd.Series(texts[:100], dtype=object)
    if not all(DATE_LIKE.fullmatch(text) for text in sample[:20]):
        return None
    shares = {style: float(pd.to_datetime(sample, format=style, errors="coerce", utc=True).notna().mean()) for style in DATE_FORMATS}
    likely = [style for style, share in shares.items() if share >= least]
    every = pd.Series(texts, dtype=object)
    shares = {style: float(pd.to_datetime(every, format=style, errors="coerce", utc=True).notna().mean()) for style in likely}
    best = max(shares, key=lambda style: shares[style], default=None)
    return best if best is not None and shares[best] >= least else None


def _floats(column: pd.Series[Any]) -> Floats:
    return column.to_numpy(np.float64, na_value=np.nan)


def _absent(cell: object) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell))
