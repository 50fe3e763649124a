"""Forecasts: windows and what follows them, split by time; naive forecasts; new rows; and what is refused, word for word."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.data import encode, inspect, load, prepare
from automl.data.naive import season_of
from automl.data.prediction import in_own_units
from automl.data.preparation import load_parts
from automl.errors import DataError
from automl.spec import DataSpec
from automl.training.samples import read_samples

SHARED = Path(os.environ.get("AUTOML_SHARED_DATA") or Path(__file__).resolve().parents[2].parent / "shared" / "data") / "timeseries"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real series are not on this machine")


def table(rows: int = 200) -> pd.DataFrame:
    steps = np.arange(rows)
    days = pd.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d")
    return pd.DataFrame({"day": days, "a": 5 + 2.0 * steps, "b": np.sin(2 * np.pi * steps / 7), "word": "x"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "series.csv"
    table().to_csv(path, index=False)
    return path


def spec(file: Path, **options: Any) -> DataSpec:
    return DataSpec(str(file), **{"target": "a", "horizon": 3, "window": 10, **options})


# windows and splits


@given(
    rows=st.integers(30, 90), horizon=st.integers(1, 4), window=st.integers(1, 6), test=st.floats(0.15, 0.4), validation=st.floats(0.2, 0.4)
)
@settings(max_examples=20, deadline=None)
def test_windows_end_where_their_targets_begin_and_targets_keep_to_their_part(
    tmp_path_factory: pytest.TempPathFactory, rows: int, horizon: int, window: int, test: float, validation: float
) -> None:
    """The series counts its rows, so that each value says where it comes from."""
    folder = tmp_path_factory.mktemp("windows")
    pd.DataFrame({"n": np.arange(rows) * 1.0}).assign(other="x").to_csv(folder / "n.csv", index=False)
    info = prepare(
        DataSpec(str(folder / "n.csv"), target="n", horizon=horizon, window=window, test=test, validation=validation), folder / "out"
    )
    _, arrays = load(folder / "out")
    end, seen = -1.0, 0
    for split in ("train", "validation", "test"):
        x, y = (np.rint(part * info.target_scale + info.target_mean) for part in arrays[split])
        y = y.reshape(len(y), horizon)
        assert x.shape == (info.sizes[split], 1, window)
        assert (np.diff(x[:, 0], axis=1) == 1).all()
        assert (y == x[:, 0, -1:] + 1 + np.arange(horizon)).all()
        assert y.min() > end
        end, seen = y.max(), seen + len(y)
    assert end == rows - 1


def test_the_series_is_standardised_by_its_training_part(file: Path, tmp_path: Path) -> None:
    info = prepare(spec(file), tmp_path / "out")
    train = table()["a"].to_numpy()[:128]
    assert (info.target_mean, info.target_scale) == (pytest.approx(train.mean()), pytest.approx(train.std()))
    assert (info.task, info.kind, info.input_shape, info.outputs, info.continues) == ("regression", "sequences", (1, 10), 3, True)
    assert info.sizes == {"train": 116, "validation": 30, "test": 38}


def test_windows_are_views_of_one_series(file: Path, tmp_path: Path) -> None:
    info = prepare(spec(file), tmp_path / "out")
    _, parts = load_parts(tmp_path / "out")
    assert len({part.file for part in parts.values()}) == 1
    assert all(part.x.strides[0] == part.x.strides[2] == 4 for part in parts.values())
    samples = read_samples(tmp_path / "out", torch.device("cpu"))
    _, arrays = load(tmp_path / "out")
    for split in ("train", "validation", "test"):
        own = getattr(samples, split)
        assert np.array_equal(torch.cat(list(own.in_order(7))).numpy(), arrays[split][0])
        batches = list(own.batches(torch.arange(len(own)), 16))
        assert np.array_equal(torch.cat([x for x, _ in batches]).numpy(), arrays[split][0])
        assert np.array_equal(torch.cat([y for _, y in batches]).numpy(), arrays[split][1])
    assert sum(path.stat().st_size for path in (tmp_path / "out").glob("x_*")) == 0
    assert info == prepare(spec(file), tmp_path / "out")


def test_several_series_are_samples_of_one_model(file: Path, tmp_path: Path) -> None:
    info = prepare(spec(file, target="all"), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    assert info.sizes == {"train": 232, "validation": 60, "test": 76}
    assert (info.target_mean, info.target_scale) == (0, 1)
    for name, rows in (("a", slice(0, 116)), ("b", slice(116, 232))):
        values = table()[name].to_numpy()
        standardised = (values - values[:128].mean()) / values[:128].std()
        assert np.allclose(arrays["train"][0][rows][5, 0], standardised[5:15], atol=1e-5)
        assert np.allclose(arrays["train"][1][rows][5], standardised[15:18], atol=1e-5)
    assert inspect(spec(file, target="a,b")).sizes == info.sizes
    assert inspect(spec(file, target="all", drop=("b",))).sizes["train"] == 116


def test_rows_are_ordered_by_their_time(file: Path, tmp_path: Path) -> None:
    table().sample(frac=1, random_state=0).to_csv(tmp_path / "shuffled.csv", index=False)
    info = prepare(DataSpec(str(tmp_path / "shuffled.csv"), target="a", horizon=3, window=10), tmp_path / "out")
    prepare(spec(file), tmp_path / "ordered")
    assert info.notes[0] == "Ordered by day."
    for split, (x, y) in load(tmp_path / "out")[1].items():
        assert np.array_equal(x, load(tmp_path / "ordered")[1][split][0])
        assert np.array_equal(y, load(tmp_path / "ordered")[1][split][1])


def test_rows_may_be_fewer_and_a_test_file_may_follow(file: Path, tmp_path: Path) -> None:
    assert inspect(spec(file, rows=100)).sizes == {"train": 52, "validation": 14, "test": 18}
    table()[:150].to_csv(tmp_path / "train.csv", index=False)
    table()[150:].to_csv(tmp_path / "test.csv", index=False)
    info = inspect(spec(tmp_path / "train.csv", test=str(tmp_path / "test.csv")))
    assert info.sizes == {"train": 108, "validation": 28, "test": 48}


def test_what_is_missing_is_as_it_was_before(tmp_path: Path) -> None:
    gaps = table().astype({"a": object})
    gaps.loc[[0, 20, 21], "a"] = None
    gaps.to_csv(tmp_path / "gaps.csv", index=False)
    info = prepare(spec(tmp_path / "gaps.csv"), tmp_path / "out")
    assert info.notes[0] == "Missing: 3 of 200 values, each taken to be the one before it."
    x, _ = load(tmp_path / "out")[1]["train"]
    assert len(set(x[15, 0, 4:7])) == 1
    assert len(set(x[0, 0, :2])) == 1


# what a forecast has to beat


def test_notes_say_what_the_naive_forecasts_reach(file: Path) -> None:
    info = inspect(spec(file, target="b", horizon=7))
    naive, seasonal = re.search(r"validation part: .* rmse of (\S+), that of 7 steps before (\S+)\.", "\n".join(info.notes)).groups()  # type: ignore[union-attr]
    assert 0.5 < float(naive) < 1.5
    assert float(seasonal) < 1e-6
    values = table()["a"].to_numpy()
    assert (
        inspect(spec(file, horizon=1)).notes[-1]
        == f"To be beaten on the test part: the last value again has an rmse of {values[1] - values[0]:.4g}."
    )


def test_what_a_forecast_has_to_beat_is_the_naive_one_that_is_better_on_the_validation_part(file: Path, tmp_path: Path) -> None:
    steps = inspect(spec(file, horizon=1))
    assert (steps.season, steps.naive) == (0, pytest.approx(dict.fromkeys(("validation", "test"), 2 / steps.target_scale)))
    table().assign(b=lambda rows: rows["b"] + 0.01 * rows["a"]).to_csv(tmp_path / "t.csv", index=False)
    season = inspect(spec(tmp_path / "t.csv", target="b", horizon=7))
    notes = "\n".join(season.notes)
    assert season.season == 7
    for part, error in season.naive.items():
        assert f"To be beaten on the {part} part: the last value again" in notes
        assert f"that of 7 steps before {error * season.target_scale:.4g}." in notes
    samples = prepare(spec(file), tmp_path / "out") and read_samples(tmp_path / "out", torch.device("cpu"))
    naive = (samples.test.inputs[samples.test.rows][:, 0, -1:] - samples.test.targets).square().mean().sqrt()
    assert samples.test.naive == pytest.approx(float(naive), rel=1e-5)


def test_a_season_is_found_where_there_is_one() -> None:
    steps, noise = np.arange(300), np.random.default_rng(0).normal(size=300)
    assert season_of((np.sin(2 * np.pi * steps / 12) + 0.2 * noise + 0.01 * steps)[None]) == 12
    assert season_of(np.sin(2 * np.pi * steps / 30)[None]) == 30  # a smooth one is no season of two steps
    assert season_of((steps % 2)[None] + 0.1 * noise[None]) == 2
    assert season_of(noise.cumsum()[None]) is None
    assert season_of(np.zeros((1, 5))) is None


@pytest.mark.parametrize(
    ("rows", "horizon", "window"), [(40, 1, 8), (200, 3, 36), (200, 12, 38), (1500, 1, 60), (3000, 1, 96), (9000, 1, 96), (3000, 40, 140)]
)
def test_a_window_that_nobody_gave_follows_rows_and_horizon(tmp_path: Path, rows: int, horizon: int, window: int) -> None:
    pd.DataFrame({"n": np.random.default_rng(0).normal(size=rows).cumsum()}).to_csv(tmp_path / "n.csv", index=False)
    assert inspect(DataSpec(str(tmp_path / "n.csv"), horizon=horizon)).input_shape == (1, window)


def test_a_window_that_nobody_gave_holds_two_seasons(tmp_path: Path) -> None:
    pd.DataFrame({"n": np.sin(2 * np.pi * np.arange(600) / 30)}).to_csv(tmp_path / "n.csv", index=False)
    assert inspect(DataSpec(str(tmp_path / "n.csv"), horizon=1)).input_shape == (1, 60)


@real
def test_published_series() -> None:
    """The naive errors that are known for them."""
    sunspots = inspect(DataSpec(str(SHARED / "monthly-sunspots.csv"), target="Sunspots", horizon=1))
    assert sunspots.sizes["test"] == 564
    assert sunspots.notes[-1] == "To be beaten on the test part: the last value again has an rmse of 20.09."
    airline = inspect(DataSpec(str(SHARED / "airline-passengers.csv"), horizon=1))
    assert airline.notes[-1].endswith("the last value again has an rmse of 52.49, that of 12 steps before 46.08.")
    power = DataSpec(str(SHARED / "ETTh1.csv"), target="all", horizon=96, window=336, rows=14400, validation=0.25)
    info = inspect(power)
    assert info.sizes == {"train": 7 * 8209, "validation": 7 * 2785, "test": 7 * 2785}
    assert "the last value again has an rmse of 1.138" in info.notes[-1]  # squared 1.294


# new rows


def test_a_forecast_goes_on_from_the_last_rows(file: Path, tmp_path: Path) -> None:
    info = prepare(spec(file), tmp_path / "out")
    frame = table().drop(columns="word")
    last = encode(tmp_path / "out", frame)
    assert last.shape == (1, 1, 10)
    assert np.allclose(last[0, 0] * info.target_scale + info.target_mean, frame["a"][-10:])
    assert np.array_equal(encode(tmp_path / "out", frame.sample(frac=1, random_state=0)), last)
    assert np.array_equal(encode(tmp_path / "out", frame["a"].to_numpy()), last)
    several = encode(tmp_path / "out", np.stack([frame["a"].to_numpy(), frame["a"].to_numpy()]))
    assert np.array_equal(several, np.concatenate([last, last]))


def test_forecasts_of_several_series_are_in_their_own_units(file: Path, tmp_path: Path) -> None:
    prepare(spec(file, target="all"), tmp_path / "out")
    frame = table()
    x = encode(tmp_path / "out", frame)
    restored = in_own_units(tmp_path / "out", x[:, 0].astype(np.float64))
    assert np.allclose(restored, frame[["a", "b"]].to_numpy()[-10:].T, atol=1e-4)


# what is wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": None}, "a forecast needs a target, the column to be forecast (or all), but none is given. Columns: day, a, b, word. "),
        ({"target": "word"}, "target 'word' must hold numbers to be forecast, but does not. Choose another target."),
        ({"target": "c"}, "column 'c' is not there. Columns: day, a, b, word."),
        ({"timestamp": "word"}, "timestamp 'word' must hold dates or numbers, but does not. Choose another column."),
        ({"timestamp": "dya"}, "column 'dya' is not there. Columns: day, a, b, word. Did you mean 'day'?"),
        ({"folds": 3}, "a forecast must be validated on what comes after training, but folds are asked for. Leave folds out."),
        ({"positive": (1,)}, "positive must name classes, but a forecast has none. Leave positive out."),
        ({"series": "word"}, "a forecast is of columns of one table, but series is 'word'. Give each series a column, and target: all."),
        ({"size": 3}, "size must be left out, since it means nothing for such data, but is 3."),
        ({"rows": 300}, "rows must be at most its 200 rows, but is 300. Give fewer."),
        ({"horizon": 50}, "the test part must have room for 50 steps, but of 200 rows it has 40. Give more rows or a smaller horizon."),
        (
            {"horizon": 35},
            "the validation part must have room for 35 steps, but of 200 rows it has 32. Give more rows or a smaller horizon.",
        ),
        (
            {"window": 126},
            "the training part must have room for 3 steps after a window of 126, but of 200 rows it has 2. "
            "Give more rows, a smaller window or a smaller horizon.",
        ),
    ],
)
def test_what_cannot_be_asked_of_a_forecast(file: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(f'{file}: {message}')}"):
        inspect(spec(file, **options))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"day": "2020-01-01"},
            "timestamp 'day' must differ from row to row, but '2020-01-01' is there more than once. Give each series a column "
            "of its own, or keep one row of each; --drop 'day' takes the rows as they stand.",
        ),
        (
            {"a": 3},
            "target 'a' must change in the rows for training, 1 to 128, but has one value in all of them. Choose another target, or "
            "give rows in which it changes.",
        ),
        (
            {"a": [*range(160), *[None] * 40]},
            "target 'a' must have values in every part, but all of rows 161 to 200 (test) are missing. Fill them, or leave 'a' out.",
        ),
        (
            {"a": [*[None] * 128, *range(72)]},
            "target 'a' must have values in every part, but all of rows 1 to 128 (train) are missing. Fill them, or leave 'a' out.",
        ),
        ({"a": ""}, "target 'a' must hold numbers to be forecast, but does not. Choose another target."),
    ],
)
def test_what_is_wrong_with_the_rows(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    table().assign(**change).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}/t.csv: {message}')}"):
        inspect(spec(tmp_path / "t.csv", timestamp="day"))


def test_a_cell_that_is_no_time(tmp_path: Path) -> None:
    wrong = table()
    wrong.loc[4, "day"] = "soon"
    wrong.to_csv(tmp_path / "t.csv", index=False)
    message = f"{tmp_path}/t.csv: timestamp 'day' must be a date or number in every row, but is 'soon' in row 5. "
    message += "Correct it, or leave the row out."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(spec(tmp_path / "t.csv", timestamp="day"))


def test_dates_that_are_there_twice_are_no_series_unless_a_person_says_so(tmp_path: Path) -> None:
    """Such as a table of two shops, a row for each and each day."""
    shops = pd.concat([table().assign(shop="x"), table().assign(shop="y")])[["day", "shop", "a"]].sort_values("day")
    shops.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="timestamp 'day' must differ from row to row, but '2020-01-01' is there more than once"):
        inspect(DataSpec(str(tmp_path / "t.csv"), horizon=3))
    notes = inspect(DataSpec(str(tmp_path / "t.csv"), horizon=3, drop=("day",))).notes
    assert notes[0] == "The rows are taken to be one step each, in the order of the file."


def test_of_all_series_those_that_never_change_are_left_out(tmp_path: Path) -> None:
    table().assign(c=1.0, d=2).to_csv(tmp_path / "t.csv", index=False)
    info = inspect(spec(tmp_path / "t.csv", target="all"))
    assert info.notes[0] == "Left out: c, d, because the rows for training have one value of each."
    assert info.sizes == inspect(spec(tmp_path / "t.csv", target="a,b")).sizes


def test_a_series_of_two_rows_is_too_short(tmp_path: Path) -> None:
    table(2).to_csv(tmp_path / "t.csv", index=False)
    message = "the training part must have room for 1 step after a window of 1, but of 2 rows it has 0. "
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}/t.csv: {message}')}"):
        inspect(DataSpec(str(tmp_path / "t.csv"), target="a", horizon=1))


def test_a_table_of_dates_and_numbers_without_a_target_is_told_of_forecasts(tmp_path: Path) -> None:
    table()[["day", "a"]].to_csv(tmp_path / "t.csv", index=False)
    message = (
        f"{tmp_path}/t.csv: a table needs a target, the column to be predicted, but none is given. Columns: day, a. Give "
        "--target, maybe 'a'. To forecast it from its past, give --horizon STEPS as well."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(DataSpec(str(tmp_path / "t.csv")))
    assert any(
        "or forecast the target from its past (--horizon STEPS)" in each
        for each in inspect(DataSpec(str(tmp_path / "t.csv"), "a")).warnings
    )


def test_gaps_in_time_are_said(tmp_path: Path) -> None:
    table().drop(index=[50, 51, 80]).to_csv(tmp_path / "t.csv", index=False)
    notes = inspect(spec(tmp_path / "t.csv")).notes
    assert notes[0] == "Gaps: 2 of 196 steps in day are longer than others; a forecast counts rows, not time."


def test_a_test_file_comes_after_the_training_file(tmp_path: Path) -> None:
    table()[:100].to_csv(tmp_path / "test.csv", index=False)
    table()[100:].to_csv(tmp_path / "train.csv", index=False)
    message = f"{tmp_path}/train.csv: the rows of a test file must come after those for training, but some are earlier."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(spec(tmp_path / "train.csv", test=str(tmp_path / "test.csv")))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table()[["a"]][:5], "a forecast needs the last 10 rows, but has 5. Give more of what came before."),
        (table()[["b"]], "column 'a' is not there. Columns: b."),
        (np.zeros((2, 3, 4)), "rows must be a table, or an array of the shape (histories, steps), but have the shape (2, 3, 4)."),
    ],
)
def test_new_rows_of_another_form(file: Path, tmp_path: Path, rows: Any, message: str) -> None:
    prepare(spec(file), tmp_path / "out")
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}/out: {message}')}$"):
        encode(tmp_path / "out", rows)
