"""Random search: the contract, and the distribution of its draws."""

from collections import Counter

from automl.expressions import Expression
from automl.space import Float, Int, SearchSpace
from automl.strategies import make_strategy
from contracts.strategy import StrategyContract
from contracts.studies import continuous, make_study, play


class TestRandom(StrategyContract):
    name = "random"


def test_trial_n_is_the_spaces_own_draw_at_position_n() -> None:
    """Nothing that happened before matters, as long as nothing repeats."""
    space = continuous(3)
    study = make_study(space, seed=8)
    play(study, make_strategy("random", {}, space), lambda configuration: 0.0, trials=20, parallel=3)
    assert [trial.configuration for trial in study.trials] == [space.sample(8, "random", number, 0) for number in range(20)]


def test_draws_are_uniform_over_what_the_rules_allow() -> None:
    space = SearchSpace((Int("x", 0, 3), Float("y", 0.0, 1.0)), forbid=(Expression.parse("x == 1"),))
    counts: Counter[object] = Counter()
    for configuration in make_strategy("random", {}, space).suggest(make_study(space), 600):
        counts[configuration["x"]] += 1
    assert set(counts) == {0, 2, 3}
    assert all(150 < count < 250 for count in counts.values()), "200 expected, five standard deviations are 58"


def test_a_continuous_space_whose_rules_leave_a_thousandth_is_still_searched() -> None:
    rules = tuple(Expression.parse(f"x{side} > 0.1") for side in range(3))
    space = SearchSpace(continuous(3).parameters, forbid=rules)
    suggestions = make_strategy("random", {}, space).suggest(make_study(space), 20)
    assert len({space.key(configuration) for configuration in suggestions}) == 20
    assert all(space.contains(configuration) for configuration in suggestions)


def test_a_rule_that_forbids_all_but_one_of_many_configurations_costs_a_bounded_walk() -> None:
    """Every configuration but one is forbidden, and no rule can be judged before the last parameter is known."""
    only = " or ".join(f"x{side} != {side}" for side in range(5))
    space = SearchSpace(tuple(Int(f"x{side}", 0, 9) for side in range(5)), forbid=(Expression.parse(only),))
    suggestions = make_strategy("random", {}, space).suggest(make_study(space), 2)
    assert suggestions == [{f"x{side}": side for side in range(5)}]


def test_what_cannot_be_found_in_a_boundless_space_is_given_up() -> None:
    space = SearchSpace((Int("x", 1, 10**9), Float("y", 0.0, 1.0)), forbid=(Expression.parse("x + y > 0"),))
    assert make_strategy("random", {}, space).suggest(make_study(space), 1) == []
