"""Asynchronous successive halving."""

from __future__ import annotations

import bisect
import itertools
import math
from array import array
from collections.abc import Callable, Sequence

from automl.spec import Objective
from automl.study import Study
from automl.trials import Report, Trial


class Asha:
    """Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934, in its stopping form.

    Rungs are at r_k = min_epochs * eta^k epochs, below the most that a trial trains. A trial that arrives at a rung goes on when it is
    among the best 1/eta of those that have arrived there so far (itself included), else it is stopped. While fewer than eta have
    arrived all go on. What counts is the best value up to the rung.

    A trial of several folds or replicates arrives at a rung with each of them, and each time the same question is asked anew, of what has
    arrived so far: among all trials that came to the rung, floor(arrived / eta) may have a better mean over the same folds.
    """

    def __init__(self, epochs: int, min_epochs: int, reduction_factor: int) -> None:
        rungs = rung_epochs(min_epochs, reduction_factor, epochs)
        self.decided = frozenset(rungs)
        self._rungs = Rungs(rungs, reduction_factor)

    def prune(self, study: Study, trial: Trial) -> bool:
        return self._rungs.stops(study, trial)


def best_loss(objective: Objective, reports: Sequence[Report], epoch: int) -> float:
    """The best value up to ``epoch`` as a loss (less is better); infinite while nothing finite was reported."""
    losses = (objective.loss(report.value) for report in reports if report.epoch <= epoch and math.isfinite(report.value))
    return min(losses, default=math.inf)


def rung_epochs(first: int, eta: int, epochs: int) -> tuple[int, ...]:
    """first, first * eta, first * eta^2, ... below ``epochs``."""
    rungs = []
    while first < epochs:
        rungs.append(first)
        first *= eta
    return tuple(rungs)


def _arrives(trial: Trial, epoch: int) -> bool:
    """Whether a replicate in training has come to this epoch with its last report."""
    for one in trial.replicates:
        previous = one.reports[-2].epoch if len(one.reports) > 1 else 0
        if not one.has_ended and previous < epoch <= one.epochs:
            return True
    return False


class Rungs:
    """Who has arrived at which rung, with which loss: a function of the study's reports, the same after a replay as after living it.

    A call costs a look at each trial that has not ended and a bisection for each arrival, however many trials there were (with several
    replicates, a look at every trial). ``belongs``
    says which trials count, by their number.
    """

    def __init__(self, epochs: Sequence[int], eta: int) -> None:
        self._epochs = epochs
        self._eta = eta
        self._study: Study | None = None
        self._ended = 0
        self._begin_again()

    def stops(self, study: Study, trial: Trial, belongs: Callable[[int], bool] = lambda number: True) -> bool:
        """Whether the trial has just arrived at a rung and is not among the best 1/eta there."""
        if trial.replicates:
            return any(self._stops_at(study, trial, epoch, belongs) for epoch in self._epochs if _arrives(trial, epoch))
        self._follow(study, belongs)
        previous = trial.reports[-2].epoch if len(trial.reports) > 1 else 0
        arrivals = [rung for rung, epoch in enumerate(self._epochs) if previous < epoch <= trial.epochs]
        if not arrivals:
            return False
        rung = arrivals[-1]
        losses = self._losses[rung]
        better = bisect.bisect_left(losses, best_loss(study.objective, trial.reports, self._epochs[rung]))
        return len(losses) >= self._eta and better >= len(losses) // self._eta  # goes on: rank <= |rung| / eta

    def _stops_at(self, study: Study, trial: Trial, epoch: int, belongs: Callable[[int], bool]) -> bool:
        """The same for a trial of several replicates: each other trial is looked at, by those replicates that this one has there."""
        if study is not self._study:
            self._begin_again()
            self._study = study
        there = [replicate for replicate, one in enumerate(trial.replicates) if one.epochs >= epoch]
        own = sum(self._loss_at(study, trial, replicate, epoch) for replicate in there)
        arrived = better = 0
        for other in study.trials:
            if other.epochs >= epoch and belongs(other.number):
                arrived += 1
                if all(other.replicates[replicate].epochs >= epoch for replicate in there):
                    better += sum(self._loss_at(study, other, replicate, epoch) for replicate in there) < own
        return arrived >= self._eta and better >= arrived // self._eta

    def _loss_at(self, study: Study, trial: Trial, replicate: int, epoch: int) -> float:
        """That of a replicate that was there: it changes no more."""
        key = (trial.number, replicate, epoch)
        if key not in self._known:
            self._known[key] = best_loss(study.objective, trial.replicates[replicate].reports, epoch)
        return self._known[key]

    def _follow(self, study: Study, belongs: Callable[[int], bool]) -> None:
        if study is not self._study:
            self._begin_again()
            self._study = study
        for number in itertools.chain(study.ended_order[self._ended :], study.unended):
            if belongs(number):
                self._take(study, study.trials[number])
        for number in study.ended_order[self._ended :]:
            self._arrived.pop(number, None)
        self._ended = len(study.ended_order)

    def _take(self, study: Study, trial: Trial) -> None:
        losses = self._arrived.setdefault(trial.number, [])
        for rung in range(len(losses), len(self._epochs)):
            if trial.epochs < self._epochs[rung]:
                break
            losses.append(best_loss(study.objective, trial.reports, self._epochs[rung]))
            bisect.insort(self._losses[rung], losses[-1])

    def _begin_again(self) -> None:
        self._losses = [array("d") for _ in self._epochs]
        self._arrived: dict[int, list[float]] = {}  # of the trials that have not ended: their losses at the rungs
        self._ended = 0
        self._known: dict[tuple[int, int, int], float] = {}  # losses by trial, replicate and rung
