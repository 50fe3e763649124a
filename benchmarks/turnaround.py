"""How long a worker stands idle between two trials, through the local engine.

The gap is measured inside the worker, from the end of one trial (``Finished.at``) to the end of the first epoch of the next
(``Reported.at``). With the whole of digits in one batch that epoch is one step and one validation, so the gap to the first step
is shorter than what is printed. The driver here is the shortest possible loop: it sends the next trial when one ends.

    python benchmarks/turnaround.py [--trials 200] [--simulated] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from automl.data import prepare
from automl.engines import Engine, make_engine
from automl.engines.worker import TrainerFactory
from automl.events import Failed, Finished, Job, Orders, Reported, TrialKey, TrialSpec, WorkerEvent, WorkerLost
from automl.spec import DataSpec
from automl.training.simulated import Rehearsal

TARGET_MS = 100.0


def the_trial(job: Job, number: int) -> TrialSpec:
    """One of two small networks, by turns, so that no trial finds the last one's things."""
    configuration = {"layers": 1 + number % 2, "units": 32 + 32 * (number % 2), "batch_size": 2048, "learning_rate": 0.01}
    return TrialSpec(TrialKey(job.study, number), job, configuration, seed=number, epochs=1, save_if_beats=2.0)


def train(engine: Engine, job: Job, count: int) -> list[WorkerEvent]:
    """Train so many trials one after the other in the first slot."""
    slot, events = engine.slots[0], list[WorkerEvent]()
    for number in range(count):
        engine.send(slot, Orders(start=(the_trial(job, number),)))
        ((_, answer),) = engine.wait()
        if isinstance(answer, WorkerLost) or any(isinstance(event, Failed) for event in answer):
            raise SystemExit(f"trial {number}: {answer}")
        events += answer
    return events


def round_trips(engine: Engine, count: int) -> list[float]:
    """Milliseconds from orders to the answer when there is nothing to train."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        engine.send(engine.slots[0], Orders())
        engine.wait()
        times.append(1000 * (time.perf_counter() - began))
    return times


def gaps(events: Sequence[WorkerEvent]) -> list[float]:
    """Milliseconds from the end of each trial to the first report of the next."""
    ends = [event.at for event in events if isinstance(event, Finished)]
    reports = [event.at for event in events if isinstance(event, Reported)]
    return [1000 * (report - end) for end, report in zip(ends, reports[1:], strict=False)]


def summary(times: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum."""
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"median_ms": round(statistics.median(ordered), 2), "p95_ms": round(p95, 2), "max_ms": round(ordered[-1], 2)}


def measure(folder: Path, trials: int, trainer: TrainerFactory | None) -> dict[str, object]:
    """Run the benchmark with one worker on one core."""
    prepare(DataSpec("digits"), folder / "data")
    job = Job("turnaround", "mlp", str(folder / "data"), str(folder / "study"), "accuracy", True, ("loss", "accuracy"))
    began = time.time()
    with closing(make_engine("local", devices="cpu", workers="1", log_folder=folder / "workers", trainer=trainer)) as engine:
        events = train(engine, job, trials + 1)
        trips = round_trips(engine, trials)
    first = next(event.at for event in events if isinstance(event, Reported))
    return {
        "trainer": "real" if trainer is None else "simulated",
        "trials": trials,
        "turnaround": summary(gaps(events)),
        "round_trip": summary(trips),
        "seconds_to_the_first_report": round(first - began, 2),
        "python": platform.python_version(),
    }


def main() -> None:
    """Print the table, or JSON; exit code 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--simulated", action="store_true", help="the engine alone, with a trainer that computes nothing")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.trials, Rehearsal() if options.simulated else None)
    turnaround, trip = result["turnaround"], result["round_trip"]
    assert isinstance(turnaround, dict)
    assert isinstance(trip, dict)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(f"{'ms':<36} {'median':>8} {'95 %':>8} {'max':>8}")
        for name, row in (("end of a trial to report of the next", turnaround), ("orders to answer, nothing to train", trip)):
            print(f"{name:<36} {row['median_ms']:>8} {row['p95_ms']:>8} {row['max_ms']:>8}")
        print(f"{result['trials']} trials, {result['trainer']} trainer; first report after {result['seconds_to_the_first_report']} s")
    raise SystemExit(turnaround["p95_ms"] >= TARGET_MS)


if __name__ == "__main__":
    main()
