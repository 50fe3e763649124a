"""A long and large study: what the driver costs at its end against its beginning, and whether it keeps a thousand workers busy.

The real driver, store, strategy and pruner; the training alone is simulated, and so is its time: the clock of ``SimulatedWorkers`` goes on
by what an epoch takes and by the CPU time that the driver takes in between. Two studies, 8 parameters, 10 reports a trial:

- ``--trials`` trials on 8 workers: memory, CPU time, calls of functions and bytes a trial, and how long it takes to read the study again;
- ``--many`` trials on ``--workers`` workers, of which an epoch takes a second or two: the share of their time that they trained.

    python benchmarks/soak.py [--trials 100000] [--many 20000] [--workers 1000] [--strategy random] [--pruner none] [--json]
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from simulated_study import REPORTS, SPACE

from automl.draws import unit_at
from automl.driver import Session, drive
from automl.engines import Answer
from automl.engines.worker import handle
from automl.events import Job, Orders, Slot, TrialSpec
from automl.pruners import make_pruner
from automl.spacefile import to_dict
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.store import Store
from automl.strategies import make_strategy
from automl.study import Study
from automl.training.simulated import Rehearsal
from automl.trials import Created, Event, Resumed

FEW_WORKERS = 8
EPOCH_SECONDS = 1.0  # of the quickest trial; the slowest takes twice as long
EARLY = 1000  # the trials so far at the beginning, against which the end is held
WINDOW = 200  # trials over which a cost is taken
WINDOWS = 5  # of which the middle one counts
COUNTED = 20  # trials of which every call of a function is counted


class SimulatedWorkers:
    """An engine whose workers train in simulated time, one after the other in this process.

    ``clock`` is the simulated time. It goes on to the moment at which the next worker answers, and by ``cost()`` of what the driver did in
    between: its CPU time, or what a test says. ``idle`` is how long workers have waited for orders until the last trial was handed out.
    """

    def __init__(self, workers: int, cost: Callable[[], float] = time.process_time) -> None:
        self.slots: Sequence[Slot] = [Slot(index, f"cpu:{index}", 1, f"cpu-{index}") for index in range(workers)]
        self.clock = self.idle = self.handed_out_at = self.training_seconds = 0.0
        self._trainers = [Rehearsal()(slot.device, slot.name, 1) for slot in self.slots]
        self._orders: dict[int, Orders] = {}
        self._ready: list[tuple[float, int]] = []  # when each busy worker answers
        self._free_since = [0.0] * workers
        self._epoch_seconds = [0.0] * workers
        self._cost = cost
        self._counted = cost()

    def send(self, slot: Slot, orders: Orders, patience_seconds: float = math.inf) -> None:
        self._charge()
        if orders.start:
            self._epoch_seconds[slot.index] = _epoch_seconds(orders.start[0])
            self.handed_out_at = self.clock
        self.idle += self.clock - self._free_since[slot.index]
        self._orders[slot.index] = replace(orders, decided=None)  # an answer for each epoch, whose seconds pass in no time
        heapq.heappush(self._ready, (self.clock + self._epoch_seconds[slot.index], slot.index))

    def wait(self, timeout_seconds: float | None = None) -> list[tuple[Slot, Answer]]:
        self._charge()
        answers: list[tuple[Slot, Answer]] = []
        if self._ready:
            self.clock = max(self.clock, self._ready[0][0])
        while self._ready and self._ready[0][0] <= self.clock:
            at, index = heapq.heappop(self._ready)
            self._free_since[index] = at
            began = time.process_time()
            answers.append((self.slots[index], handle(self._trainers[index], self._orders.pop(index))))
            self.training_seconds += time.process_time() - began
        self._counted = self._cost()  # what the workers did costs the driver nothing
        return answers

    def close(self) -> None:
        self._ready.clear()

    @property
    def used(self) -> float:
        """The share of all workers' time that they trained, until the last trial was handed out."""
        return 1.0 - self.idle / (self.handed_out_at * len(self.slots))

    def _charge(self) -> None:
        now = self._cost()
        self.clock += now - self._counted
        self._counted = now


def _epoch_seconds(trial: TrialSpec) -> float:
    return EPOCH_SECONDS * (1.0 + unit_at(trial.seed, "seconds"))


class Gauge:
    """Follows a study and notes what windows of its trials cost, at its beginning and at its end."""

    def __init__(self, study: Study, engine: SimulatedWorkers, trials: int) -> None:
        self._study, self._engine = study, engine
        self._early = range(EARLY - WINDOW * WINDOWS // 2, EARLY + WINDOW * WINDOWS // 2 + 1, WINDOW)
        self._late = range(trials - WINDOW * WINDOWS, trials + 1, WINDOW)
        self._marks: dict[int, tuple[int, float, int]] = {}  # trials, CPU seconds and memory, by the trials at which they were to be noted
        self._to_mark = [*self._early, *self._late]
        self._to_count = [(self._early[-1] + 1, "early"), (self._late[0] - 2 * COUNTED, "late")]
        self._count_until = 0
        self.calls: dict[str, float] = {"early": 0.0, "late": 0.0}

    def __call__(self, events: Sequence[tuple[int, Event]]) -> None:
        ended = self._study.ended
        while self._to_mark and ended >= self._to_mark[0]:
            self._marks[self._to_mark.pop(0)] = (ended, time.process_time() - self._engine.training_seconds, peak_memory())
        if self._to_count and ended >= self._to_count[0][0]:
            sys.setprofile(self._counter(self._to_count.pop(0)[1]))
            self._count_until = ended + COUNTED
        elif self._count_until and ended >= self._count_until:
            sys.setprofile(None)
            self._count_until = 0

    @property
    def costs(self) -> tuple[float, float]:
        """CPU milliseconds of the driver a trial, at the beginning and at the end: the middle one of several windows."""
        return self._cost(self._early), self._cost(self._late)

    @property
    def growth(self) -> float:
        """Bytes that the driver's memory grew by with each trial."""
        (first, _, before), (last, _, after) = self._marks[self._early[-1]], self._marks[self._late[-1]]
        return (after - before) / (last - first)

    def _cost(self, places: range) -> float:
        marks = [self._marks[place] for place in places]
        return 1000 * statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(marks))

    def _counter(self, when: str) -> Callable[[FrameType, str, object], None]:
        def count(frame: FrameType, event: str, argument: object) -> None:
            if event in ("call", "c_call"):
                self.calls[when] += 1 / COUNTED

        return count


def soak(folder: Path, trials: int, engine: SimulatedWorkers, strategy: str = "random", pruner: str = "none") -> Gauge:
    """One study of so many trials from its first event to its last, in ``folder``."""
    objective = Objective("accuracy", True)
    settings = StudySettings(strategy=strategy, pruner=pruner, trials=trials)
    spec = StudySpec("soak", DataSpec("digits"), "mlp", objective, REPORTS, SPACE, settings=settings)
    job = Job("soak", "mlp", "", str(folder), "accuracy", True, ("loss", "train_loss", "accuracy"))
    with Store.create(folder, Created(time.time(), "soak", to_dict(spec), "accuracy", True, "", "soak")) as store:
        study = store.study()
        session = Session(study, store, make_strategy(strategy, {}, SPACE), make_pruner(pruner, {}, REPORTS), job)
        session.record([Resumed(time.time(), trials)])
        gauge = Gauge(study, engine, trials)
        session.followers.append(gauge)
        why = drive(engine, [session])
    if (why, study.ended) != ("done", trials):
        raise SystemExit(f"the study must have {trials} trials and be done, but has {study.ended} and is {why}")
    return gauge


def peak_memory() -> int:
    """The most bytes that this process ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reloaded(folder: Path) -> dict[str, float]:
    """How long it takes to read the study again, in this process, and the memory that it has then."""
    began, began_cpu = time.perf_counter(), time.process_time()
    with Store.read_only(folder) as store:
        ended = store.study().ended
    cpu, wall = time.process_time() - began_cpu, time.perf_counter() - began
    return {"ended": ended, "cpu_seconds": round(cpu, 2), "wall_seconds": round(wall, 2), "peak_memory_mb": round(peak_memory() / 1e6)}


def measure(folder: Path, trials: int, strategy: str, pruner: str) -> dict[str, object]:
    """The figures of the long study."""
    began = time.perf_counter()
    gauge = soak(folder, trials, SimulatedWorkers(FEW_WORKERS), strategy, pruner)
    wall = time.perf_counter() - began
    early, late = gauge.costs
    again = subprocess.run([sys.executable, __file__, "--read", str(folder)], capture_output=True, text=True, check=True).stdout
    return {
        "trials": trials,
        "strategy": strategy,
        "pruner": pruner,
        "wall_seconds": round(wall, 1),
        "cpu_ms_per_trial_at_1000": round(early, 3),
        "cpu_ms_per_trial_at_the_end": round(late, 3),
        "cpu_ratio": round(late / early, 2),
        "calls_per_trial_at_1000": round(gauge.calls["early"]),
        "calls_per_trial_at_the_end": round(gauge.calls["late"]),
        "peak_memory_mb": round(peak_memory() / 1e6),
        "memory_bytes_per_trial": round(gauge.growth),
        "disk_bytes_per_trial": (folder / "study.db").stat().st_size // trials,
        **{f"read_again_{name}": value for name, value in json.loads(again).items() if name != "ended"},
    }


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000, help="at least 4,000")
    parser.add_argument("--many", type=int, default=20_000, help="trials for the many workers; 0: leave them out")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--strategy", default="random")
    parser.add_argument("--pruner", default="none")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--read", type=Path, help="only read the study in this folder")
    options = parser.parse_args()
    if options.read:
        print(json.dumps(reloaded(options.read)))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder, "long"), options.trials, options.strategy, options.pruner)
        if options.many:
            engine = SimulatedWorkers(options.workers)
            soak(Path(folder, "many"), options.many, engine, options.strategy, options.pruner)
            result |= {"workers": options.workers, "workers_trials": options.many, "workers_used_percent": round(100 * engine.used, 2)}
    result["python"] = platform.python_version()
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name:<32} {value}")


if __name__ == "__main__":
    main()
