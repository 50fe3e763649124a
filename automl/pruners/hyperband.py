"""Hyperband."""

from __future__ import annotations

import itertools
import math

from automl.draws import unit_at
from automl.pruners.asha import Rungs, rung_epochs
from automl.study import Study
from automl.trials import Trial


class Hyperband:
    """Source: Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", arXiv:1603.06560, Algorithm 1,
    with asynchronous brackets as in arXiv:1810.05934.

    Bracket s (s_max is the harshest, 0 stops nothing) has its first rung at R / eta^s epochs, counted here from min_epochs upwards:
    min_epochs * eta^(s_max - s). A trial belongs to one bracket for good, drawn by its position with the shares of Algorithm 1, and
    competes there only.
    """

    def __init__(self, epochs: int, min_epochs: int, reduction_factor: int) -> None:
        rungs = rung_epochs(min_epochs, reduction_factor, epochs)
        self.decided = frozenset(rungs)
        self._brackets = [Rungs(rungs[skipped:], reduction_factor) for skipped in range(len(rungs) + 1)]
        harshest = len(rungs)  # s_max
        # n_s = ceil((s_max + 1) / (s + 1) * eta^s) trials begin in bracket s
        counts = [math.ceil((harshest + 1) / (s + 1) * reduction_factor**s) for s in range(harshest, -1, -1)]
        self._up_to = [total / sum(counts) for total in itertools.accumulate(counts)]

    def bracket(self, seed: int, number: int) -> int:
        """The bracket of a trial, by how many rungs it skips: 0 is the harshest."""
        drawn = unit_at(seed, "hyperband", number)
        return next(bracket for bracket, up_to in enumerate(self._up_to) if drawn < up_to or bracket == len(self._up_to) - 1)

    def prune(self, study: Study, trial: Trial) -> bool:
        bracket = self.bracket(study.seed, trial.number)
        return self._brackets[bracket].stops(study, trial, lambda number: self.bracket(study.seed, number) == bracket)
