"""What is said of a study: the plain values that ``--json`` prints, and the sentences made from them."""

from __future__ import annotations

import math
import re
from typing import Any

from automl.confirmation import Confirmed, Estimate, confirmed
from automl.shorthand import format_duration
from automl.spec import StudySpec, training_name
from automl.study import Study
from automl.trials import Trial

_PLACED = re.compile(r"\S+:\d+: ")  # as errors in a person's own code begin


def why_text(trial: Trial) -> str:
    """What the matter was with a trial that did not work out, in a line; the whole reason is in ``trials --json``.

    Of an error in the house its name and message; in a person's own code also the place. Of a command how it ended and its last words.
    """
    lines = [line.rstrip() for line in trial.reason.splitlines() if line.strip()]
    if not lines:
        return ""
    first = lines[0].strip().removesuffix(" The end of its log:")
    if trial.state in ("lost", "timeout") or (
        trial.losses and trial.state == "out_of_memory"
    ):  # the rest is a dump of what the process was doing
        return first
    inner = max((number for number, line in enumerate(lines) if line.lstrip().startswith('File "')), default=-1)
    raised = next((line for line in lines[inner + 1 :] if not line.startswith(" ")), lines[-1]) if inner >= 0 else lines[-1]
    raised = raised.strip()
    if _PLACED.match(first):
        return first if raised in first or inner < 0 else f"{first} ({raised})"
    if first.startswith("the command") and len(lines) > 1:
        return f"{first} {raised}" if first.endswith(".") else f"{first}: {raised}"
    return raised if inner >= 0 else first


def trial_record(trial: Trial, spec: StudySpec) -> dict[str, Any]:
    """One entry of ``trials --json``. Times are seconds since 1970; ``seconds`` are device seconds, and ``epochs`` those of all trainings.

    ``trainings`` are its folds and replicates; empty for a trial of one training.
    """
    return {
        "number": trial.number,
        "state": trial.state,
        "parameters": dict(trial.configuration),
        "objective": trial.objective,
        "metrics": dict(trial.metrics),
        "epochs": trial.epochs_trained,
        "seconds": round(trial.seconds, 6),
        "device": trial.device or None,
        "started": trial.started,
        "ended": trial.ended,
        "reason": trial.reason or None,
        "trainings": [
            {
                "name": training_name(number, spec.data.folds or 1, spec.replicates),
                "state": training_state(trial, training),
                "objective": training.objective,
                "epoch": training.epoch,
                "epochs": training.epochs,
            }
            for number, training in enumerate(trial.replicates)
        ],
    }


def training_state(trial: Trial, training: Trial) -> str:
    """That of one of its folds or replicates; of one that was not over when the trial ended that of the trial, or ``not_started``."""
    if trial.has_ended and not training.has_ended:
        return trial.state if training.epochs else "not_started"
    return training.state


def best_record(study: Study) -> dict[str, Any] | None:
    """``best --json``: the winner; None while no trial is complete.

    ``test`` are the values of the weights that are kept. Once the winner was trained again on fresh seeds, ``confirmed`` says what they
    reached on the test split, ``gain`` and ``interval`` by how much that beats the baseline's, and ``replicates`` how many there were.
    Before, ``gain`` is that of the validation split, which served to choose, and has no interval. ``objective`` is the mean over ``folds``
    (null without any), and over replicates where the space file asks for some.
    With several objectives there are also the ``objectives`` of the winner and the ``front``; ``objective`` and ``gain`` are of the first.
    """
    winner = study.winner
    if winner is None:
        return None
    tested = study.test if study.test is not None and study.test.trial == winner.number else None
    claim = confirmed(study)
    gain = claim.gain if claim else None
    several = {"objectives": study.reached(winner), "front": front_record(study)} if len(study.objectives) > 1 else {}
    return {
        "number": winner.number,
        "parameters": dict(winner.configuration),
        "objective": winner.objective,
        "epoch": winner.epoch,
        "test": dict(tested.metrics) if tested else None,
        "gain": gain.value if gain else study.gain,
        "interval": list(gain.interval) if gain and gain.interval else None,
        "replicates": claim.winner.replicates if claim else study.spec.replicates,
        "confirmed": None if claim is None else _claim_record(claim),
        "folds": study.spec.data.folds,
        **several,
    }


def _claim_record(claim: Confirmed) -> dict[str, Any]:
    estimates = {"winner": claim.winner, "baseline": claim.baseline, "gain": claim.gain}
    return {
        "metric": claim.metric,
        "split": claim.split,
        "finalists": claim.finalists,
        **{name: None if estimate is None else _estimate_record(estimate) for name, estimate in estimates.items()},
    }


def _estimate_record(estimate: Estimate) -> dict[str, Any]:
    interval = None if estimate.interval is None else list(estimate.interval)
    return {"value": estimate.value, "interval": interval, "replicates": estimate.replicates, "failed": estimate.failed}


def front_record(study: Study) -> list[dict[str, Any]]:
    """The Pareto front, the best by the first objective first. All values are of the validation split, at the trial's best epoch."""
    return [
        {"number": trial.number, "objectives": study.reached(trial), "epoch": trial.epoch, "parameters": dict(trial.configuration)}
        for trial in study.front
    ]


def front_sentence(study: Study) -> str:
    """How many trials are on the Pareto front of several objectives; or why there is none."""
    metrics = [objective.metric for objective in study.objectives]
    complete = sum(trial.state == "complete" for trial in study.trials)
    if not study.front:
        missing = [name for name in metrics if all(study.reached(trial)[name] is None for trial in study.trials)]
        reported = f"no trial has reported {' or '.join(missing)}" if missing else "no complete trial has reported them all"
        return f"There is no Pareto front of {' and '.join(metrics)}: {reported}."
    return (
        f"The Pareto front of {' and '.join(metrics)} has {len(study.front)} of {complete} complete trials: no other one is better in one "
        f"of them and nowhere worse, by the validation split, {rests_on(study.spec)}."
    )


def grid_text(spec: StudySpec, asked: int, seconds: float | None = None) -> str:
    """How little of a grid is visited that has more points than the study has trials, in a sentence; empty where there is nothing to say.

    ``seconds``: how long a trial took so far, with all that ran beside it.
    """
    if spec.settings.strategy != "grid":
        return ""
    points = spec.space.count_grid()
    if points is None:
        return f"The grid has more points than could be counted; {asked:,} trials visit some that spread over it."
    if points <= asked:
        return ""
    text = f"The grid has {points:,} points, of which {asked:,} trials visit some that spread over it"
    if seconds is None:
        return f"{text}."
    return f"{text}: all of them would take about {format_duration(max(1.0, float(round(points * seconds))))} at this pace."


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
    """``running`` while a driver is at work; ``done`` with all that was asked for; ``out_of_time`` after the end of ``--time``; ``failed``
    where it stopped since its first trials all failed; ``interrupted`` where it waits to be continued."""
    if is_being_driven:
        return "running"
    return {"done": "done", "time": "out_of_time", "failed": "failed"}.get(study.why_rested or "", "interrupted")


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
    if abs(value) >= 1e15:
        return f"{value:.{digits}g}"
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


def rests_on(spec: StudySpec) -> str:
    """On how many seeds and folds the objectives of a study rest: ``on one seed each``."""
    seeds = "one seed" if spec.replicates == 1 else f"the mean of {spec.replicates} seeds"
    if spec.data.folds is None:
        return f"on {seeds} each"
    return f"on the mean of {spec.data.folds} folds" + (f" with {spec.replicates} seeds each" if spec.replicates > 1 else "")


def weights_text(study: Study) -> str:
    """Of several trainings of the winner, whose weights were kept and tested, in a sentence; empty for one."""
    folds, replicates = study.spec.data.folds, study.spec.replicates
    if study.replicates == 1:
        return ""
    others = [*([f"{folds} folds"] if folds else []), *([f"{replicates} replicates"] if replicates > 1 else [])]
    return f"Kept and tested are the weights of its first training, of {' and '.join(others)}."


def skill_text(study: Study, season: int) -> str:
    """Whether the winner of a forecast is worth anything, in a sentence; empty where nothing was tested, or no forecast was.

    ``season``: after how many steps the naive forecast, to which it is compared, repeats the past; 0: it is the last value again.
    """
    tested = study.test if study.winner is not None and study.test is not None and study.test.trial == study.winner.number else None
    skill = tested.metrics.get("skill") if tested and not study.spec.trains_itself else None
    if skill is None:
        return ""
    naive = f"the value of {season} steps before again" if season else "the last value again"
    if skill > 0:
        return f"Its rmse there is {100 * skill:.1f} % less than that of a naive forecast, {naive}."
    return f"Its rmse there is not less than that of a naive forecast, {naive}, but {-100 * skill:.1f} % more: that one is the better."


def gain_text(study: Study) -> str:
    """By how much the winner beats the baseline on the validation split, in a sentence."""
    best, baseline, metric = study.winner, study.baseline, study.objective.metric
    if best is None:
        return "No trial is complete, so there is no winner."
    if baseline is None:
        return f"Validation {metric} {number_text(best.objective)}; there is no baseline, so no gain to report."
    if baseline.state != "complete" or baseline.objective is None or study.gain is None:
        return f"The baseline is {baseline.state}, so there is no gain to report."
    if best.number == baseline.number:
        return f"Nothing beat the baseline (validation {metric} {number_text(baseline.objective)})."
    direction = "more" if study.objective.maximize else "less"
    return (
        f"Validation {metric} {number_text(best.objective)} against {number_text(baseline.objective)} of the baseline: "
        f"{number_text(abs(study.gain))} {direction}, {rests_on(study.spec)}."
    )


def confirmation_text(study: Study) -> str:
    """What may be claimed of the winner, and whether tuning helped, in words; empty where nothing was confirmed."""
    claim = confirmed(study)
    if claim is None:
        return ""
    where = "the test split" if claim.split == "test" else f"the {claim.split}"
    failed = f" {claim.winner.failed} more came to no end." if claim.winner.failed else ""
    value = f"On {_fresh(claim.winner.replicates)} and {where}: {claim.metric} {_estimate_text(claim.winner)}"
    if claim.baseline is None or claim.gain is None:
        return f"{value}.{failed}"
    return f"{value}, the baseline {_estimate_text(claim.baseline)}.{failed} {_gain_verdict(claim.gain, study.objective.maximize)}"


def _gain_verdict(gain: Estimate, maximize: bool) -> str:
    """Whether tuning helped, as far as the interval tells."""
    size, direction = number_text(abs(gain.value)), "more" if maximize == (gain.value > 0) else "less"
    if gain.interval is None:
        return f"That is {size} {direction}; one seed cannot tell whether tuning helped."
    low, high = gain.interval
    if low == high == 0.0:
        return "Tuning changed nothing."
    if low > 0:
        return f"Tuning helped: {size} {direction} (95 % interval {number_text(low)} to {number_text(high)})."
    if high < 0:
        return f"Tuning did not help: the winner is worse by {size} (95 % interval {number_text(-high)} to {number_text(-low)})."
    return (
        f"Whether tuning helped cannot be told from {_fresh(gain.replicates)}: "
        f"the gain is between {number_text(low)} and {number_text(high)} (95 % interval)."
    )


def _estimate_text(estimate: Estimate) -> str:
    if estimate.interval is None:
        return number_text(estimate.value)
    return f"{number_text(estimate.value)} ({number_text(estimate.interval[0])} to {number_text(estimate.interval[1])})"


def _fresh(seeds: int) -> str:
    return "one fresh seed" if seeds == 1 else f"{seeds} fresh seeds"
