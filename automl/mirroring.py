"""MLflow beside the runs of a study: its mirror is made, brought level, and remembered as level.

What MLflow holds is nobody's state: it is made from the events. ``mlflow.json`` in the study's folder is a receipt of the last time that
it was level, so that a command that changes nothing need not ask it. Without the receipt everything is compared anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from automl import data, tracking
from automl.best import FOLDER, command_again
from automl.errors import AutomlError, UsageError
from automl.folders import STUDIES, comparison_of
from automl.importances import importances
from automl.store import Store, hold, is_being_driven
from automl.study import Study
from automl.tracking import Level, Mirror, MirrorReport, StudyHeader, Summary
from automl.tracking.level import compared
from automl.trials import Event

RECEIPT = "mlflow.json"
_SECONDS = {"done": 120.0, "time": 120.0, "interrupted": 0.7, "failed": 30.0}  # for the end of the tracking
_LOCKED = 1.0  # seconds to wait for a store that another process has locked

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Receipt:
    """MLflow at ``store`` (without credentials) held the first ``events`` events of the study, the summary and the artifacts.

    ``run`` is the study's run there, ``url`` where a person looks. Of no events: the study is on its way there.
    """

    study: str
    store: str
    experiment: str
    run: str
    events: int
    url: str


def start_mirror(uri: str, experiment: str | None, folder: Path, store: Store, study: Study, say: Say) -> Mirror:
    """A mirror that follows the study in this folder; MLflow is opened in the background. From now on the study is to be found there."""
    _write_receipt(folder, Receipt(study.identity, tracking.redacted(uri), experiment or study.spec.name, run="", events=0, url=""))
    return Mirror(uri, study_header(folder, store, study, experiment, uri), reread=partial(read_events, folder), say=say)


def bring_level(mirror: Mirror, folder: Path, study: Study, why: str, say: Say) -> MirrorReport:
    """Let MLflow have everything, and say what it lacks. ``why`` the run ends decides how long that may take."""
    report = mirror.finish(summary_of(study, folder, why), study_artifacts(folder), _SECONDS[why])
    _keep_receipt(folder, mirror, report)
    for problem in report.problems:
        say(problem)
    return report


def sync(folder: Path, uri: str, experiment: str | None) -> MirrorReport:
    """Bring MLflow level with the study in this folder. Raises StudyError while a run is at work on it, which does so by itself.

    The study is held meanwhile: a run that began now would write to MLflow as well, and two writers make runs twice. In a folder
    where nothing can be written no run can begin, so there is nothing to hold.
    """
    with hold(folder, "sync") if os.access(folder, os.W_OK) else contextlib.nullcontext(), Store.read_only(folder) as store:
        study = store.study()
        header = study_header(folder, store, study, experiment or _experiment_of(folder, uri), uri)
        mirror = Mirror(uri, header, reread=partial(read_events, folder), say=lambda sentence: None)  # the report says it all
        report = mirror.finish(summary_of(study, folder, study.why_rested or "interrupted"), study_artifacts(folder), 3600.0)
        _keep_receipt(folder, mirror, report)
    return report


def check(folder: Path, uri: str, experiment: str | None) -> Level:
    """What MLflow lacks of the study in this folder, which may be being run. Changes nothing. Raises TrackingError where MLflow is away."""
    with Store.read_only(folder) as store:
        study = store.study()
        why = None if is_being_driven(folder) else study.why_rested or "interrupted"
        header = study_header(folder, store, study, experiment or _experiment_of(folder, uri), uri)
        return compared(uri, header, store.events(), why, {} if why is None else study_artifacts(folder))


def where_level(folder: Path, uri: str, experiment: str | None, store: Store, study: Study) -> str | None:
    """Where MLflow shows the study, if it holds all of its events; None where it does not, or where that cannot be said at once.

    A SQLite store is looked at; of a server it is believed that it has kept what it had.
    """
    receipt = read_receipt(folder)
    if receipt is None:
        return None
    name = experiment or study.spec.name
    is_same = (receipt.study, receipt.store, receipt.experiment) == (study.identity, tracking.redacted(uri), name)
    return receipt.url if is_same and receipt.events == store.length() and _is_there(uri, receipt.run) else None


def read_receipt(folder: Path) -> Receipt | None:
    """When MLflow was last level with the study in this folder; None where that is not known."""
    try:
        return Receipt(**json.loads((folder / RECEIPT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _is_there(uri: str, run: str) -> bool:
    path = tracking.sqlite_path(uri)
    if path is None:
        return True
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCKED)) as connection:
            return connection.execute("select 1 from runs where run_uuid = ? and lifecycle_stage = 'active'", [run]).fetchone() is not None
    except sqlite3.Error:
        return False


def _keep_receipt(folder: Path, mirror: Mirror, report: MirrorReport) -> None:
    if report.is_level:
        header = mirror.header
        store = tracking.redacted(mirror.uri)
        _write_receipt(folder, Receipt(header.identity, store, header.experiment, report.run, report.events, report.url))


def _write_receipt(folder: Path, receipt: Receipt) -> None:
    """Best effort: without a receipt the next run asks MLflow."""
    unfinished = folder / f".{RECEIPT}.unfinished"
    with contextlib.suppress(OSError):
        unfinished.write_text(json.dumps(asdict(receipt)), encoding="utf-8")
        unfinished.replace(folder / RECEIPT)


def place_of(receipt: Receipt | None, flag: str | None, environ: Mapping[str, str]) -> str:
    """The store of a study for what comes after its run: ``--mlflow``, else ``MLFLOW_TRACKING_URI``, else where it was tracked last.

    Where it was not, the default. Raises UsageError for ``off``, and where the address needs a password that is kept nowhere.
    """
    if receipt is not None and not flag and not environ.get("MLFLOW_TRACKING_URI", "").strip():
        if "***" not in receipt.store:
            return receipt.store
        raise UsageError(
            f"--mlflow: must be given, but is not: the study was tracked at {receipt.store}, and passwords are kept nowhere. "
            "Give the whole address, or set MLFLOW_TRACKING_URI."
        )
    uri = tracking.resolve_uri(flag, environ)
    if uri == tracking.OFF:
        raise UsageError("--mlflow: must be a tracking store or server, but is 'off'. Give one, such as sqlite:///mlflow.db.")
    return uri


def sync_command(folder: Path, uri: str, experiment: str | None) -> str:
    """The command that brings MLflow at ``uri`` level with the study in this folder, with no more options than it needs; no secrets."""
    receipt = read_receipt(folder)
    words = ["automl", "sync", folder.name if folder.parent == STUDIES else str(folder)]
    try:
        is_found = place_of(receipt, None, os.environ) == uri
    except AutomlError:
        is_found = False
    if not is_found:
        words += ["--mlflow", tracking.redacted(uri)]
    if experiment is not None and _experiment_of(folder, uri) != experiment:
        words += ["--experiment", experiment]
    return shlex.join(words)


def _experiment_of(folder: Path, uri: str) -> str | None:
    """The experiment in which the study was tracked last, if that was at ``uri``."""
    receipt = read_receipt(folder)
    return receipt.experiment if receipt is not None and receipt.store == tracking.redacted(uri) else None


def study_header(folder: Path, store: Store, study: Study, experiment: str | None, uri: str) -> StudyHeader:
    """What MLflow at ``uri`` is told of the study in this folder as a whole. ``experiment``: None for the space's name."""
    info = data.read_info(folder / "data")
    return StudyHeader.of(
        study,
        name=folder.name,
        folder=str(folder.absolute()),
        created=store.created().at,
        experiment=experiment,
        data_name=info.name,
        data_sizes=info.sizes,
        data_fingerprint=info.fingerprint,
        data_warnings=info.warnings,
        command=shlex.join(["automl", *sys.argv[1:]]),
        comparison=comparison_of(folder),
        sync_command=sync_command(folder, uri, experiment),
    )


def read_events(folder: Path, after: int = 0) -> Iterator[tuple[int, Event]]:
    """The events of the study in this folder after a position, with their positions, through a connection of the caller's own thread."""
    with Store.read_only(folder) as store:
        yield from store.events(after)


def summary_of(study: Study, folder: Path, why: str) -> Summary:
    """How the study stands when its driver leaves. After an interrupt what takes a while is left out: somebody waits."""
    again = command_again(study, folder) if study.best is not None and (folder / FOLDER).is_dir() else ""
    found = importances(study).parameters if why in ("done", "time") else ()
    return Summary.of(study, why, importances=tuple((each.name, each.share, each.is_clear) for each in found), again=again)


def study_artifacts(folder: Path) -> dict[str, Path]:
    """The files of a study that MLflow keeps with it."""
    return {name: folder / name for name in ("page.html", "space.yaml", "study.yaml", "best", "figures") if (folder / name).exists()}
