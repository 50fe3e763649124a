"""From a data specification to arrays in files: once per study, read by every worker through memory-mapped files."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from automl.data import DataInfo
from automl.data.arrays import Arrays, prepare_arrays
from automl.data.builtin import Frame, namesake
from automl.data.dataset import is_dataset
from automl.data.folding import FOLD_OF_ROW, POOL, folder_of, rows_of
from automl.data.nothing import NO_DATA, prepare_nothing
from automl.data.picturefiles import PictureFiles
from automl.data.prepared import Array, Chosen, Prepared
from automl.data.sequencedata import Sequences
from automl.data.sources import Source, TableFile, open_source
from automl.data.splits import Rows
from automl.data.suspicions import class_counts, imbalance, twins
from automl.data.textfiles import TextFiles
from automl.data.windows import SERIES, STARTS, inputs_of, targets_of
from automl.dataoptions import DATA_OPTIONS
from automl.errors import DataError
from automl.spec import DataSpec

FORMAT = 3  # raise it when the same source and specification come to mean other files
SPLITS = ("train", "validation", "test")
INFO = "info.json"
FEATURES = "features"  # of frozen networks (automl.training.features)
PREPROCESSING = "preprocessing.skops"
FILES = {
    *(INFO, FEATURES, PREPROCESSING, FOLD_OF_ROW, SERIES),
    *(f"{axis}_{part}.npy" for axis in "xy" for part in (*SPLITS, POOL)),
    *(STARTS.format(split) for split in SPLITS),
}
FOLD_FOLDER = re.compile(r"fold_[1-9]\d*")


@dataclass(frozen=True, slots=True)
class Part:
    """A split: ``x`` as it lies in ``file`` and, where the split has only some of them, their ``rows``; ``y`` of these.

    Of a forecast ``series`` lies in ``file``, and ``x`` are all windows over it, as a view.
    """

    file: Path
    x: Array
    y: Array
    rows: Rows | None = None
    series: Array | None = None


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
        reason = error.strerror or "the disk has taken only a part of them"  # NumPy loses the error's number
        raise DataError(f"{folder}: must be a place to write prepared data to, but is not ({reason}). Choose another folder.") from error


def prepare_apart(spec: DataSpec, folder: Path) -> DataInfo:
    """``prepare`` in a process of its own, so that this one never holds the table nor the libraries that read it.

    What is finished already is found here, without another process. A specification without a source asks for nothing.
    """
    if not spec.source:
        return prepare_nothing(folder)
    runs_code = is_dataset(spec.source)  # which has no business in this process
    finished = _finished(folder, fingerprint(spec)) if (folder / INFO).exists() and not runs_code else None
    if finished is not None:
        return finished
    request = json.dumps({"spec": dataclasses.asdict(spec), "folder": str(folder)})
    answer = subprocess.run([sys.executable, "-m", "automl.data"], input=request, capture_output=True, text=True, check=False)
    if answer.returncode == 2 and answer.stdout:
        raise DataError(answer.stdout.rstrip("\n"))
    if answer.returncode == -signal.SIGKILL:
        hint = "as systems do where memory runs out. Free some, or give a file with less in it"
        raise DataError(f"{spec.source}: must be data that fit in memory, but the process that read them was killed, {hint}.")
    if answer.returncode != 0:
        words = answer.stderr.strip().splitlines()[-1:] or [f"exit code {answer.returncode}"]
        raise DataError(f"{spec.source}: must be data that can be prepared, but the process that read them ended ({words[0]}).")
    return read_info(folder)


def load(folder: Path, fold: int = 0) -> tuple[DataInfo, dict[str, tuple[Array, Array]]]:
    """What ``prepare`` has left in ``folder``: the info, and by split x and y, read-only and mapped into memory that processes share.

    Where folds share their samples (pictures), x of training and validation are copies: ``load_parts`` has them without.
    """
    info, parts = load_parts(folder, fold)
    return info, {split: (part.x if part.rows is None else part.x[part.rows], part.y) for split, part in parts.items()}


def load_parts(folder: Path, fold: int = 0) -> tuple[DataInfo, dict[str, Part]]:
    """The same, with what several splits or folds share as it lies there, and the rows that each of them has."""
    folder = folder_of(folder, fold) if (folder_of(folder, fold) / INFO).exists() else folder
    info = read_info(folder)
    try:
        rows = rows_of(folder, fold)
        has_windows = (folder / SERIES).exists()
        parts = _windows(folder, info) if has_windows else {split: _part(folder, split, rows.get(split)) for split in SPLITS}
    except (OSError, ValueError, EOFError, IndexError) as error:
        raise _unreadable(folder, error) from error
    return (replace(info, sizes={split: len(part.y) for split, part in parts.items()}) if rows and fold else info), parts


def _part(folder: Path, split: str, rows: Rows | None) -> Part:
    name = split if rows is None else POOL
    file = folder / f"x_{name}.npy"
    x, y = _map(file), _map(folder / f"y_{name}.npy")
    return Part(file, x, y if rows is None else y[rows], rows)


def _windows(folder: Path, info: DataInfo) -> dict[str, Part]:
    series, window = _map(folder / SERIES), info.input_shape[1]
    starts = {split: np.load(folder / STARTS.format(split), allow_pickle=False) for split in SPLITS}
    x = inputs_of(series, window)
    return {split: Part(folder / SERIES, x, targets_of(series, own, window, info.outputs), own, series) for split, own in starts.items()}


def inspect(spec: DataSpec) -> DataInfo:
    """What ``prepare`` would find, without writing anything."""
    if not spec.source:
        return NO_DATA
    source = open_source(spec)
    return _build(spec, source, _fingerprint(spec, source)).info


def fingerprint(spec: DataSpec) -> str:
    """sha256 of the source's content and of all else that shapes the prepared data; empty where there are none."""
    if not spec.source:
        return NO_DATA.fingerprint
    return _fingerprint(spec, open_source(spec))


def read_info(folder: Path) -> DataInfo:
    """The ``DataInfo`` of a folder with prepared data."""
    known = {item.name for item in dataclasses.fields(DataInfo)}
    content = {key: value for key, value in read_info_file(folder).items() if key in known}
    try:
        for key in ("input_shape", "classes", "notes", "warnings", "class_counts"):
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
        **({"folds": spec.folds} if spec.folds is not None else {}),
        **{name: value for name in DATA_OPTIONS if (value := getattr(spec, name)) is not None},
    }
    return hashlib.sha256(f"{json.dumps(shaping, sort_keys=True)}\n{source.digest()}".encode()).hexdigest()


def _build(spec: DataSpec, source: Source, mark: str) -> Prepared:
    _check_shares(spec)
    if isinstance(source, PictureFiles):
        source = source.read(spec.size)
    folds = [prepare_arrays(spec, source)] if isinstance(source, Arrays) else _fitted(spec, source)
    first, *others = (replace(fold, info=replace(fold.info, fingerprint=mark)) for fold in (_looked_at(spec, fold) for fold in folds))
    return replace(first, others=tuple(others))


def _fitted(spec: DataSpec, source: Frame | TableFile | TextFiles | Sequences) -> list[Prepared]:
    """What is prepared by its training rows, for each fold: sequences, a forecast, a table, or texts, which a table may turn out to be."""
    if isinstance(source, Sequences) or (isinstance(source, TableFile) and spec.series is not None and spec.horizon is None):
        from automl.data.longtables import read_long
        from automl.data.sequences import prepare_sequences

        return prepare_sequences(spec, source if isinstance(source, Sequences) else read_long(spec, source))
    if isinstance(source, Frame | TableFile) and spec.horizon is not None:
        from automl.data.forecasts import prepare_forecast

        return [prepare_forecast(spec, source)]
    from automl.data.tabular import OnlyTextsError, prepare_table
    from automl.data.texts import prepare_texts

    if isinstance(source, TextFiles) or spec.text is not None:
        return prepare_texts(spec, source)
    try:
        return prepare_table(spec, source)
    except OnlyTextsError as error:
        found = f"Texts: those of {error.column!r}, since no other column has anything to learn from."
        return prepare_texts(replace(spec, text=error.column), source, found)


def _looked_at(spec: DataSpec, prepared: Prepared) -> Prepared:
    """The same with the counts of its classes, and warnings of what may be wrong with data of any kind."""
    info = prepared.info
    if info.shared_splits:
        return prepared
    counts = class_counts(prepared.arrays["train" if "train" in prepared.arrays else POOL][1], info.classes) if info.classes else ()
    is_table = prepared.plan.get("reader") == "table"
    how = "in every word that is read" if info.kind == "tokens" else "in every number"
    warnings = (
        *imbalance(counts, info.classes),
        *(() if is_table else twins(prepared.arrays, how)),
        *info.warnings,
        *namesake(spec.source),
    )
    return replace(prepared, info=replace(info, class_counts=counts, warnings=warnings))


def _check_shares(spec: DataSpec) -> None:
    for name, share in (("test", spec.test), ("validation", spec.validation)):
        if share is None or isinstance(share, str):
            continue
        if isinstance(share, bool) or not 0 < share < 1:
            raise DataError(f"{spec.source}: {name} must be a share above 0 and below 1, but is {share}. Give, say, {name}: 0.2.")
    if spec.folds is not None and spec.folds < 2:
        raise DataError(f"{spec.source}: folds must be a whole number of at least 2, but is {spec.folds}. Give, say, 5.")


# -- files -------------------------------------------------------------------------------------------------------------


def _map(path: Path) -> Array:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return cast("Array", array)


def _finished(folder: Path, fingerprint: str) -> DataInfo | None:
    """The info of a folder that holds prepared data with this fingerprint, all of them."""
    if not (folder / INFO).is_file():
        return None
    try:
        info = read_info(folder)
        if info.fingerprint != fingerprint:
            return None
        return info if all(_is_whole(folder, fold) for fold in range(info.folds)) else None
    except DataError:
        return None


def _is_whole(folder: Path, fold: int) -> bool:
    """Whether everything of this fold is there."""
    info, parts = load_parts(folder, fold)
    for split, part in parts.items():
        if len(part.y) != info.sizes[split] or (part.rows is None and len(part.x) != len(part.y)):
            return False
    own = folder_of(folder, fold)
    reader = read_info_file(folder).get("reader")
    if reader is None or (folder / FOLD_OF_ROW).exists():  # what needs no preparation, and what folds share
        return True
    return (own / INFO).is_file() and (reader != "table" or (own / PREPROCESSING).is_file())


def _refuse_foreign(folder: Path) -> None:
    """Never remove what is not ours."""
    if folder.is_dir():
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in FILES and not FOLD_FOLDER.fullmatch(path.name))
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
        if isinstance(x, Chosen):
            x.write(folder / f"x_{split}.npy")
        else:
            np.save(folder / f"x_{split}.npy", np.ascontiguousarray(x))
        np.save(folder / f"y_{split}.npy", np.ascontiguousarray(y, np.float32 if regression else np.int64))
    if prepared.windows is not None:
        np.save(folder / SERIES, prepared.windows.series)
        for split, starts in prepared.windows.starts.items():
            np.save(folder / STARTS.format(split), starts)
    if prepared.fold is not None:
        np.save(folder / FOLD_OF_ROW, prepared.fold)
    if prepared.preprocessing:
        (folder / PREPROCESSING).write_bytes(prepared.preprocessing)
    content = dataclasses.asdict(prepared.info) | dict(prepared.plan)
    (folder / INFO).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for number, other in enumerate(prepared.others, 1):
        _write(other, folder_of(folder, number))


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
