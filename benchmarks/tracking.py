"""What tracking costs: SQL statements, commits and milliseconds a trial, at the beginning of a study and after a thousand trials.

The real writer on a real SQLite store of MLflow, in a fresh folder. A trial has 5 parameters and 10 reports of 3 metrics; it arrives
in one flush (short trials) or in several (long ones). The share of the parent's curve is in it; every figure is the mean of four trials.
Also how long a report takes from the driver to where MLflow's UI reads it, with the real thread and its usual pause.

    python benchmarks/tracking.py [--trials 1000] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from automl.events import Finished, Reported, Started, TrialKey
from automl.tracking import Mirror, StudyHeader, Summary
from automl.tracking.client import connect
from automl.tracking.writer import Writer
from automl.trials import Event, Resumed, Suggested

REPORTS = 10
GROUP = 4
FLUSHES = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a trial costs, on average of a group."""

    trial: int
    flushes: int
    statements: float
    commits: float
    milliseconds: float
    allowed: int


def header(identity: str) -> StudyHeader:
    """A study to measure with."""
    searched = ("layers", "units", "optimizer", "learning_rate", "dropout")
    fixed = {"strategy": "random", "pruner": "none", "seed": 0, "metric": "accuracy", "maximize": True, "epochs": REPORTS}
    return StudyHeader(
        identity=identity, name=identity, experiment="cost", searched=searched, space_sha256="0", folder=".", created=time.time(), **fixed
    )


def story(identity: str, number: int) -> list[Event]:
    """All events of one trial."""
    key, at = TrialKey(identity, number), time.time()
    values = {"layers": 2, "units": 64, "optimizer": "sgd", "learning_rate": 0.001 * (number + 1), "dropout": 0.1}
    reports = [
        Reported(key, at + epoch, epoch, {"accuracy": epoch / 100, "loss": 1 / epoch, "val_loss": 2 / epoch}, 1.0)
        for epoch in range(1, REPORTS + 1)
    ]
    return [Suggested(key, at, values, "strategy"), Started(key, at, "cpu", "worker-0"), *reports, Finished(key, at + REPORTS)]


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Count the SQL statements and commits of this process, those that prepare a connection included."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    seen = {"statements": 0, "commits": 0}

    def statement(*_: Any) -> None:
        seen["statements"] += 1

    def commit(_: Any) -> None:
        seen["commits"] += 1

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", commit)
    yield seen
    event.remove(Engine, "before_cursor_execute", statement)
    event.remove(Engine, "commit", commit)


def write(writer: Writer, identity: str, number: int, flushes: int) -> None:
    """One trial, in so many flushes."""
    events = story(identity, number)
    for begin, until in pairwise(round(part * len(events) / flushes) for part in range(flushes + 1)):
        for event in events[begin:until]:
            writer.take(event)
        writer.flush(0.0)


def costs(writer: Writer, identity: str, first: int) -> list[Cost]:
    """What the trials from this number on cost, for each number of flushes."""
    found = []
    for flushes in FLUSHES:
        began = time.perf_counter()
        with counted() as seen:
            for number in range(first, first + GROUP):
                write(writer, identity, number, flushes)
        spent = (time.perf_counter() - began) * 1000 / GROUP
        allowed = 40 + 12 * (flushes - 1)
        found.append(Cost(first, flushes, seen["statements"] / GROUP, seen["commits"] / GROUP, spent, allowed))
        first += GROUP
    return found


def seconds_to_see(uri: str) -> float:
    """How long the second report of a trial takes from the driver to the store, in the real thread."""
    client, identity = connect(uri), "live"
    events = list(enumerate([Resumed(time.time(), 1), *story(identity, 0)], start=1))
    mirror = Mirror(uri, header(identity))
    mirror.follow(events[:4])
    experiment = client.get_experiment_by_name("cost")
    assert experiment is not None
    began = None
    while True:
        found = client.search_runs([experiment.experiment_id], f"tags.`automl.study_id` = '{identity}' and tags.`automl.trial` = '0'")
        loss = found[0].data.metrics.get("loss") if found else None
        if loss == 1.0 and began is None:
            began = time.perf_counter()
            mirror.follow(events[4:5])
        if loss == 0.5 and began is not None:
            seconds = time.perf_counter() - began
            mirror.finish(Summary("interrupted", 1, {}, None, None, ()), {}, 30)
            return seconds
        time.sleep(0.02)


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uri, identity = f"sqlite:///{Path(folder).resolve()}/mlflow.db", "cost"
        began = time.perf_counter()
        writer = Writer(connect(uri), uri, header(identity))
        writer.open()
        opening = time.perf_counter() - began
        writer.take(Resumed(time.time(), arguments.trials))
        for number in range(GROUP * 2):
            write(writer, identity, number, 1)
        found = costs(writer, identity, GROUP * 2)
        for number in range(GROUP * (2 + len(FLUSHES)), arguments.trials):
            write(writer, identity, number, 1)
        found += costs(writer, identity, max(arguments.trials, GROUP * (2 + len(FLUSHES))))
        seen = seconds_to_see(uri)
    if arguments.json:
        print(json.dumps({"opening_seconds": opening, "seconds_to_see": seen, "costs": [asdict(cost) for cost in found]}, indent=2))
        return
    print("trial  flushes  statements (allowed)  commits    ms")
    for cost in found:
        print(f"{cost.trial:5}  {cost.flushes:7}  {cost.statements:10.1f} {cost.allowed:9}  {cost.commits:7.1f}  {cost.milliseconds:4.0f}")
    print(f"import of MLflow and a fresh store: {opening:.1f} s; from a report to the store: {seen:.1f} s")


if __name__ == "__main__":
    main()
