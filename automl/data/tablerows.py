"""New rows of a table, prepared as the training rows were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.data import DataInfo
from automl.data.preparation import PREPROCESSING
from automl.errors import DataError, suggestion

if TYPE_CHECKING:
    import pandas as pd

    from automl.data.columns import Column


def encode(folder: Path, info: DataInfo, plan: Mapping[str, Any], rows: Any) -> NDArray[np.float32]:
    """A pandas DataFrame as ``[rows, features]``, by the plan and the preprocessing in ``folder``."""
    import pandas as pd

    from automl.data.bins import Spread, spread
    from automl.data.columns import Column, features
    from automl.data.preprocessing import load, transform
    from automl.errors import listed

    if not isinstance(rows, pd.DataFrame):
        raise DataError(
            f"{folder}: rows must be a pandas DataFrame, but are {type(rows).__name__}. Give them as a table with named columns."
        )
    columns = [
        Column(**{**column, "words": tuple(column.get("words", ())), "vocabulary": tuple(column.get("vocabulary", ()))})
        for column in plan["columns"]
    ]
    names = [str(name) for name in rows.columns]
    for column in columns:
        if column.name not in names:
            raise DataError(f"{folder}: column {column.name!r} is not there. Columns: {listed(names)}.{suggestion(column.name, names)}")
    twins = [column.name for column in columns if names.count(column.name) > 1]
    if twins:
        raise DataError(f"{folder}: column names must differ, but {twins[0]!r} is there more than once. Leave one of them out.")
    if rows.empty:
        return np.empty((0, *info.input_shape), np.float32)
    named = rows.set_axis(names, axis="columns")
    for column in columns:
        _refuse_misfits(folder, named[column.name], column)
    x = transform(load(_stored(folder / PREPROCESSING), str(folder / PREPROCESSING)), features(named, columns))
    return spread(x, [Spread(each["feature"], tuple(each["edges"])) for each in plan.get("bins", ())])


def _refuse_misfits(folder: Path, cells: pd.Series[Any], column: Column) -> None:
    """What training has not seen, such as a word in a column of numbers, is a mistake in the rows and not a missing value."""
    from automl.data.columns import misfits
    from automl.data.values import texts_of

    wrong = np.flatnonzero(misfits(cells, column))
    if not len(wrong):
        return
    texts = texts_of(cells)
    for row in wrong:
        if texts[row] not in column.words:
            kind = {"number": "numbers", "boolean": "true or false", "date": "dates"}[column.kind]
            raise DataError(
                f"{folder}: column {column.name!r} must hold {kind} as in training, but row {row + 1} has {texts[row]!r}. "
                "Correct it, or leave it empty to have it taken for missing."
            )


def _stored(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: must be stored preprocessing, but cannot be read ({error.strerror}). Prepare the data again.") from error
