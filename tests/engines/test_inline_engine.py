"""The engine in this process keeps the laws of all engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl.engines import Engine, make_engine
from automl.engines.inline import InlineEngine
from automl.errors import DeviceError
from automl.events import Orders, Slot, WorkerLost
from automl.training.simulated import Rehearsal
from contracts.engine import EngineContract, answer_of


class TestInline(EngineContract):
    def make(self, folder: Path, rehearsal: Rehearsal, lanes: int = 1) -> Engine:
        return make_engine("inline", devices="cpu", lanes=lanes, log_folder=folder / "workers", trainer=rehearsal)


def no_trainer(device: str, worker: str, lanes: int) -> Rehearsal:
    raise DeviceError("--devices: cpu is not what it was.")


def test_an_error_for_the_person_is_raised_and_not_retried() -> None:
    engine = InlineEngine(Slot(0, "cpu", 1, "worker-0"), no_trainer)  # type: ignore[arg-type]
    engine.send(engine.slots[0], Orders())
    with pytest.raises(DeviceError, match=r"^--devices: cpu is not what it was\.$"):
        engine.wait()


def test_a_loss_says_what_was_raised() -> None:
    engine = InlineEngine(Slot(0, "cpu", 1, "worker-0"), Rehearsal(start_fault="crash"))
    engine.send(engine.slots[0], Orders())
    lost = answer_of(engine, engine.slots[0])
    assert isinstance(lost, WorkerLost)
    assert lost.why == "raised RuntimeError"
