"""What an Optuna objective is handed: a trial with Optuna's methods, behind which somebody else chooses and decides.

Without Optuna itself, so that an objective costs no more to look at than to import.
"""

from __future__ import annotations

import datetime
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from automl.errors import UsageError, suggestion
from automl.events import Value

Kind = Literal["float", "int", "categorical"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What one call of ``suggest_float``, ``suggest_int`` or ``suggest_categorical`` asks for. ``step`` 0: none."""

    name: str
    kind: Kind
    low: float = 0
    high: float = 0
    log: bool = False
    step: float = 0
    choices: tuple[Value, ...] = ()

    @property
    def domain(self) -> str:
        """In words: ``a number from 0.1 to 0.5``."""
        if self.kind == "categorical":
            return f"one of {', '.join(map(repr, self.choices))}"
        steps = f" in steps of {self.step:g}" if self.step not in (0, 1) else ""
        return f"{'a whole number' if self.kind == 'int' else 'a number'} from {self.low:g} to {self.high:g}{steps}"

    def fitted(self, value: Value) -> Value:
        """The value as the objective is to have it: of the kind that it asks for, on its step.

        Raises ValueError where it lies outside of what was asked for.
        """
        if self.kind == "categorical":
            for choice in self.choices:
                if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                    return choice
            raise ValueError(self.domain)
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError(self.domain)
        if not self.step:
            return float(value)
        stepped = self.low + round((value - self.low) / self.step) * self.step
        if self.kind == "float":
            return min(float(f"{stepped:.12g}"), self.high)
        if stepped != value:
            raise ValueError(self.domain)
        return int(value)


class Behind(Protocol):
    """Who chooses for a trial and takes its reports."""

    number: int
    maximize: bool
    study_name: str

    def choose(self, asked: Asked) -> Value:
        """The value of a parameter that is asked for the first time."""

    def report(self, value: float) -> None:
        """One more intermediate value."""

    def should_prune(self) -> bool:
        """Whether the study has no more use for the trial."""


class OptunaTrial:
    """A trial as an Optuna objective knows it: ``suggest_*``, ``report``, ``should_prune``, ``number``, ``params``, user attributes.

    ``trial.study`` knows its name and direction and nothing else: what other trials did is no affair of an objective here.
    """

    def __init__(self, behind: Behind) -> None:
        self._behind = behind
        self._asked: dict[str, Asked] = {}
        self._steps: set[int] = set()
        self.number = behind.number
        self.params: dict[str, Any] = {}
        self.user_attrs: dict[str, Any] = {}
        self.datetime_start = datetime.datetime.now()
        self.study = OptunaStudy(behind.study_name, behind.maximize)

    # suggesting

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """A number from ``low`` to ``high``, both included."""
        low, high = _number(name, "low", low), _number(name, "high", high)
        _check(name, low <= high, f"low must not be above high, but they are {low:g} and {high:g}")
        _check(name, not (log and step), "log and step cannot go together")
        _check(name, not log or low > 0, f"low must be above 0 on a log scale, but is {low:g}")
        _check(name, step is None or step > 0, f"step must be above 0, but is {step}")
        if step is not None:
            high = float(f"{low + math.floor((high - low) / step + 1e-8) * step:.12g}")
        return self._suggest(Asked(name, "float", low, high, log, step or 0))  # type: ignore[return-value]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number ``low, low + step, ...`` up to ``high``."""
        for label, value in (("low", low), ("high", high), ("step", step)):
            _check(name, _is_whole(value), f"{label} must be a whole number, but is {value!r}")
        low, high, step = int(low), int(high), int(step)
        _check(name, low <= high, f"low must not be above high, but they are {low} and {high}")
        _check(name, step >= 1, f"step must be at least 1, but is {step}")
        _check(name, not log or (low > 0 and step == 1), "on a log scale low must be above 0 and step 1")
        return self._suggest(Asked(name, "int", low, high - (high - low) % step, log, step))  # type: ignore[return-value]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of these: texts, numbers, true or false, None."""
        choices = tuple(choices)
        _check(name, bool(choices), "there must be choices, but there are none")
        for choice in choices:
            is_plain = isinstance(choice, str | int | float | bool | None) and not (isinstance(choice, float) and not math.isfinite(choice))
            hint = "Choose among names, and look the object up by its name"
            _check(
                name, is_plain, f"choices must be texts, numbers, true, false or None, but one is of type {type(choice).__name__}. {hint}"
            )
        return self._suggest(Asked(name, "categorical", choices=choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """As Optuna had it before ``suggest_float``."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """As Optuna had it before ``suggest_float``."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """As Optuna had it before ``suggest_float``."""
        return self.suggest_float(name, low, high, step=q)

    def _suggest(self, asked: Asked) -> Value:
        before = self._asked.get(asked.name)
        _check(asked.name, before in (None, asked), f"must be the same each time, but is {asked.domain} after {before and before.domain}")
        if before is None:
            self.params[asked.name] = self._behind.choose(asked)
            self._asked[asked.name] = asked
        value: Value = self.params[asked.name]
        return value

    # reporting

    def report(self, value: float, step: int) -> None:
        """An intermediate value. Steps are counted as they come, each once; a step that was reported before is left out."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"trial.report: the value must be a number, but is of type {type(value).__name__}.") from None
        if step not in self._steps:
            self._steps.add(step)
            self._behind.report(number)

    def should_prune(self) -> bool:
        """Whether to ``raise optuna.TrialPruned()``."""
        return self._behind.should_prune()

    # remembering

    def set_user_attr(self, key: str, value: Any) -> None:
        """Remember something about the trial; what JSON can hold of it is in ``user_attrs.json`` of the trial's folder."""
        self.user_attrs[key] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        known = [each for each in dir(type(self)) if not each.startswith("_")] + [each for each in vars(self) if not each.startswith("_")]
        raise AttributeError(
            f"automl gives an Optuna objective no trial.{name}. It has {', '.join(sorted(known))}.{suggestion(name, known)}"
        )


class OptunaStudy:
    """What an objective may know of the study: its name and direction."""

    def __init__(self, name: str, maximize: bool) -> None:
        self.study_name = name
        self.direction = _direction(maximize)
        self.directions = [self.direction]
        self.user_attrs: Mapping[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"automl gives an Optuna objective no trial.study.{name}. It has direction, directions, study_name, user_attrs."
        )


def _direction(maximize: bool) -> Any:
    """Optuna's own, for an objective to compare with."""
    if "optuna" not in sys.modules:
        return "maximize" if maximize else "minimize"
    from optuna.study import StudyDirection

    return StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE


def is_pruned(error: BaseException) -> bool:
    """Whether an error is ``optuna.TrialPruned``, without an import of Optuna."""
    return any((each.__name__, each.__module__.partition(".")[0]) == ("TrialPruned", "optuna") for each in type(error).__mro__)


def _number(name: str, label: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    _check(name, math.isfinite(number), f"{label} must be a finite number, but is {value!r}")
    return number


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value == int(value)


def _check(name: str, holds: bool, what: str) -> None:
    if not isinstance(name, str) or not name:
        raise UsageError(f"trial.suggest: the name of a parameter must be a text, but is {name!r}.")
    if not holds:
        raise UsageError(f"trial.suggest: {name}: {what}.")
