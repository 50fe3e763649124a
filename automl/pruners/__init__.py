"""Which trials are stopped before their end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from automl import options as methods
from automl.events import Value
from automl.families import Setting
from automl.options import Method
from automl.pruners.asha import best_loss
from automl.study import Study
from automl.trials import Trial


class Pruner(Protocol):
    """Decides after each report. A plain function of what has happened: caches that are functions of the events are fine.

    ``decided`` are the epochs of a training after which it may stop a trial; None: any.
    """

    @property
    def decided(self) -> frozenset[int] | None: ...

    def prune(self, study: Study, trial: Trial) -> bool:
        """Whether to stop this running trial now. Asked once for each new report of it, which the study already holds.

        A trial of several replicates (folds, or fresh seeds) is compared by those that it has so far, with the same ones of others: some
        are harder than others for every trial. ``Trial.reports`` is their mean so far, of which points change until all are there.
        """


_MIN_EPOCHS = Setting("min_epochs", "int", None, "epochs that every trial gets; null: a tenth of all, rounded up", low=1)
_N_STARTUP = Setting("n_startup", "int", 5, "complete trials before the first decision", low=1)
_REDUCTION = Setting("reduction_factor", "int", 3, "of so many trials that reach a rung one goes on", low=2)

PRUNERS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("none", "every trial trains to its end", "automl.pruners.never:Never"),
        Method(
            "median",
            "stops what is worse than the median of the complete trials at the same epoch",
            "automl.pruners.median:Median",
            (_MIN_EPOCHS, _N_STARTUP),
        ),
        Method(
            "percentile",
            "stops what is not among the best so many per cent of the complete trials at the same epoch",
            "automl.pruners.median:Percentile",
            (
                _MIN_EPOCHS,
                _N_STARTUP,
                Setting("keep", "float", 25.0, "per cent that go on", low=0, high=100, low_open=True, high_open=True),
            ),
        ),
        Method("asha", "successive halving without waiting", "automl.pruners.asha:Asha", (_MIN_EPOCHS, _REDUCTION)),
        Method(
            "hyperband",
            "several successive halvings, from harsh to lenient, side by side",
            "automl.pruners.hyperband:Hyperband",
            (_MIN_EPOCHS, _REDUCTION),
        ),
        Method(
            "patient",
            "stops what another pruner would stop, but nothing that still gets better",
            "automl.pruners.patient:Patient",
            (
                _MIN_EPOCHS,
                Setting("rule", "categorical", "median", "the other pruner", choices=("median", "percentile", "asha", "hyperband")),
                Setting("patience", "int", 3, "epochs without getting better", low=1),
                Setting("min_delta", "float", 0.0, "by more than this a value must be better than before", low=0),
            ),
        ),
        Method(
            "wilcoxon",
            "stops a trial of several folds or replicates once they are significantly worse than the best trial's",
            "automl.pruners.wilcoxon:Wilcoxon",
            (
                _MIN_EPOCHS,
                Setting("threshold", "float", 0.1, "the probability of chance up to which it is stopped", low=0, high=0.5, low_open=True),
            ),
        ),
    )
}


def check_pruner(name: str, options: Mapping[str, Value], epochs: int, replicates: int = 1) -> dict[str, Value]:
    """The options with their defaults. Raises UsageError for names, options and values that cannot be with so many epochs of a training
    and replicates of a trial."""
    method = methods.find("--pruner", "Pruners", name, PRUNERS)
    settings = tuple(replace(setting, high=epochs) if setting is _MIN_EPOCHS else setting for setting in method.settings)
    completed = methods.complete("--pruner", replace(method, settings=settings), options)
    if "min_epochs" in completed and completed["min_epochs"] is None:
        completed["min_epochs"] = default_min_epochs(epochs)
    if name == "wilcoxon":
        from automl.pruners.wilcoxon import check

        check(replicates, float(str(completed["threshold"])))
    return completed


def make_pruner(name: str, options: Mapping[str, Value], epochs: int, replicates: int = 1) -> Pruner:
    """The pruner of this name for trials of at most ``epochs`` epochs. Raises UsageError as ``check_pruner`` does."""
    return Considerate(_rule(name, check_pruner(name, options, epochs, replicates), epochs), epochs)


def _rule(name: str, options: Mapping[str, Value], epochs: int) -> Pruner:
    """The rule itself. That of another rule gets its defaults, but for ``min_epochs``."""
    if name == "patient":
        inner, own = str(options["rule"]), {key: value for key, value in options.items() if key not in ("rule", "min_epochs")}
        rule = _rule(inner, check_pruner(inner, {"min_epochs": options["min_epochs"]}, epochs), epochs)
        patient: Pruner = methods.load(PRUNERS[name])(rule=rule, **own)
        return patient
    made: Pruner = methods.load(PRUNERS[name])(epochs=epochs, **options)
    return made


def default_min_epochs(epochs: int) -> int:
    """A tenth of the epochs, rounded up: earlier curves mislead both pruner and strategy."""
    return max(1, math.ceil(epochs / 10))


class Considerate:
    """A pruner that never stops the baseline, by which every gain is measured, nor a trial that has trained all its epochs anyway.

    Rules compare the first objective. With several objectives what a rule would stop goes on unless a trial of the Pareto front beats it
    in all of them: at the same epoch it was better in the first one, and it is not worse in any other (a measure of the network, or
    what the trial has reached at its best epoch so far). So a small network is only stopped for the sake of one that is no larger.
    """

    def __init__(self, rule: Pruner, epochs: int) -> None:
        self._rule = rule
        self._epochs = epochs

    @property
    def decided(self) -> frozenset[int] | None:
        return self._rule.decided

    def prune(self, study: Study, trial: Trial) -> bool:
        if trial.origin == "baseline" or trial.epochs_trained >= self._epochs * len(trial.trainings):
            return False
        return self._rule.prune(study, trial) and (len(study.objectives) == 1 or is_beaten(study, trial))


def is_beaten(study: Study, trial: Trial) -> bool:
    """Whether a trial of the Pareto front was better in the first objective at this epoch, and is not worse in any other."""
    ours = _further_losses(study, trial)
    loss = best_loss(study.objective, trial.reports, trial.epochs)
    return any(
        best_loss(study.objective, other.reports, trial.epochs) < loss
        and all(theirs <= mine for theirs, mine in zip(_further_losses(study, other), ours, strict=True))
        for other in study.front
    )


def _further_losses(study: Study, trial: Trial) -> list[float]:
    reached = study.reached(trial)
    values = [(objective, reached[objective.metric]) for objective in study.objectives[1:]]
    return [math.inf if value is None else objective.loss(value) for objective, value in values]
