"""``automl status``: five lines, which fit a terminal of 80 columns, and what to do next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl.cli import main
from automl.store import Store, hold
from automl.trials import Rested, Resumed
from contracts.stored import stored_study


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return stored_study(Path("studies") / "first")


def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["automl", "status", "first"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    return capsys.readouterr().out.splitlines()


def test_a_study_that_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = lines(monkeypatch, capsys)
    assert said == [
        "first: done, 5 of 5 trials (2 complete, 1 diverged, 1 failed, 1 pruned)",
        "small (mlp) on digits: random, pruner none, seed 0",
        "best: trial 1, validation accuracy 0.9; gain 0.2 over the baseline's 0.7",
        "8s at work; pruning saved 2 of 13 epochs",
        "See what won: automl best first",
    ]
    assert max(map(len, said)) <= 80


@pytest.mark.parametrize(
    ("why", "first", "last"),
    [
        ("time", "first: out of time, 5 of 9 trials", "The same `automl run` with a larger --time goes on."),
        ("interrupted", "first: interrupted, 5 of 9 trials", "The same `automl run` goes on with it."),
    ],
)
def test_a_study_that_can_go_on(
    folder: Path, why: str, first: str, last: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(folder) as store:
        store.append([Resumed(10.0, 9), Rested(11.0, why, 1.0)])
    said = lines(monkeypatch, capsys)
    assert said[0].startswith(first)
    assert said[3].startswith("9s at work;")
    assert said[4] == last


def test_a_study_that_runs(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(folder) as held, Store.open(folder, held) as store:
        store.append([Resumed(10.0, 9)])
        said = lines(monkeypatch, capsys)
    assert said[0].startswith("first: running, 5 of 9 trials")
    assert said[4] == "Watch it: automl watch first"


def test_a_study_without_an_end_to_show(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    stored_study(Path("studies") / "first", trials=0)
    said = lines(monkeypatch, capsys)
    assert said[0] == "first: done, 0 of 0 trials (none yet)"
    assert said[2:] == [
        "No trial is complete, so there is no winner.",
        "8s at work; pruning saved 0 of 0 epochs",
        "See why: automl trials first --failed",
    ]


@pytest.mark.parametrize("command", ["status first", "trials first", "best first --json", "--help", "status --help"])
def test_an_answer_that_nobody_reads_to_its_end_is_no_failure(command: str, folder: Path) -> None:
    """``automl trials first | head`` in a shell that looks at the exit codes of all."""
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([sys.executable, "-m", "automl", *command.split()], stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(("command", "code"), [("status first", 0), ("status second", 2)])
def test_streams_that_are_closed_are_said_nothing(command: str, code: int, folder: Path) -> None:
    """And no file of the command takes their place."""
    shell = f"exec {sys.executable} -m automl {command} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", shell], check=False).returncode == code


@pytest.mark.usefixtures("folder")
def test_a_folder_of_studies_is_told_from_one_without_any(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stored_study(Path("studies") / "second")
    monkeypatch.setattr(sys, "argv", ["automl", "status", "./studies"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == "studies: must be a study, but is a folder that holds 2. Give one of them, such as studies/first.\n"
