"""What a search's winner is really worth: the best trials are trained again on fresh seeds.

The best of many noisy values is too good on average, so it is no claim. Once the search is over, the ``K`` best trials are trained again
to pick among them by the mean (``pick``); then the winner and the baseline are trained on further seeds, and only these, measured on
the test split, say what the winner is worth and by how much it beats the baseline (``claim``). Neither these seeds nor these data were
used to choose. Training code of a person's own may say nothing of test data: then a claim rests on fresh seeds alone, on the validation
data that served to choose, and says so.

Source: selection bias of the best of many, Cawley & Talbot, JMLR 11 (2010); re-evaluating the best few, Bouthillier et al., "Accounting
for variance in machine learning benchmarks", arXiv:2103.03098; intervals for differences of means, Welch, Biometrika 34 (1947).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from automl.clock import now
from automl.study import LEADERS, Study
from automl.trials import Confirmation, Confirming, Purpose, Trial

SHARE = 0.15  # of the study's budget, at most, where nothing else was asked for
LEVEL = 0.95
VALIDATION = "validation split, which also served to choose (the code says nothing of test data)"

_LEAST_PICKS, _MOST_PICKS = 2, 5
_LEAST_CLAIMS, _MOST_CLAIMS = 3, 10
_CLEARLY_WORSE = 0.95  # a finalist is dropped when it is worse than the first one with this probability


# -- how much is trained again ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Design:
    """Of the ``finalists`` best trials each is trained at most ``picks`` times to pick the winner, which is then trained ``claims``
    times, like the baseline."""

    finalists: int
    picks: int
    claims: int


def design_of(study: Study, confirm: int | None, trials: int) -> Design | None:
    """What ``--confirm`` means for a study whose budget is so many trials; None where nothing is to be confirmed.

    ``confirm``: so many finalists, whatever that costs; None for what ``SHARE`` of the budget allows, 0 for none.
    """
    complete = study.counts.get("complete", 0)
    claimants = 1 if study.spec.baseline is None else 2
    if confirm == 0 or complete == 0:
        return None
    affordable = int(SHARE * trials)
    if confirm is not None:
        finalists = min(confirm, complete)
        affordable = max(affordable, _least(finalists, claimants))
    else:
        affordable_finalists = (count for count in range(min(LEADERS, complete), 0, -1) if _least(count, claimants) <= affordable)
        finalists = next(affordable_finalists, 0)
    if finalists == 0:
        return None
    spare = affordable - claimants * _LEAST_CLAIMS
    picks = 0 if finalists == 1 else min(_MOST_PICKS, spare // finalists)
    return Design(finalists, picks, min(_MOST_CLAIMS, (affordable - finalists * picks) // claimants))


def _least(finalists: int, claimants: int) -> int:
    """Trainings that this many finalists need at least."""
    return claimants * _LEAST_CLAIMS + (finalists * _LEAST_PICKS if finalists > 1 else 0)


def next_confirmations(study: Study, confirm: int | None, trials: int) -> list[Confirming]:
    """Which trials are trained again next, in a study whose search is over. Empty while some are at it, and when there is enough.

    A function of the study's events: the same command goes on from where it was.
    """
    design = None if study.is_confirming else design_of(study, confirm, trials)
    if design is None:
        return []
    finalists = study.ranked()[: design.finalists]
    due = _picks_due(study, finalists, design) or _claims_due(study, design)
    counts: dict[int, int] = {}
    events = []
    for number, purpose in due:
        place = len(study.confirmations.get(number, ())) + counts.get(number, 0) + 1
        counts[number] = counts.get(number, 0) + 1
        events.append(Confirming(study.key(number, study.replicates * place), now(), purpose))
    return events


def _picks_due(study: Study, finalists: Sequence[Trial], design: Design) -> list[tuple[int, Purpose]]:
    """The next round: the least for each finalist at first, then one more of each that may still be the best."""
    if len(finalists) < 2:
        return []
    losses = {trial.number: _losses(study, trial.number, "pick") for trial in finalists}
    lacking = {number: _LEAST_PICKS - len(values) for number, values in losses.items() if len(values) < _LEAST_PICKS}
    if lacking:
        return [(number, "pick") for number, count in lacking.items() for _ in range(count)]
    undecided = _undecided(losses)
    if len(undecided) < 2:
        return []
    fewest = min(len(losses[number]) for number in undecided)
    return [(number, "pick") for number in undecided if len(losses[number]) == fewest] if fewest < design.picks else []


def _undecided(losses: dict[int, list[float]]) -> list[int]:
    """The finalists that are not clearly worse than the first one, by a t-test with the variance of all of them together."""
    means = {number: sum(values) / len(values) for number, values in losses.items()}
    first = min(means, key=lambda number: (means[number], number))
    finite = {number: values for number, values in losses.items() if math.isfinite(means[number])}
    if first not in finite:
        return [first]
    freedom = sum(len(values) - 1 for values in finite.values())
    variance = sum((value - means[number]) ** 2 for number, values in finite.items() for value in values) / freedom
    needed = _t(_CLEARLY_WORSE, freedom)

    def margin(number: int) -> float:
        return needed * math.sqrt(variance * (1 / len(losses[first]) + 1 / len(losses[number])))

    return [number for number in finite if number == first or means[number] - means[first] <= margin(number)]


def _claims_due(study: Study, design: Design) -> list[tuple[int, Purpose]]:
    """All at once. How many there are is fixed before the first one: to stop as soon as they lie close together would keep the intervals
    that are too narrow by chance."""
    winner, baseline = study.winner, study.baseline
    assert winner is not None
    claimants = [winner.number]
    if baseline is not None and baseline.state == "complete" and baseline.number != winner.number:
        claimants.append(baseline.number)
    have = {number: len(_claims(study, number)) for number in claimants}
    return [(number, "claim") for place in range(design.claims) for number in claimants if place >= have[number]]


# -- what may be claimed ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over fresh seeds with its 95 % interval (None from a single seed). ``failed``: trainings that came to no end."""

    value: float
    interval: tuple[float, float] | None
    replicates: int
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the winner is worth, on seeds and data that served no choice.

    ``gain`` is how much better it is than the baseline, in the metric's unit; None where the winner is the baseline, or there is none.
    ``finalists``: among so many the winner was picked on fresh seeds (1: it was best in the search).
    """

    metric: str
    split: str
    winner: Estimate
    baseline: Estimate | None
    gain: Estimate | None
    finalists: int


def confirmed(study: Study) -> Confirmed | None:
    """What the confirmations so far say of the winner; None without any."""
    winner, baseline, metric = study.winner, study.baseline, study.objective.metric
    own = _claims(study, winner.number) if winner is not None else []
    is_tested = any(metric in test for one in own for test in one.tests)
    values = _tested(study, own) if is_tested else _validated(study, own)
    if winner is None or not values:
        return None
    others = _claims(study, baseline.number) if baseline is not None and baseline.number != winner.number else []
    base = _tested(study, others) if is_tested else _validated(study, others)
    gain = _difference(values, base, study.objective.maximize) if base else None
    return Confirmed(
        metric=metric,
        split=next(one.split for one in own if one.tests) if is_tested else VALIDATION,
        winner=_mean(values, len(own) - len(values)),
        baseline=_mean(base, len(others) - len(base)) if base else None,
        gain=gain,
        finalists=max(1, sum(bool(_losses(study, number, "pick")) for number in study.confirmations)),
    )


def claimed_values(study: Study, number: int) -> list[float]:
    """The objective on the test split of each training on a fresh seed that says what this trial is worth."""
    return _tested(study, _claims(study, number))


def _claims(study: Study, number: int) -> list[Confirmation]:
    return [one for one in study.confirmations.get(number, ()) if one.purpose == "claim" and one.trial.has_ended]


def _losses(study: Study, number: int, purpose: Purpose) -> list[float]:
    """The validation values of a trial's confirmations as losses; infinite where one came to no end."""
    ended = [one.trial for one in study.confirmations.get(number, ()) if one.purpose == purpose and one.trial.has_ended]
    return [study.objective.loss(one.objective) if one.state == "complete" and one.objective is not None else math.inf for one in ended]


def _tested(study: Study, claims: Sequence[Confirmation]) -> list[float]:
    """The objective on the test split, of each claim that came to its end: over its replicates or folds the mean."""
    metric = study.objective.metric
    found = [[test[metric] for test in one.tests if metric in test] for one in claims if one.trial.state == "complete"]
    return [sum(values) / len(values) for values in found if len(values) == study.replicates]


def _validated(study: Study, claims: Sequence[Confirmation]) -> list[float]:
    """The objective on the validation split, of each claim that came to its end."""
    return [one.trial.objective for one in claims if one.trial.state == "complete" and one.trial.objective is not None]


def _mean(values: Sequence[float], failed: int) -> Estimate:
    """The mean with Student's interval."""
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return Estimate(mean, None, count, failed)
    half = _t((1 + LEVEL) / 2, count - 1) * math.sqrt(_variance(values) / count)
    return Estimate(mean, (mean - half, mean + half), count, failed)


def _difference(values: Sequence[float], base: Sequence[float], maximize: bool) -> Estimate:
    """By how much ``values`` are better, with Welch's interval."""
    sign = 1.0 if maximize else -1.0
    gain = sign * (sum(values) / len(values) - sum(base) / len(base))
    count = min(len(values), len(base))
    if count < 2:
        return Estimate(gain, None, count)
    a, b = _variance(values) / len(values), _variance(base) / len(base)
    if a + b == 0.0:
        return Estimate(gain, (gain, gain), count)
    freedom = (a + b) ** 2 / (a**2 / (len(values) - 1) + b**2 / (len(base) - 1))
    half = _t((1 + LEVEL) / 2, freedom) * math.sqrt(a + b)
    return Estimate(gain, (gain - half, gain + half), count)


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def get_ready() -> None:
    """Import what decides at the end of a study, which takes a third of a second: now, and not while all workers wait for it."""
    import scipy.special  # noqa: F401


def _t(probability: float, freedom: float) -> float:
    """The quantile of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
