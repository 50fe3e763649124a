"""Patience."""

from __future__ import annotations

import math

from automl.pruners import Pruner
from automl.study import Study
from automl.trials import Trial


class Patient:
    """Stops what ``rule`` would stop, but no trial that still gets better. Source: Optuna's PatientPruner, after early stopping
    as in Prechelt, "Early Stopping - But When?", 1998.

    A trial gets better while its best value of the last ``patience`` epochs is better than the best before them by more than ``min_delta``.
    One that has not trained so many epochs and one more goes on. Of several folds or replicates those count that are in training.
    """

    def __init__(self, rule: Pruner, patience: int, min_delta: float) -> None:
        self._rule = rule
        self._patience = patience
        self._min_delta = min_delta

    @property
    def decided(self) -> frozenset[int] | None:
        return self._rule.decided

    def prune(self, study: Study, trial: Trial) -> bool:
        in_training = [one for one in trial.trainings if one.reports and not one.has_ended]
        return not any(self._gets_better(study, one) for one in in_training) and self._rule.prune(study, trial)

    def _gets_better(self, study: Study, trial: Trial) -> bool:
        if len(trial.reports) <= self._patience:
            return True
        losses = [study.objective.loss(report.value) if math.isfinite(report.value) else math.inf for report in trial.reports]
        return min(losses[-self._patience :]) < min(losses[: -self._patience]) - self._min_delta
