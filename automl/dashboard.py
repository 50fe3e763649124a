"""Where a study is to be looked at in MLflow's UI: in which store it is, and under which link."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from automl import tracking
from automl.errors import StudyError, TrackingError
from automl.folders import COMPARISON, STUDIES, comparison_of, existing_study, study_folder
from automl.mirroring import Receipt, place_of, read_receipt
from automl.store import Store
from automl.tracking import views

HOME = f"#/experiments?{views.MODEL_TRAINING}"


@dataclass(frozen=True, slots=True)
class Shown:
    """What to open: a store, and a place in MLflow's UI after the address of a server. ``study``: its name, empty for the whole store."""

    uri: str
    route: str
    study: str = ""

    @property
    def is_served(self) -> bool:
        """Whether somebody's server shows the store already."""
        return urlsplit(self.uri).scheme not in ("sqlite", "postgresql", "mysql", "mssql")

    def link(self, address: str) -> str:
        """The link, at a server that answers at ``address``."""
        return f"{address.rstrip('/')}/{self.route}"


def look_up(study: str | None, flag: str | None, environ: Mapping[str, str]) -> Shown:
    """What to open for this study; None: the newest under ``studies/``, or the whole store where there is none.

    ``flag`` is ``--mlflow``; without it, and without ``MLFLOW_TRACKING_URI``, a study is looked for where it was tracked last.
    """
    folder = _existing(study) if study is not None else _newest()
    receipt = read_receipt(folder) if folder is not None else None
    uri = place_of(receipt, flag, environ)
    if folder is None:
        return _store(uri)
    found = _find(uri, folder, receipt)
    if found is None and study is None:
        return _store(uri)
    if found is None:
        raise StudyError(
            f"{folder}: must be in MLflow, but {tracking.redacted(uri)} does not hold it. `automl sync {folder.name}` writes it there."
        )
    return Shown(uri, found, folder.name if study is None else study_folder(study).name)


def _existing(name: str) -> Path:
    """The folder of the study; of a comparison that of its first study, since all of them are looked at together."""
    folder = study_folder(name)
    studies = sorted(file.parent for file in folder.glob("*/study.db")) if (folder / COMPARISON).is_file() else []
    return studies[0] if studies else existing_study(name)


def _newest() -> Path | None:
    """The study under ``studies/`` in which something happened last."""
    found = [(file.stat().st_mtime, file.parent) for name in ("study.db", "study.db-wal") for file in STUDIES.glob(f"*/{name}")]
    return max(found)[1] if found else None


def _store(uri: str) -> Shown:
    path = tracking.sqlite_path(uri)
    if path is not None and not path.is_file():
        raise TrackingError(f"{path}: there must be a store of MLflow here, but there is none. `automl run` makes one.")
    return Shown(uri, HOME)


def _find(uri: str, folder: Path, receipt: Receipt | None) -> str | None:
    """The route of the study in this store, None where it is not in it."""
    with Store.read_only(folder) as store:
        identity = store.created().identity
    view = views.main_key(identity, comparison_of(folder))
    path = tracking.sqlite_path(uri)
    if path is None:
        known = receipt if receipt is not None and receipt.store == tracking.redacted(uri) else None
        return _at_server(uri, identity, view, known)
    if not path.is_file():
        raise StudyError(
            f"{folder}: its store of MLflow must be there, but {path} is not. "
            f"`automl sync {folder.name}` writes the study to one again (--mlflow: to another)."
        )
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _in_sqlite(connection, identity, view)
    except sqlite3.Error as error:
        raise StudyError(f"{folder}: its store of MLflow must be readable, but {path} is not: {error}. Restore it from a copy.") from None


def _in_sqlite(connection: sqlite3.Connection, identity: str, view: str) -> str | None:
    """Without MLflow, whose import and opening would take seconds before its server even starts."""
    tagged = "select 1 from tags where tags.run_uuid = runs.run_uuid and tags.key = ? and tags.value = ?"
    query = f"select experiment_id, run_uuid from runs where lifecycle_stage = 'active' and exists ({tagged}) and exists ({tagged})"
    run = connection.execute(query, ("automl.study_id", identity, "automl.kind", "study")).fetchone()
    if run is None:
        return None
    has_view = connection.execute(
        "select 1 from experiment_tags where experiment_id = ? and key = ?", (run[0], views.TAG + view)
    ).fetchone()
    return _route(str(run[0]), run[1], view if has_view else "")


def _at_server(uri: str, identity: str, view: str, receipt: Receipt | None) -> str | None:
    """What is known of the study at this server; where nothing is, the server is asked."""
    known = re.search(r"#/experiments/(\w+)/runs/(\w+)", receipt.url) if receipt is not None else None
    if known is not None:
        return _route(known[1], known[2], view)
    return _asked(uri, identity, view)


def _asked(uri: str, identity: str, view: str) -> str | None:
    from automl.tracking.client import connect, forget_thread

    try:
        client = connect(uri)
        experiments = {found.experiment_id: found for found in client.search_experiments()}
        condition = f"tags.`automl.study_id` = '{identity}' and tags.`automl.kind` = 'study'"
        runs = client.search_runs(list(experiments), condition, max_results=1) if experiments else []
    except Exception as error:
        from automl.tracking.trouble import reason

        raise TrackingError(f"MLflow ({tracking.redacted(uri)}): must answer, but does not: {reason(error)}. Try again.") from None
    finally:
        forget_thread()
    if not runs:
        return None
    info = runs[0].info
    return _route(info.experiment_id, info.run_id, view if views.TAG + view in experiments[info.experiment_id].tags else "")


def _route(experiment: str, run: str, view: str) -> str:
    return views.route(experiment, view) if view else f"#/experiments/{experiment}/runs/{run}?{views.MODEL_TRAINING}"


def can_open_windows(environ: Mapping[str, str], platform: str) -> bool:
    """Whether a browser would be a window: on a machine without a screen it would be a program in this very terminal."""
    return platform in ("darwin", "win32") or any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
