"""Features of a frozen trunk: computed once for all trials of a study that freeze as much of it, and read as the prepared data are.

They lie in ``features/`` of the prepared data's folder, a file for each file of inputs, and are there whole or not at all. Which ones they
are says their name: a hash of the checkpoint, the frozen stages, the data and the arithmetic.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from automl.data.preparation import FEATURES
from automl.events import TrialSpec
from automl.models.finetune import Finetuned
from automl.training.samples import Samples, Split

MOST_BYTES = 4 * 2**30  # larger ones are computed anew at every step
_ROWS = 128


def with_features(samples: Samples, module: Finetuned, trial: TrialSpec) -> Samples | None:
    """The samples with what the frozen stages make of them in place of pictures; None where there is nothing to gain or no room.

    The test split keeps its pictures: it is looked at once, through the whole network.
    """
    if not module.cut or any(split.file is None for split in (samples.train, samples.validation)):
        return None
    module.eval()
    first = samples.train.inputs[:1].to(module.output.weight.device)
    width = module.frozen_features(samples.train.prepared(first)).numel()
    splits = {split.file: split for split in (samples.train, samples.validation)}
    if sum(len(split.inputs) for split in splits.values()) * width * samples.train.dtype.itemsize > MOST_BYTES:
        return None
    name = _name(samples, module, trial)
    found = {file: _inputs(split, module, Path(trial.job.data), name) for file, split in splits.items()}
    train, validation = (
        replace(
            split,
            inputs=found[split.file],
            scale=1.0,
            stream=None,
            rows=None if split.rows is None else split.rows.to(found[split.file].device),
        )
        for split in (samples.train, samples.validation)
    )
    return replace(samples, train=train, validation=validation)


def _name(samples: Samples, module: Finetuned, trial: TrialSpec) -> str:
    assert trial.job.checkpoint is not None
    record = {**asdict(trial.job.checkpoint), "file": "", "folders": ()}
    meaning = [record, module.cut, samples.info.fingerprint, samples.info.input_shape, str(samples.train.dtype)]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]


def _inputs(split: Split, module: Finetuned, folder: Path, name: str) -> Tensor:
    """The features of a file of inputs on the device, made where they are not there; whoever wants them meanwhile waits."""
    assert split.file is not None
    place = "-".join(split.file.relative_to(folder).with_suffix("").parts)
    file = folder / FEATURES / f"{name}-{place}.npy"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the process ends, however it ends
            if not file.exists():
                _write(split, module, file)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # and nobody writes
        return torch.from_numpy(np.load(file, mmap_mode="r", allow_pickle=False)).to(module.output.weight.device)


def _write(split: Split, module: Finetuned, file: Path) -> None:
    device, unfinished = module.output.weight.device, file.with_suffix(".unfinished")
    out = None
    for first in range(0, len(split.inputs), _ROWS):
        features = module.frozen_features(split.prepared(split.inputs[first : first + _ROWS].to(device))).cpu().numpy()
        if out is None:
            out = np.lib.format.open_memmap(unfinished, "w+", features.dtype, (len(split.inputs), *features.shape[1:]))
        out[first : first + len(features)] = features
    assert out is not None
    out.flush()
    del out
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    unfinished.replace(file)
