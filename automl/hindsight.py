"""What pruning did, or would have done: the rules of pruners replayed over the curves of a study's trials.

A study without pruning has every curve to its end, so any rule can be replayed in the order in which things happened: what it would
have saved, and which of the best trials it would have stopped. A study with pruning cannot say that of its own rule: the trials that were
stopped have no end, and those that are complete have passed. What can be known is how much of that was the order: in other orders of the
same trials the rule sees others before it decides, and may stop some of the best. That is a lower bound on its mistakes, for the trials
that it did stop may have been among the best as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from automl.draws import unit_at
from automl.errors import UsageError
from automl.events import Failed, Finished, Reported, Started, Value
from automl.pruners import Pruner, make_pruner
from automl.study import Study
from automl.summary import epochs_saved
from automl.trials import Pruned, Report, State, Suggested, Trial

RULES = ("asha", "median", "hyperband", "wilcoxon")  # what a study without pruning is told of, with their defaults
MOST_BEST = 5
_FEWEST_BEST = 2
_FEWEST_COMPLETE = 4
_SHARE_OF_BEST = 4  # of the complete trials one in so many is among the best
_ORDERS = 20
_REPORTS = 40_000  # so many are replayed at most, in fewer orders where there are many; a study that has more is not replayed


@dataclass(frozen=True, slots=True)
class Hindsight:
    """A pruner's rule over the curves of a study, in ``orders`` orders of its trials (0: in that in which they came).

    ``saved`` of ``epochs`` epochs, ``stopped`` of the ``best`` best complete trials (means over the orders), and ``stopped_winner``: in how
    many orders the best one was.
    """

    pruner: str
    orders: int
    best: int
    stopped: float
    stopped_winner: int
    saved: float
    epochs: int


def hindsight(study: Study) -> tuple[Hindsight, ...]:
    """Of a study with pruning its own rule, in other orders; of one without, what other rules would have done.

    Empty where that says nothing: with fewer than four complete trials, a single epoch, or too many reports to go through again.

    A function of the study's events.
    """
    trials = sorted((trial for trial in study.trials if trial.has_ended and trial.reports), key=_began)
    reports = sum(trial.epochs_trained for trial in trials)
    ranked = [trial.number for trial in study.ranked()]
    best = ranked[: min(MOST_BEST, max(_FEWEST_BEST, len(ranked) // _SHARE_OF_BEST))]
    if len(ranked) < _FEWEST_COMPLETE or study.spec.epochs * study.replicates == 1 or reports > _REPORTS:
        return ()
    settings = study.spec.settings
    if settings.pruner != "none":
        orders = max(1, min(_ORDERS, _REPORTS // reports))
        shuffled = [sorted(trials, key=lambda trial: unit_at("hindsight", n, trial.number)) for n in range(orders)]
        return (_seen(study, settings.pruner, settings.pruner_options, shuffled, best, orders),)
    return tuple(_seen(study, rule, {}, [trials], best, 0) for rule in RULES if _suits(study, rule))


def _began(trial: Trial) -> tuple[float, int]:
    return trial.started or 0.0, trial.number


def _suits(study: Study, rule: str) -> bool:
    try:
        make_pruner(rule, {}, study.spec.epochs, study.replicates)
    except UsageError:  # too few folds
        return False
    return True


def _seen(
    study: Study, rule: str, options: Mapping[str, Value], every: Sequence[Sequence[Trial]], best: Sequence[int], orders: int
) -> Hindsight:
    parallel = _side_by_side(every[0])
    stopped, saved = [], 0
    for trials in every:
        pruner = make_pruner(rule, options, study.spec.epochs, study.replicates)
        cut = _replay(study, pruner, trials, parallel)
        saved += sum(cut.values())
        stopped.append([number for number in best if number in cut])
    mean = sum(map(len, stopped)) / len(every)
    winner = sum(best[0] in numbers for numbers in stopped)
    return Hindsight(rule, orders, len(best), mean, winner, saved / len(every), sum(trial.epochs_trained for trial in every[0]))


def _side_by_side(trials: Sequence[Trial]) -> int:
    """How many trials were under way at once, on average."""
    times = [(trial.started, trial.ended) for trial in trials if trial.started is not None and trial.ended is not None]
    if not times:
        return 1
    span = max(ended for _, ended in times) - min(started for started, _ in times)
    busy = sum(ended - started for started, ended in times)
    return max(1, min(len(trials), round(busy / span))) if span > 0 else 1


def _replay(study: Study, pruner: Pruner, trials: Sequence[Trial], parallel: int) -> dict[int, int]:
    """The trials that the rule stops, by number, with the epochs that this saves: ``parallel`` at a time, an epoch of each in turn."""
    again = Study(study.identity, study.spec, study.objective)
    waiting, under_way = iter(trials), list[_Course]()
    cut: dict[int, int] = {}
    while True:
        while len(under_way) < parallel and (trial := next(waiting, None)) is not None:
            under_way.append(_Course(again, trial))
        if not under_way:
            return cut
        for course in list(under_way):
            if course.goes_on() and pruner.prune(again, again.trials[course.number]):
                cut[course.trial.number] = course.left
                course.end("pruned")
            if again.trials[course.number].has_ended:
                under_way.remove(course)


class _Course:
    """A trial on its way through a replayed study, under a number of its own there."""

    def __init__(self, study: Study, trial: Trial) -> None:
        self.trial, self.number, self._study = trial, len(study.trials), study
        self._steps = list(_steps(trial))
        self._done = 0
        self._last = {replicate: place for place, (replicate, _) in enumerate(self._steps)}
        study.apply(Suggested(study.key(self.number), 0.0, trial.configuration, trial.origin))
        for replicate in range(study.replicates):
            study.apply(Started(study.key(self.number, replicate), 0.0, "", ""))

    @property
    def left(self) -> int:
        """Epochs that it trained after this one."""
        return len(self._steps) - self._done

    def goes_on(self) -> bool:
        """Report the next epoch; whether there is one after it that could be saved."""
        if self._done < len(self._steps):
            replicate, report = self._steps[self._done]
            self._done += 1
            key = self._study.key(self.number, replicate)
            self._study.apply(Reported(key, 0.0, report.epoch, {self._study.objective.metric: report.value}, 0.0))
            if self.left and self._last[replicate] < self._done:
                self._study.apply(Finished(key, 0.0))
        if not self.left:
            self.end(self.trial.state)
        return self.left > 0

    def end(self, state: State) -> None:
        """It ends as it did, or is stopped."""
        if state == "pruned":
            self._study.apply(Pruned(self._study.key(self.number), 0.0, self._study.trials[self.number].epochs))
            return
        for replicate in range(self._study.replicates):
            key = self._study.key(self.number, replicate)
            self._study.apply(Finished(key, 0.0) if state == "complete" else Failed(key, 0.0, "error", ""))


def _steps(trial: Trial) -> Iterator[tuple[int, Report]]:
    """Its epochs in the order in which they were trained: one training after another, or side by side."""
    steps = [(replicate, report) for replicate, one in enumerate(trial.trainings) for report in one.reports]
    later = trial.trainings[1:]
    first_ended = trial.trainings[0].ended
    if any(one.started is not None and (first_ended is None or one.started < first_ended) for one in later):
        steps.sort(key=lambda step: (step[1].epoch, step[0]))
    yield from steps


# -- in words, and as data ----------------------------------------------------------------------------------------------


def hindsight_text(study: Study, found: Sequence[Hindsight]) -> str:
    """What was found, in a sentence; empty for nothing."""
    if not found:
        return ""
    first = found[0]
    if first.orders == 0:
        said = [f"{each.pruner} {_would(each, brief=place > 0)}" for place, each in enumerate(found)]
        return f"Over these curves, {'; '.join(said)}."
    orders = f"{first.orders} other orders" if first.orders > 1 else "another order"
    if not first.stopped:
        stops = f"stops none of the {first.best} best in {'any of ' if first.orders > 1 else ''}{orders} of these trials"
    else:
        winner = f"the winner in {first.stopped_winner or 'none'} of them"
        stops = f"stops {first.stopped:.2g} of the {first.best} best on average over {orders} of these trials, {winner}"
    pruned = study.counts.get("pruned", 0)
    unknown = f" Where the {pruned} pruned trial{'s' if pruned != 1 else ''} would have ended is not known." if pruned else ""
    return f"Replayed, {first.pruner} {stops}.{unknown}"


def pruning_note(study: Study, found: Sequence[Hindsight]) -> str:
    """What pruning saved, and the same in a few words; of several rules the first."""
    saved, epochs = epochs_saved(study)
    note = f"pruning saved {saved} of {epochs} epochs"
    if not found:
        return note
    first = found[0]
    count = f"{first.stopped:.2g}" if first.stopped else "none"
    if first.orders == 0:
        return f"{first.pruner} would have saved {first.saved:.0f} of {first.epochs} epochs, stopped {count} of {first.best} best"
    return f"{note}; reordered, stops {count} of {first.best} best"


def _would(one: Hindsight, brief: bool) -> str:
    count = f"{one.stopped:.0f}" if one.stopped else "none"
    whose = "" if not one.stopped else ", the winner among them" if one.stopped_winner else ", not the winner"
    if brief:
        return f"{one.saved:.0f} and {count}{whose}"
    return f"would have saved {one.saved:.0f} of {one.epochs} epochs and stopped {count} of the {one.best} best{whose}"


def pruning_record(study: Study, found: Sequence[Hindsight]) -> dict[str, Any]:
    """The same for ``--json``: what pruning saved, and each rule that was replayed."""
    saved, epochs = epochs_saved(study)
    return {"saved": saved, "epochs": epochs, "replayed": [asdict(each) for each in found]}
