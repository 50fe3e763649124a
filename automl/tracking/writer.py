"""Brings MLflow level with the events of one study.

The writer keeps what MLflow is to hold of each trial that has not ended there, and writes the difference to what it holds. Every
write can be repeated: MLflow ignores a metric point that it has, to the bit, and a run is looked for before it is made again.

What a trial costs in SQL statements (MLflow 3.17): 11 to make its run, 17 for its first batch with params and metrics, 12 for each
further batch, 6 more for changed tags, 8 for the end. A run that is not at its end gets nothing else in the flush that makes it, so that
a trial of two flushes is written in one batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from automl.errors import TrackingError
from automl.events import Diverged, Failed, Finished, Reported, Started, Tested
from automl.spec import Objective, training_name
from automl.tracking import client as mlflow_client
from automl.tracking import content, presentation
from automl.tracking.address import redacted, restore_command, sqlite_path
from automl.tracking.colours import trial_colour
from automl.tracking.content import StudyHeader, Summary
from automl.tracking.notes import Links
from automl.tracking.origin import origin_tags
from automl.tracking.presentation import GONE, REFUSED, Place
from automl.tracking.trouble import StrangeAnswerError, reason
from automl.trials import ENDED, Created, Event, Lost, Pruned, Rested, Resumed, Suggested, Trial, TrialEvent, after, begun, put_back

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

_PAGE = 5000  # runs of one page of a search; MLflow's own default of 1,000 hides the rest
_MOST_POINTS = 1000  # that MLflow takes in a batch
_POINTS = 4  # points of the parent's curve that are worth a batch of their own ...
_LATEST = 20.0  # ... and the seconds after which fewer are
_MOST_PROBLEMS = 5  # that are told in words

Point = tuple[str, float, int, int]  # name, value, milliseconds, step


@dataclass(slots=True)
class _Mirrored:
    """A trial as its events tell it, and what MLflow holds of it already."""

    trial: Trial
    left: float | None = None  # when it ended, or was put back
    points: list[Point] = field(default_factory=list)  # not written yet
    skip: bool = False  # its run is complete in MLflow
    run: str = ""
    has_params: bool = False
    tags: dict[str, str] = field(default_factory=dict)  # as written
    status: str = ""  # as written


def _is_complete(run: Run) -> bool:
    """Whether everything of a trial is in MLflow: its end is written last."""
    return run.info.status in ("FINISHED", "FAILED", "KILLED") and run.data.tags.get("automl.state") in ENDED


class Writer:
    """Writes one study. Not thread-safe: the mirror's thread alone uses it."""

    def __init__(self, client: MlflowClient, uri: str, header: StudyHeader, should_stop: Callable[[], bool] = lambda: False) -> None:
        self._client = client
        self._uri = uri
        self._header = header
        self._objective = Objective(header.metric, header.maximize)
        self._should_stop = should_stop
        self._is_remote = urlsplit(uri).scheme in ("http", "https")
        self._trials: dict[int, _Mirrored] = {}  # that are not complete in MLflow
        self._dirty: dict[int, None] = {}  # of these, what there is to write for, in the order of events
        self._known: dict[int, Run] = {}  # runs found in MLflow that are not complete
        self._runs: dict[int, str] = {}  # the runs of all trials
        self._finished: set[int] = set()  # trials whose runs were complete in MLflow when it was opened
        self._confirmed: dict[int, int] = {}  # of trials in MLflow: how many fresh seeds it has of them whole
        self._fresh_ends: dict[int, set[int]] = {}  # of trials that are confirmed: the replicates of fresh seeds that have ended
        self._fresh_points: dict[int, list[Point]] = {}  # of trials that are confirmed, not written yet
        self._best: float | None = None
        self._ended = 0
        self._epochs = 0
        self._points: list[Point] = []  # of the parent, not written yet
        self._points_since: float | None = None
        self._points_until = -1  # the last step of the parent's curve that MLflow had when it was opened
        self._at_work = True
        self._parent_status = ""
        self._last_at = header.created
        self._unanswered: set[int] = set()  # trials for which MLflow may have made a run without saying so
        self._may_have_twins = False  # MLflow may have made more runs than were asked for
        self._origin = origin_tags(header.command)
        self._refusals: list[str] = []
        self._not_copied: list[str] = []
        self.refused = 0
        self.is_open = False
        self.experiment = ""
        self.parent = ""

    # -- opening --------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Find or make the experiment and the parent run, and learn which trials MLflow has. Can be repeated after an error."""
        self.experiment = self._find_experiment()
        run = self._find_run(f"tags.`automl.study_id` = '{self._header.identity}' and tags.`automl.kind` = 'study'")
        if run is None:
            tags = {**content.study_tags(self._header), **self._origin, "automl.state": "running"}
            start = _milliseconds(self._header.created)
            run = self._make_run(start, tags, self._header.name)
        self.parent, self._parent_status = run.info.run_id, run.info.status
        presentation.introduce(self._place(), self._header, run)
        presentation.prepare_experiment(self._place(), self._header, (), _milliseconds(self._header.created))
        history = self._client.get_metric_history(self.parent, "best_objective") if "best_objective" in run.data.metrics else []
        self._points_until = max((metric.step for metric in history), default=-1)
        self._find_trials()
        self.is_open = True

    def _find_experiment(self) -> str:
        name = self._header.experiment
        found = self._client.get_experiment_by_name(name)
        if found is None:
            path = sqlite_path(self._uri)
            location = str(path.parent / "mlartifacts") if path else None
            try:
                return _given(str(self._client.create_experiment(name, artifact_location=location)))
            except Exception:  # another process may have made it just now, or a request that was not answered
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        identity = _given(str(found.experiment_id))
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"MLflow ({redacted(self._uri)}): the experiment {name!r} must be active, but it was deleted there. "
                f"Restore it with `{restore_command(self._uri, identity)}`, then `{self._header.sync}`."
            )
        return identity

    def _find_run(self, condition: str) -> Run | None:
        """The one run for which this holds; of several, which only an unanswered request leaves behind, the fullest stays."""
        found = sorted(self._search(condition), key=lambda run: (not _is_complete(run), -len(run.data.params), run.info.run_id))
        for run in found[1:]:
            self._client.delete_run(run.info.run_id)
        return found[0] if found else None

    def _make_run(self, start: int, tags: Mapping[str, str], name: str) -> Run:
        """A new run. Where the answer does not come there may be one all the same."""
        could_have, self._may_have_twins = self._may_have_twins, True
        run = self._client.create_run(self.experiment, start_time=start, tags=dict(tags), run_name=name)
        _given(run.info.run_id)
        self._may_have_twins = could_have
        return run

    def _search(self, condition: str) -> Iterator[Run]:
        token, tries = None, 2 if self._is_remote else 1
        while True:
            page = self._client.search_runs([self.experiment], condition, max_results=_PAGE, page_token=token)
            tries -= 1
            if not page and not token and tries:
                continue  # what broke on its way looks like this: that there is nothing is believed when it is said twice
            yield from page
            token = page.token
            if not token:
                return

    def _find_trials(self) -> None:
        self._known, self._runs, self._finished = {}, {}, set()
        twice = set()
        for run in self._search(f"tags.`mlflow.parentRunId` = '{self.parent}' and tags.`automl.kind` = 'trial'"):
            number = int(run.data.tags["automl.trial"])
            if number in self._runs:
                twice.add(number)
            else:
                self._find(number, run)
        for number in twice:
            kept = self._find_trial(number)
            if kept is not None:
                self._find(number, kept)

    def _find(self, number: int, run: Run) -> None:
        self._runs[number] = run.info.run_id
        self._confirmed[number] = int(run.data.tags.get("automl.fresh_seeds", 0))
        self._finished.discard(number)
        self._known.pop(number, None)
        if _is_complete(run):
            self._finished.add(number)
        else:
            self._known[number] = run

    def _find_trial(self, number: int) -> Run | None:
        return self._find_run(f"tags.`mlflow.parentRunId` = '{self.parent}' and tags.`automl.trial` = '{number}'")

    # -- taking events in -----------------------------------------------------------------------------------------------

    @property
    def missing(self) -> int:
        """How many trials MLflow does not show as they are."""
        return len(self._dirty.keys() | self._fresh_points.keys()) + self.refused

    def take(self, event: Event) -> None:
        """Take in the study's next event. Writes nothing and never fails."""
        self._last_at = event.at
        match event:
            case Created():
                pass
            case Resumed() | Rested():
                self._at_work = isinstance(event, Resumed)
                self._put_back(event.at)
            case Finished(key=key) | Diverged(key=key) | Failed(key=key) if key.replicate >= self._header.replicates:
                self._fresh_ends.setdefault(key.trial, set()).add(key.replicate)
            case Reported(key=key) | Tested(key=key) if key.replicate >= self._header.replicates:
                self._take_fresh(event)
            case Tested(split=split):
                self._point(*_points(event, f"{_measured_on(split)}_", 0))
            case Suggested(key=key):
                self._trials[key.trial] = self._begun(event)
            case Started() | Reported() | Finished() | Pruned() | Diverged() | Failed() | Lost():
                mirrored = self._trials.get(event.key.trial)
                if mirrored is not None and not mirrored.trial.has_ended and event.key.replicate < self._header.replicates:
                    self._change(mirrored, event)

    def _take_fresh(self, event: Reported | Tested) -> None:
        """The curves of a confirmation, and what it reached on the test split, stand with its trial under a name of their own."""
        again, replicate = divmod(event.key.replicate, self._header.replicates)
        if again <= self._confirmed.get(event.key.trial, 0):
            return
        prefix = f"fresh_{again}/{self._prefix(replicate)}"
        if isinstance(event, Tested):
            points = _points(event, f"{prefix}{_measured_on(event.split)}_", 0)
        else:
            points = _points(event, prefix, event.epoch)
        self._fresh_points.setdefault(event.key.trial, []).extend(points)

    def _begun(self, event: Suggested) -> _Mirrored:
        number = event.key.trial
        mirrored = _Mirrored(begun(event, True, self._header.replicates), skip=number in self._finished)
        if not mirrored.skip:
            known = {**content.logarithms_of(self._header, event.configuration), **event.measures}
            mirrored.points = [(name, float(value), _milliseconds(event.at), 0) for name, value in known.items()]
        run = self._known.pop(number, None)
        if run is not None:
            mirrored.run, mirrored.status, mirrored.tags = run.info.run_id, run.info.status, dict(run.data.tags)
            mirrored.has_params = content.params_of(event.configuration).items() <= run.data.params.items()
        return mirrored

    def _change(self, mirrored: _Mirrored, event: TrialEvent) -> None:
        before, trial = mirrored.trial, after(mirrored.trial, event, self._objective)
        mirrored.trial = trial
        if isinstance(event, Reported):
            mirrored.points += self._report_points(trial, event)
        if trial.has_ended:
            self._end(mirrored, event.at)
        elif before.state == "running" and trial.state == "waiting":
            mirrored.left = event.at
        elif isinstance(event, Started):
            mirrored.left = None
        if mirrored.skip:
            mirrored.points.clear()
            if trial.has_ended:
                del self._trials[trial.number]
        else:
            self._dirty[trial.number] = None

    def put_back(self) -> None:
        """The driver is gone, whatever the events say of that."""
        self._put_back(self._last_at)

    def _put_back(self, at: float) -> None:
        """The driver is gone: what was running waits."""
        for mirrored in self._trials.values():
            if mirrored.trial.state == "running":
                mirrored.trial, mirrored.left = put_back(mirrored.trial), at
                if not mirrored.skip:
                    self._dirty[mirrored.trial.number] = None

    def _prefix(self, replicate: int) -> str:
        """Under what the metrics of this training stand; nothing where a trial has only one."""
        folds = self._header.folds
        own = training_name(replicate, folds, self._header.replicates // folds)
        return f"{own}/" if own else ""

    def _report_points(self, trial: Trial, event: Reported) -> list[Point]:
        """The curves of a fold or replicate stand under its name; the trial's is their mean, once all of them have got there."""
        now, metric = _milliseconds(event.at), content.entity_key(self._objective.metric)
        points = _points(event, self._prefix(event.key.replicate), event.epoch)
        if trial.replicates and all(one.epochs >= event.epoch for one in trial.replicates):
            points += [(metric, report.value, now, report.epoch) for report in trial.reports if report.epoch == event.epoch]
        return [point for point in points if math.isfinite(point[1])]

    def _end(self, mirrored: _Mirrored, at: float) -> None:
        trial, mirrored.left = mirrored.trial, at
        if trial.state == "complete" and trial.objective is not None:
            mirrored.points.append(("objective", trial.objective, _milliseconds(at), trial.epoch or 0))
            if self._best is None or self._objective.better(trial.objective, self._best):
                self._best = trial.objective
        # Trials end out of order. Counted by their ends, the curve never falls back and its last value is the best.
        step, self._ended, self._epochs = self._ended, self._ended + 1, self._epochs + trial.epochs_trained
        if self._best is not None and step > self._points_until:
            self._point(("best_objective", self._best, _milliseconds(at), step), ("epochs/trained", self._epochs, _milliseconds(at), step))

    def _point(self, *points: Point) -> None:
        self._points += [point for point in points if math.isfinite(point[1])]

    # -- writing --------------------------------------------------------------------------------------------------------

    def flush(self, now: float, final: bool = False, running: bool = True) -> None:
        """Write what there is, oldest first; ``now`` is a monotonic time in seconds. ``final``: put nothing off. ``running``: also
        of trials that have not ended.

        What was written is forgotten at once, so that after an error the rest can be written later.
        """
        self._show_at_work()
        for number in list(self._dirty):
            if self._should_stop():
                return
            mirrored = self._trials[number]
            if not (mirrored.trial.has_ended or running or final):
                continue
            try:
                is_level = self._write(mirrored, final)
            except Exception as error:
                code = getattr(error, "error_code", None)
                if code not in REFUSED or code == GONE:
                    raise
                self._refuse(f"trial {number}", error)
                self.refused += 1
                mirrored.skip, is_level = True, True
            if is_level:
                del self._dirty[number]
                mirrored.points.clear()
                if mirrored.trial.has_ended:
                    del self._trials[number]
        self._write_fresh_points()
        self._write_points(now, final)

    def _write_fresh_points(self) -> None:
        """The curves of confirmations, to the runs of their trials, which are at their end."""
        from mlflow.entities import Metric

        for number in [number for number in self._fresh_points if number in self._runs and number not in self._dirty]:
            points = self._fresh_points[number]
            while points and not self._should_stop():
                self._client.log_batch(self._runs[number], [Metric(*point) for point in points[:_MOST_POINTS]])
                del points[:_MOST_POINTS]
            if not points:
                del self._fresh_points[number]

    @property
    def has_work(self) -> bool:
        """Whether ``flush`` has something left to write, now or in a while."""
        return bool(self._dirty or self._points or self._fresh_points)

    def _refuse(self, what: str, error: Exception) -> None:
        if len(self._refusals) < _MOST_PROBLEMS:
            self._refusals.append(f"MLflow refuses {what}: {reason(error)}")

    @property
    def problems(self) -> list[str]:
        """What MLflow has not taken, in sentences for a person; many refusals are told of by their first few."""
        return self._refusals + self._not_copied

    @property
    def outstanding(self) -> int:
        """How many trials are to be written yet."""
        return len(self._dirty.keys() | self._fresh_points.keys())

    def _write(self, mirrored: _Mirrored, final: bool) -> bool:
        """Write a trial; False when the rest is put off to the next flush."""
        trial = mirrored.trial
        if not mirrored.run:
            if trial.started is None and not trial.has_ended:
                return True  # it waits for its first start
            self._create(mirrored)
            if not trial.has_ended and not final:
                return False
        if trial.state != "waiting" and mirrored.status != "RUNNING":  # it waited, and goes on, or went on and ended
            self._client.update_run(mirrored.run, status="RUNNING")
            mirrored.status = "RUNNING"
        self._write_batch(mirrored)
        status = content.STATUS[trial.state]
        if mirrored.status != status and mirrored.left is not None:
            self._client.set_terminated(mirrored.run, status, _milliseconds(mirrored.left))
            mirrored.status = status
        return True

    def _create(self, mirrored: _Mirrored) -> None:
        header, trial = self._header, mirrored.trial
        run = self._find_trial(trial.number) if trial.number in self._unanswered else None
        if run is None:
            is_first = trial.number not in self._unanswered
            self._unanswered.add(trial.number)
            tags = {**content.trial_tags(header, self.parent, trial.number), **self._origin, **_tags_now(trial)}
            name = content.trial_name(trial.number, trial.origin, trial.configuration, header.searched)
            start = _milliseconds(trial.suggested if trial.started is None else trial.started)
            run = self._make_run(start, tags, name)
            if is_first:
                self._unanswered.discard(trial.number)
        mirrored.run, mirrored.status, mirrored.tags = run.info.run_id, run.info.status, dict(run.data.tags)
        self._runs[trial.number] = mirrored.run

    def _write_batch(self, mirrored: _Mirrored) -> None:
        from mlflow.entities import Metric, Param, RunTag

        configuration = mirrored.trial.configuration
        tags = {key: value for key, value in _tags_now(mirrored.trial).items() if mirrored.tags.get(key) != value}
        params = {} if mirrored.has_params else content.params_of(configuration)
        if not params and not mirrored.points and len(tags) <= 2:
            for key, value in tags.items():  # cheaper than a batch
                self._client.set_tag(mirrored.run, key, value)
        else:
            self._client.log_batch(
                mirrored.run,
                [Metric(*point) for point in mirrored.points],
                [Param(*param) for param in params.items()],
                [RunTag(*tag) for tag in tags.items()],
            )
        if not mirrored.has_params and content.is_shortened(configuration):
            self._client.log_dict(mirrored.run, dict(configuration), "configuration.json")
        mirrored.points, mirrored.has_params = [], True
        mirrored.tags.update(tags)

    def _show_at_work(self) -> None:
        if self._at_work and self._parent_status != "RUNNING":
            self._client.set_tag(self.parent, "automl.state", "running")
            self._client.update_run(self.parent, status="RUNNING")
            self._parent_status = "RUNNING"

    def _write_points(self, now: float, final: bool) -> None:
        """The parent's curve, several trials at a time: a batch costs as much as a third of a trial."""
        from mlflow.entities import Metric

        if not self._points:
            return
        self._points_since = now if self._points_since is None else self._points_since
        if final or len(self._points) >= 2 * _POINTS or now - self._points_since >= _LATEST:
            self._client.log_batch(self.parent, [Metric(*point) for point in self._points])
            self._points, self._points_since = [], None

    # -- the end --------------------------------------------------------------------------------------------------------

    def close(self, summary: Summary, artifacts: Mapping[str, Path]) -> None:
        """Write everything outstanding, the note, the ranks and the artifacts, and end the runs. Can be repeated after an error."""
        self.put_back()
        self.flush(0.0, final=True)
        if self._should_stop():
            return
        if self._may_have_twins or (self._is_remote and mlflow_client.repeats_by_itself()):
            self._delete_twins()
        self._note_fresh_seeds()
        place, now = self._place(), _milliseconds(self._last_at)
        important = [name for name, _, _ in summary.importances]
        has_views = presentation.prepare_experiment(place, self._header, important, now)
        told = {trial.number: place.link(self._runs[trial.number]) for trial in summary.told if trial.number in self._runs}
        links = Links(told, presentation.places(place, self._header, has_views, content.PAGE in artifacts))
        presentation.describe(place, self._header, summary, links, self._ended, now)
        presentation.write_ranks(place, summary, self._runs)
        presentation.describe_failures(place, self._header, self._should_stop)
        failed = presentation.write_artifacts(place, summary, artifacts, self._should_stop)
        self._not_copied = [f"{name} could not be copied to MLflow: {reason(error)}" for name, error in failed]
        status = content.PARENT_STATUS.get(summary.why, "FINISHED")
        self._client.set_terminated(self.parent, status, now)
        self._parent_status = status

    def _delete_twins(self) -> None:
        """Of each trial, and of the study, only the run that was written to stays."""
        parents = self._search(f"tags.`automl.study_id` = '{self._header.identity}' and tags.`automl.kind` = 'study'")
        trials = self._search(f"tags.`mlflow.parentRunId` = '{self.parent}' and tags.`automl.kind` = 'trial'")
        ours = {self.parent, *self._runs.values()}
        for twin in [run.info.run_id for run in itertools.chain(parents, trials) if run.info.run_id not in ours]:
            self._client.delete_run(twin)
        self._may_have_twins = False

    def _note_fresh_seeds(self) -> None:
        """Remember in MLflow how many fresh seeds it has whole of each trial, so that they are not written again."""
        replicates = self._header.replicates
        for number, ends in self._fresh_ends.items():
            count = next(again for again in itertools.count() if not ends.issuperset(range(replicates, replicates * (again + 2))))
            if count > self._confirmed.get(number, 0) and number in self._runs:
                self._client.set_tag(self._runs[number], "automl.fresh_seeds", str(count))
                self._confirmed[number] = count

    def _place(self) -> Place:
        return Place(self._client, self._uri, self.experiment, self.parent, self._search)

    @property
    def page(self) -> str:
        """Where the study is in MLflow's UI, after the address of the server."""
        return self._place().link(self.parent) if self.parent else ""


def _given(identity: str) -> str:
    """The identity, or StrangeAnswerError where the answer has none."""
    if not identity:
        raise StrangeAnswerError("an identity is missing")
    return identity


def _tags_now(trial: Trial) -> dict[str, str]:
    tags = {"automl.state": trial.state, "automl.device": trial.device}
    if trial.reason or trial.stopped_early:
        tags["automl.reason"] = content.last_part(trial.reason or f"stopped early after epoch {trial.epochs}", content.LONGEST_TAG)
    tags["mlflow.runColor"] = trial_colour(trial)
    return {key: value for key, value in tags.items() if value}


def _points(event: Reported | Tested, prefix: str, step: int) -> list[Point]:
    """Its metrics, as far as they are finite."""
    now = _milliseconds(event.at)
    return [(content.entity_key(f"{prefix}{name}"), value, now, step) for name, value in event.metrics.items() if math.isfinite(value)]


def _measured_on(split: str) -> str:
    return "test" if split == "test" else "training"  # the only data of xor are its training data


def _milliseconds(at: float) -> int:
    return round(at * 1000)
