"""The laws of the loop: totals are met, nothing is repeated, nothing is lost, and a study can be cut anywhere."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from automl import driver
from automl.driver import drive, tidy
from automl.engines import Answer
from automl.engines.inline import InlineEngine
from automl.errors import AutomlError
from automl.events import Finished, Orders, Reported, Slot, Started, TrialKey
from automl.study import Study
from automl.training.simulated import Fault, FaultKind, Rehearsal
from automl.trials import Rested, Trial
from contracts.driving import Rehearsed, curve, numbers


def keys(study: Study) -> list[object]:
    return [study.space.key(trial.configuration) for trial in study.trials]


@pytest.mark.parametrize("strategy", ["random", "grid", "bayesian"])
@pytest.mark.parametrize("pruner", ["none", "asha"])
def test_a_study_ends_with_the_total_that_was_asked_for_and_repeats_nothing(tmp_path: Path, strategy: str, pruner: str) -> None:
    study, why = Rehearsed(tmp_path / "s", trials=14, strategy=strategy, pruner=pruner).drive()
    assert why == "done"
    assert study.ended == len(study.trials) == 14
    assert len(set(keys(study))) == 14
    assert not study.unended
    assert {trial.state for trial in study.trials} <= {"complete", "pruned"}


def test_the_baseline_is_trial_0_and_is_never_pruned(tmp_path: Path) -> None:
    study, _ = Rehearsed(tmp_path / "s", trials=20, pruner="asha").drive()
    assert study.baseline is not None
    assert (study.baseline.number, study.baseline.state, study.baseline.in_space) == (0, "complete", False)
    assert study.gain == pytest.approx(study.best.objective - study.baseline.objective)  # type: ignore[union-attr,operator]


def test_a_file_without_baseline_has_no_baseline_trial_and_no_gain(tmp_path: Path) -> None:
    study, _ = Rehearsed(tmp_path / "s", baseline=None).drive()
    assert (study.baseline, study.gain, study.trials[0].origin) == (None, None, "strategy")


def test_a_larger_total_continues_and_the_same_total_does_nothing(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path / "s", trials=5)
    first, _ = rehearsed.drive()
    again, why = rehearsed.drive()
    assert (numbers(again), why) == (numbers(first), "done")
    more, _ = rehearsed.but(trials=9).drive()
    assert numbers(more)[:5] == numbers(first)
    assert more.ended == 9


@pytest.mark.parametrize("strategy", ["random", "grid", "bayesian"])
@pytest.mark.parametrize(("pruner", "replicates"), [("asha", 1), ("median", 1), ("asha", 3), ("median", 3)])
def test_a_study_cut_anywhere_continues_to_the_numbers_of_the_uninterrupted_one(
    tmp_path: Path, strategy: str, pruner: str, replicates: int
) -> None:
    whole, _ = Rehearsed(tmp_path / "whole", strategy=strategy, pruner=pruner, replicates=replicates).drive()
    for cut in (1, 2, 3, 8, 13, 20):
        rehearsed = Rehearsed(tmp_path / f"cut{cut}", strategy=strategy, pruner=pruner, replicates=replicates)
        _, why = rehearsed.drive(stop_after=cut)
        assert why == "interrupted"
        rehearsed.drive(stop_after=cut)
        study, why = rehearsed.drive()
        assert why == "done"
        assert numbers(study) == numbers(whole)


@pytest.mark.parametrize("replicates", [1, 2, 5])
def test_many_lanes_and_slots_meet_the_total_exactly(tmp_path: Path, replicates: int) -> None:
    """Whatever the number of lanes, no trial too many is started."""
    for lanes in (1, 3, 16):
        rehearsed = Rehearsed(tmp_path / f"lanes{lanes}", trials=10, pruner="asha", replicates=replicates)
        study, _ = rehearsed.drive(InlineEngine(Slot(0, "cpu", lanes, "cpu"), Rehearsal()))
        assert study.ended == len(study.trials) == 10


class SideBySide:
    """An engine of several workers in this process; ``had`` tells how many trials each had whenever it was given some."""

    def __init__(self, *lanes: int) -> None:
        self._engines = {slot: InlineEngine(slot, Rehearsal()) for slot in (Slot(n, "cpu", most, f"w{n}") for n, most in enumerate(lanes))}
        self.slots = list(self._engines)
        self.had: list[list[int]] = []
        self._keys: dict[Slot, set[TrialKey]] = {slot: set() for slot in self.slots}

    def send(self, slot: Slot, orders: Orders, patience_seconds: float = math.inf) -> None:
        self._keys[slot] |= {spec.key for spec in orders.start}
        if orders.start:
            self.had.append([len(keys) for keys in self._keys.values()])
        self._engines[slot].send(slot, orders, patience_seconds)

    def wait(self, timeout_seconds: float | None = None) -> list[tuple[Slot, Answer]]:
        answers = [answer for engine in self._engines.values() for answer in engine.wait()]
        for slot, answer in answers:
            assert isinstance(answer, list)
            self._keys[slot] -= {event.key for event in answer if isinstance(event, Finished)}
        return answers

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("trials", "lanes", "first"),
    [(5, (8, 8), [3, 2]), (40, (8, 8), [8, 8]), (9, (8, 4), [6, 3]), (1, (8, 8, 8), [1, 0, 0]), (3, (1, 1), [1, 1])],
)
def test_workers_share_what_is_left_by_their_lanes(tmp_path: Path, trials: int, lanes: tuple[int, ...], first: list[int]) -> None:
    """No worker takes all of what is left while another has nothing to do."""
    engine = SideBySide(*lanes)
    study, why = Rehearsed(tmp_path / "s", trials=trials, epochs=2).drive(engine)
    assert (why, study.ended, len(study.trials)) == ("done", trials, trials)
    assert engine.had[sum(map(bool, first)) - 1] == first


def test_confirmations_are_shared_as_well(tmp_path: Path) -> None:
    rehearsed, engine = Rehearsed(tmp_path / "s", trials=8, epochs=2), SideBySide(16, 16)
    with rehearsed.open() as store:
        session = rehearsed.session(store)
        session.confirm = 4
        assert drive(engine, [session]) == "done"
        confirmations = sum(len(some) for some in session.study.confirmations.values())
    assert confirmations > 4
    given = [had for had in engine.had if sum(had) > 1]
    assert all(abs(a - b) <= 1 for a, b in given[1::2])


@pytest.mark.parametrize("replicates", [1, 2])
@pytest.mark.parametrize(("lanes", "ahead"), [(3, 0), (8, 2), (96, 16)])
def test_what_is_trained_next_is_chosen_while_the_workers_train(tmp_path: Path, lanes: int, ahead: int, replicates: int) -> None:
    """A quarter of as many trials as are under way waits, never more than the study was asked for; with few none does."""
    rehearsed = Rehearsed(tmp_path / "s", trials=150, strategy="bayesian", epochs=2, replicates=replicates)
    waiting: list[int] = []

    class Watched(InlineEngine):
        def wait(self, timeout_seconds: float | None = None) -> list[tuple[Slot, Answer]]:
            waiting.append(len(session.study.unended) - len({key.trial for key in session.on_slots}))
            return super().wait(timeout_seconds)

    with rehearsed.open() as store:
        session = rehearsed.session(store)
        assert drive(Watched(Slot(0, "cpu", lanes * replicates, "cpu"), Rehearsal()), [session]) == "done"
    assert session.study.ended == len(session.study.trials) == 150
    assert (waiting[0], max(waiting), waiting[-1]) == (ahead, ahead, 0)


@pytest.mark.parametrize(
    ("pruners", "trial_seconds", "decided"),
    [
        (("none",), None, frozenset()),
        (("asha",), None, frozenset({1, 3})),
        (("asha", "median"), None, frozenset(range(1, 7))),  # of studies that share their workers all
        (("none",), 60.0, None),
    ],
)
def test_workers_know_after_which_epochs_they_are_to_wait(
    tmp_path: Path, pruners: Sequence[str], trial_seconds: float | None, decided: frozenset[int] | None
) -> None:
    class Watched(InlineEngine):
        def send(self, slot: Slot, orders: Orders, patience_seconds: float = 0.0) -> None:
            sent.append(orders.decided)
            super().send(slot, orders, patience_seconds)

    sent: list[frozenset[int] | None] = []
    with ExitStack() as stack:
        sessions = []
        for number, pruner in enumerate(pruners):
            rehearsed = Rehearsed(tmp_path / str(number), trials=3, pruner=pruner)
            sessions.append(rehearsed.session(stack.enter_context(rehearsed.open())))
            sessions[-1].trial_seconds = trial_seconds
        drive(Watched(Slot(0, "cpu", 2, "cpu"), Rehearsal()), sessions)
    assert sent[0] == decided


def test_a_used_up_space_ends_the_study_before_its_total(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path / "s", trials=500, strategy="grid", epochs=1)
    study, why = rehearsed.drive()
    assert why == "done"
    assert study.ended == 1 + 4 * 3 * (1 + 2)  # the baseline is no point of the grid: it has an l2 of its own


def test_failures_and_divergence_end_only_their_own_trial(tmp_path: Path) -> None:
    faults = {2: Fault("raise", 2), 4: Fault("diverge", 3), 6: Fault("out_of_memory")}
    study, _ = Rehearsed(tmp_path / "s", rehearsal=Rehearsal(faults)).drive()
    states = {trial.number: trial.state for trial in study.trials if trial.state != "complete"}
    assert states == {2: "failed", 4: "diverged", 6: "out_of_memory"}
    assert study.ended == 12
    assert study.trials[4].reason == "the loss became NaN or infinite in epoch 3"


def test_a_trial_whose_worker_dies_is_tried_once_more_and_then_lost(tmp_path: Path) -> None:
    faults = {2: Fault("crash", 2, times=1), 5: Fault("crash", 1)}
    study, _ = Rehearsed(tmp_path / "s", rehearsal=Rehearsal(faults)).drive()
    assert (study.trials[2].state, study.trials[2].losses) == ("complete", 1)
    assert (study.trials[5].state, study.trials[5].losses) == ("lost", 2)
    assert "the rehearsal asked for a crash" in study.trials[5].reason
    assert study.ended == 12


def test_a_retried_trial_has_the_numbers_of_an_untroubled_one(tmp_path: Path) -> None:
    calm, _ = Rehearsed(tmp_path / "calm").drive()
    shaken, _ = Rehearsed(tmp_path / "shaken", rehearsal=Rehearsal({3: Fault("crash", 4, times=1)})).drive()
    assert numbers(shaken) == numbers(calm)


def test_a_study_in_which_every_trial_fails_stops_early_and_shows_why(tmp_path: Path) -> None:
    faults = {number: Fault("raise") for number in range(12)}
    log = f"{tmp_path / 's'}/trials/2/log.txt"
    reason = "failed in the same way, so the study stops"
    message = f"The first 3 trials all {reason}. Log: {log}\nRuntimeError: the rehearsal asked for an error in epoch 1"
    with pytest.raises(AutomlError, match=f"^{re.escape(message)}$"):
        Rehearsed(tmp_path / "s", rehearsal=Rehearsal(faults)).drive()


def test_the_end_of_the_time_puts_running_trials_back(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path / "s")
    with rehearsed.open() as store:
        session = rehearsed.session(store)
        session.time_left = 0.0
        assert drive(rehearsed.engine(), [session]) == "time"
        session.record([Rested(time.time(), "time", 1.0)])
        assert session.study.counts.get("running", 0) == 0
    study, _ = rehearsed.drive()
    assert study.ended == 12


def test_studies_that_share_a_worker_have_the_numbers_that_they_have_alone(tmp_path: Path) -> None:
    """What a comparison relies on: interleaving changes the order of work and nothing else."""
    alone = [Rehearsed(tmp_path / f"alone{seed}", seed=seed, pruner="median", trials=8) for seed in (1, 2, 3)]
    expected = [numbers(rehearsed.drive()[0]) for rehearsed in alone]
    together = [Rehearsed(tmp_path / f"together{seed}", seed=seed, pruner="median", trials=8) for seed in (1, 2, 3)]
    stores = [rehearsed.open() for rehearsed in together]
    sessions = [rehearsed.session(store) for rehearsed, store in zip(together, stores, strict=True)]
    assert drive(together[0].engine(), sessions) == "done"
    assert [numbers(session.study) for session in sessions] == expected
    for store in stores:
        store.close()


def test_weights_are_kept_for_leaders_and_unended_trials_only(tmp_path: Path) -> None:
    study, _ = Rehearsed(tmp_path / "s").drive()
    for trial in study.trials:
        folder = tmp_path / "s" / "trials" / str(trial.number)
        folder.mkdir(parents=True)
        (folder / "weights.pt").touch()
        (folder / "checkpoint.pt").touch()
    not_ended = tmp_path / "s" / "trials" / "99"
    not_ended.mkdir()
    (not_ended / "checkpoint.pt").touch()
    tidy(study, tmp_path / "s")
    left = {str(path.relative_to(tmp_path / "s" / "trials")) for path in (tmp_path / "s").glob("trials/*/*.pt")}
    assert left == {f"{number}/weights.pt" for number in study.leaders} | {"99/checkpoint.pt"}
    best = sorted((trial.objective for trial in study.trials if trial.objective is not None), reverse=True)[:3]
    assert [study.trials[number].objective for number in study.leaders] == best


def test_events_are_told_to_followers_after_they_were_written(tmp_path: Path) -> None:
    rehearsed, seen = Rehearsed(tmp_path / "s", trials=4), []
    with rehearsed.open() as store:
        session = rehearsed.session(store)

        def follow(events: object) -> None:
            assert list(store.events())[-len(events) :] == list(events)  # type: ignore[arg-type,call-overload]
            seen.extend(events)  # type: ignore[arg-type]

        session.followers.append(follow)
        drive(rehearsed.engine(), [session])
        positions = [position for position, _ in seen]
        assert positions == list(range(positions[0], positions[0] + len(positions)))


def test_seeds_differ_by_study_seed_trial_and_replicate(tmp_path: Path) -> None:
    with Rehearsed(tmp_path / "a", seed=0).open() as a, Rehearsed(tmp_path / "b", seed=1).open() as b:
        studies = [a.study(), b.study()]
        seeds = {study.trial_seed(TrialKey("x", trial, replicate)) for study in studies for trial in range(20) for replicate in range(3)}
    assert len(seeds) == 120


def test_after_the_end_every_worker_is_idle(tmp_path: Path) -> None:
    """The winner is tested next: also a worker that was told to stop a pruned trial must have answered by then."""
    for seed in range(10):
        rehearsed = Rehearsed(tmp_path / f"s{seed}", trials=6, pruner="asha", seed=seed)
        engine = rehearsed.engine()
        rehearsed.drive(engine)
        engine.send(engine.slots[0], Orders())
        assert engine.wait() == [(engine.slots[0], [])]


def test_a_grid_has_no_hole_where_a_trial_was_lost_for_good(tmp_path: Path) -> None:
    faults = {3: Fault("crash"), 36: Fault("crash", times=2)}
    rehearsed = Rehearsed(tmp_path / "s", trials=500, strategy="grid", epochs=1, rehearsal=Rehearsal(faults))
    study, _ = rehearsed.drive()
    done = [study.space.key(trial.configuration) for trial in study.trials if trial.state == "complete"]
    assert len(done) == len(set(done)) == 37
    assert study.counts["lost"] == 2


def test_a_trial_that_stopped_early_is_complete_whatever_the_pruner_says(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path / "s")
    with rehearsed.open() as store:
        session = rehearsed.session(store)
        session.pruner = _Merciless()
        key = session.study.key(0)
        reported = Reported(key, 1.0, 3, {"accuracy": 0.5}, 0.1)
        session.take([Started(key, 0.0, "cpu", "w"), reported, Finished(key, 1.0, stopped_early=True)])
        assert session.study.trials[0].state == "complete"


class _Merciless:
    def prune(self, study: Study, trial: Trial) -> bool:
        return True


def test_the_best_trial_has_weights_also_among_equals(tmp_path: Path) -> None:
    """Trial 1 was put back and ends after 2, 3 and 4, as good as they are: its number makes it the best, so its weights are needed."""
    rehearsed = Rehearsed(tmp_path / "s", epochs=1)
    with rehearsed.open() as store:
        session = rehearsed.session(store)
        session.suggest([{"optimizer": "adam", "learning_rate": 0.01, "layers": layers} for layers in (1, 2, 3, 4)], "enqueued")
        for number in (2, 3, 4, 1):
            key, bar = session.study.key(number), session.specify(session.study.key(number)).save_if_beats
            saved = bar is None or bar < 0.75
            session.take([Reported(key, 1.0, 1, {"accuracy": 0.75}, 0.1), Finished(key, 1.0, saved=saved)])
        assert session.study.best is not None
        assert session.study.best.number == 1
        assert [session.study.trials[number].saved for number in session.study.leaders] == [True] * 3


def test_a_study_that_failed_at_first_can_be_continued_when_its_trouble_is_over(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path / "s", rehearsal=Rehearsal({number: Fault("raise") for number in range(12)}))
    for _ in range(2):
        with pytest.raises(AutomlError, match="trials all failed"):
            rehearsed.drive()
    study, why = rehearsed.but(rehearsal=Rehearsal()).drive()
    assert why == "done"
    assert study.counts["complete"] == 12 - study.counts["failed"]


def test_a_follower_that_fails_is_told_no_more_and_the_study_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rehearsed, calls = Rehearsed(tmp_path / "s", trials=4), []

    def follow(events: object) -> None:
        calls.append(events)
        raise OSError("the terminal is gone")

    with rehearsed.open() as store:
        session = rehearsed.session(store)
        session.followers.append(follow)
        assert drive(rehearsed.engine(), [session]) == "done"
    assert len(calls) == 1
    (said,) = caplog.messages
    assert said.endswith("follow is no longer told what happens, since it failed: OSError('the terminal is gone')")


def test_a_study_whose_time_is_over_or_that_cannot_work_leaves_the_workers_to_the_others(tmp_path: Path) -> None:
    """In a comparison neither may cost another study a trial, nor train on."""
    failing = Rehearsal({number: Fault("raise") for number in range(12)})
    good, late, bad = (Rehearsed(tmp_path / name, seed=seed, trials=8) for seed, name in enumerate(("good", "late", "bad")))
    stores = [rehearsed.open() for rehearsed in (good, late, bad)]
    sessions = [rehearsed.session(store) for rehearsed, store in zip((good, late, bad), stores, strict=True)]
    sessions[1].time_left = 0.0
    sessions[2].trouble = "it cannot work"
    assert drive(good.engine(), sessions) == "time"
    assert [session.study.ended for session in sessions] == [8, 0, 0]
    assert [len(session.on_slots) for session in sessions] == [0, 0, 0]
    for store in stores:
        store.close()
    with pytest.raises(AutomlError, match=r"^The first 3 trials all failed"):
        bad.but(rehearsal=failing).drive()


def test_lanes_are_shared_out_between_studies_at_once(tmp_path: Path) -> None:
    rehearsed = [Rehearsed(tmp_path / str(seed), seed=seed, trials=30) for seed in range(3)]
    stores = [one.open() for one in rehearsed]
    sessions = [one.session(store) for one, store in zip(rehearsed, stores, strict=True)]
    engine, sent = InlineEngine(Slot(0, "cpu", 12, "cpu"), Rehearsal()), []
    send = engine.send
    engine.send = lambda slot, orders, patience: (sent.append([spec.key.study for spec in orders.start]), send(slot, orders))[1]  # type: ignore[method-assign]
    drive(engine, sessions)
    assert sorted(sent[0]) == sorted(["id-0", "id-1", "id-2"] * 4)
    for store in stores:
        store.close()


# -- several replicates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
def test_replicates_have_the_same_numbers_on_any_number_of_lanes(tmp_path: Path, lanes: int) -> None:
    alone, _ = Rehearsed(tmp_path / "alone", replicates=3).drive()
    many, _ = Rehearsed(tmp_path / "many", replicates=3).drive(InlineEngine(Slot(0, "cpu", lanes, "cpu"), Rehearsal()))
    assert numbers(many) == numbers(alone)
    seeds = {many.trial_seed(many.key(trial.number, replicate)) for trial in many.trials for replicate in range(3)}
    assert len(seeds) == 36
    assert all(len({one.objective for one in trial.replicates}) == 3 for trial in many.trials)


def test_the_first_replicate_has_the_numbers_of_the_trial_without_others(tmp_path: Path) -> None:
    alone, _ = Rehearsed(tmp_path / "alone").drive()
    three, _ = Rehearsed(tmp_path / "three", replicates=3).drive()
    assert [curve(trial.replicates[0]) for trial in three.trials] == [curve(trial) for trial in alone.trials]


@pytest.mark.parametrize(("kind", "state"), [("raise", "failed"), ("diverge", "diverged")])
def test_a_replicate_that_fails_frees_the_lanes_of_the_others(tmp_path: Path, kind: FaultKind, state: str) -> None:
    faults = {2: Fault(kind, 2, times=1)}
    rehearsed = Rehearsed(tmp_path / "s", replicates=3, rehearsal=Rehearsal(faults))
    study, why = rehearsed.drive(InlineEngine(Slot(0, "cpu", 6, "cpu"), rehearsed.rehearsal))
    assert (why, study.counts[state], study.counts["complete"]) == ("done", 1, 11)  # type: ignore[index]
    assert study.trials[2].state == state
    assert study.trials[2].epochs_trained < 3 * 6


def test_lost_replicates_are_tried_again_alone(tmp_path: Path) -> None:
    calm, _ = Rehearsed(tmp_path / "calm", replicates=2).drive()
    shaken, _ = Rehearsed(tmp_path / "shaken", replicates=2, rehearsal=Rehearsal({3: Fault("crash", 4, times=1)})).drive()
    assert numbers(shaken) == numbers(calm)
    assert [one.losses for one in shaken.trials[3].replicates] == [1, 0]


def test_replicates_are_pruned_by_their_mean_and_save_epochs(tmp_path: Path) -> None:
    """Side by side they are judged by the mean of all that have got there; one after another by those that have."""
    for lanes in (1, 3):
        rehearsed = Rehearsed(tmp_path / f"lanes{lanes}", trials=20, pruner="asha", replicates=3)
        study, _ = rehearsed.drive(InlineEngine(Slot(0, "cpu", lanes, "cpu"), Rehearsal()))
        pruned = [trial for trial in study.trials if trial.state == "pruned"]
        assert pruned
        for trial in pruned:
            epochs = [one.epochs for one in trial.replicates]
            trained = [each for each in epochs if each]
            assert epochs == [*trained, *[0] * (3 - len(trained))]
            assert set(trained[:-1]) <= ({6} if lanes == 1 else {trained[-1]})


def test_a_study_of_replicates_asks_for_no_more_trials_than_the_lanes_can_take(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path / "s", replicates=3, baseline=None)
    with rehearsed.open() as store:
        session = rehearsed.session(store)
        assert [(spec.key.trial, spec.key.replicate) for spec in session.next_trials(4)] == [(0, 0), (0, 1), (0, 2), (1, 0)]
        assert len(session.study.trials) == 2


def test_of_several_replicates_the_first_keeps_its_weights(tmp_path: Path) -> None:
    for maximize in (True, False):
        study, _ = Rehearsed(tmp_path / str(maximize), replicates=2, maximize=maximize).drive()
        assert all([one.saved for one in trial.replicates] == [True, False] for trial in study.trials)
        assert all(trial.saved for trial in study.trials)


class TwoWorkers:
    """Two workers in this process. The second one answers late: only once it has been waited for so many times since the other was idle."""

    def __init__(self, rehearsal: Rehearsal, patience: int) -> None:
        self._engines = [InlineEngine(Slot(index, "cpu", 1, f"cpu-{index}"), rehearsal) for index in range(2)]
        self.slots: Sequence[Slot] = [engine.slots[0] for engine in self._engines]
        self._patience = patience
        self._waits = 0

    def send(self, slot: Slot, orders: Orders, patience_seconds: float = 0.0) -> None:
        self._engines[slot.index].send(slot, orders)

    def wait(self, timeout_seconds: float | None = None) -> list[tuple[Slot, Answer]]:
        answers = self._engines[0].wait()
        self._waits = 0 if answers else self._waits + 1
        return answers if answers or self._waits < self._patience else self._engines[1].wait()

    def close(self) -> None:
        pass


def test_a_worker_in_the_middle_of_what_nobody_wants_is_waited_for_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replicate diverges and ends the last trial, while another worker still trains a replicate of it: after the end it is idle."""
    monkeypatch.setattr(driver, "_GRACE", 0.0)
    rehearsed = Rehearsed(tmp_path / "s", trials=1, replicates=2, baseline=None)
    engine = TwoWorkers(Rehearsal({0: Fault("diverge", 1, times=1)}), patience=5)
    study, why = rehearsed.drive(engine)
    assert (why, study.trials[0].state) == ("done", "diverged")
    for slot in engine.slots:
        engine.send(slot, Orders())
    answers = [answer for _ in range(6) for answer in engine.wait()]
    assert sorted(answers, key=lambda answer: answer[0].index) == [(slot, []) for slot in engine.slots], "and knows nothing of it any more"
