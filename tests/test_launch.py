"""The laws of a run as a whole: whose files it may touch, what it leaves behind, and how its time is counted."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from automl import driver, launch, spacefile, winner
from automl.data import read_info
from automl.driver import Follower, Session
from automl.engines import Engine
from automl.errors import AutomlError, DataError, StudyError
from automl.events import Finished
from automl.launch import Outcome
from automl.plan import Plan, RunOptions, plan
from automl.store import Store, hold
from automl.study import Study
from automl.tracking import Mirror, MirrorReport, Summary
from automl.trials import Event, Resumed, Suggested

pytestmark = pytest.mark.usefixtures("prepares_here")

SPACE = """\
name: small
data: iris
model: mlp
epochs: 2
space:
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
baseline: {learning_rate: 0.01}
study: {strategy: random, pruner: none, trials: 2}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPACE)
    return tmp_path


def run(study: str = "first", **options: object) -> Outcome:
    return launch.run(plan(RunOptions(space="small.yaml", study=study, engine="inline", mlflow="off", **options)))  # type: ignore[arg-type]


def test_a_run_that_cannot_begin_deletes_nothing_that_was_there_before(folder: Path) -> None:
    for name in ("data/mine.txt", "workers/mine.log"):
        (folder / "work" / name).parent.mkdir(parents=True)
        (folder / "work" / name).write_text("precious")
    with pytest.raises(DataError, match=re.escape("must be empty or hold prepared data, but has 'mine.txt'.")):
        run(study=str(folder / "work"))
    left = sorted(str(path.relative_to(folder / "work")) for path in (folder / "work").rglob("*"))
    assert left == ["data", "data/mine.txt", "workers", "workers/mine.log"]


def test_a_run_that_cannot_begin_leaves_no_study_behind(folder: Path) -> None:
    (folder / "one.csv").write_text("a,b\n1,1\n2,1\n")
    with pytest.raises(DataError):
        run(data="one.csv", target="b")
    assert not Path("studies").exists()
    with pytest.raises(DataError):
        run(study="new/deep/first", data="one.csv", target="b")
    assert not Path("new").exists()


def test_a_refused_command_leaves_the_data_of_the_study_as_they_are() -> None:
    run()
    before = read_info(Path("studies/first/data"))
    message = "studies/first holds a study of another space (data.source was iris, now wine). Use --study NAME for a new one."
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run(data="wine")
    assert read_info(Path("studies/first/data")) == before


def test_of_many_differences_the_first_few_are_told() -> None:
    run()
    added = "  units: 8\n  layers: 1\n  dropout: 0.1\n  l2: 0.1\n  l1: 0.1\n  momentum: 0.5\n"
    Path("small.yaml").write_text(SPACE.replace("baseline:", added + "baseline:"))
    message = (
        "studies/first holds a study of another space (units was not there, now fixed to 8; layers was not there, now fixed to 1; "
        "dropout was not there, now fixed to 0.1; l2 was not there, now fixed to 0.1; l1 was not there, now fixed to 0.1; and 1 more). "
        "Use --study NAME for a new one."
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run()


def test_a_second_run_leaves_before_it_touches_anything() -> None:
    Path("studies/first").mkdir(parents=True)
    with hold(Path("studies/first")), pytest.raises(StudyError, match="is at work on this study"):
        run()
    assert {path.name for path in Path("studies/first").iterdir()} == {"study.lock"}


def test_a_study_that_was_killed_at_its_birth_gets_its_files_later() -> None:
    run()
    texts = {}
    for name in ("study.yaml", "space.yaml"):
        path = Path("studies/first", name)
        texts[name] = path.read_text()
        path.unlink()
    run()
    assert {name: Path("studies/first", name).read_text() for name in texts} == texts


@pytest.mark.parametrize(
    ("written", "whole"),
    [
        ("../table/rows.csv", "table/rows.csv"),
        ("../table/ro*.csv", "table/ro*.csv"),
        ("../table/rows.py:build", "table/rows.py:build"),
        ("iris", "iris"),  # though there is a folder of that name
    ],
)
def test_the_file_of_a_study_is_read_from_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch, written: str, whole: str) -> None:
    (folder / "table").mkdir()
    rows = "".join(f"{number % 7},{number % 5},{'ab'[number % 3 > 1]}\n" for number in range(60))
    (folder / "table/rows.csv").write_text(f"a,b,c\n{rows}")
    code = "import torch\n\ndef build():\n    x = torch.arange(120.0).view(60, 2)\n"
    code += "    return torch.utils.data.TensorDataset(x, torch.arange(60) % 2)\n"
    (folder / "table/rows.py").write_text(code)
    (folder / "sub/iris").mkdir(parents=True)
    data = f"{{source: '{written}', target: c}}" if written.endswith(".csv") else f"'{written}'"
    (folder / "sub/own.yaml").write_text(SPACE.replace("data: iris", f"data: {data}"))
    monkeypatch.chdir(folder / "sub")

    def train(space: str, study: str) -> Outcome:
        return launch.run(plan(RunOptions(space=space, study=study, engine="inline", mlflow="off", trials=1, confirm="0")))

    first = train("own.yaml", "first")
    monkeypatch.chdir(folder)
    source = spacefile.load(Path("sub/studies/first/study.yaml")).data.source
    assert source == (whole if whole == "iris" else str(folder / whole))
    assert train("sub/studies/first/study.yaml", "again").data.fingerprint == first.data.fingerprint


def test_the_time_of_a_killed_run_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver at work from 1000 to 1500 that left no Rested behind has used up 500 seconds."""
    run(trials=1)
    with Store.open(Path("studies/first")) as store:
        study = store.study()
        used = study.active_seconds
        store.append([Resumed(1000.0, 2), Suggested(study.key(1), 1500.0, {"learning_rate": 0.02}, "strategy")])
    seen = []

    def drive(engine: object, sessions: list[Session], is_interrupted: object, most: object) -> str:
        seen.append(sessions[0].time_left)
        return "time"

    monkeypatch.setattr(launch, "drive", drive)
    run(trials=2, time="600s")
    assert seen == [pytest.approx(100.0 - used)]


def test_the_study_s_folder_must_be_one_that_can_be_written_to(folder: Path) -> None:
    (folder / "file").touch()
    message = (
        f"{folder}/file/x: must be a folder for the study, but {folder}/file is a file. Move it away, or use --study with another path."
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run(study=str(folder / "file/x"))


def test_a_study_that_fails_ends_its_mlflow_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    def drive(engine: object, sessions: list[Session], is_interrupted: object, most: object) -> str:
        raise AutomlError("The first 3 trials all failed")

    monkeypatch.setattr(launch, "drive", drive)
    with pytest.raises(AutomlError, match="The first 3 trials all failed"):
        launch.run(plan(RunOptions(space="small.yaml", study="first", engine="inline", mlflow="sqlite:///mlflow.db")))
    address = f"sqlite:///{Path.cwd()}/mlflow.db"  # absolute: MLflow keeps stores by their address
    client = MlflowClient(address, address)
    (study,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert (study.info.status, study.data.tags["automl.state"]) == ("FAILED", "failed")


def test_sigterm_while_the_data_are_prepared_ends_like_ctrl_c(folder: Path) -> None:
    """The preparation is replaced by one that sends the signal: it comes then and at no other moment."""
    script = (
        "import os, signal, sys; from automl import cli, data\n"
        "data.prepare_apart = lambda spec, folder: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.argv[1:] = 'run small.yaml --mlflow off --study first'.split(); cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (
        130,
        ["Interrupted. Everything so far is kept; to continue:", "  automl run small.yaml --mlflow off --study first"],
    )
    assert "Traceback" not in done.stderr
    assert not Path("studies/first").exists()


def test_an_interrupt_while_the_winner_is_tested_leaves_everything_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(winner, "_test", interrupted)
        interrupted = run()
    assert (interrupted.why, interrupted.study.why_rested) == ("interrupted", "interrupted")
    again = run()
    assert (again.why, again.study.ended) == ("done", 2)
    assert again.study.test is not None


def test_an_interrupt_while_mlflow_does_not_answer_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    finish, calls, said = Mirror.finish, [], []

    def interrupted_at_first(self: Mirror, summary: Summary, artifacts: Mapping[str, Path], timeout_seconds: float) -> MirrorReport:
        calls.append(timeout_seconds)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return finish(self, summary, artifacts, timeout_seconds)

    monkeypatch.setattr(Mirror, "finish", interrupted_at_first)
    with socket.socket() as nobody_answers:
        nobody_answers.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody_answers.getsockname()[1]}"
        outcome = launch.run(plan(RunOptions(space="small.yaml", study="first", engine="inline", mlflow=uri)), say=said.append)
    assert (outcome.why, calls) == ("interrupted", [120.0, 0.7])
    assert said[-1].startswith(f"MLflow ({uri}) is not level with the study: ")
    assert said[-1].endswith(". `automl sync first` does it.")


def test_everything_but_the_events_can_be_made_again() -> None:
    """Weights and ``best/`` are deleted; then also the test is undone, as if the run had been killed before it."""
    first = run().study
    weights = Path("studies/first/best/weights.pt").read_bytes()
    for is_test_undone in (False, True):
        if is_test_undone:
            with contextlib.closing(sqlite3.connect("studies/first/study.db")) as connection, connection:
                connection.execute("delete from events where kind = 'Tested'")
        for name in ("trials", "best", "data"):
            shutil.rmtree(Path("studies/first", name))
        again = run().study
        assert again.trials == first.trials
        assert again.test == first.test
        assert Path("studies/first/best/weights.pt").read_bytes() == weights


def test_a_finished_study_is_left_as_it_is_and_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(*arguments: object, **options: object) -> None:
        raise AssertionError("nothing must be started")

    said: list[str] = []
    options = RunOptions(space="small.yaml", study="first", engine="inline", mlflow="sqlite:///mlflow.db")
    first = launch.run(plan(options))
    before = Path("studies/first/study.db").read_bytes()
    monkeypatch.setattr(launch, "make_engine", unwanted)
    monkeypatch.setattr(launch.data, "prepare_apart", unwanted)
    monkeypatch.setattr(Mirror, "__init__", unwanted)
    again = launch.run(plan(options), say=said.append)
    assert said == ["studies/first has 2 of 2 trials and its winner; there is nothing left to do."]
    assert (again.why, again.study.trials, again.study.test, again.tracking) == (
        "done",
        first.study.trials,
        first.study.test,
        first.tracking,
    )
    assert Path("studies/first/study.db").read_bytes() == before
    assert launch.run(plan(replace(options, mlflow="off"))).tracking is None


def test_a_finished_study_whose_data_have_changed_is_refused() -> None:
    rows = [f"{x % 7},{'ab'[x % 2]}" for x in range(60)]
    Path("rows.csv").write_text("\n".join(["x,y", *rows]))
    run(data="rows.csv", target="y")
    Path("rows.csv").write_text("\n".join(["x,y", *rows, "3,a"]))
    message = "studies/first holds a study of another space (the content of rows.csv has changed). Use --study NAME for a new one."
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run(data="rows.csv", target="y")


def test_a_study_goes_on_with_the_same_data_at_another_place() -> None:
    """As on another machine, or from another folder; other data at that place are refused."""
    rows = [f"{x % 7},{'ab'[x % 2]}" for x in range(60)]
    Path("rows.csv").write_text("\n".join(["x,y", *rows]))
    run(data="rows.csv", target="y", trials=1)
    Path("moved").mkdir()
    moved = Path("rows.csv").rename("moved/rows.csv")
    assert run(data="moved/rows.csv", target="y", trials=2).study.ended == 2
    assert run(data=str(moved.absolute()), target="y", trials=3).study.ended == 3
    moved.write_text("\n".join(["x,y", *rows, "3,a"]))
    message = "studies/first holds a study of another space (data.source was rows.csv, now moved/rows.csv). Use --study NAME for a new one."
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run(data="moved/rows.csv", target="y")


def test_a_smaller_total_of_a_finished_study_is_noted_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.delattr(launch, "make_engine")
    again = run(trials=1)
    assert (again.why, again.study.asked, again.study.ended, again.study.why_rested) == ("done", 1, 2, "done")


def test_a_study_whose_time_is_over_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run(trials=1)
    monkeypatch.delattr(launch, "make_engine")
    again = run(trials=2, time="0.001s")
    assert (again.why, again.study.ended, again.study.why_rested) == ("time", 1, "time")


def test_no_more_workers_are_asked_for_than_there_are_trials_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, make_engine = [], launch.make_engine

    def counted(name: str, **options: object) -> Engine:
        asked.append(options["trainings"])
        return make_engine(name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(launch, "make_engine", counted)
    run(trials=2)
    run(trials=3)
    shutil.rmtree("studies/first/trials")
    shutil.rmtree("studies/first/best")
    run(trials=3)
    assert asked == [2, 1, 1]


def interrupt_at_the_end(study: Study, slots: object) -> Follower:
    def follow(events: Sequence[tuple[int, Event]]) -> None:
        if study.ended == study.asked and any(isinstance(event, Finished) for _, event in events):
            os.kill(os.getpid(), signal.SIGINT)

    return follow


def test_an_interrupt_in_the_very_last_trial_is_one() -> None:
    """Whoever presses Ctrl-C does not wait for the test of the winner; the same command does it later."""
    outcome = launch.run(plan(RunOptions(space="small.yaml", study="first", engine="inline", mlflow="off")), interrupt_at_the_end)
    assert (outcome.why, outcome.study.ended, outcome.study.test) == ("interrupted", 2, None)
    with Store.read_only(Path("studies/first")) as store:
        assert store.study().why_rested == "interrupted"
    again = run()
    assert (again.why, again.study.why_rested, again.study.ended) == ("done", "done", 2)
    assert again.study.test is not None


def test_an_interrupt_that_the_loop_did_not_see_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def drive(engine: Engine, sessions: list[Session], is_interrupted: object, most: object) -> str:
        why = driver.drive(engine, sessions)
        os.kill(os.getpid(), signal.SIGINT)
        return why

    with monkeypatch.context() as patched:
        patched.setattr(launch, "drive", drive)
        outcome = run()
    assert (outcome.why, outcome.study.why_rested, outcome.study.test) == ("interrupted", "interrupted", None)
    assert run().why == "done"


def test_trials_of_several_replicates_are_trained_tested_and_continued() -> None:
    """Real training: each replicate has seeds of its own, and the first one's weights are those of the winner."""
    planned = plan(RunOptions(space="small.yaml", study="first", engine="inline", mlflow="off"))
    planned = replace(planned, spec=replace(planned.spec, replicates=2))
    outcome = launch.run(planned)
    assert (outcome.why, outcome.study.counts) == ("done", {"waiting": 0, "running": 0, "complete": 2})
    for trial in outcome.study.trials:
        first, second = trial.replicates
        assert [report.epoch for report in first.reports] == [report.epoch for report in second.reports] == [1, 2]
        assert first.metrics["loss"] != second.metrics["loss"]
        assert trial.metrics["loss"] == pytest.approx((first.metrics["loss"] + second.metrics["loss"]) / 2)
    assert outcome.study.test is not None
    assert sorted(path.name for path in Path("studies/first/trials").glob("*/*")) == ["weights.pt"] * 2
    assert run_again(planned, 3).study.trials[:2] == outcome.study.trials
    message = (
        "studies/first holds a study of another space (replicates was 2, now 1). --replicates 2 goes on with it; "
        "use --study NAME for a new one."
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run()


def run_again(planned: Plan, trials: int) -> Outcome:
    settings = replace(planned.spec.settings, trials=trials)
    return launch.run(replace(planned, spec=replace(planned.spec, settings=settings)))


def test_folds_are_trained_on_parts_of_their_own_and_the_first_is_kept_with_its_preprocessing() -> None:
    """Real training, with as many lanes as there are trainings, and with one: the same numbers."""
    outcome = run(folds=3, replicates=2, trials=3)
    assert (outcome.why, outcome.data.folds, outcome.study.replicates) == ("done", 3, 6)
    for trial in outcome.study.trials:
        assert trial.objective == pytest.approx(sum(one.objective or 0.0 for one in trial.replicates) / 6)
    assert outcome.study.test is not None
    kept, prepared = Path("studies/first/best/preprocessing.skops"), Path("studies/first/data")
    assert kept.read_bytes() == (prepared / "preprocessing.skops").read_bytes() != (prepared / "fold_1/preprocessing.skops").read_bytes()
    lanes = run("lanes", folds=3, replicates=2, trials=3, lanes="6")
    assert [trial.objective for trial in lanes.study.trials] == pytest.approx([trial.objective for trial in outcome.study.trials])


def test_the_trainings_of_a_study_cannot_change_on_the_way() -> None:
    run()
    message = (
        "studies/first holds a study of another space (replicates was 1, now 2; data.validation.folds was not there, now 3). "
        "Use --study NAME for a new one."
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run(folds=3, replicates=2)
