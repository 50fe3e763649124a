"""The ``.ts`` files of the archives of time-series classification and regression.

Lines of ``#`` are comments, lines of ``@`` say what the file holds, and after ``@data`` each line is a case: dimensions with ``:`` between
them, values with commas between them, and the class or target as the last field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from automl.data.sequencedata import Floats, Sequences, TargetKind
from automl.errors import DataError, listed
from automl.folders import home_expanded
from automl.spec import DataSpec

TS = ".ts"
MISSING = frozenset({"?", "nan", "na", ""})
_QUOTED = 40  # characters of what is wrong, at most
_TRAIN = re.compile(r"(?i)train(?=(\.ts)$)")


@dataclass(frozen=True, slots=True)
class _Header:
    """What the lines of ``@`` say."""

    name: str = ""
    timestamps: bool = False
    dimensions: int | None = None
    kind: TargetKind | None = None
    classes: tuple[str, ...] = ()  # where it names them


def open_ts(spec: DataSpec, read: Callable[[str], bytes]) -> Sequences:
    """The cases of a file, with those of its test file: the one that is given, else the one beside it, unless a share is given."""
    training = read_ts(spec.source, read(spec.source))
    notes: tuple[str, ...] = ()
    test = spec.test if isinstance(spec.test, str) else None
    if spec.test is None and (beside := test_file_beside(home_expanded(spec.source))) is not None:
        test = str(Path(spec.source).with_name(beside.name))
        notes = (f"{beside.name} lies beside the file and is its test part; a share (test: 0.2) would leave it out.",)
    if test is None:
        return training
    return replace(training, test=read_ts(test, read(test), like=training), notes=notes)


def ts_file_in(source: str, folder: Path) -> str | None:
    """The file with the training cases of a folder of ``.ts`` files: the only one, or that named ``..._TRAIN.ts``; None without any.

    Raises ``DataError`` where it cannot be told.
    """
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == TS and not file.name.startswith("."))
    found = [file for file in files if _TRAIN.search(file.name)] if len(files) > 1 else files
    if files and len(found) != 1:
        names = ", ".join(file.name for file in files[:4])
        raise DataError(
            f"{source}: must hold one .ts file, or one that ends in _TRAIN.ts and one in _TEST.ts, but holds {names}"
            f"{' and others' * (len(files) > 4)}. Give the file that is meant."
        )
    return str(Path(source) / found[0].name) if files else None


def test_file_beside(path: Path) -> Path | None:
    """``X_TEST.ts`` where this is ``X_TRAIN.ts`` and both are there."""
    beside = path.with_name(_TRAIN.sub(lambda found: "TEST" if found[0].isupper() else "test", path.name))
    return beside if beside != path and beside.is_file() else None


def read_ts(where: str, content: bytes, like: Sequences | None = None) -> Sequences:
    """The cases of a ``.ts`` file. ``like``: the training cases of which these are the test cases. Raises ``DataError`` with the line."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{where}: must be text in the .ts format, but holds other bytes. Get the file again.") from None
    header, first = _header(where, lines)
    if header.timestamps:
        raise DataError(f"{where}: its values have time stamps (@timeStamps true), which cannot be read. Write evenly spaced values alone.")
    if header.kind is None:
        raise DataError(
            f"{where}: each case must have a class or a target (@classLabel true or @targetLabel true), but has none. Get a labelled file."
        )
    samples: list[Floats] = []
    targets: list[str] = []
    for number, line in enumerate(lines[first:], first + 1):
        if line.strip() and not line.lstrip().startswith("#"):
            *dimensions, target = line.strip().split(":")
            samples.append(_sample(f"{where}:{number}", dimensions, len(samples[0]) if samples else header.dimensions))
            targets.append(_target(f"{where}:{number}", header, target.strip()))
    if not samples:
        raise DataError(f"{where}: must have cases after @data, but has none. Give a file with data.")
    if like is not None and len(samples[0]) != len(like.channels):
        raise DataError(
            f"{where}: test cases must have the {len(like.channels)} dimension(s) of the training cases, but have {len(samples[0])}."
        )
    channels = tuple(f"dimension_{number}" for number in range(1, len(samples[0]) + 1))
    name = header.name or Path(where).name.partition(".")[0]
    return Sequences(name, where, samples, targets, channels, header.kind, "class" if header.kind == "classes" else "target")


def _header(where: str, lines: list[str]) -> tuple[_Header, int]:
    """What is said before the cases, and the number of the line where they begin."""
    header = _Header()
    for number, line in enumerate(lines):
        word, *values = line.split() or [""]
        if word and word[0] not in "#@":
            break
        match word.lower():
            case "@problemname":
                header = replace(header, name=" ".join(values))
            case "@timestamps":
                header = replace(header, timestamps=_truth(where, number, word, values))
            case "@univariate":
                header = replace(header, dimensions=1 if _truth(where, number, word, values) else header.dimensions)
            case "@dimension" | "@dimensions":
                header = replace(header, dimensions=_whole(where, number, word, values))
            case "@classlabel":
                if _truth(where, number, word, values):
                    header = replace(header, kind="classes", classes=tuple(values[1:]))
            case "@targetlabel":
                header = replace(header, kind="numbers" if _truth(where, number, word, values) else header.kind)
            case "@data":
                return header, number + 1
    raise DataError(f"{where}: must have a line @data before its cases, as .ts files have, but has none. Get the file again.")


def _truth(where: str, number: int, word: str, values: list[str]) -> bool:
    if not values or values[0].lower() not in ("true", "false"):
        raise DataError(f"{where}:{number + 1}: {word} must be true or false, but is {' '.join(values) or 'nothing'}.")
    return values[0].lower() == "true"


def _whole(where: str, number: int, word: str, values: list[str]) -> int:
    if not values or not values[0].isdecimal() or not int(values[0]):
        raise DataError(f"{where}:{number + 1}: {word} must be a whole number of at least 1, but is {' '.join(values) or 'nothing'}.")
    return int(values[0])


def _target(where: str, header: _Header, text: str) -> str:
    """What a case ends with: a number, or one of the classes of the file; or that it is missing."""
    if text.lower() in MISSING:
        return text
    if header.kind == "numbers" and not _is_number(text):
        raise DataError(f"{where}: a case must end with a number, its target, but ends with {_shortened(text)}. Correct it, or write ?.")
    if header.classes and text not in header.classes and not (_is_number(text) and _numbers(header.classes) >= {float(text)}):
        raise DataError(
            f"{where}: a case must end with its class, one of {listed(header.classes, 5)} as @classLabel says, but ends with "
            f"{_shortened(text)}. Correct it, or name the class there."
        )
    return text


def _numbers(texts: Iterable[str]) -> set[float]:
    return {float(text) for text in texts if _is_number(text)}


def _shortened(text: str) -> str:
    """As it is quoted in a sentence."""
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}...")


def _sample(where: str, dimensions: list[str], expected: int | None) -> Floats:
    """One case, ``[dimensions, steps]``."""
    if expected is not None and len(dimensions) != expected:
        raise DataError(f"{where}: a case must have {expected} dimension(s) and then its class or target, but has {len(dimensions)}.")
    rows = [_values(where, number, text) for number, text in enumerate(dimensions, 1)]
    if len({len(row) for row in rows}) > 1:
        lengths = ", ".join(str(len(row)) for row in rows[:8])
        raise DataError(f"{where}: the dimensions of a case must be of one length, but theirs are {lengths}. Write ? for missing values.")
    return np.stack(rows)


def _values(where: str, number: int, text: str) -> Floats:
    if not text.strip():
        raise DataError(f"{where}: dimension {number} must have values, but is empty. Leave the case out, or write ? for missing values.")
    cells = [cell.strip() for cell in text.split(",")]
    try:
        return np.array(["nan" if cell.lower() in MISSING else cell for cell in cells]).astype(np.float64)
    except ValueError:
        wrong = next(cell for cell in cells if cell.lower() not in MISSING and not _is_number(cell))
        advice = " Time stamps cannot be read." if wrong.startswith("(") else ""
        raise DataError(f"{where}: dimension {number} must hold numbers, but has {wrong!r}.{advice}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
