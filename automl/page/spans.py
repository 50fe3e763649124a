"""Who trained what when: the stretches of time that trials spent on workers, read from the events.

A trial knows when it first started and when it ended; in between it may have been put back, or moved to another worker. Events know.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from automl.events import Diverged, Failed, Finished, Reported, Started
from automl.study import Study
from automl.trials import Event, Lost, Pruned, Rested, Resumed

_PAUSE = 0.02  # of the whole time in which anything trained: shorter breaks of all workers stay as they are
_LEAST_PAUSE = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch that a training spent on a worker, in seconds since 1970. ``is_cut``: it was put back, and began again later."""

    trial: int
    worker: str
    begin: float
    end: float
    replicate: int = 0
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What one worker trained on one of its lanes, in the order of time."""

    worker: str
    spans: tuple[Span, ...]


class Spans:
    """The stretches of a study, as its events tell them one after the other (``take``)."""

    def __init__(self) -> None:
        self._done: list[Span] = []
        self._open: dict[tuple[int, int], Span] = {}
        self._now = 0.0

    def take(self, event: Event) -> None:
        """What the next event begins and ends."""
        match event:
            case Reported():  # first, since nearly all events are reports
                pass
            case Started(key=key, at=at, device=device, worker=worker):
                self._close((key.trial, key.replicate), at, True)
                self._open[key.trial, key.replicate] = Span(key.trial, worker or device, at, at, key.replicate)
            case Finished(key=key, at=at) | Diverged(key=key, at=at) | Failed(key=key, at=at):
                self._close((key.trial, key.replicate), at, False)
            case Lost(key=key, at=at):
                self._close((key.trial, key.replicate), at, True)
            case Pruned(key=key, at=at):
                for each in [each for each in self._open if each[0] == key.trial]:
                    self._close(each, at, False)
            case Rested(at=at):
                for each in list(self._open):
                    self._close(each, at, True)
            case Resumed():  # a driver that was killed left nothing but its last event
                for each in list(self._open):
                    self._close(each, self._now, True)
        self._now = max(self._now, event.at)

    def all(self) -> list[Span]:
        """In the order of their ends. One that is still going on ends with the last event."""
        return [*self._done, *(replace(span, end=max(self._now, span.begin)) for span in self._open.values())]

    def _close(self, key: tuple[int, int], at: float, is_cut: bool) -> None:
        if key in self._open:
            span = self._open.pop(key)
            self._done.append(replace(span, end=max(at, span.begin), is_cut=is_cut))


def spans_of_study(study: Study) -> list[Span]:
    """The stretches as far as the trials themselves tell: one each, from the first start to the end."""
    return [
        Span(trial.number, training.worker or training.device, training.started, training.ended or study.last_event_at, replicate)
        for trial in study.trials
        for replicate, training in enumerate(trial.trainings)
        if training.started is not None
    ]


def packed(spans: Sequence[Span]) -> list[Row]:
    """The rows in which spans of the same worker do not overlap, as few as there can be: its lanes. Workers in the order of their names."""
    by_worker: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda each: (each.begin, each.end, each.trial)):
        by_worker.setdefault(span.worker, []).append(span)
    rows = []
    for worker in sorted(by_worker, key=_natural):
        lanes: list[list[Span]] = []
        free: list[int] = []
        busy: list[tuple[float, int]] = []
        for span in by_worker[worker]:
            while busy and busy[0][0] <= span.begin:
                heapq.heappush(free, heapq.heappop(busy)[1])
            if not free:
                lanes.append([])
            lane = heapq.heappop(free) if free else len(lanes) - 1
            lanes[lane].append(span)
            heapq.heappush(busy, (span.end, lane))
        rows += [Row(worker, tuple(lane)) for lane in lanes]
    return rows


def _natural(name: str) -> tuple[str, int]:
    letters = name.rstrip("0123456789")
    return letters, int(name[len(letters) :] or 0)


def idle_free(spans: Sequence[Span]) -> Callable[[float], float]:
    """The clock of a study: seconds since its first start, standing still while nobody trained anything for longer (between two runs)."""
    stretches: list[tuple[float, float]] = []
    for begin, end in sorted((span.begin, span.end) for span in spans):
        if stretches and begin <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], max(end, stretches[-1][1]))
        else:
            stretches.append((begin, end))
    least = max(_LEAST_PAUSE, _PAUSE * sum(end - begin for begin, end in stretches))
    begins: list[float] = []
    ends: list[float] = []
    for begin, end in stretches:
        if ends and begin - ends[-1] < least:
            ends[-1] = end
        else:
            begins.append(begin)
            ends.append(end)
    before = [0.0]
    for begin, end in zip(begins, ends, strict=True):
        before.append(before[-1] + end - begin)

    def clock(at: float) -> float:
        index = bisect.bisect_right(begins, at) - 1
        return before[index] + min(at, ends[index]) - begins[index] if index >= 0 else 0.0

    return clock


def utilisation(spans: Sequence[Span]) -> float | None:
    """The share of the rows' time, pauses left out, in which something trained; None where nothing did."""
    rows, clock = packed(spans), idle_free(spans)
    last = max((clock(span.end) for span in spans), default=0.0)
    busy = sum(clock(span.end) - clock(span.begin) for span in spans)
    return busy / (last * len(rows)) if last > 0 and rows else None
