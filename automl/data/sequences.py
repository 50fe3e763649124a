"""Sequences with a target each, prepared: missing steps filled, each channel standardised, all padded to one length.

Everything is fitted on the training sequences alone, but for the length, which is that of the longest sequence that is not for test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl.data import DataInfo
from automl.data.dividing import divided, divided_notes, target_scale
from automl.data.folding import folds_note
from automl.data.longtables import series_of
from automl.data.prepared import Prepared, SplitArrays, refuse_unused
from automl.data.sequencedata import Floats, Sequences
from automl.data.splits import Rows, Splits
from automl.data.targets import Target, read_target, read_test_target
from automl.errors import DataError
from automl.spec import DataSpec

LONG = 1000
"""More steps than this and recurrent networks are slow: a note says how fewer are read."""


def prepare_sequences(spec: DataSpec, source: Sequences) -> list[Prepared]:
    """The sequences for their one validation split; with folds for each of them."""
    _refuse(spec, source)
    target = read_target(source.where, source.target, pd.Series(list(source.targets)), spec.positive, source.kind)
    every = divided(spec, source.where, target, official=source.test is not None)
    samples = [_filled(source.samples[row]) for row in target.kept]
    if not any(np.isfinite(sample).any() for sample in samples):
        raise DataError(f"{source.where}: sequences must have values, but all of them are missing. Give others.")
    test = None
    notes = [*source.notes, *divided_notes(target, every[0], len(source.samples))]
    if source.test is not None:
        kept, values, note = read_test_target(source.test.where, target, pd.Series(list(source.test.targets)))
        test = ([_filled(source.test.samples[row]) for row in kept], values)
        notes += [f"Test: {len(kept)} sequences of {Path(source.test.where).name}.", *([note] if note else [])]
    if len(every) > 1:
        notes.insert(0, folds_note([len(splits.validation) for splits in every]))
    notes += _notes(source, samples, spec.length)
    return [_prepared(spec, source, target, splits, samples, test, (len(every), tuple(notes))) for splits in every]


def _refuse(spec: DataSpec, source: Sequences) -> None:
    refuse_unused(spec, source.where, ("length", "rows", *source.used))
    for option, value in (("target", spec.target), ("drop", ", ".join(spec.drop))):
        if value and option not in source.used:
            raise DataError(f"{source.where}: has no columns, but {option} is {value!r}. Leave {option} out.")


def _prepared(
    spec: DataSpec,
    source: Sequences,
    target: Target,
    splits: Splits,
    samples: Sequence[Floats],
    test: tuple[Sequence[Floats], NDArray[Any]] | None,
    told: tuple[int, tuple[str, ...]],
) -> Prepared:
    longest = max(sample.shape[1] for sample in samples)
    steps = min(spec.length or longest, longest)
    lengths = {min(sample.shape[1], steps) for sample in (*samples, *(test[0] if test else ()))}
    middle, scale = target_scale(target, splits.train)
    means, scales = _fitted([samples[row] for row in splits.train])
    plan = {
        "reader": "sequences",
        "channels": list(source.channels),
        "means": means.tolist(),
        "scales": scales.tolist(),
        "target": target.name,
        **source.plan,
    }

    def pair(rows: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
        return padded([samples[row] for row in rows], means, scales, steps, len(lengths) > 1), scaled(target.values[rows])

    def scaled(values: NDArray[Any]) -> NDArray[Any]:
        return ((values - middle) / scale).astype(np.float32) if target.is_regression else values

    arrays: SplitArrays = {"train": pair(splits.train), "validation": pair(splits.validation)}
    if test is None:
        arrays["test"] = pair(splits.test)
    else:
        arrays["test"] = padded(test[0], means, scales, steps, len(lengths) > 1), scaled(test[1])
    info = DataInfo(
        name=source.name,
        task="regression" if target.is_regression else "binary" if len(target.classes) == 2 else "multiclass",
        input_shape=(len(source.channels) + (len(lengths) > 1), steps),
        outputs=len(target.classes) if len(target.classes) > 2 else 1,
        classes=target.classes,
        sizes={split: len(y) for split, (_, y) in arrays.items()},
        target_mean=middle,
        target_scale=scale,
        notes=told[1],
        folds=told[0],
        kind="sequences",
        has_mask=len(lengths) > 1,
    )
    return Prepared(info, arrays, plan)


def _notes(source: Sequences, samples: Sequence[Floats], length: int | None) -> list[str]:
    lengths = [sample.shape[1] for sample in samples]
    least, most = min(lengths), max(lengths)
    channels = f"{len(source.channels)} channel{'s' * (len(source.channels) > 1)}"
    notes = [f"Sequences of {channels} and {least} {f'to {most} ' * (most > least)}steps."]
    cut = sum(each > length for each in lengths) if length else 0
    if cut:
        notes.append(f"Cut: of {cut} sequences only the first {length} steps are read.")
    every = (*source.samples, *(source.test.samples if source.test else ()))
    missing = sum(int((~np.isfinite(sample)).sum()) for sample in every)
    if missing:
        total = sum(sample.size for sample in every)
        notes.append(f"Missing: {missing} of {total} values, filled in between their neighbours.")
    if min(most, length or most) > LONG:
        notes.append(f"Long sequences train slowly: length (in the section data) reads fewer than {most} steps.")
    return notes


# -- values --------------------------------------------------------------------------------------------------------------


def _filled(sample: Floats) -> Floats:
    """Values that are missing or infinite lie on the line between their neighbours; a channel that has none stays NaN."""
    there = np.isfinite(sample)
    if there.all():
        return sample
    filled, steps = np.full(sample.shape, np.nan), np.arange(sample.shape[1])
    for channel, known in enumerate(there):
        if known.any():
            filled[channel] = np.interp(steps, steps[known], sample[channel, known])
    return filled


def _fitted(samples: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Mean and spread of each channel over all steps; 0 and 1 where there is nothing."""
    steps = np.concatenate(samples, axis=1)
    known = np.isfinite(steps)
    count = np.maximum(known.sum(axis=1), 1)
    means = np.where(known, steps, 0).sum(axis=1) / count
    scales = np.sqrt((np.where(known, steps - means[:, None], 0) ** 2).sum(axis=1) / count)
    return means, np.where(scales > 0, scales, 1)


def padded(samples: Sequence[Floats], means: Floats, scales: Floats, steps: int, has_mask: bool) -> NDArray[np.float32]:
    """``[samples, channels, steps]``, with 0 after the end of each and where a channel has no values; a mask is the last channel."""
    channels = len(means)
    out = np.zeros((len(samples), channels + has_mask, steps), np.float32)
    for number, sample in enumerate(samples):
        length = min(sample.shape[1], steps)
        out[number, :channels, :length] = np.nan_to_num((sample[:, :length] - means[:, None]) / scales[:, None])
        if has_mask:
            out[number, channels, :length] = 1
    return out


# -- new sequences -------------------------------------------------------------------------------------------------------


def encode(folder: Path, info: DataInfo, plan: Mapping[str, Any], rows: Any) -> NDArray[np.float32]:
    """New sequences as ``[sequences, channels, steps]``: arrays ``[channels, steps]`` (``[steps]`` of one channel) in a list or in one
    array, or, where training read a table with a column of series, such a table; then in the order in which the series begin."""
    channels = list(plan["channels"])
    if isinstance(rows, pd.DataFrame):
        if "series" not in plan:
            raise DataError(f"{folder}: rows must be sequences in a list or an array, but are a table. Give arrays [channels, steps].")
        samples = series_of(str(folder), rows, plan["series"], plan.get("timestamp"), channels)
    else:
        steps_first = bool(plan.get("steps_first"))
        samples = [_as_sample(folder, number, row, len(channels), steps_first) for number, row in enumerate(rows, 1)]
    for number, sample in enumerate(samples, 1):
        _check_length(folder, info, number, sample.shape[1])
    filled = [_filled(sample) for sample in samples]
    return padded(filled, np.array(plan["means"]), np.array(plan["scales"]), info.input_shape[1], info.has_mask)


def _as_sample(folder: Path, number: int, row: Any, channels: int, steps_first: bool) -> Floats:
    try:
        sample = np.asarray(row, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{folder}: sequence {number} must hold numbers, each channel as many, but does not.") from None
    if sample.ndim == 1 and channels == 1:
        return sample[None]
    if sample.ndim == 2 and sample.shape[1] == channels and (steps_first or sample.shape[0] != channels):
        return sample.T
    if sample.ndim != 2 or sample.shape[0] != channels:
        raise DataError(f"{folder}: sequence {number} must have the shape ({channels}, steps), but has {sample.shape}. Reshape it.")
    return sample


def _check_length(folder: Path, info: DataInfo, number: int, length: int) -> None:
    if not length:
        raise DataError(f"{folder}: sequence {number} must have at least one step, but has none. Leave it out.")
    if length < info.input_shape[1] and not info.has_mask:
        raise DataError(
            f"{folder}: sequence {number} must have {info.input_shape[1]} steps, as all had in training, but has {length}. "
            "Bring it to that length."
        )
