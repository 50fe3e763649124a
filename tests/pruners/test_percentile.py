"""The percentile rule."""

import pytest

from automl.pruners import make_pruner
from contracts.pruner import EPOCHS, PrunerContract, curve, levels, states, train_all


class TestPercentile(PrunerContract):
    name = "percentile"


class TestPercentileThatKeepsMost(PrunerContract):
    name = "percentile"
    options = {"keep": 90.0, "n_startup": 2, "min_epochs": 4}  # noqa: RUF012


def test_half_is_the_median_rule() -> None:
    curves = [curve(level, noise=0.2, seed=number) for number, level in enumerate(levels(40))]
    _, halves = train_all(make_pruner("percentile", {"keep": 50}, EPOCHS), curves)
    _, median = train_all(make_pruner("median", {}, EPOCHS), curves)
    assert halves == median


@pytest.mark.parametrize(("keep", "passes"), [(10, 2), (25, 3), (50, 6), (99.9, 10)])
def test_a_trial_goes_on_when_it_is_among_the_best_so_many_per_cent_or_equal(keep: float, passes: int) -> None:
    """Ten complete trials with the errors 1 to 10, of which one may be equalled."""
    complete = [[float(level)] * EPOCHS for level in range(1, 11)]
    pruner = make_pruner("percentile", {"keep": keep, "n_startup": 10}, EPOCHS)
    on = []
    for level in range(1, 11):
        played, _ = train_all(pruner, [*complete, [float(level)] * EPOCHS], parallel=1)
        on.append(states(played.study)[10] == "complete")
    assert on == [True] * passes + [False] * (10 - passes)
