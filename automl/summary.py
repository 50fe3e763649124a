"""What is said of a study: the plain values that ``--json`` prints, and the sentences made from them."""

from __future__ import annotations

import math
from typing import Any

from automl.study import Study, Trial


def trial_record(trial: Trial) -> dict[str, Any]:
    """One entry of ``trials --json``. Times are seconds since 1970; ``seconds`` are device seconds."""
    return {
        "number": trial.number,
        "state": trial.state,
        "parameters": dict(trial.configuration),
        "objective": trial.objective,
        "metrics": dict(trial.metrics),
        "epochs": trial.epochs,
        "seconds": round(trial.seconds, 6),
        "device": trial.device or None,
        "started": trial.started,
        "ended": trial.ended,
        "reason": trial.reason or None,
    }


def best_record(study: Study) -> dict[str, Any] | None:
    """``best --json``: the winner; None while no trial is complete. ``interval`` is null until winners are confirmed on fresh seeds."""
    best = study.best
    if best is None:
        return None
    tested = study.test if study.test is not None and study.test.trial == best.number else None
    return {
        "number": best.number,
        "parameters": dict(best.configuration),
        "objective": best.objective,
        "epoch": best.epoch,
        "test": dict(tested.metrics) if tested else None,
        "gain": study.gain,
        "interval": None,
        "replicates": study.replicates,
    }


def status_record(study: Study, is_being_driven: bool) -> dict[str, Any]:
    """``status --json``. ``state`` is one of ``state_of``."""
    settings = study.spec.settings
    baseline = study.baseline
    return {
        "study": study.spec.name,
        "state": state_of(study, is_being_driven),
        "strategy": settings.strategy,
        "pruner": settings.pruner,
        "seed": settings.seed,
        "counts": {state: count for state, count in sorted(study.counts.items()) if count},
        "asked": study.asked,
        "best": best_record(study),
        "baseline": None if baseline is None else {"number": 0, "state": baseline.state, "objective": baseline.objective},
    }


def state_of(study: Study, is_being_driven: bool) -> str:
    """``running`` while a driver is at work; ``done`` with all that was asked for; ``out_of_time`` after the end of ``--time``;
    ``interrupted`` where it waits to be continued."""
    if is_being_driven:
        return "running"
    return {"done": "done", "time": "out_of_time"}.get(study.why_rested or "", "interrupted")


def epochs_saved(study: Study) -> tuple[int, int]:
    """Epochs that pruning saved, and the epochs that all ended trials would have taken without it."""
    return study.epochs_pruned, study.epochs_pruned + study.epochs_trained


def number_text(value: float | None, digits: int = 4) -> str:
    """A number for people: ``0.9783``, ``1.2e-05``, ``47,730``; a dash for None."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}" if abs(value) >= 10_000 else str(int(value))
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    if abs(value) >= 1:
        return f"{value:.{digits}g}"
    return f"{value:.{digits}f}".rstrip("0") if abs(value) >= 0.001 else f"{value:.3g}"


def value_text(value: object) -> str:
    """A parameter's value for people."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _seeds_text(replicates: int) -> str:
    return "on one seed each" if replicates == 1 else f"on the mean of {replicates} seeds each"


def gain_text(study: Study) -> str:
    """By how much the winner beats the baseline on the validation split, in a sentence."""
    best, baseline, metric = study.best, study.baseline, study.objective.metric
    if best is None:
        return "No trial is complete, so there is no winner."
    if baseline is None:
        return "The space file has no baseline, so there is no gain to report."
    if baseline.state != "complete" or baseline.objective is None or study.gain is None:
        return f"The baseline is {baseline.state}, so there is no gain to report."
    if best.number == baseline.number:
        return f"Nothing beat the baseline (validation {metric} {number_text(baseline.objective)})."
    direction = "more" if study.objective.maximize else "less"
    return (
        f"Validation {metric} {number_text(best.objective)} against {number_text(baseline.objective)} of the baseline: "
        f"{number_text(abs(study.gain))} {direction}, {_seeds_text(study.replicates)}."
    )
