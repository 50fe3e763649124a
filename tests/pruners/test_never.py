"""No pruning."""

from contracts.pruner import PrunerContract, curve, levels, states, train_all


class TestNever(PrunerContract):
    name = "none"
    prunes = False


def test_every_trial_trains_to_its_end() -> None:
    played, _ = train_all(TestNever().make(), [curve(level) for level in levels(20)])
    assert set(states(played.study)) == {"complete"}
