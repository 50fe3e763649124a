"""Optuna objectives as training functions: what they report and return goes to the study, and what it decides is what they are told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from automl.errors import UsageError, suggestion
from automl.events import Job, Value
from automl.suggestions import Asked, OptunaTrial, is_pruned
from automl.training.own.trial import Trial, TrialStopped


class GaveUpError(Exception):
    """The objective has pruned its trial by a rule of its own."""


def as_function(objective: Callable[[Any], Any], job: Job) -> Callable[[Trial], None]:
    """A training function that calls this objective. Its result counts as one more report where that is news.

    Raises GaveUpError where it prunes its trial without being told to, UsageError where its result is no number.
    """

    def run(trial: Trial) -> None:
        behind = _Study(trial, job)
        shown = OptunaTrial(behind)
        try:
            behind.conclude(objective(shown))
        except TrialStopped:
            raise
        except Exception as error:
            if not is_pruned(error):
                raise
            if behind.is_stopped:
                raise TrialStopped from None
            behind.tell()
            raise GaveUpError(f"the objective pruned it by itself{f': {error}' if str(error) else ''}") from error
        finally:
            _keep(trial, shown.user_attrs)

    return run


def _keep(trial: Trial, attributes: dict[str, Any]) -> None:
    """What JSON can hold of them; nothing of a trial is lost for want of the rest."""
    kept: dict[str, Any] = {}
    for name, value in attributes.items():
        with contextlib.suppress(TypeError, ValueError):
            kept[str(name)] = json.loads(json.dumps(value))
    if kept:
        (trial.folder / "user_attrs.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


class _Study:
    """Behind the trial of an objective.

    A report is handed over when the objective asks whether to go on, or else with the next one: one that never asks is ended there.
    """

    def __init__(self, trial: Trial, job: Job) -> None:
        self.number, self.maximize, self.study_name = trial.number, job.maximize, Path(job.folder).name
        self.is_stopped = False
        self._trial, self._code, self._metric = trial, job.model, job.objective
        self._untold: float | None = None
        self._last: float | None = None

    def choose(self, asked: Asked) -> Value:
        parameters = self._trial.parameters
        if asked.name not in parameters:
            near = suggestion(asked.name, parameters)
            raise UsageError(
                f"trial.suggest: {asked.name!r} must be a parameter of the space, but this trial has none ({asked.domain}).{near} "
                "Write a file with 'automl space new --optuna', add it there, and run the file."
            )
        value: Value = parameters[asked.name]
        try:
            return asked.fitted(value)
        except ValueError as error:
            raise UsageError(f"trial.suggest: {asked.name} must be {error}, but the space gave {value!r}. Let both say the same.") from None

    def report(self, value: float) -> None:
        if self.is_stopped:
            raise TrialStopped
        self.tell()
        self._untold = value

    def should_prune(self) -> bool:
        if not self.is_stopped:
            with contextlib.suppress(TrialStopped):
                self.tell()
        return self.is_stopped

    def tell(self) -> None:
        """Hand over the report that was not yet; raises TrialStopped where the study has no more use for the trial."""
        if self._untold is None:
            return
        value, self._untold = self._untold, None
        self._last = value
        try:
            self._trial.report({self._metric: value})
        except TrialStopped:
            self.is_stopped = True
            raise

    def conclude(self, result: Any) -> None:
        """The objective has returned this."""
        if isinstance(result, list | tuple):
            raise UsageError(f"{self._code}: must return one number, but returned {len(result)}. Several objectives are not supported.")
        try:
            value = float(result)
        except (TypeError, ValueError):
            given = "nothing" if result is None else f"something of type {type(result).__name__}"
            raise UsageError(f"{self._code}: must return a number, but returned {given}. Return its final value.") from None
        if self.is_stopped:
            raise TrialStopped
        self.tell()
        if value != self._last:
            self._untold = value
            self.tell()
