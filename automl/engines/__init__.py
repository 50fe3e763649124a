"""Where workers run: in this process (``inline``) or in processes of this machine (``local``). Knows nothing of search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from automl.errors import DeviceError, UsageError, suggestion
from automl.events import Measured, Orders, Slot, WorkerEvent, WorkerLost

if TYPE_CHECKING:
    from automl.engines.worker import TrainerFactory

Answer = list[WorkerEvent] | Measured | WorkerLost
ENGINES = ("local", "inline")


class Engine(Protocol):
    """Places workers on devices and carries orders and events.

    The laws that every engine keeps (``tests/contracts/engine.py``):

    - Every ``send`` to a slot is answered once, by the events of that slot's next ``Trainer.advance`` (an empty list when there
      was nothing to train), and a slot is sent nothing before it has answered.
    - A worker that dies answers with ``WorkerLost``; a new worker stands in its slot, which can be sent orders at once. When it
      dies between its answer and the next orders, those are answered with ``WorkerLost`` and nobody has seen them.
    - A worker that has not answered within the patience that came with its orders is ended, with all processes that it has started,
      and is lost like one that died. Only engines whose workers are other processes can do that.
    - Workers end by themselves when the process that made the engine ends, however it ends.
    """

    slots: Sequence[Slot]

    def send(self, slot: Slot, orders: Orders, patience_seconds: float = math.inf) -> None:
        """Hand over orders; returns at once. The worker is given up when it has not answered within so many seconds."""

    def wait(self, timeout_seconds: float | None = None) -> list[tuple[Slot, Answer]]:
        """The answers that are there, waiting for the first one; an empty list when the time is over or nobody was sent anything."""

    def close(self) -> None:
        """End all workers, whatever they are doing. May be called again."""


def make_engine(
    name: str,
    *,
    devices: str = "auto",
    workers: str = "auto",
    lanes: int | None = 1,
    trainings: int | None = None,
    model: str = "",
    log_folder: Path,
    trainer: TrainerFactory | None = None,
) -> Engine:
    """The engine called ``name`` (``local`` or ``inline``) on the devices that the options ask for; returns at once.

    ``lanes``: how many trials each worker takes, None for as many as could pay. ``trainings``: how many trials, or replicates of
    trials, there are to train; workers that would have none are not started. ``model``: what they train, so that they have at hand what
    it needs. ``log_folder`` takes the output of the workers.
    ``trainer`` makes another trainer than the real one, for tests and rehearsals.
    Raises DeviceError for devices that are not there and numbers that make no sense.
    """
    from automl.engines.devices import chosen_devices, needed, place, read_machine, workers_asked

    if name not in ENGINES:
        raise UsageError(f"--engine: {name!r} is no engine. Engines: {', '.join(ENGINES)}.{suggestion(name, ENGINES)}")
    machine = read_machine()
    if name == "local":
        from automl.engines.local import LocalEngine

        return LocalEngine(needed(place(machine, devices, workers, lanes), trainings), log_folder, trainer, model=model)

    from automl.engines.inline import InlineEngine
    from automl.engines.worker import make_real_trainer

    number, chosen = workers_asked(workers) or 1, chosen_devices(machine, devices)
    if number > 1:
        raise DeviceError(f"--workers: the engine 'inline' has one worker, but {number} were asked for. Use --engine local for more.")
    if devices.strip() != "auto" and len(chosen) > 1:
        raise DeviceError(f"--devices: the engine 'inline' uses one device, but {len(chosen)} were given. Use --engine local for more.")
    placement = place(machine, chosen[0].name, "1", lanes)[0]
    return InlineEngine(placement.slot, trainer or make_real_trainer)
