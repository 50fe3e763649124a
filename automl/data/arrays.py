"""Samples that lie in arrays: split, and otherwise left as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data import DataInfo
from automl.data.classes import group_classes
from automl.data.folding import POOL, check_folds, folds_note
from automl.data.prepared import Array, Chosen, Prepared, refuse_unused
from automl.data.splits import TEST_SHARE, VALIDATION_SHARE, Rows, check_most, fold_rows, most_note, some_rows, split_rows
from automl.errors import DataError
from automl.inputs import SampleKind
from automl.spec import DataSpec

_AT_ONCE = 2**26  # bytes that are hashed at once


@dataclass(frozen=True, slots=True)
class Arrays:
    """Samples that need no preprocessing: ``x[n, ...]`` to be multiplied with ``scale``, and class numbers ``y[n]``.

    Without ``classes`` it is a regression, and ``y`` are its values in their own unit. ``test``: an official test split;
    ``validation``: which rows are an official validation split. ``shared``: too few to be split, the same samples in every split.
    ``plan``: what ``data.encode`` has to know of new samples beside their shape. ``used``: what of the specification has been heeded
    already, such as ``target``.
    """

    name: str
    x: Array
    y: NDArray[Any]
    classes: tuple[str, ...]
    scale: float = 1.0
    test: tuple[Array, NDArray[Any]] | None = None
    shared: bool = False
    kind: SampleKind = "features"
    validation: Rows | None = None
    vocabulary: int = 0
    notes: tuple[str, ...] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    used: tuple[str, ...] = ()

    def digest(self) -> str:
        """sha256 of all samples."""
        parts = (self.x, self.y, *(self.test or ()), *(() if self.validation is None else (self.validation,)))
        digest = hashlib.sha256(repr((self.scale, self.classes, [part.shape for part in parts])).encode())
        for part in parts:
            several = max(1, _AT_ONCE // max(1, part[:1].nbytes))
            for first in range(0, len(part), several):
                digest.update(np.ascontiguousarray(part[first : first + several]).data)
        return digest.hexdigest()


def prepare_arrays(spec: DataSpec, source: Arrays) -> Prepared:
    """The samples by split, or in a pool for folds. Raises ``DataError`` where the specification asks for what arrays do not have."""
    _refuse_table_options(spec, source)
    y, y_test, classes = source.y, source.test[1] if source.test else source.y[:0], source.classes
    if spec.positive and "positive" not in source.used:
        if not classes:
            raise DataError(f"{source.name}: positive must name classes, but the target is a number. Leave positive out.")
        wanted, classes = group_classes(classes, spec.positive, source.name)
        y, y_test = wanted[y], wanted[y_test]
    rows, fold, notes = _rows(spec, source)
    x: dict[str, Array | Chosen] = {split: Chosen(source.x, taken) for split, taken in rows.items()}
    targets = {split: y[taken] for split, taken in rows.items()}
    if source.test:
        x["test"], targets["test"] = source.test[0], y_test
        notes = [*notes, f"Test: the official {len(y_test)} samples."]
    mean, scale = (0.0, 1.0) if classes else _target_scale(targets.get("train", targets.get(POOL, y)))
    if not classes:
        targets = {split: ((values - mean) / scale).astype(np.float32) for split, values in targets.items()}
    sizes = {split: len(values) for split, values in targets.items()}
    if fold is not None:
        validation = int(np.count_nonzero(fold == 0))
        sizes = {"train": sizes.pop(POOL) - validation, "validation": validation, **sizes}
    info = DataInfo(
        name=source.name,
        task="regression" if not classes else "binary" if len(classes) == 2 else "multiclass",
        input_shape=tuple(int(size) for size in source.x.shape[1:]),
        outputs=len(classes) if len(classes) > 2 else 1,
        classes=classes,
        sizes=sizes,
        input_scale=source.scale,
        target_mean=mean,
        target_scale=scale,
        shared_splits=source.shared,
        notes=(*source.notes, *notes),
        folds=spec.folds or 1,
        kind=source.kind,
        vocabulary=source.vocabulary,
    )
    return Prepared(info, {split: (x[split], targets[split]) for split in x}, plan=source.plan, fold=fold)


def _rows(spec: DataSpec, source: Arrays) -> tuple[dict[str, Rows], Rows | None, list[str]]:
    """Which rows are in which split, or in the pool; of those in the pool their folds; and what a person should know of that."""
    count, groups = len(source.y), source.y if source.classes else None
    share = None if source.test else float(spec.test or TEST_SHARE)
    if source.shared:
        every = np.arange(count, dtype=np.int64)
        note = f"All {count} rows are training, validation and test at once: results say what was learnt, not how well it generalises."
        return dict.fromkeys(("train", "validation", "test"), every), None, [note]
    least = 2 if source.test else 3
    if count < least:
        raise DataError(f"{source.name}: must have at least {least} samples to be split, but has {count}. Add samples.")
    check_most(source.name, spec.rows, count)
    if spec.folds is not None:
        folds = fold_rows(count, groups, share, spec.folds, spec.split_seed, spec.rows)
        check_folds(source.name, spec.folds, len(folds.rows), None if groups is None else groups[folds.rows], source.classes)
        notes = [folds_note([int(size) for size in np.bincount(folds.fold)]), *most_note(len(folds.rows) + len(folds.test), count)]
        return {POOL: folds.rows, **({} if source.test else {"test": folds.test})}, folds.fold, notes
    if source.validation is not None and spec.validation is None:
        return _official(spec, source, share, groups)
    splits = split_rows(count, groups, share, spec.validation or VALIDATION_SHARE, spec.split_seed, spec.rows)
    held = {} if source.test else {"test": splits.test}
    rows = {"train": splits.train, "validation": splits.validation, **held}
    return rows, None, most_note(sum(map(len, rows.values())), count)


def _official(spec: DataSpec, source: Arrays, share: float | None, groups: Rows | None) -> tuple[dict[str, Rows], Rows | None, list[str]]:
    """The official validation samples validate; where there are no official test samples, some of the others are for test."""
    assert source.validation is not None
    others = np.setdiff1d(np.arange(len(source.y), dtype=np.int64), source.validation)
    rows = {"train": others, "validation": source.validation}
    if share is not None:
        splits = split_rows(len(others), None if groups is None else groups[others], None, share, spec.split_seed)
        rows |= {"train": others[splits.train], "test": others[splits.validation]}
    train = rows["train"]
    chosen = some_rows(np.arange(len(train), dtype=np.int64), None if groups is None else groups[train], spec.rows, spec.split_seed)
    rows["train"] = train[chosen]
    notes = [f"Validation: the official {len(source.validation)} samples.", *most_note(len(chosen), len(train))]
    return rows, None, notes


def _target_scale(values: NDArray[Any]) -> tuple[float, float]:
    mean, scale = float(np.mean(values)), float(np.std(values))
    return (mean, scale) if scale > 0 else (mean, 1.0)


def _refuse_table_options(spec: DataSpec, source: Arrays) -> None:
    for option, value in (("target", spec.target), ("drop", ", ".join(spec.drop))):
        if value and option not in source.used:
            raise DataError(f"{source.name}: has no columns, but {option} is {value!r}. Leave {option} out.")
    refuse_unused(spec, source.name, source.used if source.shared else ("rows", *source.used))
    if spec.test is not None and (source.test or source.shared) and "test" not in source.used:
        held = "has an official test split" if source.test else "uses the same rows in every split"
        raise DataError(f"{source.name}: {held}, but test is {spec.test!r}. Leave test out.")
    if isinstance(spec.test, str) and "test" not in source.used:
        raise DataError(f"{source.name}: test must be a share of a built-in data set, but is {spec.test!r}. Give, say, test: 0.2.")
    if spec.validation is not None and source.shared:
        raise DataError(f"{source.name}: uses the same rows in every split, but validation is {spec.validation}. Leave validation out.")
    if spec.folds is not None and source.shared:
        raise DataError(f"{source.name}: uses the same rows in every split, but {spec.folds} folds are asked for. Leave folds out.")
