"""Which parameters decided how good the trials of a study became."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl import pedanova
from automl.draws import seed_at
from automl.events import Configuration
from automl.space import Categorical, Int
from automl.strategies.standing import standing
from automl.study import Study

FEWEST = 10  # trials that count, of which at least so many are complete:
FEWEST_BEST = 5
_BEST_SHARE = 0.1
_MOST = 1_000  # trials that are looked at; of more, the best and an even sample of the others
_SHUFFLES = 19  # more than each of them: by chance in one case of twenty
_EDGE = 0.05  # of a range


@dataclass(frozen=True, slots=True)
class Importance:
    """How much of the difference between the best trials and all of them one parameter makes.

    ``share`` is in [0, 1], all parameters together 1. ``is_clear``: more than any of ``_SHUFFLES`` drawings gave in which chance
    decided which trials are the best.
    """

    name: str
    share: float
    is_clear: bool


@dataclass(frozen=True, slots=True)
class Importances:
    """The importances of a study's parameters, greatest first. Empty where nothing can be said, and ``why_none`` says why.

    ``counted`` trials were looked at, the numbers in ``best`` are those of the best of them.
    """

    parameters: tuple[Importance, ...]
    counted: int = 0
    best: frozenset[int] = frozenset()
    why_none: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, the most important first."""
        return tuple(each.name for each in self.parameters)


def importances(study: Study) -> Importances:
    """What set the best trials of the study apart, by PED-ANOVA (``automl.pedanova``): the best tenth of the trials, five at least, is
    compared with all of them.

    Every trial counts that says something of its configuration, standing as strategies see it: a pruned, diverged or failed one is
    one of those that are not the best. Left out, the parameters that decide on survival would seem to matter little. Trials outside
    the space (a baseline may be) do not count. The same study always gives the same answer.
    """
    standings = {
        trial.number: stands
        for trial in study.trials
        if trial.in_space and trial.has_ended and (stands := standing(trial, study.objective)) is not None
    }
    complete = sum(study.trials[number].state == "complete" for number in standings)
    if len(standings) < FEWEST or complete < FEWEST_BEST:
        return Importances((), len(standings), why_none=_too_few(len(standings), complete))
    order = _sample(sorted(standings, key=lambda number: (standings[number], number)), seed_at(study.seed, "importances"))
    ranks = _ranks([standings[number] for number in order])
    best_count = min(max(round(_BEST_SHARE * len(order)), FEWEST_BEST), sum(study.trials[n].state == "complete" for n in order))
    best = frozenset(number for number, rank in zip(order, ranks, strict=True) if rank <= ranks[best_count - 1])
    if 2 * len(best) > len(order):
        return Importances((), len(order), best, "So many trials are equally good that nothing sets the best apart.")
    trials = [study.trials[number] for number in order]
    names = [parameter.name for parameter in study.space.parameters]
    values = pedanova.importances([pedanova.column(study.space.by_name[name], trials) for name in names], _rankings(study, order, best))
    found = dict(zip(names, map(float, values[0]), strict=True))
    by_chance = dict(zip(names, map(float, values[1:].max(axis=0)), strict=True))
    total = sum(found.values())
    if total <= 0:
        return Importances((), len(order), best, "No parameter has more than one value, or none sets the best trials apart.")
    parameters = tuple(
        Importance(name, value / total, value > by_chance[name]) for name, value in sorted(found.items(), key=lambda item: -item[1])
    )
    return Importances(parameters, len(order), best)


def _too_few(counted: int, complete: int) -> str:
    return (
        f"Importances take {FEWEST} trials that have ended, {FEWEST_BEST} of them complete; "
        f"here {counted} {'has' if counted == 1 else 'have'} ended, {complete} complete."
    )


def _sample(order: list[int], seed: int) -> list[int]:
    """At most ``_MOST`` of the trials, evenly drawn, so that the best tenth stays a tenth."""
    if len(order) <= _MOST:
        return order
    kept = sorted(random.Random(seed).sample(range(1, len(order)), _MOST - 1))
    return [order[0], *(order[index] for index in kept)]


def _rankings(study: Study, order: Sequence[int], best: frozenset[int]) -> list[NDArray[np.bool_]]:
    """Which of the trials are among the best, as it is and as chance would have it."""
    is_best = [number in best for number in order]
    source = random.Random(seed_at(study.seed, "importances by chance"))
    return [np.array(each) for each in (is_best, *(source.sample(is_best, len(is_best)) for _ in range(_SHUFFLES)))]


def _ranks(ordered: Sequence[tuple[int, float, float]]) -> list[int]:
    """The place of each of the ordered standings; equals share one."""
    ranks: list[int] = []
    for index, stands in enumerate(ordered):
        ranks.append(ranks[-1] if index and ordered[index - 1] == stands else index)
    return ranks


# -- in words ---------------------------------------------------------------------------------------------------------


def sentence(study: Study, found: Importances, importance: Importance) -> str:
    """What one parameter did, for people: where the best trials lie, and where there may be better ones."""
    parameter = study.space.by_name[importance.name]
    best = [study.trials[number].configuration for number in sorted(found.best) if importance.name in study.trials[number].configuration]
    share = f"{importance.name} ({'<1%' if 0 < importance.share < 0.005 else f'{importance.share:.0%}'})"
    if not importance.is_clear:
        return f"{share}: no more than chance would give in so few trials."
    if len(best) < 2:
        return f"{share}: {'only one' if best else 'none'} of the {len(found.best)} best trials has it."
    words = _of_choices(study, found, parameter, best) if isinstance(parameter, Categorical) else _of_numbers(parameter, best)
    when = f" where {' and '.join(map(str, parameter.when))}" if parameter.when else ""
    return f"{share}{when}: {words}"


def _of_choices(study: Study, found: Importances, parameter: Categorical, best: Sequence[Configuration]) -> str:
    from automl.summary import value_text

    counts = [sum(parameter.index(each[parameter.name]) == index for each in best) for index in range(len(parameter.choices))]
    most = max(range(len(counts)), key=lambda index: counts[index])
    having = [t.configuration[parameter.name] for t in study.trials if t.in_space and t.has_ended and parameter.name in t.configuration]
    share = sum(parameter.index(value) == most for value in having) / len(having)
    return f"{counts[most]} of the {len(best)} best trials have {value_text(parameter.choices[most])}, {share:.0%} of all."


def _of_numbers(parameter: Any, best: Sequence[Configuration]) -> str:
    from automl.summary import value_text

    values = sorted(float(each[parameter.name]) for each in best)  # type: ignore[arg-type]
    spare = len(values) // 10
    low, high = values[spare], values[-1 - spare]
    which = "best trials lie" if not spare else "best trials mostly lie"
    between = f"at {_number(parameter, low)}" if low == high else f"between {_number(parameter, low)} and {_number(parameter, high)}"
    searched = f"searched from {value_text(parameter.low)} to {value_text(parameter.high)}"
    return f"the {len(values)} {which} {between}, {searched}.{_edge(parameter, values)}"


def _edge(parameter: Any, values: Sequence[float]) -> str:
    """A hint where the middle one of the best lies at the end of the range."""
    middle = values[len(values) // 2]
    share = parameter.unit(int(middle) if isinstance(parameter, Int) else middle)
    width = max(_EDGE, 0.51 / parameter.size) if isinstance(parameter, Int) else _EDGE
    if share >= 1 - width:
        return " That is the upper end of its range; a wider one may do better."
    return " That is the lower end of its range; a wider one may do better." if share <= width else ""


def _number(parameter: Any, value: float) -> str:
    from automl.summary import value_text

    return value_text(int(value) if isinstance(parameter, Int) else float(f"{value:.3g}"))
