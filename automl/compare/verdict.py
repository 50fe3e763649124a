"""What a comparison says: how the arms stand, each pair of them tested, and the sentences that a person can act on.

Judged is what each repeat's pick reaches on data by which nothing was chosen (the test split). The validation values by which the picks
were made are shown beside it, and serve no claim: the best of many noisy values is too good to be true, the more so the more there were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from automl.compare import statistics
from automl.compare.arms import Arm
from automl.compare.results import Result, as_measured, by_arm, goodness
from automl.compare.statistics import LEVEL, Estimate, Outlook
from automl.spec import Objective
from automl.summary import number_text

_NO_COST = 1.0  # seconds a study, below which nobody chooses by cost

Call = Literal["a better", "b better", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an arm stands. ``test`` and ``validation`` are medians over its repeats with intervals, in the metric's own unit."""

    arm: Arm
    results: tuple[Result, ...]
    mean_rank: float
    test: Estimate
    validation: Estimate

    @property
    def name(self) -> str:
        return self.arm.name

    @property
    def seconds(self) -> float:
        """The median of what a study took: device seconds and those of asking."""
        return float(np.median([result.seconds + result.ask_seconds for result in self.results]))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two arms, compared by the test values of their picks. ``difference`` is positive where ``a`` is better, in the metric's unit.

    ``wins`` are the repeats in which a was better, as good, and worse; None where repeats are no pairs. ``p_adjusted`` is corrected for
    the number of pairs, and ``lean`` says for whom the test speaks: positive for a. ``outlook``: how many repeats would tell them apart;
    None where they are told apart, or repeats are no pairs.
    """

    a: str
    b: str
    wins: tuple[int, int, int] | None
    probability: Estimate
    difference: Estimate
    p_value: float
    p_adjusted: float
    lean: float
    outlook: Outlook | None

    @property
    def call(self) -> Call:
        """Where one was better more often and the other by more, so that the test speaks for the latter, neither is called better."""
        if self.p_adjusted > LEVEL or self.is_mixed:
            return "cannot tell"
        return "a better" if self.lean > 0 else "b better"

    @property
    def is_mixed(self) -> bool:
        """Whether the test speaks for another arm than the share of repeats in which each was better."""
        return self.lean * ((self.probability.value or 0.0) - 0.5) <= 0

    @property
    def ordered(self) -> tuple[str, str]:
        """The arm that looks better, and the other."""
        return (self.a, self.b) if (self.probability.value or 0.0) >= 0.5 else (self.b, self.a)


@dataclass(frozen=True, slots=True)
class Judged:
    """A comparison, judged. Standings by mean rank, best first; pairs in the order of the standings, the better mean rank as ``a``."""

    objective: Objective
    is_paired: bool
    split: str
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]

    @property
    def repeats(self) -> int:
        """Of the arm with the fewest."""
        return min(len(standing.results) for standing in self.standings)

    @property
    def unbeaten(self) -> list[str]:
        """The arms than which no other is better."""
        beaten = {pair.b if pair.call == "a better" else pair.a for pair in self.pairs if pair.call != "cannot tell"}
        return [standing.name for standing in self.standings if standing.name not in beaten]


def judge(results: Sequence[Result], objective: Objective, is_paired: bool = True) -> Judged:
    """Judge the results of two or more arms. ``is_paired``: equal repeats belong together, and every arm has the same ones."""
    results = as_measured(results)
    arms = by_arm(results)
    values = {name: [goodness(result.test, objective) for result in own] for name, own in arms.items()}
    ranks = _mean_ranks(values, is_paired)
    order = sorted(arms, key=lambda name: (ranks[name], list(arms).index(name)))
    standings = tuple(
        Standing(
            arms[name][0].arm,
            tuple(arms[name]),
            ranks[name],
            _median([result.test for result in arms[name]], objective),
            _median([result.validation for result in arms[name]], objective),
        )
        for name in order
    )
    pairs = list(combinations(order, 2))
    p_values = [_p_value(values[a], values[b], is_paired) for a, b in pairs]
    adjusted = statistics.holm(p_values)
    judged = tuple(
        _pair(a, b, values[a], values[b], is_paired, p, p_adjusted, len(pairs))
        for (a, b), p, p_adjusted in zip(pairs, p_values, adjusted, strict=True)
    )
    split = next((result.split for result in results if result.test is not None), "test")
    return Judged(objective, is_paired, split.partition(" (")[0], standings, judged)  # without why it is no test split


def _mean_ranks(values: dict[str, list[float]], is_paired: bool) -> dict[str, float]:
    if is_paired:
        ranks = statistics.mean_ranks(np.array(list(values.values())))
        return dict(zip(values, ranks.tolist(), strict=True))
    return {  # the rank that a value of this arm has on average among one value of each arm
        name: 1.0
        + sum(1 - (statistics.probability_better_unpaired(own, theirs).value or 0.0) for other, theirs in values.items() if other != name)
        for name, own in values.items()
    }


def _median(values: Sequence[float | None], objective: Objective) -> Estimate:
    median = statistics.median([goodness(value, objective) for value in values])
    if objective.maximize:
        return median
    value, low, high = (None if number is None else -number for number in (median.value, median.high, median.low))
    return Estimate(value, low, high, median.confidence)


def _p_value(a: Sequence[float], b: Sequence[float], is_paired: bool) -> float:
    return statistics.signed_rank_p(_differences(a, b)) if is_paired else statistics.rank_sum_p(a, b)


def _differences(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Without the last digits, in which equal differences of accuracies come out unequal: ties must stay ties."""
    scale = max((abs(value) for value in (*a, *b) if math.isfinite(value)), default=1.0)
    digits = 12 - math.ceil(math.log10(scale)) if scale > 0 else 12
    return [round(x - y, digits) if x != y else 0.0 for x, y in zip(a, b, strict=True)]


def _pair(a: str, b: str, of_a: list[float], of_b: list[float], is_paired: bool, p: float, p_adjusted: float, pairs: int) -> Pair:
    if not is_paired:
        probability = statistics.probability_better_unpaired(of_a, of_b)
        lean = (probability.value or 0.0) - 0.5  # it is what the rank sum counts
        return Pair(a, b, None, probability, statistics.difference_unpaired(of_a, of_b), p, p_adjusted, lean, None)
    differences = _differences(of_a, of_b)
    return Pair(
        a,
        b,
        statistics.wins(differences),
        statistics.probability_better(differences),
        statistics.difference(differences),
        p,
        p_adjusted,
        statistics.rank_lean(differences),
        statistics.outlook(differences, pairs) if p_adjusted > LEVEL else None,
    )


# -- sentences ----------------------------------------------------------------------------------------------------------


def sentences(judged: Judged, budget: str, looks: Sequence[int] = ()) -> list[str]:
    """What to make of it, one thought a sentence. ``budget``: of each study, in words; ``looks``: with how many repeats these arms were
    judged before."""
    told = [pair for pair in judged.pairs if pair.call != "cannot tell"]
    unbeaten = judged.unbeaten
    said = []
    if len(unbeaten) == 1 and sum(unbeaten[0] in pair.ordered[:1] for pair in told) == len(judged.standings) - 1:
        said.append(f"Use {unbeaten[0]}: with {budget} a study it is better here than {_listed(_beaten_by(unbeaten[0], told))}.")
    else:
        for name in dict.fromkeys(pair.ordered[0] for pair in told):
            said.append(f"With {budget} a study {name} is better here than {_listed(_beaten_by(name, told))}.")
    said += [_evidence(judged, pair) for pair in told]
    open_pairs = [pair for pair in judged.pairs if pair.call == "cannot tell" and {pair.a, pair.b} <= set(unbeaten)]
    if open_pairs:
        said += _undecided(judged, open_pairs, budget)
    if looks:
        before = _listed([str(count) for count in looks])
        said.append(
            f"These arms were judged before, with {before} repeats: over all {len(looks) + 1} verdicts together the chance of a false "
            f"alarm is up to {min(100, 100 * LEVEL * (len(looks) + 1)):.0f} %, not {100 * LEVEL:.0f} %."
        )
    return said


def _beaten_by(name: str, told: Sequence[Pair]) -> list[str]:
    return [pair.ordered[1] for pair in told if pair.ordered[0] == name]


def _undecided(judged: Judged, pairs: Sequence[Pair], budget: str) -> list[str]:
    names = [standing.name for standing in judged.standings if any(standing.name in (pair.a, pair.b) for pair in pairs)]
    apart = f"{_listed(names)} apart" if len(names) > 2 else f"{names[0]} from {names[1]}"
    said = [f"Cannot tell {apart} with {judged.repeats} repeats of {budget}."]
    clearest = min(pairs, key=lambda pair: (pair.p_value, -abs((pair.probability.value or 0.0) - 0.5)))
    said.append(_evidence(judged, clearest))
    needed = _needed(judged, clearest)
    if needed:
        said.append(needed)
    said.append(_meanwhile(judged, names))
    return said


def _evidence(judged: Judged, pair: Pair) -> str:
    """How the better one did against the other, with the interval and the test."""
    a, b = pair.ordered
    turned = a != pair.a
    if pair.wins is not None and pair.wins[1] == sum(pair.wins):
        return f"{a} and {b} came to the same value in each of the {sum(pair.wins)} repeats."
    correction = f" after correction for {len(judged.pairs)} pairs" if len(judged.pairs) > 1 else ""
    test = f"p {_p_text(pair.p_adjusted)}{correction}"
    return f"{_subject(judged, pair, a, b, turned)}{_size(judged, pair.difference, turned)}; {test}."


def _subject(judged: Judged, pair: Pair, a: str, b: str, turned: bool) -> str:
    where = f"On the {'test split' if judged.split == 'test' else judged.split}"
    if pair.wins is None:
        share = pair.probability.value or 0.0
        return f"{where} a pick of {a} beats one of {b} with probability {1 - share if turned else share:.2f}"
    won, drawn, lost = pair.wins[::-1] if turned else pair.wins
    draws = f" and as good in {drawn}" if drawn else ""
    return f"{where} the pick of {a} was better than that of {b} in {won} of {won + drawn + lost} repeats{draws}"


def _size(judged: Judged, difference: Estimate, turned: bool) -> str:
    sign = -1 if turned else 1
    value, low, high = (None if number is None else sign * number for number in (difference.value, difference.low, difference.high))
    low, high = (high, low) if turned else (low, high)
    if value is None:
        return ""
    metric = judged.objective.metric
    amount = (
        f"by {number_text(value)} {metric} in the median" if value > 0 else f"with a median difference of {number_text(value)} {metric}"
    )
    interval = (
        "" if low is None or high is None else f" ({_percent(difference.confidence)} interval {number_text(low)} to {number_text(high)})"
    )
    return f", {amount}{interval}"


def _needed(judged: Judged, pair: Pair) -> str:
    if not judged.is_paired:
        possible = [statistics.smallest_p(len(s.results), len(t.results)) for s, t in combinations(judged.standings, 2)]
        if min(possible) * len(judged.pairs) > LEVEL:
            return "So few studies can lead to no verdict: run more of each."
        return ""
    if pair.p_adjusted <= LEVEL:
        far, often = (pair.a, pair.b) if pair.lean > 0 else (pair.b, pair.a)
        return f"The test speaks for {far}, which was better by more, while {often} was better at least as often: neither is called better."
    least = statistics.repeats_for_any_verdict(len(judged.standings))
    if judged.repeats < least:
        return f"So few can lead to no verdict: at least {least} repeats are needed."
    outlook = pair.outlook
    if outlook is None or (outlook.repeats is None and outlook.fewest is None):
        return f"If there is a difference it is so small that {statistics.MOST_REPEATS:,} repeats would not find it."
    ends = f"{_count(outlook.fewest)} and {_count(outlook.most)}"
    about = f"about {outlook.repeats}" if outlook.repeats is not None else f"more than {statistics.MOST_REPEATS:,}"
    return f"If further repeats are like these, {about} would be needed to tell (anything between {ends} is possible)."


def _meanwhile(judged: Judged, names: Sequence[str]) -> str:
    """What to do until then: the cheapest one, where that is any cheaper."""
    costs = sorted(((standing.seconds, standing.name) for standing in judged.standings if standing.name in names), key=lambda cost: cost[0])
    (least, cheapest), (most, dearest) = costs[0], costs[-1]
    if least > 0.9 * most or most < _NO_COST:
        return "Until then any of them will do: they cost about the same."
    return (
        f"Until then use {cheapest}, which costs least: {number_text(least, 3)} s a study (training and asking) against "
        f"{number_text(most, 3)} s of {dearest}."
    )


def _count(repeats: int | None) -> str:
    return f"more than {statistics.MOST_REPEATS:,}" if repeats is None else str(repeats)


def _percent(confidence: float) -> str:
    """``95 %``; intervals that lie between two values of so few repeats hold more or less than that, and say so."""
    return f"{math.floor(1000 * confidence) / 10:g} %"


def _p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
