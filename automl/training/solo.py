"""A trainer that trains one trial at a time."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from automl.events import Diverged, Failed, Finished, Measured, Reported, Started, Tested, TrialKey, TrialSpec, WorkerEvent
from automl.families import complete
from automl.metrics import metrics_of
from automl.models import build
from automl.training import files
from automl.training.fit import Fit, predict
from automl.training.metrics import measure
from automl.training.outcomes import NotFiniteError, failed, free_memory, report
from automl.training.samples import Samples, StudySamples
from automl.training.weights import flattened

CHECKPOINT_SECONDS = 5.0  # a checkpoint is written when losing what came after the last one would cost more than this
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
        self._samples: dict[str, StudySamples] = {}
        self._warned = False
        if self._device.type == "cuda":
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False

    @property
    def is_busy(self) -> bool:
        """Whether a trial trains here or waits."""
        return bool(self._fit or self._waiting)

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
        fit, epoch, began = self._fit, self._fit.course.epoch + 1, time.perf_counter()
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
            events = [failed(fit.trial, error, time.perf_counter() - began)]
        if not isinstance(events[-1], Reported):
            self._end(fit.trial)
        if isinstance(events[-1], Failed):
            del fit
            free_memory(self._device)
        return events

    def _start_next(self) -> list[WorkerEvent]:
        """Make the next trial ready; an answer of its own, so that a trial of long epochs is known to train before its first report."""
        trial, began = self._waiting.popleft(), time.perf_counter()
        started = Started(trial.key, time.time(), str(self._device), self._worker)
        try:
            self._fit = self._begin(trial)
        except Exception as error:
            self._end(trial)
            failure = failed(trial, error, time.perf_counter() - began)
            del error
            free_memory(self._device)
            return [started, failure]
        self._uncharged_seconds = time.perf_counter() - began
        return [started]

    def warn_of_float32(self) -> None:
        """Say once that bfloat16 was asked for where it is not to be had."""
        if not self._warned:
            _log.warning("precision: bfloat16 is for GPUs, so trials train in float32 on %s.", self._device)
        self._warned = True

    def _begin(self, trial: TrialSpec) -> Fit:
        """The trial ready to train its first epoch, or the one after its checkpoint."""
        fit = Fit(trial, self.samples_of(trial), self._device, self._dtype)
        if fit.recipe.bfloat16 and not fit.autocast:
            self.warn_of_float32()
        file = files.checkpoint_file(trial)
        if file.exists() and (checkpoint := files.load_or_none(file, self._device)):
            fit.restore(checkpoint)
        self._unsaved_seconds = 0.0
        return fit

    def _train_epoch(self, fit: Fit, began: float) -> list[WorkerEvent]:
        trial = fit.trial
        metrics, objective = report(trial.job, fit.train_epoch(), partial(fit.measure, fit.samples.validation))
        fit.note_objective(objective)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        seconds = time.perf_counter() - began + self._uncharged_seconds
        self._uncharged_seconds = 0.0
        self._unsaved_seconds += seconds
        events: list[WorkerEvent] = [Reported(trial.key, time.time(), fit.course.epoch, metrics, seconds)]
        if fit.course.is_at_its_end:
            saved, module = fit.course.may_be_saved, fit.best_module()
            if saved:
                files.save(files.named_copies(module), files.weights_file(trial))
            if trial.tested:
                events.append(self._tested(trial, module))
            events.append(Finished(trial.key, time.time(), stopped_early=fit.course.epoch < trial.epochs, saved=saved))
        return events

    def test(self, trial: TrialSpec) -> WorkerEvent:
        """Measure all metrics of the task on the test split, with the weights of the trial's best epoch."""
        began = time.perf_counter()
        try:
            return self.tested(trial, files.load(files.weights_file(trial), self._device))
        except Exception as error:
            return failed(trial, error, time.perf_counter() - began)

    def tested(self, trial: TrialSpec, weights: dict[str, Tensor]) -> Tested:
        """What this state dict of the trial's network reaches on the test split."""
        info = self.samples_of(trial).info
        module = build(trial.job.model, complete(trial.job.model, trial.configuration), info.input_shape, info.outputs)
        flattened(module, self._device, self._dtype)
        module.load_state_dict(weights)
        return self._tested(trial, module)

    def _tested(self, trial: TrialSpec, module: nn.Module) -> Tested:
        samples = self.samples_of(trial)
        info, outputs = samples.info, predict(module, samples.test)
        measured = measure(info.task, metrics_of(info.task), outputs, samples.test.targets, info.target_scale)
        metrics = {name: value for name, value in measured.items() if math.isfinite(value)}
        return Tested(trial.key, time.time(), metrics, _SHARED_SPLIT if info.shared_splits else "test")

    def measure(self, trials: Sequence[TrialSpec]) -> Measured:
        """One: nothing trains side by side here."""
        return Measured(trials[0].key, time.time(), 1, {})

    def samples_of(self, trial: TrialSpec) -> Samples:
        """The data of the trial's study, of the fold that it is of, on the device; read once."""
        folder = trial.job.data
        if folder not in self._samples:
            while len(self._samples) >= _MOST_DATA:
                del self._samples[next(iter(self._samples))]
            self._samples[folder] = StudySamples(folder, self._device, self._dtype)
        return self._samples[folder].of(trial.key.replicate)

    def _end(self, trial: TrialSpec) -> None:
        """Leave nothing of the trial in memory, and no checkpoint."""
        self._fit = None
        files.discard(files.checkpoint_file(trial))
