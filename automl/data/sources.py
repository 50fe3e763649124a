"""What a data specification's ``source`` stands for: a built-in data set or a file, opened but not yet taken apart."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from automl.data.arrays import Arrays
from automl.data.builtin import NAMES, Frame, canonical, read_builtin
from automl.data.dataset import is_dataset, open_dataset
from automl.data.picturefiles import PictureFiles
from automl.data.pictures import SUFFIXES as PICTURES
from automl.data.sequencedata import Sequences
from automl.data.textfiles import TextFiles, holds_texts, is_pattern, matches, read_text_files
from automl.data.tsfiles import TS, open_ts, ts_file_in
from automl.errors import DataError, suggestion
from automl.folders import home_expanded, is_too_long
from automl.spec import DataSpec

SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".csv.gz", ".tsv.gz", ".parquet")  # of tables
FILES = (*SUFFIXES, ".npz", TS)
_OF_SUFFIX = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), "Save the sheet as CSV in the program that made it."),
    **dict.fromkeys((".zip", ".7z", ".tar", ".tgz", ".bz2", ".xz"), "Unpack it, and give the file that was in it."),
    **dict.fromkeys((".feather", ".arrow", ".pkl", ".pickle", ".h5", ".hdf5", ".dta", ".sav", ".sas7bdat", ".rds"), "Save it as Parquet."),
    **dict.fromkeys((".json", ".jsonl", ".xml", ".html", ".db", ".sqlite"), "Save it as CSV or Parquet."),
}
_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")  # that are nothing else


@dataclass(frozen=True, slots=True)
class TableFile:
    """The bytes of a table's file, and of the file with its test rows where there is one.

    ``more``: further files with rows of the same table, and their bytes; ``title`` is what all of them together are called.
    """

    where: str
    content: bytes
    test_where: str = ""
    test_content: bytes = b""
    more: tuple[tuple[str, bytes], ...] = ()
    title: str = ""

    @property
    def name(self) -> str:
        """The file's name without what follows its first full stop (not counting a leading one)."""
        if self.title:
            return self.title
        name = Path(self.where).name
        return name[:1] + name[1:].partition(".")[0]

    def digest(self) -> str:
        """sha256 of all files."""
        contents = (self.content, self.test_content, *(content for _, content in self.more))
        parts = (hashlib.sha256(content).hexdigest() for content in contents)
        return " ".join(parts)


Source = Arrays | Frame | TableFile | PictureFiles | TextFiles | Sequences


def open_source(spec: DataSpec) -> Source:
    """The built-in data set of this name, what lies at this path, or what a person's own function makes.

    Raises ``DataError`` where there is nothing of these.
    """
    name = canonical(spec.source)
    if name is not None:
        return read_builtin(name)
    path = home_expanded(spec.source)
    if is_too_long(path):
        raise DataError(f"{spec.source[:60]}...: must be a path that a file can have, but is longer than any. Check it.")
    if is_pattern(spec.source):
        tables = [file for file in matches(spec.source) if file.name.lower().endswith(_TABLES)]
        return _open_tables(spec, tables) if tables else _open_texts(spec)
    if path.is_dir():
        return _open_folder(spec, path)
    if is_dataset(spec.source) and not path.exists():
        return open_dataset(spec)
    _check_file(spec.source, path)
    if path.suffix.lower() == ".npz":
        from automl.data.npz import open_npz

        return open_npz(spec)
    if path.suffix.lower() == TS:
        return open_ts(spec, _read)
    content = _read(spec.source)
    test = (spec.test, _read(spec.test)) if isinstance(spec.test, str) else None
    if spec.image is not None:
        from automl.data.picturefiles import open_paths

        return open_paths(spec, content, test)
    return TableFile(spec.source, content, *(test or ()))


def _open_folder(spec: DataSpec, folder: Path) -> Source:
    """What lies in a folder, by what most of its files are."""
    from automl.data.idxfiles import has_idx, open_idx
    from automl.data.picturefiles import has_pictures, open_folder

    if has_idx(folder):
        return open_idx(spec)
    if has_pictures(folder):
        return open_folder(spec)
    tables = sorted(file for file in folder.iterdir() if file.name.lower().endswith(_TABLES) and not file.name.startswith("."))
    if tables and not any(folder.glob("*/*.txt")):
        return _open_tables(spec, tables)
    if (cases := ts_file_in(spec.source, folder)) is not None:
        return open_ts(replace(spec, source=cases), _read)
    if holds_texts(folder):
        return _open_texts(spec)
    raise DataError(
        f"{spec.source}: must hold folders of pictures or of .txt files, one for each class, a file of texts for each class, the files of "
        f"a table, or .ts files, but holds none. Give such a folder, or a file that ends in {', '.join(FILES)}."
    )


def _open_tables(spec: DataSpec, files: Sequence[Path]) -> TableFile:
    """One table in several files, in the order of their names."""
    (where, content), *more = [(str(file), _read(str(file))) for file in files]
    test = (spec.test, _read(spec.test)) if isinstance(spec.test, str) else ("", b"")
    return TableFile(where, content, *test, tuple(more), data_name(spec.source))


def data_name(source: str) -> str:
    """What data are called after their path: a file or folder by its name, a pattern by what is plain in it, else by its folder."""
    path = Path(source)
    stem = re.sub(r"[*?\[\]]+", "", path.stem).strip("._- ")
    return stem or path.parent.resolve().name


def _open_texts(spec: DataSpec) -> Source:
    return read_text_files(spec.source, spec.test if isinstance(spec.test, str) else None, spec.drop)


def _check_file(source: str, path: Path) -> None:
    if not path.exists():
        raise DataError(_absent(source))
    if path.name.lower().endswith(PICTURES):
        raise DataError(f"{source}: must be a folder of pictures, in a folder for each class, but is one picture. Give that folder.")
    if not path.name.lower().endswith(FILES):
        raise DataError(
            f"{source}: the file's name must end in {', '.join(FILES)}, but ends in {path.suffix or path.name!r}. "
            f"{_OF_SUFFIX.get(path.suffix.lower(), 'Rename or convert it.')}"
        )


def _read(source: str) -> bytes:
    """The bytes of a table's file."""
    path = home_expanded(source)
    if path.is_dir():
        raise DataError(f"{source}: must be a file with a table, but is a folder. Give a CSV or Parquet file.")
    _check_file(source, path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{source}: must be readable, but is not ({error.strerror}). Check its permissions.") from error
    if not content:
        raise DataError(f"{source}: must have a header and rows, but is empty. Give a file with data.")
    return content


def _absent(source: str) -> str:
    path = home_expanded(source)
    if len(path.parts) == 1 and not path.suffix:
        return f"{source}: must be a built-in data set or a file, but is neither. Built in: {', '.join(NAMES)}.{suggestion(source, NAMES)}"
    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = suggestion(path.name, beside) or " Check the path."
    return f"{source}: must be a file, but is not there.{near}"
