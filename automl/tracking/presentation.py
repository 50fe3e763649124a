"""What makes a study pleasant to look at in MLflow, written when its driver comes and when it leaves: views, data set, ranks, artifacts.

Nothing here is needed for the mirror to be true. So what MLflow refuses for good is left out; an MLflow that is away is an error as
everywhere, and everything can be repeated.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from automl.tracking import notes, views
from automl.tracking.colours import COMPLETE, WINNER, trial_colour
from automl.tracking.content import PAGE, StudyHeader, Summary, shortened, study_metrics, study_params
from automl.tracking.notes import Links
from automl.tracking.trouble import StrangeAnswerError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

GONE = "RESOURCE_DOES_NOT_EXIST"
REFUSED = ("INVALID_PARAMETER_VALUE", GONE, "INVALID_STATE")  # saying it again would not help
_LEFT_OUT = (*REFUSED, "PERMISSION_DENIED", "ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "FEATURE_DISABLED", "RESOURCE_LIMIT_EXCEEDED")
_NOTE = "mlflow.note.content"
_RANK, _VIEW, _COLOUR = "automl.rank", "automl.view", "mlflow.runColor"
_IN_VIEW = "by strategy"
_MOST_LOGS = 50
_LONGEST_DIGEST = 36  # that MLflow takes
_PLACES = (("Strategies", views.STRATEGIES), ("Trials", views.TRIALS), ("By strategy", views.BY_STRATEGY))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a study is in MLflow. ``search`` finds runs of the experiment."""

    client: MlflowClient
    uri: str
    experiment: str
    parent: str
    search: Callable[[str], Iterator[Run]]

    @property
    def is_remote(self) -> bool:
        """Whether there is a network in between, on which answers get lost."""
        return urlsplit(self.uri).scheme in ("http", "https")

    def link(self, run: str, artifact: str = "") -> str:
        """A run, or an artifact of it, after the address of the server."""
        return f"#/experiments/{self.experiment}/runs/{run}{f'/artifacts/{artifact}' if artifact else ''}?{views.MODEL_TRAINING}"


# -- the experiment -----------------------------------------------------------------------------------------------------


def prepare_experiment(place: Place, header: StudyHeader, important: Sequence[str], now: int) -> bool:
    """Give the experiment its views and its note; ``now`` in milliseconds. Whether it has the views."""
    if not _reads_views(place.uri):
        return False
    with _unless_refused():
        known = dict(place.client.get_experiment(place.experiment).tags)
        wanted: dict[str, str | None] = dict(views.saved_views(header, known, important, now))
        places = {name: views.route(place.experiment, key) for name, key in _PLACES}
        if _NOTE not in known:  # a person's own stays
            wanted[_NOTE] = notes.experiment_note(places)
        for key, value in wanted.items():
            if value is None:
                place.client.delete_experiment_tag(place.experiment, key)
            else:
                place.client.set_experiment_tag(place.experiment, key, value)
        return True
    return False


def _reads_views(uri: str) -> bool:
    """Whether the UI that will show this reads our views. Where it does not say its version, it is taken to be that of the MLflow here."""
    from mlflow.version import VERSION

    scheme = urlsplit(uri).scheme
    if scheme.startswith("databricks"):
        return False
    said = _said_version(uri) if scheme in ("http", "https") else None
    numbers = re.match(r"(\d+)\.(\d+)", said or VERSION)
    return numbers is not None and views.FIRST <= (int(numbers[1]), int(numbers[2])) < views.BEYOND


def _said_version(uri: str) -> str | None:
    """The version of the server there; None where it does not say one."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(get_default_host_creds(uri), "/version", "GET", timeout=5)  # type: ignore[no-untyped-call]
    except Exception:
        return None
    return answer.text if answer.status_code == 200 and re.match(r"\d+\.\d+", answer.text) else None


@contextlib.contextmanager
def _unless_refused() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if getattr(error, "error_code", None) not in _LEFT_OUT:
            raise


# -- the study ----------------------------------------------------------------------------------------------------------


def introduce(place: Place, header: StudyHeader, run: Run) -> None:
    """What is known of the study from its beginning: how it searches, as params, and its data, as MLflow's input data set. Each once."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    params = {name: value for name, value in study_params(header).items() if name not in run.data.params}
    if params:
        with _unless_refused():
            place.client.log_batch(place.parent, params=[Param(*param) for param in params.items()])
    if not header.data_fingerprint or (run.inputs is not None and run.inputs.dataset_inputs):
        return
    is_file = any(mark in header.data_source for mark in "./\\")
    source = {"uri": header.data_source} if is_file else {"name": header.data_source}
    profile = {"samples": sum(header.data_sizes.values()), **header.data_sizes}
    dataset = Dataset(
        name=shortened(header.data_name or "data", 200),
        digest=header.data_fingerprint[:_LONGEST_DIGEST],
        source_type="local" if is_file else "automl",
        source=json.dumps(source),
        profile=json.dumps(profile),
    )
    with _unless_refused():
        place.client.log_inputs(place.parent, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def places(place: Place, header: StudyHeader, has_views: bool, has_page: bool) -> dict[str, str]:
    """Where the note of a study leads to, by name."""
    own = [] if header.comparison else [("Trials of this study", views.own_key(header.identity))]
    seen = {name: views.route(place.experiment, key) for name, key in (*own, *_PLACES)} if has_views else {}
    return {**({"Study page": place.link(place.parent, PAGE)} if has_page else {}), **seen}


def describe(place: Place, header: StudyHeader, summary: Summary, links: Links, ended: int, at: int) -> None:
    """The note, the tags and the last metrics of the study's run. ``ended``: how many trials have; ``at`` in milliseconds."""
    from mlflow.entities import Metric, RunTag

    tags = {
        "automl.state": summary.why,
        "automl.trials": str(ended),
        _VIEW: _IN_VIEW,
        _NOTE: notes.study_note(header, summary, links),
    }
    if summary.top:
        tags["automl.best_trial"] = str((summary.winner or summary.top[0]).number)
    metrics = [Metric(name, value, at, ended) for name, value in study_metrics(summary).items()]
    place.client.log_batch(place.parent, metrics=metrics, tags=[RunTag(key, value) for key, value in tags.items()])


# -- its trials ---------------------------------------------------------------------------------------------------------


def write_ranks(place: Place, summary: Summary, runs: Mapping[int, str]) -> None:
    """The best trials carry their rank, the winner its colour; who carried one before and no longer does loses it."""
    from mlflow.entities import RunTag

    ranks = {runs[trial.number]: str(rank) for rank, trial in enumerate(summary.top, start=1) if trial.number in runs}
    colours = {runs[trial.number]: trial_colour(trial) for trial in summary.top if trial.number in runs}
    written = {
        run.info.run_id: run.data.tags for run in place.search(f"tags.`mlflow.parentRunId` = '{place.parent}' and tags.`{_RANK}` != ''")
    }
    for run_id in written.keys() - ranks.keys():
        place.client.delete_tag(run_id, _RANK)
        if _VIEW in written[run_id]:
            place.client.delete_tag(run_id, _VIEW)
        if written[run_id].get(_COLOUR) == WINNER:
            place.client.set_tag(run_id, _COLOUR, COMPLETE)
    for run_id, rank in ranks.items():
        wanted = {_RANK: rank, _VIEW: _IN_VIEW, _COLOUR: WINNER if rank == "1" else colours[run_id]}
        changed = [RunTag(key, value) for key, value in wanted.items() if written.get(run_id, {}).get(key) != value]
        if changed:
            place.client.log_batch(run_id, tags=changed)


def describe_failures(place: Place, header: StudyHeader, should_stop: Callable[[], bool]) -> None:
    """Trials that ended in an error say so in a note, with their log. Each once; logs of the first fifty."""
    failed = [
        run
        for run in place.search(f"tags.`mlflow.parentRunId` = '{place.parent}' and attributes.status = 'FAILED'")
        if _NOTE not in run.data.tags
    ]
    for index, run in enumerate(failed):
        if should_stop():
            return
        log, link = Path(header.folder, "trials", run.data.tags.get("automl.trial", ""), "log.txt"), ""
        if index < _MOST_LOGS and log.is_file():
            with contextlib.suppress(OSError):
                place.client.log_artifact(run.info.run_id, str(log))
                link = place.link(run.info.run_id, log.name)
        place.client.set_tag(run.info.run_id, _NOTE, notes.trial_note(run.data.tags, link))


# -- artifacts ----------------------------------------------------------------------------------------------------------


def write_artifacts(
    place: Place, summary: Summary, artifacts: Mapping[str, Path], should_stop: Callable[[], bool]
) -> list[tuple[str, OSError]]:
    """``artifacts`` are files and folders by the name that they get in MLflow. Returns what could not be copied, and why."""
    failed: list[tuple[str, OSError]] = []
    place.client.log_dict(place.parent, _plain(summary), "summary.json")
    for name, file in _files(artifacts):
        if should_stop():
            return failed
        try:
            _write_artifact(place, name, file)
        except OSError as error:
            failed.append((str(name), error))
    if place.is_remote and not failed and _has_lost(place, artifacts):
        raise StrangeAnswerError("an artifact was taken and is not there")
    return failed


def _has_lost(place: Place, artifacts: Mapping[str, Path]) -> bool:
    """Whether some of what was just written is not there: what looks like an answer was not the server's. As far as it says."""
    try:
        return bool(missing_artifacts(place, artifacts))
    except Exception:
        return False


def missing_artifacts(place: Place, artifacts: Mapping[str, Path]) -> list[str]:
    """The files among them, by their names in MLflow, that it does not have; none where it does not say what it has."""
    missing = []
    with _unless_refused():
        known: dict[str, set[str]] = {}
        for name in [name for name, _ in _files(artifacts)]:
            folder = str(name.parent)
            if folder not in known:
                known[folder] = {file.path for file in place.client.list_artifacts(place.parent, None if folder == "." else folder)}
            if str(name) not in known[folder]:
                missing.append(str(name))
    return missing


def _files(artifacts: Mapping[str, Path]) -> Iterator[tuple[PurePosixPath, Path]]:
    """The single files of ``artifacts``, with their names in MLflow."""
    for name, path in artifacts.items():
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        yield from ((PurePosixPath(name, *file.relative_to(path).parts), file) for file in files)


def _write_artifact(place: Place, name: PurePosixPath, file: Path) -> None:
    folder = None if name.parent == PurePosixPath() else str(name.parent)
    with tempfile.TemporaryDirectory() as scratch:  # MLflow gives an artifact the name of the file
        named = file if file.name == name.name else Path(shutil.copyfile(file, Path(scratch, name.name)))
        place.client.log_artifact(place.parent, str(named), folder)


def _plain(summary: Summary) -> dict[str, Any]:
    plain = asdict(summary)
    for trial in (plain["baseline"], *plain["top"], *plain["failures"]):
        if trial:
            del trial["reports"], trial["replicates"]
    return plain
