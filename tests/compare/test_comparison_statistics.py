"""The laws of the comparison's statistics: tests raise no more false alarms than they say, intervals hold, power is what is promised."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from automl.compare import statistics
from automl.compare.statistics import LEVEL, Estimate

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def _digits(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Test accuracies of picks on 360 samples: a good region that is nearly always found, and noise of training. Many are equal."""
    level = np.where(random.random(shape) < 0.15, 0.955, 0.975)
    return np.round(360 * np.clip(level + 0.006 * random.normal(size=shape), 0, 1)) / 360


def _iris(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Accuracies on 30 samples: four or five different values."""
    return random.binomial(30, 0.95, size=shape) / 30


def _losses(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Losses, turned so that more is better: skewed, now and then far off."""
    return -random.lognormal(-2, 0.8, size=shape)


def _failing(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """One study in ten finds nothing."""
    return np.where(random.random(shape) < 0.1, -np.inf, random.normal(size=shape))


SHAPES: dict[str, Draw] = {
    "digits": _digits,
    "iris": _iris,
    "losses": _losses,
    "failing": _failing,
    "normal": lambda r, s: r.normal(size=s),
}


def differences_of(values: Floats) -> Floats:
    """``values`` [arms, ...]: the first arm's minus the second's, equal infinities being no difference."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(values[0] - values[1], nan=0.0, posinf=np.inf, neginf=-np.inf)


def most_alarms(comparisons: int) -> int:
    """The number of false alarms that is exceeded once in 10,000 times where each has the nominal level."""
    return int(stats.binom.isf(1e-4, comparisons, LEVEL))


# -- false alarms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("repeats", [6, 10])
def test_a_strategy_against_itself_is_called_better_in_five_per_cent_at_most(shape: str, repeats: int) -> None:
    random, comparisons = np.random.default_rng(7), 1000
    common = random.normal(scale=0.002, size=(comparisons, repeats))  # what a seed does to both
    differences = differences_of(SHAPES[shape](random, (2, comparisons, repeats)) + common)
    alarms = sum(statistics.signed_rank_p(row) <= LEVEL for row in differences.tolist())
    assert alarms <= most_alarms(comparisons)


def test_the_level_is_used_and_not_only_kept() -> None:
    """Without ties the share of false alarms is that of the largest p-value below 5 % which ten repeats can reach."""
    random, comparisons = np.random.default_rng(8), 2000
    differences = random.normal(size=(comparisons, 10))
    alarms = sum(statistics.signed_rank_p(row) <= LEVEL for row in differences.tolist())
    attained = 2 * 25 / 1024  # 25 of the 1,024 ways to give signs have a sum of positive ranks of 8 or less
    assert abs(alarms - comparisons * attained) < 4 * math.sqrt(comparisons * attained)


@pytest.mark.parametrize("shape", SHAPES)
def test_three_strategies_that_are_one_are_told_apart_in_five_per_cent_at_most(shape: str) -> None:
    random, comparisons = np.random.default_rng(9), 1000
    values = SHAPES[shape](random, (3, comparisons, 8))
    alarms = 0
    for comparison in range(comparisons):
        pairs = [differences_of(values[[a, b], comparison]).tolist() for a, b in itertools.combinations(range(3), 2)]
        alarms += min(statistics.holm([statistics.signed_rank_p(pair) for pair in pairs])) <= LEVEL
    assert alarms <= most_alarms(comparisons)


@pytest.mark.parametrize("shape", SHAPES)
def test_unpaired_studies_of_one_strategy_are_told_apart_in_five_per_cent_at_most(shape: str) -> None:
    random, comparisons = np.random.default_rng(10), 1000
    a, b = SHAPES[shape](random, (comparisons, 5)), SHAPES[shape](random, (comparisons, 7))
    alarms = sum(statistics.rank_sum_p(x, y) <= LEVEL for x, y in zip(a.tolist(), b.tolist(), strict=True))
    assert alarms <= most_alarms(comparisons)


# -- the tests, against others ------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_the_signed_rank_test_is_that_of_all_signs(differences: list[int]) -> None:
    """By its definition: of all ways to give the ranks of the differences a sign, the share at least as far from the middle."""
    ranks = stats.rankdata(np.abs(differences))
    kept = [rank for rank, difference in zip(ranks, differences, strict=True) if difference]
    seen = abs(sum(math.copysign(rank, d) for rank, d in zip(ranks, differences, strict=True) if d))
    ways = [abs(sum(sign * rank for sign, rank in zip(signs, kept, strict=True))) for signs in itertools.product((-1, 1), repeat=len(kept))]
    assert statistics.signed_rank_p(differences) == pytest.approx(sum(way >= seen - 1e-9 for way in ways) / len(ways))


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12, unique_by=abs).filter(lambda values: 0 not in values))
def test_without_ties_the_signed_rank_test_is_scipy_s(differences: list[float]) -> None:
    assert statistics.signed_rank_p(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_the_rank_sum_test_is_that_of_all_choices(a: list[int], b: list[int]) -> None:
    ranks = stats.rankdata([*a, *b])
    middle = len(a) * (len(ranks) + 1) / 2
    sums = [abs(sum(chosen) - middle) for chosen in itertools.combinations(ranks, len(a))]
    seen = abs(sum(ranks[: len(a)]) - middle)
    assert statistics.rank_sum_p(a, b) == pytest.approx(sum(each >= seen - 1e-9 for each in sums) / len(sums))


def test_of_many_unpaired_values_the_rank_sum_test_is_scipy_s_approximation() -> None:
    random = np.random.default_rng(3)
    a, b = random.integers(0, 9, 40).tolist(), random.integers(1, 10, 45).tolist()
    expected = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=True).pvalue
    assert statistics.rank_sum_p(a, b) == pytest.approx(expected, rel=1e-6)
    assert statistics.rank_sum_p([1.0] * 40, [1.0] * 40) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_keeps_the_order_and_never_makes_a_p_value_smaller(p_values: list[float]) -> None:
    adjusted = statistics.holm(p_values)
    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))
    assert min(adjusted) == pytest.approx(min(1.0, len(p_values) * min(p_values)))
    for (p, after), (q, later) in itertools.product(zip(p_values, adjusted, strict=True), repeat=2):
        assert p > q or after <= later


@pytest.mark.parametrize(("arms", "repeats"), [(2, 6), (3, 7), (4, 8), (5, 9), (7, 10)])
def test_the_fewest_repeats_for_a_verdict_are_those_with_which_the_clearest_result_is_one(arms: int, repeats: int) -> None:
    """Five paired repeats never reach 5 %, so two arms need six."""
    assert statistics.repeats_for_any_verdict(arms) == repeats
    pairs = math.comb(arms, 2)
    assert pairs * statistics.signed_rank_p([1.0] * repeats) <= LEVEL < pairs * statistics.signed_rank_p([1.0] * (repeats - 1))


def test_where_nothing_differs_nothing_is_found() -> None:
    assert statistics.signed_rank_p([0.0] * 7) == 1.0
    assert statistics.probability_better([0.0] * 7) == Estimate(0.5, 0.0, 1.0, 0.95)
    assert statistics.outlook([0.0] * 7, 3) == statistics.Outlook(None, None, None)


# -- intervals ----------------------------------------------------------------------------------------------------------


def covered(estimates: list[Estimate], truth: float) -> float:
    """The share of intervals that hold the truth; None is beyond everything."""
    near = 1e-9
    held = [(e.low is None or e.low <= truth + near) and (e.high is None or truth - near <= e.high) for e in estimates]
    return sum(held) / len(held)


def least(confidence: float, intervals: int) -> float:
    """The coverage below which an interval of this confidence comes once in 10,000 times."""
    return float(stats.binom.ppf(1e-4, intervals, confidence)) / intervals


@pytest.mark.parametrize("repeats", [5, 7, 10, 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_of_the_difference_holds_the_median(shape: str, repeats: int) -> None:
    """Skewed, tied and failing values as well, at the confidence that it gives itself: 93.75 % of 5 repeats, else 95 % or more."""
    random, intervals = np.random.default_rng(11), 1500
    shift = 0.01 * (shape != "iris")
    draws = SHAPES[shape](random, (2, intervals * repeats)) + np.array([[shift], [0.0]])
    many = SHAPES[shape](random, (2, 200_000)) + np.array([[shift], [0.0]])
    truth = float(np.median(differences_of(many)))
    estimates = [statistics.difference(row) for row in differences_of(draws).reshape(intervals, repeats).tolist()]
    confidence = estimates[0].confidence
    assert confidence >= (0.9375 if repeats == 5 else 0.95)
    slack = 0.0 if math.isclose(truth, round(truth * 360) / 360) else 0.004  # the truth is known from draws alone
    assert covered(estimates, truth) >= least(confidence, intervals) - slack


@pytest.mark.parametrize("repeats", [5, 7, 10, 20])
@pytest.mark.parametrize(("better", "worse"), [(0.5, 0.5), (0.75, 0.25), (0.3, 0.2), (0.05, 0.0), (1.0, 0.0)])
def test_the_interval_of_the_probability_holds_it_whatever_the_share_of_draws(repeats: int, better: float, worse: float) -> None:
    random, intervals = np.random.default_rng(12), 1500
    signs = random.choice([1.0, 0.0, -1.0], p=[better, 1 - better - worse, worse], size=(intervals, repeats))
    estimates = [statistics.probability_better(row) for row in signs.tolist()]
    assert covered(estimates, better + (1 - better - worse) / 2) >= least(0.95, intervals)


@pytest.mark.parametrize(("m", "n"), [(5, 5), (7, 7), (10, 10), (5, 10)])
@pytest.mark.parametrize("shift", [0.0, 0.7, 2.5])
def test_the_unpaired_intervals_hold(m: int, n: int, shift: float) -> None:
    random, intervals = np.random.default_rng(13), 600
    a, b = random.normal(shift, size=(intervals, m)), random.normal(size=(intervals, n))
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    probabilities = [statistics.probability_better_unpaired(x, y) for x, y in pairs]
    assert covered(probabilities, float(stats.norm.cdf(shift / math.sqrt(2)))) >= least(0.95, intervals)
    differences = [statistics.difference_unpaired(x, y) for x, y in pairs]
    assert covered(differences, shift) >= least(differences[0].confidence, intervals)


def test_the_unpaired_interval_of_the_probability_holds_where_one_arm_scatters_five_times_as_much() -> None:
    random, intervals = np.random.default_rng(14), 600
    a, b = random.normal(1.5, 5, size=(intervals, 7)), random.normal(size=(intervals, 7))
    estimates = [statistics.probability_better_unpaired(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert covered(estimates, float(stats.norm.cdf(1.5 / math.sqrt(26)))) >= least(0.95, intervals)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=15))
def test_turning_the_arms_around_turns_every_answer_around(differences: list[float]) -> None:
    turned = [-value for value in differences]
    assert statistics.signed_rank_p(differences) == statistics.signed_rank_p(turned)
    for function in (statistics.difference, statistics.probability_better):
        here, there = function(differences), function(turned)
        centre = 0.0 if function is statistics.difference else 1.0
        assert (here.value, here.low, here.high) == pytest.approx(tuple(centre - x for x in (there.value, there.high, there.low)))  # type: ignore[operator]


def test_repeats_that_found_nothing_count_as_worse_than_all_others() -> None:
    """Three of eight studies of B failed: only the order of the values counts, so nothing becomes infinite but an end of the interval."""
    found = statistics.difference([math.inf] * 3 + [0.1, 0.2, 0.3, 0.4, 0.5])
    assert (found.value, found.low, found.high) == (pytest.approx(0.45), 0.1, None)
    assert statistics.signed_rank_p([math.inf] * 3 + [0.1, 0.2, 0.3, 0.4, 0.5]) == 2 / 2**8


# -- power --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("effect", "level"), [(0.5, LEVEL), (1.0, LEVEL), (1.0, LEVEL / 3), (2.0, LEVEL / 3)])
def test_a_true_difference_is_found_with_the_power_promised(effect: float, level: float) -> None:
    """With the repeats that are called for, four comparisons in five find a difference of this size; with fewer than those, fewer do."""
    repeats = statistics.repeats_for(effect, level)
    assert repeats is not None
    random, comparisons = np.random.default_rng(15), 800
    found = [statistics.signed_rank_p(row) <= level for row in random.normal(effect, 1, size=(comparisons, repeats)).tolist()]
    share = sum(found) / comparisons
    assert share == pytest.approx(statistics.power(effect, repeats, level), abs=0.05)
    assert share >= statistics.POWER - 0.04
    assert statistics.power(effect, repeats - 1, level) < statistics.POWER


def test_the_range_of_repeats_needed_holds_the_truth_in_four_of_five_comparisons() -> None:
    """It comes from an 80 % interval of the effect. A number without end is right where the truth is beyond what is counted."""
    random, comparisons, effect = np.random.default_rng(16), 150, 0.9
    truth = statistics.repeats_for(effect, LEVEL / 3)
    assert truth is not None
    outlooks = [statistics.outlook(row, 3) for row in random.normal(effect, 1, size=(comparisons, 7)).tolist()]
    held = [(each.fewest or math.inf) <= truth <= (math.inf if each.most is None else each.most) for each in outlooks]
    assert sum(held) >= stats.binom.ppf(1e-3, comparisons, 0.8)


def test_mean_ranks_give_equals_their_mean() -> None:
    ranks = statistics.mean_ranks(np.array([[0.9, 0.8], [0.9, 0.9], [0.5, -math.inf]]))
    assert ranks.tolist() == [1.75, 1.25, 3.0]
