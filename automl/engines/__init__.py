"""Where workers run: in this process (``inline``) or in processes of this machine (``local``). Knows nothing of search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from automl.events import Orders, Slot, WorkerEvent, WorkerLost

Answer = list[WorkerEvent] | WorkerLost


class Engine(Protocol):
    """Places workers on devices and carries orders and events.

    The laws that every engine keeps (``tests/contracts/engine.py``):

    - Every ``send`` to a slot is answered once, by the events of that slot's next ``Trainer.advance`` (an empty list when there
      was nothing to train), and a slot is sent nothing before it has answered.
    - A worker that dies answers with ``WorkerLost``; a new worker stands in its slot, which can be sent orders at once.
    - Workers end by themselves when the process that made the engine ends, however it ends.
    """

    slots: Sequence[Slot]

    def send(self, slot: Slot, orders: Orders) -> None:
        """Hand over orders; returns at once."""

    def wait(self, timeout_seconds: float | None = None) -> list[tuple[Slot, Answer]]:
        """The answers that are there, waiting for the first one; an empty list when the time is over or nobody was sent anything."""

    def close(self) -> None:
        """End all workers, whatever they are doing. May be called again."""
