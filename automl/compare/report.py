"""A comparison as data for other programs: what ``--json`` prints, and the rows of ``--csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl.compare.curves import curves
from automl.compare.results import Result
from automl.compare.statistics import LEVEL, Estimate
from automl.compare.verdict import Judged, Pair, Standing, sentences
from automl.summary import number_text

ROWS = "results.csv"
_COLUMNS = (
    "arm",
    "strategy",
    "pruner",
    "repeat",
    "seed",
    "study",
    "pick",
    "validation",
    "test",
    "trials",
    "epochs",
    "seconds",
    "ask_seconds",
)


@dataclass(frozen=True, slots=True)
class Report:
    """A judged comparison with all that is said of it.

    ``looks``: with how many repeats the same arms were judged before; ``notes``: what a person should know besides.
    """

    name: str
    space: str
    data: str
    budget: str
    judged: Judged
    looks: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    folder: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def results(self) -> list[Result]:
        """Those of all arms, arm by arm."""
        return [result for standing in self.judged.standings for result in standing.results]

    @property
    def sentences(self) -> list[str]:
        """The verdict, a thought each."""
        return [*sentences(self.judged, self.budget, self.looks), *self.speed]

    @property
    def speed(self) -> list[str]:
        """How much sooner the best arm is where the next one ends, by the validation values on the way; nothing where it is not."""
        first, second, *_ = self.judged.standings
        if not any({pair.a, pair.b} == {first.name, second.name} and pair.call != "cannot tell" for pair in self.judged.pairs):
            return []
        maximize = self.judged.objective.maximize
        anytime = curves(self.results, "trials", maximize)
        end = anytime[second.name].median[-1] if anytime[second.name].median else None
        after = None if end is None else anytime[first.name].reaches(end, maximize)
        length = len(anytime[second.name].x)
        if end is None or after is None or after >= length:
            return []
        return [
            f"{first.name} is where {second.name} ends (validation {self.judged.objective.metric} {number_text(end)}) after {after:.0f} of "
            f"{length} trials, in the median."
        ]

    def as_json(self) -> dict[str, Any]:
        """What ``compare --json`` prints. Differences are positive where ``a`` is better, in the unit of the metric."""
        judged = self.judged
        return {
            "comparison": self.name,
            "folder": self.folder,
            "space": self.space,
            "data": self.data,
            "metric": judged.objective.metric,
            "maximize": judged.objective.maximize,
            "split": judged.split,
            "budget": self.budget,
            "repeats": judged.repeats,
            "paired": judged.is_paired,
            "level": LEVEL,
            "strategies": [_standing(standing) for standing in judged.standings],
            "pairs": [_pair(pair) for pair in judged.pairs],
            "unbeaten": judged.unbeaten,
            "verdict": " ".join(self.sentences),
            "looks": list(self.looks),
            "notes": list(self.notes),
            **self.more,
        }


def _standing(standing: Standing) -> dict[str, Any]:
    results = standing.results
    return {
        "name": standing.name,
        "strategy": standing.arm.strategy,
        "strategy_options": dict(standing.arm.strategy_options),
        "pruner": standing.arm.pruner,
        "pruner_options": dict(standing.arm.pruner_options),
        "repeats": len(results),
        "mean_rank": round(standing.mean_rank, 6),
        "test": standing.test.value,
        "test_interval": _interval(standing.test),
        "test_values": [result.test for result in results],
        "validation": standing.validation.value,
        "validation_interval": _interval(standing.validation),
        "validation_values": [result.validation for result in results],
        "trials": _mean([result.trials for result in results]),
        "epochs": _mean([result.epochs for result in results]),
        "seconds": _mean([result.seconds for result in results]),
        "ask_seconds": _mean([result.ask_seconds for result in results]),
    }


def _pair(pair: Pair) -> dict[str, Any]:
    outlook = pair.outlook
    return {
        "a": pair.a,
        "b": pair.b,
        "wins": None if pair.wins is None else dict(zip(("a", "equal", "b"), pair.wins, strict=True)),
        "probability_a_better": pair.probability.value,
        "probability_interval": _interval(pair.probability),
        "difference": pair.difference.value,
        "difference_interval": _interval(pair.difference),
        "p_value": pair.p_adjusted,
        "p_value_alone": pair.p_value,
        "verdict": pair.call,
        "repeats_needed": None if outlook is None else {"about": outlook.repeats, "fewest": outlook.fewest, "most": outlook.most},
    }


def _interval(estimate: Estimate) -> dict[str, float | None]:
    return {"low": estimate.low, "high": estimate.high, "confidence": estimate.confidence}


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 6)


def rows(results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """A row for each study."""
    for result in results:
        row = {name: getattr(result, name) for name in _COLUMNS if name not in ("arm", "strategy", "pruner")}
        yield {"arm": result.arm.name, "strategy": result.arm.strategy, "pruner": result.arm.pruner, **row}


def write_csv(results: Sequence[Result], path: Path) -> None:
    """A table with a row for each study; an empty cell where there is no value."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows(results))
