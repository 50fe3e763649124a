"""Tables as people have them: what is recognised in real files, known floors reached by linear models, and what can be wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from automl.data import DataInfo, inspect, load, prepare
from automl.errors import DataError
from automl.spec import DataSpec

SHARED = Path(os.environ.get("AUTOML_SHARED_DATA") or Path(__file__).resolve().parents[2].parent / "shared" / "data") / "tabular"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real tables are not on this machine")


def accuracy(spec: DataSpec, folder: Path) -> tuple[DataInfo, float]:
    """Of a logistic regression fitted on training and validation, on the test split."""
    prepare(spec, folder)
    info, arrays = load(folder)
    x, y = (np.concatenate([arrays["train"][part], arrays["validation"][part]]) for part in (0, 1))
    return info, float(LogisticRegression(max_iter=1000).fit(x, y).score(*arrays["test"]))


@real
def test_penguins(tmp_path: Path) -> None:
    info, score = accuracy(DataSpec(str(SHARED / "penguins.csv"), target="species"), tmp_path / "out")
    assert score > 0.95
    assert (info.task, info.classes) == ("multiclass", ("Adelie", "Chinstrap", "Gentoo"))
    assert info.notes == (
        "Missing in the training part: bill_length_mm 2 (median, and a flag), bill_depth_mm 2 (median, and a flag), "
        "flipper_length_mm 2 (median, and a flag), body_mass_g 2 (median, and a flag), sex 5 (a category of its own).",
    )


@real
def test_titanic(tmp_path: Path) -> None:
    info, score = accuracy(DataSpec(str(SHARED / "titanic.csv"), target="Survived"), tmp_path / "out")
    assert score > 0.75
    assert (info.task, info.classes) == ("binary", ("0", "1"))
    assert info.notes == (
        "Left out: PassengerId, because it numbers the rows.",
        "Left out: Ticket, because it is an id or key (476 of 570 values differ).",
        "Free text: of Name it is used which of these words it has: mr, miss, mrs, william, john and 7 more. To learn from its "
        "texts alone: --text Name.",
        "Of Cabin it is only used whether there is a value, because it is an id or key (114 of 135 values differ).",
        "Missing in the training part: Age 119 (median, and a flag), Embarked 1 (a category of its own).",
    )


@real
def test_adult_with_its_official_test_file(tmp_path: Path) -> None:
    spec = DataSpec(str(SHARED / "adult-train.csv"), target="column_15", test=str(SHARED / "adult-test.csv"))
    info, score = accuracy(spec, tmp_path / "out")
    assert score > 0.855  # 0.853 without bins
    assert (info.task, info.classes) == ("binary", ("<=50K", ">50K"))
    assert info.sizes == {"train": 26049, "validation": 6512, "test": 16281}
    assert info.notes[:3] == (
        "Test: 16281 rows of adult-test.csv.",
        "Test: labels are read without the full stop at their end.",
        "Missing in the training part: column_2 1474 (a category of its own), column_7 1477 (a category of its own), "
        "column_14 471 (a category of its own).",
    )


@real
def test_california_housing(tmp_path: Path) -> None:
    """Linear regression is known for an RMSE of about 69,000 dollars; with the numbers in bins it has one of 57,000."""
    info = prepare(DataSpec(str(SHARED / "california_housing.csv"), target="median_house_value"), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    model = Ridge().fit(*arrays["train"])
    rmse = np.sqrt(np.mean((model.predict(arrays["test"][0]) - arrays["test"][1]) ** 2)) * info.target_scale
    assert info.task == "regression"
    assert rmse < 60_000
    assert "Missing in the training part: total_bedrooms 125 (median, and a flag)." in info.notes


# -- what can be wrong with a table ----------------------------------------------------------------------------------------

HOUSES = "area,rooms,price\n" + "".join(f"{40 + 7 * number % 83}.5,{number % 4},{1000 + 37 * number % 811}.25\n" for number in range(40))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "prise"}, "column 'prise' is not there. Columns: area, rooms, price. Did you mean 'price'?"),
        ({"target": "Price"}, "column 'Price' is not there. Columns: area, rooms, price. Did you mean 'price'?"),
        ({"target": "4"}, "column '4' is not there. Columns: area, rooms, price."),
        ({"target": "price", "drop": ("romms",)}, "column 'romms' is not there. Columns: area, rooms, price. Did you mean 'rooms'?"),
        ({"target": "price", "drop": ("price",)}, "drop must leave the target 'price', but lists it. Take it from drop."),
        (
            {"target": "price", "drop": ("area", "rooms")},
            "must have columns to learn from, but has none (there are none beside the target). Add columns, or drop fewer.",
        ),
        (
            {},
            "a table needs a target, the column to be predicted, but none is given. Columns: area, rooms, price. "
            "Give --target, maybe 'price'.",
        ),
        ({"target": "price", "validation": 1.5}, "validation must be a share above 0 and below 1, but is 1.5. Give, say, validation: 0.2."),
        ({"target": "price", "test": 0}, "test must be a share above 0 and below 1, but is 0. Give, say, test: 0.2."),
    ],
)
def test_what_cannot_be_asked_of_a_table(tmp_path: Path, options: dict[str, object], message: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(HOUSES)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {message}')}$"):
        inspect(DataSpec(str(path), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a,b,y\n" + "1,,0\n1,,1\n" * 15,
            "must have columns to learn from, but has none (a: it has the same value in every training row; b: it is empty). "
            "Add columns, or drop fewer.",
        ),
        ("a,y\n1,0.5\n2,1.5\n", "must have at least 3 rows with a target to be split, but has 2. Add rows."),
    ],
)
def test_tables_from_which_nothing_can_be_learnt(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {message}')}$"):
        inspect(DataSpec(str(path), target="y"))


def test_scores_are_classes_or_numbers_as_is_said(tmp_path: Path) -> None:
    path = tmp_path / "wines.csv"
    path.write_text("acid,score\n" + "".join(f"{number % 7}.5,{3 + number % 4}\n" for number in range(60)))
    said = [inspect(DataSpec(str(path), target="score", task=task)) for task in (None, "classification", "regression")]
    assert [info.task for info in said] == ["multiclass", "multiclass", "regression"]
    note = "Target: score has 4 different numbers, taken for classes. For a quantity: --task regression."
    assert [info.notes for info in said] == [(note,), (), ()]


def test_the_usual_name_of_a_target_is_suggested(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("Class,size\na,1\nb,2\n")
    with pytest.raises(DataError, match=r"Columns: Class, size\. Give --target, maybe 'Class'\.$"):
        inspect(DataSpec(str(path)))


def test_a_test_file_without_a_column(tmp_path: Path) -> None:
    path, test = tmp_path / "data.csv", tmp_path / "test.csv"
    path.write_text(HOUSES)
    test.write_text(HOUSES.replace("rooms", "room"))
    message = (
        f"{test}: a test file must have the columns of the training data, but 'rooms' is not there. "
        "Columns: area, room, price. Did you mean 'room'?"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(DataSpec(str(path), target="price", test=str(test)))
    assert inspect(DataSpec(str(path), target="price", test=str(test), drop=("rooms",))).sizes == {"train": 32, "validation": 8, "test": 40}


def test_rows_without_a_target_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(HOUSES + "50,2,\n60,3,NA\n")
    info = inspect(DataSpec(str(path), target="price"))
    assert sum(info.sizes.values()) == 40
    assert info.notes == ("Left out: 2 of 42 rows, because their target 'price' is missing.",)


def test_classes_that_are_too_rare_for_every_split_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(
        "size,kind\n" + "".join(f"{number * 7 % 31}.5,{'ab'[number % 2] if number else 'c'}\n" for number in range(40)) + "3.5,c\n"
    )
    notes = inspect(DataSpec(str(path), target="kind")).notes
    assert notes == ("Too rare to be in the test part: c.",)


def test_the_only_column_is_used_even_if_it_numbers_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("x,y\n" + "".join(f"{number},{number * number + 0.5}\n" for number in range(60)))
    assert inspect(DataSpec(str(path), target="y")).input_shape == (1,)


def test_rare_categories_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("town,y\n" + "".join(f"t{number % 100},{number % 2}\n" for number in range(600)))
    assert inspect(DataSpec(str(path), target="y")).notes == ("Rare categories are taken together: town.",)
