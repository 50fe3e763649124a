"""``automl trials``: which trials, in which order, and one of them whole."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from automl.cli import main
from automl.errors import UsageError
from automl.reading import read_study
from automl.selection import selected
from contracts.stored import stored_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored_study(tmp_path_factory.mktemp("studies") / "first")


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"reverse": True}, [4, 3, 2, 1, 0]),
        ({"sort": "objective"}, [1, 0, 2, 3, 4]),
        ({"sort": "objective", "reverse": True}, [3, 2, 0, 1, 4]),
        ({"top": 2}, [1, 0]),
        ({"top": 2, "sort": "number"}, [0, 1]),
        ({"sort": "learning_rate"}, [2, 0, 1, 3, 4]),
        ({"sort": "momentum"}, [4, 1, 0, 2, 3]),
        ({"sort": "optimizer"}, [0, 2, 3, 1, 4]),
        ({"sort": "loss", "top": 1}, [1]),
        ({"states": ("complete", "diverged")}, [0, 1, 4]),
        ({"failed": True}, [3, 4]),
        ({"where": "learning_rate < 0.01"}, [0, 2]),
        ({"where": "momentum > 0.6 or epochs == 2"}, [1, 2]),
        ({"where": "state == 'pruned'"}, [2]),
        ({"where": "accuracy > 0.6", "sort": "seconds", "reverse": True}, [1, 0]),
        ({"where": "objective > 2"}, []),
    ],
)
def test_trials_are_chosen_and_ordered(folder: Path, asked: dict[str, Any], numbers: list[int]) -> None:
    """What a trial does not have says nothing: it is in no rule, and comes last in any order."""
    assert [trial.number for trial in selected(read_study(str(folder)).study, **asked)] == numbers


KNOWN = "number, objective, epochs, seconds, started, ended, units, optimizer, learning_rate, momentum, accuracy, loss"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"sort": "obective"}, f"--sort: must be one of {KNOWN}, but is 'obective'. Did you mean 'objective'?"),
        ({"where": "lr < 1"}, f"--where: must speak of state, {KNOWN}, but 'lr' is none of them."),
        (
            {"where": "optimizer == sgd"},
            f"--where: must speak of state, {KNOWN}, but 'sgd' is none of them. A text stands in quotes: \"... == 'sgd'\".",
        ),
        (
            {"where": "learning_rate > 'a'"},
            "--where: 'learning_rate' is a number, but is compared with the text 'a'. Compare it with a number.",
        ),
        ({"where": "state == 3"}, "--where: 'state' is a text, but is compared with the number 3. Compare it with a text in quotes."),
        ({"where": "units = 8"}, "--where: 'units = 8' is not an expression such as 'layers >= 2'; values are compared with ==."),
    ],
)
def test_what_cannot_be_asked_is_answered_with_what_can(folder: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        selected(read_study(str(folder)).study, **asked)
    assert str(caught.value) == message


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    for name, value in {"COLUMNS": "80", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["automl", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == code, said.err
    return said.out, said.err


@pytest.mark.parametrize(("sort", "columns"), [("loss", 1), ("accuracy", 0), ("units", 0), ("seconds", 0)])
def test_what_trials_are_sorted_by_is_in_the_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sort: str, columns: int
) -> None:
    before = run(monkeypatch, capsys, "trials", str(folder))[0].splitlines()[0].split()
    after = run(monkeypatch, capsys, "trials", str(folder), "--sort", sort)[0].splitlines()[0].split()
    assert after.count(sort) == 1
    assert len(after) == len(before) + columns


def test_one_trial_is_shown_whole(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(monkeypatch, capsys, "trials", str(folder), "1")
    lines = out.splitlines()
    assert lines[0] == "Trial 1 of first: complete, accuracy 0.9 at epoch 4; 4 of 4 epochs, 4.0 s on cpu"
    assert lines[1] == "Number 1 of 2 complete trials."
    assert "  momentum       0.9" in lines
    assert "At its best epoch: loss 0.1" in lines
    plot = lines[lines.index("accuracy by epoch") + 1 :]
    assert (plot[0][:5], plot[11][:5]) == ("0.9 ┤", "0.6 ┤")
    assert plot[13].split() == ["1", "epoch", "4"]
    assert max(map(len, lines[: lines.index("Run it again:")])) <= 80


def test_of_a_trial_that_failed_the_end_of_its_log_is_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(monkeypatch, capsys, "trials", str(folder), "3")
    lines = out.splitlines()
    assert lines[:2] == ["Trial 3 of first: failed, accuracy 0.1 at epoch 1; 1 of 4 epochs, 2.0 s on cpu", "Why: ValueError: a bug"]
    place = lines.index(f"Log ({folder / 'trials' / '3' / 'log.txt'}), the last 15 of 21 lines:")
    assert lines[place + 1 : place + 16] == [*(f"  line {number}" for number in range(6, 20)), "  ValueError: a bug"]


def test_under_the_failed_ones_stands_how_one_of_them_is_shown_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(monkeypatch, capsys, "trials", str(folder), "--failed")
    *_, empty, sentence, command = out.splitlines()
    assert (empty, sentence, command) == ("", "One of them whole, with the end of its log:", f"  automl trials {folder} 3")
    assert run(monkeypatch, capsys, *shlex.split(command)[1:])[0].startswith("Trial 3 of first: failed")
    assert "One of them whole" not in run(monkeypatch, capsys, "trials", str(folder))[0]
    assert len(json.loads(run(monkeypatch, capsys, "trials", str(folder), "--failed", "--json")[0])) == 2


def test_what_it_says_about_running_it_again_can_be_typed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    out, _ = run(monkeypatch, capsys, "trials", str(folder), "1")
    write, train = out.splitlines()[-2:]
    words = shlex.split(write)
    text, _ = run(monkeypatch, capsys, *words[1 : words.index(">")])
    assert text == "schedule: cosine\nunits: 32\noptimizer: sgd\nlearning_rate: 0.01\nmomentum: 0.9\n"
    Path(words[-1]).write_text(text)
    record = json.loads(run(monkeypatch, capsys, *shlex.split(train)[1:], "--dry-run", "--mlflow", "off", "--json")[0])
    assert (record["study"], record["trials"], record["enqueued"]) == ("studies/small-first-1", 1, 1)


def test_one_trial_as_json_has_its_curve(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(run(monkeypatch, capsys, "trials", str(folder), "2", "--json")[0])
    assert record["curve"] == [{"epoch": 1, "value": 0.3, "seconds": 1.5}, {"epoch": 2, "value": 0.2, "seconds": 1.5}]
    assert (record["number"], record["state"], record["log"]) == (2, "pruned", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("99",), "first: must be given the number of a trial that it has, but 99 was given; it has trials 0 to 4."),
        (
            ("1", "--top", "3"),
            "automl trials: must be given a number or ways to choose among trials, but both were given. Leave one out.",
        ),
        (("--yaml",), "--yaml: must be given with the number of a trial, but there is none. Try `automl trials STUDY 17 --yaml`."),
    ],
)
def test_mistakes_about_one_trial_are_answered(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert run(monkeypatch, capsys, "trials", str(folder), *arguments, code=2) == ("", f"{message}\n")
