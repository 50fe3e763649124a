"""Tables in several files: a folder or a pattern of them is one table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from automl.data import fingerprint, inspect
from automl.data.sources import data_name
from automl.errors import DataError
from automl.spec import DataSpec


def lines(first: int, count: int, header: str = "area,town,price") -> str:
    columns = header.split(",")
    rows = [{"area": f"{10 + n}.5", "town": "ab"[n % 2], "price": f"{100.25 + 3 * n}"} for n in range(first, first + count)]
    return "\n".join([header, *(",".join(row.get(name, "1") for name in columns) for row in rows)]) + "\n"


def months(folder: Path) -> Path:
    folder.mkdir()
    for number in range(3):
        (folder / f"sales_{number}.csv").write_text(lines(20 * number, 20))
    return folder


def test_a_folder_or_a_pattern_is_the_table_of_all_its_files(tmp_path: Path) -> None:
    folder = months(tmp_path / "sales")
    (tmp_path / "whole.csv").write_text(lines(0, 60))
    whole, parts, some = (
        inspect(DataSpec(str(source), target="price")) for source in (tmp_path / "whole.csv", folder, folder / "sales_[01].csv")
    )
    assert (parts.sizes, parts.input_shape, parts.target_mean) == (whole.sizes, whole.input_shape, whole.target_mean)
    assert (parts.name, sum(some.sizes.values())) == ("sales", 40)


def test_columns_may_stand_in_another_order_but_must_be_the_same(tmp_path: Path) -> None:
    folder = months(tmp_path / "sales")
    (folder / "sales_1.csv").write_text(lines(20, 20, "price,area,town"))
    assert sum(inspect(DataSpec(str(folder), target="price")).sizes.values()) == 60
    (folder / "sales_2.csv").write_text(lines(40, 20, "area,city,price"))
    sentence = (
        f"{folder}/sales_2.csv: must have the columns of {folder}/sales_0.csv (area, town, price), but has area, city, price. "
        "Leave the file out, or name its columns alike."
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        inspect(DataSpec(str(folder), target="price"))


def test_a_change_in_any_file_is_another_table(tmp_path: Path) -> None:
    spec = DataSpec(str(months(tmp_path / "sales")), target="price")
    before = fingerprint(spec)
    (tmp_path / "sales" / "sales_2.csv").write_text(lines(40, 19))
    assert fingerprint(spec) != before


@pytest.mark.parametrize(
    ("source", "name"), [("a/houses.csv", "houses"), ("sales/", "sales"), ("data/sales_*.csv", "sales"), ("data/*.csv", "data"), ("x", "x")]
)
def test_data_are_called_after_what_is_plain_in_their_path(source: str, name: str) -> None:
    assert data_name(source) == name
