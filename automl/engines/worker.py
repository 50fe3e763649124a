"""What a worker does, wherever it runs: follow orders with one trainer, answer with events, wait for the next orders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from automl.errors import AutomlError, DiskError
from automl.events import Measured, Orders, Reported, Slot, Started, WorkerEvent
from automl.training import Trainer

_LONGEST_SILENCE = 0.1  # seconds after which an answer is due

TrainerFactory = Callable[[str, str, int], Trainer]
"""Makes the trainer of a worker from its device, its name and its number of lanes. Crosses process boundaries by pickle."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker's first words: its trainer stands and orders are welcome."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """No trainer can be made here, or nothing can be written, and no other process would do better. ``message`` is for the person."""

    message: str


def make_real_trainer(device: str, worker: str, lanes: int) -> Trainer:
    """The trainer that trains."""
    from automl.training import make_trainer

    return make_trainer(device, worker, lanes)


def handle(trainer: Trainer, orders: Orders) -> list[WorkerEvent] | Measured:
    """Follow orders: stop, test, start, then train until something happens (the events of tests come first); or measure.

    Reports about which nothing is decided are told together, after a tenth of a second or with what comes first.

    Raises DiskError where the trainer could not write: another one could not either.
    """
    try:
        return _followed(trainer, orders)
    except OSError as error:
        raise (DiskError.of(error) or error) from None


def _followed(trainer: Trainer, orders: Orders) -> list[WorkerEvent] | Measured:
    if orders.measure:
        return trainer.measure(orders.measure)
    for key in orders.stop:
        trainer.stop(key)
    events = [trainer.test(trial) for trial in orders.test]
    for trial in orders.start:
        trainer.start(trial)
    began = time.perf_counter()
    while news := trainer.advance():
        events += news
        if not _goes_on(news, orders.decided) or time.perf_counter() - began >= _LONGEST_SILENCE:
            break
    return events


def _goes_on(news: Sequence[WorkerEvent], decided: frozenset[int] | None) -> bool:
    """Whether training goes on after this whatever the driver thinks of it."""
    return decided is not None and all(isinstance(event, Reported) and event.epoch not in decided for event in news)


def serve(connection: Connection, factory: TrainerFactory, slot: Slot, known_as: str) -> None:
    """Serve orders from the connection until its other end is closed.

    ``slot.device`` is what the trainer calls its device; ``known_as`` is the device's name outside of this process, where others
    are visible too. An error that is no trial's ``Failed`` ends the worker.
    """
    try:
        trainer = factory(slot.device, slot.name, slot.lanes)
    except AutomlError as error:
        _say(connection, Unfit(str(error)))
        return
    answer: object = Ready()
    while _say(connection, answer):
        try:
            orders: Orders = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            answer = handle(trainer, orders)
        except DiskError as error:
            _say(connection, Unfit(str(error)))
            return
        if isinstance(answer, list):
            answer = [_renamed(event, known_as) for event in answer]


def _say(connection: Connection, words: object) -> bool:
    """Whether anybody was there to hear them."""
    try:
        connection.send(words)
    except ConnectionError:
        return False
    return True


def _renamed(event: WorkerEvent, device: str) -> WorkerEvent:
    return replace(event, device=device) if isinstance(event, Started) else event
