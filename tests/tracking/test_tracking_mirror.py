"""The mirror's thread: it never blocks, never raises, and brings a real MLflow level whatever happens to it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tracking.stories import T0, Said, header, key, numbered, report, start, story, study, suggestion, summary, trial

from automl.events import Reported
from automl.tracking import Mirror
from automl.tracking import mirror as mirror_module
from automl.tracking.client import connect
from automl.trials import Resumed


def runs(uri: str, identity: str) -> dict[str, Any]:
    client = connect(uri)
    experiment = client.get_experiment_by_name("digits")
    if experiment is None:
        return {}
    found = client.search_runs([experiment.experiment_id], f"tags.`automl.study_id` = '{identity}'")
    named = {run.data.tags.get("automl.trial", "study"): run for run in found}
    assert len(named) == len(found), "a trial has two runs"
    return named


def test_a_study_is_followed_to_its_end(uri: str, database: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("name: digits")
    said = Said()
    mirror = Mirror(uri, header("m"), flush_seconds=0.02, say=said)
    events = numbered(study("m", ["complete", "pruned", "complete"]))
    for event in events:
        mirror.follow([event])
    done = mirror.finish(summary(trial(2), trial(0)), {"study.yaml": tmp_path / "study.yaml"}, 60)
    assert (done.is_level, done.problems, said) == (True, (), [])
    assert done.url == mirror.url == "automl dashboard /studies/digits-random"
    found = runs(uri, "m")
    assert {name: run.info.status for name, run in found.items()} == {"study": "FINISHED", "0": "FINISHED", "1": "KILLED", "2": "FINISHED"}


def test_a_curve_moves_while_its_trial_trains(uri: str) -> None:
    mirror = Mirror(uri, header("live"), flush_seconds=0.02)
    mirror.follow(numbered([Resumed(T0, 1), suggestion("live", 0), start("live", 0), report("live", 0, 1)]))
    until = time.monotonic() + 60
    while "accuracy" not in getattr(runs(uri, "live").get("0"), "data", run_without_data).metrics:
        assert time.monotonic() < until, "no point came"
    assert runs(uri, "live")["0"].info.status == "RUNNING"
    assert mirror.finish(summary(why="interrupted"), {}, 60).is_level
    assert runs(uri, "live")["0"].info.status == "KILLED"


def test_a_trial_that_has_ended_does_not_wait_for_those_under_way(uri: str) -> None:
    mirror = Mirror(uri, header("soon"), flush_seconds=3600)
    mirror.follow(numbered([Resumed(T0, 2), suggestion("soon", 0), start("soon", 0), report("soon", 0, 1), *story("soon", 1)]))
    until = time.monotonic() + 60
    while "objective" not in getattr(runs(uri, "soon").get("1"), "data", run_without_data).metrics:
        assert time.monotonic() < until, "the trial did not come"
        time.sleep(0.05)
    assert "accuracy" not in getattr(runs(uri, "soon").get("0"), "data", run_without_data).metrics
    assert mirror.finish(summary(why="interrupted"), {}, 60).is_level
    assert "accuracy" in runs(uri, "soon")["0"].data.metrics


class run_without_data:  # noqa: N801
    metrics: dict[str, float] = {}  # noqa: RUF012


def test_events_that_are_handed_over_twice_count_once(uri: str) -> None:
    events = numbered(study("overlap", ["complete", "complete"]))
    mirror = Mirror(uri, header("overlap"), flush_seconds=0.02, reread=lambda after: events[after:20])
    mirror.follow(events[:10])
    mirror.follow(events[5:])
    mirror.finish(summary(), {}, 60)
    again = Mirror(uri, header("overlap"), flush_seconds=0.02)
    again.follow(events)
    assert again.finish(summary(), {}, 60).is_level
    history = connect(uri).get_metric_history(runs(uri, "overlap")["study"].info.run_id, "best_objective")
    assert [metric.step for metric in history] == [0, 1]


def test_what_the_queue_cannot_hold_is_read_again(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_LONGEST_QUEUE", 5)
    monkeypatch.setattr(mirror_module, "_CHUNK", 7)
    events = numbered(study("queue", ["complete"] * 4))
    mirror = Mirror(uri, header("queue"), flush_seconds=0.02, reread=lambda after: events[after:])
    for event in events:
        mirror.follow([event])
    assert mirror.finish(summary(), {}, 60).is_level
    assert len(runs(uri, "queue")) == 5


def test_sync_brings_another_store_level(uri: str) -> None:
    mirror = Mirror(uri, header("sync"), reread=lambda after: numbered(study("sync", ["complete", "failed"]))[after:])
    done = mirror.finish(summary(trial(0)), {}, 60)
    assert done.is_level
    assert {name: run.info.status for name, run in runs(uri, "sync").items()} == {"study": "FINISHED", "0": "FINISHED", "1": "FAILED"}


def test_a_fresh_store_is_made_in_the_background(tmp_path: Path) -> None:
    folder = tmp_path / "a folder\nof two lines"
    folder.mkdir()
    uri = f"sqlite:///{folder}/new.db"
    mirror = Mirror(uri, replace(header("fresh"), folder="/my studies/x"), flush_seconds=0.02)
    mirror.follow(numbered(study("fresh", ["complete"])))
    (tmp_path / "x.txt").write_text("x")
    assert mirror.finish(summary(trial(0)), {"x.txt": tmp_path / "x.txt"}, 60).is_level
    assert mirror.url == "automl dashboard '/my studies/x'"
    assert [file.name for file in folder.glob("mlartifacts/*/artifacts/x.txt")] == ["x.txt"]


def test_an_end_that_comes_while_the_mirror_writes_is_not_slept_through(uri: str) -> None:
    begun, ended = threading.Event(), threading.Event()

    def reread(after: int) -> list[Any]:
        begun.set()
        ended.wait(60)
        return numbered(study("end", ["complete"]))

    mirror = Mirror(uri, header("end"), flush_seconds=3600, reread=reread)
    begun.wait(60)
    done: list[Any] = []
    finishing = threading.Thread(target=lambda: done.append(mirror.finish(summary(), {}, 60)))
    finishing.start()
    while mirror._ending is None:
        time.sleep(0)
    ended.set()
    finishing.join()
    assert done[0].is_level


def test_an_error_of_the_mirror_is_told_and_not_raised(uri: str) -> None:
    """The experiment was deleted in MLflow: nothing can be written, and the driver is not disturbed."""
    client = connect(uri)
    experiment = client.create_experiment("digits")
    client.delete_experiment(experiment)
    said = Said()
    mirror = Mirror(uri, header("deleted"), flush_seconds=0.02, say=said)
    said.wait(1)
    mirror.follow(numbered(study("deleted", ["complete"])))
    done = mirror.finish(summary(), {}, 60)
    assert not done.is_level
    assert said[0].startswith(f"MLflow ({uri}): the experiment 'digits' must be active, but it was deleted there. Restore it with ")
    assert done.problems[0] == (
        f"MLflow ({uri}) is not level with the study: the experiment 'digits' must be active, but it was deleted there. "
        f"Restore it with `MLFLOW_TRACKING_URI={uri} mlflow experiments restore -x {experiment}`, then `automl sync study-deleted`."
    )


# -- servers that are away ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def deaf_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://user:secret@127.0.0.1:{listener.getsockname()[1]}"


def test_finish_returns_in_time_when_the_server_hangs() -> None:
    with deaf_server() as address:
        mirror = Mirror(address, header("deaf"), flush_seconds=0.02)
        mirror.follow(numbered(story("deaf", 0)))
        began = time.monotonic()
        done = mirror.finish(summary(), {}, 0.3)
        assert time.monotonic() - began < 5
    shown = address.replace("user:secret", "***")
    assert not done.is_level
    assert done.problems == (f"MLflow ({shown}) is not level with the study: it did not answer in time. `automl sync study-deaf` does it.",)


def test_the_end_does_not_wait_long_for_a_server_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_PATIENCE", 0.1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = Mirror(address, header("down"), flush_seconds=0.02).finish(summary(), {}, 3600)
    assert done.problems == (f"MLflow ({address}) is not level with the study: connection refused. `automl sync study-down` does it.",)


def test_secrets_are_not_in_what_is_said() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = Said()
    mirror = Mirror(f"http://user:secret@127.0.0.1:{port}", header("away"), flush_seconds=0.02, say=said)
    said.wait(1)
    done = mirror.finish(summary(), {}, 1)
    assert "secret" not in f"{said} {done} {mirror.url}"
    assert said == [
        f"MLflow (http://***@127.0.0.1:{port}) cannot be written to: connection refused. The study goes on; what MLflow misses is written "
        "when it is back, or later by `automl sync study-away`."
    ]


def test_a_server_that_comes_late_goes_and_comes_back_gets_everything_once(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study begins while the server is down; it is killed in the middle, and misses events of all kinds."""
    server.stop()  # which other tests may have left running
    monkeypatch.setattr(mirror_module, "_WORTH_TELLING", 0.0)
    said = Said()
    mirror = Mirror(server.uri, header("server"), flush_seconds=0.05, say=said)
    begun = numbered(study("server", ["complete", "pruned", "complete", "failed"]))
    mirror.follow(begun[:20])
    said.wait(1)
    server.start()
    said.wait(2)
    until = time.monotonic() + 60
    while "1" not in runs(server.uri, "server"):
        assert time.monotonic() < until
    server.stop()
    for event in begun[20:40]:
        mirror.follow([event])
    said.wait(3)
    server.start()
    said.wait(4)
    mirror.follow(begun[40:])
    done = mirror.finish(summary(trial(2), trial(0)), {"events.txt": Path(__file__)}, 120)
    assert (done.is_level, done.problems) == (True, ())
    assert all(sentence.startswith(f"MLflow ({server.uri}) cannot be written to: ") for sentence in said[::2])
    assert said[1::2] == ["MLflow is back; what it missed is written."] * 2
    found = runs(server.uri, "server")
    assert {name: run.info.status for name, run in found.items()} == {
        "study": "FINISHED",
        "0": "FINISHED",
        "1": "KILLED",
        "2": "FINISHED",
        "3": "FAILED",
    }
    client = connect(server.uri)
    for number in "0123":
        history = client.get_metric_history(found[number].info.run_id, "accuracy")
        assert sorted(metric.step for metric in history) == list(range(1, 11))
    assert (
        done.url
        == f"{server.uri}/#/experiments/{found['0'].info.experiment_id}/runs/{found['study'].info.run_id}?workflowType=machine_learning"
    )
    names = [file.path for file in client.list_artifacts(found["study"].info.run_id)]
    assert sorted(names) == ["events.txt", "summary.json"]


# -- the process around it ----------------------------------------------------------------------------------------------

LEAVE = """
import os, sys
from tracking.stories import header, numbered, story, study, summary
from automl.tracking import Mirror
before = dict(os.environ)
mirror = Mirror(sys.argv[1], header("leave"), flush_seconds=0.02, say=lambda sentence: None)
mirror.follow(numbered(study("leave", ["complete", "complete"])))
if sys.argv[2] == "finish":
    print(mirror.finish(summary(), {}, 60).is_level)
    print(sorted(set(os.environ) - set(before)))
"""


def left(uri: str, how: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    return subprocess.run([sys.executable, "-c", LEAVE, uri, how], capture_output=True, text=True, env=environ, timeout=60, check=False)


def test_a_process_that_leaves_its_mirror_ends_at_once_and_says_nothing(uri: str) -> None:
    done = left(uri, "leave")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_fresh_store_is_made_without_a_word_and_nothing_leaks_into_the_environment(tmp_path: Path) -> None:
    done = left(f"sqlite:///{tmp_path}/mlflow.db", "finish")
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n['MLFLOW_DISABLE_TELEMETRY']\n", "")


def test_nothing_that_is_handed_over_raises(uri: str) -> None:
    mirror = Mirror(uri, header("odd"), flush_seconds=0.02)
    mirror.follow([])
    mirror.follow(numbered([report("odd", 7, 1), Reported(key("odd", 8), T0, 1, {}, 0.0)]))
    assert mirror.finish(summary(), {}, 60).is_level
    mirror.follow(numbered(story("odd", 0)))
    assert set(runs(uri, "odd")) == {"study"}
