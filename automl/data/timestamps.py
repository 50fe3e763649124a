"""A column that orders rows: dates, or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from automl.data.sequencedata import Floats
from automl.data.values import date_style, dates_of, numbers_of, texts_of
from automl.errors import DataError


def instants(where: str, name: str, column: pd.Series[Any]) -> Floats:
    """When each row is: seconds, or the numbers as they are. Raises ``DataError`` where one is missing or is no time."""
    found = times_of(column)
    if found is None:
        raise DataError(f"{where}: timestamp {name!r} must hold dates or numbers, but does not. Choose another column.")
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        text = texts_of(column)[wrong[0]]
        given = "is missing" if text is None else f"is {text!r}"
        raise DataError(
            f"{where}: timestamp {name!r} must be a date or number in every row, but {given} in row {wrong[0] + 1}. "
            "Correct it, or leave the row out."
        )
    return found


def times_of(column: pd.Series[Any]) -> Floats | None:
    """The same, NaN where a cell says no time; None where most of them say none."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _seconds(dates_of(column, ""))
    numbers = numbers_of(column, "plain")
    if np.isfinite(numbers).mean() >= 0.9:
        return numbers
    texts = texts_of(column)
    style = date_style(np.array(sorted({text for text in texts if text is not None}), object))
    return None if style is None else _seconds(dates_of(column, style))


def is_dates(column: pd.Series[Any]) -> bool:
    """Whether the cells are dates, and not numbers."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    if pd.api.types.is_numeric_dtype(column.dtype):
        return False
    present = np.array(sorted({text for text in texts_of(column) if text is not None}), object)
    return bool(len(present)) and not np.isfinite(numbers_of(column, "plain")).any() and date_style(present) is not None


def _seconds(dates: pd.Series[Any]) -> Floats:
    return np.where(dates.isna(), np.nan, (dates - pd.Timestamp(0)).dt.total_seconds()).astype(np.float64)
