"""Whether MLflow is level with a study: what it shows of it, beside what the events would make of an empty MLflow. Changes nothing."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from automl.errors import TrackingError
from automl.tracking import client as mlflow_client
from automl.tracking.address import redacted, sqlite_path
from automl.tracking.content import PARENT_STATUS, StudyHeader
from automl.tracking.presentation import Place, missing_artifacts
from automl.tracking.trouble import reason
from automl.tracking.writer import Writer
from automl.trials import Event

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_PAGE = 5000
_CHUNK = 5000
_STUDY = "study"
_THERE = """select 1 from tags where key = 'automl.study_id' and value = ?
union select 1 from experiments where lifecycle_stage = 'deleted' and name = ?"""
_MOST_NAMED = 10  # trials


@dataclass(slots=True)
class Shown:
    """What a run shows, or is to show. ``last``: the last point of each metric, as step, milliseconds and value."""

    status: str = ""
    state: str = ""
    params: dict[str, str] = field(default_factory=dict)
    last: dict[str, tuple[int, int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Level:
    """What MLflow lacks of a study of so many ``trials`` that are to have a run.

    ``runs``: trials without one; ``twins``: trials with several; ``metrics``: of trials (or ``study``) those that lack their last point,
    and ``params`` where these are missing; ``states``: of trials (or ``study``) that in MLflow and that here, where they differ.
    ``deleted_experiment``: the id of the experiment that it belongs to, where that was deleted: nothing can be written there.
    """

    trials: int
    has_study: bool
    runs: tuple[int, ...] = ()
    twins: tuple[int, ...] = ()
    metrics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    states: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()
    deleted_experiment: str | None = None

    @property
    def is_level(self) -> bool:
        """Whether nothing is missing."""
        return self.has_study and not (self.runs or self.twins or self.metrics or self.states or self.artifacts)

    @property
    def words(self) -> str:
        """What is missing, without a full stop; empty where nothing is."""
        if self.deleted_experiment is not None:
            return "its experiment was deleted there"
        if not self.has_study:
            return "it does not have the study"
        parts = []
        if self.runs:
            parts.append(f"{len(self.runs)} of {self.trials} trials have no run ({_named(map(str, self.runs))})")
        if self.twins:
            parts.append(f"{len(self.twins)} trials have several runs ({_named(map(str, self.twins))})")
        if self.metrics:
            count = sum(map(len, self.metrics.values()))
            parts.append(f"{count} metrics or params are not there or not up to their end (of {_named(self.metrics)})")
        if self.states:
            each = (f"{name}: {there} there, {here} here" for name, (there, here) in self.states.items())
            parts.append(f"{len(self.states)} states differ ({_named(each)})")
        if self.artifacts:
            parts.append(f"{len(self.artifacts)} files are missing ({_named(self.artifacts)})")
        return "; ".join(parts)


def compared(uri: str, header: StudyHeader, events: Iterable[tuple[int, Event]], why: str | None, artifacts: Mapping[str, Path]) -> Level:
    """What MLflow lacks of these events. ``why``: how the study stands, as in ``Summary``; None while a driver is at work on it.

    A metric is there when its last point is: points are written in order. Raises TrackingError where MLflow does not say.
    """
    try:
        expected = _expected(uri, header, events, why)
        return _difference(expected, uri, header, artifacts)
    except Exception as error:
        raise TrackingError(f"MLflow ({redacted(uri)}): must answer, but does not: {reason(error)}. Try again.") from None
    finally:
        mlflow_client.forget_thread()


def _difference(expected: Mapping[str, Shown], uri: str, header: StudyHeader, artifacts: Mapping[str, Path]) -> Level:
    trials = len(expected) - 1
    if not _may_have(uri, header):
        return Level(trials, has_study=False)
    ask = mlflow_client.PatientClient(mlflow_client.connect(uri), lambda: None, lambda: None, lambda: False)
    client = cast("MlflowClient", ask)
    experiment = client.get_experiment_by_name(header.experiment)
    if experiment is None:
        return Level(trials, has_study=False)
    if experiment.lifecycle_stage != "active":
        return Level(trials, has_study=False, deleted_experiment=str(experiment.experiment_id))
    parents = list(
        _search(client, experiment.experiment_id, f"tags.`automl.study_id` = '{header.identity}' and tags.`automl.kind` = 'study'")
    )
    if not parents:
        return Level(trials, has_study=False)
    parent = parents[0].info.run_id
    found, twins = {_STUDY: _shown(parents[0])}, set()
    for run in _search(client, experiment.experiment_id, f"tags.`mlflow.parentRunId` = '{parent}' and tags.`automl.kind` = 'trial'"):
        number = run.data.tags["automl.trial"]
        if number in found:
            twins.add(int(number))
        found[number] = _shown(run)
    place = Place(client, uri, experiment.experiment_id, parent, lambda condition: iter(()))
    both = {name: (found[name], shown) for name, shown in expected.items() if name in found}
    lacking = {name: tuple(_lacking(there, here)) for name, (there, here) in both.items()}
    return Level(
        trials,
        has_study=True,
        runs=tuple(sorted(int(name) for name in expected if name not in found)),
        twins=tuple(sorted(twins)),
        metrics={name: names for name, names in lacking.items() if names},
        states={
            name: (_word(there), _word(here))
            for name, (there, here) in both.items()
            if (there.status, there.state) != (here.status, here.state)
        },
        artifacts=tuple(missing_artifacts(place, artifacts)),
    )


def _lacking(there: Shown, here: Shown) -> Iterator[str]:
    """Names of metrics that are not up to their end there; ``params`` where some are missing."""
    if not here.params.items() <= there.params.items():
        yield "params"
    yield from (name for name, last in here.last.items() if there.last.get(name) != last)


def _word(shown: Shown) -> str:
    return shown.state if shown.state and shown.status != "RUNNING" else shown.status.lower()


def _named(names: Iterable[str]) -> str:
    first = list(names)
    more = len(first) - _MOST_NAMED
    return ", ".join(first[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


# -- what there is ------------------------------------------------------------------------------------------------------


def _may_have(uri: str, header: StudyHeader) -> bool:
    """False where a SQLite store has neither the study nor a deleted experiment of that name. To open one is to make what it lacks."""
    path = sqlite_path(uri)
    if path is None:
        return True
    if not path.exists() or path.stat().st_size == 0:
        return False
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute(_THERE, [header.identity, header.experiment]).fetchone()
    return found is not None


def _search(client: MlflowClient, experiment: str, condition: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment], condition, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _shown(run: Any) -> Shown:
    last = {metric.key: (metric.step, metric.timestamp, metric.value) for metric in run.data._metric_objs}
    return Shown(run.info.status, run.data.tags.get("automl.state", ""), dict(run.data.params), last)


# -- what is to be there ------------------------------------------------------------------------------------------------


class _Paper:
    """Takes what a writer would tell MLflow, and keeps of each run what it would show."""

    def __init__(self) -> None:
        self.runs: dict[str, Shown] = {_STUDY: Shown()}

    def create_run(self, experiment: str, start_time: int, tags: Mapping[str, str], run_name: str) -> Any:
        name = tags["automl.trial"]
        self.runs[name] = Shown("RUNNING", tags.get("automl.state", ""))
        return SimpleNamespace(info=SimpleNamespace(run_id=name, status="RUNNING"), data=SimpleNamespace(tags=dict(tags)))

    def log_batch(self, run: str, metrics: Iterable[Any] = (), params: Iterable[Any] = (), tags: Iterable[Any] = ()) -> None:
        shown = self.runs[run]
        for metric in metrics:
            point = (metric.step, metric.timestamp, metric.value)
            shown.last[metric.key] = max(shown.last.get(metric.key, point), point)
        shown.params.update({param.key: param.value for param in params})
        for tag in tags:
            self.set_tag(run, tag.key, tag.value)

    def set_tag(self, run: str, key: str, value: str) -> None:
        if key == "automl.state":
            self.runs[run].state = value

    def update_run(self, run: str, status: str) -> None:
        self.runs[run].status = status

    def set_terminated(self, run: str, status: str, end: int) -> None:
        self.runs[run].status = status

    def log_dict(self, run: str, content: Mapping[str, Any], file: str) -> None:
        """Files of trials are not compared."""


def _expected(uri: str, header: StudyHeader, events: Iterable[tuple[int, Event]], why: str | None) -> dict[str, Shown]:
    """By trial, and ``study``: a writer writes an empty MLflow on paper."""
    paper = _Paper()
    writer = Writer(cast("MlflowClient", paper), "", header)
    writer.parent = _STUDY
    told = iter(events)
    while chunk := list(islice(told, _CHUNK)):
        for _, event in chunk:
            writer.take(event)
        writer.flush(0.0, final=True)
    parent = paper.runs[_STUDY]
    if why is None:
        parent.status, parent.state = "RUNNING", "running"
    else:
        writer.put_back()
        writer.flush(0.0, final=True)
        parent.status, parent.state = PARENT_STATUS.get(why, "FINISHED"), why
    return paper.runs
