"""CSV in its many forms, and Parquet: the same cells whatever the form, and a sentence for every file that has none."""

from __future__ import annotations

import gzip
import io
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.data import inspect, tables
from automl.data.tables import find_column, read_table
from automl.errors import DataError, MissingExtraError
from automl.spec import DataSpec

CELLS = {"name": ["Ann", "Bo", "Cy, the third"], "height": ["1.5", "", "1.75"], "city": ["Köln", "Rom", "Köln"]}


def cells(content: str | bytes, where: str = "data.csv", **options: object) -> dict[str, list[str]]:
    table = read_table(where, content.encode() if isinstance(content, str) else content, **options)  # type: ignore[arg-type]
    return {str(name): column.tolist() for name, column in table.frame.items()}


def written(separator: str, encoding: str = "utf-8", end: str = "\n") -> bytes:
    return pd.DataFrame(CELLS).to_csv(index=False, sep=separator, lineterminator=end).encode(encoding)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_encodings_and_line_ends_make_no_difference(separator: str, encoding: str, end: str) -> None:
    assert cells(written(separator, encoding, end)) == CELLS


def test_the_quotation_marks_and_dashes_of_windows() -> None:
    assert cells("a,b\n“x”,1 €\ny – z,2\n".encode("cp1252")) == {"a": ["“x”", "y – z"], "b": ["1 €", "2"]}


def test_a_gzipped_table_is_the_same_table() -> None:
    assert cells(gzip.compress(written(",")), "data.csv.gz") == CELLS


def test_blanks_around_cells_and_blank_lines_are_nothing() -> None:
    assert cells("a, b ,c\n\n1 , x y,2\n3,z , 4\n\n") == {"a": ["1", "3"], "b": ["x y", "z"], "c": ["2", "4"]}


def test_columns_that_are_lined_up_with_blanks() -> None:
    assert cells("  1.5   2  a\n 10.5  20  b\n") == {"column_1": ["1.5", "10.5"], "column_2": ["2", "20"], "column_3": ["a", "b"]}


def test_semicolons_between_numbers_with_decimal_commas() -> None:
    assert cells("a;b\n1,5;2,5\n3,5;4,5\n") == {"a": ["1,5", "3,5"], "b": ["2,5", "4,5"]}


def test_line_breaks_and_separators_within_quotation_marks() -> None:
    assert cells('a,b\n"x\ny","1,2"\nz,3\n') == {"a": ["x\ny", "z"], "b": ["1,2", "3"]}


def test_short_rows_end_in_missing_cells() -> None:
    assert cells("a,b,c\n1,2,3\n4,5\n")["c"] == ["3", ""]


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ("age,name\n3,Ann\n4,Bo\n", True),
        ("3,Ann\n4,Bo\n5,Cy\n", False),
        ("name,city\nAnn,Rome\nBo,Oslo\n", True),
        ("yes,no\nno,no\nyes,yes\n", False),
        ("city,2019,2020\nRome,5,6\nOslo,7,8\n", False),
        (",age\n0,30\n1,40\n", True),
        ("?,1,a\n3,2,b\n4,3,a\n", False),
    ],
)
def test_a_header_has_words_above_numbers(content: str, header: bool) -> None:
    assert read_table("data.csv", content.encode()).header is header


def test_a_first_row_with_the_wanted_column_is_a_header() -> None:
    assert list(cells("city,2019,2020\nRome,5,6\nOslo,7,8\n", names=["2020"])) == ["city", "2019", "2020"]


def test_a_test_table_has_a_header_where_the_training_table_has() -> None:
    training = read_table("data.csv", b"a,b\nx,y\nz,w\n")
    assert list(cells("a,b\na,y\n", like=training)) == ["a", "b"]
    training = read_table("data.csv", b"1,x\n2,y\n")
    assert cells("x,y\n", like=training) == {"column_1": ["x"], "column_2": ["y"]}


@settings(deadline=None)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1), min_size=2, max_size=2
        ),
        min_size=1,
        max_size=8,
    )
)
def test_reading_gives_what_was_written(rows: list[list[str]]) -> None:
    text = io.StringIO()
    pd.DataFrame(rows, columns=["first", "second"]).to_csv(text, index=False)
    read = cells(text.getvalue(), names=["first"])
    assert [list(row) for row in zip(*read.values(), strict=True)] == [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize(("name", "column"), [("b", "b"), ("2", "b"), ("-1", "c"), ("-3", "a")])
def test_columns_are_found_by_name_or_number(name: str, column: str) -> None:
    assert find_column("data.csv", pd.DataFrame({"a": [1], "b": [2], "c": [3]}), name) == column


def test_a_column_called_by_a_number_comes_first() -> None:
    assert find_column("data.csv", pd.DataFrame({"2": [1], "b": [2]}), "2") == "2"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n\n  \n", "data.csv: must have a header and rows, but is empty. Give a file with data."),
        (b"a,b,c\n", "data.csv: must have rows below its header, but has none. Give a file with data."),
        (b"1\n2\n3\n", "data.csv: must have several columns, but has one. Separate the values with commas, semicolons or tabs."),
        (b"a,b,a\n1,2,3\n", "data.csv: column names must differ, but 'a' is there more than once. Rename one of them."),
        (
            b"a,b\n1,2\n1,2,3\n",
            "data.csv:3: a row must have 2 values, but this has 3. Put values with separators in them into double quotes.",
        ),
        (
            b'a,b\n"1,2\n3,4\n',
            "data.csv: must be a table, but cannot be taken apart (Error tokenizing data. C error: EOF inside string starting at row 1). "
            "Look for an open quotation mark.",
        ),
        (
            bytes(range(256)) * 4,
            "data.csv: must be text with a table in it, but holds binary data. Save it as CSV in UTF-8, or as Parquet.",
        ),
        (
            b"\x89PNG\r\n\x1a\n" + bytes(range(1, 256)) * 4,
            "data.csv: must be text with a table in it, but holds binary data. Save it as CSV in UTF-8, or as Parquet.",
        ),
        (
            b"PK\x03\x04" + bytes(100),
            "data.csv: must be text with a table in it, but is an Excel workbook or another zip file. Save the sheet as CSV in the program "
            "that made it, or unpack the file.",
        ),
        (
            b"\xd0\xcf\x11\xe0" + bytes(100),
            "data.csv: must be text with a table in it, but is an Excel workbook. Save the sheet as CSV in the program that made it.",
        ),
        (b"SQLite format 3\0", "data.csv: must be text with a table in it, but is a SQLite database. Export the table as CSV."),
        (b"%PDF-1.7\n", "data.csv: must be text with a table in it, but is a PDF document. Get the table as CSV."),
        (
            b"BZh91AY",
            "data.csv: must be text with a table in it, but is compressed with bzip2. Unpack it, or compress it with gzip.",
        ),
        (
            b"\xfd7zXZ\0\0",
            "data.csv: must be text with a table in it, but is compressed with xz. Unpack it, or compress it with gzip.",
        ),
        (
            gzip.compress(b"a,b\n1,2\n", mtime=0)[:-4],
            "data.csv: must be a whole gzip file, but is damaged (Compressed file ended before the end-of-stream marker was reached). "
            "Get or make the file again.",
        ),
    ],
)
def test_files_that_are_no_tables(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_table("data.csv", content)


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "size": [float(number) + 0.5 for number in range(40)],
            "kind": pd.Categorical(["a", "b"] * 20),
            "when": pd.date_range("2020-01-01", periods=40),
            "good": [True, False] * 20,
            "price": [number * 1.5 for number in range(40)],
        }
    )
    frame.to_parquet(tmp_path / "data.parquet")
    info = inspect(DataSpec(str(tmp_path / "data.parquet"), target="price"))
    assert (info.task, info.input_shape) == ("regression", (1 + 2 + 4 + 1,))
    assert info.notes == ("Date: when (from 2020-01-01) becomes year, month, day, weekday and days.",)


def test_damaged_parquet() -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=r"^data\.parquet: must be a Parquet file, but cannot be read \(.+\)\. Write the file again\.$"):
        read_table("data.parquet", b"PAR1 and then nothing")


def test_parquet_without_rows() -> None:
    pytest.importorskip("pyarrow")
    content = io.BytesIO()
    pd.DataFrame({"a": [1.0]})[:0].to_parquet(content)
    message = "data.parquet: must have columns and rows, but has none. Give a file with data."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_table("data.parquet", content.getvalue())


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = "data.parquet: Parquet needs pyarrow, which is not installed: pip install 'automl-lanes[parquet]'"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(message)}$"):
        read_table("data.parquet", b"PAR1")


def test_files_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions mean nothing to root, so the refusal is made up."""

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    message = f"{path}: must be readable, but is not (Permission denied). Check its permissions."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(DataSpec(str(path), target="b"))


def test_a_column_of_a_file_without_a_header() -> None:
    table = read_table("data.csv", b"1,2,a\n3,4,b\n5,6,a\n", ["y"])
    assert [find_column("data.csv", table.frame, name) for name in ("-1", "column_1")] == ["column_3", "column_1"]
    message = (
        "data.csv: column 'y' is not there, since the file has no header: its columns are column_1 to column_3. "
        "Give the name or number of one (-1: the last), or write a first line with names."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        find_column("data.csv", table.frame, "y")


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    for suffix in ("xlsx", "zip", "doc"):
        (tmp_path / f"book.{suffix}").write_text("x")
    (tmp_path / "nothing").mkdir()
    expected = {
        "price.csv": "must be a file, but is not there. Did you mean 'prices.csv'?",
        "other/x.csv": "must be a file, but is not there. Check the path.",
        "empty.csv": "must have a header and rows, but is empty. Give a file with data.",
        "book.xlsx": "the file's name must end in .csv, .tsv, .txt, .data, .csv.gz, .tsv.gz, .parquet, .npz, .ts, but ends in '.xlsx'. "
        "Save the sheet as CSV in the program that made it.",
        "book.zip": "the file's name must end in .csv, .tsv, .txt, .data, .csv.gz, .tsv.gz, .parquet, .npz, .ts, but ends in '.zip'. "
        "Unpack it, and give the file that was in it.",
        "book.doc": "the file's name must end in .csv, .tsv, .txt, .data, .csv.gz, .tsv.gz, .parquet, .npz, .ts, but ends in '.doc'. "
        "Rename or convert it.",
        "nothing": "must hold folders of pictures or of .txt files, one for each class, a file of texts for each class, the files of a "
        "table, or .ts files, but holds none. "
        "Give such a folder, or a file that ends in .csv, .tsv, .txt, .data, .csv.gz, .tsv.gz, .parquet, .npz, .ts.",
    }
    for name, message in expected.items():
        source = str(tmp_path / name)
        with pytest.raises(DataError, match=f"^{re.escape(source)}: {re.escape(message)}$"):
            inspect(DataSpec(source, target="a"))
    source = str(tmp_path / "prices.csv")
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path / 'price.csv'))}: {re.escape(expected['price.csv'])}$"):
        inspect(DataSpec(source, target="b", test=str(tmp_path / "price.csv")))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("<!DOCTYPE html>\n<html><body>not found</body></html>", "a web page"),
        ('\n[{"a": 1, "y": 2}, {"a": 3, "y": 4}]', "JSON"),
        ('{"a": [1, 2]}', "JSON"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n", "a pointer of Git LFS"),
    ],
)
def test_what_is_often_saved_under_a_table_s_name_is_recognised(content: str, kind: str) -> None:
    message = f"rows.csv: must be a table, but begins like {kind}. Get the file again, or save it as CSV."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_table("rows.csv", content.encode())


def test_the_line_that_tells_spreadsheets_the_separator_is_no_row() -> None:
    assert read_table("rows.csv", b"sep=;\r\na;b\r\n1;2\r\n").frame.to_dict("list") == {"a": ["1"], "b": ["2"]}


def test_a_line_above_the_header_is_named() -> None:
    message = (
        "rows.csv: the first line must have the names of the columns, but has one value where line 2 has 3. "
        "Remove what is above the header."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_table("rows.csv", b"# my data\na,b,y\n1,2,3\n4,5,6\n")


def test_a_path_longer_than_any_is_refused() -> None:
    with pytest.raises(DataError, match=r"^9{60}\.\.\.: must be a path that a file can have, but is longer than any\. Check it\.$"):
        inspect(DataSpec("9" * 300, target="a"))


def test_a_header_of_fewer_names_than_columns_is_refused() -> None:
    with pytest.raises(DataError, match=r"^x\.csv: there must be a name for each column, but 1 of them are above rows of 2\. "):
        tables._parse("x.csv", "a,b\n1,2\n", ",", ["a"])
