"""What the driver costs: CPU milliseconds a trial, memory and disk, from the first trial to the last.

The real driver, store, strategy and pruner with the simulated trainer in the same process, so that the trainer's own cost is
measured apart and taken off. 8 parameters, 10 reports a trial, random strategy, no tracking.

    python benchmarks/driver.py [--trials 10000] [--json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from simulated_study import REPORTS, SPACE

from automl.driver import Session, drive
from automl.engines.inline import InlineEngine
from automl.events import Job, Orders, Slot, TrialKey, TrialSpec
from automl.pruners import make_pruner
from automl.spacefile import to_dict
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.store import Store
from automl.strategies import make_strategy
from automl.training.simulated import Rehearsal
from automl.trials import Created, Event, Resumed


def training_cost(job: Job, trials: int = 500) -> float:
    """CPU seconds that the simulated trainer itself takes for a trial."""
    trainer = InlineEngine(Slot(0, "cpu", 1, "cpu"), Rehearsal())
    began = time.process_time()
    for number in range(trials):
        spec = TrialSpec(TrialKey("x", number), job, SPACE.sample(0, number), number, REPORTS)
        orders = Orders(start=(spec,))
        for _ in range(REPORTS):
            trainer.send(trainer.slots[0], orders)
            trainer.wait()
            orders = Orders()
    return (time.process_time() - began) / trials


def measure(trials: int, folder: Path) -> dict[str, object]:
    """Drive one study of so many trials; the cost in each tenth of it."""
    settings = StudySettings(strategy="random", pruner="none", trials=trials)
    objective = Objective("accuracy", True)
    spec = StudySpec("driver", DataSpec("digits"), "mlp", objective, REPORTS, SPACE, settings=settings)
    job = Job("driver", "mlp", "", str(folder), "accuracy", True, ("loss", "train_loss", "accuracy"))
    own = training_cost(job)
    marks: list[tuple[int, float]] = []
    with Store.create(folder, Created(time.time(), "driver", to_dict(spec), "accuracy", True, "", "benchmark")) as store:
        study = store.study()
        session = Session(study, store, make_strategy("random", {}, SPACE), make_pruner("none", {}, REPORTS), job)
        session.record([Resumed(time.time(), trials)])

        def note(events: Sequence[tuple[int, Event]]) -> None:
            if study.ended >= len(marks) * trials // 10:
                marks.append((study.ended, time.process_time()))

        session.followers.append(note)
        began = time.perf_counter()
        drive(InlineEngine(Slot(0, "cpu", 1, "cpu"), Rehearsal()), [session])
        wall = time.perf_counter() - began
        marks.append((study.ended, time.process_time()))
    pairs = itertools.pairwise(marks)
    costs = [1000 * ((b[1] - a[1]) / max(1, b[0] - a[0]) - own) for a, b in pairs if b[0] > a[0]]
    began = time.perf_counter()
    with Store.read_only(folder) as store:
        store.study()
    return {
        "trials": trials,
        "cpu_ms_per_trial_first_tenth": round(costs[0], 3),
        "cpu_ms_per_trial_last_tenth": round(costs[-1], 3),
        "simulated_trainer_ms_per_trial": round(1000 * own, 3),
        "wall_seconds": round(wall, 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "reload_seconds": round(time.perf_counter() - began, 2),
        "disk_bytes_per_trial": (folder / "study.db").stat().st_size // trials,
    }


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options.trials, Path(folder) / "study")
    result["python"] = platform.python_version()
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name:<32} {value}")


if __name__ == "__main__":
    main()
