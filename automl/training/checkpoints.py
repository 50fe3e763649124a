"""When the state of a trial in training is written to disk."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from automl.events import TrialKey, TrialSpec
from automl.training import files

CHECKPOINT_SECONDS = 5.0  # of training that may be lost; a trial that takes less than this has no checkpoint
_SHARE = 0.05  # of its training that writing checkpoints of a trial may cost


class Keeper:
    """Writes checkpoints: of a trial when ``seconds`` of its training, and 20 times what writing takes, would be lost without.

    0 seconds: always.
    """

    def __init__(self, seconds: float = CHECKPOINT_SECONDS) -> None:
        self._seconds = seconds
        self._write_seconds = 0.0  # of the last one
        self._unsaved: dict[TrialKey, float] = {}

    def note(self, key: TrialKey, seconds: float) -> None:
        """A trial was trained for so long."""
        self._unsaved[key] = self._unsaved.get(key, 0.0) + seconds

    def forget(self, key: TrialKey) -> None:
        """A trial has ended, or stands where its checkpoint was written."""
        self._unsaved.pop(key, None)

    def save_if_due(self, trial: TrialSpec, checkpoint: Callable[[], dict[str, Any]]) -> None:
        """Write what ``checkpoint`` gives, where that pays.

        To be called before the next epoch and not after the last one: by then the driver has the reports up to here.
        """
        due = max(self._seconds, self._write_seconds / _SHARE) if self._seconds else 0.0
        if trial.key not in self._unsaved or self._unsaved[trial.key] < due:
            return
        began = time.perf_counter()
        with contextlib.suppress(OSError):  # one that cannot be written costs time at most
            files.save(checkpoint(), files.checkpoint_file(trial))
        self._write_seconds = time.perf_counter() - began
        del self._unsaved[trial.key]
