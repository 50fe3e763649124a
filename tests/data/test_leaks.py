"""Warnings of what may be wrong with a table: each where it is wrong, and none on ordinary data sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl.data import inspect
from automl.spec import DataSpec

SHARED = Path(os.environ.get("AUTOML_SHARED_DATA") or Path(__file__).resolve().parents[2].parent / "shared" / "data") / "tabular"
ROWS = 600


def ordinary(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A table with nothing wrong: numbers, a category, dates in no order, a class that depends on some of them, with noise."""
    draws = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": draws.normal(40, 9, rows).round(1),
            "income": draws.lognormal(8, 1, rows).round(),
            "town": draws.choice(["Bern", "Chur", "Basel"], rows),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(draws.integers(0, 900, rows), unit="D"),
        }
    )
    frame["price"] = (frame.age * 3 + frame.income / 99 + draws.normal(0, 30, rows)).round(2)
    frame["kind"] = np.where(frame.price + draws.normal(0, 40, rows) > 150, "dear", "cheap")
    return frame


def warnings(tmp_path: Path, frame: pd.DataFrame, target: str = "kind", test: pd.DataFrame | None = None, **options: object) -> list[str]:
    path, test_path = tmp_path / "data.csv", tmp_path / "later.csv"
    frame.to_csv(path, index=False)
    if test is not None:
        test.to_csv(test_path, index=False)
        options["test"] = str(test_path)
    return list(inspect(DataSpec(str(path), target=target, **options)).warnings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes", "digits", "xor"])
def test_built_in_data_raise_no_false_alarm(name: str) -> None:
    assert inspect(DataSpec(name)).warnings == ()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real tables are not on this machine")
@pytest.mark.parametrize(
    ("file", "target", "test"),
    [
        ("titanic.csv", "Survived", None),
        ("titanic.csv", "Fare", None),
        ("penguins.csv", "species", None),
        ("penguins.csv", "body_mass_g", None),
        ("california_housing.csv", "median_house_value", None),
        ("adult-train.csv", "column_15", "adult-test.csv"),
    ],
)
def test_real_tables_raise_no_false_alarm(file: str, target: str, test: str | None) -> None:
    assert inspect(DataSpec(str(SHARED / file), target=target, test=str(SHARED / test) if test else None)).warnings == ()


@pytest.mark.parametrize("target", ["kind", "price"])
def test_an_ordinary_table_raises_no_false_alarm(tmp_path: Path, target: str) -> None:
    assert warnings(tmp_path, ordinary(), target) == []
    assert warnings(tmp_path, ordinary(), target, test=ordinary(200, seed=1)) == []
    assert warnings(tmp_path, ordinary(60), target) == []


LEAKS: list[tuple[Callable[[pd.DataFrame], object], str]] = [
    (lambda frame: frame.kind.map({"dear": "d", "cheap": "c"}), "kind"),
    (lambda frame: (frame.kind == "dear") * 1, "kind"),
    (lambda frame: np.where(frame.kind == "dear", 5, -5) + frame.age / 99, "kind"),
    (lambda frame: frame.price * 7 - 3, "price"),
    (lambda frame: np.log(frame.price - frame.price.min() + 1), "price"),
]


@pytest.mark.parametrize(("made", "target"), LEAKS)
def test_a_column_that_tells_the_target(tmp_path: Path, made: Callable[[pd.DataFrame], object], target: str) -> None:
    frame = ordinary()
    frame["code"] = made(frame)
    assert warnings(tmp_path, frame.drop(columns=[name for name in ("kind", "price") if name != target]), target) == [
        "Leak? code tells the target alone, in rows that were not looked at to find out how. If it is not known before the target is, "
        "leave it out: --drop 'code'."
    ]


def test_what_tells_the_target_in_a_few_rows_is_no_suspicion(tmp_path: Path) -> None:
    frame = ordinary(60)
    frame["code"] = (frame.kind == "dear") * 1
    assert warnings(tmp_path, frame) == []


def test_a_column_that_is_filled_in_once_the_class_is_known(tmp_path: Path) -> None:
    frame = ordinary()
    frame["sold"] = np.where(frame.kind == "dear", frame.age, None)
    frame.loc[frame.index[:30:3], "sold"] = 40.5
    (warning,) = warnings(tmp_path, frame)
    assert warning.startswith("Leak? Whether sold has a value tells the class in 9")
    assert warning.endswith(" of the training rows. If it is filled in only once the class is known, leave it out: --drop 'sold'.")


def test_numbers_that_add_up_to_the_target(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    frame = pd.DataFrame(draws.integers(0, 999, (ROWS, 3)), columns=["casual", "registered", "wind"])
    frame["total"] = frame.casual + frame.registered
    assert warnings(tmp_path, frame, "total") == [
        "Leak? A weighted sum of casual, registered is the target. If they are parts of it that are not known before it is, leave them "
        "out: --drop 'casual' --drop 'registered'."
    ]


def test_copies_of_rows_fall_into_several_splits(tmp_path: Path) -> None:
    frame = ordinary()
    found = warnings(tmp_path, pd.concat([frame, frame.head(300)]))
    assert [warning.split(" are training rows as well")[0].split(" of the ")[1] for warning in found] == ["validation rows", "test rows"]
    assert found[0].endswith(
        " of the validation rows are training rows as well, alike in every column but the target. What is measured on them says nothing of "
        "new rows: remove the copies before the data are split."
    )
    numbered = pd.concat([frame, frame.head(300)]).reset_index(names="row_id")
    numbered["row_id"] = np.random.default_rng(0).permutation(len(numbered)) * 7
    assert len(warnings(tmp_path, numbered)) == 2


def test_rows_that_are_alike_by_chance_are_no_copies(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    frame = pd.DataFrame({name: draws.integers(0, 3, ROWS) for name in "abc"})
    frame["kind"] = draws.choice(["x", "y"], ROWS)
    assert warnings(tmp_path, frame) == []


def test_copies_of_another_class(tmp_path: Path) -> None:
    frame = ordinary()
    other = frame.head(300).assign(kind=frame.kind.head(300).map({"dear": "cheap", "cheap": "dear"}))
    found = warnings(tmp_path, pd.concat([frame, other]))[-1]
    assert found.startswith("Contradictions: ")
    assert found.endswith(
        " of the training rows have a copy of another class, alike in every column but the target. No model can tell them apart: correct "
        "them, or add what sets them apart."
    )


def test_whole_numbers_that_only_name_the_rows(tmp_path: Path) -> None:
    frame = ordinary()
    frame["customer"] = np.random.default_rng(0).permutation(ROWS) + 1000
    assert warnings(tmp_path, frame) == [
        "Id? customer has another whole number in each row. If it names the rows, leave it out: --drop 'customer'."
    ]


def test_rows_in_the_order_of_time(tmp_path: Path) -> None:
    frame = ordinary().sort_values("since")
    assert warnings(tmp_path, frame) == [
        "Time: the rows stand in the order of since, but are split at random. If later rows are to be predicted from earlier ones, results "
        "will be too good: give the latest rows as a file of their own (--test FILE)."
    ]


def test_a_test_file_that_is_unlike_the_training_rows(tmp_path: Path) -> None:
    later = ordinary(300, seed=1)
    later["town"] = later.town.replace("Bern", "BERN")
    later["income"] = later.income / 1000
    found = warnings(tmp_path, ordinary(), test=later)
    assert [warning.split(" that no training")[0].split(" of the ")[-1] for warning in found] == [
        "Drift: income is distributed otherwise in the test file than in training. Check that both files have it in the same unit; else "
        "the test result says how models do on other data than they were chosen by.",
        "test rows have a value of town",
    ]
    assert found[1].endswith(
        " of the test rows have a value of town that no training row has, such as 'BERN'. Check that both files write it alike."
    )


def test_a_class_that_is_nearly_all(tmp_path: Path) -> None:
    frame = ordinary()
    frame["kind"] = np.where(np.arange(ROWS) % 20 == 0, "yes", "no")
    assert warnings(tmp_path, frame) == [
        "Imbalance: 95.1% of the training samples are of class 'no', so that always saying so reaches that accuracy; the others have 19. "
        "Search for another objective, such as {maximize: balanced_accuracy} or {maximize: roc_auc}, and let rare classes count for more: "
        "class_weights: balanced."
    ]


def test_folds_are_looked_at_once(tmp_path: Path) -> None:
    frame = ordinary()
    frame["code"] = (frame.kind == "dear") * 1
    assert len(warnings(tmp_path, frame, folds=3)) == 1


def test_numbers_too_large_for_float32_are_looked_at_too(tmp_path: Path) -> None:
    rows = "\n".join(f"{n}e300,{n * 7 % 13},{'ab'[n % 2]}" for n in range(1, 400))
    (tmp_path / "large.csv").write_text(f"size,other,label\n{rows}\n")
    assert inspect(DataSpec(str(tmp_path / "large.csv"), "label")).task == "binary"
