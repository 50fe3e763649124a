"""What can be said of a few repeats: exact tests, intervals that hold their level at small numbers, and how many repeats it would take.

Every value is "more is better" here. Values of repeats that found nothing are ``-inf``: worse than every other, and only order counts.
``differences`` are those of a pair of arms, one for each repeat (A - B); ``level`` is a probability of error, such as 0.05.

Nothing is resampled: the same values give the same numbers every time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
POWER = 0.8
MOST_REPEATS = 1000  # that anybody is told to make
_EXACT_UNPAIRED = 60  # values of both arms together up to which the rank-sum test is enumerated
_EFFICIENCY = 3 / math.pi  # of the signed-rank test beside the t-test, for normal differences

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the interval that holds the truth with probability ``confidence`` or more; None where nothing can be said."""

    value: float | None
    low: float | None
    high: float | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """Repeats that would tell two arms apart with a power of 80 %, were the difference as it looks now.

    ``fewest`` and ``most`` are the same for the ends of an 80 % interval of the effect; None: more than ``MOST_REPEATS``, or never.
    """

    repeats: int | None
    fewest: int | None
    most: int | None


# -- tests --------------------------------------------------------------------------------------------------------------


def signed_rank_p(differences: Sequence[float]) -> float:
    """The two-sided p-value that A and B are interchangeable in each repeat.

    Source: Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1 (1945), with the zeros of Pratt, JASA 54 (1959):
    they are ranked with the others and then left out. Exact for every n, with ties: of all 2^k ways to give the ranks of the k differences
    that are not zero a sign, the share whose sum of positive ranks is as far from the middle as the one seen.
    """
    ranks = _doubled_midranks(np.abs(np.asarray(differences, dtype=np.float64)))
    signs = np.sign(np.asarray(differences, dtype=np.float64))
    kept = ranks[signs != 0]
    total, positive = int(kept.sum()), int(ranks[signs > 0].sum())
    chances = np.ones(1)  # of each sum of positive ranks
    for rank in kept.tolist():
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    return min(1.0, 2 * float(chances[: min(positive, total - positive) + 1].sum()))


def rank_lean(differences: Sequence[float]) -> float:
    """For whom ``signed_rank_p`` speaks: how far the sum of positive ranks is above the middle, as a share of the way; negative for B."""
    values = np.asarray(differences, dtype=np.float64)
    signed = _doubled_midranks(np.abs(values)) * np.sign(values)
    return float(signed.sum() / max(1.0, np.abs(signed).sum()))


def rank_sum_p(a: Sequence[float], b: Sequence[float]) -> float:
    """The two-sided p-value that the values of A and of B are draws of the same, for repeats that are no pairs.

    Source: Mann and Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other", Annals of
    Mathematical Statistics 18 (1947). Exact, with ties, up to 60 values: of all ways to choose A's among them, the share whose sum of ranks
    is as far from its mean as the one seen. Beyond that by the normal approximation, corrected for ties.
    """
    m, n = len(a), len(b)
    ranks = _doubled_midranks(np.asarray([*a, *b], dtype=np.float64))
    away = abs(int(ranks[:m].sum()) - m * (m + n + 1))
    if m + n > _EXACT_UNPAIRED:
        ties = float(sum(count**3 - count for count in np.unique(ranks, return_counts=True)[1].tolist()))
        variance = m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1)))
        return math.erfc(max(0.0, away / 2 - 0.5) / math.sqrt(2 * variance)) if variance > 0 else 1.0
    ways = np.zeros((m + 1, int(ranks.sum()) + 1))  # [chosen, sum of their ranks]
    ways[0, 0] = 1
    for rank in ranks.tolist():
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    sums = np.arange(ways.shape[1])
    return min(1.0, float(ways[m][np.abs(sums - m * (m + n + 1)) >= away].sum() / ways[m].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, adjusted so that the chance of any false alarm among them is at most the level.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6 (1979).
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for position, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def repeats_for_any_verdict(arms: int, level: float = LEVEL) -> int:
    """The fewest paired repeats with which a test can succeed among all pairs of these arms: pairs * 2^(1 - n) <= level."""
    return math.ceil(1 + math.log2(max(1, math.comb(arms, 2)) / level) - 1e-12)


def smallest_p(repeats: int, others: int | None = None) -> float:
    """The smallest p-value that so many paired repeats can reach; with ``others``, so many unpaired values against those."""
    return min(1.0, 2.0 ** (1 - repeats)) if others is None else min(1.0, 2 / math.comb(repeats + others, others))


def _doubled_midranks(values: Floats) -> NDArray[np.int64]:
    """Twice the rank of each value, equal ones sharing their mean rank: whole numbers."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    doubled: NDArray[np.int64] = (2 * ends - counts + 1)[place]
    return doubled


# -- effects ------------------------------------------------------------------------------------------------------------


def wins(differences: Sequence[float]) -> tuple[int, int, int]:
    """In how many repeats A was better, as good, and worse."""
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return better, len(differences) - better - worse, worse


def probability_better(differences: Sequence[float], level: float = LEVEL) -> Estimate:
    """The probability that A beats B in a repeat, a draw counting half: P(A > B) + P(A = B) / 2.

    Source: Clopper and Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial", Biometrika 26 (1934).
    The lower end is theirs for the wins alone, the upper end theirs for all that is no loss: it holds its level whatever the share of
    draws.
    """
    from scipy.special import betaincinv

    won, drawn, lost = wins(differences)
    n = len(differences)
    low = float(betaincinv(won, n - won + 1, level / 2)) if won else 0.0
    high = 1 - float(betaincinv(lost, n - lost + 1, level / 2)) if lost else 1.0
    return Estimate((won + drawn / 2) / n, low, high, 1 - level)


def difference(differences: Sequence[float], level: float = LEVEL) -> Estimate:
    """The median difference, and an interval for it between two of the differences themselves: the k-th from either end.

    That holds the median with a probability of 1 - 2 P(Binomial(n, 1/2) < k) or more, whatever the distribution, also a skewed or tied one
    (David and Nagaraja, "Order Statistics", 2003, section 7.1). k is the largest that keeps the level; where not even the smallest and
    the largest do (5 repeats and fewer), they are given with the confidence that they have.
    """
    ordered = sorted(differences)
    k, confidence = _place_in_order(len(ordered), level)
    return Estimate(_finite(float(np.median(ordered))), _finite(ordered[k]), _finite(ordered[-1 - k]), confidence)


def median(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """The median of values and its interval, as for ``difference``."""
    return difference(values, level)


@cache
def _place_in_order(n: int, level: float) -> tuple[int, float]:
    """How many values to leave out at either end, and the confidence of the interval between what is left."""
    tail, k = 2.0**-n, 0
    while k + 1 <= (n - 1) // 2 and 2 * (longer := tail + math.comb(n, k + 1) * 2.0**-n) <= level:
        tail, k = longer, k + 1
    return k, max(0.0, 1 - 2 * tail)


def probability_better_unpaired(a: Sequence[float], b: Sequence[float], level: float = LEVEL) -> Estimate:
    """``probability_better`` for repeats that are no pairs: over all pairs of a value of A and a value of B.

    Two intervals, of which the lower low and the higher high end are given, since either fails where the other holds: Newcombe's
    method 5 ("Confidence intervals for an effect size measure based on the Mann-Whitney statistic", Statistics in Medicine 25 (2006),
    part 2), which lacks when one arm scatters much more than the other, and that of Brunner and Munzel ("The Nonparametric Behrens-Fisher
    Problem", Biometrical Journal 42 (2000)) on the logit scale, which lacks when the arms hardly overlap.
    """
    better = (np.sign(np.asarray(a)[:, None] - np.asarray(b)[None, :]) + 1) / 2  # [len(a), len(b)]
    value = float(better.mean())
    ends = [*_newcombe(value, len(a), len(b), level), *_brunner_munzel(better, level)]
    return Estimate(value, min(ends), max(ends), 1 - level)


def _newcombe(value: float, m: int, n: int, level: float) -> tuple[float, float]:
    """theta with |value - theta| <= z sqrt(theta (1 - theta) (1 + N ((1 - theta)/(2 - theta) + theta/(1 + theta))) / (m n)),
    where N = (m + n)/2 - 1."""
    from scipy.special import ndtri

    z, extra = float(ndtri(1 - level / 2)), (m + n) / 2 - 1

    def excess(theta: float) -> float:
        variance = theta * (1 - theta) / (m * n) * (1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return abs(value - theta) - z * math.sqrt(variance)

    return _edge(excess, value, 0.0), _edge(excess, value, 1.0)


def _edge(excess: object, inside: float, outside: float) -> float:
    """Where ``excess`` turns from at most 0 (at ``inside``) to more, on the way to ``outside``."""
    assert callable(excess)
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if excess(middle) <= 0 else (inside, middle)
    return inside


def _brunner_munzel(better: Floats, level: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    m, n = better.shape
    value = float(better.mean())
    if min(m, n) < 2 or value in (0.0, 1.0):
        return value, value
    of_a, of_b = float(better.mean(axis=1).var(ddof=1)) / m, float(better.mean(axis=0).var(ddof=1)) / n
    variance = of_a + of_b
    if variance == 0:
        return value, value
    freedom = max(1.0, variance**2 / (of_a**2 / (m - 1) + of_b**2 / (n - 1)))
    logit = math.log(value / (1 - value))
    reach = float(stdtrit(freedom, 1 - level / 2)) * math.sqrt(variance) / (value * (1 - value))
    return _expit(logit - reach), _expit(logit + reach)


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def difference_unpaired(a: Sequence[float], b: Sequence[float], level: float = LEVEL) -> Estimate:
    """By how much A's values are shifted against B's: the median of all differences, and the interval that inverts the rank-sum test.

    Source: Hodges and Lehmann, "Estimates of Location Based on Rank Tests", Annals of Mathematical Statistics 34 (1963). Exact where the
    arms differ by a shift; where one scatters much more than the other it is a guide.
    """
    all_differences = sorted(x - y if x != y else 0.0 for x, y in itertools.product(a, b))
    k, confidence = _place_in_differences(len(a), len(b), level)
    return Estimate(_finite(float(np.median(all_differences))), _finite(all_differences[k]), _finite(all_differences[-1 - k]), confidence)


@cache
def _place_in_differences(m: int, n: int, level: float) -> tuple[int, float]:
    """As ``_place_in_order``, by the distribution of the Mann-Whitney statistic without ties."""
    ways = np.zeros((m + 1, m * n + 1))
    ways[0, 0] = 1
    for position in range(m + n):  # of the values in order: the one at this place beats ``position - chosen`` of the others
        for chosen in range(min(m, position + 1), 0, -1):
            beaten = position - (chosen - 1)
            if beaten <= n:
                ways[chosen, beaten:] += ways[chosen - 1, : ways.shape[1] - beaten]
    tails = np.cumsum(ways[m]) / math.comb(m + n, m)
    k = max(0, int(np.searchsorted(tails, level / 2, side="right")) - 1)
    return k, max(0.0, 1 - 2 * float(tails[k]))


def mean_ranks(values: Floats) -> Floats:
    """The mean over repeats of each arm's rank, 1 for the best, equals sharing their mean rank. ``values`` [arms, repeats] -> [arms]."""
    ranks = np.stack([_doubled_midranks(-column) / 2 for column in values.T])
    means: Floats = ranks.mean(axis=0)
    return means


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# -- power --------------------------------------------------------------------------------------------------------------


def power(effect: float, repeats: int, level: float) -> float:
    """The probability that so many repeats tell A from B, whose differences are normal with a mean of ``effect`` standard deviations.

    The signed-rank test is counted as a t-test of 3/pi times as many repeats (its efficiency) at the level that it can really have. Where
    only differences of one sign succeed, that is their probability.
    """
    from scipy.special import nctdtr, ndtr, stdtrit

    attained = _attained(repeats, level)
    if attained <= 0:
        return 0.0
    if attained == smallest_p(repeats):
        return float(ndtr(effect) ** repeats + ndtr(-effect) ** repeats)
    freedom, shift = repeats - 1, abs(effect) * math.sqrt(repeats * _EFFICIENCY)
    critical = float(stdtrit(freedom, 1 - attained / 2))
    found = 1 - float(nctdtr(freedom, shift, critical))
    return found if math.isfinite(found) else 1.0


@cache
def _attained(repeats: int, level: float) -> float:
    """The largest level at most this that the signed-rank test has without ties; 0 where there is none."""
    if repeats > 50:
        return level
    counts = np.ones(1)
    for rank in range(1, repeats + 1):
        longer = np.zeros(len(counts) + rank)
        longer[: len(counts)] += counts / 2
        longer[rank:] += counts / 2
        counts = longer
    reachable = 2 * np.cumsum(counts)
    return float(max(reachable[reachable <= level * (1 + 1e-12)], default=0.0))


def repeats_for(effect: float, level: float) -> int | None:
    """The fewest repeats that find this effect with a probability of 80 %; None where not even ``MOST_REPEATS`` do."""
    if power(effect, MOST_REPEATS, level) < POWER:
        return None
    low, high = 1, MOST_REPEATS  # low does not do, high does
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle, level) >= POWER else (middle, high)
    return high


def outlook(differences: Sequence[float], pairs: int, level: float = LEVEL) -> Outlook:
    """How many repeats would tell these two arms apart, each of ``pairs`` tests taken at level / pairs.

    The effect is the mean difference in standard deviations, corrected for its bias at small n (Hedges, Journal of Educational Statistics 6
    (1981)); its 80 % interval inverts the noncentral t distribution. Where all differences are equal the fewest possible will do.
    """
    from scipy.special import nctdtrinc

    finite = np.asarray([d for d in differences if math.isfinite(d)])
    if len(finite) < 2 or not finite.any():
        return Outlook(None, None, None)
    deviation = float(finite.std(ddof=1))
    if deviation == 0:
        fewest = repeats_for_any_verdict(2, level / pairs)
        return Outlook(fewest, fewest, fewest)
    freedom, root = len(finite) - 1, math.sqrt(len(finite))
    statistic = abs(float(finite.mean())) / deviation * root
    corrected = statistic / root * (1 - 3 / (4 * freedom - 1))
    low, high = (float(nctdtrinc(freedom, share, statistic)) / root for share in (0.9, 0.1))
    ends = [repeats_for(max(0.0, end), level / pairs) if math.isfinite(end) else None for end in (high, low)]
    return Outlook(repeats_for(corrected, level / pairs), ends[0], ends[1])
