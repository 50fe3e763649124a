"""MLflow in trouble: a real server behind a proxy that misbehaves, and real locks on its database.

Whatever happens, the mirror ends with what an undisturbed one writes, once.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tracking.shown import content, runs
from tracking.stories import Said, header, numbered, study, summary, trial

from automl.tracking import Mirror, MirrorReport
from automl.tracking import client as client_module
from automl.tracking import mirror as mirror_module
from automl.tracking.client import connect
from automl.trials import Event
from contracts.faultyproxy import FaultyProxy, now_and_then, once

STATES = ["complete", "pruned", "failed"]


@pytest.fixture
def proxy(server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """Before a server that runs. Nothing is waited for longer than it must: pauses are none, and hanging is noticed soon."""
    server.start()
    monkeypatch.setattr(client_module, "_PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(client_module, "_SHORT", 0.5)
    monkeypatch.setattr(client_module, "_LONG", 2.0)
    monkeypatch.setattr(mirror_module, "_LONGEST_PAUSE", 0.05)
    proxy = FaultyProxy(server.port)
    proxy.start()
    yield proxy
    proxy.stop()


def files_of_a_study(folder: Path) -> Path:
    """One of them in a folder."""
    (folder / "best").mkdir()
    (folder / "best" / "config.yaml").write_text("a: 1")
    (folder / "study.yaml").write_text("name: digits")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return files_of_a_study(tmp_path)


def mirrored(uri: str, identity: str, folder: Path, events: list[Event] | None = None, seconds: float = 120) -> MirrorReport:
    """A mirror that brings MLflow level with a study that has ended."""
    told = numbered(events or study(identity, STATES))
    mirror = Mirror(uri, header(identity), flush_seconds=0.02, reread=lambda after: told[after:], say=lambda sentence: None)
    return mirror.finish(summary(trial(0)), {"best": folder / "best", "study.yaml": folder / "study.yaml"}, seconds)


def shown(uri: str, identity: str) -> dict[str, Any]:
    """All that MLflow shows of a study but for the names of the study and of its runs."""
    whole = content(uri, identity)
    own = ("automl.study", "automl.study_id", "mlflow.runName")
    tags = {name: {key: value for key, value in each[1].items() if key not in own} for name, each in whole.items()}
    return {name: (info[1:], tags[name], params, curves) for name, (info, _, params, curves) in whole.items()}


def artifacts(uri: str, identity: str) -> list[str]:
    client, parent = connect(uri), runs(uri, identity)["study"].info.run_id
    return sorted(file.path for where in (None, "best") for file in client.list_artifacts(parent, where) if not file.is_dir)


@pytest.fixture(scope="module")
def calm(server: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an undisturbed mirror makes of the study."""
    server.start()
    assert mirrored(server.uri, "calm", files_of_a_study(tmp_path_factory.mktemp("calm"))).is_level
    return shown(server.uri, "calm")


LONG_FAULTS = ("500", "503", "429", "cut", "close", "close after", "hang", "hang after")
WRITES = ("runs/create", "runs/log-batch", "runs/update")
READS = ("experiments/get-by-name", "experiments/create", "runs/search", "runs/create")  # that an empty answer is told from


@pytest.mark.parametrize(
    ("fault", "endings"),
    [
        ("500 after", ()),
        ("garbage", ()),
        ("hang after", WRITES),
        pytest.param("empty", READS, marks=pytest.mark.long),
        *(pytest.param(fault, (), marks=pytest.mark.long) for fault in LONG_FAULTS),
    ],
)
def test_a_fault_at_the_first_request_of_every_kind_loses_nothing_and_doubles_nothing(
    server: Any, proxy: FaultyProxy, calm: dict[str, Any], folder: Path, fault: str, endings: tuple[str, ...]
) -> None:
    """Also where the request was carried out and its answer is lost, so that it is made again."""
    identity = f"once-{fault.replace(' ', '-')}-{len(endings)}"
    proxy.behave(once(fault, *endings))
    report = mirrored(proxy.uri, identity, folder)
    assert (report.is_level, report.problems) == (True, ())
    proxy.behave()
    assert shown(server.uri, identity) == calm
    assert artifacts(server.uri, identity) == ["best/config.yaml", "study.yaml", "summary.json"]


@pytest.mark.parametrize(
    ("share", "fault"),
    [
        (0.3, "500 after"),
        *(pytest.param(share, fault, marks=pytest.mark.long) for share in (0.1, 0.4) for fault in ("503", "cut", "close after", "garbage")),
    ],
)
def test_a_server_that_fails_now_and_then_gets_everything_once(
    server: Any, proxy: FaultyProxy, calm: dict[str, Any], folder: Path, share: float, fault: str
) -> None:
    identity = f"share-{share}-{fault.replace(' ', '-')}"
    proxy.behave(now_and_then(share, fault))
    report = mirrored(proxy.uri, identity, folder)
    assert (report.is_level, report.problems) == (True, ())
    proxy.behave()
    assert shown(server.uri, identity) == calm
    assert artifacts(server.uri, identity) == ["best/config.yaml", "study.yaml", "summary.json"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        pytest.param("hang", "it does not answer in time", marks=pytest.mark.long),
        ("500", "it answers 500 (internal server error)"),
        ("429", "it answers 429 (too many requests)"),
        ("401", "it answers 401 (unauthorized)"),
        ("garbage", "what answers there is not MLflow's server"),
        ("close", "the connection broke off"),
        ("cut", "the connection broke off"),
    ],
)
def test_what_the_matter_is_is_said_once_with_the_command_that_mirrors_later(
    proxy: FaultyProxy, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str, why: str
) -> None:
    """While the study runs, once; and once more at its end, which does not wait for long."""
    monkeypatch.setattr(mirror_module, "_LAST_TRIES", 0.1)
    proxy.behave(fault)
    said, told = Said(), numbered(study("said", STATES))
    mirror = Mirror(proxy.uri, header("said"), flush_seconds=0.02, reread=lambda after: told[after:], say=said)
    said.wait(1)
    while mirror._failures < 3:
        mirror.follow([])
    assert said == [
        f"MLflow ({proxy.uri}) cannot be written to: {why}. The study goes on; what MLflow misses is written when it is back, or later by "
        "`automl sync study-said`."
    ]
    report = mirror.finish(summary(), {}, 3600)
    assert (report.is_level, report.problems) == (
        False,
        (f"MLflow ({proxy.uri}) is not level with the study: {why}. `automl sync study-said` does it.",),
    )
    assert len(said) == 1


# -- while a study runs -------------------------------------------------------------------------------------------------


def test_an_mlflow_that_comes_and_goes_is_told_of_once(proxy: FaultyProxy, server: Any) -> None:
    """The first time at once; after that only what lasts."""
    said, told = Said(), numbered(study("flapping", ["complete"] * 5))
    proxy.behave("close")
    mirror = Mirror(proxy.uri, header("flapping"), flush_seconds=0.02, reread=lambda after: told[after:10], say=said)
    said.wait(1)
    proxy.behave()
    said.wait(2)
    for until in range(20, len(told), 10):
        proxy.behave("close")
        mirror.follow(told[until - 10 : until])
        while not mirror._failures:
            said.wait(2)
        proxy.behave()
        while mirror._in_trouble_since is not None:
            said.wait(2)
    mirror.follow(told)
    assert mirror.finish(summary(trial(0)), {}, 120).is_level
    assert said == [
        f"MLflow ({proxy.uri}) cannot be written to: the connection broke off. The study goes on; what MLflow misses is written when it is "
        "back, or later by `automl sync study-flapping`.",
        "MLflow is back; what it missed is written.",
    ]


def test_memory_does_not_grow_while_mlflow_is_away(proxy: FaultyProxy, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_LONGEST_QUEUE", 30)
    told = numbered(study("bounded", ["complete"] * 40))
    said = Said()
    mirror = Mirror(proxy.uri, header("bounded"), flush_seconds=0.02, reread=lambda after: told[after:], say=said)
    mirror.follow(told[:13])
    while mirror._writer is None or not mirror._writer.is_open:
        said.wait(0)
    proxy.behave("close")
    for event in told[13:]:
        mirror.follow([event])
    said.wait(1)
    assert len(mirror._queue) <= 30
    assert mirror._writer.outstanding <= 40
    proxy.behave()
    assert mirror.finish(summary(trial(0)), {}, 120).is_level
    assert len(runs(server.uri, "bounded")) == 41


def test_a_server_that_has_lost_everything_gets_it_again(proxy: FaultyProxy, server: Any, calm: dict[str, Any]) -> None:
    """It was started anew with an empty store, as one in a container without a volume is."""
    said, told = Said(), numbered(study("lost", STATES))
    happened = told[:30]
    mirror = Mirror(proxy.uri, header("lost"), flush_seconds=0.02, reread=lambda after: happened[after:], say=said)
    while set(runs(server.uri, "lost")) != {"study", "0", "1", "2"}:
        said.wait(0)
    gone = [run.info.run_id for run in runs(server.uri, "lost").values()]
    with contextlib.closing(sqlite3.connect(server.folder / "mlflow.db", timeout=60)) as connection, connection:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            connection.execute(f"delete from {table} where run_uuid in ({','.join('?' * len(gone))})", gone)
    happened += told[30:]
    mirror.follow(told[30:])
    assert mirror.finish(summary(trial(0)), {}, 120).is_level
    found = runs(server.uri, "lost")
    assert {name: run.info.status for name, run in found.items()} == {"study": "FINISHED", "0": "FINISHED", "1": "KILLED", "2": "FAILED"}
    assert not {run.info.run_id for run in found.values()} & set(gone)


# -- locks --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Within, another connection has the database for itself."""
    with contextlib.closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        yield
        connection.execute("rollback")


def test_a_server_whose_database_is_locked_gets_everything_once_when_it_is_free(
    proxy: FaultyProxy, server: Any, calm: dict[str, Any], folder: Path
) -> None:
    """What was asked for while it was locked is carried out later, when nobody waits for the answer any more."""
    said, told = Said(), numbered(study("server-locked", STATES))
    with locked(server.folder / "mlflow.db"):
        mirror = Mirror(proxy.uri, header("server-locked"), flush_seconds=0.02, reread=lambda after: told[after:], say=said)
        said.wait(1)
    assert said[0].startswith(f"MLflow ({proxy.uri}) cannot be written to: it ")
    artifacts_of_it = {"best": folder / "best", "study.yaml": folder / "study.yaml"}
    assert mirror.finish(summary(trial(0)), artifacts_of_it, 120).is_level
    assert shown(server.uri, "server-locked") == calm


@pytest.mark.long
def test_a_store_that_is_locked_gets_everything_when_it_is_free(uri: str, database: Path, folder: Path) -> None:
    """MLflow itself waits twenty seconds for it."""
    said, told = Said(), numbered(study("locked", STATES))
    with locked(database):
        mirror = Mirror(uri, header("locked"), flush_seconds=0.02, reread=lambda after: told[after:], say=said)
        said.wait(1)
    assert said == [
        f"MLflow ({uri}) cannot be written to: another process has locked the database. The study goes on; what MLflow misses is written "
        "when it is back, or later by `automl sync study-locked`."
    ]
    assert mirror.finish(summary(trial(0)), {}, 120).is_level
    assert len(runs(uri, "locked")) == 4
