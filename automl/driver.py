"""The loop. It alone asks strategies and pruners, and it alone appends to studies.

``drive`` connects studies to the workers of an engine until every study has what it asked for. It knows of several studies at
once, so that those of a comparison share workers; with one study, one worker and one lane all numbers are the same to the bit
every time.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from automl.clock import now
from automl.confirmation import next_confirmations
from automl.engines import Answer, Engine
from automl.errors import AutomlError
from automl.events import (
    Configuration,
    Diverged,
    Failed,
    Finished,
    Job,
    Measured,
    Orders,
    Reported,
    Slot,
    TrialKey,
    TrialSpec,
    WorkerEvent,
    WorkerLost,
)
from automl.heartbeat import longest_silence
from automl.owncode import place_in_dump
from automl.pruners import Pruner
from automl.store import Store
from automl.strategies import Strategy
from automl.study import LEADERS, Study
from automl.trials import ENDING, Confirming, Event, Lost, Origin, Pruned, Suggested, Trial

WhyRested = Literal["done", "time", "interrupted"]
Follower = Callable[[Sequence[tuple[int, Event]]], None]

_logger = logging.getLogger(__name__)

_LONGEST_WAIT = 0.2  # seconds after which the loop looks at the clock and at interrupts
_GRACE = 0.4  # seconds in which reports still come in after an interrupt or the end of the time
_HOPELESS = 3  # so many failures of one kind and nothing else at the beginning of a study: it will not work
_HOPELESS_IN_ANY_WAY = 10  # the same for failures of several kinds, and for those that another configuration might not have
_HOW = {
    "failed": "failed in the same way",
    "lost": "lost their workers",
    "out_of_memory": "ran out of memory",
    "timeout": "took too long",
    "diverged": "diverged",
}
_SILENT_SECONDS = 60.0  # after which a person is told that their code has said nothing yet
_TAIL_BYTES, _TAIL_LINES = 2**14, 12
_AHEAD = 4  # for so many trials that are under way one more is chosen in advance
_MOST_AHEAD = 16
_FEWER = 8  # a trial that was lost is tried again beside an eighth of the trials, so that in the end the one at fault is alone


@dataclass
class Session:
    """A study that is being driven: what it needs besides the workers.

    ``time_left`` is for everything, ``search_time_left`` for the search alone, both in seconds. Once the search is over, the best are
    confirmed: ``confirm`` as in ``StudySettings``.
    """

    study: Study
    store: Store
    strategy: Strategy
    pruner: Pruner
    job: Job
    time_left: float | None = None
    search_time_left: float | None = None
    trial_seconds: float | None = None
    confirm: int | None = 0
    is_spent: Callable[[Study], bool] | None = None  # whether a budget other than the number of trials is used up
    is_called_off: bool = False  # the search, since its time is over
    followers: list[Follower] = field(default_factory=list)
    used_up: bool = False  # the strategy has nothing more to suggest
    trouble: str = ""  # why this study cannot work
    has_told_of_silence: bool = False
    on_slots: set[TrialKey] = field(default_factory=set)
    _unwritten: list[Event] = field(default_factory=list)
    _ended_before: int = field(init=False)  # of an earlier run: what was wrong then may be right now
    _has_lost: bool = field(init=False)  # whether there may be trials to try again

    def __post_init__(self) -> None:
        self._ended_before = self.study.ended
        searched = (self.study.trials[number] for number in self.study.unended)
        again = (one.trial for confirmations in self.study.confirmations.values() for one in confirmations)
        self._has_lost = any(training.losses for trial in (*searched, *again) for training in trial.trainings)

    @property
    def is_done(self) -> bool:
        """Whether the study has all that it was asked for, or has used up its budget."""
        return self._is_spent or (self._has_searched and self.is_over)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to train: for ever, or since the time of the search is over."""
        if self._is_spent:
            return True
        return (self._has_searched or self.is_called_off) and not self.study.is_confirming and not self._next_confirmations()

    @property
    def _is_spent(self) -> bool:
        return self.is_spent is not None and self.is_spent(self.study)

    @property
    def _has_searched(self) -> bool:
        return self.study.ended >= self.study.asked or (self.used_up and not self.study.unended)

    def _next_confirmations(self) -> list[Confirming]:
        return next_confirmations(self.study, self.confirm, self.study.asked if self.is_called_off else self.study.ended)

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
        first, at = len(self.study.trials), now()
        share = ask_seconds / max(1, len(configurations))
        self.record(
            [
                Suggested(self.study.key(first + n), at, configuration, origin, share, self.study.space.measured(configuration))
                for n, configuration in enumerate(configurations)
            ]
        )

    def losses_waiting(self) -> int:
        """How often the first of the trials that wait because their worker died was lost; 0 where there are none."""
        if not self._has_lost:
            return 0
        keys = self._waiting_confirmations() if self._has_searched or self.is_called_off else self._waiting(None)
        return next((losses for key in keys if (losses := self.study.training(key).losses)), 0)

    def left_to_start(self) -> int:
        """How many trainings no worker has yet: of the trials that may still come, or of the confirmations."""
        if not self._has_searched and not self.is_called_off:
            return (self.study.asked - self.study.ended) * self.study.replicates - len(self.on_slots)
        self._begin_confirmations()
        return sum(1 for _ in self._waiting_confirmations())

    def next_trials(self, count: int, losses: int = 0) -> list[TrialSpec]:
        """Up to ``count`` trials for free lanes: those that wait, then new suggestions; after the search the best ones once more.

        Of those that wait, the ones that were lost so often. Where that is not 0 there are no suggestions.
        """
        if self._has_searched or self.is_called_off:
            return self._next_of_the_best(count, losses)
        keys = self._waiting(count, losses)
        if losses:
            return [self.specify(key) for key in keys]
        if self._ask(math.ceil((count - len(keys)) / self.study.replicates)):
            keys = self._waiting(count, losses)
        return [self.specify(key) for key in keys]

    def ask_ahead(self) -> None:
        """Choose trials for the lanes that will be free next, while the workers train: no worker waits for what was thought of before.

        A quarter of as many as are under way. A strategy that learns then lacks the results that come in between, as it lacks those of
        all that are under way; where fewer than four are, nothing is chosen in advance.
        """
        if self._has_searched or self.is_called_off:
            return
        under_way = len(self.on_slots if self.study.replicates == 1 else {key.trial for key in self.on_slots})
        waiting = len(self.study.unended) - under_way
        self._ask(min(_MOST_AHEAD, under_way // _AHEAD) - waiting)

    def _ask(self, count: int) -> bool:
        """New trials, at most so many, as far as the study and the strategy have room for them. Says whether there was any."""
        count = min(count, self.study.asked - len(self.study.trials))
        if count <= 0 or self.used_up:
            return False
        began = time.perf_counter()
        suggestions = self.strategy.suggest(self.study, count)
        self.used_up = len(suggestions) < count
        self.suggest(suggestions, "strategy", time.perf_counter() - began)
        return bool(suggestions)

    def _begin_confirmations(self) -> None:
        if not self.study.is_confirming:
            self.record(self._next_confirmations())

    def _next_of_the_best(self, count: int, losses: int) -> list[TrialSpec]:
        self._begin_confirmations()
        keys = (key for key in self._waiting_confirmations() if self.study.training(key).losses == losses)
        return [self.specify(key) for key in islice(keys, count)]

    def _waiting_confirmations(self) -> Iterator[TrialKey]:
        return (key for key in self.study.waiting() if self.study.is_confirmation(key) and key not in self.on_slots)

    def _waiting(self, count: int | None, losses: int | None = None) -> list[TrialKey]:
        """What waits and is to be trained next, of what was lost so often; None: all of it.

        Of no more trials than the study was asked for.
        """
        if self.study.replicates == 1 and not self.study.counts.get("waiting"):
            return []  # known without a look at each trial of a thousand workers
        trials = {key.trial for key in self.on_slots}
        room = self.study.asked - self.study.ended - len(trials)
        keys: list[TrialKey] = []
        for key in self.study.waiting():
            if len(keys) == count:
                break
            if key in self.on_slots or (key.trial not in trials and room <= 0):
                continue
            room -= key.trial not in trials
            trials.add(key.trial)
            if losses is None or self.study.training(key).losses == losses:
                keys.append(key)
        return keys

    def specify(self, key: TrialKey) -> TrialSpec:
        """What a worker must know to train this trial."""
        study, trial = self.study, self.study.trials[key.trial]
        configuration = {**study.space.fixed, **trial.configuration}
        return TrialSpec(
            key,
            self.job,
            configuration,
            study.trial_seed(key),
            study.spec.epochs,
            save_if_beats=self._bar(key),
            tested=study.is_confirmation(key),
            reported=study.training(key).epochs,
        )

    def _bar(self, key: TrialKey) -> float | None:
        """What this training must beat for its weights to be kept: the last of the leaders.

        Equals stand by their numbers, so a lower number need not beat the last. Of several replicates the first one keeps its weights,
        since what their mean will be is not known yet, and the others do not; nor do confirmations. With several objectives all are kept
        at first: what is not on the front is deleted with the next trial that ends.
        """
        worst = -math.inf if self.study.objective.maximize else math.inf
        if key.replicate > 0:
            return -worst
        if len(self.study.leaders) < LEADERS or self.study.replicates > 1 or len(self.study.objectives) > 1:
            return None
        last = self.study.trials[self.study.leaders[-1]]
        assert last.objective is not None
        return last.objective if last.number < key.trial else math.nextafter(last.objective, worst)

    def take(self, events: Sequence[WorkerEvent | Lost]) -> None:
        """Record what a worker answered, and what the pruner says of it.

        Where a budget is spent, epochs beyond it are left out: a worker may have trained some before it was told.
        """
        last = {event.key.trial: event for event in events}  # of each trial: when it is known whether the answer ended it
        finished = {event.key for event in events if isinstance(event, ENDING)}
        reported: set[int] = set()
        beyond: set[TrialKey] = set()
        for event in events:
            if event.key in beyond or (isinstance(event, Reported) and self._is_spent):
                beyond.add(event.key)
                continue
            if self._apply(event) and isinstance(event, Reported):
                reported.add(event.key.trial)
            if event is last[event.key.trial] and event.key.trial in reported and self._is_pruned(event.key.trial):
                self._apply(Pruned(self.study.key(event.key.trial), now(), self.study.trials[event.key.trial].epochs))
            if isinstance(event, Reported) and event.key not in finished:
                self._end_if_over_its_time(event.key)
        self._commit()
        if any(isinstance(event, Lost) for event in events):
            self.used_up = False  # a grid asks once more for the point of a trial that was lost for good
            self._has_lost = True
        if any(isinstance(event, Finished) and event.saved for event in events):
            tidy(self.study, Path(self.job.folder))
        if any(isinstance(event, Failed | Lost | Diverged) for event in events):
            self._note_trouble()

    def over_by(self, events: Sequence[WorkerEvent | Lost]) -> list[TrialKey]:
        """What workers have and nobody wants any more, now that these events are recorded."""
        trials = {event.key.trial for event in events}
        return [key for key in self.on_slots if key.trial in trials and self.study.is_over(key)]

    def _is_pruned(self, number: int) -> bool:
        trial = self.study.trials[number]
        if trial.has_ended or trial.epochs_trained >= self.study.spec.epochs * self.study.replicates:
            return False
        return self.pruner.prune(self.study, trial)

    def seconds_left(self, key: TrialKey) -> float:
        """What this training may still take; infinite without a limit."""
        return math.inf if self.trial_seconds is None else self.trial_seconds - self.study.training(key).seconds

    def _end_if_over_its_time(self, key: TrialKey) -> None:
        if self.trial_seconds is not None and not self.study.is_over(key) and self.seconds_left(key) < 0:
            took = self.study.training(key).seconds
            self._apply(Failed(key, now(), "timeout", f"it took {took:.3g} s, and a trial may take {self.trial_seconds:g} s"))

    def lost(self, key: TrialKey, answer: WorkerLost, beside: int) -> Lost | Failed:
        """What it means for a training that its worker died, with others ``beside`` it.

        A trial that was alone and kept silent beyond its time is over; of several it is not known which did.
        """
        if answer.reason == "timeout" and not beside and self.seconds_left(key) < answer.silent_seconds:
            detail = f"a trial may take {self.trial_seconds:g} s, and {self._how_silent(key, answer)}"
            return Failed(key, now(), "timeout", detail.strip(), answer.silent_seconds)
        return Lost(key, now(), answer.why, answer.detail, answer.reason, beside)

    def _how_silent(self, key: TrialKey, answer: WorkerLost) -> str:
        """What is known of a training that its worker was ended with: of a person's own code where it was, or what it has said last."""
        code, silence = self.job.code, f"reported nothing for {answer.silent_seconds:.0f} s"
        if code is None:
            return f"its worker {answer.why}\n{answer.detail}"
        if code.kind == "command":
            return f"the command had {silence}. The end of its log:\n{_tail(self._log_of(key))}".strip()
        place = place_in_dump(answer.detail, code.folders)
        return f"{self.job.model} had {silence}{f': it was at {place}' if place else ''}\n{answer.detail}"

    def note_silence(self, key: TrialKey) -> None:
        """A person's own training has kept silent for long, and no trial has reported yet: say once where to look."""
        is_own = self.job.code is not None and self.job.code.kind != "factory"
        if is_own and not self.has_told_of_silence and not self.study.epochs_trained and not self.study.training(key).reports:
            self.has_told_of_silence = True
            _logger.warning(
                "Trial %d has reported nothing for %g s. That may be right; what it prints is in %s. --trial-time 10m ends trials that "
                "never report.",
                *(key.trial, _SILENT_SECONDS, self._log_of(key)),
            )

    def _log_of(self, key: TrialKey) -> Path:
        replicate = f"-{key.replicate}" if key.replicate else ""
        return Path(self.job.folder, "trials", str(key.trial), f"log{replicate}.txt")

    def _note_trouble(self) -> None:
        """Stop a study whose trials all end alike without a result, and say why once."""
        tried = self.study.ended - self._ended_before
        if self.study.counts.get("complete") or self.study.counts.get("pruned") or tried < _HOPELESS:
            return
        trials = [self.study.trials[number] for number in self.study.ended_order]
        kinds = {_way_of_failing(trial) for trial in trials}
        last = trials[-1]
        if len(kinds) == 1 and (last.state in ("failed", "lost") or tried >= _HOPELESS_IN_ANY_WAY):
            how = _HOW[last.state]
        elif tried >= _HOPELESS_IN_ANY_WAY:
            how = "failed"
        else:
            return
        file = self._log_of(self.study.key(last.number))
        log = f" Log: {file}" if last.state == "failed" or file.exists() else ""
        self.trouble = f"The first {len(trials)} trials all {how}, so the study stops.{log}\n{last.reason}"


def _tail(file: Path) -> str:
    """The last lines of a trial's log; nothing where there is none."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = log.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if line.strip() and not line.startswith("[automl] ")][-_TAIL_LINES:])


def _way_of_failing(trial: Trial) -> str:
    """The same text for trials that failed in the same way: at the same place, by the same error."""
    if trial.state != "failed":
        return trial.state
    lines = trial.reason.strip().splitlines()
    places = [line.strip() for line in lines if re.match(r'\s*File "', line)]
    return "\n".join([trial.state, *places, (lines or [""])[-1].partition(":")[0]])


def tidy(study: Study, folder: Path) -> None:
    """Delete the weights of ended trials that are not to be kept, and the checkpoints of ended trials."""
    kept = study.kept
    for place in _listed(folder / "trials"):
        number = int(place.name) if place.name.isdecimal() else len(study.trials)
        if number >= len(study.trials) or not study.trials[number].has_ended:
            continue
        for file in _listed(place):
            is_at_work = study.is_confirming and number in study.confirmations
            is_needless = not is_at_work if file.name.startswith("checkpoint") else number not in kept
            if file.suffix == ".pt" and is_needless:
                file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            place.rmdir()  # only where nothing else is left in it


def _listed(folder: Path) -> list[Path]:
    """What is in a folder; nothing where it is gone, since workers delete their trials' folders at any time."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


class _Lanes:
    """Which worker has what, and what each of them must be told to stop. Keeps ``Session.on_slots``."""

    def __init__(self, slots: Sequence[Slot], sessions: Sequence[Session], most: Mapping[Slot, int]) -> None:
        self._most = {slot: min(slot.lanes, most.get(slot, slot.lanes)) for slot in slots}
        self._all = sum(self._most.values())
        self.sessions = {session.study.identity: session for session in sessions}
        self.stops: dict[Slot, list[TrialKey]] = {slot: [] for slot in slots}
        self._keys: dict[Slot, set[TrialKey]] = {slot: set() for slot in slots}
        self._slot_of: dict[TrialKey, Slot] = {}
        self._sent: dict[Slot, float] = {}
        self._are_up: set[Slot] = set()
        self.slowest_answer: float | None = None

    def losses(self, slot: Slot) -> int | None:
        """How often the trials of this worker were lost before; None where it has none."""
        return next((self.sessions[key.study].study.training(key).losses for key in self._keys[slot]), None)

    def free(self, slot: Slot, losses: int) -> int:
        """How many more trials that were lost so often this worker can take."""
        return int(max(1, self._most[slot] // _FEWER**losses)) - len(self._keys[slot])

    def fair(self, slot: Slot, left: int) -> int:
        """How many more trials this worker may take so that the others have their share, where so many are left to start in all."""
        return math.ceil((len(self._slot_of) + left) * self._most[slot] / self._all) - len(self._keys[slot])

    def patience(self, slot: Slot) -> float:
        """How long this worker may keep silent once it has its orders."""
        keys = self._keys[slot]
        is_own_code = any(self.sessions[key.study].job.code is not None for key in keys)
        silence = longest_silence(self.slowest_answer, max(1, len(keys)), self.losses(slot) or 0, is_own_code)
        return min(silence, max((self.sessions[key.study].seconds_left(key) for key in keys), default=math.inf))

    def note_answer(self, slot: Slot, answer: Answer) -> None:
        """Remember how long the end of an epoch may take. The first answer of a worker says nothing: it had to come up."""
        if isinstance(answer, WorkerLost):
            self._are_up.discard(slot)
        elif slot in self._are_up and isinstance(answer, list) and any(isinstance(event, Reported) for event in answer):
            self.slowest_answer = max(self.slowest_answer or 0.0, time.monotonic() - self._sent[slot])
        else:
            self._are_up.add(slot)

    def silent(self) -> list[tuple[Session, TrialKey]]:
        """What is being trained by workers that have not answered for long."""
        late = time.monotonic() - _SILENT_SECONDS
        return [(self.sessions[key.study], key) for slot, keys in self._keys.items() if self._sent.get(slot, late) < late for key in keys]

    def has_work(self, slot: Slot) -> bool:
        """Whether this worker has a trial."""
        return bool(self._keys[slot])

    def sent(self, slot: Slot) -> None:
        """This worker has its orders."""
        self.stops[slot].clear()
        self._sent[slot] = time.monotonic()

    def give(self, slot: Slot, specs: Sequence[TrialSpec]) -> None:
        """This worker is to train these."""
        for spec in specs:
            self._keys[slot].add(spec.key)
            self._slot_of[spec.key] = slot
            self.sessions[spec.key.study].on_slots.add(spec.key)

    def release(self, key: TrialKey, worker_knows: bool) -> Slot:
        """The lane of this trial is free; the worker that has it is told to stop unless it knows."""
        slot = self._slot_of.pop(key)
        self._keys[slot].discard(key)
        self.sessions[key.study].on_slots.discard(key)
        if not worker_knows:
            self.stops[slot].append(key)
        return slot

    def lose(self, slot: Slot) -> list[TrialKey]:
        """A new worker stands in this slot and knows of nothing; returns what the old one had."""
        keys = sorted(self._keys[slot])
        for key in keys:
            self.release(key, worker_knows=True)
        self.stops[slot].clear()
        return keys


def drive(
    engine: Engine, sessions: Sequence[Session], is_interrupted: Callable[[], bool] = lambda: False, most: Mapping[Slot, int] | None = None
) -> WhyRested:
    """Train until every study is done, its time is over, or somebody interrupts.

    What is running then is put back: the same study can be driven on later. An interrupt is one also where it came with the last trial:
    whoever interrupts does not wait for what would come next. After ``done`` every worker is idle, but for trials of a study whose budget
    is spent. A study that cannot work says so in
    ``Session.trouble``; raises AutomlError when that is true of all. ``most``: how many trials each worker has at once, where that is
    less than it can take.

    After its search a study confirms its best trials. Where the time of the search is over it does so with what there is.
    """
    lanes, idle, began = _Lanes(engine.slots, sessions, most or {}), set(engine.slots), time.monotonic()
    while not is_interrupted():
        for session in sessions:
            if not session.is_called_off and _is_late(session.search_time_left, began):
                session.is_called_off = True
                _clear(lanes, [session])
        at_work = [session for session in sessions if not (session.is_over or session.trouble or _is_late(session.time_left, began))]
        if at_work:
            _clear(lanes, [session for session in sessions if session not in at_work])
        for slot in sorted(idle, key=lambda slot: slot.index):
            orders = Orders(start=tuple(_fill(lanes, slot, at_work)), stop=tuple(lanes.stops[slot]), decided=decided_by(at_work))
            if orders.stop or lanes.has_work(slot):
                engine.send(slot, orders, lanes.patience(slot))
                lanes.sent(slot)
                idle.discard(slot)
        if not at_work or len(idle) == len(engine.slots):
            break
        for session in at_work:
            session.ask_ahead()
        for slot, answer in engine.wait(_LONGEST_WAIT):
            idle.add(slot)
            _take(lanes, slot, answer)
        for session, key in lanes.silent():
            session.note_silence(key)
    busy = _take_last_words(engine, lanes, len(engine.slots) - len(idle))
    if sessions and all(session.trouble for session in sessions):
        raise AutomlError(sessions[0].trouble)
    if not all(session.is_done or session.trouble for session in sessions):
        return "interrupted" if is_interrupted() else "time"
    while not is_interrupted():  # some are in the middle of what nobody waits for any more, or do not know that it is over
        if not busy:
            busy = _say_stops(engine, lanes)
        if not busy:
            break
        busy -= len(engine.wait(_LONGEST_WAIT))
    return "interrupted" if is_interrupted() else "done"


def _is_late(seconds: float | None, began: float) -> bool:
    return seconds is not None and time.monotonic() - began >= seconds


def decided_by(sessions: Sequence[Session]) -> frozenset[int] | None:
    """After which epochs a trial of one of these studies may be stopped; None: after any."""
    epochs: set[int] = set()
    for session in sessions:
        if session.pruner.decided is None or session.trial_seconds is not None:
            return None
        epochs |= session.pruner.decided
    return frozenset(epochs)


def _clear(lanes: _Lanes, sessions: Sequence[Session]) -> None:
    """Free the lanes of studies that are at work no more, for the others."""
    for session in sessions:
        for key in sorted(session.on_slots):
            lanes.release(key, worker_knows=False)


def _fill(lanes: _Lanes, slot: Slot, sessions: Sequence[Session]) -> list[TrialSpec]:
    """Trials for the free lanes of one worker, from the studies in turn: the one with the fewest trials first.

    Where there are fewer trials than lanes, every worker has its share.

    Trials that were lost go to a worker that has nothing else, and stay among themselves: who trains beside the one at fault is lost
    with it.
    """
    losses = lanes.losses(slot)
    if losses is None:
        losses = next((losses for session in sessions if (losses := session.losses_waiting())), 0)
    specs: list[TrialSpec] = []
    fair = lanes.fair(slot, sum(session.left_to_start() for session in sessions))
    while (free := min(lanes.free(slot, losses), fair - len(specs))) > 0:
        share = free if len(sessions) == 1 else 1
        turns = sorted(sessions, key=lambda session: session.study.ended + len(session.on_slots))
        new = next((new for session in turns if (new := session.next_trials(share, losses))), [])
        if not new:
            break
        lanes.give(slot, new)
        specs += new
    return specs


def _take(lanes: _Lanes, slot: Slot, answer: Answer) -> None:
    """Record a worker's answer with the studies that it is about, and free the lanes of all that is over by it."""
    events: Sequence[WorkerEvent | Lost]
    lanes.note_answer(slot, answer)
    if isinstance(answer, WorkerLost):
        keys = lanes.lose(slot)
        events = [lanes.sessions[key.study].lost(key, answer, len(keys) - 1) for key in keys]
    else:
        events = [] if isinstance(answer, Measured) else answer
    known = {event.key for event in events if isinstance(event, ENDING)}
    for identity, session in lanes.sessions.items():
        own = [event for event in events if event.key.study == identity]
        if own:
            session.take(own)
            for key in session.over_by(own):
                lanes.release(key, worker_knows=key in known)


def _say_stops(engine: Engine, lanes: _Lanes) -> int:
    """Tell idle workers what is over, such as replicates of a trial that ended elsewhere. Returns how many of them are to answer."""
    told = [slot for slot, stops in lanes.stops.items() if stops]
    for slot in told:
        engine.send(slot, Orders(stop=tuple(lanes.stops[slot])))
        lanes.stops[slot].clear()
    return len(told)


def _take_last_words(engine: Engine, lanes: _Lanes, busy: int) -> int:
    """What the workers still answer within a moment counts. Returns how many do not: they are in the middle of an epoch."""
    until = time.monotonic() + _GRACE
    while busy > 0 and time.monotonic() < until:
        for slot, answer in engine.wait(max(0.0, until - time.monotonic())):
            busy -= 1
            _take(lanes, slot, answer)
    return busy
