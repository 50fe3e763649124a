"""The laws of an engine. A test module inherits from ``EngineContract`` and says how to make one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from automl.engines import Answer, Engine
from automl.errors import AutomlError
from automl.events import Finished, Job, Orders, Reported, Slot, Started, Tested, TrialKey, TrialSpec, WorkerEvent, WorkerLost
from automl.training.simulated import Fault, Rehearsal, simulated_metrics

PATIENCE_SECONDS = 60.0


def a_trial(folder: Path, number: int = 0, epochs: int = 3) -> TrialSpec:
    """A trial for the rehearsal; its study's folder is ``folder``."""
    job = Job("study", "mlp", str(folder), str(folder), "accuracy", True, ("accuracy", "loss"))
    return TrialSpec(TrialKey("study", number), job, {"learning_rate": 10.0 ** -(number % 4)}, seed=number, epochs=epochs)


def answer_of(engine: Engine, slot: Slot) -> Answer:
    """The answer of the only slot that owes one."""
    ((answered, answer),) = engine.wait(PATIENCE_SECONDS)
    assert answered == slot
    return answer


def events_of(engine: Engine, slot: Slot, orders: Orders = Orders()) -> list[WorkerEvent]:  # noqa: B008 - a frozen value
    """Send orders; the events that answer them."""
    engine.send(slot, orders)
    answer = answer_of(engine, slot)
    assert not isinstance(answer, WorkerLost), answer
    return answer


def train(engine: Engine, slot: Slot, *trials: TrialSpec) -> list[WorkerEvent]:
    """Train to the end, in one slot; all events in order."""
    events = news = events_of(engine, slot, Orders(start=trials))
    while news:
        news = events_of(engine, slot)
        events = events + news
    return events


class EngineContract:
    """What holds for every engine."""

    def make(self, folder: Path, rehearsal: Rehearsal, lanes: int = 1) -> Engine:
        raise NotImplementedError

    @contextmanager
    def engine(self, folder: Path, rehearsal: Rehearsal | None = None, lanes: int = 1) -> Iterator[Engine]:
        with closing(self.make(folder, rehearsal or Rehearsal(), lanes)) as engine:
            yield engine

    def test_a_trial_trains_to_its_end_with_the_numbers_of_its_specification(self, tmp_path: Path) -> None:
        trial = a_trial(tmp_path)
        with self.engine(tmp_path) as engine:
            slot = engine.slots[0]
            events = train(engine, slot, trial)
        assert [type(event) for event in events] == [Started, Reported, Reported, Reported, Finished]
        assert {event.key for event in events} == {trial.key}
        assert [event.metrics for event in events if isinstance(event, Reported)] == [simulated_metrics(trial, e) for e in (1, 2, 3)]

    def test_reports_on_which_nothing_hangs_are_told_together(self, tmp_path: Path) -> None:
        """Up to an epoch after which the trial may be stopped, and from there to its end."""
        trial, decided = a_trial(tmp_path, epochs=40), frozenset({4})
        with self.engine(tmp_path) as engine:
            slot = engine.slots[0]
            answers = [events_of(engine, slot, Orders(start=(trial,), decided=decided))]
            while answers[-1]:
                answers.append(events_of(engine, slot, Orders(decided=decided)))
        told = [[event.epoch for event in answer if isinstance(event, Reported)] for answer in answers]
        assert [epoch for epochs in told for epoch in epochs] == list(range(1, 41))
        assert any(epochs[-1:] == [4] for epochs in told)
        assert len(told) < 20

    def test_started_names_the_device_and_the_worker_as_the_slot_does(self, tmp_path: Path) -> None:
        with self.engine(tmp_path) as engine:
            slot = engine.slots[0]
            started = events_of(engine, slot, Orders(start=(a_trial(tmp_path),)))[0]
        assert isinstance(started, Started)
        assert (started.device, started.worker) == (slot.device, slot.name)

    def test_every_send_is_answered_once(self, tmp_path: Path) -> None:
        with self.engine(tmp_path) as engine:
            for slot in engine.slots:
                engine.send(slot, Orders(start=(a_trial(tmp_path, slot.index),)))
            answered = [slot for _ in engine.slots for slot, _ in engine.wait(PATIENCE_SECONDS)]
            assert sorted(answered, key=lambda slot: slot.index) == list(engine.slots)
            assert engine.wait(PATIENCE_SECONDS) == []

    def test_waiting_for_nobody_returns_at_once(self, tmp_path: Path) -> None:
        with self.engine(tmp_path) as engine:
            assert engine.wait() == []

    def test_nothing_to_train_is_answered_with_nothing(self, tmp_path: Path) -> None:
        with self.engine(tmp_path) as engine:
            assert events_of(engine, engine.slots[0]) == []

    def test_a_slot_takes_no_orders_before_it_has_answered(self, tmp_path: Path) -> None:
        with self.engine(tmp_path) as engine:
            engine.send(engine.slots[0], Orders())
            with pytest.raises(RuntimeError, match=r"^worker-0 was sent orders before it has answered the last ones$"):
                engine.send(engine.slots[0], Orders())

    def test_a_slot_of_another_engine_is_refused(self, tmp_path: Path) -> None:
        with self.engine(tmp_path) as engine, pytest.raises(ValueError, match=r"is no slot of this engine$"):
            engine.send(Slot(99, "cpu"), Orders())

    def test_lanes_train_side_by_side_and_the_next_trial_waits_its_turn(self, tmp_path: Path) -> None:
        trials = [a_trial(tmp_path, number) for number in range(3)]
        with self.engine(tmp_path, lanes=2) as engine:
            slot = engine.slots[0]
            events = train(engine, slot, *trials)
        starts = [event.key.trial for event in events if isinstance(event, Started)]
        first_end = next(index for index, event in enumerate(events) if isinstance(event, Finished))
        third_start = next(index for index, event in enumerate(events) if isinstance(event, Started) and event.key.trial == 2)
        assert starts == [0, 1, 2]
        assert first_end < third_start

    def test_a_stopped_trial_is_never_heard_of_again(self, tmp_path: Path) -> None:
        first, second = a_trial(tmp_path, 0), a_trial(tmp_path, 1)
        with self.engine(tmp_path, lanes=2) as engine:
            slot = engine.slots[0]
            events_of(engine, slot, Orders(start=(first, second)))
            after = events_of(engine, slot, Orders(stop=(first.key, TrialKey("study", 77))))
        assert {event.key for event in after} == {second.key}

    def test_stops_come_before_starts(self, tmp_path: Path) -> None:
        """A lane that becomes free is taken at once by the trial of the same orders."""
        first, second = a_trial(tmp_path, 0), a_trial(tmp_path, 1)
        with self.engine(tmp_path) as engine:
            slot = engine.slots[0]
            events_of(engine, slot, Orders(start=(first,)))
            after = events_of(engine, slot, Orders(stop=(first.key,), start=(second,)))
        assert [type(event) for event in after] == [Started, Reported]

    def test_tests_come_first_in_the_answer(self, tmp_path: Path) -> None:
        ended, running = a_trial(tmp_path, 0), a_trial(tmp_path, 1)
        with self.engine(tmp_path) as engine:
            events = events_of(engine, engine.slots[0], Orders(test=(ended,), start=(running,)))
            alone = events_of(engine, engine.slots[0], Orders(stop=(running.key,), test=(ended,)))
        assert [type(event) for event in events] == [Tested, Started, Reported]
        assert [type(event) for event in alone] == [Tested]

    def test_an_error_outside_of_a_trial_loses_the_worker_and_another_stands_there_at_once(self, tmp_path: Path) -> None:
        with self.engine(tmp_path, Rehearsal(faults={0: Fault("crash", epoch=2)})) as engine:
            slot = engine.slots[0]
            events_of(engine, slot, Orders(start=(a_trial(tmp_path, 0),)))
            engine.send(slot, Orders())
            lost = answer_of(engine, slot)
            assert isinstance(lost, WorkerLost)
            assert lost.detail.endswith("RuntimeError: the rehearsal asked for a crash")
            assert len(train(engine, slot, a_trial(tmp_path, 1))) == 5

    def test_a_worker_that_cannot_write_is_not_lost_but_the_end_of_the_run(self, tmp_path: Path) -> None:
        """Another one could not write either, and no trial is at fault."""
        with self.engine(tmp_path, Rehearsal(faults={0: Fault("full_disk", epoch=2)})) as engine:
            slot = engine.slots[0]
            events_of(engine, slot, Orders(start=(a_trial(tmp_path, 0),)))
            engine.send(slot, Orders())
            with pytest.raises(AutomlError) as error:
                engine.wait(PATIENCE_SECONDS)
            assert str(error.value) == (
                "trials/log.txt: must be readable and writable, but no space left on device. "
                "All that was written before is kept; the same command goes on with it."
            )

    def test_close_may_be_called_again_and_ends_the_conversation(self, tmp_path: Path) -> None:
        engine = self.make(tmp_path, Rehearsal())
        engine.send(engine.slots[0], Orders(start=(a_trial(tmp_path),)))
        engine.close()
        engine.close()
        assert engine.wait() == []
        with pytest.raises(RuntimeError, match=r"^the engine is closed$"):
            engine.send(engine.slots[0], Orders())
