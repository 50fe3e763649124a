from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking.stories import HEADER, configuration, summary

from automl.tracking.content import (
    LONGEST_NAME,
    PARENT_STATUS,
    STATUS,
    entity_key,
    last_part,
    logarithms_of,
    params_of,
    shortened,
    study_metrics,
    trial_name,
)


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
    from automl.trials import State

    assert set(STATUS) == set(get_args(State))
    assert set(get_args(WhyRested)) <= set(PARENT_STATUS)


def test_a_summary_counts_all_errors_as_failed() -> None:
    told = replace(
        summary(), counts={"complete": 3, "pruned": 5, "diverged": 1, "out_of_memory": 1, "waiting": 2}, epochs=(30, 120), gain=0.25
    )
    assert study_metrics(told) == {"trials/complete": 3, "trials/pruned": 5, "trials/failed": 2, "epochs/saved_percent": 25, "gain": 0.25}


def test_logarithms_are_of_parameters_on_a_logarithmic_scale_and_of_values_that_have_one() -> None:
    header = replace(HEADER, logarithmic=("learning_rate", "l2", "momentum"))
    assert logarithms_of(header, {"learning_rate": 0.01, "l2": 0.0, "dropout": 0.5}) == {"log10/learning_rate": -2.0}
