"""Trials, and what happens in a study: its events, and what an event makes of one trial (``after``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from sys import intern
from typing import Any, Literal

from automl.events import (
    Configuration,
    Diverged,
    Failed,
    Finished,
    LossReason,
    Reported,
    Started,
    TrialKey,
    WorkerEvent,
)
from automl.metrics import improves
from automl.spec import Objective

State = Literal["waiting", "running", "complete", "pruned", "failed", "diverged", "out_of_memory", "timeout", "lost"]
Origin = Literal["baseline", "enqueued", "strategy"]
Purpose = Literal["pick", "claim"]

ENDED: tuple[State, ...] = ("complete", "pruned", "failed", "diverged", "out_of_memory", "timeout", "lost")
ENDING = (Finished, Diverged, Failed)  # after one of these a worker knows no more of the trial
MOST_LOSSES = 2  # a trial whose worker died, and that was alone with it, is tried once more


@dataclass(frozen=True, slots=True)
class Created:
    """The first event of every study: what it is, once and for all. ``spec`` is the specification as plain data (``spacefile.to_dict``).

    ``identity`` is unique for every study ever made and ties the MLflow runs to it; no number of the study depends on it.
    """

    at: float
    identity: str
    spec: Mapping[str, Any]
    metric: str
    maximize: bool
    data_fingerprint: str
    version: str


@dataclass(frozen=True, slots=True)
class Suggested:
    """A trial exists from here on. ``origin`` says who asked for it, ``ask_seconds`` how long the strategy thought.

    ``measures`` are what is known of it before it trains (``automl.metrics.MEASURES``).
    """

    key: TrialKey
    at: float
    configuration: Configuration
    origin: Origin
    ask_seconds: float = 0.0
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Confirming:
    """A complete trial is to be trained once more, on a fresh seed: to ``pick`` the winner among the best, or to ``claim`` what it and the
    baseline are worth. ``key.replicate`` is the first of its trainings, which count on from those before."""

    key: TrialKey
    at: float
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Pruned:
    """The pruner stopped the trial after ``epoch``."""

    key: TrialKey
    at: float
    epoch: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker died with the trial, and with ``beside`` others that it was training.

    It waits again until it has been lost ``MOST_LOSSES`` times alone: which of several killed their worker is not known.
    ``reason`` is what it then ends with.
    """

    key: TrialKey
    at: float
    why: str
    detail: str = ""
    reason: LossReason = "lost"
    beside: int = 0


@dataclass(frozen=True, slots=True)
class Resumed:
    """A driver begins, or begins again: whatever was running waits from here on. ``asked`` is the total of trials that it is to reach.

    ``environment``: with which versions, hardware and command, as ``environment.environment`` says it; no number depends on it.
    """

    at: float
    asked: int
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rested:
    """A driver left in good order. ``why``: ``done``, ``time``, ``interrupted``, or ``failed`` where the first trials all failed;
    ``seconds``: how long it had been at work."""

    at: float
    why: str
    seconds: float


TrialEvent = Started | Reported | Finished | Pruned | Diverged | Failed | Lost
Event = WorkerEvent | Created | Suggested | Confirming | Pruned | Lost | Resumed | Rested


@dataclass(frozen=True, slots=True)
class Report:
    """One point of a learning curve: the objective's raw value at the end of an epoch, and the device seconds of that epoch.

    Of several replicates: the mean of those that have got there so far, and all their seconds.
    """

    epoch: int
    value: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial as far as it is known. The objective is the validation metric at the best epoch, None while nothing finite was reported.

    ``metrics`` are those of the best epoch, and from the beginning the ``measures`` of the network, which need no training.

    | state           | means                                                        | told to the strategy as      |
    |-----------------|--------------------------------------------------------------|------------------------------|
    | waiting         | suggested, or put back after an interruption                 | pending                      |
    | running         | a worker has it                                              | pending                      |
    | complete        | trained to its end, or stopped early                         | its objective                |
    | pruned          | stopped by the pruner                                        | its curve so far             |
    | diverged        | the loss or the objective became NaN or infinite             | that the region is bad       |
    | failed          | an error while training                                      | that the region is bad       |
    | out_of_memory   | the memory of the device or the machine did not suffice      | that the region is bad       |
    | timeout         | it took longer than allowed, or hung                         | that the region is bad       |
    | lost            | its worker died with it, twice                               | nothing                      |

    A trial of several ``replicates`` (folds, or fresh seeds) holds each of them as a trial of its own, and is what they are together:
    complete when all are, and at its end as soon as one of them ends otherwise. Its objective is the mean over those that have got as
    far as the furthest one, so in the end over all; ``epoch`` and the weights are those of replicate 0.
    """

    number: int
    configuration: Configuration
    origin: Origin
    in_space: bool
    state: State = "waiting"
    reports: tuple[Report, ...] = ()
    objective: float | None = None
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    device: str = ""
    worker: str = ""
    suggested: float = 0.0
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    losses: int = 0
    losses_alone: int = 0  # of these, without others that could have been at fault
    saved: bool = False
    stopped_early: bool = False
    ask_seconds: float = 0.0
    extra_seconds: float = 0.0
    measures: Mapping[str, float] = field(default_factory=dict)
    replicates: tuple[Trial, ...] = ()  # empty for a trial of one training

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def trainings(self) -> tuple[Trial, ...]:
        """The replicates; of a trial without any the trial itself."""
        return self.replicates or (self,)

    @property
    def epochs(self) -> int:
        """Epochs that were trained and reported, by the replicate that is furthest."""
        return self.reports[-1].epoch if self.reports else 0

    @property
    def epochs_trained(self) -> int:
        """Epochs that were trained and reported, by all replicates."""
        return sum(training.epochs for training in self.trainings)

    @property
    def seconds(self) -> float:
        """Device seconds used so far."""
        return sum(report.seconds for report in self.reports) + self.extra_seconds


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A complete trial trained once more on a fresh seed. ``trial`` is what became of it, like any trial of that configuration;
    ``tests`` are its trainings' best epochs on the test split (``split`` names what it was)."""

    purpose: Purpose
    trial: Trial
    tests: tuple[Mapping[str, float], ...] = ()
    split: str = ""


# -- what an event makes of a trial -----------------------------------------------------------------------------------


_NAMES = tuple(each.name for each in fields(Trial))
_values_of = attrgetter(*_NAMES)


def _changed(trial: Trial, **changes: Any) -> Trial:
    """As ``dataclasses.replace``, in a third of its time: of reading a large study that was a fifth."""
    values: Any = map(changes.get, _NAMES, _values_of(trial))
    return Trial(*values)


def begun(event: Suggested, in_space: bool, replicates: int = 1) -> Trial:
    """The trial as it begins."""
    trial = Trial(
        event.key.trial,
        event.configuration,
        event.origin,
        in_space,
        metrics=event.measures,
        suggested=event.at,
        ask_seconds=event.ask_seconds,
        measures=event.measures,
    )
    return _changed(trial, replicates=(trial,) * replicates) if replicates > 1 else trial


def after(trial: Trial, event: TrialEvent, objective: Objective) -> Trial:
    """The trial once this event has happened to it, or to one of its replicates."""
    if not trial.replicates or isinstance(event, Pruned):
        return _after_alone(trial, event, objective)
    replicates = list(trial.replicates)
    replicates[event.key.replicate] = _after_alone(replicates[event.key.replicate], event, objective)
    return _together(trial, tuple(replicates), event.at)


def put_back(trial: Trial) -> Trial:
    """The trial when its driver is gone: what was running waits again."""
    if trial.state != "running":
        return trial
    return _changed(trial, state="waiting", replicates=tuple(put_back(replicate) for replicate in trial.replicates))


def _after_alone(trial: Trial, event: TrialEvent, objective: Objective) -> Trial:
    match event:
        case Reported():
            return _after_reports_alone(trial, [event], objective)
        case Started(at=at, device=device, worker=worker):
            return _changed(trial, state="running", started=at if trial.started is None else trial.started, device=device, worker=worker)
        case Finished(at=at, saved=saved, stopped_early=early):
            return _changed(trial, state="complete", ended=at, saved=saved, stopped_early=early)
        case Pruned(at=at, epoch=epoch):
            return _changed(trial, state="pruned", ended=at, reason=f"pruned after epoch {epoch}")
        case Diverged(at=at, seconds=seconds, detail=detail):
            return _changed(trial, state="diverged", ended=at, reason=detail, extra_seconds=seconds)
        case Failed(at=at, reason=why, detail=detail, seconds=seconds):
            return _changed(trial, state="failed" if why == "error" else why, ended=at, reason=detail, extra_seconds=seconds)
        case Lost(at=at, why=why, detail=detail, reason=kind, beside=beside):
            lost = _changed(trial, losses=trial.losses + 1, losses_alone=trial.losses_alone + (not beside))
            if lost.losses_alone < MOST_LOSSES:
                return _changed(lost, state="waiting")
            return _changed(lost, state=kind, ended=at, reason=f"{why}\n{detail}".strip())


def after_reports(trial: Trial, events: Mapping[int, Sequence[Reported]], objective: Objective) -> Trial:
    """The trial after these reports of its replicates, by number, which follow one another in each."""
    if not trial.replicates:
        return _after_reports_alone(trial, events[0], objective)
    replicates = [
        _after_reports_alone(replicate, events[number], objective) if number in events else replicate
        for number, replicate in enumerate(trial.replicates)
    ]
    return _together(trial, tuple(replicates), max(of_one[-1].at for of_one in events.values()))


def _after_reports_alone(trial: Trial, events: Sequence[Reported], objective: Objective) -> Trial:
    reports, best, best_event = list(trial.reports), trial.objective, None
    best_loss, metric, maximize = trial.metrics.get("loss"), objective.metric, objective.maximize
    for event in events:
        metrics = event.metrics
        value = float(metrics.get(metric, math.nan))
        reports.append(Report(event.epoch, value, event.seconds))
        if math.isfinite(value) and improves(value, best, loss := metrics.get("loss"), best_loss, maximize=maximize):
            best, best_loss, best_event = value, loss, event
    if best_event is None:
        return _changed(trial, reports=tuple(reports))
    known = {**trial.measures, **best_event.metrics}
    named = {intern(name): value for name, value in known.items()}  # a million times the same
    return _changed(trial, reports=tuple(reports), objective=best, epoch=best_event.epoch, metrics=named)


def _together(trial: Trial, replicates: tuple[Trial, ...], at: float) -> Trial:
    """The trial that these replicates are, by what happened at this time."""
    ended_otherwise = next((one for one in replicates if one.has_ended and one.state != "complete"), None)
    state = ended_otherwise.state if ended_otherwise else _state_together({one.state for one in replicates})
    furthest = max(one.epochs for one in replicates)
    counted = [one for one in replicates if one.has_ended or one.epochs == furthest]
    objectives = [one.objective for one in counted if one.objective is not None]
    shown = next((one for one in replicates if one.state == "running"), replicates[0])
    return _changed(
        trial,
        replicates=replicates,
        state=state,
        reports=_curve_together(replicates),
        objective=_mean(objectives) if len(objectives) == len(counted) else None,
        epoch=replicates[0].epoch,
        metrics={name: _mean([one.metrics[name] for one in counted if name in one.metrics]) for one in counted for name in one.metrics},
        device=shown.device,
        worker=shown.worker,
        started=min((one.started for one in replicates if one.started is not None), default=None),
        ended=at if state in ENDED else None,
        reason=ended_otherwise.reason if ended_otherwise else "",
        losses=sum(one.losses for one in replicates),
        losses_alone=sum(one.losses_alone for one in replicates),
        saved=replicates[0].saved,
        stopped_early=any(one.stopped_early for one in replicates),
        extra_seconds=sum(one.extra_seconds for one in replicates),
    )


def _state_together(states: set[State]) -> State:
    if states == {"complete"}:
        return "complete"
    return "running" if "running" in states else "waiting"


def _curve_together(replicates: tuple[Trial, ...]) -> tuple[Report, ...]:
    by_epoch: dict[int, list[Report]] = {}
    for one in replicates:
        for report in one.reports:
            by_epoch.setdefault(report.epoch, []).append(report)
    return tuple(
        Report(epoch, _mean([report.value for report in reports]), sum(report.seconds for report in reports))
        for epoch, reports in sorted(by_epoch.items())
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
