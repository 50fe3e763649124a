"""How far a trainer of another library has come with a trial: what was reported before an interruption is not told again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl.training.own.trial import Trial


class Progress:
    """The reports of a trial, and the checkpoint that the trainer's library has written in the trial's folder.

    The library's own checkpoint is a file or folder there; the trial's checkpoint names it, and holds the model's weights.
    """

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self._silent = 0

    def report(self, metrics: Mapping[str, Any]) -> None:
        """One more epoch, unless it was told before."""
        if self._silent:
            self._silent -= 1
            return
        self.trial.report(metrics)

    @property
    def is_silent(self) -> bool:
        """Whether what was told before an interruption is being trained again."""
        return self._silent > 0

    def keep(self, where: Path, weights: Mapping[str, Any]) -> None:
        """The library has written this; it is where the trial goes on."""
        if not self._silent:
            self.trial.checkpoint({"where": where.name, "model": dict(weights)})

    def resume(self) -> Path | None:
        """Where the library has left its checkpoint; None where the trial begins anew, or again in silence since that is gone."""
        state = self.trial.resume()
        if state is None:
            return None
        where = self.trial.folder / str(state.get("where", ""))
        if state.get("where") and where.exists():
            return where
        self._silent = self.trial.epoch
        return None
