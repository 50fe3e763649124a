"""The laws of the honest answer: what confirms a winner costs little, is fresh, goes on after an interruption, and claims no more than
its intervals hold."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl import events
from automl.confirmation import SHARE, Confirmed, Estimate, _difference, _mean, confirmed, design_of, next_confirmations
from automl.driver import drive
from automl.engines.inline import InlineEngine
from automl.events import Finished, Slot
from automl.space import Int, SearchSpace
from automl.study import Study
from automl.summary import best_record, confirmation_text
from automl.training.simulated import Fault, Rehearsal
from automl.trials import Confirming, Purpose, Rested, Resumed, State
from contracts.driving import Rehearsed, numbers
from contracts.studies import METRIC, Play, make_study, replayed

SPACE = SearchSpace((Int("units", 8, 640),))


def searched(trials: int, *, baseline: bool = True, maximize: bool = True, replicates: int = 1) -> Play:
    """A study whose search is over: trial n reached n / trials, the last one is best."""
    study = make_study(SPACE, maximize=maximize, replicates=replicates)
    study.spec = replace(study.spec, baseline={"units": 8} if baseline else None)
    play = Play(study)
    play.apply(Resumed(0.0, trials))
    for number in range(trials):
        play.suggest({"units": 8 + number}, "baseline" if baseline and number == 0 else "strategy")
        for replicate in range(replicates):
            play.report(number, number / trials if maximize else 1.0 - number / trials, replicate)
            play.end(number, replicate=replicate)
    return play


def confirm(play: Play, number: int, purpose: Purpose, value: float, test: float | None = None, state: State = "complete") -> None:
    """Train this trial once more, with this validation value and this test value."""
    study = play.study
    first = study.replicates * (1 + len(study.confirmations.get(number, ())))
    play.apply(Confirming(study.key(number, first), 0.0, purpose))
    for replicate in range(first, first + study.replicates):
        play.start(number, replicate)
        play.report(number, value, replicate)
        if state == "complete":
            play.apply(events.Tested(study.key(number, replicate), 0.0, {METRIC: value if test is None else test}))
        play.end(number, state, replicate)


# -- how much -----------------------------------------------------------------------------------------------------------


def trainings(study: Study, confirm: int | None = None) -> Counter[tuple[int, Purpose]]:
    """All that is trained again until there is enough, with values that never agree."""
    play, made = Play(study), Counter[tuple[int, Purpose]]()
    while due := next_confirmations(study, confirm, study.ended):
        for event in due:
            play.apply(event)
            made[event.key.trial, event.purpose] += 1
        for event in due:
            for replicate in range(event.key.replicate, event.key.replicate + study.replicates):
                value = 0.5 + 0.4 * (-1) ** (made[event.key.trial, event.purpose] + event.key.replicate)
                play.report(event.key.trial, value, replicate)
                play.apply(events.Tested(study.key(event.key.trial, replicate), 0.0, {METRIC: value}))
                play.end(event.key.trial, replicate=replicate)
    return made


@settings(max_examples=40, deadline=None)
@given(trials=st.integers(1, 250), baseline=st.booleans(), replicates=st.integers(1, 2))
def test_confirming_costs_at_most_its_share_of_the_budget(trials: int, baseline: bool, replicates: int) -> None:
    made = trainings(searched(trials, baseline=baseline, replicates=replicates).study)
    assert made.total() <= SHARE * trials
    assert bool(made) == (int(SHARE * trials) >= (6 if baseline and trials > 1 else 3))


def test_the_winner_and_the_baseline_are_claimed_equally_often_and_finalists_picked_before() -> None:
    made = trainings(searched(200).study)
    claims = {number: count for (number, purpose), count in made.items() if purpose == "claim"}
    picks = {number: count for (number, purpose), count in made.items() if purpose == "pick"}
    assert set(picks) == {199, 198, 197}
    assert len(set(claims.values())) == 1
    assert len(claims) == 2
    assert 0 in claims
    assert all(count >= 2 for count in picks.values())
    assert all(count >= 3 for count in claims.values())


@pytest.mark.parametrize(("asked", "expected"), [(0, set()), (1, {"claim"}), (2, {"pick", "claim"}), (9, {"pick", "claim"})])
def test_asked_for_explicitly_it_is_done_whatever_it_costs(asked: int, expected: set[str]) -> None:
    made = trainings(searched(8).study, asked)
    assert {purpose for _, purpose in made} == expected
    assert len({number for number, purpose in made if purpose == "pick"}) == (0 if asked < 2 else min(asked, 8))


def test_nothing_is_confirmed_without_a_complete_trial() -> None:
    play = Play(make_study(SPACE))
    play.suggest({"units": 8})
    play.end(0, "failed")
    assert design_of(play.study, 3, 100) is None
    assert confirmed(play.study) is None
    assert confirmation_text(play.study) == ""


@pytest.mark.parametrize("spread", [0.0, 0.0001, 0.1])
def test_a_clear_pick_ends_the_picks_and_what_claims_say_does_not_decide_how_many_there_are(spread: float) -> None:
    """Seeds that agree would, if they ended the claims, leave intervals that are too narrow by chance."""
    play = searched(400)
    for number, value in ((399, 0.9), (398, 0.2), (397, 0.1)):
        for place in range(2):
            confirm(play, number, "pick", value + 0.01 * place)
    for place in range(10):
        due = [(event.key.trial, event.purpose) for event in next_confirmations(play.study, None, 400)]
        assert due == [(399, "claim"), (0, "claim")] * (10 - place)
        confirm(play, 399, "claim", 0.9, 0.9 + spread * place)
        confirm(play, 0, "claim", 0.5, 0.5 + spread * place)
    assert next_confirmations(play.study, None, 400) == []


# -- what decides, and what does not ------------------------------------------------------------------------------------


def test_the_winner_is_picked_by_the_mean_on_fresh_seeds() -> None:
    play = searched(10)
    for number, value in ((9, 0.4), (8, 0.7), (7, 0.5)):
        confirm(play, number, "pick", value)
        confirm(play, number, "pick", value + 0.1)
    assert play.study.best is not None
    assert play.study.winner is not None
    assert (play.study.best.number, play.study.winner.number) == (9, 8)


def test_a_finalist_that_comes_to_no_end_on_a_fresh_seed_is_not_picked() -> None:
    play = searched(10)
    for number, state in ((9, "diverged"), (8, "complete")):
        confirm(play, number, "pick", 0.9, state=state)  # type: ignore[arg-type]
        confirm(play, number, "pick", 0.9 - number / 100)
    assert play.study.winner is not None
    assert play.study.winner.number == 8


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1), st.floats(0, 1)), max_size=12))
def test_claims_and_tests_decide_nothing(values: list[tuple[int, float, float]]) -> None:
    """Neither the winner nor what the search thinks of it moves with the seeds and data that serve to claim."""
    play = searched(10)
    for number in (9, 8):
        confirm(play, number, "pick", 0.5 + number / 100, test=values[0][2] if values else None)
    before = (play.study.winner, play.study.best, play.study.gain, play.study.ended, list(play.study.ended_order))
    for number, value, test in values:
        confirm(play, number, "claim", value, test)
    assert (play.study.winner, play.study.best, play.study.gain, play.study.ended, list(play.study.ended_order)) == before


def test_no_claim_rests_on_seeds_that_picked() -> None:
    play = searched(10)
    for number in (9, 8):
        confirm(play, number, "pick", 0.5 + number / 100, test=0.99)
    assert confirmed(play.study) is None
    for place in range(3):
        confirm(play, 9, "claim", 0.2, 0.6 + place / 100)
        confirm(play, 0, "claim", 0.2, 0.5)
    claim = confirmed(play.study)
    assert claim is not None
    assert claim.winner.value == pytest.approx(0.61)
    assert claim.baseline is not None
    assert claim.baseline.value == pytest.approx(0.5)
    assert claim.finalists == 2


def test_every_training_has_a_seed_of_its_own(tmp_path: Path) -> None:
    study = confirmed_study(tmp_path).study
    keys = [study.key(trial.number) for trial in study.trials]
    keys += [study.key(number, 1 + place) for number, ones in study.confirmations.items() for place in range(len(ones))]
    assert len(study.confirmations) == 4
    assert len({study.trial_seed(key) for key in keys}) == len(keys)


# -- driven -------------------------------------------------------------------------------------------------------------


class Driven:
    """A rehearsed study with confirmations, driven until nobody interrupts any more."""

    def __init__(self, rehearsed: Rehearsed, lanes: int = 1, stop_after: int | None = None, confirm: int | None = 3) -> None:
        self.looks, self.drives = 0, 0
        why = "interrupted"
        while why == "interrupted":
            self.drives += 1
            with rehearsed.open() as store:
                session = rehearsed.session(store)
                session.confirm = confirm
                engine = InlineEngine(Slot(0, "cpu", lanes, "cpu"), rehearsed.rehearsal)
                self.looks = 0
                why = drive(engine, [session], lambda: self._is_interrupted(stop_after))
                session.record([Rested(0.0, why, 0.0)])
                self.study, self.log = session.study, [event for _, event in store.events()]
                self.why = why

    def _is_interrupted(self, stop_after: int | None) -> bool:
        self.looks += 1
        return stop_after is not None and self.looks > stop_after


def confirmed_study(folder: Path, **changes: object) -> Driven:
    return Driven(Rehearsed(folder, trials=12).but(**changes))


def confirmations(study: Study) -> list[object]:
    return [
        (number, one.purpose, one.trial.state, one.trial.objective, one.tests, [*map(len, (one.trial.reports, one.trial.replicates))])
        for number, ones in sorted(study.confirmations.items())
        for one in ones
    ]


def test_every_prefix_of_the_events_is_a_study_and_the_whole_is_the_study(tmp_path: Path) -> None:
    driven = confirmed_study(tmp_path)
    study = driven.study
    for length in range(len(driven.log)):
        again = replayed(study, driven.log[:length])
        assert again.winner is None or again.winner.state == "complete"
        confirmed(again)
    assert confirmations(replayed(study, driven.log)) == confirmations(study)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("replicates", [1, 2])
def test_an_interrupted_study_ends_with_the_same_claims(tmp_path: Path, lanes: int, replicates: int) -> None:
    rehearsed = Rehearsed(tmp_path / "whole", trials=12, replicates=replicates)
    whole = Driven(rehearsed, lanes)
    pieces = Driven(rehearsed.but(folder=tmp_path / "pieces"), lanes, stop_after=4)
    assert pieces.drives > 3
    assert pieces.why == "done"
    assert numbers(pieces.study) == numbers(whole.study)
    assert Counter(map(str, confirmations(pieces.study))) == Counter(map(str, confirmations(whole.study)))
    assert confirmed(pieces.study) == confirmed(whole.study)


def test_the_search_is_the_same_with_and_without(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path / "with", trials=12)
    assert numbers(Driven(rehearsed).study) == numbers(Driven(rehearsed.but(folder=tmp_path / "without"), confirm=0).study)


def test_a_finished_study_is_confirmed_later_without_another_trial(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path, trials=12)
    assert Driven(rehearsed, confirm=0).study.confirmations == {}
    later = Driven(rehearsed, confirm=1)
    assert later.study.ended == 12
    assert sum(len(ones) for ones in later.study.confirmations.values()) == 6


def test_a_worker_that_dies_of_a_confirmation_loses_nothing_else(tmp_path: Path) -> None:
    """The best trial's configuration kills its worker on every fresh seed; the others are confirmed all the same."""
    plain = Driven(Rehearsed(tmp_path / "plain", trials=12), confirm=0).study
    assert plain.best is not None

    class Fatal(Rehearsal):
        pass

    driven = Driven(Rehearsed(tmp_path / "plain", trials=12, rehearsal=Fatal({plain.best.number: Fault("diverge")})))
    states = {one.trial.state for one in driven.study.confirmations[plain.best.number]}
    assert states == {"diverged"}
    assert driven.study.winner is not None
    assert driven.study.winner.number != plain.best.number
    assert confirmed(driven.study) is not None


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_confirmation_whose_worker_died_is_tried_again_after_a_restart(tmp_path: Path, lanes: int) -> None:
    """Wherever the restart falls: once it was forgotten, and the study stood still for ever."""
    calm = Driven(Rehearsed(tmp_path / "calm", trials=12)).study
    assert calm.best is not None
    for stop_after in range(8, 16):
        searched = Rehearsed(tmp_path / f"stop{stop_after}", trials=12)
        Driven(searched, confirm=0)
        shaken = Driven(searched.but(rehearsal=Rehearsal({calm.best.number: Fault("crash", 2, times=1)})), lanes, stop_after)
        assert shaken.why == "done"
        assert Counter(map(str, confirmations(shaken.study))) == Counter(map(str, confirmations(calm)))


def test_where_the_time_of_the_search_is_over_what_is_there_is_confirmed(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path, trials=100_000, rehearsal=Rehearsal(seconds_per_epoch=0.001, sleeps=True))
    with rehearsed.open() as store:
        session = rehearsed.session(store)
        session.confirm, session.time_left, session.search_time_left = 2, 60.0, 0.5
        assert drive(rehearsed.engine(), [session]) == "time"
        assert 0 < session.study.ended < 100_000
        assert not session.study.is_confirming
        assert confirmed(session.study) is not None


def test_the_end_of_all_time_ends_the_confirmations_too(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path, trials=3, rehearsal=Rehearsal(seconds_per_epoch=0.01, sleeps=True))
    with rehearsed.open() as store:
        session = rehearsed.session(store)
        session.confirm, session.time_left, session.search_time_left = 3, 0.35, 0.3
        assert drive(rehearsed.engine(), [session]) == "time"
        assert session.study.is_confirming or confirmed(session.study) is None


# -- what intervals hold ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 5, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(count: int) -> None:
    """2,000 simulated studies: 95 % of the intervals, give or take what 2,000 draws leave open."""
    draws = np.random.default_rng(count)
    means = gains = 0
    for _ in range(2_000):
        values, base = draws.normal(0.9, 0.02, count), draws.normal(0.8, 0.005, count)
        mean, gain = _mean(list(values), 0), _difference(list(values), list(base), maximize=True)
        assert mean.interval is not None
        assert gain.interval is not None
        means += mean.interval[0] <= 0.9 <= mean.interval[1]
        gains += gain.interval[0] <= 0.1 <= gain.interval[1]
    leeway = 4 * math.sqrt(0.95 * 0.05 / 2_000)
    assert abs(means / 2_000 - 0.95) < leeway
    assert gains / 2_000 > 0.95 - leeway


@pytest.mark.parametrize("maximize", [True, False])
def test_a_gain_is_positive_where_the_winner_is_better(maximize: bool) -> None:
    better, worse = ([0.9, 0.91], [0.5, 0.52]) if maximize else ([0.1, 0.11], [0.5, 0.52])
    assert _difference(better, worse, maximize).value > 0
    assert _difference(worse, better, maximize).value < 0


# -- in words -----------------------------------------------------------------------------------------------------------


def claimed(winner: tuple[float, ...], baseline: tuple[float, ...]) -> Study:
    play = searched(10)
    for number, tests in ((9, winner), (0, baseline)):
        for test in tests:
            confirm(play, number, "claim", 0.5, test)
    return play.study


@pytest.mark.parametrize(
    ("winner", "baseline", "sentence"),
    [
        (
            (0.90, 0.91, 0.92),
            (0.80, 0.81, 0.82),
            "On 3 fresh seeds and the test split: score 0.91 (0.8852 to 0.9348), the baseline 0.81 (0.7852 to 0.8348). "
            "Tuning helped: 0.1 more (95 % interval 0.0773 to 0.1227).",
        ),
        (
            (0.80, 0.81, 0.82),
            (0.90, 0.91, 0.92),
            "On 3 fresh seeds and the test split: score 0.81 (0.7852 to 0.8348), the baseline 0.91 (0.8852 to 0.9348). "
            "Tuning did not help: the winner is worse by 0.1 (95 % interval 0.0773 to 0.1227).",
        ),
        (
            (0.80, 0.85, 0.90),
            (0.80, 0.84, 0.88),
            "On 3 fresh seeds and the test split: score 0.85 (0.7258 to 0.9742), the baseline 0.84 (0.7406 to 0.9394). Whether tuning "
            "helped cannot be told from 3 fresh seeds: the gain is between -0.0946 and 0.1146 (95 % interval).",
        ),
        (
            (0.9,),
            (0.8,),
            "On one fresh seed and the test split: score 0.9, the baseline 0.8. "
            "That is 0.1 more; one seed cannot tell whether tuning helped.",
        ),
        ((0.9, 0.9), (), "On 2 fresh seeds and the test split: score 0.9 (0.9 to 0.9)."),
        (
            (0.9, 0.9),
            (0.9, 0.9),
            "On 2 fresh seeds and the test split: score 0.9 (0.9 to 0.9), the baseline 0.9 (0.9 to 0.9). Tuning changed nothing.",
        ),
    ],
)
def test_the_verdict_is_a_sentence(winner: tuple[float, ...], baseline: tuple[float, ...], sentence: str) -> None:
    assert confirmation_text(claimed(winner, baseline)) == sentence


def test_the_record_of_the_winner_holds_what_is_claimed() -> None:
    record = best_record(claimed((0.90, 0.91, 0.92), (0.80, 0.81, 0.82)))
    assert record is not None
    assert record["gain"] == pytest.approx(0.1)
    assert record["interval"] == pytest.approx([0.0773, 0.1227], abs=1e-4)
    assert record["replicates"] == 3
    assert record["confirmed"]["winner"]["value"] == pytest.approx(0.91)
    assert (record["confirmed"]["split"], record["confirmed"]["metric"], record["confirmed"]["finalists"]) == ("test", METRIC, 1)


def test_a_training_that_came_to_no_end_is_told_and_not_averaged() -> None:
    play = searched(10)
    for test in (0.9, 0.9):
        confirm(play, 9, "claim", 0.5, test)
    confirm(play, 9, "claim", 0.5, state="diverged")
    assert confirmed(play.study) == Confirmed(METRIC, "test", Estimate(0.9, (0.9, 0.9), 2, failed=1), None, None, 1)
    assert confirmation_text(play.study) == ("On 2 fresh seeds and the test split: score 0.9 (0.9 to 0.9). 1 more came to no end.")


def test_unknown_confirmations_are_refused() -> None:
    play = searched(3)
    study = play.study
    assert not study.accepts(Confirming(study.key(7, 1), 0.0, "claim"))
    assert not study.accepts(Confirming(study.key(2, 2), 0.0, "claim"))
    assert not study.accepts(Finished(study.key(2, 1), 0.0))
    assert not study.accepts(events.Tested(study.key(2, 1), 0.0, {}))
