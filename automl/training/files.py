"""What a trial leaves in its folder: weights, a checkpoint while it trains, a log when something went wrong.

Files are written whole or not at all, and read without pickle's powers (``weights_only``).
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from automl.durable import are_whole
from automl.events import TrialSpec

_TRIES = 100


def trial_folder(trial: TrialSpec) -> Path:
    """``<study>/trials/<number>``; it exists only when there is something in it."""
    return Path(trial.job.folder) / "trials" / str(trial.key.trial)


def weights_file(trial: TrialSpec) -> Path:
    """The weights of the best epoch: a plain state dict."""
    return trial_folder(trial) / _named(trial, "weights", ".pt")


def checkpoint_file(trial: TrialSpec) -> Path:
    """What a trial needs to go on after an interruption."""
    return trial_folder(trial) / _named(trial, "checkpoint", ".pt")


def best_checkpoint_file(trial: TrialSpec) -> Path:
    """What code of a person's own has kept at its best epoch."""
    return trial_folder(trial) / _named(trial, "checkpoint-best", ".pt")


def own_folder(trial: TrialSpec) -> Path:
    """What belongs to code of a person's own; nothing in it is touched."""
    return trial_folder(trial) / _named(trial, "files", "")


def log_file(trial: TrialSpec) -> Path:
    """The tracebacks of a trial that failed."""
    return trial_folder(trial) / _named(trial, "log", ".txt")


def _named(trial: TrialSpec, name: str, ending: str) -> str:
    return f"{name}-{trial.key.replicate}{ending}" if trial.key.replicate else name + ending


def save(values: dict[str, Any], file: Path) -> None:
    """Write tensors and plain values in place of ``file``, if need be with its folder. Raises OSError where the disk does not take it."""
    unfinished = _unfinished(file)
    try:
        with _opened(unfinished, "wb") as out:
            torch.save(values, out)
        unfinished.replace(file)
    except (OSError, RuntimeError) as error:
        cause = error.__context__ if isinstance(error, RuntimeError) else error  # torch complains of the torn file that it has made
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror, str(file)) from error
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def _opened(file: Path, mode: str) -> IO[Any]:
    """The file, open, if need be in a new folder: a worker with another replicate of the trial may remove an empty one at any moment."""
    for _ in range(_TRIES):
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return file.open(mode)
    return file.open(mode)


def _unfinished(file: Path) -> Path:
    """Always the same name, since a trial is trained in one place at a time: what a killed worker left is overwritten."""
    return file.with_name(f".{file.name}.unfinished")


def load(file: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What ``save`` wrote. Raises whatever torch raises for a file that is not whole."""
    values: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    return values


def load_or_none(file: Path, device: torch.device) -> dict[str, Any] | None:
    """What ``save`` wrote, or None where that is not there as it was written."""
    try:
        return load(file, device) if are_whole(file) else None  # torch itself does not look at the checksums
    except Exception:  # torch raises nearly anything for a torn file; a checkpoint that cannot be read only costs time
        return None


def discard(file: Path) -> None:
    """Delete a file that may be there, whole or unfinished, and its folder when that leaves it empty.

    Best effort: the driver tidies up in the same folders at the same time.
    """
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
        _unfinished(file).unlink(missing_ok=True)
        file.parent.rmdir()  # only where nothing else is left in it


def append_log(trial: TrialSpec, text: str) -> None:
    """Add to the trial's log; a full disk must not hide the error that is being logged."""
    try:
        with _opened(log_file(trial), "a") as log:
            log.write(text)
    except OSError:
        pass


def named_copies(module: torch.nn.Module) -> dict[str, Tensor]:
    """The state dict of a module on the CPU, each tensor with memory of its own."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in module.state_dict().items()}
