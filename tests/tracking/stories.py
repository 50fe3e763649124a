"""Studies as lists of events, for the tests of tracking."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from automl.events import Configuration, Diverged, Failed, Finished, Reported, Started, TrialKey
from automl.tracking import StudyHeader, Summary
from automl.trials import Event, Lost, Pruned, Report, Rested, Resumed, Suggested, Trial

T0 = 1_700_000_000.0

HEADER = StudyHeader(
    identity="a1b2",
    name="digits-random",
    experiment="digits",
    strategy="random",
    pruner="median",
    seed=3,
    metric="accuracy",
    maximize=True,
    epochs=10,
    searched=("layers", "units", "optimizer", "learning_rate", "dropout"),
    space_sha256="5e1f",
    folder="/studies/digits-random",
    created=T0,
    data_name="digits",
    command="automl run digits.yaml",
)


def header(identity: str) -> StudyHeader:
    return replace(HEADER, identity=identity, name=f"study-{identity}")


def key(identity: str, number: int) -> TrialKey:
    return TrialKey(identity, number)


def configuration(number: int) -> Configuration:
    return {"layers": 2, "units": 64 + number, "optimizer": "sgd", "learning_rate": 0.001 * (number + 1), "dropout": 0.1}


def report(identity: str, number: int, epoch: int, **more: float) -> Reported:
    metrics = {"accuracy": 0.5 + epoch / 100 + number / 1000, "loss": 1 / epoch, "val_loss": 2 / epoch, **more}
    return Reported(key(identity, number), T0 + number * 20 + 1 + epoch, epoch, metrics, 1.0)


def start(identity: str, number: int) -> Started:
    return Started(key(identity, number), T0 + number * 20 + 1, "cpu", "worker-0")


def suggestion(identity: str, number: int) -> Suggested:
    return Suggested(key(identity, number), T0 + number * 20, configuration(number), "baseline" if number == 0 else "strategy")


def end(identity: str, number: int, state: str) -> list[Event]:
    """The events that end a trial in this state."""
    trial, at = key(identity, number), T0 + number * 20 + 15
    match state:
        case "complete":
            return [Finished(trial, at)]
        case "pruned":
            return [Pruned(trial, at, 10)]
        case "diverged":
            return [Diverged(trial, at, 11)]
        case "failed":
            return [Failed(trial, at, "error", "Traceback\nValueError: no")]
        case "out_of_memory" | "timeout":
            return [Failed(trial, at, state, f"{state}!")]
        case "lost":
            return [Lost(trial, at - 1, "killed"), start(identity, number), Lost(trial, at, "killed", "its last words")]
        case _:
            return []


def story(identity: str, number: int, state: str = "complete", epochs: int = 10) -> list[Event]:
    """All events of one trial."""
    reports = [report(identity, number, epoch) for epoch in range(1, epochs + 1)]
    return [suggestion(identity, number), start(identity, number), *reports, *end(identity, number, state)]


def study(identity: str, states: Iterable[str]) -> list[Event]:
    """A whole study: trials one after another that end in these states (``running`` for one that does not)."""
    trials = [event for number, state in enumerate(states) for event in story(identity, number, state)]
    return [Resumed(T0, 50), *trials, Rested(T0 + 10_000, "done", 10_000.0)]


def numbered(events: Iterable[Event]) -> list[tuple[int, Event]]:
    return list(enumerate(events, start=1))


def trial(number: int, state: str = "complete") -> Trial:
    reports = tuple(Report(epoch, 0.5 + epoch / 100 + number / 1000, 1.0) for epoch in range(1, 11))
    return Trial(number, configuration(number), "strategy", True, state, reports, objective=0.6 + number / 1000, epoch=10)  # type: ignore[arg-type]


def summary(*top: Trial, why: str = "done") -> Summary:
    return Summary(why, 50, {"complete": len(top)}, None, None, top)


@dataclass
class Statements:
    """The SQL statements and commits that were made."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0


@contextmanager
def counted() -> Iterator[Statements]:
    """Count every SQL statement of this process, those that prepare a connection included."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    seen = Statements()

    def execute(connection, cursor, statement, *rest):  # type: ignore[no-untyped-def]
        seen.statements.append(statement)

    def commit(connection):  # type: ignore[no-untyped-def]
        seen.commits += 1

    event.listen(Engine, "before_cursor_execute", execute)
    event.listen(Engine, "commit", commit)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", execute)
        event.remove(Engine, "commit", commit)


class Said(list[str]):
    """What the mirror said; waiting for a sentence ends when it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._news = threading.Condition()

    def __call__(self, sentence: str) -> None:
        with self._news:
            self.append(sentence)
            self._news.notify_all()

    def wait(self, count: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self) >= count, timeout=60)
