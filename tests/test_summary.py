"""What is said of a study: where it stands, what pruning saved, and how many seeds a claim rests on."""

from __future__ import annotations

import pytest

from automl import events
from automl.space import Int, SearchSpace
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.study import Study
from automl.summary import (
    best_record,
    epochs_saved,
    gain_text,
    grid_text,
    number_text,
    skill_text,
    state_of,
    trial_record,
    weights_text,
    why_text,
)
from automl.trials import Rested, Resumed, State, Trial
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
    ("why", "state"),
    [("done", "done"), ("time", "out_of_time"), ("failed", "failed"), ("interrupted", "interrupted"), (None, "interrupted")],
)
def test_a_study_at_rest_says_why_it_rests(why: str | None, state: str) -> None:
    """None: its driver was killed."""
    study = played(("complete", 10))
    if why is not None:
        study.apply(Rested(1.0, why, 1.0))
    assert (state_of(study, is_being_driven=False), state_of(study, is_being_driven=True)) == (state, "running")


def gridded(strategy: str, sides: int) -> StudySpec:
    space = SearchSpace(tuple(Int(f"x{side}", 1, 10) for side in range(sides)))
    return StudySpec("x", DataSpec("digits"), "mlp", Objective("accuracy", True), 1, space, settings=StudySettings(strategy=strategy))


def test_a_grid_with_more_points_than_sense_says_how_many_and_how_long_they_would_take() -> None:
    said = "The grid has 1,000 points, of which 50 trials visit some that spread over it"
    assert grid_text(gridded("grid", 3), 50) == f"{said}."
    assert grid_text(gridded("grid", 3), 50, seconds=4.5) == f"{said}: all of them would take about 1h15m at this pace."
    assert grid_text(gridded("grid", 2), 100) == "", "it is visited whole"
    assert grid_text(gridded("random", 3), 50) == ""


@pytest.mark.parametrize(
    ("skill", "season", "said"),
    [
        (0.0864, 0, "Its rmse there is 8.6 % less than that of a naive forecast, the last value again."),
        (0.5, 12, "Its rmse there is 50.0 % less than that of a naive forecast, the value of 12 steps before again."),
        (
            -0.031,
            0,
            "Its rmse there is not less than that of a naive forecast, the last value again, but 3.1 % more: that one is the better.",
        ),
        (None, 0, ""),
    ],
)
def test_a_forecast_is_told_by_how_much_it_beats_a_naive_one(skill: float | None, season: int, said: str) -> None:
    study = played(("complete", 10))
    study.apply(events.Tested(study.key(0), 1.0, {"rmse": 1.0} | ({} if skill is None else {"skill": skill}), "test"))
    assert skill_text(study, season) == said
    assert skill_text(played(("complete", 10)), season) == "", "nothing was tested"


def test_the_epochs_that_pruning_saved_are_those_of_pruned_trials_alone() -> None:
    assert epochs_saved(played(("complete", 10), ("pruned", 3), ("pruned", 9), ("diverged", 2), ("failed", 0))) == (8, 32)
    assert epochs_saved(played()) == (0, 0)


@pytest.mark.parametrize(
    ("replicates", "folds", "seeds", "weights"),
    [
        (1, None, "on one seed each", ""),
        (3, None, "on the mean of 3 seeds each", "Kept and tested are the weights of its first training, of 3 replicates."),
        (1, 5, "on the mean of 5 folds", "Kept and tested are the weights of its first training, of 5 folds."),
        (
            2,
            3,
            "on the mean of 3 folds with 2 seeds each",
            "Kept and tested are the weights of its first training, of 3 folds and 2 replicates.",
        ),
    ],
)
def test_a_gain_says_how_many_seeds_and_folds_it_rests_on(replicates: int, folds: int | None, seeds: str, weights: str) -> None:
    play = Play(make_study(SPACE, replicates=replicates, folds=folds))
    for number, value in enumerate((0.5, 0.75)):
        play.suggest({"units": 8 + number}, "strategy" if number else "baseline")
        for training in range(play.study.replicates):
            play.report(number, value, training)
            play.end(number, replicate=training)
    assert gain_text(play.study) == f"Validation score 0.75 against 0.5 of the baseline: 0.25 more, {seeds}."
    assert weights_text(play.study) == weights
    record = best_record(play.study)
    assert record is not None
    assert (record["replicates"], record["folds"]) == (replicates, folds)


def test_the_record_of_a_trial_names_its_trainings() -> None:
    play = Play(make_study(SPACE, replicates=2, folds=2, epochs=2))
    play.suggest({"units": 8})
    for training, value in enumerate((0.5, 0.75, 1.0, 0.25)):
        play.report(0, value, training)
        play.end(0, replicate=training)
    record = trial_record(play.study.trials[0], play.study.spec)
    assert (record["objective"], record["epochs"]) == (0.625, 4)
    assert [(one["name"], one["objective"], one["epochs"]) for one in record["trainings"]] == [
        ("replicate_0/fold_0", 0.5, 1), ("replicate_0/fold_1", 0.75, 1), ("replicate_1/fold_0", 1.0, 1), ("replicate_1/fold_1", 0.25, 1),
    ]  # fmt: skip
    alone = Play(make_study(SPACE))
    alone.suggest({"units": 8})
    assert trial_record(alone.study.trials[0], alone.study.spec)["trainings"] == []


def test_trainings_that_were_not_over_when_their_trial_was_pruned_are_over_as_well() -> None:
    play = Play(make_study(SPACE, folds=4, epochs=2))
    play.suggest({"units": 8})
    play.report(0, 0.5, 0)
    play.end(0, replicate=0)
    play.start(0, 1)
    play.report(0, 0.25, 1)

    def states() -> list[str]:
        return [one["state"] for one in trial_record(play.study.trials[0], play.study.spec)["trainings"]]

    assert states() == ["complete", "running", "waiting", "waiting"]
    play.end(0, "pruned", replicate=1)
    assert states() == ["complete", "pruned", "not_started", "not_started"]


HOUSE = """    return F.linear(input, self.weight)
  File "torch/functional.py", line 9, in linear
    return _linear(input)
RuntimeError: CUDA error: an illegal memory access was encountered
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."""
LOADER = """digits.py:33: ValueError: Caught ValueError in DataLoader worker process 1.
Traceback (most recent call last):
  File "digits.py", line 30, in __getitem__
    raise ValueError("bad sample 20")
ValueError: bad sample 20
"""
DUMP = """digits:run had reported nothing for 60 s: it was at digits.py:9
Current thread 0x1 (most recent call first):
  File "digits.py", line 9 in run"""


@pytest.mark.parametrize(
    ("reason", "state", "losses", "said"),
    [
        ("", "failed", 0, ""),
        ("accuracy: must be finite", "failed", 0, "accuracy: must be finite"),
        (HOUSE, "failed", 0, "RuntimeError: CUDA error: an illegal memory access was encountered"),
        ('net.py:6: ValueError: no\nTraceback\n  File "net.py"\n    x\nValueError: no', "failed", 0, "net.py:6: ValueError: no"),
        (LOADER, "failed", 0, f"{LOADER.splitlines()[0]} (ValueError: bad sample 20)"),
        ("the command exited with code 1\nloading\nKeyError: 'x'", "failed", 0, "the command exited with code 1: KeyError: 'x'"),
        ("the command must print x.\nloading\nPrint it.", "failed", 0, "the command must print x. Print it."),
        ("the command had reported nothing for 9 s. The end of its log:\nx", "timeout", 0, "the command had reported nothing for 9 s."),
        (DUMP, "timeout", 0, DUMP.splitlines()[0]),
        (DUMP.replace("digits:run", "killed"), "lost", 2, DUMP.replace("digits:run", "killed").splitlines()[0]),
    ],
)
def test_why_a_trial_did_not_work_out_is_a_line(reason: str, state: State, losses: int, said: str) -> None:
    trial = Trial(0, {}, "strategy", True, state=state, reason=reason, losses=losses)
    assert why_text(trial) == said


def test_a_number_of_any_size_is_short() -> None:
    values = (0.97834, 1.2e-5, 47_730.0, 123_456_789.5, 7.5e14, 7.54321e15, -1e300)
    said = ["0.9783", "1.2e-05", "47,730", "123,456,790", "750,000,000,000,000", "7.543e+15", "-1e+300"]
    assert [number_text(value) for value in values] == said
