"""The loop. It alone asks strategies and pruners, and it alone appends to studies.

``drive`` connects studies to the workers of an engine until every study has what it asked for. It knows of several studies at
once, so that those of a comparison share workers; with one study, one worker and one lane all numbers are the same to the bit
every time.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from automl.engines import Engine
from automl.errors import AutomlError
from automl.events import (
    Configuration,
    Diverged,
    Failed,
    Finished,
    Job,
    Orders,
    Reported,
    Slot,
    TrialKey,
    TrialSpec,
    WorkerEvent,
    WorkerLost,
)
from automl.pruners import Pruner
from automl.store import Store
from automl.strategies import Strategy
from automl.study import LEADERS, Event, Lost, Origin, Pruned, Study, Suggested

WhyRested = Literal["done", "time", "interrupted"]
Follower = Callable[[Sequence[tuple[int, Event]]], None]

_logger = logging.getLogger(__name__)

_LONGEST_WAIT = 0.2  # seconds after which the loop looks at the clock and at interrupts
_GRACE = 1.0  # seconds in which reports still come in after an interrupt or the end of the time
_HOPELESS = 3  # so many failures and nothing else at the beginning of a study: it will not work


@dataclass
class Session:
    """A study that is being driven: what it needs besides the workers."""

    study: Study
    store: Store
    strategy: Strategy
    pruner: Pruner
    job: Job
    time_left: float | None = None  # seconds
    followers: list[Follower] = field(default_factory=list)
    used_up: bool = False  # the strategy has nothing more to suggest
    on_slots: set[TrialKey] = field(default_factory=set)
    _unwritten: list[Event] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return self.study.ended >= self.study.asked or (self.used_up and not self.study.unended)

    def record(self, events: Sequence[Event]) -> None:
        """Apply the events that say something new, append them in one commit, and tell the followers."""
        for event in events:
            self._apply(event)
        self._commit()

    def _apply(self, event: Event) -> bool:
        news = self.study.accepts(event)
        if news:
            self.study.apply(event)
            self._unwritten.append(event)
        return news

    def _commit(self) -> None:
        if self._unwritten:
            written = self.store.append(self._unwritten)
            self._unwritten = []
            for follow in list(self.followers):
                try:
                    follow(written)
                except (Exception, SystemExit) as error:  # rich leaves by SystemExit when nobody reads what it prints
                    self.followers.remove(follow)
                    _logger.warning(
                        "%s is no longer told what happens, since it failed: %r", getattr(follow, "__qualname__", follow), error
                    )

    def suggest(self, configurations: Sequence[Configuration], origin: Origin, ask_seconds: float = 0.0) -> None:
        """Make trials of these configurations; the workers come to them in this order."""
        first, now = len(self.study.trials), time.time()
        share = ask_seconds / max(1, len(configurations))
        self.record(
            [Suggested(self.study.key(first + n), now, configuration, origin, share) for n, configuration in enumerate(configurations)]
        )

    def next_trials(self, count: int) -> list[TrialSpec]:
        """Up to ``count`` trials for free lanes: those that wait, then new suggestions."""
        room = max(0, min(count, self.study.asked - self.study.ended - len(self.on_slots)))
        keys = self._waiting(room)
        missing = min(room - len(keys), self.study.asked - len(self.study.trials))
        if missing > 0 and not self.used_up:
            began = time.perf_counter()
            suggestions = self.strategy.suggest(self.study, missing)
            self.used_up = len(suggestions) < missing
            self.suggest(suggestions, "strategy", time.perf_counter() - began)
            keys = self._waiting(room)
        return [self.specify(key) for key in keys]

    def _waiting(self, count: int) -> list[TrialKey]:
        return [key for key in self.study.waiting() if key not in self.on_slots][:count]

    def specify(self, key: TrialKey) -> TrialSpec:
        """What a worker must know to train this trial."""
        study, trial = self.study, self.study.trials[key.trial]
        configuration = {**study.space.fixed, **trial.configuration}
        return TrialSpec(key, self.job, configuration, study.trial_seed(key), study.spec.epochs, self._bar(key.trial))

    def _bar(self, number: int) -> float | None:
        """What this trial must beat to be among the leaders. Equals stand by their numbers, so a lower number need not beat the last."""
        if len(self.study.leaders) < LEADERS:
            return None
        last = self.study.trials[self.study.leaders[-1]]
        assert last.objective is not None
        worse = -math.inf if self.study.objective.maximize else math.inf
        return last.objective if last.number < number else math.nextafter(last.objective, worse)

    def take(self, events: Sequence[WorkerEvent | Lost]) -> list[TrialKey]:
        """Record what a worker answered; returns the trials to stop because the pruner says so."""
        ended = {event.key for event in events if isinstance(event, Finished | Diverged | Failed)}  # too late to prune these
        pruned = [event.key for event in events if self._apply(event) and event.key not in ended and self._is_pruned(event)]
        self._commit()
        if any(isinstance(event, Lost) for event in events):
            self.used_up = False  # a grid asks once more for the point of a trial that was lost for good
        for event in events:
            if self.study.trials[event.key.trial].has_ended:
                self.on_slots.discard(event.key)
        if any(isinstance(event, Finished) and event.saved for event in events):
            tidy(self.study, Path(self.job.folder))
        if any(isinstance(event, Failed) for event in events):
            self._give_up_if_hopeless()
        return pruned

    def _is_pruned(self, event: WorkerEvent | Lost) -> bool:
        if not isinstance(event, Reported) or event.epoch >= self.study.spec.epochs:
            return False
        if not self.pruner.prune(self.study, self.study.trials[event.key.trial]):
            return False
        return self._apply(Pruned(event.key, time.time(), event.epoch))

    def _give_up_if_hopeless(self) -> None:
        if self.study.counts.get("failed", 0) == self.study.ended >= _HOPELESS:
            last = self.study.trials[self.study.ended_order[-1]]
            log = f"{self.job.folder}/trials/{last.number}/log.txt"
            raise AutomlError(f"The first {self.study.ended} trials all failed, so the study stops. Log: {log}\n{last.reason}")


def tidy(study: Study, folder: Path) -> None:
    """Delete the weights of ended trials that are not among the leaders, and the checkpoints of ended trials."""
    for place in _listed(folder / "trials"):
        number = int(place.name) if place.name.isdecimal() else len(study.trials)
        if number >= len(study.trials) or not study.trials[number].has_ended:
            continue
        for file in _listed(place):
            if file.suffix == ".pt" and (file.name.startswith("checkpoint") or number not in study.leaders):
                file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            place.rmdir()  # only where nothing else is left in it


def _listed(folder: Path) -> list[Path]:
    """What is in a folder; nothing where it is gone, since workers delete their trials' folders at any time."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def drive(engine: Engine, sessions: Sequence[Session], is_interrupted: Callable[[], bool] = lambda: False) -> WhyRested:
    """Train until every study is done, its time is over, or somebody interrupts.

    What is running then is put back: the same study can be driven on later. Raises AutomlError when a study cannot work.
    """
    by_study = {session.study.identity: session for session in sessions}
    on_slot: dict[Slot, set[TrialKey]] = {slot: set() for slot in engine.slots}
    stops: dict[Slot, list[TrialKey]] = {slot: [] for slot in engine.slots}
    idle = set(engine.slots)
    began = time.monotonic()
    while not is_interrupted():
        open_sessions = [s for s in sessions if not s.is_done and not _is_late(s, began)]
        for slot in sorted(idle, key=lambda slot: slot.index):
            orders = Orders(stop=tuple(stops[slot]), start=tuple(_fill(open_sessions, slot.lanes - len(on_slot[slot]))))
            for spec in orders.start:
                on_slot[slot].add(spec.key)
                by_study[spec.key.study].on_slots.add(spec.key)
            if orders.stop or on_slot[slot]:
                engine.send(slot, orders)
                stops[slot] = []
                idle.discard(slot)
        if not open_sessions or len(idle) == len(engine.slots):
            break
        for slot, answer in engine.wait(_LONGEST_WAIT):
            idle.add(slot)
            _take(by_study, on_slot[slot], stops[slot], answer)
    _take_last_words(engine, by_study, on_slot, stops, len(engine.slots) - len(idle))
    if all(session.is_done for session in sessions):
        return "done"
    return "interrupted" if is_interrupted() else "time"


def _is_late(session: Session, began: float) -> bool:
    return session.time_left is not None and time.monotonic() - began >= session.time_left


def _fill(sessions: Sequence[Session], free: int) -> list[TrialSpec]:
    """Trials for the free lanes of one worker, from the studies in turn: the one with the fewest trials first."""
    specs: list[TrialSpec] = []
    for session in sorted(sessions, key=lambda s: (s.study.ended + len(s.on_slots), sessions.index(s))):
        if len(specs) < free:
            specs += session.next_trials(free - len(specs) if len(sessions) == 1 else 1)
    return specs


def _take(by_study: dict[str, Session], keys: set[TrialKey], stops: list[TrialKey], answer: Sequence[WorkerEvent] | WorkerLost) -> None:
    """Sort a worker's answer by study, and note which of its trials ended and which are to be stopped."""
    if isinstance(answer, WorkerLost):
        now = time.time()
        events: Sequence[WorkerEvent | Lost] = [Lost(key, now, answer.why, answer.detail) for key in sorted(keys)]
        for key in keys:
            by_study[key.study].on_slots.discard(key)
        keys.clear()
        stops.clear()
    else:
        events = answer
    for identity, session in by_study.items():
        stops += session.take([event for event in events if event.key.study == identity])
        keys -= {key for key in keys if key.study == identity and session.study.trials[key.trial].has_ended}


def _take_last_words(
    engine: Engine, by_study: dict[str, Session], on_slot: dict[Slot, set[TrialKey]], stops: dict[Slot, list[TrialKey]], busy: int
) -> None:
    """What the workers still answer within a moment counts; after it they are idle, unless one is in the middle of an epoch."""
    until = time.monotonic() + _GRACE
    while busy > 0 and time.monotonic() < until:
        for slot, answer in engine.wait(max(0.0, until - time.monotonic())):
            busy -= 1
            _take(by_study, on_slot[slot], stops[slot], answer)
