"""Pruners are asked for by name, with options; what cannot be is answered with what can."""

import re
from collections.abc import Mapping

import pytest

from automl.errors import UsageError
from automl.events import Value
from automl.pruners import PRUNERS, check_pruner, default_min_epochs, make_pruner


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        (
            "ahsa",
            {},
            "--pruner: 'ahsa' is not a pruner. Pruners: none, median, percentile, asha, hyperband, patient, wilcoxon. Did you mean 'asha'?",
        ),
        (
            "asha",
            {"reduction": 4},
            "--pruner asha: 'reduction' is not an option. Options: min_epochs, reduction_factor. Did you mean 'reduction_factor'?",
        ),
        ("none", {"min_epochs": 1}, "--pruner none: 'min_epochs' is not an option. none takes no options: leave it out."),
        (
            "asha",
            {"reduction_factor": 1},
            "--pruner asha: reduction_factor must be a whole number of at least 2, but is 1. Leave it out for the default (3).",
        ),
        (
            "median",
            {"min_epochs": 11},
            "--pruner median: min_epochs must be a whole number of at least 1 and at most 10, but is 11. Leave it out for the default.",
        ),
        (
            "percentile",
            {"keep": 100},
            "--pruner percentile: keep must be a number above 0 and below 100, but is 100. Leave it out for the default (25.0).",
        ),
        (
            "patient",
            {"rule": "none"},
            "--pruner patient: rule must be one of median, percentile, asha, hyperband, but is 'none'. "
            "Leave it out for the default (median).",
        ),
        (
            "wilcoxon",
            {},
            "--pruner wilcoxon: with a threshold of 0.1 a trial must have at least 4 folds or replicates, but has 1. Take --pruner asha.",
        ),
        (
            "hyperband",
            {"min_epochs": 2.5},
            "--pruner hyperband: min_epochs must be a whole number of at least 1 and at most 10, but is 2.5. Leave it out for the default.",
        ),
    ],
)
def test_what_cannot_be_is_answered_with_what_can(name: str, given: Mapping[str, Value], sentence: str) -> None:
    for door in (check_pruner, make_pruner):
        with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
            door(name, given, 10)


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_can_be_made_with_its_defaults_written_out(name: str) -> None:
    make_pruner(name, check_pruner(name, {}, 25, replicates=5), 25, replicates=5)


@pytest.mark.parametrize(("epochs", "first"), [(1, 1), (10, 1), (11, 2), (25, 3), (1000, 100)])
def test_the_default_minimum_is_a_tenth_of_the_epochs_rounded_up(epochs: int, first: int) -> None:
    assert default_min_epochs(epochs) == first
    assert check_pruner("asha", {"min_epochs": None}, epochs) == {"min_epochs": first, "reduction_factor": 3}
