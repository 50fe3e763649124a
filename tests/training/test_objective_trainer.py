"""Optuna objectives in training: they run as they are, and what they do becomes events."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from automl.events import Code, Diverged, Failed, Finished, Reported, Started, TrialSpec, WorkerEvent
from automl.training import make_trainer
from contracts.owncode import module, own_trial, trained

CURVE = """
    import optuna
    def objective(trial):
        units = trial.suggest_int("units", 1, 8)
        trial.set_user_attr("seen", [units])
        trial.set_user_attr("not json", object())
        for step in range(3):
            trial.report(units * step, step)
            if trial.should_prune():
                trial.set_user_attr("told", True)
                raise optuna.TrialPruned
        return units * 2
"""


def objective_trial(folder: Path, code: str, **more: Any) -> TrialSpec:
    return own_trial(folder, f"{module(folder, code)}:objective", Code("objective", (str(folder),)), 0, **more)


def curve(events: list[WorkerEvent]) -> list[tuple[int, float]]:
    return [(event.epoch, event.metrics["accuracy"]) for event in events if isinstance(event, Reported)]


def test_reports_are_epochs_and_a_result_that_is_no_news_is_none(tmp_path: Path) -> None:
    events = trained(objective_trial(tmp_path, CURVE))
    assert [type(event) for event in events] == [Started, Reported, Reported, Reported, Finished]
    assert curve(events) == [(1, 0.0), (2, 4.0), (3, 8.0)]
    assert json.loads((tmp_path / "study/trials/0/files/user_attrs.json").read_text()) == {"seen": [4]}


def test_a_result_that_is_news_is_the_last_report_also_beyond_the_epochs(tmp_path: Path) -> None:
    spec = objective_trial(tmp_path, CURVE.replace("return units * 2", "return 99"), epochs=2)
    assert curve(trained(spec)) == [(1, 0.0), (2, 4.0), (3, 8.0), (4, 99.0)]


def test_one_that_is_pruned_is_told_when_it_asks(tmp_path: Path) -> None:
    spec, trainer = objective_trial(tmp_path, CURVE), make_trainer("cpu", "worker-0")
    trainer.start(spec)
    assert [type(event) for event in trainer.advance() + trainer.advance()] == [Started, Reported]
    trainer.stop(spec.key)
    assert trainer.advance() == []
    assert json.loads((tmp_path / "study/trials/0/files/user_attrs.json").read_text())["told"]


def test_one_that_never_asks_is_ended_at_its_next_report(tmp_path: Path) -> None:
    code = """
        from pathlib import Path
        def objective(trial):
            trial.suggest_int("units", 1, 8)
            for step in range(1000):
                trial.report(step, step)
            Path(__file__).with_name("went on").touch()
            return 0
    """
    spec, trainer = objective_trial(tmp_path, code), make_trainer("cpu", "worker-0")
    trainer.start(spec)
    assert [type(event) for event in trainer.advance() + trainer.advance()] == [Started, Reported]
    trainer.stop(spec.key)
    assert not (tmp_path / "went on").exists()


def test_one_that_prunes_itself_is_pruned(tmp_path: Path) -> None:
    code = """
        import optuna
        def objective(trial):
            trial.report(0.5, 0)
            raise optuna.TrialPruned("too wide")
    """
    events = trained(objective_trial(tmp_path, code))
    assert curve(events) == [(1, 0.5)]
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.detail) == ("pruned", "the objective pruned it by itself: too wide")


def test_a_result_that_is_not_finite_is_divergence(tmp_path: Path) -> None:
    last = trained(objective_trial(tmp_path, f"def objective(trial):\n    return float({str(math.nan)!r})"))[-1]
    assert isinstance(last, Diverged)
    assert last.detail == "the objective accuracy became NaN or infinite in epoch 1"


def test_what_an_objective_changes_for_the_whole_process_holds_for_its_trial_alone(tmp_path: Path) -> None:
    code = """
        import torch
        def objective(trial):
            assert torch.get_default_dtype() == torch.float32
            torch.set_default_dtype(torch.float64)
            return 0.5
    """
    first = objective_trial(tmp_path, code)
    for spec in (first, replace(first, key=replace(first.key, trial=1))):
        assert isinstance(trained(spec)[-1], Finished)
        assert torch.get_default_dtype() == torch.float32


MISTAKES = [
    ("return None", "{file}.py:1: {file}:objective: must return a number, but returned nothing. Return its final value."),
    ("return 'high'", "{file}.py:1: {file}:objective: must return a number, but returned something of type str. Return its final value."),
    ("return 1, 2", "{file}.py:1: {file}:objective: must return one number, but returned 2. Several objectives are not supported."),
    (
        "return trial.suggest_float('unit', 0, 1)",
        "{file}.py:2: trial.suggest: 'unit' must be a parameter of the space, but this trial has none (a number from 0 to 1). Did you mean "
        "'units'? Write a file with 'automl space new --optuna', add it there, and run the file.",
    ),
    (
        "return trial.suggest_int('units', 5, 9)",
        "{file}.py:2: trial.suggest: units must be a whole number from 5 to 9, but the space gave 4. Let both say the same.",
    ),
    ("return trial.study.trials", "{file}.py:2: AttributeError: automl gives an Optuna objective no trial.study.trials. "),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES)
def test_mistakes_are_named_with_their_line(tmp_path: Path, line: str, said: str) -> None:
    spec = objective_trial(tmp_path, f"def objective(trial):\n    {line}\n")
    failed = trained(spec)[-1]
    assert isinstance(failed, Failed)
    assert failed.detail.startswith(said.format(file=spec.job.model.partition(":")[0]))
