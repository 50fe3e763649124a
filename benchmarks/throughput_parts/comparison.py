"""From answers to figures: rates, ratios of alternating runs, and whether both sides reach the same accuracies."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from throughput_parts.work import Answer

WARM = 20  # trials after whose end the steady rate is measured
FEWEST = 10  # trials after those, for the rate to mean something
LEAST_P = 0.01


@dataclass(frozen=True, slots=True)
class Run:
    """One study of one contender. ``load`` is the machine's load average of the last minute before it began."""

    contender: str
    trials: int
    wall_seconds: float
    startup_seconds: float
    per_hour: float
    steady_per_hour: float | None
    flops_per_trial: float
    load: float


def steady_per_hour(answer: Answer) -> float | None:
    """Trials an hour after the first ``WARM`` have ended; None where too few are left.

    A trial counts with the share of its epochs that lies in that time: side by side, trials end in bunches.
    """
    ends = sorted(trial.ends[-1] for trial in answer.trials if trial.ends)
    if len(ends) < WARM + FEWEST:
        return None
    begin = ends[WARM - 1]
    trained = sum(sum(end > begin for end in trial.ends) / len(trial.ends) for trial in answer.trials if trial.ends)
    return 3600 * trained / (answer.ended - begin)


def ratios(ours: Sequence[float | None], theirs: Sequence[float | None]) -> dict[str, float] | None:
    """Median, smallest and largest ratio of the pairs; None where a side has no figure."""
    found = [a / b for a, b in zip(ours, theirs, strict=True) if a and b]
    return {"median": statistics.median(found), "low": min(found), "high": max(found), "pairs": len(found)} if found else None


def distributions(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Whether two samples of final accuracies may be of one distribution.

    Source: the two-sample Kolmogorov-Smirnov test, as scipy has it. Accuracies have ties, with which it is somewhat conservative.
    """
    from scipy.stats import ks_2samp

    test = ks_2samp(ours, theirs, method="asymp")
    medians = statistics.median(ours), statistics.median(theirs)
    p = float(test.pvalue)
    return {
        "p": p,
        "statistic": float(test.statistic),
        "median_ours": medians[0],
        "median_theirs": medians[1],
        "difference_of_medians": medians[0] - medians[1],
        "are_equal": p >= LEAST_P,
    }
