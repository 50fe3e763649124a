"""``automl watch``: another process follows what a driver writes, and leaves it alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from automl import spacefile
from automl.cli import main
from automl.events import Finished, Reported, Started
from automl.mirroring import sync
from automl.store import Store, driver_of, hold, is_being_driven
from automl.trials import Created, Rested, Resumed, Suggested

SPACE = "name: small\ndata: digits\nmodel: mlp\nspace: {units: {type: int, low: 8, high: 64}}\nepochs: 1\n"


@contextmanager
def driven(folder: Path) -> Iterator[Store]:
    """A study with one trial that has ended and one that runs, in the hands of this process."""
    (folder.parent / "small.yaml").write_text(SPACE)
    spec = spacefile.load(folder.parent / "small.yaml")
    created = Created(0.0, "me", spacefile.to_dict(spec), "accuracy", True, "none", "0")
    with hold(folder) as held, Store.create(folder, created, held) as store:
        key = store.empty_study().key
        store.append([Resumed(time.time(), 3)])
        for number in range(2):
            store.append([Suggested(key(number), 0.0, {"units": 8 + number}, "strategy"), Started(key(number), 0.0, "cpu", "worker-0")])
        finish(store, 0)
        yield store


def finish(store: Store, number: int) -> None:
    key = store.empty_study().key(number)
    store.append([Reported(key, 0.0, 1, {"accuracy": 0.5 + number / 10}, 0.1), Finished(key, 0.0)])


def watching(folder: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "automl", "watch", str(folder)]
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_a_watcher_sees_what_ends_until_the_driver_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "first"
    with driven(folder) as store:
        watcher = watching(folder)
        assert watcher.stderr is not None
        assert watcher.stderr.readline() == "watching first: 1 of 3 trials have ended\n"
        finish(store, 1)
        assert watcher.stderr.readline() == "[2/3] trial 1 complete accuracy 0.6 at epoch 1 best so far (1 of 1 epochs, 0.1 s)\n"
        store.append([Rested(time.time(), "interrupted", 0.0)])
    out, err = watcher.communicate(timeout=60)
    assert (watcher.returncode, err) == (0, "")
    assert out.splitlines()[0] == "first: interrupted, 2 of 3 trials (2 complete)"


def test_who_stops_watching_leaves_the_study_running(tmp_path: Path) -> None:
    folder = tmp_path / "first"
    with driven(folder) as store:
        watcher = watching(folder)
        assert watcher.stderr is not None
        watcher.stderr.readline()
        watcher.send_signal(signal.SIGINT)
        out, err = watcher.communicate(timeout=60)
        assert (watcher.returncode, out, err) == (0, "", "No longer watching; first goes on.\n")
        assert is_being_driven(folder)
        finish(store, 1)  # and nothing of the watcher is in the way


def test_of_a_study_that_nobody_runs_it_shows_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with driven(tmp_path / "first"):
        pass
    monkeypatch.setattr(sys, "argv", ["automl", "watch", str(tmp_path / "first")])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 0
    assert said.err == "first: nobody runs it now, so there is nothing to watch. Where it stands:\n"
    assert said.out.splitlines()[0] == "first: interrupted, 1 of 3 trials (1 complete, 1 waiting)"


def test_a_study_that_is_brought_level_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``automl sync`` holds the study as a run does, but nothing trains."""
    folder = tmp_path / "first"
    with driven(folder):
        assert driver_of(folder) == os.getpid()
        monkeypatch.setattr(sys, "argv", ["automl", "status", str(folder), "--json"])
        with pytest.raises(SystemExit):
            main()
        assert json.loads(capsys.readouterr().out)["state"] == "running"
    with hold(folder, "sync"):
        assert driver_of(folder) is None
        with pytest.raises(SystemExit):
            main()
        assert json.loads(capsys.readouterr().out)["state"] == "interrupted"
        with pytest.raises(Exception, match=rf"another automl \(process {os.getpid()}\) is at work on this study"):
            sync(folder, "sqlite:///nowhere.db", None)
