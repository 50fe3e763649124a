"""Events change a study in one way only: replay is exact, prefixes are studies, and old news changes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl import trials
from automl.engines.inline import InlineEngine
from automl.events import Diverged, Finished, Reported, Slot, Started
from automl.store import Store
from automl.study import Study
from automl.training.simulated import Fault, Rehearsal
from automl.trials import Event, Lost, Pruned, Resumed, Suggested, Trial
from contracts.driving import Rehearsed, curve, numbers


@pytest.fixture(scope="module", params=[1, 3], ids=["alone", "replicated"])
def played(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A study with everything that happens to trials, on a worker with two lanes."""
    folder = tmp_path_factory.mktemp("played") / "s"
    faults = {3: Fault("diverge", 2), 5: Fault("raise", 3), 7: Fault("crash", 2, times=1)}
    rehearsed = Rehearsed(folder, trials=15, pruner="asha", replicates=request.param, rehearsal=Rehearsal(faults))
    rehearsed.drive(InlineEngine(Slot(0, "cpu", 2, "cpu"), rehearsed.rehearsal), stop_after=10)
    rehearsed.drive(InlineEngine(Slot(0, "cpu", 2, "cpu"), rehearsed.rehearsal))
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
        ended = [trial for trial in study.trials if trial.has_ended]
        assert study.epochs_trained == sum(trial.epochs_trained for trial in ended)
        whole = study.spec.epochs * study.replicates
        assert study.epochs_pruned == sum(whole - trial.epochs_trained for trial in ended if trial.state == "pruned")
        for trial in study.trials:
            follow_by_hand(study, trial)


def follow_by_hand(study: Study, trial: Trial) -> None:
    """A trial of several replicates is what they are together."""
    if not trial.replicates:
        assert study.replicates == 1
        return
    states = [one.state for one in trial.replicates]
    assert len(states) == study.replicates
    assert (trial.state == "complete") == (set(states) == {"complete"})
    assert trial.has_ended or set(states) <= {"waiting", "running", "complete"}
    assert trial.seconds == pytest.approx(sum(one.seconds for one in trial.replicates))
    for report in trial.reports:
        values = [other.value for one in trial.replicates for other in one.reports if other.epoch == report.epoch]
        assert report.value == pytest.approx(sum(values) / len(values))
    if trial.state == "complete":
        assert trial.objective == pytest.approx(sum(one.objective or 0.0 for one in trial.replicates) / study.replicates)


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


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_events_taken_in_together_make_the_same_study(played: Path, data: st.DataObject) -> None:
    """In any order, told twice or late, with drivers that come and go in between."""
    with Store.read_only(played) as store:
        events, whole = [event for _, event in store.events()], store.study()
    shift = data.draw(st.integers(1, 40))
    order = data.draw(st.permutations(range(len(events) // shift + 1)))
    told = [event for index in order for event in events[shift * index : shift * (index + 1)]] if data.draw(st.booleans()) else events
    for place in data.draw(st.lists(st.integers(0, len(told)), max_size=4)):
        told = [*told[:place], Resumed(float(place), 15), *told[place:]]
    one, other = Study("x", whole.spec, whole.objective), Study("x", whole.spec, whole.objective)
    for event in told:
        one.apply(event)
    other.apply_all(told)
    assert vars(one) == vars(other)


def test_replicates_are_put_together_once_for_all_their_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes as long as all their epochs together, and a study is read before every answer about it."""
    calls: list[int] = []

    def counted(trial: Trial, *more: Any) -> Trial:
        calls.append(trial.number)
        return together(trial, *more)

    together = trials._together
    monkeypatch.setattr(trials, "_together", counted)
    study = fresh(replicates=3)
    keys = [study.key(0, replicate) for replicate in range(3)]
    events: list[Event] = [Suggested(study.key(0), 1.0, {"layers": 1}, "strategy"), *(Started(key, 1.0, "cpu", "cpu") for key in keys)]
    events += [Reported(key, 2.0, epoch, {"accuracy": 0.5, "loss": 0.5}, 0.1) for epoch in range(1, 51) for key in keys]
    events += [Finished(key, 3.0) for key in keys]
    study.apply_all(events)
    assert (len(calls), study.trials[0].epochs_trained, study.trials[0].state) == (3 + 1 + 3, 150, "complete")


def fresh(maximize: bool = True, replicates: int = 1) -> Study:
    rehearsed = Rehearsed(Path("nowhere"), maximize=maximize, replicates=replicates)
    return Study("x", rehearsed.spec, rehearsed.objective)


def test_the_objective_is_the_best_epoch_and_not_the_last() -> None:
    study = fresh()
    study.apply(Suggested(study.key(0), 1.0, {"layers": 1}, "strategy"))
    for epoch, value in enumerate([0.5, 0.9, 0.7], 1):
        study.apply(Reported(study.key(0), 2.0, epoch, {"accuracy": value, "loss": 1 - value}, 0.25))
    study.apply(Finished(study.key(0), 3.0))
    trial = study.trials[0]
    assert (trial.objective, trial.epoch, trial.metrics["accuracy"], trial.epochs, trial.seconds) == (0.9, 2, 0.9, 3, 0.75)


def test_of_equal_epochs_the_best_has_the_smallest_loss() -> None:
    """Told one by one or together; where no loss is reported it is the first of them."""
    reports = [(0.5, 0.9), (0.9, 0.6), (0.9, 0.2), (0.9, 0.4), (0.8, 0.1)]
    told = [{"accuracy": value, "loss": loss} for value, loss in reports]
    for metrics, epoch in ((told, 3), ([{"accuracy": each["accuracy"]} for each in told], 2)):
        one_by_one, together = fresh(), fresh()
        events = [Reported(one_by_one.key(0), 2.0, number, each, 0.25) for number, each in enumerate(metrics, 1)]
        for study in (one_by_one, together):
            study.apply(Suggested(study.key(0), 1.0, {"layers": 1}, "strategy"))
        for event in events:
            one_by_one.apply(event)
        together.apply_all(events)
        for study in (one_by_one, together):
            assert (study.trials[0].objective, study.trials[0].epoch) == (0.9, epoch)


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


# -- several replicates -----------------------------------------------------------------------------------------------


def replicated(*events: tuple[int, float | str]) -> Study:
    """A study of one trial with two replicates to which these things happen: (replicate, value reported or what else)."""
    study = fresh(replicates=2)
    study.apply(Suggested(study.key(0), 1.0, {"layers": 1}, "strategy"))
    for replicate, what in events:
        key = study.key(0, replicate)
        kinds: dict[object, Event] = {
            "start": Started(key, 2.0, "cpu", f"worker-{replicate}"),
            "finish": Finished(key, 3.0, saved=replicate == 0),
            "diverge": Diverged(key, 3.0, 1, 0.5),
            "lose": Lost(key, 3.0, "killed"),
            "prune": Pruned(study.key(0), 3.0, 1),
        }
        epoch = study.training(key).epochs + 1
        study.apply(kinds[what] if isinstance(what, str) else Reported(key, 2.0, epoch, {"accuracy": what, "loss": 1 - what}, 0.25))
    return study


def test_the_objective_of_replicates_is_the_mean_of_their_best_epochs() -> None:
    study = replicated((0, 0.5), (0, 0.9), (0, 0.7), (0, "finish"), (1, 0.6), (1, 0.5), (1, 0.4), (1, "finish"))
    trial = study.trials[0]
    assert (trial.state, trial.objective, trial.epoch, trial.saved) == ("complete", 0.75, 2, True)
    assert trial.metrics == pytest.approx({"accuracy": 0.75, "loss": 0.25})
    assert curve(trial) == [(1, pytest.approx(0.55)), (2, pytest.approx(0.7)), (3, pytest.approx(0.55))]
    assert (trial.epochs, trial.epochs_trained, trial.seconds) == (3, 6, 1.5)


def test_a_replicate_that_has_just_begun_does_not_pull_down_what_the_others_have_reached() -> None:
    assert replicated((0, 0.8), (0, 0.9), (0, "finish"), (1, 0.1)).trials[0].objective == 0.9
    assert replicated((0, 0.8), (0, 0.9), (1, 0.1)).trials[0].objective == 0.9
    assert replicated((0, 0.8), (0, 0.9), (1, 0.1), (1, 0.5)).trials[0].objective == pytest.approx(0.7)


def test_a_trial_ends_when_all_its_replicates_have_ended() -> None:
    study = replicated((0, "start"), (0, 0.5), (0, "finish"))
    assert (study.trials[0].state, list(study.waiting()), study.ended) == ("waiting", [study.key(0, 1)], 0)
    assert (study.is_over(study.key(0, 0)), study.is_over(study.key(0, 1))) == (True, False)
    study.apply(Started(study.key(0, 1), 4.0, "cpu", "worker-9"))
    assert (study.trials[0].state, study.trials[0].worker, list(study.waiting())) == ("running", "worker-9", [])
    study.apply(Finished(study.key(0, 1), 5.0))
    assert (study.trials[0].state, study.trials[0].ended, study.trials[0].started, study.ended) == ("complete", 5.0, 2.0, 1)


def test_a_replicate_that_diverges_ends_the_trial() -> None:
    study = replicated((0, "start"), (1, "start"), (0, 0.5), (1, "diverge"), (0, 0.6), (0, "finish"))
    trial = study.trials[0]
    assert (trial.state, trial.epochs, trial.reason) == ("diverged", 1, "the loss became NaN or infinite in epoch 1")
    assert (list(study.waiting()), study.is_over(study.key(0)), study.best) == ([], True, None)
    assert trial.seconds == 0.75


def test_a_lost_replicate_is_tried_once_more_and_then_the_trial_is_lost() -> None:
    study = replicated((0, "lose"), (1, "lose"))
    assert (study.trials[0].state, study.trials[0].losses, len(list(study.waiting()))) == ("waiting", 2, 2)
    study.apply(Lost(study.key(0, 1), 4.0, "killed again"))
    assert (study.trials[0].state, study.trials[0].reason) == ("lost", "killed again")


def test_a_trial_can_be_pruned_between_two_replicates() -> None:
    study = replicated((0, 0.5), (0, "finish"), (0, "prune"), (1, 0.9))
    trial = study.trials[0]
    assert (trial.state, trial.objective, trial.epochs_trained) == ("pruned", 0.5, 1)
    assert (study.epochs_pruned, study.epochs_trained) == (2 * 6 - 1, 1)


def test_a_killed_driver_leaves_the_replicates_that_had_not_ended_waiting() -> None:
    study = replicated((0, "start"), (0, 0.5), (0, "finish"), (1, "start"), (1, 0.4))
    study.apply(Resumed(9.0, 5))
    assert list(study.waiting()) == [study.key(0, 1)]
    assert [one.epochs for one in study.trials[0].replicates] == [1, 1]


def test_what_is_said_of_replicates_that_there_are_not_is_no_news() -> None:
    study = replicated((0, 0.5))
    for replicate in (2, 7):
        assert not study.accepts(Reported(study.key(0, replicate), 2.0, 1, {"accuracy": 0.9}, 0.1))
    assert not fresh().accepts(Reported(study.key(0, 0), 2.0, 1, {}, 0.1))
