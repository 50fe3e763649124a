"""The target: classification or regression, the order of the classes, and what is said where there is nothing to learn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from automl.data.classes import Label, group_classes
from automl.data.targets import Target, kind_of_task, read_target, read_test_target, target_note
from automl.errors import DataError


def target(cells: Sequence[Any], positive: tuple[Label, ...] = ()) -> Target:
    return read_target("data.csv", "y", pd.Series(list(cells)), positive)


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["b", "a"] * 3, ("a", "b")),
        (["10", "9", "1"] * 4, ("1", "9", "10")),
        ([1, 0, 2] * 4, ("0", "1", "2")),
        (["1.0", "1", "0"] * 3, ("0", "1")),
        ([1.0, 0.0] * 3, ("0", "1")),
        ([0.5, 1.5] * 3, ("0.5", "1.5")),
        ([True, False] * 3, ("False", "True")),
        (["none", "some"] * 3, ("none", "some")),
    ],
)
def test_few_different_values_are_classes_in_order(cells: list[Any], classes: tuple[str, ...]) -> None:
    found = target(cells)
    assert found.classes == classes
    assert [found.classes[number] for number in found.values] == [{"1.0": "1", "0.0": "0"}.get(str(cell), str(cell)) for cell in cells]


@pytest.mark.parametrize(
    "cells",
    [
        [0.5, 1.25, 3.0, 0.5],
        ["1.5", "2.5", "3.5", "2.5"],
        [*range(60)],
        [1, 2, 3, 4, 5],
        ["$1,200", "$950", "$3,100.50", "$950"],
        ["1,5", "2,5", "2,75", "2,5"],
    ],
)
def test_fractions_and_many_whole_numbers_are_quantities(cells: list[Any]) -> None:
    found = target(cells)
    assert found.is_regression
    assert found.classes == ()
    assert found.values.min() >= 0


def test_rows_without_a_target_are_not_kept() -> None:
    found = target(["a", "", "b", "?", "a", "b", None])
    assert found.kept.tolist() == [0, 2, 4, 5]
    assert found.values.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("positive", [(1, 3), ("1", "3"), (1.0, 3.0)])
def test_positive_classes_become_class_one(positive: tuple[Label, ...]) -> None:
    found = target([0, 1, 2, 3] * 3, positive)
    assert found.classes == ("0/2", "1/3")
    assert found.values.tolist() == [0, 1, 0, 1] * 3


def test_positive_can_be_a_truth() -> None:
    assert target([True, False] * 3, (False,)).classes == ("True", "False")
    assert group_classes(("no", "yes"), (True,), "x")[1] == ("no", "yes")


def test_positive_makes_classes_of_numbers() -> None:
    assert target([*range(25)] * 2, (3,)).classes[1] == "3"


@pytest.mark.parametrize(
    ("cells", "positive", "message"),
    [
        (["", "?", None], (), "target 'y' must have values, but all 3 are missing. Choose another target."),
        (["a"] * 4, (), "target 'y' must have at least two different values, but has one, 'a'. Choose another target."),
        ([5.5] * 4, (), "target 'y' must have at least two different values, but has one, '5.5'. Choose another target."),
        (
            ["a", "b", "a", "b", "c"],
            (),
            "every class of target 'y' must have at least 2 rows, but 'c' has 1. Remove that row, or add rows of its class.",
        ),
        (
            [f"name {number}" for number in range(9)],
            (),
            "target 'y' must be numbers or classes with several rows each, but has 9 different values in 9 rows. Choose another target.",
        ),
        (
            [*(str(number) for number in range(30)), "n/k"],
            (),
            "target 'y' must be numbers, but 1 of 31 different values are not, such as 'n/k'. "
            "Correct them, or leave them empty to have their rows left out.",
        ),
        (
            [0.5, 1.5, float("inf"), 2.5],
            (),
            "target 'y' must be a finite number in every row, but is not in row 3. Correct it, or leave it empty to have its row left out.",
        ),
        (["cat", "dog", "cow"] * 3, ("cot",), "positive: class 'cot' is not there. Classes: cat, cow, dog. Did you mean 'cow'?"),
        (["cat", "dog"] * 3, (7,), "positive: class 7 is not there. Classes: cat, dog."),
        (["a", "b"] * 3, ("a", "b"), "positive must leave at least one class out, but lists all of them: a, b. Take one away."),
    ],
)
def test_targets_that_cannot_be_learnt(cells: list[Any], positive: tuple[Label, ...], message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(f'data.csv: {message}')}$"):
        target(cells, positive)


def test_a_test_target_is_read_in_the_terms_of_the_training_target() -> None:
    found = target([1, 2, 3] * 4, (2,))
    kept, values, note = read_test_target("test.csv", found, pd.Series(["2.0", "", "3", "1"]))
    assert (kept.tolist(), values.tolist(), note) == ([0, 2, 3], [1, 0, 0], "")


def test_full_stops_after_test_labels_are_ignored_and_noted() -> None:
    found = target(["<=50K", ">50K"] * 3)
    _, values, note = read_test_target("test.csv", found, pd.Series([">50K.", "<=50K."]))
    assert (values.tolist(), note) == ([1, 0], "Test: labels are read without the full stop at their end.")


def test_test_targets_of_a_regression() -> None:
    found = target(["1,234.5", "2,345.5", "12"])
    assert read_test_target("test.csv", found, pd.Series(["3,000"]))[1].tolist() == [3000.0]


@pytest.mark.parametrize(
    ("training", "cells", "message"),
    [
        (
            ["a", "b"] * 3,
            ["a", "c", "d"],
            "the classes of target 'y' must be those of the training data (a, b), but c, d are not among them. "
            "Remove these rows or add such rows to the training data.",
        ),
        (
            ["a", "b"] * 3,
            ["a", "c"],
            "the classes of target 'y' must be those of the training data (a, b), but c is not among them. "
            "Remove these rows or add such rows to the training data.",
        ),
        (["a", "b"] * 3, ["", ""], "target 'y' must have values, but all 2 are missing. Choose another test file."),
        (
            [0.5, 1.5, 2.5],
            ["1", "much"],
            "target 'y' must be a finite number in every row, but is not in row 2. Correct it, or leave it empty to have its row left out.",
        ),
    ],
)
def test_test_targets_that_do_not_fit(training: list[Any], cells: list[str], message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(f'test.csv: {message}')}$"):
        read_test_target("test.csv", target(training), pd.Series(cells))


def test_a_target_of_lists_is_refused() -> None:
    message = "x: target 'y' must be numbers or classes, but holds lists or other values of several parts. Choose another target."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_target("x", "y", pd.Series([[1], [2], [1]]))


# -- what a person says it is ------------------------------------------------------------------------------------------


def as_task(cells: Sequence[Any], task: str | None) -> Target:
    return read_target("data.csv", "y", pd.Series(list(cells)), kind=kind_of_task(task))


@pytest.mark.parametrize("cells", [["3", "5", "4"] * 4, [3, 5, 4] * 4, [*range(30)] * 3, ["1.5", "2.5", "3.5"] * 5])
def test_numbers_are_classes_or_a_quantity_as_the_task_says(cells: list[Any]) -> None:
    classes, numbers = as_task(cells, "classification"), as_task(cells, "regression")
    assert [float(classes.classes[number]) for number in classes.values] == numbers.values.tolist() == [float(cell) for cell in cells]
    assert numbers.is_regression
    assert not classes.is_regression


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        ([3, 5, 4] * 4, "Target: y has 3 different numbers, taken for classes. For a quantity: --task regression."),
        ([*range(30)] * 3, "Target: y has 30 different whole numbers, taken for a quantity. For classes: --task classification."),
        ([0, 1] * 4, ""),
        ([0.5, 1.25, 3.0] * 4, ""),
        (["a", "b", "1"] * 4, ""),
        ([*range(200)] * 3, ""),
        ([*range(30)] * 2, ""),
    ],
)
def test_what_whole_numbers_were_taken_for_is_said_where_it_may_be_wrong(cells: list[Any], note: str) -> None:
    assert target_note(as_task(cells, None)) == note


@pytest.mark.parametrize("cells", [["1", "2", "high"] * 3, [True, False, True] * 3])
def test_a_regression_needs_numbers(cells: list[Any]) -> None:
    words = "2 of 2 different values are not, such as 'False'" if True in cells else "1 of 3 different values are not, such as 'high'"
    message = f"data.csv: target 'y' must be numbers, but {words}. Correct them, or leave them empty to have their rows left out."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        as_task(cells, "regression")


def test_a_regression_has_no_positive_classes() -> None:
    message = "data.csv: positive must be left out of a regression, since it groups classes, but is given. Take it away."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_target("data.csv", "y", pd.Series([1, 2] * 3), ("1",), "numbers")
