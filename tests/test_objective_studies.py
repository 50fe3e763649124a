"""Studies of Optuna objectives: the example, the same command again, and what is refused before anything trains."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from automl import launch, spacefile
from automl.cli import main
from automl.errors import SpaceError, UsageError
from automl.launch import Outcome
from automl.plan import RunOptions, plan

EXAMPLE = Path(__file__).parent.parent / "examples/optuna/digits.py"
PRUNING_ITSELF = """
import optuna
def objective(trial):
    width = trial.suggest_int("width", 1, 100)
    if width % 3:
        raise optuna.TrialPruned
    return width
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(target: str, **options: object) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    wanted = {"engine": "inline", "mlflow": "off", "confirm": "0", **options}
    return launch.run(plan(RunOptions(optuna=target, **wanted)), say=said.append), said  # type: ignore[arg-type]


def own(name: str, code: str = PRUNING_ITSELF) -> str:
    """An objective in a module of this name: each test has one of its own, since a process imports a module once."""
    Path(f"{name}.py").write_text(code)
    return f"{name}:objective"


def automl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["automl", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


def test_the_example_runs_as_it_is_and_goes_on_by_the_same_command() -> None:
    """What it asks for is looked for once: after that the study says what is searched."""
    shutil.copy(EXAMPLE, "digits_with_optuna.py")
    outcome, said = run("digits_with_optuna:objective", trials=2)
    study = outcome.study
    assert said[0] == "objective: maximize what it returns (as digits_with_optuna.py:44 creates its study)"
    assert outcome.folder == Path("studies/digits_with_optuna-bayesian")
    assert study.ended == 2
    assert study.best is not None
    assert len(study.best.reports) == study.spec.epochs == 10
    assert {"layers", "units_0", "learning_rate", "optimizer"} <= set(study.best.configuration)
    again, said = run("digits_with_optuna:objective", trials=2)
    assert said == ["studies/digits_with_optuna-bayesian has 2 of 2 trials and its winner; there is nothing left to do."]
    assert again.study.winner == study.winner
    sentence = (
        "--direction: studies/digits_with_optuna-bayesian is to maximize value, but minimize was given. Use --study NAME for a new one."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        run("digits_with_optuna:objective", trials=2, direction="minimize")


@pytest.mark.parametrize("strategy", ["bayesian", "gp", "evolution"])
def test_trials_that_prune_themselves_are_pruned_and_no_failures(strategy: str) -> None:
    """Also without a single report, by any strategy; the study does not take them for a mistake."""
    outcome, _ = run(own(f"prunes_itself_{strategy}"), direction="maximize", trials=12, strategy=strategy)
    study = outcome.study
    assert set(study.counts) - {"running", "waiting"} <= {"complete", "pruned"}
    for trial in study.trials:
        assert trial.state == ("pruned" if int(str(trial.configuration["width"])) % 3 else "complete")
        if trial.state == "pruned":
            assert trial.reason == "the objective pruned it by itself"


def test_a_file_written_for_it_runs_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    target = own("written_out")
    code, out, _ = automl(monkeypatch, capsys, "space", "new", "--optuna", target, "--direction", "maximize", "-o", "mine.yaml")
    assert (code, out) == (0, "mine.yaml: what written_out:objective asks for. To search it: automl run mine.yaml\n")
    spec = spacefile.load("mine.yaml")
    assert (spec.model, spec.code and spec.code.kind) == (target, "objective")
    assert spacefile.from_dict(spacefile.to_dict(spec)) == spec
    Path("again.yaml").write_text(spacefile.dump(spec))
    assert spacefile.load("again.yaml").space == spec.space
    code, out, err = automl(monkeypatch, capsys, "space", "new", "--optuna", target)
    assert code == 0
    assert out.startswith("# What written_out:objective asks for, found by calling it 2 times up to its first report.\n")
    assert err == "objective: minimize what it returns (Optuna's default; --direction maximize for the other way)\n"


REFUSED = [
    (
        ("run", "some.yaml", "--optuna", "a:b"),
        "must stand alone, since its objective says what is searched, but SPACE was given. Leave it out.",
    ),
    (
        ("run", "--optuna", "a:b", "--data", "iris"),
        "must stand alone, since its objective says what is searched, but --data was given. Leave it out.",
    ),
    (
        ("space", "new", "iris", "--optuna", "a:b"),
        "must stand alone, since an objective reads its own data, but DATA was given. Leave it out.",
    ),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED)
def test_it_stands_alone(
    words: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = automl(monkeypatch, capsys, *words)
    assert (code, err.splitlines()[-1]) == (2, f"--optuna: {sentence}")


def test_direction_goes_with_it_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = automl(monkeypatch, capsys, "run", "digits_mlp", "--direction", "maximize")
    assert (code, err) == (2, "--direction: must go with --optuna, but was given without it. A space file says it as objective.\n")
    code, _, err = automl(monkeypatch, capsys, "space", "new")
    assert (code, err) == (2, "space new: must be given data or --optuna, but was given neither. Try 'automl space new iris'.\n")


def test_a_file_may_not_ask_of_it_what_it_cannot_do() -> None:
    own("asked_too_much")
    Path("mine.yaml").write_text(
        "optuna: asked_too_much:objective\ndata: iris\nobjective: [{maximize: value}, {minimize: time}]\n"
        "space:\n  width: {type: int, low: 1, high: 100}\n"
    )
    with pytest.raises(SpaceError) as caught:
        spacefile.load("mine.yaml")
    assert caught.value.problems == (
        "mine.yaml:2: data must be left out with optuna, since an objective reads its own. Leave data out.",
        "mine.yaml:3: objective must be one with optuna, but is a list. Write {maximize: value}.",
    )
