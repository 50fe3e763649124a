"""Events change a study in one way only: replay is exact, prefixes are studies, and old news changes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.events import Diverged, Finished, Reported, Started
from automl.store import Store
from automl.study import Lost, Pruned, Resumed, Study, Suggested
from contracts.driving import Rehearsed, numbers


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("played") / "s"
    Rehearsed(folder, trials=15, pruner="asha").drive()
    return folder


def test_replaying_the_events_gives_the_same_study(played: Path) -> None:
    with Store.read_only(played) as store:
        one, other = store.study(), store.study()
    assert one.trials == other.trials
    assert (one.leaders, one.counts, one.ended_order, one.worst) == (other.leaders, other.counts, other.ended_order, other.worst)


def test_every_prefix_of_the_events_is_a_study(played: Path) -> None:
    with Store.read_only(played) as store:
        events, empty = [event for _, event in store.events()], store.study()
    for length in range(len(events)):
        study = Study("x", empty.spec, empty.objective)
        for event in events[:length]:
            study.apply(event)
        assert sum(study.counts.values()) == len(study.trials)
        assert study.ended + len(study.unended) == len(study.trials)
        assert study.ended == sum(trial.has_ended for trial in study.trials)
        assert [t.number for t in study.ranked()[:3]] == list(study.leaders)
        assert study.best == (study.ranked()[0] if study.ranked() else None)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_events_told_twice_or_late_change_nothing(played: Path, data: st.DataObject) -> None:
    """A trial that is trained again after a crash repeats its events; only news count."""
    with Store.read_only(played) as store:
        events, whole = [event for _, event in store.events()], store.study()
    study = Study("x", whole.spec, whole.objective)
    for position, event in enumerate(events):
        study.apply(event)
        again = data.draw(st.integers(0, position))
        if isinstance(events[again], Reported | Suggested | Finished | Pruned):
            study.apply(events[again])
    assert numbers(study) == numbers(whole)
    assert study.ended_order == whole.ended_order


def fresh(maximize: bool = True) -> Study:
    return Study("x", Rehearsed(Path("nowhere")).spec, Rehearsed(Path("nowhere"), maximize=maximize).objective)


def test_the_objective_is_the_best_epoch_and_not_the_last() -> None:
    study = fresh()
    study.apply(Suggested(study.key(0), 1.0, {"layers": 1}, "strategy"))
    for epoch, value in enumerate([0.5, 0.9, 0.7], 1):
        study.apply(Reported(study.key(0), 2.0, epoch, {"accuracy": value, "loss": 1 - value}, 0.25))
    study.apply(Finished(study.key(0), 3.0))
    trial = study.trials[0]
    assert (trial.objective, trial.epoch, trial.metrics["accuracy"], trial.epochs, trial.seconds) == (0.9, 2, 0.9, 3, 0.75)


def test_less_is_better_where_the_objective_is_minimised() -> None:
    study = fresh(maximize=False)
    for number, value in enumerate([0.5, 0.2, 0.8]):
        study.apply(Suggested(study.key(number), 1.0, {"layers": number + 1}, "strategy"))
        study.apply(Reported(study.key(number), 2.0, 1, {"loss": value}, 0.1))
        study.apply(Finished(study.key(number), 3.0))
    assert study.best is not None
    assert (study.best.number, study.worst, study.leaders) == (1, 0.8, (1, 0, 2))


def test_a_diverged_trial_is_never_the_best_however_good_it_was_before() -> None:
    study = fresh()
    study.apply(Suggested(study.key(0), 1.0, {"layers": 1}, "strategy"))
    study.apply(Reported(study.key(0), 2.0, 1, {"accuracy": 1.0}, 0.1))
    study.apply(Diverged(study.key(0), 3.0, 2))
    assert (study.best, study.trials[0].state, study.trials[0].objective) == (None, "diverged", 1.0)


def test_a_killed_driver_leaves_its_running_trials_waiting_at_the_next_start() -> None:
    study = fresh()
    study.apply(Resumed(1.0, 5))
    study.apply(Suggested(study.key(0), 1.0, {"layers": 1}, "strategy"))
    study.apply(Started(study.key(0), 2.0, "cpu", "cpu/0"))
    study.apply(Reported(study.key(0), 9.0, 1, {"accuracy": 0.5}, 0.1))
    assert (study.trials[0].state, list(study.waiting())) == ("running", [])
    study.apply(Resumed(20.0, 5))
    assert (study.trials[0].state, list(study.waiting())) == ("waiting", [study.key(0)])
    assert study.active_seconds == 8.0  # from the first start to the last sign of life
    assert study.trials[0].epochs == 1


def test_a_trial_is_lost_at_its_second_lost_worker() -> None:
    study = fresh()
    study.apply(Suggested(study.key(0), 1.0, {"layers": 1}, "strategy"))
    study.apply(Lost(study.key(0), 2.0, "killed by SIGKILL", "last words"))
    assert study.trials[0].state == "waiting"
    study.apply(Lost(study.key(0), 3.0, "killed by SIGKILL", "last words"))
    assert (study.trials[0].state, study.trials[0].reason) == ("lost", "killed by SIGKILL\nlast words")


def test_the_database_is_one_table_of_events(played: Path) -> None:
    with sqlite3.connect(played / "study.db") as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
    connection.close()
    assert tables == ["events"]
