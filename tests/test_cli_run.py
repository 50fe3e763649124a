"""The command line as a person meets it: real processes, real training, real signals, real mistakes."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from automl import cli, load_best

SPACE = """\
name: small
data: digits
model: mlp
epochs: {epochs}
space:
  units:         {{type: int, low: 8, high: 64, log: true, grid: 3}}
  learning_rate: {{type: float, low: 1e-3, high: 1e-1, log: true, grid: [1e-3, 1e-2, 1e-1]}}
baseline: {{units: 16, learning_rate: 0.001}}
study: {{strategy: random, pruner: none, trials: 4}}
"""


class Shell:
    """A folder of its own in which the command is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
        self.environment.pop("MLFLOW_TRACKING_URI", None)
        (folder / "small.yaml").write_text(SPACE.format(epochs=3))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "automl", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Its stdout and stderr, after a check of the exit code."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=240)
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err
        return out, err

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json")[0])


class Here(Shell):
    """The same command in this process, which has loaded its libraries already: for all that no process of its own decides."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(folder)
        self._monkeypatch, self._capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name in ("COLUMNS", "NO_COLOR"):
            monkeypatch.setenv(name, self.environment[name])

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        self._monkeypatch.setattr(sys, "argv", ["automl", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = self._capsys.readouterr()
        assert (end.value.code or 0) == code, f"exit code {end.value.code}\n{out}\n{err}"
        return out, err


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prepares_here: None) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


@dataclass(frozen=True)
class Whole:
    """A study that was run from its beginning to its end by one command: what that printed, and its trials."""

    out: str
    err: str
    trials: list[Any]


def run_whole(folder: Path, epochs: int, *options: str) -> Whole:
    shell = Shell(folder)
    (folder / "small.yaml").write_text(SPACE.format(epochs=epochs))
    return Whole(*shell.run("run", "small.yaml", "--mlflow", "off", *options), shell.json("trials", "small-random"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """All four trials of the space as it is, in one process."""
    return run_whole(tmp_path_factory.mktemp("whole"), 3, "--engine", "inline", "--lanes", "1")


@pytest.fixture(scope="module")
def whole_of_40_epochs(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return run_whole(tmp_path_factory.mktemp("whole_of_40_epochs"), 40, "--trials", "6", "--workers", "1", "--lanes", "1")


def plain(trials: list[Mapping[str, Any]]) -> list[Any]:
    """What of `trials --json` is no time and no place."""
    return [(t["number"], t["state"], t["parameters"], t["objective"], t["epochs"], t["metrics"]) for t in trials]


def test_a_run_leaves_a_finished_study_that_the_other_commands_can_tell_of(shell: Shell) -> None:
    outcome = shell.json("run", "small.yaml", "--mlflow", "off", "--workers", "2")
    assert (outcome["why"], outcome["study"], outcome["state"], outcome["counts"]) == ("done", "small-random", "done", {"complete": 4})
    status = shell.json("status", "small-random")
    assert set(status) == {"study", "state", "strategy", "pruner", "seed", "counts", "asked", "best", "baseline", "pruning"}
    assert (status["state"], status["asked"], status["strategy"], status["seed"]) == ("done", 4, "random", 0)
    trials = shell.json("trials", "small-random")
    fields = ["number", "state", "parameters", "objective", "metrics", "epochs", "seconds", "device", "started", "ended", "reason"]
    fields.append("trainings")
    assert [list(trial) for trial in trials] == [fields] * 4
    assert trials[0]["parameters"] == {"units": 16, "learning_rate": 0.001}
    best = shell.json("best", "small-random")
    assert set(best) == {"number", "parameters", "objective", "epoch", "test", "gain", "interval", "replicates", "confirmed", "folds"}
    assert best["objective"] == max(trial["objective"] for trial in trials)
    assert best["gain"] == pytest.approx(best["objective"] - trials[0]["objective"])
    assert 0.5 < best["test"]["accuracy"] <= 1
    left = {path.name for path in (shell.folder / "studies" / "small-random").iterdir()}
    assert {"study.db", "study.yaml", "best"} <= left
    _, words = shell.run("best", "small-random")
    assert f"Trial {best['number']} won after 4 trials." in words


def test_the_same_command_again_continues_to_the_same_total_and_a_larger_one_goes_on(here: Here, whole: Whole) -> None:
    command = ("run", "small.yaml", "--mlflow", "off", "--engine", "inline", "--lanes", "1")
    here.run(*command, "--trials", "2")
    two = here.json("trials", "small-random")
    here.run(*command, "--trials", "2")
    assert here.json("trials", "small-random") == two
    here.run(*command, "--trials", "4")
    four = here.json("trials", "small-random")
    assert four[:2] == two
    assert plain(whole.trials) == plain(four)


def test_a_killed_driver_continues_to_exactly_the_asked_number(shell: Shell) -> None:
    (shell.folder / "small.yaml").write_text(SPACE.format(epochs=8))
    command = ("run", "small.yaml", "--mlflow", "off", "--trials", "8", "--workers", "1", "--lanes", "1")
    shell.run(*command, "--study", "whole")
    for ended in (1, 3, 5):
        process = shell.start(*command)
        _wait_for_trials(shell, "small-random", ended, process)
        process.kill()
        process.communicate()
        status = shell.json("status", "small-random")
        assert (status["state"], status["counts"].get("running", 0)) == ("interrupted", 0)
        assert "running" not in {trial["state"] for trial in shell.json("trials", "small-random")}
    shell.run(*command)
    trials = shell.json("trials", "small-random")
    assert plain(trials) == plain(shell.json("trials", "whole"))
    assert len({json.dumps(trial["parameters"], sort_keys=True) for trial in trials}) == 8
    assert shell.json("status", "small-random")["counts"] == {"complete": 8}


def _wait_for_trials(shell: Shell, study: str, count: int, process: subprocess.Popen[str]) -> None:
    from automl.store import Store

    deadline = time.monotonic() + 60
    folder = shell.folder / "studies" / study
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / "study.db").exists():
            with Store.read_only(folder) as store:
                if store.study().ended >= count:
                    return
        time.sleep(0.02)
    raise AssertionError(f"{count} trials did not end in time: {process.poll()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_stops_within_moments_keeps_everything_and_says_how_to_continue(
    shell: Shell, whole_of_40_epochs: Whole, number: signal.Signals
) -> None:
    (shell.folder / "small.yaml").write_text(SPACE.format(epochs=40))
    command = ("run", "small.yaml", "--mlflow", "off", "--trials", "6", "--workers", "1", "--lanes", "1")
    process = shell.start(*command)
    _wait_for_trials(shell, "small-random", 1, process)
    os.killpg(process.pid, number)  # as a terminal does: the workers hear it too
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert " leads after " in out
    assert err.endswith(
        "Interrupted. Everything so far is kept; to continue:\n  automl run small.yaml --mlflow off --trials 6 --workers 1 --lanes 1\n"
    )
    assert "Traceback" not in err
    status = shell.json("status", "small-random")
    assert status["state"] == "interrupted"
    shell.run(*command)
    assert plain(shell.json("trials", "small-random")) == plain(whole_of_40_epochs.trials)


def test_own_configurations_are_trained_first_and_once(here: Here) -> None:
    (here.folder / "mine.yaml").write_text("- {units: 20, learning_rate: 0.02}\n- {units: 16, learning_rate: 0.001}\n")
    here.run("run", "small.yaml", "--mlflow", "off", "--engine", "inline", "--enqueue", "mine.yaml")
    trials = here.json("trials", "small-random")
    assert [trial["parameters"] for trial in trials[:2]] == [{"units": 16, "learning_rate": 0.001}, {"units": 20, "learning_rate": 0.02}]
    assert len(trials) == 4


def test_a_winning_baseline_is_trained_again_alone(here: Here) -> None:
    out, _ = here.run("run", "small.yaml", "--mlflow", "off", "--engine", "inline", "--trials", "1")
    (again,) = (line.partition(":  ")[2] for line in out.splitlines() if line.startswith("Train it again:"))
    here.run(*shlex.split(again)[1:], "--mlflow", "off", "--engine", "inline")
    assert [trial["parameters"] for trial in here.json("trials", "small-random-again")] == [{"units": 16, "learning_rate": 0.001}]


def test_a_baseline_that_leaves_out_what_is_searched_can_be_trained_again(here: Here) -> None:
    text = SPACE.format(epochs=1).replace("baseline: {units: 16, learning_rate: 0.001}", "baseline: {units: 16}")
    (here.folder / "small.yaml").write_text(text)
    here.run("run", "small.yaml", "--mlflow", "off", "--engine", "inline", "--trials", "1")
    text, said = here.run("best", "small-random")
    assert text == "units: 16\nlearning_rate: 0.001\n"
    assert said.startswith("Trial 0 won after 1 trial.")
    (here.folder / "best.yaml").write_text(text)
    here.run("run", "small.yaml", "--config", "best.yaml", "--mlflow", "off", "--engine", "inline")
    assert [trial["parameters"] for trial in here.json("trials", "small-best")] == [{"units": 16, "learning_rate": 0.001}]
    (here.folder / "best.yaml").write_text(text.replace("16", "17"))
    _, err = here.run("run", "small.yaml", "--config", "best.yaml", "--mlflow", "off", "--engine", "inline", code=2)
    assert err.splitlines()[-1] == (
        "studies/small-best holds a study of another configuration than best.yaml. Use --study NAME for a new one."
    )


def test_what_a_run_prints_about_its_winner_works_as_it_stands(here: Here) -> None:
    """Also for a study with blanks and a quote in its name: load it, train it again, list its trials."""
    study = "my 'first' study"
    out, _ = here.run("run", "small.yaml", "--mlflow", "off", "--engine", "inline", "--study", study)
    printed = {name: line for name, _, line in (line.partition(":  ") for line in out.splitlines())}
    winner = here.json("best", study)["parameters"]
    code = f"{printed['Use it'].strip()}; print(model.predict([[0.0] * 64]).shape)"
    assert subprocess.run([sys.executable, "-c", code], cwd=here.folder, capture_output=True, text=True).stdout == "(1,)\n"
    head = (here.folder / "studies" / study / "best" / "config.yaml").read_text().splitlines()[:3]
    assert [line.partition(":  ")[2].strip() for line in head[1:]] == [
        f"{printed['Use it'].strip()}; model.predict(rows)",
        printed["Train it again"].strip(),
    ]
    here.run(*shlex.split(printed["Train it again"])[1:], "--mlflow", "off", "--engine", "inline")
    assert winner in [trial["parameters"] for trial in here.json("trials", f"{study}-again")]
    here.run(*shlex.split(printed["All trials"])[1:])


def test_a_changed_space_is_refused_with_the_difference(here: Here) -> None:
    command = ("run", "small.yaml", "--mlflow", "off", "--engine", "inline", "--trials", "1")
    here.run(*command)
    text = SPACE.format(epochs=3).replace("high: 1e-1", "high: 1.0")
    (here.folder / "small.yaml").write_text(text)
    _, err = here.run(*command, code=2)
    assert err.splitlines()[-1] == (
        "studies/small-random holds a study of another space (learning_rate.high was 0.1, now 1.0). Use --study NAME for a new one."
    )


def test_a_dry_run_says_what_may_be_wrong_with_the_data(here: Here) -> None:
    rows = "".join(f"{number * 37 % 101},{'ab'[number % 2]},{number % 2}\n" for number in range(200))
    (here.folder / "leak.csv").write_text(f"size,code,y\n{rows}")
    asked = ("run", "small.yaml", "--data", "leak.csv", "--target", "y", "--dry-run")
    report = here.json(*asked)["data_report"]
    assert report["facts"] == [
        "128 for train, 32 for validation, 40 for test.",
        "Columns: 1 number, 1 category.",
        "Classes in training: 0 64 (50.0%), 1 64 (50.0%).",
    ]
    assert report["warnings"] == [
        "Leak? code tells the target alone, in rows that were not looked at to find out how. If it is not known before the target is, "
        "leave it out: --drop 'code'."
    ]
    said = " ".join(here.run(*asked)[0].split())
    assert f"warning: {report['warnings'][0]} data: 128 for train" in said


def test_a_dry_run_says_what_would_be_done_and_does_nothing(here: Here) -> None:
    record = here.json("run", "small.yaml", "--dry-run", "--trials", "7", "--time", "90s", "--trial-time", "5m")
    assert (record["trials"], record["time_seconds"], record["strategy"], record["continues"]) == (7, 90.0, "random", False)
    assert record["trial_seconds"] == 300.0
    assert record["study"] == "studies/small-random"
    assert not (here.folder / "studies").exists()


def test_a_table_without_a_space_gets_a_shipped_one(here: Here) -> None:
    rows = "\n".join(f"{x % 7},{x % 5},{'abc'[x % 3]},{3.0 * (x % 7) - (x % 5) + 0.1 * (x % 11)}" for x in range(200))
    (here.folder / "houses.csv").write_text(f"area,rooms,kind,price\n{rows}\n")
    command = (
        "run",
        "--data",
        "houses.csv",
        "--target",
        "price",
        "--trials",
        "2",
        "--epochs",
        "2",
        "--mlflow",
        "off",
        "--engine",
        "inline",
    )
    here.run(*command)
    record = here.json("best", "houses-bayesian")
    assert set(record["test"]) >= {"rmse", "mae", "r2"}


def test_sequences_without_a_space_get_a_shipped_one(here: Here) -> None:
    """By a .ts file, whose classes the model then knows from arrays."""
    lines = "\n".join(f"{','.join(str(x * (-1) ** n + n % 5) for x in range(3 + n % 4))}:{'ab'[n % 2]}" for n in range(60))
    (here.folder / "ramps.ts").write_text(f"@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n{lines}\n")
    here.run("run", "--data", "ramps.ts", "--trials", "2", "--epochs", "2", "--confirm", "0", "--mlflow", "off", "--engine", "inline")
    record = here.json("best", "ramps-bayesian")
    assert {"kernel_size", "pooling"} <= set(record["parameters"])
    assert record["folds"] is not None
    predicted = load_best(here.folder / "studies" / "ramps-bayesian").predict([[0, 1, 2], [0, -1, -2, -3]])
    assert set(predicted) <= {"a", "b"}


def test_forecasts_without_a_space_get_a_shipped_one(here: Here) -> None:
    rows = "\n".join(f"{day},{day % 7},{day * 0.5}" for day in range(200))
    (here.folder / "days.csv").write_text(f"day,a,b\n{rows}\n")
    command = ("run", "--data", "days.csv", "--target", "a,b", "--drop", "day", "--horizon", "3", "--window", "14")
    here.run(*command, "--trials", "2", "--epochs", "2", "--confirm", "0", "--mlflow", "off", "--engine", "inline")
    assert set(here.json("best", "days-bayesian")["test"]) >= {"rmse", "mae", "skill"}
    predicted = load_best(here.folder / "studies" / "days-bayesian").predict(pd.DataFrame({"a": range(14), "b": 90.0}))
    assert predicted.shape == (2, 3)
    assert abs(predicted[1] - 90).max() < 90


def test_texts_without_a_space_get_a_shipped_one_and_its_winner_reads_texts(here: Here) -> None:
    rows = "\n".join(
        f"{x},it was {a} and {b} number {x},{'pos' if a == 'good' else 'neg'}"
        for x, (a, b) in enumerate([("good", "warm"), ("bad", "cold")] * 60)
    )
    (here.folder / "films.csv").write_text(f"id,review,mood\n{rows}\n")
    asked = ("--data", "films.csv", "--text", "review", "--target", "mood", "--trials", "1", "--epochs", "20")
    here.run("run", *asked, "--mlflow", "off", "--engine", "inline")
    record = here.json("best", "films-bayesian")
    assert record["test"]["accuracy"] > 0.9
    model = load_best(here.folder / "studies" / "films-bayesian")
    assert model.predict(["It WAS good and warm number 200", "it was bad and cold number 201"]).tolist() == ["pos", "neg"]
    here.run("space", "new", "films.csv", "--text", "review", "--target", "mood", "-o", "films.yaml")
    assert "Texts of up to 7 words, two classes" in (here.folder / "films.yaml").read_text()
    here.run("space", "check", "films.yaml")


MISTAKES = [
    (("run",), "run: needs a search space or data, but neither was given. Try `automl run digits_mlp`, or --data FILE --target COLUMN."),
    (("run", "nothing.yaml"), "nothing.yaml: must be a search-space file, but there is no such file."),
    (("run", "digits_mpl"), "digits_mpl: there is no such file and no such shipped space. Shipped: {shipped}. Did you mean 'digits_mlp'?"),
    (("run", "small.yaml", "--trials", "0"), "--trials: must be a whole number of at least 1, but is 0."),
    (("run", "small.yaml", "--epochs", "-3"), "--epochs: must be a whole number of at least 1, but is -3."),
    (
        ("run", "small.yaml", "--strategy", "bayesain"),
        "--strategy: 'bayesain' is not a strategy. Strategies: grid, random, sobol, bayesian, gp, cmaes, evolution. "
        "Did you mean 'bayesian'?",
    ),
    (
        ("run", "small.yaml", "--enqueue", "none.yaml"),
        "--enqueue: must be a file with configurations, but none.yaml cannot be read (no such file or directory). Check the path.",
    ),
    (("status", "nothing"), "studies/nothing: there must be a study here, but there is no study.db. `automl run` makes one."),
    (("status", "./small.yaml"), "small.yaml: must be the folder of a study, but is a file. Give its folder."),
    (
        ("run", "small.yaml", "--mlflow", "databricks-uc", "--dry-run"),
        "--mlflow: must be a place for runs, but 'databricks-uc' is Unity Catalog, where MLflow keeps only models. "
        "Use databricks, or sqlite:///mlflow.db.",
    ),
    (("run", "small.yaml", "--dry-run", "--devices", "cuda:99"), "--devices: cuda:99 is not there. Devices: {devices}."),
    (("run", "small.yaml", "--dry-run", "--data", "gone.csv"), "gone.csv: must be a file, but is not there. Check the path."),
    (("runn",), f"automl: 'runn' is not a command. Commands: {', '.join(cli.COMMANDS)}. Did you mean 'run'?"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_mistakes_are_answered_with_a_sentence_and_start_nothing(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    from automl.engines.devices import read_machine
    from automl.folders import shipped_spaces

    out, err = shell.run(*arguments, code=2)
    assert out == ""
    known = ", ".join(device.name for device in read_machine().devices)
    assert err.splitlines()[-1] == message.format(shipped=", ".join(shipped_spaces()), devices=known)
    assert not (shell.folder / "studies").exists()


def test_data_that_do_not_fit_leave_no_study_behind(here: Here) -> None:
    (here.folder / "data.csv").write_text("area,rooms,price\n1,2,3\n4,5,6\n")
    _, err = here.run("run", "--data", "data.csv", "--target", "prise", "--mlflow", "off", code=2)
    assert err.splitlines()[-1] == "data.csv: column 'prise' is not there. Columns: area, rooms, price. Did you mean 'price'?"
    assert not (here.folder / "studies").exists()
    _, err = here.run("run", "small.yaml", "--data", "wine", "--mlflow", "off", "--engine", "inline", "--trials", "1", "--strategy", "grid")


def test_trials_in_lanes_have_the_numbers_that_they_have_alone(here: Here) -> None:
    """But for the last digits: sums of float32 are taken in another order."""
    command = ("run", "small.yaml", "--mlflow", "off", "--trials", "9", "--workers", "1")
    here.run(*command, "--lanes", "1", "--study", "alone")
    here.run(*command, "--lanes", "4", "--study", "lanes")
    alone, lanes = here.json("trials", "alone"), here.json("trials", "lanes")
    assert [trial["parameters"] for trial in lanes] == [trial["parameters"] for trial in alone]
    assert [trial["objective"] for trial in lanes] == pytest.approx([trial["objective"] for trial in alone], abs=0.02)
    assert [trial["metrics"]["loss"] for trial in lanes] == pytest.approx([trial["metrics"]["loss"] for trial in alone], rel=0.01)


def test_lanes_that_cannot_be_are_refused_before_anything_starts(here: Here) -> None:
    _, err = here.run("run", "small.yaml", "--lanes", "many", code=2)
    assert err == "--lanes: must be 'auto' or a whole number from 1 to 4096, but 'many' was given. Leave it out.\n"
    assert not (here.folder / "studies").exists()


def test_a_model_for_pictures_is_refused_for_a_table(here: Here) -> None:
    (here.folder / "small.yaml").write_text(SPACE.format(epochs=1).replace("model: mlp", "model: cnn").replace("units", "dense_units"))
    _, err = here.run("run", "small.yaml", "--data", "wine", "--mlflow", "off", code=2)
    said = "small.yaml: model cnn takes pictures, but the data are a table of 13 features. Use model: mlp or tabular_resnet."
    assert err.splitlines()[-1] == said
    assert not (here.folder / "studies").exists()


def test_without_a_terminal_there_is_a_line_for_every_trial_and_no_animation(whole: Whole) -> None:
    lines = [line for line in whole.err.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == ["[1/4", "[2/4", "[3/4", "[4/4"]
    assert "\x1b" not in whole.err


def test_help_is_there_for_every_command(here: Here) -> None:
    from automl.cli import COMMANDS

    for name in COMMANDS:
        out, _ = here.run(name, "--help")
        assert out.startswith(f"Usage: automl {name}") or out.startswith(f"Usage: python -m automl {name}")


def test_the_short_help_of_every_command_is_the_one_in_the_list() -> None:
    import click

    from automl.cli import COMMANDS, automl

    context = click.Context(automl)
    for name, (_, about) in COMMANDS.items():
        command = automl.get_command(context, name)
        assert command is not None
        assert about.endswith(".")


def test_a_run_goes_on_when_nobody_reads_its_progress(shell: Shell) -> None:
    with shell.start("run", "small.yaml", "--mlflow", "off", "--engine", "inline", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.close()
        outcome = json.loads(process.stdout.read())
    assert (process.returncode, outcome["counts"]) == (0, {"complete": 4})


def test_a_full_disk_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(**arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "studies/x/best")

    monkeypatch.setattr(cli.automl, "main", fail)
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = "studies/x/best: must be readable and writable, but no space left on device. The same command goes on after that.\n"
    assert (end.value.code, capsys.readouterr().err) == (1, said)
