"""How far a study is, moment by moment: a value that a screen shows, made of the study's events and the clock.

``Progress`` keeps a study of its own and takes in events, wherever they come from: from the driver in this process, or from ``study.db``
while a driver is at work in another one.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from automl.engines.usage import Use
from automl.events import Reported, Slot, Started, TrialKey
from automl.spec import Objective
from automl.study import Study
from automl.summary import epochs_saved, state_of
from automl.trials import ENDING, Event, Lost, Pruned, Rested, Resumed, Trial

LAST_ENDS = 50
RATE_SECONDS = 20.0  # epochs a second are counted over so long


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device at work: its workers, how many of their lanes have a trial, epochs of trials a second, and what the machine says of it."""

    name: str
    workers: int
    busy: int
    lanes: int
    rate: float | None = None
    use: Use | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study at one moment. Times are seconds.

    ``phase``: what its driver is doing, in words; ``left``: how long it may still take, None where nothing is known yet. ``so_far``: the
    best objective after each trial that ended, NaN before there was one; ``values``: the objectives of those trials, NaN for none.
    ``ends``: the last trials that ended, the newest first; ``notes``: what a person was told, oldest first; ``front``: how many trials
    are on the Pareto front of this and ``further`` objectives.
    """

    name: str
    strategy: str
    pruner: str
    metric: str
    maximize: bool
    epochs: int
    phase: str
    elapsed: float
    left: float | None
    ended: int
    asked: int
    counts: Mapping[str, int]
    epochs_saved: int
    epochs_whole: int
    best: Trial | None
    baseline: Trial | None
    gain: float | None
    so_far: Sequence[float]
    values: Sequence[float]
    devices: tuple[DeviceState, ...]
    running: tuple[Trial, ...]
    ends: tuple[Trial, ...]
    notes: tuple[str, ...] = ()
    further: tuple[Objective, ...] = ()
    front: int = 0


class Progress:
    """Follows one study. ``slots``: its workers where they are known; else they are learnt from what they train.

    ``study`` is changed by ``take`` and must belong to nobody else.
    """

    def __init__(self, name: str, study: Study, slots: Sequence[Slot] = ()) -> None:
        self._name = name
        self.study = study
        self._known = {slot.name: slot for slot in slots}
        self._device_of = {slot.name: slot.device for slot in slots}
        self._held: dict[TrialKey, str] = {}  # which worker has it
        self._most: Counter[str] = Counter()  # trials that a worker has had at once
        self._so_far: list[float] = []
        self._values: list[float] = []
        self._reports: deque[tuple[float, str]] = deque()
        self._epochs = 0  # reported since the driver began
        self._note_ends()

    def take(self, events: Sequence[Event]) -> None:
        """Take in what has happened."""
        for event in events:
            if not self.study.accepts(event):
                continue
            self.study.apply(event)
            self._follow(event)
        self._note_ends()

    def _follow(self, event: Event) -> None:
        match event:
            case Resumed() | Rested():
                self._held.clear()
                self._reports.clear()
                self._epochs = 0
                if isinstance(event, Resumed):
                    self._most.clear()
            case Started(key=key, device=device, worker=worker):
                self._held[key] = worker
                self._device_of[worker] = device
                self._most[worker] = max(self._most[worker], Counter(self._held.values())[worker])
            case Reported(key=key, at=at):
                self._epochs += 1
                self._reports.append((at, self._device_of.get(self._held.get(key, ""), "")))
                while self._reports[0][0] < at - RATE_SECONDS:
                    self._reports.popleft()
            case _ if isinstance(event, (Pruned, Lost, *ENDING)):
                self._held.pop(event.key, None)
                if self.study.trials[event.key.trial].has_ended:
                    for replicate in range(self.study.replicates):
                        self._held.pop(replace(event.key, replicate=replicate), None)
            case _:
                pass

    def _note_ends(self) -> None:
        study = self.study
        for number in study.ended_order[len(self._values) :]:
            trial = study.trials[number]
            value = math.nan if trial.objective is None else trial.objective
            before = self._so_far[-1] if self._so_far else math.nan
            is_better = trial.state == "complete" and (math.isnan(before) or study.objective.better(value, before))
            self._values.append(value)
            self._so_far.append(value if is_better else before)

    def snapshot(self, now: float, is_driven: bool = True, uses: Mapping[str, Use] | None = None, notes: Sequence[str] = ()) -> Snapshot:
        """The study now. ``now``: seconds since 1970, as events have them; ``uses``: of each device."""
        study, settings = self.study, self.study.spec.settings
        saved, whole = epochs_saved(study)
        began = study.at_work_since
        return Snapshot(
            name=self._name,
            strategy=settings.strategy,
            pruner=settings.pruner,
            metric=study.objective.metric,
            maximize=study.objective.maximize,
            epochs=study.spec.epochs,
            phase=_phase(study, is_driven),
            elapsed=study.active_seconds + (max(0.0, now - began) if began is not None else 0.0),
            left=self._left(now) if is_driven else None,
            ended=study.ended,
            asked=study.asked,
            counts={str(state): count for state, count in study.counts.items()},
            epochs_saved=saved,
            epochs_whole=whole,
            best=study.winner,
            baseline=study.baseline,
            gain=study.gain,
            so_far=tuple(self._so_far),
            values=tuple(self._values),
            devices=self._devices(now, uses or {}) if is_driven else (),
            running=(*study.running(), *_confirming(study)),
            ends=tuple(study.trials[number] for number in reversed(study.ended_order[-LAST_ENDS:])),
            notes=tuple(notes),
            further=study.objectives[1:],
            front=len(study.front),
        )

    def _left(self, now: float) -> float | None:
        """The epochs that are still to be trained, at the rate since the driver began; no longer than the study's time."""
        study, began = self.study, self.study.at_work_since
        if began is None:
            return None
        limit = study.spec.settings.time_seconds
        time_left = math.inf if limit is None else max(0.0, limit - study.active_seconds - (now - began))
        if not self._epochs or now <= began:
            return None if math.isinf(time_left) else time_left
        whole = study.spec.epochs * study.replicates
        usual = study.epochs_trained / study.ended if study.ended else whole
        under_way = sum(min(trial.epochs_trained, usual) for trial in study.running())
        epochs_left = max(0.0, (study.asked - study.ended) * usual - under_way)
        return min(time_left, epochs_left / self._epochs * (now - began))

    def _devices(self, now: float, uses: Mapping[str, Use]) -> tuple[DeviceState, ...]:
        busy, rates = Counter(self._held.values()), self._rates(now)
        workers: dict[str, list[str]] = {}
        for worker in {**self._known, **self._most}:
            workers.setdefault(self._device_of[worker], []).append(worker)
        return tuple(
            DeviceState(
                device,
                len(names),
                sum(busy[name] for name in names),
                sum(max(self._most[name], self._known[name].lanes if name in self._known else 0) for name in names),
                rates.get(device),
                uses.get(device),
            )
            for device, names in sorted(workers.items())
        )

    def _rates(self, now: float) -> dict[str, float]:
        began = self.study.at_work_since
        if began is None or now <= began:
            return {}
        seconds = min(RATE_SECONDS, max(1.0, now - began))
        counts = Counter(device for at, device in self._reports if at >= now - seconds)
        return {device: count / seconds for device, count in counts.items()}


def _confirming(study: Study) -> Iterator[Trial]:
    """The best trials that are being trained once more."""
    for number in sorted(study.confirmations if study.is_confirming else ()):
        yield from (one.trial for one in study.confirmations[number] if one.trial.state == "running")


def _phase(study: Study, is_driven: bool) -> str:
    if not is_driven:
        return state_of(study, is_driven).replace("_", " ")
    match study.why_rested:
        case None if study.is_confirming:
            return "confirming the best on fresh seeds"
        case None:
            return "training" if study.at_work_since is not None else "preparing"
        case "interrupted" | "failed":
            return "stopping"
    return "finishing: test, page, MLflow"
