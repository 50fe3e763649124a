"""Regularised evolution: the contract, and who has children."""

import random

from hypothesis import given
from hypothesis import strategies as st

from automl.draws import unit_at
from automl.events import Configuration
from automl.space import Float, Int, SearchSpace
from automl.strategies import make_strategy
from automl.strategies.mutation import mutated
from contracts.strategy import QUICK, StrategyContract
from contracts.studies import Play, bowl, continuous, make_study, many_sided_space, play, spaces


class TestEvolution(StrategyContract):
    name = "evolution"


class TestEvolutionOfADozen(StrategyContract):
    name = "evolution"
    options = {"population": 12, "tournament": 3}  # noqa: RUF012


def differences(ours: Configuration, theirs: Configuration) -> int:
    return sum(ours[name] != theirs[name] for name in ours.keys() & theirs.keys())


def test_until_the_population_is_full_it_draws_what_random_search_would() -> None:
    space = continuous(3)
    studies = [make_study(space, seed=4) for _ in range(2)]
    for study, name in zip(studies, ("evolution", "random"), strict=True):
        play(study, make_strategy(name, {}, space), bowl(space), 25)
    ours, theirs = ([trial.configuration for trial in study.trials] for study in studies)
    assert ours[:20] == theirs[:20]
    assert ours[20] != theirs[20]


def test_a_child_differs_from_the_best_of_the_population_in_one_parameter() -> None:
    """The tournament is the whole population: the parent is its best one, and a very good trial that is too old has no children."""
    space = continuous(5)
    study = make_study(space, maximize=False)
    played = Play(study)
    for number in range(11):
        configuration = {f"x{side}": unit_at(number, side) for side in range(5)}
        played.train(played.suggest(configuration), [-100.0 if number == 0 else float(number)])
    children = make_strategy("evolution", {"population": 10, "tournament": 10}, space).suggest(study, 30)
    assert [differences(study.trials[1].configuration, child) for child in children] == [1] * 30


def test_age_is_counted_by_when_trials_ended() -> None:
    space = continuous(4)
    study = make_study(space, maximize=False)
    played = Play(study)
    for number in range(6):
        played.suggest({f"x{side}": unit_at(number, side) for side in range(4)})
    for number in (5, 4, 3, 2, 1, 0):
        played.train(number, [float(-number)])
    (child,) = make_strategy("evolution", {"population": 4, "tournament": 4}, space).suggest(study, 1)
    assert differences(study.trials[3].configuration, child) == 1, "5 and 4, the best ones, ended first"


def test_pruned_trials_stand_behind_complete_ones_and_broken_ones_behind_all() -> None:
    space = continuous(4)
    study = make_study(space, maximize=False)
    played = Play(study)
    for number, state in enumerate(("diverged", "pruned", "failed", "complete", "pruned", "timeout", "lost", "complete")):
        values = [] if state in ("diverged", "failed", "timeout", "lost") else [float(number == 3) if state == "complete" else -5.0]
        played.train(played.suggest({f"x{side}": unit_at(number, side) for side in range(4)}), values, state)  # type: ignore[arg-type]
    parents = {}
    for population in (4, 2):
        options = {"population": population, "tournament": population}
        (child,) = make_strategy("evolution", options, space).suggest(study, 1)
        parents[population] = [trial.number for trial in study.trials if differences(trial.configuration, child) == 1]
    assert parents == {4: [7], 2: [7]}


@QUICK
@given(spaces(), st.integers(0, 20), st.sampled_from((0.01, 0.15, 1.0)), st.integers(1, 3))
def test_a_mutation_changes_what_it_says_and_stays_within_the_parameters(space: SearchSpace, seed: int, step: float, count: int) -> None:
    """But for rules, which it may break; and a number always moves."""
    free = SearchSpace(space.parameters)
    before = free.sample(seed)
    after = mutated(free, before, random.Random(seed), step, count)
    assert free.contains(after)
    movable = [name for name in before if free.by_name[name].size > 1]
    both = [name for name in before.keys() & after.keys() if free.by_name[name].size > 1]
    changed = {name for name in both if (before[name], type(before[name])) != (after[name], type(after[name]))}  # 1 is not True
    assert len(changed) <= min(count, len(movable))
    assert changed or not movable or before.keys() != after.keys()


def test_numbers_move_by_their_own_scale() -> None:
    space = SearchSpace((Float("rate", 1e-4, 1e-1, log=True), Int("units", 1, 1000)))
    source = random.Random(0)
    before: Configuration = {"rate": 1e-3, "units": 500}
    moves = [mutated(space, before, source, 0.1, 2) for _ in range(400)]
    logarithms = [space.by_name["rate"].unit(each["rate"]) - space.by_name["rate"].unit(1e-3) for each in moves]
    spread = (sum(move**2 for move in logarithms) / 400) ** 0.5
    assert 0.085 < spread < 0.115
    assert len({each["units"] for each in moves}) > 150


def test_every_kind_of_parameter_is_reached() -> None:
    space = many_sided_space()
    source = random.Random(1)
    before = space.configure(lambda parameter: parameter.at(0.99))
    changed = set()
    for _ in range(200):
        after = mutated(space, before, source, 0.2)
        changed |= {name for name in before if name in after and before[name] is not after[name]}
    assert changed >= {parameter.name for parameter in space.parameters if parameter.name in before and parameter.size > 1}
