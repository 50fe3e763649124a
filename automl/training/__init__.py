"""Training trials on one device. Knows models and data; nothing of studies, strategies or tracking."""

from __future__ import annotations

from typing import Protocol

from automl.events import Measure, Measured, TrialKey, TrialSpec, WorkerEvent


class Trainer(Protocol):
    """Trains up to ``lanes`` trials side by side on one device.

    The laws that every trainer keeps (``tests/contracts/trainer.py``):

    - The numbers of a trial depend on its specification alone: not on its lane, its neighbours or when it was started.
    - The events of a trial are ``Started``, then ``Reported`` for the epochs 1, 2, ..., then one of ``Finished``, ``Diverged``
      and ``Failed``; right before ``Finished`` comes ``Tested`` where the specification asks for it (code of a person's own may have
      nothing to say there). A trial that continues from a checkpoint reports from the epoch after it.
    - After ``stop(key)`` no event of that trial follows.
    - An error while training one trial is that trial's ``Failed``; no other trial notices.
    """

    lanes: int

    def start(self, trial: TrialSpec) -> None:
        """Take this trial; it waits inside the trainer while all lanes are taken."""

    def stop(self, key: TrialKey) -> None:
        """Forget this trial at once; nothing is known of it afterwards. Unknown keys are ignored."""

    def advance(self) -> list[WorkerEvent]:
        """Train until at least one trial starts, reaches its next report, ends or fails; nothing when there is nothing to train."""

    def test(self, trial: TrialSpec) -> WorkerEvent:
        """Measure the saved weights of an ended trial on the test split: ``Tested``, or ``Failed``."""

    def measure(self, order: Measure) -> Measured:
        """How fast trials like these train side by side. Only where nothing trains; leaves nothing behind."""


def make_trainer(device: str, worker: str, lanes: int = 1) -> Trainer:
    """The trainer of a worker on this device. Imports torch, which takes about a second."""
    from automl.training.choosing import ChoosingTrainer

    return ChoosingTrainer(device, worker, lanes)
