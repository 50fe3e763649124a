"""From typed features to the network's numbers: finite, bounded, stored without pickle, the same when read again."""

from __future__ import annotations

import io
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.data.preprocessing import BOUND, dump, fit, load, rare_categories, transform
from automl.errors import DataError


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    draws = np.random.default_rng(seed)
    holes = np.where(draws.random(rows) < 0.2, np.nan, draws.normal(size=rows))
    frame = pd.DataFrame({"skewed": np.exp(3 * draws.normal(size=rows)), "holes": holes, "flag": draws.integers(0, 2, rows) * 1.0})
    frame["kind"] = pd.Series(draws.choice(["a", "b", "c", "(missing)"], rows), dtype=object)
    return frame


@pytest.mark.parametrize("rows", [30, 300, 3000])
def test_numbers_are_centred_and_categories_have_a_column_each(rows: int) -> None:
    frame = table(rows)
    x = transform(fit(frame), frame)
    assert x.dtype == np.float32
    assert x.shape == (rows, 2 + 1 + 1 + 4)  # quantiles: skewed (and, with many rows, holes and its flag), flag, kinds
    numbers = x[:, [column for column in range(8) if len(np.unique(x[:, column])) > 2]]
    assert np.abs(numbers.mean(axis=0)).max() < 0.2
    assert np.abs(numbers.std(axis=0) - 1).max() < 0.3
    kinds = x[:, -4:]
    assert (kinds.sum(axis=1) == 1).all()


def test_skewed_numbers_become_normal() -> None:
    frame = table(3000)
    x = transform(fit(frame[["skewed"]]), frame[["skewed"]])[:, 0]
    assert np.abs(np.quantile(x, [0.16, 0.5, 0.84]) - [-1, 0, 1]).max() < 0.1


def test_numbers_that_are_mostly_the_same_keep_their_proportions() -> None:
    frame = pd.DataFrame({"gain": [0.0] * 1600 + [*np.arange(1.0, 401.0)]})
    x = transform(fit(frame), frame)[:, 0]
    assert np.ptp(np.diff(x[1600:])) < 1e-5


def test_missing_numbers_take_the_median_and_get_a_flag() -> None:
    frame = pd.DataFrame({"size": [1.0, 2.0, 6.0, np.nan]})
    x = transform(fit(frame), frame)
    assert x[3].tolist() == [x[1, 0], 1.0]
    assert x[:3, 1].tolist() == [0, 0, 0]


def test_later_rows_may_hold_anything() -> None:
    """Unknown categories, values out of range and values missing for the first time give finite, bounded numbers."""
    transformer = fit(table(200).assign(full=np.arange(200.0)))
    later = table(4, seed=1).assign(full=[np.nan, 1e90, -1e90, 5.0])
    later.loc[0, "kind"] = "never seen"
    x = transform(transformer, later)
    assert np.isfinite(x).all()
    assert np.abs(x).max() <= BOUND


def test_rare_and_many_categories_share_a_column() -> None:
    kinds = pd.DataFrame({"0:kind": pd.Series([f"k{number}" for number in range(100)] * 30 + ["once"], dtype=object)})
    transformer = fit(kinds)
    assert transform(transformer, kinds).shape == (3001, 64)
    assert rare_categories(transformer) == ["kind"]
    unknown = pd.DataFrame({"0:kind": pd.Series(["new"], dtype=object)})
    assert (transform(transformer, unknown) == transform(transformer, kinds.tail(1))).all()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(st.just(np.nan), st.floats(-1e100, 1e100), st.integers(-3, 3).map(float)),
        min_size=3,
        max_size=40,
    ).filter(lambda values: len(set(values) - {np.nan}) > 1)
)
def test_any_numbers_become_finite_and_bounded(values: list[float]) -> None:
    frame = pd.DataFrame({"c": values})
    if frame["c"].nunique() < 2:
        return
    x = transform(fit(frame), frame)
    assert np.isfinite(x).all()
    assert np.abs(x).max() <= BOUND


@pytest.mark.parametrize("rows", [50, 2000])
def test_what_is_stored_does_the_same_when_loaded(rows: int) -> None:
    frame = table(rows)
    transformer = fit(frame)
    loaded = load(dump(transformer), "preprocessing.skops")
    other = table(20, seed=3)
    assert (transform(loaded, other) == transform(transformer, other)).all()


def test_the_same_numbers_are_stored_as_the_same_bytes() -> None:
    assert dump(fit(table(100))) == dump(fit(table(100)))
    assert dump(fit(table(100))) != dump(fit(table(100, seed=1)))


def test_a_file_with_other_types_is_not_built() -> None:
    content = skops.io.dumps({"x": io.StringIO})
    message = "p.skops: must hold types of scikit-learn only, but holds _io.StringIO. Do not use a file from a stranger."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load(content, "p.skops")


@pytest.mark.parametrize("content", [b"", b"junk", dump(fit(table(30)))[:-30]])
def test_a_damaged_file_is_named(content: bytes) -> None:
    message = "p.skops: must be stored preprocessing, but cannot be read (File is not a zip file). Prepare the data again."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load(content, "p.skops")


def test_stored_preprocessing_has_no_pickle_and_no_clock() -> None:
    with zipfile.ZipFile(io.BytesIO(dump(fit(table(30))))) as archive:
        for item in archive.infolist():
            assert item.filename == "schema.json" or item.filename.endswith(".npy")
            assert item.date_time[0] == 1980
            if item.filename.endswith(".npy"):
                np.load(io.BytesIO(archive.read(item)), allow_pickle=False)
