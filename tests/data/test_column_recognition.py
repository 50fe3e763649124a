"""What columns are taken for, judged by their training rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.data.columns import Column, Left, describe, features, recognise
from automl.data.preprocessing import fit, transform


def column(cells: Sequence[Any], name: str = "c", positions: Sequence[int] | None = None) -> Column | Left:
    rows = np.arange(len(cells)) * 2 if positions is None else np.array(positions)
    return recognise(pd.Series(list(cells), dtype=None if not all(isinstance(cell, str) for cell in cells) else object), name, rows)


def values(item: Column | Left, cells: Sequence[Any]) -> list[list[float]]:
    assert isinstance(item, Column)
    return features(pd.DataFrame({item.name: pd.Series(list(cells), dtype=object)}), [item]).to_numpy().T.tolist()


def test_plain_numbers() -> None:
    item = column(["1.5", "-2", "3e2", ".5", "NA"])
    assert item == Column("c", "number", "plain")
    assert values(item, ["1.5", "-2", "3e2"]) == [[1.5, -2.0, 300.0]]


@pytest.mark.parametrize("word", ["", "?", "NA", "n/a", "nan", "NULL", "None", "-", "#N/A", None, float("nan"), pd.NA, pd.NaT])
def test_missing_values_are_missing_in_every_spelling(word: object) -> None:
    assert np.isnan(values(Column("c", "number", "plain"), [word])[0][0])
    assert values(Column("c", "category"), [word]) == [["(missing)"]]


def test_numbers_with_groups_percent_signs_and_currencies() -> None:
    item = column(["1,234.5", "30%", "$7", "12", "-5"])
    assert item == Column("c", "number", "grouped")
    assert values(item, ["1,234.5", "30%", "$7", "-5"]) == [[1234.5, 30.0, 7.0, -5.0]]


def test_numbers_with_decimal_commas() -> None:
    item = column(["1,5", "2.345,25", "3,0", "4"])
    assert item == Column("c", "number", "comma")
    assert values(item, ["1,5", "2.345,25", "4"]) == [[1.5, 2345.25, 4.0]]


def test_a_few_words_among_numbers_are_missing_and_named() -> None:
    cells = [str(number / 2) for number in range(40)] + ["unknown", "inf"]
    item = column(cells)
    assert item == Column("c", "number", "plain", words=("unknown",))
    assert np.isnan(values(item, cells)[0][-2:]).all()
    assert describe([item], [], pd.DataFrame({"c": cells})) == [
        "Infinite: 1 training values of c are treated as missing.",
        "Not numbers: 1 training values of c are treated as missing.",
    ]


def test_many_words_among_numbers_make_categories() -> None:
    assert column(["1", "2", "a", "b"] * 5) == Column("c", "category")


def test_codes_that_begin_with_zero_are_not_numbers() -> None:
    assert column(["01234", "90210", "01234", "90210", "10115", "10115"]) == Column("c", "category")


@pytest.mark.parametrize("cells", [["true", "false", "", "true"], ["Y", "N", "Y", "N"], [True, False, None, True], [True, False]])
def test_truths(cells: list[Any]) -> None:
    item = column(cells)
    assert item == Column("c", "boolean")
    assert values(item, cells)[0][:2] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("cells", "style"),
    [
        (["2021-03-04", "2021-12-31"], "ISO8601"),
        (["2021-03-04T10:30:00", "2021-12-31T00:00:00"], "ISO8601"),
        (["2021-03-04 10:30", "2021-12-31 00:00"], "ISO8601"),
        (["2021/03/04", "2021/12/31"], "ISO8601"),
        (["04.03.2021", "31.12.2021"], "%d.%m.%Y"),
        (["3/4/2021", "12/31/2021"], "%m/%d/%Y"),
        (["4/3/2021", "31/12/2021"], "%d/%m/%Y"),
        (["4 Mar 2021", "31 Dec 2021"], "%d %b %Y"),
        (["March 4, 2021", "December 31, 2021"], "%B %d, %Y"),
    ],
)
def test_dates_become_calendar_features(cells: list[str], style: str) -> None:
    item = column([*cells, ""])
    assert isinstance(item, Column)
    assert (item.kind, item.style, item.origin[:10]) == ("date", style, "2021-03-04")
    first, last = ([feature[row] for feature in values(item, cells)] for row in (0, 1))
    assert first[:4] == [2021, 3, 4, 3]
    assert last[:4] == [2021, 12, 31, 4]
    assert 301 <= last[4] <= 302
    assert first[5:] == ([10.5] if item.hours else [])
    assert np.isnan([feature[0] for feature in values(item, ["no date"])]).all()


@pytest.mark.parametrize("cells", [["3-4", "a-b"], ["A/5 21171", "PC 17599"], ["10-K", "8-Q"], ["v1.2.3", "v2.0.0"]])
def test_texts_with_dashes_and_dots_are_no_dates(cells: list[str]) -> None:
    assert not (isinstance(item := column(cells * 5), Column) and item.kind == "date")


def test_row_numbers_are_left_out() -> None:
    item = column([str(number) for number in range(100, 120)], "c", list(range(20)))
    assert item == Left("c", "it numbers the rows", Column("c", "number", "plain"))


@pytest.mark.parametrize("name", ["id", "ID", "customer_id", "PassengerId", "customerID", "key", "index", "unnamed_1", "Unnamed: 0"])
def test_whole_numbers_that_are_called_ids_and_differ_are_left_out(name: str) -> None:
    assert column([str(number * number) for number in range(20)], name) == Left(name, "it is an id")


@pytest.mark.parametrize("name", ["paid", "width", "humid", "age", "turkey"])
def test_other_whole_numbers_that_differ_are_kept(name: str) -> None:
    assert column([str(number * number) for number in range(20)], name) == Column(name, "number", "plain")


def test_keys_and_prose_are_left_out() -> None:
    assert column([f"x{number}" for number in range(30)]) == Left("c", "it is an id or key (30 of 30 values differ)")
    assert column([f"a story of number {number} and more" for number in range(30)]) == Left("c", "it is free text")
    assert column([f"story {number % 120} " + "long " * 10 for number in range(400)]) == Left("c", "it is free text")


def test_of_a_free_text_its_frequent_words_are_features() -> None:
    men = [f"Mr. Nobody the {number}th, a tailor" for number in range(30)]
    cells = [*men, *(f"Mrs. X{number} of London" for number in range(30))]
    item = column([*cells, None])
    assert item == Column("c", "text", vocabulary=("a", "london", "mr", "mrs", "nobody", "of", "tailor", "the"))
    assert values(item, ["Mr. Y of Paris", None]) == [[0, 0], [0, 0], [1, 0], [0, 0], [0, 0], [1, 0], [0, 0], [0, 0]]
    assert describe([item], [], pd.DataFrame({"c": cells})) == [
        "Free text: of c it is used which of these words it has: a, london, mr, mrs, nobody and 3 more. "
        "To learn from its texts alone: --text c."
    ]


def test_of_a_key_that_is_often_missing_it_counts_whether_there_is_one() -> None:
    cells: list[str | None] = [f"x{number}" if number % 3 else None for number in range(60)]
    why = "it is an id or key (40 of 40 values differ)"
    item = column(cells)
    assert item == Column("c", "given", why=why)
    assert values(item, ["x7", "new", None, ""]) == [[1, 1, 0, 0]]
    assert describe([item], [], pd.DataFrame({"c": cells})) == [f"Of c it is only used whether there is a value, because {why}."]
    assert column([*cells[1:3] * 30, *cells[:1] * 9], "ids") == Column("ids", "category")
    assert column([f"x{number}" for number in range(60)] + [None] * 9) == Left("c", "it is an id or key (60 of 60 values differ)")


def test_columns_without_information_are_left_out() -> None:
    assert column(["", "?", "NA"]) == Left("c", "it is empty")
    assert column(["a", "a"]) == Left("c", "it has the same value in every training row")
    assert column([1.0, 1.0]) == Left("c", "it has the same value in every training row")
    assert column(["1", "1.0"]) == Left("c", "it has the same value in every training row")
    assert column(["yes", "Yes", "true"]) == Left("c", "it has the same value in every training row")
    assert column(["inf", "-inf"]) == Left("c", "it has no finite number in any training row")
    assert column([float("inf"), float("-inf"), None]) == Left("c", "it has no finite number in any training row")


@pytest.mark.parametrize("cells", [[[1], [1, 2]], [{"x": 1}, {"x": 2}], [None, b"a"], [np.array([1]), None]])
def test_nested_values_are_left_out(cells: list[Any]) -> None:
    assert recognise(pd.Series(cells, dtype=object), "c", np.arange(2)) == Left("c", "it holds lists or other values of several parts")


def test_durations_are_numbers_of_seconds() -> None:
    cells = pd.Series(pd.to_timedelta([1.5, 3600, None, 7], unit="s"))
    item = recognise(cells, "c", np.arange(4))
    assert item == Column("c", "number", "plain")
    made = features(pd.DataFrame({"c": cells}), [item])["0:c"].tolist()
    assert made[:2] == [1.5, 3600.0]
    assert np.isnan(made[2])


CELLS = st.one_of(
    st.floats(),
    st.sampled_from([1e308, 1.7976931348623157e308, -1e308, 5e-324, 1e-300, 0.0, 1.0, 9007199254740993.0]),
    st.sampled_from(["", "x", "yes", "No", "1", "1.0", "inf", "1e999", "2020-01-01", "1,000"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=12), st.booleans())
def test_every_column_that_is_taken_gives_the_network_something_that_varies(cells: list[float | str], as_texts: bool) -> None:
    """So a table with a column has a feature; and squares of numbers stay finite and above zero."""
    series = pd.Series([str(cell) for cell in cells] if as_texts else cells, dtype=object)
    item = recognise(series, "c", np.arange(len(cells)))
    if isinstance(item, Column):
        made = features(pd.DataFrame({"c": series}), [item])
        assert (made.nunique(dropna=False) > 1).any()
        transformer = fit(made)
        x = transform(transformer, made)
        assert x.shape[1] > 0
        assert np.isfinite(x).all()
        assert len(np.unique(x, axis=0)) > 1


def test_numbers_that_cannot_be_squared_are_measured_in_their_largest() -> None:
    item = column([1e308, -5e307, 2e307])
    assert item == Column("c", "number", "plain", unit=1e308)
    assert values(item, [1e308, -5e307, 2e307, 3.0])[0] == pytest.approx([1.0, -0.5, 0.2, 0.0])
    assert column([4e-200, 2e-200, 1e-200]) == Column("c", "number", "plain", unit=4e-200)
    assert column([1e99, 2.0]) == Column("c", "number", "plain")
    assert column([True, True]) == Left("c", "it has the same value in every training row")


def test_one_value_or_none_is_information() -> None:
    assert column(["a", "", "a"]) == Column("c", "category")


def test_typed_cells_and_their_texts_give_the_same_features() -> None:
    typed = pd.DataFrame(
        {"n": [1.5, None, 3], "i": [1, 2, 3], "b": [True, False, True], "d": pd.to_datetime(["2020-01-01", "2020-02-03", None])}
    )
    texts = pd.DataFrame(
        {"n": ["1.5", "", "3"], "i": ["1", "2", "3"], "b": ["True", "False", "True"], "d": ["2020-01-01", "2020-02-03", ""]}
    )
    plan = [Column("n", "number", "plain"), Column("i", "category"), Column("b", "boolean"), Column("d", "date", "%Y-%m-%d", "2020-01-01")]
    pd.testing.assert_frame_equal(features(typed, plan), features(texts, plan))


def test_notes_say_what_was_left_out_and_filled() -> None:
    plan = [Column("age", "number", "plain"), Column("port", "category"), Column("day", "date", "%d/%m/%Y", "2020-01-01")]
    left = [Left("id", "it is an id"), Left("key", "it is an id"), Left("name", "it is free text")]
    train = pd.DataFrame({"age": ["", "", "3"], "port": ["a", "", "b"], "day": ["1/2/2020", "", "x"]})
    assert describe(plan, left, train) == [
        "Left out: id, key, because they are ids.",
        "Left out: name, because it is free text.",
        "Date: day (read as day/month/year) becomes year, month, day, weekday and days.",
        "Not dates: 1 training values of day are treated as missing.",
        "Missing in the training part: age 2 (median, and a flag), port 1 (a category of its own), day 1 (median, and a flag).",
    ]


def test_long_lists_of_names_are_cut() -> None:
    left = [Left(f"c{number}", "it is empty") for number in range(12)]
    assert describe([], left, pd.DataFrame()) == ["Left out: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 2 more, because they are empty."]
