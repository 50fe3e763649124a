"""A trainer with a process of its own, for workers that must be ended whole. It can be imported in a worker."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from automl.events import TrialSpec
from automl.training.simulated import strike


@dataclass
class WithChild:
    """Starts a process for its first trial, writes down which, and hangs. It is its own factory."""

    file: str

    def __call__(self, device: str, worker: str, lanes: int) -> WithChild:
        return self

    def start(self, trial: TrialSpec) -> None:
        child = subprocess.Popen(["sleep", "1000"])
        Path(self.file).write_text(str(child.pid))

    def advance(self) -> list[object]:
        strike("hang")
