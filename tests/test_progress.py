"""A study's progress follows from its events: whatever comes in pieces comes to the same as what comes at once."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl.events import Finished, Reported, Slot, Started
from automl.progress import Progress
from automl.space import SearchSpace
from automl.strategies import make_strategy
from automl.study import Study
from automl.trials import Lost, Resumed
from contracts.studies import METRIC, Play, continuous, make_study, troubled


def story(trials: int, seed: int) -> list[object]:
    study = make_study(continuous(2), seed=seed, epochs=3)
    study.apply(Resumed(0.0, trials))
    return [Resumed(0.0, trials), *troubled(study, make_strategy("random", {}, study.space), trials, 3).events]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trials=st.integers(1, 25), seed=st.integers(0, 5), cuts=st.lists(st.integers(0, 200)))
def test_events_in_pieces_come_to_the_same_as_all_at_once(trials: int, seed: int, cuts: list[int]) -> None:
    events = story(trials, seed)
    whole, pieces = (Progress("x", make_study(continuous(2), seed=seed, epochs=3)) for _ in range(2))
    whole.take(events)
    places = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    for start, end in itertools.pairwise(places):
        pieces.take(events[start:end])
    assert repr(pieces.snapshot(10.0)) == repr(whole.snapshot(10.0))  # NaN is in it


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trials=st.integers(1, 25), seed=st.integers(0, 5))
def test_the_best_so_far_never_gets_worse_and_ends_at_the_best(trials: int, seed: int) -> None:
    progress = Progress("x", make_study(continuous(2), seed=seed, epochs=3))
    progress.take(story(trials, seed))
    snapshot = progress.snapshot(10.0)
    found = [value for value in snapshot.so_far if not math.isnan(value)]
    assert found == sorted(found)
    assert len(snapshot.so_far) == len(snapshot.values) == snapshot.ended
    assert (found[-1] if found else None) == (snapshot.best.objective if snapshot.best else None)


def test_a_study_that_is_followed_is_left_as_it_is() -> None:
    play = Play(make_study(continuous(1), epochs=2))
    play.train(play.suggest({"x0": 0.5}), (0.1, 0.2))
    progress = Progress("x", play.study.copy())
    progress.take(played_on(play.study.copy()).events)
    assert (len(play.study.trials), play.study.ended, play.study.counts["complete"]) == (1, 1, 1)
    assert progress.snapshot(0.0).ended == 2


def played_on(study: Study) -> Play:
    play = Play(study)
    play.train(play.suggest({"x0": 0.7}), (0.3, 0.4))
    return play


def started(study: Study, number: int, worker: str, replicate: int = 0) -> Started:
    return Started(study.key(number, replicate), 0.0, "cuda:0" if worker == "a" else "cuda:1", worker)


def test_lanes_are_busy_from_the_start_of_a_training_to_its_end_and_as_many_as_were_seen_at_once() -> None:
    study = make_study(continuous(1), epochs=5, replicates=2)
    play = Play(study.copy())
    for x in (0.1, 0.2, 0.3):
        play.suggest({"x0": x})
    progress = Progress("x", study)
    progress.take([Resumed(0.0, 9), *play.events])
    progress.take([started(study, 0, "a", 0), started(study, 0, "a", 1), started(study, 1, "b", 0)])
    assert [(d.name, d.workers, d.busy, d.lanes) for d in progress.snapshot(1.0).devices] == [("cuda:0", 1, 2, 2), ("cuda:1", 1, 1, 1)]
    progress.take([Finished(study.key(0, 0), 1.0), Lost(study.key(1, 0), 1.0, "killed")])
    assert [(d.busy, d.lanes) for d in progress.snapshot(1.0).devices] == [(1, 2), (0, 1)]
    progress.take([Resumed(2.0, 9)])  # a new driver: what ran waits, and its workers are others
    assert progress.snapshot(3.0).devices == ()


def test_workers_that_are_known_count_before_they_train() -> None:
    progress = Progress("x", make_study(continuous(1)), [Slot(0, "cpu", 8, "w0"), Slot(1, "cpu", 8, "w1")])
    (device,) = progress.snapshot(0.0).devices
    assert (device.name, device.workers, device.busy, device.lanes) == ("cpu", 2, 0, 16)


def test_time_left_is_that_of_the_epochs_left_at_the_rate_so_far_and_never_more_than_the_study_may_take() -> None:
    study = make_study(SearchSpace(continuous(1).parameters), epochs=4)
    progress = Progress("x", study)
    assert progress.snapshot(0.0).left is None
    progress.take([Resumed(0.0, 3)])
    play = Play(study.copy())
    play.train(play.suggest({"x0": 0.5}), (0.1, 0.2, 0.3, 0.4))
    progress.take(play.events)
    snapshot = progress.snapshot(8.0)  # 4 epochs in 8 seconds, and 8 epochs to go
    assert (snapshot.elapsed, snapshot.left) == (8.0, pytest.approx(16.0))
    play.suggest({"x0": 0.6})
    play.start(1)
    progress.take([*play.events[-2:], Reported(study.key(1), 8.0, 1, {METRIC: 0.1}, 1.0)])
    assert progress.snapshot(10.0).left == pytest.approx(7 * 10 / 5)
