"""What may be wrong with a table: columns that tell its target, copies of training rows, ids, and test rows that are unlike training rows.

All of it is a suspicion: it is said, never acted on. Looked at are at most ``MOST_ROWS`` training rows, so that it takes a second at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl.data.columns import ABSENT, SEVERAL_PARTS, Column, Left, features
from automl.data.suspicions import FEWEST_TWINS, TWINS, twins_text
from automl.data.values import texts_of
from automl.errors import listed

MOST_ROWS = 10_000  # of training, that columns are judged by
MOST_TWIN_ROWS = 200_000
FEWEST_JUDGED = 50  # rows that nothing was fitted to, for a column to be suspected
FEWEST_SAVED = 10  # errors of always saying the most frequent class
MOST_ERRORS = 0.005  # share of wrong answers up to which a column tells the class
MOST_OF_ERRORS = 0.05  # the same, of the errors of always saying the most frequent class
LEAST_EXPLAINED = 0.995  # of a number's variance, by a column
_LARGEST = float(np.finfo(np.float32).max)  # trees take no larger numbers
SUM_EXPLAINED = 0.999999  # by a weighted sum
TELLING_GAPS = 0.1  # of those errors, where it is known whether a value is missing
COINCIDENCE = 1e-4  # rows that are expected to be alike by chance, up to which copies are suspicious
NEW_SHARE = 0.05  # of test values that are unlike all training values
SHIFT = 0.25  # largest distance of two distribution functions beyond that of chance

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a split, as they were read, and their target: class numbers or values."""

    rows: pd.DataFrame
    target: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A table as it is prepared. ``made`` are the typed features of the training rows; ``official``: the test rows are a file's own."""

    train: Part
    others: dict[str, Part]
    plan: Sequence[Column]
    left: Sequence[Left]
    made: pd.DataFrame
    classes: Sequence[str]
    official: bool


def table_warnings(known: Known) -> list[str]:
    """What a person should look into, each with what to do."""
    few = _sampled(known)
    gaps = _telling_gaps(few)
    return [
        *_telling_columns(few, known_already=set(gaps)),
        *gaps.values(),
        *_telling_sum(few),
        *_copies(known),
        *_likely_ids(few),
        *_order_in_time(known),
        *(_drift(few) if known.official else ()),
    ]


def _sampled(known: Known) -> Known:
    rows = len(known.made)
    if rows <= MOST_ROWS:
        return known
    chosen = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    train = Part(known.train.rows.iloc[chosen], known.train.target[chosen])
    return Known(train, known.others, known.plan, known.left, known.made.iloc[chosen], known.classes, known.official)


# -- the target --------------------------------------------------------------------------------------------------------


def _telling_columns(known: Known, known_already: set[str]) -> Iterator[str]:
    """Columns that tell the target alone, in rows that were not looked at to find out how."""
    made = _made(known)
    telling = [
        column.name
        for number, column in enumerate(known.plan)
        if column.name not in known_already and any(_tells(known, known.made[name]) for name in made[number])
    ]
    if telling:
        many = len(telling) > 1
        yield (
            f"Leak? {listed(telling, 5)} {'tell' if many else 'tells'} the target {'each ' if many else ''}alone, in rows that were not "
            f"looked at to find out how. If {'they are' if many else 'it is'} not known before the target is, leave "
            f"{'them' if many else 'it'} out: {' '.join(f'--drop {name!r}' for name in telling[:5])}."
        )


def _made(known: Known) -> dict[int, list[str]]:
    """The names of the typed features of each column of the plan, by its number."""
    made: dict[int, list[str]] = {number: [] for number in range(len(known.plan))}
    for name in known.made:
        made[int(str(name).partition(":")[0])].append(str(name))
    return made


def _tells(known: Known, values: pd.Series) -> bool:
    """Whether what one half of the rows says of this feature and the target holds in the other half."""
    x = _codes(values) if values.dtype == object else values.to_numpy(np.float64)
    x = np.clip(x, -_LARGEST, _LARGEST)
    y = known.train.target
    order = np.random.default_rng(1).permutation(len(y))
    fitted, judged = order[::2], order[1::2]
    if len(judged) < FEWEST_JUDGED:
        return False
    if known.classes:
        wrong, saved = _errors(x, y, fitted, judged), int(np.count_nonzero(y[judged] != np.bincount(y[fitted]).argmax()))
        return saved >= FEWEST_SAVED and wrong <= MOST_ERRORS * len(judged) and wrong <= MOST_OF_ERRORS * saved
    ranks = np.searchsorted(np.sort(y), y).astype(np.float64)  # so that a few large values do not count for all
    return _explained(x, ranks, fitted, judged) >= LEAST_EXPLAINED


def _codes(values: pd.Series) -> Floats:
    """Categories as numbers."""
    return pd.factorize(values)[0].astype(np.float64)


def _errors(x: Floats, y: NDArray[Any], fitted: NDArray[np.int64], judged: NDArray[np.int64]) -> int:
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(min_samples_leaf=2, max_leaf_nodes=256, random_state=0).fit(x[fitted, None], y[fitted])
    return int(np.count_nonzero(model.predict(x[judged, None]) != y[judged]))


def _explained(x: Floats, y: NDArray[Any], fitted: NDArray[np.int64], judged: NDArray[np.int64]) -> float:
    from sklearn.tree import DecisionTreeRegressor

    variance = float(np.var(y[judged]))
    if not variance:
        return 0.0
    model = DecisionTreeRegressor(min_samples_leaf=1, max_leaf_nodes=1024, random_state=0).fit(x[fitted, None], y[fitted])
    return 1 - float(np.mean((model.predict(x[judged, None]) - y[judged]) ** 2)) / variance


def _telling_gaps(known: Known) -> dict[str, str]:
    """Columns of which it tells the class whether a row has a value: they may be filled in only after the target is known."""
    found: dict[str, str] = {}
    y = known.train.target
    saved = len(y) - int(np.bincount(y).max()) if known.classes else 0
    if saved < FEWEST_SAVED:
        return found
    for name in [*(column.name for column in known.plan), *(column.name for column in known.left if column.why != SEVERAL_PARTS)]:
        absent = np.array([text is None for text in texts_of(known.train.rows[name])])
        if not 0 < np.count_nonzero(absent) < len(absent):
            continue
        right = sum(int(np.bincount(y[rows]).max()) for rows in (absent, ~absent))
        if len(y) - right <= TELLING_GAPS * saved:
            found[name] = (
                f"Leak? Whether {name} has a value tells the class in {right / len(y):.1%} of the training rows. If it is filled in only "
                f"once the class is known, leave it out: --drop {name!r}."
            )
    return found


def _telling_sum(known: Known) -> Iterator[str]:
    """Numbers of which a weighted sum is the target, as those of which a total was made."""
    numbers = [(number, column) for number, column in enumerate(known.plan) if column.kind in ("number", "boolean")]
    if known.classes or len(numbers) < 2:
        return
    x = np.column_stack([known.made[f"{number}:{column.name}"].to_numpy(np.float64) for number, column in numbers])
    y = np.asarray(known.train.target, np.float64)
    whole = np.isfinite(x).all(axis=1)
    x, y = x[whole], y[whole]
    if len(y) < 2 * FEWEST_JUDGED + 2 * x.shape[1]:
        return
    scale = x.std(axis=0)
    x, y = np.column_stack([(x - x.mean(axis=0)) / np.where(scale > 0, scale, 1), np.ones(len(x))]), y - y.mean()
    weights = np.linalg.lstsq(x[::2], y[::2], rcond=None)[0]
    variance = float(np.var(y[1::2]))
    if not variance or 1 - float(np.mean((x[1::2] @ weights - y[1::2]) ** 2)) / variance < SUM_EXPLAINED:
        return
    least = 1e-3 * np.abs(weights[:-1]).max()
    named = [column.name for (_, column), weight in zip(numbers, weights, strict=False) if abs(weight) > least]
    if len(named) > 1:
        yield (
            f"Leak? A weighted sum of {listed(named, 5)} is the target. If they are parts of it that are not known before it is, leave "
            f"them out: {' '.join(f'--drop {name!r}' for name in named[:5])}."
        )


# -- rows --------------------------------------------------------------------------------------------------------------


def _copies(known: Known) -> Iterator[str]:
    """Rows of validation and test that are training rows as well, where so many cannot be alike by chance; and copies of other classes."""
    names = [*(column.name for column in known.plan), *(column.name for column in known.left if _is_compared(column))]
    train = known.train.rows.iloc[:MOST_TWIN_ROWS]
    if not names or not _is_detailed(known.train.rows[names].iloc[:MOST_ROWS], len(train)):
        return
    keys = _keys(train[names])
    for split, part in known.others.items():
        alike = np.isin(_keys(part.rows[names].iloc[:MOST_TWIN_ROWS]), keys)
        if alike.mean() >= TWINS and alike.sum() >= FEWEST_TWINS:
            yield twins_text(float(alike.mean()), split, "rows", "in every column but the target")
    if not known.classes:
        return
    y = known.train.target[: len(keys)]
    pairs = pd.DataFrame({"key": keys, "y": y})
    several = pairs.groupby("key")["y"].transform("nunique").to_numpy() > 1
    if several.mean() >= TWINS and several.sum() >= FEWEST_TWINS:
        yield (
            f"Contradictions: {several.mean():.1%} of the training rows have a copy of another class, alike in every column but the "
            "target. No model can tell them apart: correct them, or add what sets them apart."
        )


def _is_compared(column: Left) -> bool:
    """Whether two rows that differ in it are no copies: free texts and keys that several rows have, but not ids."""
    return column.why not in (SEVERAL_PARTS, "it is an id", "it numbers the rows") and not _is_key_of_each(column.why)


def _is_key_of_each(why: str) -> bool:
    """Whether such a key has another value in each row."""
    found = why.removeprefix("it is an id or key (").split()
    return len(found) > 2 and found[0] == found[2]


def _is_detailed(rows: pd.DataFrame, count: int) -> bool:
    """Whether two rows are not alike by chance: of ``count`` others less than ``COINCIDENCE`` are expected to be, were columns apart."""
    expected = float(count)
    for name in rows:
        expected *= float((rows[name].value_counts(normalize=True, dropna=False) ** 2).sum())
        if expected < COINCIDENCE:
            return True
    return False


def _keys(rows: pd.DataFrame) -> NDArray[Any]:
    return pd.util.hash_pandas_object(rows, index=False).to_numpy()


def _likely_ids(known: Known) -> Iterator[str]:
    """Whole numbers that are others in each row and lie close together, in any order."""
    for number, column in enumerate(known.plan):
        if column.kind != "number" or column.unit != 1.0 or len(known.plan) == 1:
            continue
        values = known.made[f"{number}:{column.name}"].to_numpy(np.float64)
        if len(values) < 2 * FEWEST_JUDGED or not np.isfinite(values).all() or (values != np.floor(values)).any():
            continue
        if len(np.unique(values)) == len(values) and np.ptp(values) <= 10 * max(len(values), len(known.train.rows)):
            yield f"Id? {column.name} has another whole number in each row. If it names the rows, leave it out: --drop {column.name!r}."


def _order_in_time(known: Known) -> Iterator[str]:
    """Rows that stand in the order of a date, and are split at random all the same."""
    if known.official:
        return
    for number, column in enumerate(known.plan):
        if column.kind != "date":
            continue
        days = known.made[f"{number}:{column.name}.days"].to_numpy(np.float64)
        days = days[np.isfinite(days)]
        if len(np.unique(days)) > FEWEST_JUDGED and (np.diff(days) >= 0).mean() >= 0.99:
            forecast = "" if known.classes else ", or forecast the target from its past (--horizon STEPS)"
            yield (
                f"Time: the rows stand in the order of {column.name}, but are split at random. If later rows are to be predicted from "
                f"earlier ones, results will be too good: give the latest rows as a file of their own (--test FILE){forecast}."
            )


# -- drift -------------------------------------------------------------------------------------------------------------


def _drift(known: Known) -> Iterator[str]:
    """Columns of which the test file's values are unlike those of training."""
    test = known.others["test"].rows
    later = features(test.iloc[:MOST_ROWS], known.plan)
    for number, column in enumerate(known.plan):
        name = f"{number}:{column.name}"
        if column.kind == "category":
            present = later[name][later[name] != ABSENT]
            new = ~present.isin(set(known.made[name]))
            if len(present) and new.mean() >= NEW_SHARE and new.sum() >= FEWEST_SAVED:
                example = str(present[new].iloc[0])
                yield (
                    f"Drift: {new.mean():.1%} of the test rows have a value of {column.name} that no training row has, such as "
                    f"{example!r}. Check that both files write it alike."
                )
        elif column.kind == "number":
            distance = _distance(known.made[name].to_numpy(np.float64), later[name].to_numpy(np.float64))
            if distance >= SHIFT:
                yield (
                    f"Drift: {column.name} is distributed otherwise in the test file than in training. Check that both files have it in "
                    "the same unit; else the test result says how models do on other data than they were chosen by."
                )


def _distance(a: Floats, b: Floats) -> float:
    """The largest distance of two distribution functions (Kolmogorov and Smirnov), less what chance makes of it; of missing values the
    difference of their shares, if that is larger."""
    gaps = abs(float(np.isnan(a).mean()) - float(np.isnan(b).mean()))
    a, b = np.sort(a[~np.isnan(a)]), np.sort(b[~np.isnan(b)])
    if not len(a) or not len(b):
        return gaps
    both = np.concatenate([a, b])
    distance = np.abs(np.searchsorted(a, both, "right") / len(a) - np.searchsorted(b, both, "right") / len(b)).max()
    return max(gaps, float(distance) - 1.7 * float(np.sqrt(1 / len(a) + 1 / len(b))))
