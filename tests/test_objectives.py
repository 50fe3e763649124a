"""Optuna objectives as search-space files: what they ask for is found, in every case that a few calls can meet, and said."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from automl import objectives, spacefile
from automl.errors import UsageError
from automl.events import Value
from automl.space import Categorical, Condition, Float, Int
from automl.spec import StudySpec
from automl.suggestions import Asked
from automl.tracing import MOST_CALLS, Call, explored


def written(folder: Path, code: str, name: str = "mine") -> Path:
    (folder / f"{name}.py").write_text(textwrap.dedent(code))
    return folder


def found(
    folder: Path, code: str, target: str = "mine:objective", direction: str | None = "maximize", epochs: int | None = None
) -> StudySpec:
    """The objective's space, read from the text that is made of it."""
    text = objectives.found(target, direction, epochs, written(folder, code)).text
    return spacefile.load_text(text, "mine.yaml")


def refused(folder: Path, code: str, **more: str | None) -> str:
    with pytest.raises(UsageError) as caught:
        found(folder, code, **more)  # type: ignore[arg-type]
    return str(caught.value)


BRANCHES = """
    import optuna
    def objective(trial):
        for layer in range(trial.suggest_int("layers", 1, 3)):
            trial.suggest_int(f"units_{layer}", 8, 64, log=True)
        if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "sgd":
            if trial.suggest_categorical("nesterov", [False, True]):
                trial.suggest_float("momentum", 0.0, 0.9, step=0.3)
        trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        trial.suggest_int("batch", 16, 64, step=16)
        trial.suggest_categorical("only", ["one"])
        for step in range(4):
            trial.report(step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 3
"""


def test_every_branch_is_met_and_said_as_a_condition(tmp_path: Path) -> None:
    spec = found(tmp_path, BRANCHES)
    by_name = spec.space.by_name
    assert set(by_name) == {"layers", "units_0", "units_1", "units_2", "optimizer", "nesterov", "momentum", "learning_rate", "batch"}
    assert by_name["layers"] == Int("layers", 1, 3)
    assert by_name["units_2"] == Int("units_2", 8, 64, log=True, when=(Condition("layers", "in", (3,)),))
    assert by_name["units_1"] == Int("units_1", 8, 64, log=True, when=(Condition("layers", ">=", (2,)),))
    assert by_name["nesterov"] == Categorical("nesterov", (False, True), when=(Condition("optimizer", "in", ("sgd",)),))
    assert by_name["momentum"] == Categorical("momentum", (0.0, 0.3, 0.6, 0.9), when=(Condition("nesterov", "in", (True,)),))
    assert by_name["learning_rate"] == Float("learning_rate", 1e-4, 1e-1, log=True)
    assert by_name["batch"] == Int("batch", 16, 64, step=16)
    assert dict(spec.space.fixed) == {"only": "one"}
    assert (spec.name, spec.epochs, spec.settings.pruner, str(spec.objective)) == ("mine", 4, "asha", "maximize value")


@pytest.mark.parametrize("choices", ["'a', 'b', 'c'", "'a', 'b', 1.5", "'a', None, 7", "True, 'a', 0.5"])
def test_conditions_on_choices_of_several_kinds_are_found(tmp_path: Path, choices: str) -> None:
    code = f"def objective(trial):\n    kind = trial.suggest_categorical('kind', [{choices}])\n"
    code += "    return trial.suggest_float('z', 0, 1) if kind == 'a' else 0\n"
    assert found(tmp_path, code).space.by_name["z"] == Float("z", 0, 1, when=(Condition("kind", "in", ("a",)),))


@pytest.mark.parametrize(("choices", "having"), [("'a', None", "None"), ("True, 1, 'a'", "'a'")])
def test_where_a_condition_could_not_be_written_there_is_none(tmp_path: Path, choices: str, having: str) -> None:
    """``null`` says that there is none, and 1 is true."""
    code = f"def objective(trial):\n    kind = trial.suggest_categorical('kind', [{choices}])\n"
    code += f"    return trial.suggest_float('z', 0, 1) if kind == {having} else 0\n"
    assert found(tmp_path, code).space.by_name["z"] == Float("z", 0, 1)


def test_the_result_counts_as_a_report_where_it_is_news(tmp_path: Path) -> None:
    code = "def objective(trial):\n    x = trial.suggest_float('x', 0, 1)\n    trial.report(1, 0)\n    return 2\n"
    assert found(tmp_path, code).epochs == 2


def test_an_objective_without_reports_has_one_epoch_and_no_pruner(tmp_path: Path) -> None:
    spec = found(tmp_path, "def f(trial):\n    return trial.suggest_float('x', 0, 1)\n", target="mine:f")
    assert (spec.name, spec.epochs, spec.settings.pruner) == ("mine-f", 1, "none")


def test_epochs_that_are_said_are_not_counted(tmp_path: Path) -> None:
    """So that the first call ends at the first report as well."""
    code = "def objective(trial):\n    trial.suggest_float('x', 0, 1)\n    trial.report(0, 0)\n    open('went_on', 'w')\n"
    assert found(tmp_path, code, epochs=30).epochs == 30
    assert not Path("went_on").exists()


def test_what_it_raises_after_it_has_asked_is_for_its_trials_to_say(tmp_path: Path) -> None:
    assert list(found(tmp_path, "def objective(trial):\n    trial.suggest_float('x', 0, 1)\n    1 / 0\n").space.by_name) == ["x"]


def test_many_steps_stay_a_range(tmp_path: Path) -> None:
    code = "def objective(trial):\n    return trial.suggest_float('x', 0, 1, step=0.001) + trial.suggest_int('many', 0, 10**6)\n"
    assert found(tmp_path, code).space.by_name == {"x": Float("x", 0, 1), "many": Int("many", 0, 10**6)}


CREATED = """
    import optuna
    def objective(trial):
        return trial.suggest_float("x", 0, 1)
    {}
"""
DIRECTIONS = [
    ("", False, "Optuna's default; --direction maximize for the other way"),
    ("optuna.create_study(direction='maximize')", True, "as mine.py:5 creates its study"),
    ("optuna.create_study(study_name='a')", False, "as mine.py:5 creates its study"),
    ("optuna.create_study(direction=optuna.study.StudyDirection.MAXIMIZE)", True, "as mine.py:5 creates its study"),
    ("way = 'maximize'\n    optuna.create_study(direction=way)", False, "Optuna's default; --direction maximize for the other way"),
]


@pytest.mark.parametrize(("line", "maximize", "reason"), DIRECTIONS)
def test_the_direction_is_what_its_module_says(tmp_path: Path, line: str, maximize: bool, reason: str) -> None:
    """Read, not run; what is not written there is Optuna's default, and that is said."""
    code = CREATED.format(line)
    made = objectives.found("mine:objective", None, None, written(tmp_path, code))
    assert made.notes == (f"objective: {'maximize' if maximize else 'minimize'} what it returns ({reason})",)


REFUSED = [
    ("def objective(trial, more):\n    pass", "'mine:objective' must take the trial as its only argument, but takes trial, more."),
    ("def objective(trial):\n    return 1", "'mine:objective' must ask for a parameter by trial.suggest_..., but ended."),
    (
        "def objective(trial):\n    return 1 / 0",
        "'mine:objective' must ask for a parameter by trial.suggest_..., but raised ZeroDivisionError: division by zero (mine.py:2).",
    ),
    (
        "def objective(trial):\n    trial.suggest_float('x', 1, 0)",
        "'mine:objective' must ask for a parameter by trial.suggest_..., but raised trial.suggest: x: low must not be above high, but they "
        "are 1 and 0. (mine.py:2).",
    ),
    (
        "def objective(trial):\n    n = trial.suggest_int('n', 1, 2)\n    trial.suggest_int('m', 1, 10 * n)",
        "'m' must have the same range in every trial, but is a whole number from 1 to 10 in one and a whole number from 1 to 20 in "
        "another. Write a space file with optuna: and a space of your own.",
    ),
    ("objective = 3", "'mine:objective' must be a function or class, but is an int."),
    (
        "import os\ndef objective(trial):\n    pass\nos._exit(3)",
        "'mine:objective' must be importable, but its import ended the process (exit code 3).",
    ),
]


@pytest.mark.parametrize(("code", "sentence"), REFUSED)
def test_what_is_no_objective_is_refused(tmp_path: Path, code: str, sentence: str) -> None:
    assert refused(tmp_path, code) == f"--optuna: {sentence}"


def test_directions_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    several = CREATED.format("optuna.create_study(directions=['minimize', 'maximize'])")
    sentence = "--optuna: there must be one objective, but mine.py:5 creates a study with directions."
    assert refused(tmp_path, several, direction=None) == sentence
    both = CREATED.format("optuna.create_study()\n    optuna.create_study(direction='maximize')")
    sentence = "--optuna: create_study must say one direction, but lines 5 and 6 of mine.py say different ones. Give --direction."
    assert refused(tmp_path, both, direction=None) == sentence
    assert refused(tmp_path, "", target="nonsense") == "--optuna: must be MODULE:NAME, such as my_module:objective, but is 'nonsense'."


# -- how calls are chosen ---------------------------------------------------------------------------------------------


def test_values_are_tried_one_at_a_time_where_their_parameter_was_met() -> None:
    """Of b, which is there with a = "y" alone, the other value is tried with a = "y"."""
    tried: list[Mapping[str, Value]] = []

    def call(values: Mapping[str, Value], counts: bool) -> Call:
        tried.append(dict(values))
        a, b = Asked("a", "categorical", choices=("x", "y")), Asked("b", "int", 1, 2, step=1)
        chosen = {"a": values.get("a", "x")}
        if chosen["a"] == "x":
            return Call((a,), chosen, ended=True)
        return Call((a, b), {**chosen, "b": values.get("b", 1)}, ended=True)

    traced = explored(call, counts=True)
    assert tried == [{}, {"a": "y"}, {"a": "y", "b": 2}]
    assert traced.is_whole


def test_calls_are_bounded_in_number_and_time() -> None:
    def call(values: Mapping[str, Value], counts: bool) -> Call:
        return Call((Asked("a", "categorical", choices=tuple(range(1000))),), {"a": values.get("a", 0)})

    many = explored(call, counts=False)
    assert (len(many.calls), many.is_whole) == (MOST_CALLS, False)
    clock = iter(range(0, 10_000, 25))
    slow = explored(call, counts=False, now=lambda: next(clock))
    assert (len(slow.calls), slow.is_whole) == (3, False)
