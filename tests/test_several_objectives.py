"""Studies of several objectives: their values, their front, what is kept of it and what is pruned."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from automl import load_best
from automl.cli import automl
from automl.cli.front import print_front
from automl.data import inspect
from automl.errors import UsageError
from automl.events import Finished, Job, Reported, Started
from automl.metrics import MEASURES, reported
from automl.pareto import dominates
from automl.plan import settle
from automl.pruners import make_pruner
from automl.space import Float, SearchSpace
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.specrecord import from_dict, to_dict
from automl.store import Store
from automl.study import LEADERS, MOST_KEPT, Study
from automl.summary import best_record, front_sentence
from automl.training.outcomes import report
from automl.trials import Created, Pruned, Suggested
from contracts.studies import continuous

ACCURACY, SIZE, RECALL = Objective("accuracy", True), Objective("parameters", False), Objective("recall", True)


def study_of(*objectives: Objective, replicates: int = 1, epochs: int = 3) -> Study:
    first, *further = objectives
    spec = StudySpec("x", DataSpec("digits"), "mlp", first, epochs, continuous(1), replicates=replicates, further=tuple(further))
    return Study("x", spec, first)


def begin(study: Study, measures: Mapping[str, float] | None = None) -> int:
    number = len(study.trials)
    study.apply(Suggested(study.key(number), 0.0, {"x0": number / 1000}, "strategy", measures=measures or {}))
    for replicate in range(study.replicates):
        study.apply(Started(study.key(number, replicate), 0.0, "cpu", "cpu"))
    return number


def tell(study: Study, number: int, *curve: float, replicate: int = 0, **others: float) -> None:
    for value in curve:
        epoch = study.training(study.key(number, replicate)).epochs + 1
        study.apply(Reported(study.key(number, replicate), 0.0, epoch, {"accuracy": value, **others}, 1.0))


def complete(study: Study, size: float, *curve: float, **others: float) -> int:
    """A trial that trains to its end."""
    number = begin(study, {"parameters": size})
    tell(study, number, *curve, **others)
    study.apply(Finished(study.key(number), 0.0))
    return number


# -- values and front -------------------------------------------------------------------------------------------------


def test_all_values_are_those_of_the_best_epoch_by_the_first_objective() -> None:
    study = study_of(ACCURACY, RECALL, SIZE)
    number = begin(study, {"parameters": 100})
    for accuracy, recall in ((0.5, 0.9), (0.8, 0.3), (0.7, 0.6)):
        tell(study, number, accuracy, recall=recall)
    assert study.trials[number].epoch == 2
    assert study.reached(study.trials[number]) == {"accuracy": 0.8, "recall": 0.3, "parameters": 100}
    assert study.values(study.trials[number]) == (0.8, 0.3, 100)
    assert study.trials[number].metrics == {"parameters": 100, "accuracy": 0.8, "recall": 0.3}


def test_measures_are_known_before_anything_is_trained_and_of_what_fails() -> None:
    study = study_of(ACCURACY, SIZE)
    assert study.trials[begin(study, {"parameters": 100})].metrics == {"parameters": 100}


def test_values_of_replicates_are_their_means() -> None:
    study = study_of(ACCURACY, SIZE, RECALL, replicates=2)
    number = begin(study, {"parameters": 101})
    for replicate, (accuracy, recall) in enumerate(((0.5, 0.25), (0.75, 0.75))):
        tell(study, number, accuracy, replicate=replicate, recall=recall)
        study.apply(Finished(study.key(number, replicate), 0.0))
    assert study.values(study.trials[number]) == (0.625, 101, 0.5)
    assert [trial.number for trial in study.front] == [number]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20))
def test_the_front_is_what_no_complete_trial_dominates_and_the_best_is_on_it(values: list[tuple[int, int]]) -> None:
    study = study_of(ACCURACY, SIZE)
    numbers = [complete(study, size, accuracy / 10) for accuracy, size in values]
    losses = {number: study.losses(number) for number in numbers}
    expected = {number for number in numbers if not any(dominates(losses[other], losses[number]) for other in numbers)}
    assert {trial.number for trial in study.front} == expected
    accuracies = [trial.objective for trial in study.front]
    assert accuracies == sorted(accuracies, key=lambda each: -(each or 0))
    assert study.best == (study.front[0] if values else None)


def test_what_is_not_complete_is_not_on_the_front() -> None:
    study = study_of(ACCURACY, SIZE)
    number = begin(study, {"parameters": 1})
    tell(study, number, 0.99)
    study.apply(Pruned(study.key(number), 0.0, 1))
    assert study.front == []
    assert study.trials[complete(study, 5, 0.1)] in study.front


def test_the_front_of_one_objective_is_the_best() -> None:
    study = study_of(ACCURACY)
    for accuracy in (0.2, 0.7, 0.5, 0.7):
        complete(study, 1, accuracy)
    assert [trial.number for trial in study.front] == [1, 3]
    assert "front" not in (best_record(study) or {})


def test_objectives_that_were_never_reported_are_named() -> None:
    study = study_of(ACCURACY, RECALL)
    assert front_sentence(study) == "There is no Pareto front of accuracy and recall: no trial has reported accuracy or recall."
    complete(study, 1, 0.5)
    assert study.front == []
    assert study.best is not None
    assert front_sentence(study) == "There is no Pareto front of accuracy and recall: no trial has reported recall."
    complete(study, 1, 0.5, recall=0.5)
    assert front_sentence(study) == (
        "The Pareto front of accuracy and recall has 1 of 2 complete trials: no other one is better in one of them and nowhere worse, "
        "by the validation split, on one seed each."
    )


def test_values_with_brackets_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = study_of(ACCURACY, SIZE)
    complete(study, 3, 0.5)
    study.trials[0] = replace(study.trials[0], configuration={"x0": "[/b] :x: [relu]"})
    print_front(study, tmp_path)
    assert "x0 [/b] :x: [relu]" in capsys.readouterr().out


def test_the_record_of_the_best_has_the_front() -> None:
    study = study_of(ACCURACY, SIZE)
    for size, accuracy in ((10, 0.5), (20, 0.9), (30, 0.8)):
        complete(study, size, accuracy)
    record = best_record(study)
    assert record is not None
    assert record["objectives"] == {"accuracy": 0.9, "parameters": 20}
    assert record["front"] == [
        {"number": 1, "objectives": {"accuracy": 0.9, "parameters": 20}, "epoch": 1, "parameters": {"x0": 0.001}},
        {"number": 0, "objectives": {"accuracy": 0.5, "parameters": 10}, "epoch": 1, "parameters": {"x0": 0.0}},
    ]


# -- what is kept -----------------------------------------------------------------------------------------------------


def test_weights_are_kept_of_the_leaders_and_of_the_front() -> None:
    study = study_of(ACCURACY, SIZE)
    for step in range(10):
        complete(study, 100 - 10 * step, 0.9 - step / 100)  # all on the front
    complete(study, 1000, 0.895)  # not on the front, but second by accuracy
    assert study.kept == set(range(11))
    alone = study_of(ACCURACY)
    for step in range(10):
        complete(alone, 1, step / 10)
    assert alone.kept == {7, 8, 9} == set(alone.leaders)


def test_of_a_large_front_the_ends_and_the_loneliest_are_kept() -> None:
    study = study_of(ACCURACY, SIZE)
    for step in range(60):
        complete(study, 1000 - step, 0.9 - step / 1000)
    assert len(study.front) == 60
    assert MOST_KEPT <= len(study.kept) <= MOST_KEPT + LEADERS
    assert {0, 59} <= study.kept


# -- pruning ----------------------------------------------------------------------------------------------------------


def pruned_at(study: Study, size: float, *curve: float) -> bool:
    pruner = make_pruner("median", {"n_startup": 2, "min_epochs": 1}, study.spec.epochs)
    number = begin(study, {"parameters": size})
    tell(study, number, *curve)
    return pruner.prune(study, study.trials[number])


@pytest.mark.parametrize("objectives", [(ACCURACY,), (ACCURACY, SIZE)])
def test_a_trial_is_stopped_where_one_of_the_front_is_better_in_everything(objectives: Sequence[Objective]) -> None:
    study = study_of(*objectives)
    for size in (100, 90, 80):
        complete(study, size, 0.7, 0.8, 0.9)
    assert pruned_at(study, 100, 0.1)
    assert not pruned_at(study, 100, 0.75)
    assert pruned_at(study, 79, 0.1) == (len(objectives) == 1), "smaller than all others: it may be on the front, whatever its accuracy"


# -- from a space to the study ----------------------------------------------------------------------------------------


def spec_with(*further: Objective, data: str = "digits") -> StudySpec:
    space = SearchSpace((Float("dropout", 0.0, 0.5),), {"units": 8, "layers": 1})
    return StudySpec("x", DataSpec(data), "mlp", None, 3, space, settings=StudySettings(), source="x.yaml", further=further)


def test_settling_binds_what_a_configuration_costs_to_the_data() -> None:
    spec = settle(spec_with(), inspect(DataSpec("digits")))
    assert spec.space.measured({"dropout": 0.1}) == {"parameters": 64 * 8 + 8 + 8 * 10 + 10, "multiply_adds": 64 * 8 + 8 * 10}


def test_every_objective_must_suit_the_task() -> None:
    spec = replace(spec_with(Objective("r2", True)), objective=ACCURACY)
    message = "x.yaml: objective must be a metric of multiclass tasks, but is 'r2'. Metrics: "
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        settle(spec, inspect(DataSpec("digits")))


def test_what_is_reported_are_the_objectives_but_not_the_measures() -> None:
    assert reported("multiclass", "accuracy", "recall", "parameters") == ("loss", "train_loss", "accuracy", "recall")
    assert set(MEASURES) == {"parameters", "multiply_adds"}


def test_a_further_objective_that_cannot_be_measured_is_a_sentence() -> None:
    job = Job("x", "mlp", "", "", "accuracy", True, ("loss", "accuracy", "roc_auc"), further=("roc_auc",))
    message = "roc_auc: must be a finite number on the validation split, but is nan. Choose another objective."
    with pytest.raises(Exception, match=f"^{re.escape(message)}$"):
        report(job, 0.1, lambda names: {"loss": 0.1, "accuracy": 0.5, "roc_auc": float("nan")})


def test_a_study_of_before_there_were_several_still_opens(tmp_path: Path) -> None:
    """Its specification has no further objectives and its trials no measures."""
    study = study_of(ACCURACY)
    with Store.create(tmp_path, Created(0.0, "x", to_dict(study.spec), "accuracy", True, "", "0.1")) as store:
        store.append([Suggested(study.key(0), 0.0, {"x0": 0.5}, "strategy")])
    with sqlite3.connect(tmp_path / "study.db") as database:
        (body,) = database.execute("select body from events where kind = 'Suggested'").fetchone()
        *old, measures = json.loads(body)
        assert measures == {}
        database.execute("update events set body = ? where kind = 'Suggested'", (json.dumps(old),))
    database.close()
    with Store.read_only(tmp_path) as store:
        again = store.study()
    assert again.objectives == (ACCURACY,)
    assert again.trials[0].metrics == {}
    assert from_dict(to_dict(again.spec)) == again.spec


# -- a run ------------------------------------------------------------------------------------------------------------

SPACE = """\
data: digits
model: mlp
objective: [{maximize: accuracy}, {minimize: parameters}]
epochs: 2
space:
  units: {type: int, low: 4, high: 64, log: true}
  learning_rate: {type: float, low: 1e-3, high: 3e-2, log: true}
study: {strategy: random, trials: 6}
"""


@pytest.mark.usefixtures("prepares_here")
def test_a_run_ends_with_a_winner_and_a_front_that_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.yaml").write_text(SPACE)
    run = ["run", "two.yaml", "--engine", "inline", "--mlflow", "off", "--study", "two"]

    def call(*arguments: str) -> str:
        answer = CliRunner().invoke(automl, arguments, catch_exceptions=False, env={"COLUMNS": "100"})
        assert answer.exit_code == 0
        return answer.output

    said = call(*run)
    record = json.loads(call("best", "two", "--json"))
    trials = json.loads(call("trials", "two", "--json"))
    numbers = [entry["number"] for entry in record["front"]]
    assert record["number"] == numbers[0]
    assert "won by accuracy, the first objective, after 6 trials." in said
    assert f"The Pareto front of accuracy and parameters has {len(numbers)} of " in said
    assert all(trial["metrics"]["parameters"] == 75 * trial["parameters"]["units"] + 10 for trial in trials)
    assert all(trial["metrics"]["multiply_adds"] == 74 * trial["parameters"]["units"] for trial in trials)
    assert sorted(int(place.name) for place in Path("studies/two/front").iterdir()) == sorted(numbers)
    for number in numbers:
        assert len(load_best(f"studies/two/front/{number}").predict(np.zeros((3, 64)))) == 3
    assert "there is nothing left to do" in call(*run)
    assert "parameters" in call("trials", "two")
    assert f"{len(numbers)} on the Pareto front" in call("status", "two")
    shutil.rmtree(f"studies/two/front/{numbers[-1]}")
    call(*run)
    assert Path(f"studies/two/front/{numbers[-1]}/weights.pt").is_file(), "what is missing is written again"
