"""What is said of a study: where it stands, what pruning saved, and how many seeds a claim rests on."""

from __future__ import annotations

import pytest

from automl.space import Int, SearchSpace
from automl.study import Rested, Resumed, State, Study
from automl.summary import best_record, epochs_saved, gain_text, state_of
from contracts.studies import Play, make_study

SPACE = SearchSpace((Int("units", 8, 64),))


def played(*trials: tuple[State, int]) -> Study:
    """A study of ten epochs whose trials ended in these states after so many epochs."""
    play = Play(make_study(SPACE, epochs=10))
    play.apply(Resumed(0.0, 5))
    for number, (state, epochs) in enumerate(trials):
        play.suggest({"units": 8 + number}, "strategy" if number else "baseline")
        play.train(number, [0.5 + 0.1 * number] * epochs, state)
    return play.study


@pytest.mark.parametrize(
    ("why", "state"), [("done", "done"), ("time", "out_of_time"), ("interrupted", "interrupted"), (None, "interrupted")]
)
def test_a_study_at_rest_says_why_it_rests(why: str | None, state: str) -> None:
    """None: its driver was killed."""
    study = played(("complete", 10))
    if why is not None:
        study.apply(Rested(1.0, why, 1.0))
    assert (state_of(study, is_being_driven=False), state_of(study, is_being_driven=True)) == (state, "running")


def test_the_epochs_that_pruning_saved_are_those_of_pruned_trials_alone() -> None:
    assert epochs_saved(played(("complete", 10), ("pruned", 3), ("pruned", 9), ("diverged", 2), ("failed", 0))) == (8, 32)
    assert epochs_saved(played()) == (0, 0)


@pytest.mark.parametrize(("replicates", "seeds"), [(1, "on one seed each"), (3, "on the mean of 3 seeds each")])
def test_a_gain_says_how_many_seeds_it_rests_on(replicates: int, seeds: str) -> None:
    play = Play(make_study(SPACE, replicates=replicates))
    for number, value in enumerate((0.5, 0.75)):
        play.suggest({"units": 8 + number}, "strategy" if number else "baseline")
        for replicate in range(replicates):
            play.report(number, value, replicate)
            play.end(number, replicate=replicate)
    assert gain_text(play.study) == f"Validation score 0.75 against 0.5 of the baseline: 0.25 more, {seeds}."
    record = best_record(play.study)
    assert record is not None
    assert record["replicates"] == replicates
