"""A trainer that is late with its first answer, and dies before its second one. It can be imported in a worker."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from automl.events import TrialSpec


@dataclass
class Late:
    """Answers after so many seconds, with nothing. It is its own factory."""

    seconds: float
    answers: int = 0

    def __call__(self, device: str, worker: str, lanes: int) -> Late:
        return self

    def start(self, trial: TrialSpec) -> None:
        pass

    def advance(self) -> list[object]:
        self.answers += 1
        if self.answers > 1:
            os._exit(3)
        time.sleep(self.seconds)
        return []
