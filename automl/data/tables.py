"""Reading tables: CSV in the forms that are about, and Parquet. Cells of CSV stay texts; what they mean is decided on training rows."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pandas as pd

from automl.data.values import MISSING, is_number
from automl.errors import DataError, MissingExtraError, listed, suggestion

DELIMITERS = (",", ";", "\t", "|")
_DOCUMENTS = {
    ("<!doctype", "<html", "<?xml"): "a web page",
    ("{", "[{", "[["): "JSON",
    ("version https://git-lfs",): "a pointer of Git LFS",
}
_OTHER_FORMATS = {
    b"PK\x03\x04": ("an Excel workbook or another zip file", "Save the sheet as CSV in the program that made it, or unpack the file."),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "Save the sheet as CSV in the program that made it."),
    b"SQLite format 3\0": ("a SQLite database", "Export the table as CSV."),
    b"%PDF-": ("a PDF document", "Get the table as CSV."),
    b"BZh": ("compressed with bzip2", "Unpack it, or compress it with gzip."),
    b"\xfd7zXZ\0": ("compressed with xz", "Unpack it, or compress it with gzip."),
}
_TABLE = "text with a table in it", "Save it as CSV in UTF-8, or as Parquet."
WHITESPACE = r"\s+"
SAMPLE_ROWS = 200
CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Table:
    """A table's cells. ``header``: whether its file names the columns; they are ``column_1``, ``column_2``, ... where it does not."""

    where: str
    frame: pd.DataFrame
    header: bool = True


def read_table(where: str, content: bytes, names: Iterable[str] = (), like: Table | None = None) -> Table:
    """The table in the bytes of a CSV or Parquet file called ``where``.

    ``names`` are columns that the file should have: a first row that has one of them is a header. ``like`` is the training table of
    which this is the test table; they agree on whether there is a header. Raises ``DataError`` for whatever cannot be read.
    """
    if content[:4] == b"PAR1" or where.lower().endswith(".parquet"):
        return Table(where, _read_parquet(where, content))
    text = re.sub(r"\Asep=.(?=\r?\n)", "", decoded(where, _unzip(where, content), *_TABLE))  # a line for spreadsheets
    _refuse_documents(where, text)
    delimiter, sample = _sniff(text)
    if not sample:
        raise DataError(f"{where}: must have a header and rows, but is empty. Give a file with data.")
    if like is not None and not like.header:
        header = False
    else:
        header = like is not None or any(name in sample[0] for name in names) or _has_header(sample)
    frame = _parse(where, text, delimiter, [name or f"unnamed_{number}" for number, name in enumerate(sample[0], 1)] if header else None)
    return Table(where, frame, header)


def read_files(where: str, content: bytes, more: Sequence[tuple[str, bytes]], names: Iterable[str] = ()) -> Table:
    """The table in these files, one below the other. Raises ``DataError`` where a file has other columns than the first one."""
    first = read_table(where, content, names)
    tables = [first, *(read_table(other, its_content, like=first) for other, its_content in more)]
    columns = [str(name) for name in first.frame.columns]
    for table in tables[1:]:
        own = [str(name) for name in table.frame.columns]
        if sorted(own) != sorted(columns):
            raise DataError(
                f"{table.where}: must have the columns of {where} ({listed(columns, 10)}), but has {listed(own, 10)}. "
                "Leave the file out, or name its columns alike."
            )
    if len(tables) == 1:
        return first
    return replace(first, frame=pd.concat([table.frame[list(first.frame.columns)] for table in tables], ignore_index=True))


def find_column(where: str, frame: pd.DataFrame, name: str) -> str:
    """The column of this name, or of this number where no column is called so: 1 is the first, -1 the last."""
    columns = [str(column) for column in frame.columns]
    if name in columns:
        return name
    if re.fullmatch(r"-?\d+", name) and (1 <= int(name) <= len(columns) or -len(columns) <= int(name) <= -1):
        return columns[int(name) - 1 if int(name) > 0 else int(name)]
    if columns == _numbered(len(columns)):
        raise DataError(
            f"{where}: column {name!r} is not there, since the file has no header: its columns are column_1 to column_{len(columns)}. "
            "Give the name or number of one (-1: the last), or write a first line with names."
        )
    raise DataError(f"{where}: column {name!r} is not there. Columns: {listed(columns)}.{suggestion(name, columns)}")


def _numbered(count: int) -> list[str]:
    """The names of columns in a file without a header."""
    return [f"column_{number}" for number in range(1, count + 1)]


# -- bytes to text -----------------------------------------------------------------------------------------------------


def _unzip(where: str, content: bytes) -> bytes:
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where}: must be a whole gzip file, but is damaged ({error}). Get or make the file again.") from error


def decoded(where: str, content: bytes, wanted: str, advice: str) -> str:
    """UTF-8 (with or without a mark), UTF-16 with its mark, else Windows-1252 or Latin-1 unless that gives control characters.

    ``wanted`` says what the file should be, ``advice`` what to do where it is not.
    """
    for beginning, (kind, way) in _OTHER_FORMATS.items():
        if content.startswith(beginning):
            raise DataError(f"{where}: must be {wanted}, but is {kind}. {way}")
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252", "latin-1")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text and len(CONTROL.findall(text, 0, 100_000)) <= 0.02 * min(len(text), 100_000):
            return text
    raise DataError(f"{where}: must be {wanted}, but holds binary data. {advice}")


# -- form --------------------------------------------------------------------------------------------------------------


def _sniff(text: str) -> tuple[str, list[list[str]]]:
    """The delimiter that gives most of the first rows the width of the very first, and those rows; a comma for a single column."""
    found: tuple[float, int, str, list[list[str]]] = (0.0, 1, ",", _rows(text, ","))
    for delimiter in DELIMITERS:
        rows = _rows(text, delimiter)
        width = len(rows[0]) if rows else 1
        agreement = sum(len(row) == width for row in rows) / max(len(rows), 1)
        if width > 1 and (agreement, width) > found[:2]:
            found = (agreement, width, delimiter, rows)
    if found[1] == 1:
        rows = [line.split() for line in itertools.islice(filter(str.strip, text.splitlines()), SAMPLE_ROWS)]
        if rows and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
            return WHITESPACE, rows
    return found[2], found[3]


def _rows(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = ([cell.strip() for cell in row] for row in reader)
        return list(itertools.islice((row for row in rows if any(row)), SAMPLE_ROWS))
    except csv.Error:
        return []


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: it has words above numbers, or no numbers above numbers and no value of a later row."""
    first, rest = rows[0], rows[1:]
    words_above_numbers = numbers_above_numbers = repeated = 0
    for index, cell in enumerate(first):
        below = [row[index] for row in rest if index < len(row) and row[index] not in MISSING]
        numeric = bool(below) and sum(map(is_number, below)) >= 0.9 * len(below)
        words_above_numbers += numeric and cell not in MISSING and not is_number(cell)
        numbers_above_numbers += numeric and is_number(cell)
        repeated += cell in below
    if words_above_numbers:
        return True
    return not numbers_above_numbers and not repeated


def _parse(where: str, text: str, delimiter: str, names: list[str] | None) -> pd.DataFrame:
    options: dict[str, Any] = {"sep": delimiter} if delimiter == WHITESPACE else {"sep": delimiter, "skipinitialspace": True}
    try:
        frame = cast("pd.DataFrame", pd.read_csv(io.StringIO(text), header=None, dtype=str, keep_default_na=False, engine="c", **options))
    except pd.errors.ParserError as error:
        raise DataError(_ragged(where, str(error))) from error
    if names is not None:
        _refuse_twins(where, names)
        frame = frame.iloc[1:]
    elif len(frame.columns) == 1:
        raise DataError(f"{where}: must have several columns, but has one. Separate the values with commas, semicolons or tabs.")
    if names is not None and len(names) != len(frame.columns):
        counts = f"{len(names)} of them are above rows of {len(frame.columns)}"
        raise DataError(f"{where}: there must be a name for each column, but {counts}. Put values with separators into double quotes.")
    frame.columns = pd.Index(names or _numbered(len(frame.columns)))
    if not len(frame):
        raise DataError(f"{where}: must have rows below its header, but has none. Give a file with data.")
    stripped = {name: frame[name].fillna("").str.strip() for name in frame}
    return pd.DataFrame(stripped).reset_index(drop=True)


def _refuse_documents(where: str, text: str) -> None:
    """What is often saved under a table's name: an error page, records in JSON, what git leaves where a large file was not fetched."""
    head = text[:200].lstrip().lower()
    for beginnings, kind in _DOCUMENTS.items():
        if head.startswith(beginnings):
            raise DataError(f"{where}: must be a table, but begins like {kind}. Get the file again, or save it as CSV.")


def _ragged(where: str, error: str) -> str:
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error)
    if found:
        expected, line, saw = found.groups()
        if expected == "1":
            return (
                f"{where}: the first line must have the names of the columns, but has one value where line {line} has {saw}. "
                "Remove what is above the header."
            )
        return (
            f"{where}:{line}: a row must have {expected} values, but this has {saw}. Put values with separators in them into double quotes."
        )
    return f"{where}: must be a table, but cannot be taken apart ({error.strip()}). Look for an open quotation mark."


def _refuse_twins(where: str, names: Iterable[str]) -> None:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise DataError(f"{where}: column names must differ, but {twins[0]!r} is there more than once. Rename one of them.")


# -- Parquet -----------------------------------------------------------------------------------------------------------


def _read_parquet(where: str, content: bytes) -> pd.DataFrame:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(f"{where}: Parquet needs pyarrow, which is not installed: pip install 'automl-lanes[parquet]'") from error
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
        _refuse_twins(where, table.column_names)
        frame = cast("pd.DataFrame", table.to_pandas())
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{where}: must be a Parquet file, but cannot be read ({str(error).splitlines()[0]}). Write the file again."
        ) from error
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    frame.columns = frame.columns.map(str)
    if not len(frame) or not len(frame.columns):
        raise DataError(f"{where}: must have columns and rows, but has none. Give a file with data.")
    return frame
