"""From a data specification to arrays in files: once per study, read by every worker through memory-mapped files."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from automl.data import DataInfo
from automl.data.builtin import Arrays
from automl.data.classes import group_classes
from automl.data.sources import Source, open_source
from automl.data.splits import TEST_SHARE, VALIDATION_SHARE, Rows, split_rows
from automl.errors import DataError
from automl.spec import DataSpec

FORMAT = 1  # raise it when the same source and specification come to mean other files
SPLITS = ("train", "validation", "test")
INFO = "info.json"
PREPROCESSING = "preprocessing.skops"
FILES = {INFO, PREPROCESSING, *(f"{axis}_{split}.npy" for axis in "xy" for split in SPLITS)}

Array = NDArray[Any]
SplitArrays = dict[str, tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Prepared data in memory. ``plan`` and ``preprocessing`` say how raw rows of a table become features; empty for pictures."""

    info: DataInfo
    arrays: SplitArrays
    plan: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: bytes = b""


def prepare(spec: DataSpec, folder: Path) -> DataInfo:
    """Make the files that ``DataInfo`` describes in ``folder``, complete or not at all.

    A folder that holds exactly this already (the same ``fingerprint``) is left as it is; one that holds other or unfinished
    prepared data is replaced. Raises ``DataError`` for all that is wrong with the data, before anything is written.
    """
    source = open_source(spec)
    fingerprint = _fingerprint(spec, source)
    finished = _finished(folder, fingerprint)
    if finished is not None:
        return finished
    prepared = _build(spec, source, fingerprint)
    _refuse_foreign(folder)
    try:
        return _store(prepared, folder)
    except OSError as error:
        raise DataError(
            f"{folder}: must be a place to write prepared data to, but is not ({error.strerror}). Choose another folder."
        ) from error


def prepare_apart(spec: DataSpec, folder: Path) -> DataInfo:
    """``prepare`` in a process of its own, so that this one never holds the table nor the libraries that read it.

    What is finished already is found here, without another process.
    """
    finished = _finished(folder, fingerprint(spec)) if (folder / INFO).exists() else None
    if finished is not None:
        return finished
    request = json.dumps({"spec": dataclasses.asdict(spec), "folder": str(folder)})
    answer = subprocess.run([sys.executable, "-m", "automl.data"], input=request, capture_output=True, text=True, check=False)
    if answer.returncode == 2 and answer.stdout:
        raise DataError(answer.stdout.rstrip("\n"))
    if answer.returncode != 0:
        words = answer.stderr.strip().splitlines()[-1:] or [f"exit code {answer.returncode}"]
        raise DataError(f"{spec.source}: must be data that can be prepared, but the process that read them ended ({words[0]}).")
    return read_info(folder)


def load(folder: Path) -> tuple[DataInfo, SplitArrays]:
    """What ``prepare`` has left in ``folder``: the info, and by split x and y, read-only and mapped into memory that processes share."""
    info = read_info(folder)
    try:
        arrays = {split: (_map(folder / f"x_{split}.npy"), _map(folder / f"y_{split}.npy")) for split in SPLITS}
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(folder, error) from error
    return info, arrays


def inspect(spec: DataSpec) -> DataInfo:
    """What ``prepare`` would find, without writing anything."""
    source = open_source(spec)
    return _build(spec, source, _fingerprint(spec, source)).info


def fingerprint(spec: DataSpec) -> str:
    """sha256 of the source's content and of all else that shapes the prepared data."""
    return _fingerprint(spec, open_source(spec))


def read_info(folder: Path) -> DataInfo:
    """The ``DataInfo`` of a folder with prepared data."""
    known = {item.name for item in dataclasses.fields(DataInfo)}
    content = {key: value for key, value in read_info_file(folder).items() if key in known}
    try:
        for key in ("input_shape", "classes", "notes"):
            content[key] = tuple(content[key])
        return DataInfo(**content)
    except (KeyError, TypeError) as error:
        raise _unreadable(folder, error) from error


def read_info_file(folder: Path) -> dict[str, Any]:
    """All of ``info.json``: the fields of ``DataInfo``, and the plan of a table."""
    try:
        content = json.loads((folder / INFO).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from error
    if not isinstance(content, dict):
        raise _unreadable(folder, f"{INFO} is no object")
    return content


def _unreadable(folder: Path, why: object) -> DataError:
    return DataError(f"{folder}: must hold prepared data, but they cannot be read ({why}). Remove the folder to have it made again.")


# -- making ------------------------------------------------------------------------------------------------------------


def _fingerprint(spec: DataSpec, source: Source) -> str:
    shaping = {
        "format": FORMAT,
        "name": source.name,
        "target": spec.target,
        "drop": sorted(spec.drop),
        "test": None if isinstance(spec.test, str) else spec.test,
        "validation": spec.validation,
        "positive": [repr(value) for value in spec.positive],
        "split_seed": spec.split_seed,
    }
    return hashlib.sha256(f"{json.dumps(shaping, sort_keys=True)}\n{source.digest()}".encode()).hexdigest()


def _build(spec: DataSpec, source: Source, mark: str) -> Prepared:
    _check_shares(spec)
    if isinstance(source, Arrays):
        prepared = _from_arrays(spec, source)
    else:
        from automl.data.tabular import prepare_table

        info, arrays, plan, preprocessing = prepare_table(spec, source)
        prepared = Prepared(info, arrays, plan, preprocessing)
    return replace(prepared, info=replace(prepared.info, fingerprint=mark))


def _from_arrays(spec: DataSpec, source: Arrays) -> Prepared:
    _refuse_table_options(spec, source)
    y, y_test, classes = source.y, source.test[1] if source.test else source.y[:0], source.classes
    if spec.positive:
        wanted, classes = group_classes(classes, spec.positive, source.name)
        y, y_test = wanted[y], wanted[y_test]
    notes: list[str] = []
    rows: dict[str, Rows]
    if source.shared:
        every = np.arange(len(y), dtype=np.int64)
        rows = dict.fromkeys(SPLITS, every)
        notes.append(
            f"All {len(y)} rows are training, validation and test at once: results say what was learnt, not how well it generalises."
        )
    else:
        share = None if source.test else float(spec.test or TEST_SHARE)
        splits = split_rows(len(y), source.y, share, spec.validation or VALIDATION_SHARE, spec.split_seed)
        rows = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    arrays: SplitArrays = {split: (source.x[rows[split]], y[rows[split]]) for split in SPLITS}
    if source.test:
        arrays["test"] = (source.test[0], y_test)
        notes.append(f"Test: the official {len(y_test)} samples.")
    binary = len(classes) == 2
    info = DataInfo(
        name=source.name,
        task="binary" if binary else "multiclass",
        input_shape=tuple(int(size) for size in source.x.shape[1:]),
        outputs=1 if binary else len(classes),
        classes=classes,
        sizes={split: len(arrays[split][1]) for split in SPLITS},
        input_scale=source.scale,
        shared_splits=source.shared,
        notes=tuple(notes),
    )
    return Prepared(info, arrays)


def _check_shares(spec: DataSpec) -> None:
    for name, share in (("test", spec.test), ("validation", spec.validation)):
        if share is None or isinstance(share, str):
            continue
        if isinstance(share, bool) or not 0 < share < 1:
            raise DataError(f"{spec.source}: {name} must be a share above 0 and below 1, but is {share}. Give, say, {name}: 0.2.")


def _refuse_table_options(spec: DataSpec, source: Arrays) -> None:
    for option, value in (("target", spec.target), ("drop", ", ".join(spec.drop))):
        if value:
            raise DataError(f"{source.name}: has no columns, but {option} is {value!r}. Leave {option} out.")
    if spec.test is not None and (source.test or source.shared):
        held = "has an official test split" if source.test else "uses the same rows in every split"
        raise DataError(f"{source.name}: {held}, but test is {spec.test!r}. Leave test out.")
    if isinstance(spec.test, str):
        raise DataError(f"{source.name}: test must be a share of a built-in data set, but is {spec.test!r}. Give, say, test: 0.2.")
    if spec.validation is not None and source.shared:
        raise DataError(f"{source.name}: uses the same rows in every split, but validation is {spec.validation}. Leave validation out.")


# -- files -------------------------------------------------------------------------------------------------------------


def _map(path: Path) -> Array:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return cast("Array", array)


def _finished(folder: Path, fingerprint: str) -> DataInfo | None:
    """The info of a folder that holds prepared data with this fingerprint, all of them."""
    if not (folder / INFO).is_file():
        return None
    try:
        info, arrays = load(folder)
    except DataError:
        return None
    complete = all(len(array) == info.sizes[split] for split, pair in arrays.items() for array in pair)
    described = "columns" not in read_info_file(folder) or (folder / PREPROCESSING).is_file()
    return info if complete and described and info.fingerprint == fingerprint else None


def _refuse_foreign(folder: Path) -> None:
    """Never remove what is not ours."""
    if folder.is_dir():
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in FILES)
        if foreign:
            raise DataError(
                f"{folder}: must be empty or hold prepared data, but has {foreign[0]!r}. Move that away, or choose another folder."
            )
    elif folder.exists():
        raise DataError(f"{folder}: must be a folder, but is a file. Move it away, or choose another folder.")


def _store(prepared: Prepared, folder: Path) -> DataInfo:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.{os.getpid()}.", dir=folder.parent))
    try:
        _write(prepared, temporary / "new")
        return _put_in_place(temporary, folder, prepared.info)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(prepared: Prepared, folder: Path) -> None:
    folder.mkdir()
    for split, (x, y) in prepared.arrays.items():
        regression = prepared.info.task == "regression"
        np.save(folder / f"x_{split}.npy", np.ascontiguousarray(x))
        np.save(folder / f"y_{split}.npy", np.ascontiguousarray(y, np.float32 if regression else np.int64))
    if prepared.preprocessing:
        (folder / PREPROCESSING).write_bytes(prepared.preprocessing)
    content = dataclasses.asdict(prepared.info) | dict(prepared.plan)
    (folder / INFO).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _put_in_place(temporary: Path, folder: Path, info: DataInfo) -> DataInfo:
    """Rename the finished folder; what another process has put there in the meantime is as good, if it is the same."""
    try:
        if folder.exists() and _finished(folder, info.fingerprint) is None:
            folder.rename(temporary / "old")
        (temporary / "new").rename(folder)
    except OSError:
        finished = _finished(folder, info.fingerprint)
        if finished is None:
            raise
        return finished
    return info


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed while they prepared this folder have left beside it."""
    for path in folder.parent.glob(f".{glob.escape(folder.name)}.*.*"):
        found = re.fullmatch(rf"\.{re.escape(folder.name)}\.(\d+)\.[a-z0-9_]{{8}}", path.name)
        if found and not _is_running(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
