"""Texts that lie in files by their class: a folder with a folder of files for each class, or a file for each class with a text a line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from automl.data.classes import without
from automl.errors import DataError, listed
from automl.folders import home_expanded

TEXT_SUFFIX = ".txt"
_WILD = re.compile(r"[*?\[]")
_ABOUT = re.compile(r"(licen[cs]e|copying|notice|readme|authors|changelog|citation|manifest|sources)\b.*", re.IGNORECASE)
_FEWEST_CLASSES = 2


@dataclass(frozen=True, slots=True)
class TextFiles:
    """Texts with a class each, and apart from them those of an official test split, where there is one (``test_where`` is not empty)."""

    where: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    how: str
    test_where: str = ""
    test_texts: tuple[str, ...] = ()
    test_labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name, or what the files' names begin with."""
        path = home_expanded(self.where)
        name = path.name if not _WILD.search(path.name) else _WILD.split(path.name)[0].rstrip("._- ")
        return name or path.resolve().parent.name

    def digest(self) -> str:
        """sha256 of all texts with their classes."""
        digest = hashlib.sha256()
        for part in (self.labels, self.texts, self.test_labels, self.test_texts):
            digest.update(str(len(part)).encode())
            for text in part:
                content = text.encode("utf-8", "surrogatepass")
                digest.update(len(content).to_bytes(8, "big") + content)
        return digest.hexdigest()


def is_pattern(source: str) -> bool:
    """Whether the source is a pattern of files, such as ``reviews/*.txt``, and no file of that very name."""
    return bool(_WILD.search(source)) and not home_expanded(source).exists()


def matches(source: str) -> list[Path]:
    """The files that match a pattern, by their names."""
    pattern = home_expanded(source)
    wild = next(number for number, part in enumerate(pattern.parts) if _WILD.search(part))
    return [file for file in sorted(Path(*pattern.parts[:wild]).glob("/".join(pattern.parts[wild:]))) if file.is_file()]


def holds_texts(folder: Path) -> bool:
    """Whether a folder has texts by their class in it, in folders or in files."""
    return bool(_class_folders(_with_train(folder))) or len(_class_files(folder)) >= _FEWEST_CLASSES


def read_text_files(where: str, test: str | None = None, drop: Sequence[str] = ()) -> TextFiles:
    """The texts of a folder or pattern, and those for testing: of ``test``, or of ``test`` beside ``train`` in the folder.

    ``drop``: classes that are left out. Raises ``DataError`` where there are no texts of at least two classes, a file cannot be read, or
    there is no class that is to be left out.
    """
    path = home_expanded(where)
    train, beside = _with_train(path), path / "test"
    if test is None and train != path and beside.is_dir():
        test = str(beside)
    texts, labels, how = _read(where, train, drop)
    if test is None:
        return TextFiles(where, texts, labels, how)
    test_texts, test_labels, _ = _read(test, home_expanded(test), drop, may_lack=True)
    return TextFiles(where, texts, labels, how, test, test_texts, test_labels)


def _with_train(folder: Path) -> Path:
    """``folder/train`` where the folder holds its training and test texts apart."""
    train = folder / "train"
    return train if train.is_dir() and (folder / "test").is_dir() and _class_folders(train) else folder


def _read(where: str, path: Path, drop: Sequence[str], *, may_lack: bool = False) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Texts, their classes, and a sentence of how they were found. ``may_lack``: what is to be dropped may be absent."""
    folders = _class_folders(path) if path.is_dir() else {}
    texts: list[str] = []
    labels: list[str] = []
    if folders:
        folders = without(where, folders, drop, drop if may_lack else ())
        for label, inside in folders.items():
            texts += [_content(file) for file in inside]
            labels += [label] * len(inside)
        return tuple(texts), tuple(labels), f"Classes: the folders {listed(list(folders), 10)}, a text in each file."
    files = _class_files(path) if path.is_dir() else _matching(path)
    if len(files) < _FEWEST_CLASSES:
        raise DataError(_not_found(where, path, files))
    files = without(where, files, drop, drop if may_lack else ())
    for label, file in files.items():
        lines = [line for line in _content(file).splitlines() if line.strip()]
        texts += lines
        labels += [label] * len(lines)
    return tuple(texts), tuple(labels), f"Classes: the files {listed([file.name for file in files.values()], 10)}, a text in each line."


def _not_found(where: str, path: Path, files: dict[str, Path]) -> str:
    if not path.is_dir():
        found = f"{len(files)} file{'s' * (len(files) != 1)} match{'es' * (len(files) == 1)}"
        return f"{where}: a pattern must stand for a file of texts for each of at least two classes, but {found}. Check the pattern."
    return (
        f"{where}: must have a folder of {TEXT_SUFFIX} files for each class, or a file for each class with a text a line, but has neither. "
        f"Name such files by a pattern, or give a table."
    )


# -- which files --------------------------------------------------------------------------------------------------------------


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))


def _class_folders(folder: Path) -> dict[str, list[Path]]:
    """Classes and their files: the folders in this one that hold ``.txt`` files; nothing where they are not at least two."""
    found = {}
    for path in _visible(folder):
        if path.is_dir():
            files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() == TEXT_SUFFIX and file.is_file()]
            if files:
                found[path.name] = files
    return found if len(found) >= _FEWEST_CLASSES else {}


def _class_files(folder: Path) -> dict[str, Path]:
    """Classes and their files: those of the one name that comes with several endings (``x.pos``, ``x.neg``), else all ``.txt`` files.

    What is about the data, such as ``LICENSE.txt`` and ``README``, is none of them.
    """
    files = [path for path in _visible(folder) if path.is_file() and not _ABOUT.fullmatch(path.name)]
    by_stem: dict[str, list[Path]] = {}
    for path in files:
        by_stem.setdefault(path.stem, []).append(path)
    several = [group for group in by_stem.values() if len(group) >= _FEWEST_CLASSES]
    if len(several) == 1 and not any(path.suffix in ("", ".zip", ".gz") for path in several[0]):
        return {path.suffix[1:]: path for path in several[0]}
    texts = {path.stem: path for path in files if path.suffix.lower() == TEXT_SUFFIX}
    return texts if len(texts) >= _FEWEST_CLASSES else {}


def _matching(pattern: Path) -> dict[str, Path]:
    """Classes and their files: those that match, each called after what its name has that is not the same in all names."""
    files = [file for file in matches(str(pattern)) if not _ABOUT.fullmatch(file.name)]
    parts = [_parts(file.name) for file in files]
    before = _common(parts)
    after = _common([list(reversed(part[before:])) for part in parts])
    labels = ["".join(part[before : len(part) - after]).strip("._- ") for part in parts]
    if len(set(labels)) < len(labels) or not all(labels):
        labels = [file.name for file in files]
    return dict(zip(labels, files, strict=True))


def _parts(name: str) -> list[str]:
    """A file's name as words and what is between them."""
    return re.findall(r"[^\W_]+|[\W_]", name)


def _common(parts: Sequence[Sequence[str]]) -> int:
    """With how many equal parts all of them begin, at least one part of each left over."""
    least = min(map(len, parts), default=1) - 1
    return next((n for n in range(least) if len({part[n] for part in parts}) > 1), max(least, 0))


# -- content ------------------------------------------------------------------------------------------------------------------


def _content(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: must be readable, but is not ({error.strerror}). Check its permissions.") from error
    from automl.data.tables import decoded  # with pandas, which whoever only looks for texts does without

    return decoded(str(file), content, "text", "Save it as text in UTF-8, or take it away.")
