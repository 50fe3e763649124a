"""``automl page``, and the page at the end of a run."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from automl import launch
from automl.cli import automl
from automl.cli.outcome import print_outcome
from automl.errors import StudyError
from automl.plan import RunOptions, plan
from automl.space import Float, SearchSpace
from contracts.browser import WHY_NONE, programs
from contracts.told import Story, write_study

pytestmark = pytest.mark.usefixtures("prepares_here")

SPACE = SearchSpace((Float("learning_rate", 1e-5, 1e-1, log=True),))
REAL = """\
name: small
data: iris
model: mlp
epochs: 2
space:
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
study: {strategy: random, pruner: none, trials: 2}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(REAL)
    return tmp_path


def run(say: list[str]) -> launch.Outcome:
    return launch.run(plan(RunOptions(space="small.yaml", study="first", engine="inline", mlflow="off")), say=say.append)


def stored(name: str, trials: int = 3) -> None:
    write_study(Path("studies") / name, SPACE, lambda c: 0.5, Story(trials=trials, rest="interrupted"))


def invoke(*arguments: str) -> tuple[str, str]:
    answer = CliRunner().invoke(automl, ["page", *arguments], catch_exceptions=False)  # as a command by itself it would keep other help
    assert answer.exit_code == 0, answer.output
    return answer.stdout, answer.stderr


def test_it_writes_the_page_of_an_interrupted_study_anew_and_says_where() -> None:
    stored("left")
    assert invoke("left")[0] == "studies/left/page.html\n"
    assert "leads after 3 trials" in Path("studies/left/page.html").read_text()
    assert invoke("left", "-o", "mail.html")[0] == "mail.html\n"
    assert Path("mail.html").read_text().startswith("<!doctype html>")


def test_it_opens_the_page_where_it_is(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    stored("left")
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    invoke("left", "--open")
    assert opened == [(folder / "studies/left/page.html").as_uri()]


def test_a_study_that_is_not_there_is_told_of() -> None:
    stored("left")
    with pytest.raises(StudyError, match=re.escape("there must be a study here, but there is no study.db. Studies under studies: left")):
        invoke("lift")


def test_a_folder_that_is_not_there_is_told_of() -> None:
    stored("left")
    with pytest.raises(
        StudyError,
        match=r"^nowhere/page\.html: the folder must be there and writable, but no such file or directory\. Use --out with another path\.$",
    ):
        invoke("left", "-o", "nowhere/page.html")


def test_a_folder_in_place_of_a_file_is_told_of() -> None:
    stored("left")
    Path("pages").mkdir()
    message = r"^pages: must be the file to write, but is a folder\. Use --out with a file in it, such as pages/page\.html\.$"
    with pytest.raises(StudyError, match=message):
        invoke("left", "-o", "pages")


@pytest.mark.skipif(programs() is None, reason=WHY_NONE)
def test_it_writes_pictures_instead_of_the_page() -> None:
    stored("left")
    said = invoke("left", "--svg", "pictures")[0].splitlines()
    assert "pictures/best-by-trials.svg" in said
    assert all(Path(line).is_file() for line in said)
    assert not Path("studies/left/page.html").exists()


def test_a_study_without_trials_has_no_pictures() -> None:
    stored("empty", 0)
    assert invoke("empty", "--png", "pictures") == ("", "There is no figure yet: no trial has begun.\n")


def test_a_run_ends_with_a_page_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run([])
    assert outcome.page == Path("studies/first/page.html")
    assert "won after 2 trials" in outcome.page.read_text()
    print_outcome(outcome)
    assert "Study page:      studies/first/page.html\n" in capsys.readouterr().out
    assert run([]).page == outcome.page  # nothing is left to do, and the page is there


def test_a_page_that_cannot_be_made_fails_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    import automl.page.studypage

    def fails(folder: Path, is_driven: bool) -> Path:
        raise ValueError("odd")

    monkeypatch.setattr(automl.page.studypage, "write_page", fails)
    said: list[str] = []
    outcome = run(said)
    assert (outcome.why, outcome.page) == ("done", None)
    assert "The study page could not be made (ValueError: odd). `automl page studies/first` tries again." in said


def test_an_interrupt_while_the_page_is_made_ends_the_run_in_good_order(monkeypatch: pytest.MonkeyPatch) -> None:
    import automl.page.studypage

    def interrupted(folder: Path, is_driven: bool) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(automl.page.studypage, "write_page", interrupted)
        outcome = run([])
    assert (outcome.why, outcome.page) == ("interrupted", None)
    again = run([])
    assert (again.why, again.page) == ("done", Path("studies/first/page.html"))
    assert again.study.ended == 2


def test_the_events_say_with_what_the_study_was_made() -> None:
    from automl.store import Store
    from automl.trials import Resumed

    run([])
    with Store.read_only(Path("studies/first")) as store:
        (resumed,) = (event for _, event in store.events() if isinstance(event, Resumed))
    assert {"automl", "python", "torch", "numpy", "system", "devices", "workers"} <= set(resumed.environment)
    assert resumed.environment["workers"] == "1 on cpu"
    assert resumed.environment["devices"].startswith("cpu: ")
