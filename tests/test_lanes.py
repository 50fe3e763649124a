"""How many trials each worker gets at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from automl.driver import Session, drive
from automl.engines import Engine
from automl.engines.devices import Placement
from automl.engines.inline import InlineEngine
from automl.engines.local import LocalEngine
from automl.events import Measure, Measured, Slot
from automl.lanes import lanes_of
from automl.training.simulated import Rehearsal, SimulatedTrainer
from contracts.driving import Rehearsed


@contextmanager
def prepared(folder: Path, trials: int, lanes: int = 64, workers: int = 2, device: str = "cpu") -> Iterator[tuple[Engine, Session]]:
    """Workers that find all of their lanes worth while, and a study."""
    placements = [Placement(Slot(index, device, lanes, f"worker-{index}"), "", 1) for index in range(workers)]
    rehearsed = Rehearsed(folder, trials=trials)
    folder.mkdir(exist_ok=True)
    with rehearsed.open() as store, closing(LocalEngine(placements, folder / "workers", Rehearsal())) as engine:
        yield engine, rehearsed.session(store)


@pytest.mark.parametrize(
    ("asked", "trials", "learns", "expected"),
    [
        (8, 600, True, 8),  # as asked
        (8, 10, False, 5),  # but all workers get the same share of what is left
        (8, 1, False, 1),
        (None, 600, False, 64),  # as measured
        (None, 600, True, 37),  # a strategy that learns knows the results of seven eighths of the trials
        (None, 50, True, 3),
        (None, 50, False, 25),
        (None, 4, True, 1),
    ],
)
def test_lanes_are_as_asked_or_measured_and_leave_the_others_their_share(
    tmp_path: Path, asked: int | None, trials: int, learns: bool, expected: int
) -> None:
    with prepared(tmp_path, trials) as (engine, session):
        lanes, _ = lanes_of(engine, session, asked, trials, learns)
    assert lanes == dict.fromkeys(engine.slots, expected)


def test_what_was_measured_is_said(tmp_path: Path) -> None:
    with prepared(tmp_path, 40, lanes=8) as (engine, session):
        _, line = lanes_of(engine, session, None, 40, learns=False)
    assert line == "lanes: 8 in each worker (measured, epochs of trials a second by lanes: 1: 100, 8: 800)"


@pytest.mark.parametrize(("model", "device"), [("mlp", "cpu"), ("cnn", "cpu"), ("mlp", "cuda:0")])
def test_who_waits_for_the_measurement_is_told_why_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, device: str) -> None:
    monkeypatch.setattr("automl.lanes._WONDERS_SECONDS", -1.0)
    said: list[str] = []
    with prepared(tmp_path, 40, lanes=8, device=device) as (engine, session):
        session.job = replace(session.job, model=model)
        lanes_of(engine, session, None, 40, learns=False, say=said.append)
    compiles = "; the first study on a machine also compiles what trains fully connected networks, some 10 seconds"
    assert said == ["The workers measure how many trials to train side by side" + (compiles if (model, device) == ("mlp", "cpu") else "")]


def test_measuring_is_no_part_of_the_study(tmp_path: Path) -> None:
    """The study is as it was, and is then driven to its end with so many trials at once and no more."""
    with prepared(tmp_path, 12, workers=1) as (engine, session):
        before = session.study.counts.copy()
        lanes, _ = lanes_of(engine, session, None, 12, learns=True)
        assert session.study.counts == before
        most = 0

        def follow(events: Sequence[tuple[int, object]]) -> None:
            nonlocal most
            most = max(most, len(session.on_slots))

        session.followers.append(follow)
        assert drive(engine, [session], most={engine.slots[0]: 3}) == "done"
    assert lanes == {engine.slots[0]: 1}
    assert most == 3


class _Fragile(SimulatedTrainer):
    """Dies of being measured."""

    def measure(self, order: Measure) -> Measured:
        raise SystemExit(3)


def test_a_worker_that_dies_of_measuring_trains_one_trial_at_a_time(tmp_path: Path) -> None:
    slot = Slot(0, "cpu", 8, "worker-0")
    rehearsed = Rehearsed(tmp_path, trials=20)
    engine = InlineEngine(slot, lambda device, worker, lanes: _Fragile(device, worker, lanes, Rehearsal()))
    with rehearsed.open() as store, closing(engine):
        assert lanes_of(engine, rehearsed.session(store), None, 20, learns=False) == ({slot: 1}, "")
