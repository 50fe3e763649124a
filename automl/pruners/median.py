"""The median rule, and the same with any other share."""

from __future__ import annotations

import bisect
import math
from array import array

from automl.study import Study, Trial


class Percentile:
    """The median rule with another share: a trial goes on while its best value so far is among the best ``keep`` per cent of the complete
    trials' best values up to the same epoch. Source: as ``Median``, whose ``keep`` is 50; as Optuna's PercentilePruner.
    """

    def __init__(self, epochs: int, min_epochs: int, n_startup: int, keep: float) -> None:
        self._epochs = epochs
        self._min_epochs = min_epochs
        self._n_startup = n_startup
        self._keep = keep
        self._study: Study | None = None
        self._ended = 0
        self._begin_again()

    def prune(self, study: Study, trial: Trial) -> bool:
        self._follow(study)
        losses = self._losses[min(trial.epochs, self._epochs)]
        if trial.epochs < self._min_epochs or len(losses) < self._n_startup:
            return False
        best = math.inf if trial.objective is None else study.objective.loss(trial.objective)
        return best > losses[min(int(len(losses) * self._keep / 100), len(losses) - 1)]  # of the middle two the worse: equals go on

    def _follow(self, study: Study) -> None:
        if study is not self._study:
            self._begin_again()
            self._study = study
        for number in study.ended_order[self._ended :]:
            if study.trials[number].state == "complete":
                self._take(study, study.trials[number])
        self._ended = len(study.ended_order)

    def _take(self, study: Study, trial: Trial) -> None:
        """Its best value up to each epoch, from its own curve: one pass."""
        best, reports = math.inf, iter(trial.reports)
        report = next(reports, None)
        for epoch in range(1, self._epochs + 1):
            while report is not None and report.epoch <= epoch:
                if math.isfinite(report.value):
                    best = min(best, study.objective.loss(report.value))
                report = next(reports, None)
            if epoch >= self._min_epochs:
                bisect.insort(self._losses[epoch], best)

    def _begin_again(self) -> None:
        self._losses = [array("d") for _ in range(self._epochs + 1)]  # by epoch, sorted
        self._ended = 0


class Median(Percentile):
    """Source: Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.2 (automated early stopping).

    Stops a trial at epoch t when its best value so far is strictly worse than the median of the best values up to t of the complete
    trials (the paper takes their running averages, which early epochs dominate). A trial that stopped early keeps its best value
    for all later epochs. Decides once ``n_startup`` trials are complete, and from ``min_epochs`` on.
    """

    def __init__(self, epochs: int, min_epochs: int, n_startup: int) -> None:
        super().__init__(epochs, min_epochs, n_startup, keep=50.0)
