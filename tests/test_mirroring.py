"""When MLflow counts as level with a study without being asked, and who may write to it."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from click.testing import CliRunner

from automl import data, launch, mirroring
from automl.cli import automl
from automl.errors import StudyError
from automl.plan import RunOptions, plan
from automl.store import Store, hold
from automl.tracking import Mirror, MirrorReport, Summary
from automl.tracking.client import connect
from automl.trials import Rested

SPACE = """\
name: small
data: iris
model: mlp
epochs: 1
space:
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
study: {strategy: random, pruner: none, trials: 1}
"""


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study, tracked in ``mlflow.db`` beside it."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "small.yaml").write_text(SPACE)
    options = RunOptions(
        space=str(folder / "small.yaml"), study=str(folder / "first"), engine="inline", mlflow=f"sqlite:///{folder}/mlflow.db"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(data, "prepare_apart", data.prepare)
        launch.run(plan(options))
    return folder


@pytest.fixture
def level(tracked: Path, tmp_path: Path) -> Path:
    """A copy of it, since a test may break it."""
    for name in ("first/study.db", "first/mlflow.json", "first/data/info.json", "mlflow.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((tracked / name).read_bytes())
    receipt = tmp_path / "first" / "mlflow.json"
    receipt.write_text(receipt.read_text().replace(str(tracked), str(tmp_path)))
    return tmp_path


def where(folder: Path, uri: str | None = None, experiment: str | None = None) -> str | None:
    with Store.read_only(folder / "first") as store:
        return mirroring.where_level(folder / "first", uri or f"sqlite:///{folder}/mlflow.db", experiment, store, store.study())


def test_a_finished_run_leaves_a_receipt_that_says_where_to_look(level: Path) -> None:
    assert where(level) == f"automl dashboard {level}/first"


def test_events_that_mlflow_has_not_seen_make_the_receipt_worthless(level: Path) -> None:
    with Store.open(level / "first") as store:
        store.append([Rested(1.0, "done", 0.0)])
    assert where(level) is None


def test_a_receipt_is_for_one_store_one_experiment_and_one_study(level: Path) -> None:
    assert where(level, uri=f"sqlite:///{level}/other.db") is None
    assert where(level, experiment="other") is None
    receipt = level / "first" / "mlflow.json"
    receipt.write_text(json.dumps({**json.loads(receipt.read_text()), "study": "other"}))
    assert where(level) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"run": 1}', "\0"])
def test_a_receipt_that_cannot_be_read_is_none(level: Path, text: str) -> None:
    (level / "first" / "mlflow.json").write_text(text)
    assert where(level) is None


@pytest.mark.parametrize("change", ["gone", "no database", "deleted", "empty"])
def test_a_store_that_has_lost_the_study_is_not_level(level: Path, change: str) -> None:
    path = level / "mlflow.db"
    match change:
        case "gone":
            path.unlink()
        case "no database":
            path.write_text("no database")
        case "empty":
            path.write_bytes(b"")
        case _:
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("update runs set lifecycle_stage = 'deleted'")
    assert where(level) is None


def test_the_receipt_holds_no_secret(level: Path) -> None:
    uri = "http://user:secret@example.org"
    report = MirrorReport("http://example.org/#/", True, (), 3, "run")
    header = SimpleNamespace(identity="x", experiment="small")
    mirror = cast("Mirror", SimpleNamespace(uri=uri, header=header, finish=lambda *arguments: report))
    with Store.read_only(level / "first") as store:
        mirroring.bring_level(mirror, level / "first", store.study(), "done", print)
    assert "secret" not in (level / "first" / "mlflow.json").read_text()


def test_sync_and_a_run_keep_each_other_out(level: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, uri = level / "first", f"sqlite:///{level}/mlflow.db"
    with hold(folder), pytest.raises(StudyError, match=f"^{re.escape(f'{folder}: another automl (process')}"):
        mirroring.sync(folder, uri, None)

    def finish(self: Mirror, summary: Summary, artifacts: Mapping[str, Path], timeout_seconds: float) -> MirrorReport:
        with pytest.raises(StudyError, match="is at work on this study"), hold(folder):
            pass
        return MirrorReport("", False, ())

    monkeypatch.setattr(Mirror, "finish", finish)
    assert not mirroring.sync(folder, uri, None).is_level
    with hold(folder):
        pass


# -- the command --------------------------------------------------------------------------------------------------------


def check(folder: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(automl, ["sync", str(folder / "first"), "--check", *options])
    return done.exit_code, done.output


def test_check_says_whether_mlflow_is_level_by_words_and_exit_code(level: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (level / "first" / "figures").mkdir()
    (level / "first" / "figures" / "new.svg").write_text("<svg/>")
    uri, other, where = f"sqlite:///{level}/mlflow.db", f"sqlite:///{level}/other.db", f"{level}/first"
    assert check(level) == (
        1,
        f"first: MLflow ({uri}) is not level with the study: 1 files are missing (figures/new.svg).\n"
        f"`automl sync {where}` brings it level.\n",
    )
    assert check(level, "--mlflow", other, "--experiment", "mine") == (
        1,
        f"first: MLflow ({other}) is not level with the study: it does not have the study.\n"
        f"`automl sync {where} --mlflow {other} --experiment mine` brings it level.\n",
    )
    (level / "first" / "figures" / "new.svg").unlink()
    assert check(level) == (0, f"first: MLflow ({uri}) is level with the study, with all of its 1 trials.\n")
    code, said = check(level, "--json")
    nothing = {"runs": [], "twins": [], "metrics": {}, "states": {}, "artifacts": [], "deleted_experiment": None}
    assert (code, json.loads(said)) == (0, {"study": "first", "is_level": True, "mlflow": uri, "has_study": True, "missing": nothing})


def test_check_of_an_experiment_that_was_deleted_says_how_it_is_restored(level: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = f"sqlite:///{level}/mlflow.db"
    with contextlib.closing(sqlite3.connect(level / "mlflow.db")) as connection:
        ((experiment,),) = connection.execute("select experiment_id from experiments where experiment_id > 0")
    connect(uri).delete_experiment(str(experiment))
    restore = f"MLFLOW_TRACKING_URI={uri} mlflow experiments restore -x {experiment}"
    assert check(level) == (
        1,
        f"first: MLflow ({uri}) is not level with the study: its experiment was deleted there.\n"
        f"Restore it with `{restore}`; then `automl sync {level}/first` brings it level.\n",
    )
    connect(uri).restore_experiment(str(experiment))
    assert check(level)[0] == 0
    connect(uri).delete_experiment(str(experiment))
    with contextlib.closing(sqlite3.connect(level / "mlflow.db")) as connection, connection:
        connection.execute("delete from tags")  # as where the study was never in it
    assert check(level)[1].startswith(f"first: MLflow ({uri}) is not level with the study: its experiment was deleted there.")


def test_the_command_that_mirrors_later_has_the_options_that_it_needs(level: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, uri = level / "first", f"sqlite:///{level}/mlflow.db"
    assert mirroring.sync_command(folder, uri, None) == f"automl sync {folder}"
    assert mirroring.sync_command(folder, uri, "mine") == f"automl sync {folder} --experiment mine"
    secret = "http://user:secret@example.org"
    assert mirroring.sync_command(folder, secret, None) == f"automl sync {folder} --mlflow 'http://***@example.org'"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", secret)
    assert mirroring.sync_command(folder, secret, None) == f"automl sync {folder}"
    assert mirroring.sync_command(folder, uri, None) == f"automl sync {folder} --mlflow {uri}"
