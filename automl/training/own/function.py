"""A trainer whose trials are trained by a function of a person's own.

The function runs in a thread of its own, and only while the trainer waits for it: at each report it stands still until the trainer is told
to go on, so that a trial is pruned before its next epoch and two trials never run at once.
"""

from __future__ import annotations

import contextlib
import math
import queue
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from automl.clock import now
from automl.errors import UsageError
from automl.events import Diverged, Failed, Finished, Measure, Measured, Reported, Started, Tested, TrialKey, TrialSpec, WorkerEvent
from automl.owncode import imported
from automl.surroundings import Own, Surroundings
from automl.training import files
from automl.training.outcomes import free_memory, raise_if_of_the_disk, reason
from automl.training.own.mistakes import placed, told
from automl.training.own.objective import GaveUpError, as_function
from automl.training.own.output import TrialLog, printed_to
from automl.training.own.records import Standing, read_tested, write_tested
from automl.training.own.trial import Trial, TrialStopped, call_for, of_test, of_validation

if TYPE_CHECKING:
    from automl.training.samples import Samples

_GRACE = 30.0  # seconds that a stopped function has for its ``finally`` blocks


@dataclass(frozen=True, slots=True)
class _Report:
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Return:
    value: object


@dataclass(frozen=True, slots=True)
class _Raise:
    error: BaseException


_Said = _Report | _Return | _Raise
_IMPORTED: dict[str, Surroundings] = {}  # what the import of a module has left: each of its trials begins so, not only the first


class _Run:
    """One call of the function, and the thread that it runs in. Is what stands behind its ``Trial``."""

    def __init__(self, spec: TrialSpec, device: str, samples: Callable[[TrialSpec], Samples]) -> None:
        self.spec, self.standing, self.should_stop = spec, Standing(spec), False
        self.log = TrialLog(files.log_file(spec))
        self._device, self._samples = device, samples
        self._others = {thread.ident for thread in threading.enumerate()}
        self._go, self._said = threading.Semaphore(0), queue.SimpleQueue[_Said]()
        self._own = Own(_IMPORTED.get(spec.job.model) or Surroundings.found())
        name = f"trial {spec.key.trial}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    # the trainer's side

    def go_on(self) -> _Said:
        """Let the function work until it says something."""
        with printed_to(self.log, self._others), self._own.around():
            self._go.release()
            return self._said.get()

    def stop(self) -> None:
        """End the function at the report where it stands; raises RuntimeError where it does not end."""
        self.should_stop = True
        with printed_to(self.log, self._others), self._own.around():
            self._go.release()
            self._thread.join(_GRACE)
        if self._thread.is_alive():
            code = self.spec.job.model
            raise RuntimeError(f"{code}: must end when trial.report raises TrialStopped, but still ran {_GRACE:g} s later")

    # the function's side

    def _work(self) -> None:
        self._go.acquire()
        if self.should_stop:
            return
        try:
            self._said.put(_Return(self._call()))
        except TrialStopped:
            self._said.put(_Return(None))
        except BaseException as error:  # sys.exit() of a trial is no end of the worker
            is_in_order = isinstance(error, SystemExit) and not error.code and self._is_limited and self.epoch > 0
            self._said.put(_Return(None) if is_in_order else _Raise(error))

    def _call(self) -> object:
        code = self.spec.job.code
        assert code is not None
        function = imported(self.spec.job.model, code.folders)
        _IMPORTED.setdefault(self.spec.job.model, Surroundings.found())
        trial = Trial(self.spec, self._device, files.own_folder(self.spec), self)
        _seed(trial.seed)
        if code.kind == "objective":
            return as_function(function, self.spec.job)(trial)
        return function(trial)

    @property
    def _is_limited(self) -> bool:
        """Whether the epochs bound the reports; how many an Optuna objective makes is its own affair."""
        code = self.spec.job.code
        return code is None or code.kind != "objective"

    @property
    def epoch(self) -> int:
        return self.standing.epoch

    def report(self, metrics: Mapping[str, float]) -> None:
        if self.should_stop:
            raise TrialStopped
        if self._is_limited and self.standing.epoch >= self.spec.epochs:
            self.log.note(f"ended at report {self.standing.epoch + 1}: trial.epochs is {self.spec.epochs}")
            self.should_stop = True
            raise TrialStopped
        self._said.put(_Report(metrics))
        self._go.acquire()
        if self.should_stop:
            raise TrialStopped

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        self.standing.save(state)

    def resume(self) -> dict[str, Any] | None:
        return self.standing.restore(torch.device(self._device))

    def data(self) -> Samples:
        if not (Path(self.spec.job.data) / "x_test.npy").exists():
            raise UsageError("trial.data: must be given by the space file, but it has no data. Add data, or read your own.")
        return self._samples(self.spec)


def _seed(seed: int) -> None:
    """A function that draws without a seed of its own is repeatable all the same."""
    random.seed(seed)
    torch.manual_seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)


class FunctionTrainer:
    """Trains one trial at a time by calling the function that its job names; trials that are started meanwhile wait in their order.

    Args:
        device: what torch calls it, such as ``cpu`` or ``cuda:0``.
        worker: the name that ``Started`` gives.
        lanes: how many trials may be inside at once; they do not train side by side.
        samples: gives the prepared data of a trial's study.
    """

    def __init__(self, device: str, worker: str, lanes: int, samples: Callable[[TrialSpec], Samples]) -> None:
        self.lanes = lanes
        self._device, self._worker, self._samples = device, worker, samples
        self._waiting: deque[TrialSpec] = deque()
        self._run: _Run | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a trial trains here or waits."""
        return bool(self._run or self._waiting)

    def start(self, trial: TrialSpec) -> None:
        """Take this trial; it waits until those before it have ended."""
        self._waiting.append(trial)

    def stop(self, key: TrialKey) -> None:
        """Forget this trial, and its checkpoint. Returns when the function has ended."""
        for trial in [trial for trial in self._waiting if trial.key == key]:
            self._waiting.remove(trial)
            Standing(trial).discard()
        if self._run and self._run.spec.key == key:
            self._end(self._run)

    def advance(self) -> list[WorkerEvent]:
        """Start the next trial that waits, or let the one in training go on to its next report or its end."""
        if self._run is None:
            if not self._waiting:
                return []
            spec = self._waiting.popleft()
            self._run = _Run(spec, self._device, self._samples)
            return [Started(spec.key, now(), self._device, self._worker)]
        run, began = self._run, time.perf_counter()
        said = run.go_on()
        seconds = time.perf_counter() - began
        match said:
            case _Report(metrics):
                return self._reported(run, metrics, seconds)
            case _Return(value):
                events = self._returned(run, value, seconds)
            case _Raise(error):
                events = [_failed(run, error, seconds)]
        self._end(run)
        return events

    def _reported(self, run: _Run, metrics: Mapping[str, float], seconds: float) -> list[WorkerEvent]:
        spec, objective = run.spec, run.spec.job.objective
        value = metrics[objective]
        if not math.isfinite(value):
            run.log.note(f"{objective} is {value} in report {run.standing.epoch + 1}, so the trial has diverged")
            self._end(run)
            return [Diverged(spec.key, now(), run.standing.epoch + 1, seconds, objective)]
        run.standing.note(value, of_test(metrics, objective), of_validation(metrics, objective).get("loss"))
        return [Reported(spec.key, now(), run.standing.epoch, of_validation(metrics, objective), seconds)]

    def _returned(self, run: _Run, value: object, seconds: float) -> list[WorkerEvent]:
        spec, standing = run.spec, run.standing
        if not standing.epoch:
            return [Failed(spec.key, now(), "error", _reported_nothing(spec, value), seconds)]
        tests = standing.best_tests if value is None else _tests_of(value, run.log) or standing.best_tests
        events: list[WorkerEvent] = []
        if spec.tested and tests:
            events.append(Tested(spec.key, now(), tests, OWN_SPLIT))
        elif not spec.tested:
            write_tested(spec, tests)
        return [*events, Finished(spec.key, now(), stopped_early=standing.epoch < spec.epochs, saved=standing.keep_best())]

    def test(self, trial: TrialSpec) -> WorkerEvent:
        """What the function said of test data when it trained this trial; no metrics where it said nothing."""
        return Tested(trial.key, now(), read_tested(trial), OWN_SPLIT)

    def measure(self, order: Measure) -> Measured:
        """Nothing trains side by side here."""
        return Measured({})

    def _end(self, run: _Run) -> None:
        """Leave nothing of the trial in memory, and no checkpoint."""
        self._run = None
        run.stop()
        run.standing.discard()
        free_memory(torch.device(self._device))


OWN_SPLIT = "test"


def _tests_of(value: object, log: TrialLog) -> dict[str, float]:
    """The test metrics that a function has returned; anything but a mapping of numbers is left out, and the log says so."""
    if isinstance(value, Mapping):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            numbers = {str(name): float(number) for name, number in value.items() if not isinstance(number, str)}
            return {name: number for name, number in numbers.items() if math.isfinite(number)}
    log.note(f"what the function returned is left out, for it is no mapping of test metrics but {type(value).__name__}")
    return {}


def _reported_nothing(spec: TrialSpec, value: object) -> str:
    code, objective = spec.job.model, spec.job.objective
    hint = f"Call {call_for(objective)}."
    if isinstance(value, int | float):
        hint += f" It returned {value!r}: what a function returns counts as its test result."
    return placed(f"{code}: must report {objective} at the end of every epoch, but ended without a report. {hint}", spec.job)


def _failed(run: _Run, error: BaseException, seconds: float) -> Failed:
    """The end of a trial by this error, whose traceback goes to the trial's log; the detail begins with the place in the person's code."""
    raise_if_of_the_disk(error)
    spec = run.spec
    if isinstance(error, GaveUpError):
        run.log.note(str(error))
        return Failed(spec.key, now(), "pruned", str(error), seconds)
    detail, trace = told(error, spec.job)
    run.log.write(trace.encode())
    return Failed(spec.key, now(), reason(error) if isinstance(error, Exception) else "error", detail, seconds)
