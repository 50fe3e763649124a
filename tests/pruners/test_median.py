"""The median rule."""

from automl.pruners import make_pruner
from contracts.pruner import EPOCHS, PrunerContract, curve, states, train_all


class TestMedian(PrunerContract):
    name = "median"


class TestMedianFromTheNinthEpoch(PrunerContract):
    name = "median"
    options = {"min_epochs": 9, "n_startup": 2}  # noqa: RUF012


def constant(level: float, epochs: int = EPOCHS) -> list[float]:
    return [level] * epochs


def test_nothing_is_pruned_until_enough_trials_are_complete() -> None:
    played, _ = train_all(make_pruner("median", {"n_startup": 5}, EPOCHS), [constant(level) for level in range(8)], parallel=1)
    assert states(played.study) == ["complete"] * 5 + ["pruned"] * 3


def test_the_median_itself_goes_on_and_worse_does_not() -> None:
    curves = [constant(level) for level in (1, 2, 3, 4, 5, 3, 3.001)]
    played, _ = train_all(make_pruner("median", {}, EPOCHS), curves, parallel=1)
    assert states(played.study) == ["complete"] * 6 + ["pruned"]


def test_a_trial_is_judged_by_its_best_epoch_so_far() -> None:
    """A curve that was good once and got worse is kept: its weights of the best epoch count."""
    curves = [constant(1.0)] * 5 + [[0.5, *constant(9.0, EPOCHS - 1)]]
    played, _ = train_all(make_pruner("median", {}, EPOCHS), curves, parallel=1)
    assert states(played.study)[5] == "complete"


def test_trials_that_stopped_early_keep_their_best_value_for_later_epochs() -> None:
    curves = [curve(0.0)[:4]] * 5 + [constant(0.3)]
    played, decisions = train_all(make_pruner("median", {"min_epochs": 10}, EPOCHS), curves, parallel=1)
    assert decisions[-1] == (5, 10, True), "the others ended at epoch 4 with 0.19"
    assert states(played.study)[5] == "pruned"
