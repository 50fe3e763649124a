"""What an Optuna objective is handed says and does what Optuna's own trial does, or says why not."""

from __future__ import annotations

import re
from typing import Any

import optuna
import pytest

from automl.errors import UsageError
from automl.events import Value
from automl.suggestions import Asked, OptunaTrial, is_pruned


class Last:
    """Chooses the highest or last value; prunes after two reports."""

    number, maximize, study_name = 7, True, "mine"

    def __init__(self) -> None:
        self.reports: list[float] = []

    def choose(self, asked: Asked) -> Value:
        return asked.choices[-1] if asked.kind == "categorical" else asked.fitted(asked.high)

    def report(self, value: float) -> None:
        self.reports.append(value)

    def should_prune(self) -> bool:
        return len(self.reports) >= 2


def test_it_suggests_what_it_is_given_and_the_same_when_asked_again() -> None:
    trial = OptunaTrial(Last())
    assert trial.suggest_float("a", 0, 1) == trial.suggest_float("a", 0, 1) == 1.0
    assert trial.suggest_int("b", 1, 10, step=4) == 9
    assert trial.suggest_categorical("c", [1, None, "x"]) == "x"
    assert trial.suggest_float("d", 0.1, 0.75, step=0.2) == 0.7
    assert (trial.suggest_uniform("e", 0, 2), trial.suggest_loguniform("f", 1, 2), trial.suggest_discrete_uniform("g", 0, 1, 0.3)) == (
        2,
        2,
        0.9,
    )
    assert trial.params == {"a": 1.0, "b": 9, "c": "x", "d": 0.7, "e": 2.0, "f": 2.0, "g": 0.9}
    assert (trial.number, trial.study.study_name) == (7, "mine")
    assert trial.study.directions == [trial.study.direction] == [optuna.study.StudyDirection.MAXIMIZE]


def test_ranges_are_cut_to_their_steps_as_optuna_cuts_them() -> None:
    """Held against Optuna's own distributions."""
    shown = Last()
    asked: list[Asked] = []
    shown.choose = lambda one: (asked.append(one), one.low)[1]  # type: ignore[method-assign]
    trial = OptunaTrial(shown)
    with pytest.warns(UserWarning, match="not divisible"):
        theirs = [optuna.distributions.IntDistribution(1, 10, step=4), optuna.distributions.FloatDistribution(0.1, 0.75, step=0.2)]
    trial.suggest_int("b", 1, 10, step=4)
    trial.suggest_float("d", 0.1, 0.75, step=0.2)
    assert [(one.low, one.high, one.step) for one in asked] == [(one.low, pytest.approx(one.high), one.step) for one in theirs]


@pytest.mark.parametrize(
    ("value", "asked", "fitted"),
    [
        (0.234, Asked("x", "float", 0.0, 1.0, step=0.1), 0.2),
        (0.97, Asked("x", "float", 0.0, 0.9, step=0.3), None),
        (0.88, Asked("x", "float", 0.0, 0.9, step=0.3), 0.9),
        (3, Asked("x", "float", 0.0, 5.0), 3.0),
        (5, Asked("x", "int", 1, 9, step=4), 5),
        (6, Asked("x", "int", 1, 9, step=4), None),
        (True, Asked("x", "int", 0, 1, step=1), None),
        (1, Asked("x", "categorical", choices=(True, 1)), 1),
        ("b", Asked("x", "categorical", choices=("a",)), None),
    ],
)
def test_a_value_fits_what_is_asked_for_or_is_refused(value: Value, asked: Asked, fitted: Value) -> None:
    if fitted is None:
        with pytest.raises(ValueError, match=re.escape(asked.domain)):
            asked.fitted(value)
    else:
        assert asked.fitted(value) == fitted
        assert type(asked.fitted(value)) is type(fitted)


MISTAKES: list[tuple[Any, str]] = [
    (lambda t: t.suggest_float("x", 2, 1), "trial.suggest: x: low must not be above high, but they are 2 and 1."),
    (lambda t: t.suggest_float("x", 0, 1, log=True), "trial.suggest: x: low must be above 0 on a log scale, but is 0."),
    (lambda t: t.suggest_float("x", 1, 2, log=True, step=0.1), "trial.suggest: x: log and step cannot go together."),
    (lambda t: t.suggest_float("x", 0, 1, step=-1), "trial.suggest: x: step must be above 0, but is -1."),
    (lambda t: t.suggest_float("x", 0, float("inf")), "trial.suggest: x: high must be a finite number, but is inf."),
    (lambda t: t.suggest_int("x", 0.5, 1), "trial.suggest: x: low must be a whole number, but is 0.5."),
    (lambda t: t.suggest_int("x", 1, 2, step=0), "trial.suggest: x: step must be at least 1, but is 0."),
    (lambda t: t.suggest_int("x", 0, 2, log=True), "trial.suggest: x: on a log scale low must be above 0 and step 1."),
    (lambda t: t.suggest_categorical("x", []), "trial.suggest: x: there must be choices, but there are none."),
    (
        lambda t: t.suggest_categorical("x", [(1, 2)]),
        "trial.suggest: x: choices must be texts, numbers, true, false or None, but one is of type tuple. Choose among names, and look the "
        "object up by its name.",
    ),
    (lambda t: t.suggest_float(3, 0, 1), "trial.suggest: the name of a parameter must be a text, but is 3."),
    (
        lambda t: (t.suggest_float("x", 0, 1), t.suggest_float("x", 0, 2)),
        "trial.suggest: x: must be the same each time, but is a number from 0 to 2 after a number from 0 to 1.",
    ),
    (lambda t: t.report("high", 1), "trial.report: the value must be a number, but is of type str."),
]


@pytest.mark.parametrize(("call", "sentence"), MISTAKES)
def test_mistakes_are_named(call: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        call(OptunaTrial(Last()))


def test_what_it_does_not_have_is_named() -> None:
    trial = OptunaTrial(Last())
    with pytest.raises(
        AttributeError, match=r"^automl gives an Optuna objective no trial\.set_user_atr\. It has .*Did you mean 'set_user_attr'\?$"
    ):
        _ = trial.set_user_atr
    sentence = "automl gives an Optuna objective no trial.study.best_value. It has direction, directions, study_name, user_attrs."
    with pytest.raises(AttributeError, match=f"^{re.escape(sentence)}$"):
        _ = trial.study.best_value


def test_a_step_counts_once() -> None:
    """As in Optuna, which leaves out a second value of a step."""
    behind = Last()
    trial = OptunaTrial(behind)
    for step in (0, 0, 5):
        trial.report(step, step)
    assert (behind.reports, trial.should_prune()) == ([0.0, 5.0], True)


def test_pruning_is_known_by_its_name() -> None:
    class Own(optuna.TrialPruned):
        pass

    assert [is_pruned(error) for error in (optuna.TrialPruned(), Own(), ValueError())] == [True, True, False]
