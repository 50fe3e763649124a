"""The library: the examples of its page and of its docstrings, a script and a thread that run a study, and what a notebook shows."""

from __future__ import annotations

import doctest
import html
import os
import re
import subprocess
import sys
import threading
from dataclasses import fields
from inspect import signature
from pathlib import Path

import click
import pytest

import automl
import automl.cli.run
from automl import library, load_space, load_study, run
from automl.errors import SpaceError, StudyError, UsageError
from automl.plan import RunOptions
from contracts.stored import stored_study

pytestmark = pytest.mark.usefixtures("prepares_here")

PAGE = Path(__file__).parent.parent / "docs" / "library.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's examples were run."""
    return tmp_path_factory.mktemp("library")


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_the_page_shows_what_happens() -> None:
    text = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    parsed = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(parsed.examples) > 15
    said: list[str] = []
    results = doctest.DocTestRunner(optionflags=FLAGS & ~doctest.IGNORE_EXCEPTION_DETAIL).run(parsed, out=said.append)
    assert results.failed == 0, "".join(said)


@pytest.mark.parametrize("name", [name for name in automl.__all__ if name not in ("__version__", "load_best")])
def test_every_public_name_has_an_example_that_is_true(name: str) -> None:
    if not Path("studies/digits_mlp-bayesian").exists():
        run("digits_mlp", trials=3, epochs=2, engine="inline", mlflow="off", progress=False)
    (found,) = (test for test in doctest.DocTestFinder(recurse=False).find(getattr(automl, name), name))
    assert found.examples
    said: list[str] = []
    assert doctest.DocTestRunner(optionflags=FLAGS).run(found, out=said.append).failed == 0, "".join(said)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored_study(tmp_path_factory.mktemp("studies") / "<first>")


def test_trials_are_a_frame_with_parameters_metrics_and_times(folder: Path) -> None:
    frame = load_study(folder).trials
    assert list(frame.columns) == [
        *("state", "objective", "epoch", "units", "optimizer", "learning_rate", "momentum"),
        *("accuracy", "loss", "epochs", "seconds", "device", "started", "ended", "reason"),
    ]
    assert list(frame.index) == [0, 1, 2, 3, 4]
    assert list(frame.state) == ["complete", "complete", "pruned", "failed", "diverged"]
    assert frame.momentum.isna().tolist() == [True, False, True, True, False]
    assert frame.objective.idxmax() == 1
    assert str(frame.started.dtype).startswith("datetime64[")
    assert (frame.ended.dropna() >= frame.started[frame.ended.notna()]).all()
    assert load_study(folder).reports.groupby("trial").size().to_dict() == {0: 4, 1: 4, 2: 2, 3: 1}


def test_a_notebook_shows_tables_and_figures_that_need_no_network_and_nothing_of_a_name_is_markup(folder: Path) -> None:
    shown = load_study(folder)._repr_html_()
    assert "<b>&lt;first&gt;</b>: done, 5 of 5 trials" in shown
    assert "<first>" not in shown
    assert shown.count("<tr") == 2 + 5
    page = re.sub(r"<script>.*?</script>", "", html.unescape(re.findall(r'srcdoc="([^"]*)"', shown)[0]), flags=re.DOTALL)
    assert "best-by-trials" in page
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page) == []
    assert repr(load_study(folder)) == "<StudyResult <first>: done, 5 of 5 trials, accuracy 0.9 in trial 1>"
    assert "learning_rate" in load_space(folder / "study.yaml")._repr_html_()


def test_a_study_without_trials_shows_itself_as_well(tmp_path: Path) -> None:
    empty = load_study(stored_study(tmp_path / "empty", trials=0))
    assert empty.best is None
    assert len(empty.trials) == len(empty.reports) == 0
    assert empty.figures == {}
    assert "<iframe" not in empty._repr_html_()


def test_a_script_needs_no_guard_and_runs_workers_in_processes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from automl import run\n"
        "study = run('digits_mlp', trials=2, epochs=1, workers=2, lanes=1, mlflow='off')\n"
        "print(len(study.trials), study.mlflow)\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ, "NO_COLOR": "1"}
    )
    assert done.stdout == "2 None\n"
    assert sum(line.startswith("[") for line in done.stderr.splitlines()) == 2


def test_a_study_runs_in_a_thread() -> None:
    found: list[library.StudyResult] = []
    arguments = {"trials": 1, "epochs": 1, "engine": "inline", "mlflow": "off", "progress": False, "study": "threaded"}
    thread = threading.Thread(target=lambda: found.append(run("digits_mlp", **arguments)))
    thread.start()
    thread.join()
    assert found[0].state == "done"


class _Planned(Exception):  # noqa: N818  (nothing is wrong)
    """Carries the options that were planned with."""


def test_every_option_of_the_command_is_an_argument_that_reaches_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {field.name for field in fields(RunOptions)}
    assert set(signature(run).parameters) - {"progress"} == names
    options = {option.name for option in automl.cli.run.run.params if isinstance(option, click.Option)}
    assert options - {"detach", "dry_run", "as_json"} <= names

    def caught(options: RunOptions) -> None:
        raise _Planned(options)

    monkeypatch.setattr("automl.plan.plan", caught)
    wholes = {"size", "horizon", "window", "rows", "length", "trials", "epochs", "folds", "replicates", "seed", "split_seed"}
    for name in names:
        with pytest.raises(_Planned) as found:
            run(**{name: 7 if name in wholes else "7"})
        planned = found.value.args[0]
        value = getattr(planned, name)
        assert value in (7, "7", ("7",)), name
        assert [other for other in names if other != name and getattr(planned, other) in (7, "7", ("7",))] == []


def test_mistakes_are_the_errors_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"^studies/nowhere: there must be a study here, but there is no study\.db\."):
        load_study("nowhere")
    (tmp_path / "wrong.yaml").write_text("name: x\n")
    with pytest.raises(SpaceError):
        load_space(tmp_path / "wrong.yaml")
    with pytest.raises(UsageError) as caught:
        run("digits_mlp", config={"layers": 2})
    assert str(caught.value).startswith("what was given: configuration 1: must give every searched parameter, but lacks units,")
    with pytest.raises(UsageError) as caught:
        run("digits_mlp", enqueue=[{"layers": 2}, {}], trials=4)
    assert str(caught.value).startswith("--enqueue: must hold a configuration or a list of them, but what was given holds")
