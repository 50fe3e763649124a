"""Pictures that lie in files of their own: a folder for each class, or a table that says of each file what it shows."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data.arrays import Arrays
from automl.data.classes import without
from automl.data.pictures import SUFFIXES, form_of, look, read_pictures
from automl.errors import DataError, listed, suggestion
from automl.folders import home_expanded
from automl.spec import DataSpec

TRAIN, VALIDATION, TEST = ("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing")
_SPLIT_FOLDERS = (*TRAIN, *VALIDATION, *TEST)
_READ_AT_ONCE = 2**20
_HIDDEN = (".", "__")  # what programs leave in folders: .ipynb_checkpoints, __MACOSX


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """The files and what each shows: a class number, or a value where there are no ``classes``.

    ``test`` and ``validation`` are those of official splits. ``used``: what of the specification said so.
    """

    name: str
    files: tuple[Path, ...]
    targets: NDArray[Any]
    classes: tuple[str, ...]
    test: tuple[tuple[Path, ...], NDArray[Any]] | None = None
    validation: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    root: Path = field(default_factory=Path)

    def digest(self) -> str:
        """sha256 of the names and contents of all files and of what they show."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for files, targets in ((self.files, self.targets), self.test or ((), np.zeros(0))):
            for file, target in zip(files, targets.tolist(), strict=True):
                digest.update(f"\n{os.path.relpath(file, self.root)}\t{target}\t".encode(errors="surrogateescape"))
                digest.update(_sha256(file))
        return digest.hexdigest()

    def read(self, size: int | None) -> Arrays:
        """All of them in one form. Raises ``DataError`` naming the first file that is no picture."""
        test_files, test_targets = self.test or ((), self.targets[:0])
        form, note = form_of([look(file) for file in (*self.files, *test_files)], size)
        plan = {"reader": "pictures", "height": form.height, "width": form.width, "channels": form.channels}
        return Arrays(
            self.name,
            read_pictures(self.files, form),
            self.targets,
            self.classes,
            1 / 255,
            (read_pictures(test_files, form), test_targets) if self.test else None,
            kind="pictures",
            validation=self.validation,
            notes=(note, *self.notes),
            plan=plan,
            used=("size", *self.used),
        )


def has_pictures(folder: Path) -> bool:
    """Whether a folder holds folders of pictures."""
    return any(True for _ in _pictures_below(folder))


def open_folder(spec: DataSpec) -> PictureFiles:
    """The pictures of a folder with a folder for each class, maybe within ``train``, ``val`` and ``test``.

    Raises ``DataError`` where there are no two classes, or the test pictures show others.
    """
    folder = home_expanded(spec.source)
    train, validation, test = _split_folders(folder, spec.drop)
    if isinstance(spec.test, str):
        test = home_expanded(spec.test)
        if not test.is_dir():
            raise DataError(f"{spec.test}: must be a folder with a folder of test pictures for each class, but is none. Check the path.")
    by_class = without(str(train), _by_class(train), spec.drop, [each.name for each in folder.iterdir() if each.is_dir()])
    classes = tuple(by_class)
    if len(classes) < 2:
        raise DataError(_too_few(train, classes))
    files, targets = _listed(by_class, classes)
    held = None
    if validation is not None:
        more, shown = _listed(_checked(validation, classes, spec.drop), classes)
        held = np.arange(len(files), len(files) + len(more), dtype=np.int64)
        files, targets = [*files, *more], np.concatenate([targets, shown])
    official = None
    if test is not None:
        test_files, test_targets = _listed(_checked(test, classes, spec.drop), classes)
        official = (tuple(test_files), test_targets)
    used = ("drop", *(("test",) if isinstance(spec.test, str) else ()))
    name = folder.resolve().name
    return PictureFiles(name, tuple(files), targets, classes, official, held, tuple(_left_out(train, classes, spec.drop)), used, folder)


def open_paths(spec: DataSpec, content: bytes, test: tuple[str, bytes] | None) -> PictureFiles:
    """The pictures that a table names in its column ``image``, relative to the table; the column ``target`` says what they show."""
    from automl.data.tables import find_column, read_table
    from automl.data.targets import kind_of_task, read_target, read_test_target

    assert spec.image is not None
    names = [name for name in (spec.image, spec.target) if name]
    table = read_table(spec.source, content, names)
    image = find_column(table.where, table.frame, spec.image)
    if spec.target is None:
        columns = [str(column) for column in table.frame.columns if column != image]
        raise DataError(
            f"{table.where}: a table of pictures needs a target, the column to be predicted, but none is given. "
            f"Columns: {listed(columns)}. Give --target, maybe {columns[-1] if columns else image!r}."
        )
    name = find_column(table.where, table.frame, spec.target)
    target = read_target(table.where, name, table.frame[name], spec.positive, kind_of_task(spec.task))
    files = _files(table.where, table.frame[image].iloc[target.kept], target.kept)
    notes = []
    if len(target.kept) < len(table.frame):
        notes.append(f"Left out: {len(table.frame) - len(target.kept)} of {len(table.frame)} rows, because their target is missing.")
    official = None
    if test is not None:
        rows = read_table(*test, like=table)
        for column in (image, target.name):
            find_column(rows.where, rows.frame, column)
        kept, values, note = read_test_target(rows.where, target, rows.frame[target.name])
        official = (tuple(_files(rows.where, rows.frame[image].iloc[kept], kept)), values)
        notes += [note] if note else []
    used = ("target", "task", "drop", "image", "positive", *(("test",) if test else ()))
    root = home_expanded(spec.source).parent
    return PictureFiles(
        Path(spec.source).name.partition(".")[0], tuple(files), target.values, target.classes, official, None, tuple(notes), used, root
    )


def _too_few(folder: Path, classes: Sequence[str]) -> str:
    found = f"has pictures of one class only, {classes[0]!r}" if classes else "has none"
    advice = "Add folders with pictures."
    if classes and len(_by_class(folder / classes[0])) > 1:
        advice = f"Give {folder / classes[0]}, if the folders in it are the classes."
    return f"{folder}: must have a folder of pictures for each of at least two classes, but {found}. {advice}"


def _split_folders(folder: Path, drop: Sequence[str]) -> tuple[Path, Path | None, Path | None]:
    """The folders of training, validation and test pictures; all is for training where there is no folder ``train``."""
    below = {each.name.lower(): each for each in sorted(folder.iterdir()) if each.is_dir() and each.name not in drop}

    def named(names: Sequence[str]) -> Path | None:
        return next((below[name] for name in names if name in below and has_pictures(below[name])), None)

    train = named(TRAIN)
    if train is None or any(name not in _SPLIT_FOLDERS for name in below if not name.startswith(_HIDDEN)):
        return folder, None, None
    return train, named(VALIDATION), named(TEST)


def _by_class(folder: Path) -> dict[str, list[Path]]:
    """The pictures below each folder that has any, in the order of their names."""
    classes = sorted(
        (each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(_HIDDEN)), key=lambda each: _order(each.name)
    )
    found = {each.name: sorted(_pictures_in(each)) for each in classes}
    return {name: files for name, files in found.items() if files}


def _order(name: str) -> tuple[bool, int, str]:
    """Numbers by their size, then words."""
    return (False, int(name), name) if name.isascii() and name.isdigit() else (True, 0, name)


def _checked(folder: Path, classes: Sequence[str], drop: Sequence[str]) -> dict[str, list[Path]]:
    found = {name: files for name, files in _by_class(folder).items() if name not in drop}
    for name in found:
        if name not in classes:
            raise DataError(
                f"{folder}: the classes must be those of the training pictures ({listed(list(classes))}), but {name!r} is not among them."
                f"{suggestion(name, classes) or ' Remove its folder, or add such training pictures.'}"
            )
    if not found:
        raise DataError(f"{folder}: must have a folder of pictures for each class, but has none. Add them, or remove the folder.")
    return found


def _listed(by_class: dict[str, list[Path]], classes: Sequence[str]) -> tuple[list[Path], NDArray[np.int64]]:
    files = [file for found in by_class.values() for file in found]
    return files, np.repeat([classes.index(name) for name in by_class], [len(found) for found in by_class.values()]).astype(np.int64)


def _pictures_below(folder: Path) -> Iterator[Path]:
    """The pictures in the folders of a folder."""
    for below in folder.iterdir():
        if below.is_dir() and not below.name.startswith(_HIDDEN):
            yield from _pictures_in(below)


def _pictures_in(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(_HIDDEN)]
        yield from (Path(path, name) for name in names if name.lower().endswith(SUFFIXES) and not name.startswith("."))


def _left_out(folder: Path, classes: Sequence[str], drop: Sequence[str]) -> Iterator[str]:
    """What a person might think is among the pictures and is not."""
    if drop:
        yield f"Left out: {listed(list(drop), 5)}, because of drop."
    beside = [each.name for each in folder.iterdir() if each.name.lower().endswith(SUFFIXES)]
    if beside:
        yield f"Left out: {len(beside)} pictures in no class's folder, such as {beside[0]}."
    empty = [
        each.name for each in folder.iterdir() if each.is_dir() and each.name not in (*classes, *drop) and not each.name.startswith(_HIDDEN)
    ]
    if empty:
        yield f"Left out: folders without pictures ({listed(sorted(empty), 5)})."
    others: Counter[str] = Counter()
    for name in classes:
        for _, _, names in os.walk(folder / name):
            others.update(
                Path(each).suffix.lower() or each for each in names if not each.lower().endswith(SUFFIXES) and not each.startswith(".")
            )
    if others:
        yield f"Left out: {others.total()} files that are no pictures by their names ({listed(sorted(others), 5)})."


def _files(where: str, cells: Any, rows: NDArray[np.int64]) -> list[Path]:
    """The files of these cells, relative to the table or, where it lies in a folder of its own, to the folder above."""
    from automl.data.values import texts_of

    folder = home_expanded(where).parent
    files = []
    for text, row in zip(texts_of(cells), rows, strict=True):
        if text is None:
            raise DataError(
                f"{where}: every row with a target must name a picture, but row {row + 1} does not. Add the path, or remove the row."
            )
        found = next((place for place in (folder / text, folder.parent / text) if place.is_file()), None)
        if found is None:
            raise DataError(f"{where}: row {row + 1} must name a picture, but there is no file {text!r}. Paths are relative to the table.")
        files.append(found)
    return files


def _sha256(file: Path) -> bytes:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as content:
            while block := content.read(_READ_AT_ONCE):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{file}: must be readable, but is not ({error.strerror}). Check its permissions.") from error
    return digest.digest()
