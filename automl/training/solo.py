"""A trainer that trains one trial at a time."""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import time
import traceback
from collections import deque
from collections.abc import Mapping

import torch

from automl.errors import AutomlError
from automl.events import Diverged, Failed, FailureReason, Finished, Reported, Started, Tested, TrialKey, TrialSpec, WorkerEvent
from automl.families import complete
from automl.metrics import metrics_of
from automl.models import build
from automl.training import files
from automl.training.fit import Fit, NotFiniteError, predict
from automl.training.metrics import measure
from automl.training.samples import Samples, read_samples
from automl.training.weights import flattened

CHECKPOINT_SECONDS = 5.0  # a checkpoint is written when losing what came after the last one would cost more than this
_DETAIL_LINES = 12
_MOST_DATA = 3  # so many prepared data sets are kept on the device
_SHARED_SPLIT = "training data (there is no other)"

_log = logging.getLogger(__name__)


class SoloTrainer:
    """Trains one trial at a time; trials that are started meanwhile wait in their order.

    Args:
        device: what torch calls it, such as ``cpu`` or ``cuda:0``.
        worker: the name that ``Started`` gives.
        lanes: how many trials may be inside at once; they do not train side by side.
        dtype: float64 is for tests, where rounding must not hide anything.
        checkpoint_seconds: seconds of training after which a trial's state is written to disk.
    """

    def __init__(
        self,
        device: str,
        worker: str,
        lanes: int = 1,
        *,
        dtype: torch.dtype = torch.float32,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self.lanes = lanes
        self._device, self._worker, self._dtype = torch.device(device), worker, dtype
        self._checkpoint_seconds = checkpoint_seconds
        self._waiting: deque[TrialSpec] = deque()
        self._fit: Fit | None = None
        self._unsaved_seconds = 0.0
        self._uncharged_seconds = 0.0  # of making the trial ready; its first report pays for them
        self._samples: dict[str, Samples] = {}
        self._warned = False
        if self._device.type == "cuda":
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False

    def start(self, trial: TrialSpec) -> None:
        """Take this trial; it waits until those before it have ended."""
        self._waiting.append(trial)

    def stop(self, key: TrialKey) -> None:
        """Forget this trial, and its checkpoint."""
        for trial in [trial for trial in self._waiting if trial.key == key]:
            self._waiting.remove(trial)
            files.discard(files.checkpoint_file(trial))
        if self._fit and self._fit.trial.key == key:
            self._end(self._fit.trial)

    def advance(self) -> list[WorkerEvent]:
        """Start the next trial that waits, or train one epoch of the trial in training."""
        if not self._fit:
            return self._start_next() if self._waiting else []
        fit, epoch, began = self._fit, self._fit.epoch + 1, time.perf_counter()
        try:
            if self._unsaved_seconds >= self._checkpoint_seconds:
                # Only now, since the driver has the report of this epoch once it asks for the next.
                with contextlib.suppress(OSError):  # one that cannot be written costs time at most
                    files.save(fit.checkpoint(), files.checkpoint_file(fit.trial))
                self._unsaved_seconds = 0.0
            events = self._train_epoch(fit, began)
        except NotFiniteError:
            events = [Diverged(fit.trial.key, time.time(), epoch, time.perf_counter() - began)]
        except Exception as error:
            events = [self._failed(fit.trial, error, time.perf_counter() - began)]
        if not isinstance(events[-1], Reported):
            self._end(fit.trial)
        if isinstance(events[-1], Failed):
            del fit
            _free_memory(self._device)
        return events

    def _start_next(self) -> list[WorkerEvent]:
        """Make the next trial ready; an answer of its own, so that a trial of long epochs is known to train before its first report."""
        trial, began = self._waiting.popleft(), time.perf_counter()
        started = Started(trial.key, time.time(), str(self._device), self._worker)
        try:
            self._fit = self._begin(trial)
        except Exception as error:
            self._end(trial)
            failed = self._failed(trial, error, time.perf_counter() - began)
            del error
            _free_memory(self._device)
            return [started, failed]
        self._uncharged_seconds = time.perf_counter() - began
        return [started]

    def _begin(self, trial: TrialSpec) -> Fit:
        """The trial ready to train its first epoch, or the one after its checkpoint."""
        fit = Fit(trial, self._samples_of(trial), self._device, self._dtype)
        if fit.recipe.bfloat16 and not fit.autocast and not self._warned:
            _log.warning("precision: bfloat16 is for GPUs, so trials train in float32 on %s.", self._device)
            self._warned = True
        file = files.checkpoint_file(trial)
        if file.exists() and (checkpoint := files.load_or_none(file, self._device)):
            fit.restore(checkpoint)
        self._unsaved_seconds = 0.0
        return fit

    def _train_epoch(self, fit: Fit, began: float) -> list[WorkerEvent]:
        trial = fit.trial
        metrics = _report(fit, fit.train_epoch())
        fit.note_objective(metrics[trial.job.objective])
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        seconds = time.perf_counter() - began + self._uncharged_seconds
        self._uncharged_seconds = 0.0
        self._unsaved_seconds += seconds
        events: list[WorkerEvent] = [Reported(trial.key, time.time(), fit.epoch, metrics, seconds)]
        if fit.is_at_its_end:
            saved = fit.beats(trial.save_if_beats)
            if saved:
                files.save(files.named_copies(fit.best_module()), files.weights_file(trial))
            events.append(Finished(trial.key, time.time(), stopped_early=fit.epoch < trial.epochs, saved=saved))
        return events

    def test(self, trial: TrialSpec) -> WorkerEvent:
        """Measure all metrics of the task on the test split, with the weights of the trial's best epoch."""
        began = time.perf_counter()
        try:
            samples = self._samples_of(trial)
            info = samples.info
            module = build(trial.job.model, complete(trial.job.model, trial.configuration), info.input_shape, info.outputs)
            flattened(module, self._device, self._dtype)
            module.load_state_dict(files.load(files.weights_file(trial), self._device))
            outputs = predict(module, samples.test)
            measured = measure(info.task, metrics_of(info.task), outputs, samples.test.targets, info.target_scale)
            metrics = {name: value for name, value in measured.items() if math.isfinite(value)}
            return Tested(trial.key, time.time(), metrics, _SHARED_SPLIT if info.shared_splits else "test")
        except Exception as error:
            return self._failed(trial, error, time.perf_counter() - began)

    def _samples_of(self, trial: TrialSpec) -> Samples:
        folder = trial.job.data
        if folder not in self._samples:
            while len(self._samples) >= _MOST_DATA:
                del self._samples[next(iter(self._samples))]
            self._samples[folder] = read_samples(folder, self._device, self._dtype)
        return self._samples[folder]

    def _failed(self, trial: TrialSpec, error: Exception, seconds: float) -> Failed:
        text = "".join(traceback.format_exception(error))
        files.append_log(trial, text)
        detail = str(error) if isinstance(error, AutomlError) else "\n".join(text.splitlines()[-_DETAIL_LINES:])
        return Failed(trial.key, time.time(), _reason(error), detail, seconds)

    def _end(self, trial: TrialSpec) -> None:
        """Leave nothing of the trial in memory, and no checkpoint."""
        self._fit = None
        files.discard(files.checkpoint_file(trial))


def _report(fit: Fit, train_loss: float) -> Mapping[str, float]:
    """What is finite of the job's metrics. Raises NotFiniteError when the loss is not, and AutomlError when there is no objective."""
    job = fit.trial.job
    names = dict.fromkeys(("loss", *(name for name in job.metrics if name != "train_loss"), job.objective))
    measured = {**fit.measure(fit.samples.validation, list(names)), "train_loss": train_loss}
    if not math.isfinite(measured["loss"]):
        raise NotFiniteError
    if not math.isfinite(measured[job.objective]):
        raise AutomlError(
            f"{job.objective}: must be a finite number on the validation split, but is {measured[job.objective]}. Choose another objective."
        )
    return {name: measured[name] for name in job.metrics if math.isfinite(measured[name])}


def _reason(error: Exception) -> FailureReason:
    is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    return "out_of_memory" if is_memory else "error"


def _free_memory(device: torch.device) -> None:
    """Hand back to the device what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
