"""Studies on disk for tests: simulated trials with curves, on workers with lanes and a clock of their own. Nothing trains."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from automl import spacefile
from automl.draws import unit_at
from automl.events import Configuration, Diverged, Failed, Finished, Reported, Started
from automl.space import SearchSpace
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.store import Store
from automl.study import Study
from automl.trials import Created, Event, Pruned, Rested, Resumed, Suggested

T0 = 1_750_000_000.0
Value = Callable[[Configuration], float]


@dataclass(frozen=True, slots=True)
class Story:
    """How a simulated study goes. Shares of trials are in [0, 1]; ``value`` is the score in [0, 1] that a configuration tends to."""

    trials: int = 30
    epochs: int = 10
    workers: int = 2
    lanes: int = 2
    pruned: float = 0.5
    failed: float = 0.0
    diverged: float = 0.0
    baseline: Configuration | None = None
    maximize: bool = True
    metric: str = "accuracy"
    rest: str = "done"
    pause_after: int = 0  # trials, then a pause of an hour
    asked: int = 0  # more than there are
    environment: Mapping[str, str] | None = None


def write_study(folder: Path, space: SearchSpace, value: Value, story: Story) -> Study:
    """A study in ``folder`` as ``automl run`` would have left it, as far as its events go."""
    objective = Objective(story.metric, story.maximize)
    settings = StudySettings(strategy="random", pruner="median", trials=story.asked or story.trials)
    spec = StudySpec(folder.name, DataSpec("digits"), "mlp", objective, story.epochs, space, story.baseline, settings)
    created = Created(T0, f"identity-{folder.name}", spacefile.to_dict(spec), story.metric, story.maximize, "ab12cd34ef56ab78", "0.1")
    study = Study(created.identity, spec, objective)
    events = list(_events(study, value, story))
    folder.mkdir(parents=True, exist_ok=True)
    with Store.create(folder, created) as store:
        store.append(events)
    for event in events:
        study.apply(event)
    return study


def _events(study: Study, value: Value, story: Story) -> list[Event]:
    events: list[Event] = [Resumed(T0, story.asked or story.trials, story.environment or {})]
    slots = [(T0 + 0.3, f"worker-{worker}") for worker in range(story.workers) for _ in range(story.lanes)]
    heapq.heapify(slots)
    paused = 0.0
    for number in range(story.trials):
        if story.pause_after and number == story.pause_after:
            ends = max(at for at, _ in slots)
            events += [Rested(ends, "interrupted", 1.0), Resumed(ends + 3600.0, story.trials)]
            slots = [(ends + 3600.0, worker) for _, worker in slots]
            paused = 3600.0
        at, worker = heapq.heappop(slots)
        is_baseline = number == 0 and story.baseline is not None
        configuration = story.baseline if is_baseline and story.baseline is not None else study.space.sample("story", number)
        ended = _trial(events, study, number, configuration, at, worker, value(configuration), story, is_baseline)
        heapq.heappush(slots, (ended + 0.02, worker))
    if story.rest:
        last = max(event.at for event in events)
        events.append(Rested(last, story.rest, last - T0 - paused))
    return [events[0], *sorted(events[1:], key=lambda event: event.at)]


def _trial(
    events: list[Event],
    study: Study,
    number: int,
    configuration: Configuration,
    at: float,
    worker: str,
    level: float,
    story: Story,
    is_baseline: bool,
) -> float:
    key = study.key(number)
    events += [Suggested(key, at - 0.01, configuration, "baseline" if is_baseline else "strategy", 0.01), Started(key, at, "cpu", worker)]
    draw = 1.0 if is_baseline else unit_at("story ends", number)
    seconds = 0.02 + 0.1 * unit_at("story seconds", number)
    if draw < story.failed:
        where = f'  File "train.py", line {number % 2 + 1}, in <module>'
        detail = f"Traceback (most recent call last):\n{where}\nValueError: expected 3 channels, got 1"
        events.append(Failed(key, at + seconds, "error", detail, seconds))
        return at + seconds
    last = story.epochs
    if draw < story.failed + story.pruned and story.epochs > 1:
        last = max(1, int(story.epochs * (0.1 + 0.4 * unit_at("story pruned", number))))
    elif draw < story.failed + story.pruned + story.diverged:
        events.append(Diverged(key, at + seconds, 1, seconds))
        return at + seconds
    for epoch in range(1, last + 1):
        noise = 0.02 * (unit_at("story noise", number, epoch) - 0.5)
        score = level * (1 - math.exp(-3.0 * epoch / story.epochs)) + noise
        reported = score if story.maximize else 10 ** (1 - 2 * score)
        events.append(Reported(key, at + seconds * epoch, epoch, {story.metric: reported, "val_loss": 1 - score}, seconds))
    end = at + seconds * last + 0.001
    events.append(Pruned(key, end, last) if last < story.epochs else Finished(key, end))
    return end
