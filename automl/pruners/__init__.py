"""Which trials are stopped before their end."""

from __future__ import annotations

from typing import Protocol

from automl.study import Study, Trial


class Pruner(Protocol):
    """Decides after each report. A plain function of what has happened: caches that are functions of the events are fine."""

    def prune(self, study: Study, trial: Trial) -> bool:
        """Whether to stop this running trial now. Asked once for each new report of it, which the study already holds."""
