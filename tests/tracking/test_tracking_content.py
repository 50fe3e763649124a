from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking.stories import HEADER, configuration, summary, trial

from automl.tracking.content import LONGEST_NAME, PARENT_STATUS, STATUS, entity_key, last_part, note, params_of, shortened, trial_name


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"learning_rate": 0.00312, "optimizer": "sgd", "layers": 2, "units": 128}, "17 lr=0.0031 sgd 2x128"),
        ({"layers": 3, "units_1": 128, "units_2": 64, "units_10": 8, "learning_rate": 0.1}, "17 lr=0.1 128-64-8"),
        ({"conv_layers": 2, "channels_1": 32, "channels_2": 64, "optimizer": "adam"}, "17 adam conv 32-64"),
        ({"conv_layers": 2, "channels": 32}, "17 conv 2x32"),
        ({"units": 4, "momentum": 0.91234}, "17 units=4 momentum=0.91"),
        ({"batch_size": 64, "normalization": None, "nesterov": True}, "17 batch_size=64 nesterov=true"),
        ({}, "17"),
    ],
)
def test_a_trial_is_named_by_its_most_telling_values(values: dict[str, object], name: str) -> None:
    assert trial_name(17, "strategy", values, tuple(values)) == name  # type: ignore[arg-type]


def test_the_baseline_is_named_so() -> None:
    assert trial_name(0, "baseline", configuration(0), HEADER.searched) == "0 baseline"


def test_only_searched_values_name_a_trial() -> None:
    assert trial_name(1, "enqueued", {"learning_rate": 0.1, "optimizer": "sgd"}, ("learning_rate",)) == "1 lr=0.1"


@given(st.dictionaries(st.text(max_size=60), st.text(max_size=60) | st.floats() | st.none() | st.booleans(), max_size=6))
def test_a_name_is_short_whatever_it_is_made_of(values: dict[str, object]) -> None:
    assert len(trial_name(123456, "strategy", values, tuple(values))) <= LONGEST_NAME  # type: ignore[arg-type]


def test_params_are_written_as_in_a_search_space_file() -> None:
    assert params_of({"a": True, "b": None, "c": 1e-05, "d": 3, "e": "relu"}) == {
        "a": "true",
        "b": "null",
        "c": "1e-05",
        "d": "3",
        "e": "relu",
    }


@settings(deadline=None)  # the first example imports MLflow
@given(st.text() | st.text("a. /:-"))
def test_mlflow_takes_every_name_that_was_made_for_it(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(entity_key(name))


def test_names_that_mlflow_takes_stay_as_they_are() -> None:
    assert entity_key("units_1") == "units_1"
    assert entity_key("val/loss x.y-z") == "val/loss x.y-z"
    assert entity_key("größe(m²)") == "gr__e_m__"


def test_what_is_too_long_is_shortened_visibly() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("x" * 30, 20) == "xxxxxx … (shortened)"
    assert last_part("a" * 30 + "the error", 25) == "(shortened) … aathe error"


def test_every_state_has_a_status() -> None:
    from typing import get_args

    from automl.driver import WhyRested
    from automl.study import State

    assert set(STATUS) == set(get_args(State))
    assert set(get_args(WhyRested)) <= set(PARENT_STATUS)


def test_the_note_says_who_won_and_by_how_much() -> None:
    best, base = trial(7), replace(trial(0), objective=0.55)
    told = replace(summary(best, base), baseline=base, gain=0.057, test_metrics={"accuracy": 0.59}, test_split="test")
    assert note(HEADER, told, {7: "#/x/7"}) == (
        "**Trial 7 is best: accuracy 0.607** in epoch 10 (2 of 50 trials). The baseline reached 0.55: a gain of 0.057.\n\n"
        "Measured once on the test split: accuracy 0.59.\n\n"
        "Trials: 2 complete.\n\n"
        "| trial | accuracy | epoch | layers | units | optimizer | learning_rate | dropout |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| [7](#/x/7) | 0.607 | 10 | 2 | 71 | sgd | 0.008 | 0.1 |\n"
        "| 0 | 0.55 | 10 | 2 | 64 | sgd | 0.001 | 0.1 |"
    )


def test_the_note_says_that_nothing_beat_the_baseline() -> None:
    base = trial(0)
    told = note(HEADER, replace(summary(base), baseline=base, gain=0.0), {})
    assert told.startswith("**Trial 0 is best: accuracy 0.6** in epoch 10 (1 of 50 trials). That is the baseline: no trial beat it.\n")


def test_the_note_of_a_study_without_complete_trials_says_so() -> None:
    assert note(HEADER, replace(summary(), counts={"failed": 3, "waiting": 1}), {}) == (
        "**No trial is complete yet** (accuracy, 3 of 50 trials).\n\nTrials: 3 failed, 1 waiting."
    )


def test_values_do_not_break_the_table() -> None:
    odd = replace(trial(1), configuration={"optimizer": "a|b\nc"})
    assert note(HEADER, summary(odd), {}).splitlines()[-1] == "| 1 | 0.601 | 10 | a\\|b c |"
