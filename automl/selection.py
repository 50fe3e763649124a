"""Some of a study's trials, in some order: by state, by a rule, by what they reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from automl.errors import UsageError, suggestion
from automl.events import Value
from automl.expressions import Expression, ExpressionError
from automl.study import Study
from automl.trials import Trial

SORTED_BY = ("number", "objective", "epochs", "seconds", "started", "ended")
_WORKED = ("complete", "pruned")


def selected(
    study: Study,
    *,
    sort: str | None = None,
    reverse: bool = False,
    states: Sequence[str] = (),
    failed: bool = False,
    where: str | None = None,
    top: int | None = None,
) -> list[Trial]:
    """The trials that are asked for.

    Args:
        sort: one of ``SORTED_BY``, a parameter or a metric; of the objective the best first, of all else the least. Trials without it
            come last. None: by number, or by objective where ``top`` is given.
        reverse: the other way round; trials without the value stay last.
        states: only trials in one of these.
        failed: only trials that ended as neither complete nor pruned.
        where: a rule over parameters, metrics of the best epoch, ``state`` and the keys of ``SORTED_BY``, as in ``forbid``.
        top: only the first so many.

    Raises UsageError for a key or a rule that cannot be.
    """
    keep = _rule(study, where) if where is not None else lambda trial: True
    found = [trial for trial in study.trials if (not states or trial.state in states) and keep(trial)]
    if failed:
        found = [trial for trial in found if trial.has_ended and trial.state not in _WORKED]
    found = _sorted(study, found, sort or ("objective" if top is not None else "number"), reverse)
    return found[:top]


def _values(trial: Trial) -> dict[str, Value]:
    """What a trial can be chosen by; what it does not have is not there."""
    own = {"number": trial.number, "objective": trial.objective, "epochs": trial.epochs, "seconds": trial.seconds}
    times = {"started": trial.started, "ended": trial.ended, "state": trial.state}
    known = {name: value for name, value in {**own, **times}.items() if value is not None}
    return {**trial.metrics, **trial.configuration, **known}


def _names(study: Study) -> list[str]:
    found = [*SORTED_BY, *(parameter.name for parameter in study.space.parameters)]
    return list(dict.fromkeys([*found, *(name for trial in study.trials for name in (*trial.configuration, *trial.metrics))]))


def _rule(study: Study, where: str) -> Callable[[Trial], bool]:
    try:
        rule = Expression.parse(where)
    except ExpressionError as error:
        raise UsageError(f"--where: {error}.") from None
    known = ["state", *_names(study)]
    for name in rule.names:
        if name not in known:
            near = suggestion(name, known) or _quoted(study, name)
            raise UsageError(f"--where: must speak of {', '.join(known)}, but {name!r} is none of them.{near}")
    values = [_values(trial) for trial in study.trials]
    wrong = rule.mismatch({name: [each[name] for each in values if name in each] for name in rule.names})
    if wrong:
        raise UsageError(f"--where: {wrong}.")
    return lambda trial: rule.holds(_values(trial))


def _quoted(study: Study, word: str) -> str:
    """What to do where the word is a text that trials have: the shell takes the quotes off that a person typed."""
    texts = {value for trial in study.trials for value in _values(trial).values() if isinstance(value, str)}
    return f" A text stands in quotes: \"... == '{word}'\"." if word in texts else ""


def _sorted(study: Study, trials: Sequence[Trial], key: str, reverse: bool) -> list[Trial]:
    known = _names(study)
    if key not in known:
        raise UsageError(f"--sort: must be one of {', '.join(known)}, but is {key!r}.{suggestion(key, known)}")
    is_turned = reverse != (key == "objective" and study.objective.maximize)
    have = [trial for trial in trials if key in _values(trial)]
    rest = [trial for trial in trials if key not in _values(trial)]
    ordered = sorted(have, key=lambda trial: _order(_values(trial)[key]), reverse=is_turned)
    return [*ordered, *rest]


def _order(value: Any) -> tuple[int, Any]:
    """Numbers by size, then texts by letters, so that choices of several types can be sorted."""
    is_number = isinstance(value, int | float)
    return (0, value) if is_number else (1, str(value))
