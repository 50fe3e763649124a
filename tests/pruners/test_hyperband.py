"""Hyperband."""

from collections import Counter

from automl.pruners import make_pruner
from automl.pruners.hyperband import Hyperband
from contracts.pruner import EPOCHS, PrunerContract, curve, levels, train_all


class TestHyperband(PrunerContract):
    name = "hyperband"


def test_brackets_have_the_shares_of_the_algorithm() -> None:
    """R = 27, eta = 3, s_max = 3: 27, 12, 6 and 4 trials begin in the brackets s = 3, 2, 1 and 0."""
    hyperband = Hyperband(epochs=27, min_epochs=1, reduction_factor=3)
    counts = Counter(hyperband.bracket(0, number) for number in range(4900))
    for bracket, share in enumerate((27, 12, 6, 4)):
        assert abs(counts[bracket] - 100 * share) < 5 * (100 * share) ** 0.5


def test_a_trial_keeps_its_bracket_and_other_seeds_have_others() -> None:
    hyperband = Hyperband(epochs=27, min_epochs=1, reduction_factor=3)
    brackets = [[hyperband.bracket(seed, number) for number in range(50)] for seed in (0, 0, 1)]
    assert brackets[0] == brackets[1] != brackets[2]


def test_a_bracket_prunes_at_its_own_rungs_alone() -> None:
    """Bracket b skips the first b rungs; the last one lets every trial train to its end."""
    hyperband = Hyperband(epochs=EPOCHS, min_epochs=1, reduction_factor=3)
    _, decisions = train_all(make_pruner("hyperband", {"min_epochs": 1}, EPOCHS), [curve(level) for level in levels(150)], seed=2)
    rungs = {bracket: set((1, 3, 9)[bracket:]) for bracket in range(4)}
    stopped = [(hyperband.bracket(2, number), epoch) for number, epoch, stops in decisions if stops]
    assert all(epoch in rungs[bracket] for bracket, epoch in stopped)
    assert {bracket for bracket, _ in stopped} == {0, 1, 2}
