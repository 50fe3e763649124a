"""Numbers spread over bins: edges from the training rows, and what becomes of a number within, between and beyond them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.data import encode, inspect, load, prepare
from automl.data.bins import MOST_BINS, MOST_FEATURES, Spread, fit_bins, spread
from automl.errors import DataError
from automl.spec import DataSpec


def rows(count: int, columns: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, columns)).astype(np.float32)


def test_a_number_fills_the_bins_below_it_and_a_part_of_its_own() -> None:
    made = spread(np.array([[-5], [0], [0.5], [1], [2], [9]], np.float32), [Spread(0, (0.0, 1.0, 3.0))])
    assert made.tolist() == [[-5, 0, 0], [0, 0, 0], [0.5, 0.5, 0], [1, 1, 0], [2, 1, 0.5], [9, 1, 1]]


@given(st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=30), st.integers(2, 8))
def test_what_bins_say_goes_up_with_the_number_and_lies_within_0_and_1(cells: list[float], bins: int) -> None:
    x = np.array(sorted(cells), np.float32)[:, None]
    made = spread(x, fit_bins(x, bins))
    assert (made[:, :1] == x).all()
    assert ((made[:, 1:] >= 0) & (made[:, 1:] <= 1)).all()
    assert (np.diff(made, axis=0) >= 0).all()


def test_bins_hold_about_as_many_rows_each() -> None:
    x = rows(4000)
    (made,) = fit_bins(x, None)
    counts = np.histogram(x[:, 0], made.edges)[0]
    assert len(counts) == MOST_BINS
    assert counts.max() - counts.min() <= 2


def test_features_of_two_values_and_small_tables_have_no_bins() -> None:
    assert fit_bins(rows(999), None) == []
    assert fit_bins((rows(2000, 3) > 0).astype(np.float32), None) == []
    assert fit_bins(rows(5000), 0) == []
    assert fit_bins(np.zeros((5000, 0), np.float32), None) == []


def test_a_table_of_many_numbers_gets_fewer_bins_each_and_one_of_very_many_none() -> None:
    made = fit_bins(rows(3000, 40), None)
    assert len(made) == 40
    assert sum(len(each.edges) - 1 for each in made) <= MOST_FEATURES
    assert fit_bins(rows(3000, 200), None) == []
    assert len(fit_bins(rows(1000), None)[0].edges) - 1 == 20


def test_new_rows_are_spread_as_the_training_rows_were(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    draws = np.random.default_rng(1)
    sizes, kinds = draws.normal(size=3000).round(3), draws.choice(["a", "b"], 3000)
    frame = pd.DataFrame({"size": sizes, "kind": kinds, "y": draws.integers(0, 2, 3000)})
    frame.to_csv(path, index=False)
    spec = DataSpec(str(path), target="y")
    info = prepare(spec, tmp_path / "out")
    assert info.input_shape == (1 + 2 + 38,)
    assert info.notes == ("Numbers are spread over up to 38 bins each (38 more features); data: {bins: 0} leaves that out.",)
    made = encode(tmp_path / "out", frame)
    x = load(tmp_path / "out")[1]["train"][0]
    assert {row.tobytes() for row in x} <= {row.tobytes() for row in made}
    assert inspect(DataSpec(str(path), target="y", bins=0)).input_shape == (3,)
    assert inspect(DataSpec(str(path), target="y", bins=5)).input_shape == (8,)


def test_bins_are_for_tables() -> None:
    message = "^digits: bins must be left out, since it means nothing for such data, but is 5\\.$"
    with pytest.raises(DataError, match=message):
        inspect(DataSpec("digits", bins=5))
