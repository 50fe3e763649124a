"""The engine that trains in the driver's own process: for debuggers, profilers and tests."""

from __future__ import annotations

import math
import traceback
from collections.abc import Sequence

from automl.engines import Answer
from automl.engines.worker import TrainerFactory, handle, make_real_trainer
from automl.errors import AutomlError
from automl.events import Orders, Slot, WorkerLost
from automl.training import Trainer


class InlineEngine:
    """One worker in this process; ``wait`` does its work, so a timeout is of no use to it.

    An error of the trainer outside of a trial is a lost worker here as elsewhere: a new trainer takes its place. A fault that kills
    the process kills the driver: that is what the engine ``local`` is for.
    """

    def __init__(self, slot: Slot, factory: TrainerFactory = make_real_trainer) -> None:
        self.slots: Sequence[Slot] = (slot,)
        self._factory = factory
        self._trainer: Trainer | None = None
        self._orders: Orders | None = None
        self._is_closed = False

    def send(self, slot: Slot, orders: Orders, patience_seconds: float = math.inf) -> None:
        """Keep the orders for ``wait``, whose patience has no end: there is nobody else who could end the work."""
        if self._is_closed:
            raise RuntimeError("the engine is closed")
        if slot not in self.slots:
            raise ValueError(f"{slot} is no slot of this engine")
        if self._orders is not None:
            raise RuntimeError(f"{slot.name} was sent orders before it has answered the last ones")
        self._orders = orders

    def wait(self, timeout_seconds: float | None = None) -> list[tuple[Slot, Answer]]:
        """Follow the orders, however long that takes."""
        if self._orders is None:
            return []
        slot, orders, self._orders = self.slots[0], self._orders, None
        return [(slot, self._answer(slot, orders))]

    def close(self) -> None:
        """Forget the trainer and all that it was training."""
        self._is_closed = True
        self._trainer = None
        self._orders = None

    def _answer(self, slot: Slot, orders: Orders) -> Answer:
        try:
            if self._trainer is None:
                self._trainer = self._factory(slot.device, slot.name, slot.lanes)
            return handle(self._trainer, orders)
        except AutomlError:
            raise
        except (Exception, SystemExit) as error:
            self._trainer = None
            return WorkerLost(f"raised {type(error).__name__}", traceback.format_exc().strip())
