"""A trainer for rehearsals: learning curves from a formula, and faults on demand. It needs no data, no model and no torch.

Tests, benchmarks and fault harnesses give it to an engine in place of the real one::

    make_engine("local", ..., trainer=Rehearsal(faults={3: Fault("segfault", epoch=2)}))
"""

from __future__ import annotations

import errno
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NoReturn

from automl.clock import now
from automl.draws import unit_at
from automl.errors import DeviceError
from automl.events import (
    Configuration,
    Diverged,
    Failed,
    Finished,
    Measure,
    Measured,
    Reported,
    Started,
    Tested,
    TrialKey,
    TrialSpec,
    Value,
    WorkerEvent,
)

FaultKind = Literal["raise", "out_of_memory", "diverge", "crash", "exit", "segfault", "kill", "hang", "full_disk"]

SCORES = frozenset({"accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "r2"})  # more is better
EXIT_CODE = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong while a trial trains ``epoch``.

    ============== =====================================================================
    kind           what happens
    ============== =====================================================================
    raise          the trial's code raises: ``Failed("error")``
    out_of_memory  the device's memory is full: ``Failed("out_of_memory")``
    diverge        the loss is NaN: ``Diverged``
    crash          the trainer itself raises, outside of any trial
    exit           the process ends with exit code 3
    segfault       the process gets a SIGSEGV
    kill           the process gets a SIGKILL, as from the kernel when memory runs out
    hang           nothing ever happens again
    full_disk      the trainer cannot write, outside of any trial
    ============== =====================================================================

    ``times`` is how often it happens; the count is kept in ``<job.folder>/trials/<number>/faults``, so that it survives the
    process. None: each time.
    """

    kind: FaultKind
    epoch: int = 1
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Makes a ``SimulatedTrainer`` in a worker: a factory that can be pickled.

    ``faults`` are keyed by trial number. Each epoch is charged ``seconds_per_epoch`` device seconds; nobody sleeps for them unless
    ``sleeps``. ``start_fault`` strikes when the trainer is made, before the worker serves anything; ``unfit`` is the error of a device
    that can never train.
    """

    faults: Mapping[int, Fault] = field(default_factory=dict)
    seconds_per_epoch: float = 0.01
    sleeps: bool = False
    start_fault: FaultKind | Literal["unfit"] | None = None

    def __call__(self, device: str, worker: str, lanes: int) -> SimulatedTrainer:
        if self.start_fault == "unfit":
            raise DeviceError(f"{worker}: {device} must be able to train, but the rehearsal says it cannot. Use another device.")
        if self.start_fault is not None:
            strike(self.start_fault)
        return SimulatedTrainer(device, worker, lanes, self)


@dataclass(frozen=True, slots=True)
class _Lane:
    trial: TrialSpec
    epoch: int = 0
    best: float | None = None


class SimulatedTrainer:
    """Keeps the laws of a ``Trainer``; every epoch of every lane takes one ``advance``.

    The numbers are ``simulated_metrics``; no files are written (``Finished.saved`` says what a real trainer would have done, and
    ``test`` computes its answer from the configuration).
    """

    def __init__(self, device: str, worker: str, lanes: int, rehearsal: Rehearsal | None = None) -> None:
        self.lanes = lanes
        self._device = device
        self._worker = worker
        self._rehearsal = rehearsal or Rehearsal()
        self._waiting: deque[TrialSpec] = deque()
        self._training: list[_Lane] = []

    def start(self, trial: TrialSpec) -> None:
        self._waiting.append(trial)

    def stop(self, key: TrialKey) -> None:
        self._waiting = deque(trial for trial in self._waiting if trial.key != key)
        self._training = [lane for lane in self._training if lane.trial.key != key]

    def advance(self) -> list[WorkerEvent]:
        events: list[WorkerEvent] = []
        while self._waiting and len(self._training) < self.lanes:
            trial = self._waiting.popleft()
            self._training.append(_Lane(trial))
            events.append(Started(trial.key, now(), self._device, self._worker))
        if self._training and self._rehearsal.sleeps:
            time.sleep(self._rehearsal.seconds_per_epoch)
        going_on = []
        for lane in self._training:
            news, lane_after = self._epoch(lane)
            events += news
            if lane_after is not None:
                going_on.append(lane_after)
        self._training = going_on
        return events

    def test(self, trial: TrialSpec) -> WorkerEvent:
        return Tested(trial.key, now(), simulated_metrics(trial, trial.epochs, "test"))

    def measure(self, order: Measure) -> Measured:
        return Measured({lanes: lanes / self._rehearsal.seconds_per_epoch for lanes in (1, order.most)})

    def _epoch(self, lane: _Lane) -> tuple[list[WorkerEvent], _Lane | None]:
        """The events of a lane's next epoch, and the lane after it (None: the trial has ended)."""
        trial, epoch, seconds = lane.trial, lane.epoch + 1, self._rehearsal.seconds_per_epoch
        fault = self._rehearsal.faults.get(trial.key.trial)
        if fault is not None and fault.epoch == epoch and _is_due(fault, trial):
            return [_fault_event(fault.kind, trial.key, epoch, seconds)], None
        metrics = simulated_metrics(trial, epoch)
        events: list[WorkerEvent] = [Reported(trial.key, now(), epoch, metrics, seconds)]
        value = metrics[trial.job.objective]
        best = value if lane.best is None else (max if trial.job.maximize else min)(lane.best, value)
        if epoch < trial.epochs:
            return events, replace(lane, epoch=epoch, best=best)
        bar = trial.save_if_beats
        saved = bar is None or (best > bar if trial.job.maximize else best < bar)
        tested = [Tested(trial.key, now(), simulated_metrics(trial, epoch, "test"))] if trial.tested else []
        return [*events, *tested, Finished(trial.key, now(), saved=saved)], None


def simulated_metrics(trial: TrialSpec, epoch: int, split: str = "validation") -> dict[str, float]:
    """The metrics of a trial after ``epoch`` epochs: a closed function of its configuration, its seed, the epoch and the split.

    ``score(t) = 0.1 + (q - 0.1) (1 - exp(-r t)) + noise`` with a quality q in (0.4, 0.99) that the configuration decides and a
    rate r in (0.2, 0.6) that the seed decides. Metrics that are better when lower are ``1 - score``.
    """
    quality = simulated_quality(trial.configuration)
    rate = 0.2 + 0.4 * unit_at(trial.seed, "rate")
    score = 0.1 + (quality - 0.1) * (1.0 - math.exp(-rate * epoch))

    def noisy(metric: str) -> float:
        return score + 0.01 * (unit_at(trial.seed, split, metric, epoch) - 0.5)

    names = dict.fromkeys((*trial.job.metrics, trial.job.objective))
    rises = {name: trial.job.maximize if name == trial.job.objective else name in SCORES for name in names}
    return {name: noisy(name) if rises[name] else 1.0 - noisy(name) for name in names}


def simulated_quality(configuration: Configuration) -> float:
    """How well a configuration does in the end, in (0.4, 0.99): best where every parameter is near its own hidden optimum."""
    penalties = [_penalty(name, value) for name, value in configuration.items()]
    return 0.4 + 0.59 * math.exp(-sum(penalties) / max(len(penalties), 1))


def _penalty(name: str, value: Value) -> float:
    """Zero at the parameter's optimum: squared decades for numbers, a draw for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return unit_at("choice", name, str(value))
    optimum = -2.5 if name == "learning_rate" else 3.0 * unit_at("optimum", name) - 1.5
    return (math.log10(max(abs(value), 1e-6)) - optimum) ** 2 / 4.0


def strike(kind: FaultKind) -> NoReturn:
    """Do to this process what the fault says."""
    print(f"rehearsal: {kind}", flush=True)
    if kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "exit":
        os._exit(EXIT_CODE)
    elif kind == "hang":
        threading.Event().wait()
    elif kind == "full_disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "trials/log.txt")
    raise RuntimeError("the rehearsal asked for a crash")


def _fault_event(kind: FaultKind, key: TrialKey, epoch: int, seconds: float) -> WorkerEvent:
    match kind:
        case "raise":
            return Failed(key, now(), "error", f"RuntimeError: the rehearsal asked for an error in epoch {epoch}", seconds)
        case "out_of_memory":
            return Failed(key, now(), "out_of_memory", f"OutOfMemoryError: the rehearsal asked for it in epoch {epoch}", seconds)
        case "diverge":
            return Diverged(key, now(), epoch, seconds)
        case _:
            strike(kind)


def _is_due(fault: Fault, trial: TrialSpec) -> bool:
    """Whether the fault happens this time; counts it first, since the process may not live to do so later."""
    if fault.times is None:
        return True
    count = Path(trial.job.folder, "trials", str(trial.key.trial), "faults")
    count.parent.mkdir(parents=True, exist_ok=True)
    happened = int(count.read_text(encoding="utf-8")) if count.exists() else 0
    count.write_text(str(happened + 1), encoding="utf-8")
    return happened < fault.times
