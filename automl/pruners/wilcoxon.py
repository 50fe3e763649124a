"""The signed-rank rule, for trials of several replicates."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Sequence

from automl.errors import UsageError
from automl.pruners.asha import best_loss
from automl.study import Study
from automl.trials import Trial


def check(replicates: int, threshold: float) -> None:
    """Raises UsageError where no outcome could ever be significant: the least probability of n pairs is 2^-n."""
    needed = math.ceil(-math.log2(threshold))
    if replicates < needed:
        raise UsageError(
            f"--pruner wilcoxon: with a threshold of {threshold:g} a trial must have at least {needed} folds or replicates, "
            f"but has {replicates}. Take --pruner asha."
        )


class Wilcoxon:
    """Source: Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1 (1945), as in Optuna's WilcoxonPruner.

    Stops a trial whose replicates are worse than the best trial's with a probability of chance of at most ``threshold``: by the one-sided
    signed-rank test of the pairs with the same number (of folds: the same data). Each replicate counts with its best value so far, and its
    partner with its best value up to the same epoch; those that have not trained ``min_epochs`` do not count, nor pairs that are equal.
    The distribution is exact, ties included.
    """

    def __init__(self, epochs: int, min_epochs: int, threshold: float) -> None:
        self.decided = frozenset(range(min_epochs, epochs + 1))
        self._min_epochs = min_epochs
        self._threshold = threshold

    def prune(self, study: Study, trial: Trial) -> bool:
        best = study.best
        if best is None or best.number == trial.number:
            return False
        pairs = [
            tuple(best_loss(study.objective, one.reports, ours.epochs) for one in (ours, theirs))
            for ours, theirs in zip(trial.replicates, best.replicates, strict=True)
            if ours.epochs >= self._min_epochs
        ]
        return chance([ours - theirs for ours, theirs in pairs if ours != theirs]) <= self._threshold


def chance(differences: Sequence[float]) -> float:
    """The probability that the ranks of positive differences sum to so much or more, were each sign a fair coin; 1 for no differences."""
    ranks = _doubled_ranks([abs(difference) for difference in differences])
    observed = sum(rank for rank, difference in zip(ranks, differences, strict=True) if difference > 0)
    ways = Counter({0: 1})  # in which each sum comes about
    for rank in ranks:
        ways += Counter({total + rank: count for total, count in ways.items()})
    return math.ldexp(sum(count for total, count in ways.items() if total >= observed), -len(ranks))


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the rank of each, from 1; equals share the mean of their ranks."""
    ordered = sorted(sizes)
    return [bisect.bisect_left(ordered, size) + bisect.bisect_right(ordered, size) + 1 for size in sizes]
