"""Bayesian search: the contract, that it learns, and what it learns from."""

import statistics

import pytest

from automl.draws import unit_at
from automl.events import Configuration
from automl.space import Float, SearchSpace
from automl.strategies import make_strategy
from automl.study import Study
from automl.trials import State
from contracts.strategy import StrategyContract
from contracts.studies import Play, bowl, continuous, cube, make_study, many_sided_space, play


class TestBayesian(StrategyContract):
    name = "bayesian"


class TestBayesianThatModelsAtOnce(StrategyContract):
    name = "bayesian"
    options = {"n_startup": 1, "n_candidates": 4}  # noqa: RUF012


def best_of(strategy: str, space: SearchSpace, seed: int, maximize: bool = False, parallel: int = 2) -> float:
    """The least value of the bowl after 30 trials."""
    study = make_study(space, seed=seed, maximize=maximize)
    sign = -1 if maximize else 1
    value = bowl(space)
    play(study, make_strategy(strategy, {}, space), lambda configuration: sign * value(configuration), 30, parallel)
    return min(value(trial.configuration) for trial in study.trials)


@pytest.mark.parametrize("space", [continuous(4), many_sided_space()], ids=["continuous", "conditional"])
def test_it_beats_random_search_on_a_smooth_function(space: SearchSpace) -> None:
    """30 trials, two at a time, ten seeds each: were the two equal, eight wins of ten would have a probability of 5 %."""
    pairs = [(best_of("bayesian", space, seed), best_of("random", space, seed)) for seed in range(10)]
    assert sum(ours < theirs for ours, theirs in pairs) >= 8
    assert statistics.mean(ours for ours, _ in pairs) < 0.8 * statistics.mean(theirs for _, theirs in pairs)


def test_maximising_is_minimising_the_negative() -> None:
    assert best_of("bayesian", continuous(3), 1, maximize=True) == best_of("bayesian", continuous(3), 1, maximize=False)


def test_until_enough_trials_have_a_value_it_draws_what_random_search_would() -> None:
    space = continuous(3)
    studies = [make_study(space, seed=4) for _ in range(2)]
    for study, name in zip(studies, ("bayesian", "random"), strict=True):
        play(study, make_strategy(name, {}, space), bowl(space), 12)
    ours, theirs = ([trial.configuration for trial in study.trials] for study in studies)
    assert ours[:10] == theirs[:10]
    assert ours[10] != theirs[10]


def after(trials: list[tuple[float, State, float]], *, maximize: bool = False) -> tuple[Study, Play]:
    """A study of one parameter: (x, how it ended, its value)."""
    study = make_study(SearchSpace((Float("x", 0.0, 1.0),)), maximize=maximize)
    played = Play(study)
    for x, state, value in trials:
        played.train(played.suggest({"x": x}), [value] if state in ("complete", "pruned") else [], state)
    return study, played


def suggested(study: Study, count: int = 20) -> list[float]:
    """Where the model would go next, without regard to pending ones: the first suggestion for each of several seeds."""
    positions = []
    for seed in range(count):
        strategy = make_strategy("bayesian", {"n_startup": 5}, study.space)
        again = make_study(study.space, seed=seed, maximize=study.objective.maximize)
        again.trials, again.ended_order, again._keys = study.trials, study.ended_order, study._keys
        (configuration,) = strategy.suggest(again, 1)
        x = configuration["x"]
        assert isinstance(x, float)
        positions.append(x)
    return positions


@pytest.mark.parametrize("state", ["diverged", "failed", "out_of_memory", "timeout"])
@pytest.mark.parametrize("first", [True, False])
def test_trials_that_broke_down_teach_that_their_region_is_bad(state: State, first: bool) -> None:
    """Also where they came before anything had a value, and though every value of the others is the same."""
    broken: list[tuple[float, State, float]] = [(0.5 + index / 40, state, 0.0) for index in range(20)]
    sound: list[tuple[float, State, float]] = [(0.05 + index / 25, "complete", 0.9) for index in range(10)]
    study, _ = after([*broken, *sound] if first else [*sound, *broken], maximize=True)
    assert statistics.mean(x < 0.5 for x in suggested(study)) >= 0.8


def test_pruned_trials_are_used_with_their_last_value() -> None:
    """Nothing is complete yet: what was pruned at a good value is better than what was pruned at a bad one."""
    pruned: list[tuple[float, State, float]] = [(index / 20 + 0.01, "pruned", abs(index / 20 - 0.25)) for index in range(20)]
    study, _ = after(pruned)
    assert abs(statistics.median(suggested(study)) - 0.26) < 0.12


def test_lost_trials_and_those_outside_of_the_space_teach_nothing() -> None:
    complete: list[tuple[float, State, float]] = [(index / 10 + 0.03, "complete", abs(index / 10 - 0.5)) for index in range(10)]
    with_others, played = after(complete)
    played.train(played.suggest({"x": 7.0}, "enqueued"), [0.0])
    played.train(played.suggest({"x": 0.9}), [], "lost")
    alone, _ = after(complete)
    alone_at_twelve = make_study(alone.space, maximize=False)
    padded = Play(alone_at_twelve)
    for x, state, value in complete:
        padded.train(padded.suggest({"x": x}), [value], state)
    for x in (8.0, 9.0):
        padded.train(padded.suggest({"x": x}, "enqueued"), [-5.0])
    answers = [make_strategy("bayesian", {"n_startup": 5}, study.space).suggest(study, 1) for study in (with_others, alone_at_twelve)]
    assert answers[0] == answers[1]


def test_pending_trials_push_further_ones_away() -> None:
    """Constant liar: of 64 asked at once on a line, no two are the same and they do not crowd at the best point."""
    study, _ = after([(index / 20 + 0.02, "complete", (index / 20 - 0.5) ** 2) for index in range(20)])
    batch = make_strategy("bayesian", {}, study.space).suggest(study, 64)
    positions = sorted(float(configuration["x"]) for configuration in batch)  # type: ignore[arg-type]
    assert len(set(positions)) == 64
    assert statistics.pstdev(positions) > 0.1
    assert max(sum(low <= x < low + 0.05 for x in positions) for low in [step / 20 for step in range(20)]) <= 24


def test_without_any_value_it_goes_on_as_random_search_does() -> None:
    space = cube(3, 4)
    study = make_study(space)
    played = Play(study)
    strategy, draws = make_strategy("bayesian", {}, space), make_strategy("random", {}, space)
    for _ in range(64):
        (configuration,) = strategy.suggest(study, 1)
        assert [configuration] == draws.suggest(study, 1)
        played.train(played.suggest(configuration), [], "diverged")
    assert strategy.suggest(study, 1) == []


def test_only_the_last_trial_number_and_the_history_decide_a_draw() -> None:
    """Two studies with the same trials that ended in another order: the same suggestion."""
    space = continuous(2)
    configurations: list[Configuration] = [{"x0": unit_at(number, "x0"), "x1": unit_at(number, "x1")} for number in range(15)]
    answers = []
    for order in (range(15), reversed(range(15))):
        study = make_study(space)
        played = Play(study)
        for configuration in configurations:
            played.suggest(configuration)
        strategy = make_strategy("bayesian", {}, space)
        for number in order:
            strategy.suggest(study, 1)
            played.train(number, [bowl(space)(configurations[number])])
        answers.append(strategy.suggest(study, 2))
    assert answers[0] == answers[1]
