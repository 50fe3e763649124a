"""How trials that have ended stand to each other, where a strategy needs more than the values of the complete ones."""

from __future__ import annotations

import math

from automl.spec import Objective
from automl.trials import Trial

Standing = tuple[int, float, float]

COMPLETE, PRUNED, BROKEN = 0, 1, 2


def standing(trial: Trial, objective: Objective) -> Standing | None:
    """Of two trials that have ended, the one with the smaller standing was better; None for a lost one, which says nothing.

    Complete ones stand by their objective; behind all of them the pruned ones, longer curves first, then by their last finite value;
    behind those, all equal, the ones that diverged, failed, ran out of memory or of time, or never reported a finite value.
    """
    if trial.state == "lost":
        return None
    if trial.state == "complete" and trial.objective is not None:
        return (COMPLETE, objective.loss(trial.objective), 0.0)
    last = next((report for report in reversed(trial.reports) if math.isfinite(report.value)), None)
    if trial.state == "pruned" and last is not None:
        return (PRUNED, float(-last.epoch), objective.loss(last.value))
    return (BROKEN, 0.0, 0.0)
