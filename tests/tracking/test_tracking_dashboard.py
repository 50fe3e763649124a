"""``automl dashboard``: what it opens, and what it says where there is nothing to open. Its server is started for real."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from automl import mirroring
from automl.dashboard import HOME, Shown, can_open_windows, look_up
from automl.data import DataInfo
from automl.errors import StudyError, TrackingError, UsageError
from automl.mirroring import Receipt, read_receipt
from automl.tracking.server import check_prefix, serving
from automl.tracking.views import MODEL_TRAINING, STRATEGIES, TAG, own_key, route
from contracts.driving import Rehearsed

INFO = DataInfo("digits", "multiclass", (64,), 10, tuple("0123456789"), {"train": 80, "validation": 10, "test": 10}, fingerprint="f" * 64)


@pytest.fixture(scope="module")
def finished(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which somebody has run a study, with its MLflow beside it."""
    folder = tmp_path_factory.mktemp("finished")
    study = Rehearsed(folder / "studies" / "first", trials=3)
    study.folder.mkdir(parents=True)
    study.drive()
    (study.folder / "data").mkdir()
    (study.folder / "data" / "info.json").write_text(json.dumps(asdict(INFO)))
    shutil.copyfile(empty_store, folder / "mlflow.db")
    assert mirroring.sync(study.folder, f"sqlite:///{folder}/mlflow.db", None).is_level
    return folder


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working folder, since a test may break it."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    receipt = tmp_path / "studies" / "first" / mirroring.RECEIPT
    receipt.write_text(receipt.read_text().replace(str(finished), str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def receipt(folder: Path) -> Receipt:
    found = read_receipt(folder / "studies" / "first")
    assert found is not None
    return found


# -- what is opened -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("study", ["first", None])
def test_a_study_is_opened_in_its_view_where_it_was_tracked_last(here: Path, study: str | None) -> None:
    shown = look_up(study, None, {})
    assert shown == Shown(f"sqlite:///{here}/mlflow.db", route("1", own_key(receipt(here).study)), "first")
    assert not shown.is_served


def test_without_its_view_the_run_of_a_study_is_opened(here: Path) -> None:
    with closing(sqlite3.connect(here / "mlflow.db")) as connection, connection:
        connection.execute("delete from experiment_tags where key = ?", (TAG + own_key(receipt(here).study),))
    assert look_up("first", None, {}).route == f"#/experiments/1/runs/{receipt(here).run}?{MODEL_TRAINING}"


def test_a_study_of_a_comparison_is_opened_beside_the_others(here: Path) -> None:
    (here / "both").mkdir()
    (here / "both" / "comparison.json").write_text("{}")
    (here / "studies" / "first").rename(here / "both" / "first")
    for name in ("both/first", "./both"):
        shown = look_up(name, None, {})
        assert (shown.route, shown.study) == (route("1", STRATEGIES), Path(name).name)


def test_without_any_study_the_whole_store_is_opened(here: Path) -> None:
    shutil.rmtree(here / "studies")
    assert look_up(None, None, {}) == Shown(f"sqlite:///{here}/mlflow.db", HOME)


def test_a_study_that_is_on_its_way_is_found_as_soon_as_its_run_is_there(here: Path) -> None:
    told = receipt(here)
    mirroring._write_receipt(here / "studies" / "first", Receipt(told.study, told.store, told.experiment, run="", events=0, url=""))
    assert look_up("first", None, {}).route == route("1", own_key(told.study))


def test_at_a_server_only_the_link_is_said_and_nobody_is_asked(here: Path) -> None:
    told = receipt(here)
    at = "http://***@mlflow.example:5000/team"
    moved = Receipt(
        told.study, at, told.experiment, told.run, told.events, f"http://mlflow.example:5000/team/#/experiments/7/runs/{told.run}?x"
    )
    mirroring._write_receipt(here / "studies" / "first", moved)
    shown = look_up("first", "http://me:secret@mlflow.example:5000/team", {})
    assert shown.is_served
    assert shown.route == route("7", own_key(told.study))
    with pytest.raises(UsageError) as caught:
        look_up("first", None, {})
    assert str(caught.value) == (
        f"--mlflow: must be given, but is not: the study was tracked at {at}, and passwords are kept nowhere. "
        "Give the whole address, or set MLFLOW_TRACKING_URI."
    )


def test_a_server_that_is_not_there_cannot_be_asked(here: Path) -> None:
    with pytest.raises(TrackingError, match=r"^MLflow \(http://127\.0\.0\.1:9\): must answer, but does not: [\w ]+\. Try again\.$"):
        look_up("first", "http://127.0.0.1:9", {"NO_PROXY": "*"})


# -- what cannot be opened ----------------------------------------------------------------------------------------------


def test_a_study_that_is_not_there_is_said_with_the_nearest_name(here: Path) -> None:
    with pytest.raises(StudyError) as caught:
        look_up("frist", None, {})
    assert str(caught.value) == (
        "studies/frist: there must be a study here, but there is no study.db. Studies under studies: first. Did you mean 'first'?"
    )


def test_a_study_that_was_never_tracked_says_how_to(here: Path) -> None:
    (here / "studies" / "first" / mirroring.RECEIPT).unlink()
    with closing(sqlite3.connect(here / "mlflow.db")) as connection, connection:
        connection.execute("update runs set lifecycle_stage = 'deleted'")
    with pytest.raises(StudyError) as caught:
        look_up("first", None, {})
    assert str(caught.value) == (
        f"studies/first: must be in MLflow, but sqlite:///{here}/mlflow.db does not hold it. `automl sync first` writes it there."
    )


def test_a_store_that_is_gone_says_how_to_make_it_again(here: Path) -> None:
    (here / "mlflow.db").unlink()
    with pytest.raises(StudyError) as caught:
        look_up("first", None, {})
    assert str(caught.value) == (
        f"studies/first: its store of MLflow must be there, but {here}/mlflow.db is not. "
        "`automl sync first` writes the study to one again (--mlflow: to another)."
    )


def test_an_empty_folder_has_nothing_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrackingError) as caught:
        look_up(None, None, {})
    assert str(caught.value) == f"{tmp_path}/mlflow.db: there must be a store of MLflow here, but there is none. `automl run` makes one."


def test_off_is_no_store(here: Path) -> None:
    with pytest.raises(UsageError) as caught:
        look_up("first", "off", {})
    assert str(caught.value) == "--mlflow: must be a tracking store or server, but is 'off'. Give one, such as sqlite:///mlflow.db."


def test_a_store_of_another_kind_is_said(here: Path) -> None:
    (here / "mlflow.db").write_bytes(b"x" * 5_000)
    with pytest.raises(StudyError) as caught:
        look_up("first", None, {})
    assert str(caught.value) == (
        f"studies/first: its store of MLflow must be readable, but {here}/mlflow.db is not: file is not a database. Restore it from a copy."
    )


@pytest.mark.parametrize("prefix", ["mlflow", "/mlflow/", "/", "/a b", "/a?b"])
def test_a_prefix_begins_a_path(prefix: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_prefix(prefix)
    assert str(caught.value) == f"--path-prefix: must begin with '/' and not end with it, but is {prefix!r}. Give one, such as /mlflow."


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError) as caught, serving("sqlite:////nowhere/mlflow.db", port):
            pass
    assert (
        str(caught.value)
        == f"--port: must be free on 127.0.0.1, but {port} is not (address already in use). Give another, or leave it out."
    )


@pytest.mark.long
def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"x" * 5_000)
    with pytest.raises(TrackingError) as caught, serving(f"sqlite:///{tmp_path}/mlflow.db"):
        pass
    said = str(caught.value)
    assert re.match(
        rf"MLflow's server on sqlite:///{tmp_path}/mlflow\.db: must start, but ended with exit code \d+\. Its last words:\n", said
    )
    assert "file is not a database" in said


@pytest.mark.parametrize(
    ("environ", "platform", "can"),
    [({}, "linux", False), ({"DISPLAY": ":0"}, "linux", True), ({"BROWSER": "w"}, "linux", True), ({}, "darwin", True)],
)
def test_only_a_browser_that_is_a_window_is_opened(environ: dict[str, str], platform: str, can: bool) -> None:
    assert can_open_windows(environ, platform) == can


# -- the command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def started(here: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command at work, and the link that it printed."""
    command = [sys.executable, "-m", "automl", "dashboard", "first", "--path-prefix", "/in/front"]
    environ = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, cwd=here) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.terminate()  # also where the test has failed: it ends its server


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long), pytest.param(signal.SIGHUP, marks=pytest.mark.long)]
)
def test_it_serves_until_it_is_ended_and_leaves_no_process(
    started: tuple[subprocess.Popen[str], str], here: Path, number: signal.Signals
) -> None:
    process, link = started
    address, _, place = link.partition("#")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/in/front/", address)
    assert f"#{place}" == route("1", own_key(receipt(here).study))
    with urllib.request.urlopen(address, timeout=20) as answer:
        assert '<div id="root"' in answer.read().decode()
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    heard = {each.laddr.ip for child in children for each in child.net_connections("inet") if each.status == psutil.CONN_LISTEN}
    assert heard == {"127.0.0.1"}
    process.send_signal(number)
    assert process.wait(30) == 0
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
