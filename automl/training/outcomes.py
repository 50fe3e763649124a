"""How an epoch or a trial comes out, as events say it."""

from __future__ import annotations

import gc
import math
import traceback
from collections.abc import Callable, Mapping, Sequence

import torch

from automl.clock import now
from automl.errors import AutomlError, DiskError
from automl.events import Failed, FailureReason, Job, TrialSpec
from automl.training import files

_DETAIL_LINES = 12


class NotFiniteError(ArithmeticError):
    """The loss became NaN or infinite."""


def report(job: Job, train_loss: float, measure: Callable[[Sequence[str]], Mapping[str, float]]) -> tuple[dict[str, float], float]:
    """What is finite of the job's metrics, and the (first) objective. ``measure`` gives metrics of the validation split by name.

    Raises NotFiniteError when a loss is not, and AutomlError when an objective is not.
    """
    names = dict.fromkeys(("loss", *(name for name in job.metrics if name != "train_loss"), job.objective))
    if not math.isfinite(train_loss):
        raise NotFiniteError
    measured = {**measure(list(names)), "train_loss": train_loss}
    if not math.isfinite(measured["loss"]):
        raise NotFiniteError
    for name in (job.objective, *job.further):
        value = measured[name]
        if not math.isfinite(value):
            raise AutomlError(f"{name}: must be a finite number on the validation split, but is {value}. Choose another objective.")
    return {name: measured[name] for name in job.metrics if math.isfinite(measured[name])}, measured[job.objective]


def failed(trial: TrialSpec, error: Exception, seconds: float) -> Failed:
    """The end of a trial by this error, whose traceback goes to the trial's log.

    Raises DiskError where it is none of the trial's: a worker that cannot write cannot go on, and the trial keeps its checkpoint.
    """
    raise_if_of_the_disk(error)
    if trial.job.code is not None:
        from automl.training.own.mistakes import told

        detail, text = told(error, trial.job)
        files.append_log(trial, text)
        return Failed(trial.key, now(), reason(error), detail, seconds)
    text = "".join(traceback.format_exception(error))
    files.append_log(trial, text)
    detail = str(error) if isinstance(error, AutomlError) else "\n".join(text.splitlines()[-_DETAIL_LINES:])
    return Failed(trial.key, now(), reason(error), detail, seconds)


def raise_if_of_the_disk(error: BaseException) -> None:
    """Raises DiskError where the disk is at fault and not the trial."""
    of_the_disk = DiskError.of(error)
    if of_the_disk is not None:
        raise of_the_disk from error


def note_retry(trial: TrialSpec, error: Exception, rows: int) -> None:
    """Say in the trial's log that it goes on with fewer samples at once."""
    first = (str(error) or type(error).__name__).splitlines()[0]
    files.append_log(trial, f"out of memory ({first}): tried again alone, with at most {rows} samples at once\n")


def reason(error: Exception) -> FailureReason:
    """What kind of failure an error is."""
    is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    return "out_of_memory" if is_memory else "error"


def free_memory(device: torch.device) -> None:
    """Hand back to the device what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
