"""What pruning did or would have done: replayed as it would have happened, told as far as it can be known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.draws import unit_at
from automl.events import Finished
from automl.hindsight import Hindsight, hindsight, hindsight_text, pruning_note, pruning_record
from automl.pruners import make_pruner
from automl.study import Study
from contracts.pruner import EPOCHS, QUICK, curve, levels, train_all
from contracts.studies import Play, continuous, make_study, replayed


def study_of(curves: Sequence[Sequence[float]], pruner: str = "none", *, epochs: int = EPOCHS) -> Study:
    """Trials one after another that reach their ends, in a study whose specification says ``pruner``."""
    played = Play(with_pruner(make_study(continuous(1), maximize=False, epochs=epochs), pruner))
    for number, values in enumerate(curves):
        played.suggest({"x0": unit_at("x", number)})
        played.train(number, values)
    return played.study


def with_pruner(study: Study, pruner: str) -> Study:
    return Study(study.identity, replace(study.spec, settings=replace(study.spec.settings, pruner=pruner)), study.objective)


def of(found: Sequence[Hindsight], pruner: str) -> Hindsight:
    return next(one for one in found if one.pruner == pruner)


@QUICK
@given(st.lists(st.integers(0, 1000), min_size=12, max_size=30, unique=True), st.sampled_from(["asha", "median", "hyperband"]))
def test_what_a_rule_would_have_done_is_what_it_does(order: list[int], rule: str) -> None:
    """The same curves, one after another, with the rule at work: it stops the same trials after the same epochs."""
    curves = [curve(level / 1000, noise=0.3, seed=level) for level in order]
    study = study_of(curves)
    live, _ = train_all(make_pruner(rule, {}, EPOCHS), curves, parallel=1)
    stopped = [trial for trial in live.study.trials if trial.state == "pruned"]
    best = [trial.number for trial in study.ranked()][: min(5, max(2, len(curves) // 4))]
    seen = of(hindsight(study), rule)
    assert seen.saved == sum(EPOCHS - trial.epochs for trial in stopped)
    assert seen.stopped == len({trial.number for trial in stopped} & set(best))
    assert seen.stopped_winner == (best[0] in {trial.number for trial in stopped})
    assert (seen.orders, seen.best, seen.epochs) == (0, len(best), EPOCHS * len(curves))


def test_late_starters_are_told_as_wrongly_stopped() -> None:
    """A third of the trials begin worst and end best: the rules would have stopped all that are best."""
    late = [9.0] * (EPOCHS - 1) + [0.0]
    study = study_of([late if number % 3 == 2 else curve(0.5 + level) for number, level in enumerate(levels(30))])
    found = hindsight(study)
    for rule in ("asha", "median"):
        assert (of(found, rule).best, of(found, rule).stopped, of(found, rule).stopped_winner) == (5, 4 + (rule == "asha"), rule == "asha")


def test_of_a_pruned_study_only_the_order_of_its_trials_is_judged() -> None:
    """The rule never stops a clearly best trial, in whatever order; and what the pruned ones would have reached is said to be unknown."""
    live, _ = train_all(make_pruner("asha", {}, EPOCHS), [curve(level) for level in levels(40)], parallel=4)
    study = replayed(with_pruner(live.study, "asha"), live.events)
    (seen,) = hindsight(study)
    assert (seen.pruner, seen.orders, seen.stopped_winner) == ("asha", 20, 0)
    pruned = study.counts["pruned"]
    assert hindsight_text(study, [seen]).endswith(f" Where the {pruned} pruned trials would have ended is not known.")
    again = replayed(with_pruner(live.study, "asha"), live.events)
    assert hindsight(again) == (seen,)


@pytest.mark.parametrize("side_by_side", [True, False])
def test_folds_are_replayed_as_they_were_trained(side_by_side: bool) -> None:
    """One after another the trials are a little worse in every fold, the second half far worse."""
    folds = 5
    played = Play(with_pruner(make_study(continuous(1), maximize=False, epochs=EPOCHS, replicates=folds), "none"))
    for number in range(16):
        played.suggest({"x0": unit_at("x", number)})
        for fold in range(folds if side_by_side else 0):
            played.start(number, fold)
        steps = [(epoch, fold) for epoch in range(EPOCHS) for fold in range(folds)]
        for epoch, fold in steps if side_by_side else sorted(steps, key=lambda step: step[::-1]):
            played.report(number, curve(number // 8 * 5.0 + fold + 0.01 * number)[epoch], fold)
            if epoch + 1 == EPOCHS:
                played.apply(Finished(played.study.key(number, fold), 0.0))
    found = hindsight(played.study)
    assert [one.pruner for one in found] == ["asha", "median", "hyperband", "wilcoxon"]
    assert all(one.stopped_winner == 0 and one.epochs == 16 * folds * EPOCHS for one in found)
    assert (of(found, "median").stopped, of(found, "asha").best) == (0, 4)
    assert of(found, "median").saved >= 7 * (folds * EPOCHS - folds * 3)
    assert of(found, "wilcoxon").saved > 0


def test_where_nothing_can_be_known_nothing_is_said() -> None:
    assert hindsight(study_of([])) == ()
    assert hindsight(study_of([curve(level) for level in levels(3)])) == ()
    assert hindsight(study_of([[level] for level in levels(30)], epochs=1)) == ()
    assert hindsight_text(study_of([]), ()) == ""


ASHA = Hindsight("asha", 0, 5, 1, 0, 312, 600)
REPLAYED = Hindsight("asha", 20, 3, 0.35, 2, 100.5, 400)


@pytest.mark.parametrize(
    ("found", "pruned", "sentence"),
    [
        (
            [ASHA, replace(ASHA, pruner="median", saved=201, stopped=0), replace(ASHA, pruner="hyperband", stopped=2, stopped_winner=1)],
            0,
            "Over these curves, asha would have saved 312 of 600 epochs and stopped 1 of the 5 best, not the winner; median 201 and none; "
            "hyperband 312 and 2, the winner among them.",
        ),
        (
            [REPLAYED],
            31,
            "Replayed, asha stops 0.35 of the 3 best on average over 20 other orders of these trials, the winner in 2 of them. "
            "Where the 31 pruned trials would have ended is not known.",
        ),
        (
            [replace(REPLAYED, stopped=0, stopped_winner=0)],
            1,
            "Replayed, asha stops none of the 3 best in any of 20 other orders of these trials. "
            "Where the 1 pruned trial would have ended is not known.",
        ),
        (
            [replace(REPLAYED, stopped=0, stopped_winner=0, orders=1)],
            0,
            "Replayed, asha stops none of the 3 best in another order of these trials.",
        ),
    ],
)
def test_what_is_said(found: list[Hindsight], pruned: int, sentence: str) -> None:
    study = study_of([])
    study.counts["pruned"] = pruned
    assert hindsight_text(study, found) == sentence


@pytest.mark.parametrize(
    ("found", "note"),
    [
        ([ASHA, replace(ASHA, pruner="median")], "asha would have saved 312 of 600 epochs, stopped 1 of 5 best"),
        ([REPLAYED], "pruning saved 0 of 81 epochs; reordered, stops 0.35 of 3 best"),
        ([replace(REPLAYED, stopped=0)], "pruning saved 0 of 81 epochs; reordered, stops none of 3 best"),
        ([], "pruning saved 0 of 81 epochs"),
    ],
)
def test_what_is_said_in_a_few_words(found: list[Hindsight], note: str) -> None:
    assert pruning_note(study_of([curve(level) for level in levels(3)]), found) == note


def test_the_record_has_each_rule_that_was_replayed() -> None:
    study = study_of([curve(level) for level in levels(12)])
    record = pruning_record(study, hindsight(study))
    assert (record["saved"], record["epochs"]) == (0, 12 * EPOCHS)
    assert [one["pruner"] for one in record["replayed"]] == ["asha", "median", "hyperband"]
