"""What a driver makes of failures, by their kind: what is tried again, with whom, what ends, and when a study stops."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from automl import heartbeat
from automl.driver import drive
from automl.engines import Answer, Engine
from automl.engines.devices import Placement
from automl.engines.inline import InlineEngine
from automl.engines.local import LocalEngine
from automl.errors import AutomlError
from automl.events import Orders, Slot, WorkerLost
from automl.heartbeat import longest_silence
from automl.study import Study
from automl.training.simulated import Fault, FaultKind, Rehearsal
from contracts.driving import Rehearsed, numbers


def driven(rehearsed: Rehearsed, engine: Engine, trial_seconds: float | None = None) -> Study:
    """The study at its end."""
    with rehearsed.open() as store, closing(engine):
        session = rehearsed.session(store)
        session.trial_seconds = trial_seconds
        assert drive(engine, [session]) == "done"
        return session.study


def inline(rehearsal: Rehearsal, lanes: int) -> InlineEngine:
    return InlineEngine(Slot(0, "cpu", lanes, "worker-0"), rehearsal)


def local(folder: Path, rehearsal: Rehearsal, workers: int = 1, lanes: int = 1) -> LocalEngine:
    return LocalEngine([Placement(Slot(n, "cpu", lanes, f"worker-{n}"), "", 1) for n in range(workers)], folder / "workers", rehearsal)


def ends(study: Study) -> dict[int, str]:
    """The states of all trials that are not complete."""
    return {trial.number: trial.state for trial in study.trials if trial.state != "complete"}


# who is at fault


@pytest.mark.parametrize("lanes", [2, 12, 64])
def test_of_trials_side_by_side_only_the_one_that_kills_its_worker_is_lost(tmp_path: Path, lanes: int) -> None:
    """However many go down with it, the others come to the numbers that they have without it."""
    calm = driven(Rehearsed(tmp_path / "calm", trials=70), inline(Rehearsal(), lanes))
    shaken = driven(Rehearsed(tmp_path / "shaken", trials=70), inline(Rehearsal({5: Fault("crash", 3), 40: Fault("crash")}), lanes))
    assert ends(shaken) == {5: "lost", 40: "lost"}
    same = [number for number in range(70) if number not in (5, 40)]
    assert [numbers(shaken)[number] for number in same] == [numbers(calm)[number] for number in same]
    assert all(trial.losses <= 4 for trial in shaken.trials)


def test_a_trial_that_was_lost_beside_others_is_not_lost_for_good_before_it_was_alone(tmp_path: Path) -> None:
    study = driven(Rehearsed(tmp_path / "s", trials=20), inline(Rehearsal({5: Fault("crash", 3, times=3)}), 16))
    assert ends(study) == {}
    assert (study.trials[5].losses, study.trials[5].losses_alone) == (3, 1)


def test_suspects_are_among_themselves_also_after_a_restart(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path / "s", trials=20)
    rehearsed.drive(inline(Rehearsal({5: Fault("crash", 3)}), 16), stop_after=5)

    class Watched(InlineEngine):
        beside = 0

        def send(self, slot: Slot, orders: Orders, patience_seconds: float = 0.0) -> None:
            if any(trial.key.trial == 5 for trial in orders.start):
                self.beside = max(self.beside, len(orders.start) - 1)
            super().send(slot, orders)

    engine = Watched(Slot(0, "cpu", 16, "worker-0"), Rehearsal())
    study = driven(rehearsed, engine)
    assert engine.beside == 1  # an eighth of 16 lanes
    assert ends(study) == {}


# memory


class Starved(InlineEngine):
    """Its workers are killed by the kernel instead of crashing."""

    def wait(self, timeout_seconds: float | None = None) -> list[tuple[Slot, Answer]]:
        return [
            (slot, WorkerLost("killed by the kernel, since memory ran out", reason="out_of_memory"))
            if isinstance(answer, WorkerLost)
            else (slot, answer)
            for slot, answer in super().wait(timeout_seconds)
        ]


def test_a_trial_with_which_the_kernel_killed_its_worker_twice_ran_out_of_memory(tmp_path: Path) -> None:
    rehearsed = Rehearsed(tmp_path / "s")
    study = driven(rehearsed, Starved(Slot(0, "cpu", 4, "worker-0"), Rehearsal({5: Fault("crash"), 7: Fault("crash", times=1)})))
    assert ends(study) == {5: "out_of_memory"}
    assert study.trials[5].reason == "killed by the kernel, since memory ran out"
    with rehearsed.open() as store:
        assert numbers(store.study()) == numbers(study)


# time


def test_a_trial_ends_when_it_has_taken_longer_than_it_may(tmp_path: Path) -> None:
    """Ten epochs of a second each, of which three and a half may be trained; the last report still counts."""
    study = driven(Rehearsed(tmp_path / "s", trials=3, epochs=10), inline(Rehearsal(seconds_per_epoch=1.0), 2), trial_seconds=3.5)
    assert ends(study) == {0: "timeout", 1: "timeout", 2: "timeout"}
    assert [trial.epochs for trial in study.trials] == [4, 4, 4]
    assert study.trials[0].reason == "it took 4 s, and a trial may take 3.5 s"


def test_a_trial_that_is_over_its_time_with_its_last_epoch_is_complete(tmp_path: Path) -> None:
    study = driven(Rehearsed(tmp_path / "s", trials=3, epochs=4), inline(Rehearsal(seconds_per_epoch=1.0), 2), trial_seconds=3.5)
    assert ends(study) == {}


def test_a_trial_that_hangs_beyond_its_time_is_over_at_once(tmp_path: Path) -> None:
    study = driven(Rehearsed(tmp_path / "s", trials=6), local(tmp_path, Rehearsal({3: Fault("hang", 2)}), workers=2), trial_seconds=0.2)
    assert ends(study) == {3: "timeout"}
    assert study.trials[3].reason.startswith("a trial may take 0.2 s, and its worker did not answer for ")
    assert " in strike\n" in study.trials[3].reason  # the stack of what hung
    assert study.trials[3].losses == 0


def test_a_hung_trial_is_found_by_its_silence_and_its_neighbours_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "FLOOR_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "UNKNOWN_SECONDS", 0.2)  # until an epoch has ended
    monkeypatch.setattr(heartbeat, "_AFTER_A_LOSS", 1.0)
    study = driven(Rehearsed(tmp_path / "s", trials=8), local(tmp_path, Rehearsal({3: Fault("hang", 2)}), lanes=4))
    assert ends(study) == {3: "timeout"}
    assert study.trials[3].losses_alone == 2
    assert study.trials[3].reason.startswith("did not answer for ")


def test_patience_is_far_beyond_what_answers_have_taken() -> None:
    assert longest_silence(None, 1) == 3600
    assert longest_silence(0.5, 1) == 70
    assert longest_silence(600.0, 1) == 60 + 20 * 600
    assert longest_silence(0.5, 8) == 60 + 20 * 8 * 0.5
    assert longest_silence(0.5, 1, losses=1) == 700
    assert longest_silence(0.5, 1, reports_at_will=True) == 700


# when a study stops


@pytest.mark.parametrize(
    ("kind", "tried", "how"),
    [
        ("raise", 3, "failed in the same way"),
        ("crash", 3, "lost their workers"),
        ("out_of_memory", 10, "ran out of memory"),
        ("diverge", 10, "diverged"),
    ],
)
def test_a_study_whose_first_trials_all_end_alike_stops(tmp_path: Path, kind: FaultKind, tried: int, how: str) -> None:
    rehearsed = Rehearsed(tmp_path / "s", trials=30, rehearsal=Rehearsal(dict.fromkeys(range(30), Fault(kind))))
    with pytest.raises(AutomlError, match=f"^The first {tried} trials all {how}, so the study stops\\.") as error:
        rehearsed.drive()
    assert str(error.value).count("\n") < 25


def test_a_study_whose_first_trials_fail_in_several_ways_has_more_of_them(tmp_path: Path) -> None:
    kinds: list[FaultKind] = ["raise", "crash", "out_of_memory"]
    faults = {number: Fault(kinds[number % 3]) for number in range(30)}
    with pytest.raises(AutomlError, match=re.escape("The first 10 trials all failed, so the study stops.")):
        Rehearsed(tmp_path / "s", trials=30, rehearsal=Rehearsal(faults)).drive()


def test_one_good_trial_is_enough_to_go_on(tmp_path: Path) -> None:
    faults = {number: Fault("raise") for number in range(30) if number != 1}
    study, why = Rehearsed(tmp_path / "s", trials=30, rehearsal=Rehearsal(faults)).drive()
    assert (why, study.counts["failed"]) == ("done", 29)
