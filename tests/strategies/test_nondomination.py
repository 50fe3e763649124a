"""Which trials are the best by several objectives: the laws of fronts and of what is cut, beside Optuna's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.draws import unit_at
from automl.pareto import dominates, front, hypervolume
from automl.strategies.nondomination import Survivors, best_rows, fronts, spread
from automl.strategies.standing import standing
from contracts.studies import COST, Play, continuous, make_study

ROWS = st.integers(1, 4).flatmap(lambda sides: st.lists(st.tuples(*[st.integers(0, 5).map(float)] * sides), min_size=1, max_size=15))


@given(ROWS)
def test_each_front_is_the_front_of_what_is_left(rows: list[tuple[float, ...]]) -> None:
    left, expected = list(range(len(rows))), [-1] * len(rows)
    for rank in range(len(rows)):
        members = [left[place] for place in front([rows[row] for row in left])]
        for row in members:
            expected[row] = rank
        left = [row for row in left if row not in members]
    assert fronts(np.array(rows), len(rows)).tolist() == expected


@given(ROWS, st.integers(1, 15))
def test_of_the_best_none_is_dominated_by_one_that_was_left_out(rows: list[tuple[float, ...]], count: int) -> None:
    chosen = best_rows(np.array(rows), count).tolist()
    assert len(set(chosen)) == len(chosen) == min(count, len(rows))
    rest = set(range(len(rows))) - set(chosen)
    assert not any(dominates(rows[out], rows[chosen_row]) for out in rest for chosen_row in chosen)


@pytest.mark.parametrize("count", [1, 3, 10, 19])
def test_what_is_chosen_of_a_front_adds_most_at_each_step(count: int) -> None:
    x = np.sort(np.random.default_rng(count).random(20))
    points = np.stack([x, (1 - x) ** 2], axis=1)
    reference = tuple((1.1 * points.max(axis=0)).tolist())
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(max(range(20), key=lambda row: hypervolume([tuple(points[each]) for each in (*chosen, row)], reference)))
    assert spread(points, count).tolist() == chosen


@pytest.mark.parametrize("count", [5, 40, 150])
def test_the_best_of_two_objectives_are_those_of_optunas_tpe(count: int) -> None:
    from optuna.samplers._tpe.sampler import _split_complete_trials_multi_objective
    from optuna.study import create_study
    from optuna.trial import create_trial

    losses = np.random.default_rng(count).normal(size=(200, 2))
    trials = [create_trial(values=row) for row in losses.tolist()]
    for number, trial in enumerate(trials):
        trial.number = number
    good, _ = _split_complete_trials_multi_objective(trials, create_study(directions=["minimize", "minimize"]), count)
    assert best_rows(losses, count).tolist() == sorted(trial.number for trial in good)


@pytest.mark.parametrize("order", [1, -1])
def test_survivors_depend_on_who_they_are_and_not_on_when_they_ended(order: int) -> None:
    study = make_study(continuous(1), maximize=False, further=(COST,))
    played = Play(study)
    for number in range(12):
        played.suggest({"x0": number / 12})
    for number in range(12)[::order]:
        played.train(number, [] if number % 4 == 3 else [unit_at("value", number)], "diverged" if number % 4 == 3 else "complete")
    survivors = Survivors(study, 11)
    for number in study.ended_order:
        stands = standing(study.trials[number], study.objective)
        assert stands is not None
        survivors.add(study.trials[number], stands)
    ranked = survivors.ranked()
    complete = [number for number in range(12) if number % 4 != 3]
    assert [number for _, number in ranked[9:]] == [3, 7], "what broke down comes last"
    assert {number for _, number in ranked[:9]} == set(complete)
    losses = [study.losses(number) for number in complete]
    assert {number for rank, number in ranked if rank == 0} == {complete[place] for place in front(losses)}
