"""The signed-rank rule: its probabilities, and which trials of several folds it stops."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from automl.errors import UsageError
from automl.events import Finished
from automl.pruners import Pruner, check_pruner, make_pruner
from automl.pruners.wilcoxon import chance
from automl.study import Study
from contracts.pruner import EPOCHS, QUICK, PrunerContract, curve
from contracts.studies import Play, continuous, make_study

FOLDS = 5
OFFSETS = [0.0, 0.3, -0.1, 0.2, 0.5]  # some folds are harder than others, for every trial


class TestWilcoxon(PrunerContract):
    """Trials of one training, and of three, give it nothing to go by."""

    name = "wilcoxon"
    prunes = False
    replicates = FOLDS


@QUICK
@given(st.lists(st.integers(-50, 50).filter(bool), min_size=1, max_size=12, unique_by=abs))
def test_the_probability_is_the_exact_one(differences: list[int]) -> None:
    exact = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
    assert chance([float(each) for each in differences]) == pytest.approx(exact)


def test_ties_have_their_own_exact_distribution() -> None:
    """Four equal differences: all positive in one of 16 cases; three or four of them in five."""
    assert chance([1.0] * 4) == 1 / 16
    assert chance([1.0, 1.0, 1.0, -1.0]) == 5 / 16
    assert chance([]) == 1.0
    assert chance([float("inf"), 1.0, 2.0]) == 1 / 8


def study_of_two(level: float, folds: int, pruner: Pruner, *, maximize: bool = False) -> tuple[Study, int | None]:
    """A complete trial, then one that is ``level`` worse in the last ``folds`` folds and better in the others, fold after fold. Returns how
    many of its folds had begun when it was stopped."""
    sign = -1 if maximize else 1
    study = make_study(continuous(1), maximize=maximize, epochs=EPOCHS, replicates=FOLDS)
    played = Play(study)
    for number in range(2):
        played.suggest({"x0": number / 2})
        for fold, offset in enumerate(OFFSETS):
            worse = level if number and fold >= FOLDS - folds else -0.01 * number
            for value in curve(offset + worse * (1 + fold / 10)):
                played.report(number, sign * value, fold)
                if pruner.prune(study, study.trials[number]):
                    return study, fold + 1
            played.apply(Finished(study.key(number, fold), 0.0))
    return study, None


@pytest.mark.parametrize("maximize", [False, True])
def test_what_is_worse_in_every_fold_is_stopped_at_the_fourth(maximize: bool) -> None:
    """The probability of four of four is 1/16, of three of three 1/8; the differences between folds do not matter."""
    pruner = make_pruner("wilcoxon", {}, EPOCHS, replicates=FOLDS)
    study, folds = study_of_two(0.05, 5, pruner, maximize=maximize)
    assert folds == 4
    assert [one.epochs for one in study.trials[1].replicates] == [EPOCHS, EPOCHS, EPOCHS, 3, 0], "three epochs are the least"


def test_what_is_worse_in_some_folds_only_goes_on() -> None:
    pruner = make_pruner("wilcoxon", {}, EPOCHS, replicates=FOLDS)
    assert study_of_two(0.005, 3, pruner)[1] is None
    assert study_of_two(-0.05, 5, pruner)[1] is None


def test_a_lower_threshold_wants_more_folds() -> None:
    assert study_of_two(0.05, 5, make_pruner("wilcoxon", {"threshold": 0.04}, EPOCHS, replicates=FOLDS))[1] == 5


@pytest.mark.parametrize(("threshold", "needed"), [(0.5, 1), (0.1, 4), (0.05, 5), (0.01, 7)])
def test_too_few_folds_for_any_outcome_are_an_error(threshold: float, needed: int) -> None:
    check_pruner("wilcoxon", {"threshold": threshold}, 10, replicates=needed)
    sentence = (
        f"--pruner wilcoxon: with a threshold of {threshold:g} a trial must have at least {needed} folds or replicates, "
        f"but has {needed - 1}. Take --pruner asha."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        check_pruner("wilcoxon", {"threshold": threshold}, 10, replicates=needed - 1)
