"""The median rule, and the same with any other share."""

from __future__ import annotations

import bisect
import math
from array import array

from automl.pruners.asha import best_loss
from automl.study import Study
from automl.trials import Trial


class Percentile:
    """The median rule with another share: a trial goes on while its best value so far is among the best ``keep`` per cent of the complete
    trials' best values up to the same epoch. Source: as ``Median``, whose ``keep`` is 50; as Optuna's PercentilePruner.

    A trial of several folds or replicates is compared by the mean over those of them that have trained ``min_epochs``, with the same ones
    of the others up to the same epochs.
    """

    def __init__(self, epochs: int, min_epochs: int, n_startup: int, keep: float) -> None:
        self.decided = frozenset(range(min_epochs, epochs + 1))
        self._epochs = epochs
        self._min_epochs = min_epochs
        self._n_startup = n_startup
        self._keep = keep
        self._study: Study | None = None
        self._ended = 0
        self._begin_again()

    def prune(self, study: Study, trial: Trial) -> bool:
        self._follow(study)
        if trial.replicates:
            return self._prune_replicates(study, trial)
        losses = self._losses[min(trial.epochs, self._epochs)]
        if trial.epochs < self._min_epochs or len(losses) < self._n_startup:
            return False
        best = math.inf if trial.objective is None else study.objective.loss(trial.objective)
        return best > losses[self._place(len(losses))]

    def _place(self, count: int) -> int:
        """Where the worst that goes on stands among so many: of the middle two the worse, so that equals go on."""
        return min(int(count * self._keep / 100), count - 1)

    def _prune_replicates(self, study: Study, trial: Trial) -> bool:
        there = [(number, one) for number, one in enumerate(trial.replicates) if one.epochs >= self._min_epochs]
        if not there or len(self._complete) < self._n_startup:
            return False
        own = sum(best_loss(study.objective, one.reports, one.epochs) for _, one in there)
        losses = sorted(sum(curves[number][min(one.epochs, self._epochs)] for number, one in there) for curves in self._complete)
        return own > losses[self._place(len(losses))]

    def _follow(self, study: Study) -> None:
        if study is not self._study:
            self._begin_again()
            self._study = study
        for number in study.ended_order[self._ended :]:
            if study.trials[number].state == "complete":
                self._take(study, study.trials[number])
        self._ended = len(study.ended_order)

    def _take(self, study: Study, trial: Trial) -> None:
        if trial.replicates:
            self._complete.append([self._bests(study, one) for one in trial.replicates])
            return
        bests = self._bests(study, trial)
        for epoch in range(self._min_epochs, self._epochs + 1):
            bisect.insort(self._losses[epoch], bests[epoch])

    def _bests(self, study: Study, trial: Trial) -> array[float]:
        """Its best value up to each epoch, by epoch, from its own curve: one pass."""
        bests, best, reports = array("d", [math.inf]), math.inf, iter(trial.reports)
        report = next(reports, None)
        for epoch in range(1, self._epochs + 1):
            while report is not None and report.epoch <= epoch:
                if math.isfinite(report.value):
                    best = min(best, study.objective.loss(report.value))
                report = next(reports, None)
            bests.append(best)
        return bests

    def _begin_again(self) -> None:
        self._losses = [array("d") for _ in range(self._epochs + 1)]  # by epoch, sorted
        self._complete: list[list[array[float]]] = []  # of trials of several replicates: of each its bests
        self._ended = 0


class Median(Percentile):
    """Source: Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.2 (automated early stopping).

    Stops a trial at epoch t when its best value so far is strictly worse than the median of the best values up to t of the complete
    trials (the paper takes their running averages, which early epochs dominate). A trial that stopped early keeps its best value
    for all later epochs. Decides once ``n_startup`` trials are complete, and from ``min_epochs`` on.
    """

    def __init__(self, epochs: int, min_epochs: int, n_startup: int) -> None:
        super().__init__(epochs, min_epochs, n_startup, keep=50.0)
