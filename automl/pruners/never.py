"""No pruning."""

from __future__ import annotations

from automl.study import Study
from automl.trials import Trial


class Never:
    """Every trial trains to its end."""

    def __init__(self, epochs: int) -> None:
        self.decided = frozenset[int]()

    def prune(self, study: Study, trial: Trial) -> bool:
        return False
