"""Studies of code of a person's own, from the space file to the winner; and the examples."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from automl import launch, load_best
from automl.cli.best import print_best
from automl.confirmation import VALIDATION, confirmed
from automl.errors import AutomlError, StudyError
from automl.launch import Outcome
from automl.plan import RunOptions, plan
from automl.reading import read_study
from automl.summary import confirmation_text, state_of

pytestmark = pytest.mark.usefixtures("prepares_here")

EXAMPLES = Path(__file__).parent.parent / "examples"

SPACE = """\
train: {module}:run
objective: {{maximize: score}}
epochs: 3
space:
  width: {{type: float, low: 0.0, high: 1.0}}
baseline: {{width: 0.1}}
study: {{strategy: random, pruner: none, trials: 3}}
"""
FUNCTION = """
def run(trial):
    for epoch in range(trial.epochs):
        trial.report(score=trial.parameters.width * (epoch + 1) + trial.seed / 2**40)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(space: str | Path, study: str = "first", **options: object) -> tuple[Outcome, list[str]]:
    """How a study ends, and what it says on its way."""
    said: list[str] = []
    wanted = {"engine": "inline", "mlflow": "off", "confirm": "0", **options}
    return launch.run(plan(RunOptions(space=str(space), study=study, **wanted)), say=said.append), said  # type: ignore[arg-type]


def own(name: str, code: str = FUNCTION) -> str:
    """A space file for this code, in a module of this name: each test has one of its own, since a process imports a module once."""
    Path(f"{name}.py").write_text(code)
    Path(f"{name}.yaml").write_text(SPACE.format(module=name))
    return f"{name}.yaml"


# -- examples ---------------------------------------------------------------------------------------------------------


def test_the_example_of_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    """Its winner is tested by what it returned, and what it kept at its best epoch is in best/."""
    outcome, _ = run(EXAMPLES / "function/space.yaml", trials=2, epochs=2)
    study, winner = outcome.study, outcome.study.winner
    assert winner is not None
    assert (study.counts["complete"] + study.counts.get("pruned", 0), study.counts.get("failed", 0)) == (2, 0)
    assert study.test is not None
    assert list(study.test.metrics) == ["accuracy"]
    weights = torch.load("studies/first/best/weights.pt", weights_only=True)
    assert weights["model"]["0.weight"].shape == (winner.configuration["units"], 64)
    print_best(study, outcome.folder)
    shown = capsys.readouterr().out
    assert "Your code measured on the test split: accuracy 0." in shown
    assert "Its parameters:  studies/first/best/config.yaml" in shown
    again, said = run(EXAMPLES / "function/space.yaml", trials=2, epochs=2)
    assert said == ["studies/first has 2 of 2 trials and its winner; there is nothing left to do."]
    assert again.study.winner == winner


def test_the_example_of_a_factory() -> None:
    """Its winner predicts from raw rows, also after its code was imported anew from where config.yaml says it lies."""
    outcome, _ = run(EXAMPLES / "factory/space.yaml", trials=2, epochs=2)
    assert outcome.study.counts == {"complete": 2, "running": 0, "waiting": 0}
    assert outcome.study.test is not None
    assert "roc_auc" in outcome.study.test.metrics
    model = load_best("studies/first")
    assert type(model.module).__name__ == "Sequential"
    assert list(model.predict([[[0.0] * 8] * 8])) == list(model.predict([[[0.0] * 8] * 8]))


def test_the_example_of_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    outcome, said = run(EXAMPLES / "script/space.yaml", trials=1, epochs=2)
    study = outcome.study
    assert study.counts == {"complete": 1, "running": 0, "waiting": 0}
    assert [len(trial.reports) for trial in study.trials] == [2]
    assert study.test is not None
    assert list(study.test.metrics) == ["accuracy"]
    assert sorted(path.name for path in Path("studies/first/best").iterdir()) == ["config.yaml", "info.json"]
    assert said == []


@pytest.mark.long
def test_a_study_can_be_trained_again_from_its_own_record(tmp_path: Path) -> None:
    """study.yaml and best/config.yaml are enough, from anywhere; and workers in processes of their own find the module."""
    shutil.copytree(EXAMPLES / "function", tmp_path / "mine")
    outcome, _ = run("mine/space.yaml", trials=1, epochs=1)
    assert outcome.study.winner is not None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "automl", "run", str(tmp_path / "studies/first/study.yaml"), "--study", "again", "--mlflow", "off"]
    again = subprocess.run([*command, "--workers", "1"], cwd=elsewhere, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "again: 1 of 1 trials (1 complete)" in again.stdout


# -- honesty ----------------------------------------------------------------------------------------------------------


def test_without_test_data_a_claim_rests_on_validation_and_says_so() -> None:
    outcome, _ = run(own("says_no_test"), confirm="1")
    claim = confirmed(outcome.study)
    assert claim is not None
    assert (claim.split, claim.winner.replicates) == (VALIDATION, 3)
    assert confirmation_text(outcome.study).startswith("On 3 fresh seeds and the validation split, which also served to choose (")
    assert outcome.study.test is not None
    assert dict(outcome.study.test.metrics) == {}


def test_what_the_function_returns_is_what_is_claimed() -> None:
    outcome, _ = run(own("says_test", f"{FUNCTION}    return {{'score': 7.0}}\n"), confirm="1")
    claim = confirmed(outcome.study)
    assert claim is not None
    assert (claim.split, claim.winner.value) == ("test", 7.0)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_study_whose_function_always_fails_stops_early_and_says_where() -> None:
    space = own("always_wrong", "def run(trial):\n    return 1 / 0\n")
    message = "always_wrong.py:2: ZeroDivisionError: division by zero"
    with pytest.raises(AutomlError, match=re.escape(message)):
        run(space, trials=20)
    assert "ZeroDivisionError" in Path("studies/first/trials/0/log.txt").read_text()


def test_a_study_whose_factory_makes_no_network_stops_early_and_says_where() -> None:
    Path("no_network.py").write_text("def build(width):\n    return [width]\n")
    Path("none.yaml").write_text("data: iris\nmodel: no_network:build\nspace: {width: {type: int, low: 4, high: 99}}\n")
    message = "no_network.py:1: no_network:build: must return a torch.nn.Module, but returned of type list. Return the network."
    with pytest.raises(AutomlError, match=f"the study stops\\. Log: .*\n{re.escape(message)}$") as caught:
        run("none.yaml", trials=20)
    assert str(caught.value).startswith("The first 3 trials all failed in the same way, so the study stops.")


def test_a_study_that_stopped_since_its_first_trials_all_failed_is_told_as_failed_and_can_be_tried_again() -> None:
    space = own("late", FUNCTION.replace("    for", f"    open({str(Path('late.txt').absolute())!r}).close()\n    for"))
    for _ in range(2):
        with pytest.raises(AutomlError, match=r"so the study stops\."):
            run(space, trials=20)
        found = read_study("first")
        assert (state_of(found.study, found.is_driven), found.study.at_work_since) == ("failed", None)
    Path("late.txt").touch()
    outcome, _ = run(space, trials=20)
    assert (outcome.why, state_of(outcome.study, False), outcome.study.counts["failed"]) == ("done", "done", 6)


ENDLESS = {
    "command": (
        "import time\nprint('loading data', flush=True)\nwhile True:\n    time.sleep(1)\n",
        r"a trial may take 0\.5 s, and the command had reported nothing for \d+ s\. The end of its log:\nloading data$",
    ),
    "train": (
        "import time\ndef run(trial):\n    while True:\n        time.sleep(1)\n",
        r"a trial may take 0\.5 s, and endless_train:run had reported nothing for \d+ s: it was at endless_train\.py:4\n",
    ),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_code_that_never_reports_is_ended_and_told_of(kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial by --trial-time, the study when all have taken too long; and after a while of silence a person is told where to look."""
    monkeypatch.setattr("automl.driver._SILENT_SECONDS", 0.2)
    monkeypatch.setattr("automl.driver._HOPELESS_IN_ANY_WAY", 3)
    code, said = ENDLESS[kind]
    Path(f"endless_{kind}.py").write_text(code)
    what = f"command: {sys.executable} endless_command.py {{width}}" if kind == "command" else "train: endless_train:run"
    Path("endless.yaml").write_text(SPACE.format(module="x").replace("train: x:run", what))
    with pytest.raises(AutomlError, match=said) as caught:
        run("endless.yaml", trials=3, trial_time="0.5s", engine="local", workers="1")
    log = "studies/first/trials/2/log.txt"
    assert str(caught.value).startswith("The first 3 trials all took too long, so the study stops.")
    assert (f"Log: {Path(log).absolute()}" in str(caught.value)) == (kind == "command")
    sentence = (
        "Trial 0 has reported nothing for 0.2 s. That may be right; what it prints is in "
        f"{Path('studies/first/trials/0/log.txt').absolute()}. --trial-time 10m ends trials that never report."
    )
    assert [record.getMessage() for record in caplog.records if record.name == "automl.driver"] == [sentence]


def test_code_that_was_edited_since_is_told_of() -> None:
    space = own("edited_since")
    run(space, trials=2)
    Path("edited_since.py").write_text(f"{FUNCTION}# better\n")
    outcome, said = run(space, trials=3)
    assert outcome.study.ended == 3
    assert "edited_since:run was edited since the study began: trials from before and after may not be comparable." in said


def test_a_model_of_own_training_is_not_loaded_but_explained() -> None:
    run(own("not_loaded"), trials=1)
    message = (
        "studies/first/best: must hold a model that automl has built, but this one was trained by not_loaded:run. "
        "Build it with the parameters in config.yaml; weights.pt, where it is there, is what the code kept of it."
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        load_best("studies/first")


def test_data_of_the_space_file_are_handed_to_the_function() -> None:
    """Prepared and split, as models of the house have them."""
    space = own(
        "has_data",
        """
def run(trial):
    data = trial.data
    assert (data.info.task, data.train.inputs.shape[1]) == ("multiclass", 4)
    trial.report(score=len(data.train.targets))
    return {"score": len(data.test)}
""",
    )
    Path(space).write_text(f"data: iris\n{Path(space).read_text()}")
    outcome, _ = run(space, trials=1)
    assert outcome.study.winner is not None
    assert outcome.study.winner.objective == outcome.data.sizes["train"]
    assert outcome.study.test is not None
    assert outcome.study.test.metrics["score"] == outcome.data.sizes["test"]


# -- folds ------------------------------------------------------------------------------------------------------------

SIZES = """
def run(trial):
    train, validation = trial.data.train, trial.data.validation
    assert len(train.inputs) == len(train.targets) and len(validation.inputs) == len(validation.targets)
    trial.report(score=len(train.inputs) + len(validation.inputs) / 10_000)
"""


def test_a_function_gets_the_rows_of_its_fold_and_no_others() -> None:
    space = own("sizes", SIZES)
    Path(space).write_text(f"data: digits\n{Path(space).read_text()}")
    outcome, _ = run(space, folds=3, trials=1)
    (trial,) = outcome.study.trials
    assert [one.objective for one in trial.replicates] == [958.0480, 959.0479, 959.0479]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "folds must divide data that automl prepares, but there are none. Add data, or take replicates."),
        (
            f"command: {sys.executable} train.py {{width}}\ndata: iris",
            "folds must be known to what is trained, but a command knows of none. Take replicates.",
        ),
    ],
)
def test_folds_of_what_automl_cannot_divide_are_refused(text: str | None, sentence: str) -> None:
    space = own("undivided")
    if text is not None:
        Path("train.py").write_text("")
        Path(space).write_text(Path(space).read_text().replace("train: undivided:run", text))
    with pytest.raises(AutomlError, match=f"^{re.escape(f'{space}: {sentence}')}$"):
        run(space, folds=3)
