"""A trainer that trains one trial at a time."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from automl.clock import now
from automl.events import Diverged, Failed, Finished, Measure, Measured, Reported, Started, Tested, TrialKey, TrialSpec, WorkerEvent
from automl.metrics import metrics_of
from automl.models.multiplication import multiplying
from automl.training import files
from automl.training.checkpoints import CHECKPOINT_SECONDS, Keeper
from automl.training.fit import Fit, network, predict
from automl.training.metrics import measure
from automl.training.outcomes import NotFiniteError, failed, free_memory, note_retry, reason, report
from automl.training.samples import Samples, StudySamples
from automl.training.threads import threads_for

_MOST_DATA = 3  # so many prepared data sets are kept on the device
_SHARED_SPLIT = "training data (there is no other)"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A trial that is not in training. Where memory ran out it begins again with fewer ``rows`` at once, in silence up to where it was."""

    trial: TrialSpec
    reported: int = 0
    rows: int | None = None
    is_new: bool = True


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
        self._waiting: deque[_Waiting] = deque()
        self._fit: Fit | None = None
        self._reported = 0  # epochs of it that were told
        self._keeper = Keeper(checkpoint_seconds)
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
        self._waiting.append(_Waiting(trial))

    def go_on_alone(self, trial: TrialSpec, reported: int) -> None:
        """Take a trial that ran out of memory in a lane after so many reports: its next event is the report after them."""
        self._waiting.append(_Waiting(trial, reported, is_new=False))

    def stop(self, key: TrialKey) -> None:
        """Forget this trial, and its checkpoint."""
        for waiting in [waiting for waiting in self._waiting if waiting.trial.key == key]:
            self._waiting.remove(waiting)
            files.discard(files.checkpoint_file(waiting.trial))
        if self._fit and self._fit.trial.key == key:
            self._end(self._fit.trial)

    def advance(self) -> list[WorkerEvent]:
        """Start the next trial that waits, or train one epoch of the trial in training."""
        events: list[WorkerEvent] = []
        while not events and self.is_busy:
            events = self._train_fit(self._fit) if self._fit else self._start_next()
        return events

    def _train_fit(self, fit: Fit) -> list[WorkerEvent]:
        with threads_for(fit.step_flops, self._device), multiplying():
            return self._train_one(fit)

    def _train_one(self, fit: Fit) -> list[WorkerEvent]:
        """One epoch; nothing where that was told before, or has to be tried again."""
        epoch, began = fit.course.epoch + 1, time.perf_counter()
        try:
            self._keeper.save_if_due(fit.trial, fit.checkpoint)
            events = self._train_epoch(fit, began)
        except NotFiniteError:
            events = [Diverged(fit.trial.key, now(), epoch, time.perf_counter() - began)]
        except Exception as error:
            rows = fit.fewer_rows() if reason(error) == "out_of_memory" else None
            if rows is not None:
                note_retry(fit.trial, error, rows)
                self._waiting.appendleft(_Waiting(fit.trial, max(self._reported, epoch - 1), rows, is_new=False))
                self._fit, self._uncharged_seconds = None, time.perf_counter() - began
                del fit, error
                free_memory(self._device)
                return []
            events = [failed(fit.trial, error, time.perf_counter() - began)]
        if events and not isinstance(events[-1], Reported):
            self._end(fit.trial)
        if events and isinstance(events[-1], Failed):
            del fit
            free_memory(self._device)
        return events

    def _start_next(self) -> list[WorkerEvent]:
        """Make the next trial ready; an answer of its own, so that a trial of long epochs is known to train before its first report."""
        waiting, began = self._waiting.popleft(), time.perf_counter()
        trial = waiting.trial
        events: list[WorkerEvent] = [Started(trial.key, now(), str(self._device), self._worker)] if waiting.is_new else []
        try:
            self._fit = self._begin(trial, waiting.rows)
        except Exception as error:
            events.append(failed(trial, error, time.perf_counter() - began))
            self._end(trial)
            del error
            free_memory(self._device)
            return events
        self._reported = waiting.reported
        self._uncharged_seconds += time.perf_counter() - began
        return events

    def warn_of_float32(self) -> None:
        """Say once that bfloat16 was asked for where it is not to be had."""
        if not self._warned:
            _log.warning("precision: bfloat16 is for GPUs, so trials train in float32 on %s.", self._device)
        self._warned = True

    def _begin(self, trial: TrialSpec, rows: int | None) -> Fit:
        """The trial ready to train its first epoch, or the one after its checkpoint."""
        fit = Fit(trial, self.samples_of(trial), self._device, self._dtype, rows)
        if fit.recipe.bfloat16 and not fit.autocast:
            self.warn_of_float32()
        file = files.checkpoint_file(trial)
        if file.exists() and (checkpoint := files.load_or_none(file, self._device)):
            fit.restore(checkpoint)
        self._keeper.forget(trial.key)
        return fit

    def _train_epoch(self, fit: Fit, began: float) -> list[WorkerEvent]:
        trial = fit.trial
        metrics, objective = report(trial.job, fit.train_epoch(), partial(fit.measure, fit.samples.validation))
        fit.note_objective(objective, metrics.get("loss"))
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        seconds = time.perf_counter() - began + self._uncharged_seconds
        self._uncharged_seconds = 0.0
        self._keeper.note(trial.key, seconds)
        events: list[WorkerEvent] = []
        if fit.course.epoch > self._reported:
            events.append(Reported(trial.key, now(), fit.course.epoch, metrics, seconds))
        if fit.course.is_at_its_end:
            saved, module = fit.course.may_be_saved, fit.best_module()
            if saved:
                files.save(files.named_copies(module), files.weights_file(trial))
            if trial.tested:
                events.append(self._tested(trial, module))
            events.append(Finished(trial.key, now(), stopped_early=fit.course.epoch < trial.epochs, saved=saved))
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
        module, *_ = network(trial, info, self._device, self._dtype)
        module.load_state_dict(weights)
        return self._tested(trial, module)

    def _tested(self, trial: TrialSpec, module: nn.Module) -> Tested:
        samples = self.samples_of(trial)
        info, outputs = samples.info, predict(module, samples.test)
        names = metrics_of(info.task, forecasts=info.continues)
        measured = measure(info.task, names, outputs, samples.test.targets, info.target_scale, samples.test.naive)
        metrics = {name: value for name, value in measured.items() if math.isfinite(value)}
        return Tested(trial.key, now(), metrics, _SHARED_SPLIT if info.shared_splits else "test")

    def measure(self, order: Measure) -> Measured:
        """Nothing trains side by side here."""
        return Measured({})

    def samples_of(self, trial: TrialSpec) -> Samples:
        """The data of the trial's study, of the fold that it is of, on the device; read once."""
        folder = trial.job.data
        if folder not in self._samples:
            while len(self._samples) >= _MOST_DATA:
                del self._samples[next(iter(self._samples))]
            self._samples[folder] = StudySamples(folder, self._device, self._dtype)
        return self._samples[folder].of(trial.key.replicate)

    def streams(self, trial: TrialSpec) -> bool:
        """Whether the trial's data are read from their file while it trains. False where they cannot be read: its training will say why."""
        try:
            return self.samples_of(trial).train.stream is not None
        except Exception:
            return False

    def _end(self, trial: TrialSpec) -> None:
        """Leave nothing of the trial in memory, and no checkpoint."""
        self._fit = None
        self._uncharged_seconds = 0.0
        self._keeper.forget(trial.key)
        files.discard(files.checkpoint_file(trial))
