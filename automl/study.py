"""What has happened in a study: its trials in memory, changed by events alone.

``Study.apply`` is the only door. Replaying the events gives the same study; every prefix of the events is a valid study. What an event
makes of one trial is in ``automl.trials``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from automl.draws import seed_at
from automl.events import Configuration, Reported, Tested, TrialKey
from automl.pareto import Losses, crowding, with_one_more
from automl.space import ConfigurationKey, SearchSpace
from automl.spec import Objective, StudySpec
from automl.trials import (
    Confirmation,
    Confirming,
    Created,
    Event,
    Pruned,
    Rested,
    Resumed,
    State,
    Suggested,
    Trial,
    TrialEvent,
    after,
    after_reports,
    begun,
    put_back,
)

LEADERS = 3  # of so many best trials the weights are kept
MOST_KEPT = 20  # and of so many trials of the Pareto front, where there are several objectives


@dataclass(frozen=True, slots=True)
class Test:
    """The winner's measurement on data that nobody chose by."""

    trial: int
    metrics: Mapping[str, float]
    split: str


class Study:
    """A study in memory. Everyone reads it; ``apply`` alone changes it."""

    def __init__(self, identity: str, spec: StudySpec, objective: Objective) -> None:
        self.identity = identity
        self.spec = spec
        self.space: SearchSpace = spec.space
        self.objective = objective
        self.objectives: tuple[Objective, ...] = (objective, *spec.further)
        self.replicates = spec.trainings  # of how many trainings a trial consists: one for each fold and each replicate
        self.trials: list[Trial] = []
        self.counts: dict[State, int] = {}
        self.asked = 0
        self.test: Test | None = None
        self.active_seconds = 0.0
        self.last_event_at = 0.0
        self.best: Trial | None = None
        self.leaders: tuple[int, ...] = ()
        self._front: list[int] = []
        self.worst: float | None = None
        self.ended_order: list[int] = []
        self.unended: set[int] = set()
        self.epochs_trained = 0  # by ended trials
        self.epochs_pruned = 0  # that pruning saved
        self.at_work_since: float | None = None
        self.why_rested: str | None = None
        self.confirmations: dict[int, tuple[Confirmation, ...]] = {}  # by trial, in the order of their making
        self._unconfirmed: set[tuple[int, int]] = set()  # trial and place of the confirmations that have not ended
        self._keys: dict[ConfigurationKey, int] = {}

    # -- reading ------------------------------------------------------------------------------------------------------

    @property
    def seed(self) -> int:
        return self.spec.settings.seed

    @property
    def ended(self) -> int:
        """How many trials have ended, in any state."""
        return len(self.ended_order)

    @property
    def winner(self) -> Trial | None:
        """The trial that is tested and kept: the best one, or, of those that were trained again to pick among them, the one with the best
        mean on fresh seeds. None while no trial is complete."""
        picks = {number: values for number in self.confirmations if (values := self._pick_values(number))}
        is_picking = any(self.confirmations[number][place].purpose == "pick" for number, place in self._unconfirmed)
        is_picked = self.best is not None and self.best.number in picks and not is_picking
        if not is_picked:
            return self.best
        return self.trials[min(picks, key=lambda number: (sum(picks[number]) / len(picks[number]), self._rank(number)))]

    def _pick_values(self, number: int) -> list[float]:
        """The losses of this trial on the seeds that serve to pick; infinite where it did not come to its end."""
        picks = [one.trial for one in self.confirmations[number] if one.purpose == "pick" and one.trial.has_ended]
        return [self._rank_value(one.objective if one.state == "complete" else None) for one in picks]

    @property
    def is_confirming(self) -> bool:
        """Whether trials are being trained again on fresh seeds, or wait for that."""
        return bool(self._unconfirmed)

    @property
    def baseline(self) -> Trial | None:
        """The baseline's trial: number 0 where the file has a baseline, once it was suggested."""
        return self.trials[0] if self.trials and self.trials[0].origin == "baseline" else None

    @property
    def gain(self) -> float | None:
        """How much better than the baseline the winner is, in the objective's unit on the validation split; None without both of them.

        Both are values that served to choose, so the winner's is too good on average: ``automl.confirmation`` has what may be claimed.
        """
        winner = self.winner
        if self.baseline is None or self.baseline.objective is None or self.baseline.state != "complete" or winner is None:
            return None
        assert winner.objective is not None
        difference = winner.objective - self.baseline.objective
        return difference if self.objective.maximize else -difference

    @property
    def front(self) -> list[Trial]:
        """The Pareto front: the complete trials than which none is better in one objective and nowhere worse. The best in the first
        objective comes first. With one objective: the best ones, usually one."""
        return [self.trials[number] for number in sorted(self._front, key=self._rank)]

    @property
    def kept(self) -> set[int]:
        """The trials whose weights are kept: the leaders, and with several objectives the front, of which at most ``MOST_KEPT`` that are
        farthest from their neighbours on it."""
        if len(self.objectives) == 1:
            return set(self.leaders)
        lonely = crowding([self.losses(number) for number in self._front])
        order = sorted(range(len(self._front)), key=lambda place: (-lonely[place], self._front[place]))
        return {*self.leaders, *(self._front[place] for place in order[:MOST_KEPT])}

    def reached(self, trial: Trial) -> dict[str, float | None]:
        """What a trial reached in each objective, by its metric, all at its best epoch; None where that is not known."""
        return {self.objective.metric: trial.objective, **{each.metric: trial.metrics.get(each.metric) for each in self.objectives[1:]}}

    def values(self, trial: Trial) -> tuple[float, ...] | None:
        """The same in the order of the objectives; None while one of them is not known."""
        known = [value for value in self.reached(trial).values() if value is not None and math.isfinite(value)]
        return tuple(known) if len(known) == len(self.objectives) else None

    def losses(self, number: int) -> Losses:
        """The same so that less is better, of a trial of which they are known."""
        values = self.values(self.trials[number])
        assert values is not None
        return tuple(objective.loss(value) for objective, value in zip(self.objectives, values, strict=True))

    def key(self, number: int, replicate: int = 0) -> TrialKey:
        return TrialKey(self.identity, number, replicate)

    def trial_seed(self, key: TrialKey) -> int:
        """The seed of everything random in this training: a function of the study's seed, the trial and the replicate."""
        return seed_at(self.seed, "trial", key.trial, key.replicate)

    def knows(self, configuration: Configuration) -> bool:
        """Whether a trial with this configuration exists, whatever became of it."""
        return self.space.key(configuration) in self._keys

    def training(self, key: TrialKey) -> Trial:
        """The replicate that is meant, also of a confirmation; of a trial of one training the trial."""
        return self._whole(key).trainings[key.replicate % self.replicates]

    def _whole(self, key: TrialKey) -> Trial:
        """The trial, or the confirmation of it, that this training is a part of."""
        again = key.replicate // self.replicates
        return self.confirmations[key.trial][again - 1].trial if again else self.trials[key.trial]

    def is_confirmation(self, key: TrialKey) -> bool:
        """Whether this training confirms a trial that was complete before."""
        return key.replicate >= self.replicates

    def is_over(self, key: TrialKey) -> bool:
        """Whether nobody wants to hear of this training any more."""
        return self._whole(key).has_ended or self.training(key).has_ended

    def waiting(self) -> Iterator[TrialKey]:
        """What is to be trained and no worker has: trials, lowest number first, then confirmations."""
        for number in sorted(self.unended):
            for replicate, training in enumerate(self.trials[number].trainings):
                if training.state == "waiting":
                    yield self.key(number, replicate)
        for number, place in sorted(self._unconfirmed):
            for replicate, training in enumerate(self.confirmations[number][place].trial.trainings):
                if training.state == "waiting":
                    yield self.key(number, replicate + self.replicates * (place + 1))

    def running(self) -> Iterator[Trial]:
        """The trials that workers have, lowest number first."""
        return (self.trials[number] for number in sorted(self.unended) if self.trials[number].state == "running")

    def ranked(self) -> list[Trial]:
        """The complete trials, best first; equals by number."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.objective is not None]
        return sorted(complete, key=lambda trial: self._rank(trial.number))

    def copy(self) -> Study:
        """An equal study, on which events from here on leave no trace in this one."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, list | dict | set):
                setattr(twin, name, value.copy())
        return twin

    # -- changing -----------------------------------------------------------------------------------------------------

    def accepts(self, event: Event) -> bool:
        """Whether the event says something new: false for reports that are already known (a trial that was trained again after a crash
        repeats its curve) and for events of trials that have ended."""
        match event:
            case Reported(key=key, epoch=epoch):  # first, since nearly all events are reports
                training = self._wanted(key)
                return training is not None and epoch > training.epochs
            case Created():
                return False
            case Resumed() | Rested():
                return True
            case Suggested(key=key):
                return key.trial == len(self.trials)
            case Confirming(key=key):
                is_known = key.trial < len(self.trials) and self.trials[key.trial].state == "complete"
                return is_known and key.replicate == self.replicates * (len(self.confirmations.get(key.trial, ())) + 1)
            case Tested(key=key) if not self.is_confirmation(key):
                return key.trial < len(self.trials)
            case Pruned(key=key):
                return key.trial < len(self.trials) and not self.trials[key.trial].has_ended
            case _:
                return self._wanted(event.key) is not None

    def _wanted(self, key: TrialKey) -> Trial | None:
        """The training that is meant, where somebody still wants to hear of it."""
        if key.trial >= len(self.trials) or key.replicate >= self.replicates * (1 + len(self.confirmations.get(key.trial, ()))):
            return None
        whole = self._whole(key)
        training = whole.replicates[key.replicate % self.replicates] if whole.replicates else whole
        return None if whole.has_ended or training.has_ended else training

    def apply(self, event: Event) -> None:
        """Take in one event. Events that ``accepts`` refuses change nothing."""
        if not self.accepts(event):
            return
        previous, self.last_event_at = self.last_event_at, event.at
        match event:
            case Reported(key=key) if key.replicate < self.replicates:  # first, since nearly all events are reports
                self._set(after(self.trials[key.trial], event, self.objective))
            case Resumed(asked=asked, at=at):
                self.active_seconds += self._seconds_before_kill(previous)
                self.asked, self.at_work_since, self.why_rested = asked, at, None
                self._put_back()
            case Rested(seconds=seconds, why=why):
                self.active_seconds += seconds
                self.at_work_since, self.why_rested = None, why
                self._put_back()
            case Suggested(key=key, configuration=configuration, origin=origin):
                in_space = origin == "strategy" or self.space.contains(configuration)
                self._keys.setdefault(self.space.key(configuration), key.trial)
                self.trials.append(begun(event, in_space, self.replicates))
                self._count("waiting", 1)
                self.unended.add(key.trial)
            case Confirming():
                self._confirm(event)
            case Tested(key=key) if self.is_confirmation(key):
                self._change_confirmation(event)
            case Tested(key=key, metrics=metrics, split=split):
                self.test = Test(key.trial, metrics, split)
            case Created():
                pass
            case _ if self.is_confirmation(event.key):
                self._change_confirmation(event)
            case _:
                trial = after(self.trials[event.key.trial], event, self.objective)
                self._set(trial)
                if trial.has_ended:
                    self._end(trial)

    def apply_all(self, events: Iterable[Event]) -> None:
        """What ``apply`` of each of them makes, in less time: reports of a trial are taken in together, before anything else of it."""
        pending: dict[int, dict[int, list[Reported]]] = {}
        for event in events:
            if isinstance(event, Reported) and event.key.replicate < self.replicates:
                of_trial = pending.setdefault(event.key.trial, {})
                reports = of_trial.get(event.key.replicate)
                if reports is None and self.accepts(event):
                    of_trial[event.key.replicate] = [event]
                elif reports is not None and event.epoch > reports[-1].epoch:
                    reports.append(event)
                else:
                    continue
                self.last_event_at = event.at
                continue
            key: TrialKey | None = getattr(event, "key", None)
            for number in list(pending) if key is None else (key.trial,):
                self._take_reports(number, pending.pop(number, {}))
            self.apply(event)
        for number, of_trial in pending.items():
            self._take_reports(number, of_trial)

    def _take_reports(self, number: int, reports: Mapping[int, Sequence[Reported]]) -> None:
        if reports:
            self._set(after_reports(self.trials[number], reports, self.objective))

    def _seconds_before_kill(self, last_event_at: float) -> float:
        """How long a driver had been at work that left no ``Rested`` behind, as far as its events tell."""
        return max(0.0, last_event_at - self.at_work_since) if self.at_work_since is not None else 0.0

    def _put_back(self) -> None:
        for number in self.unended:
            self._set(put_back(self.trials[number]))
        for number, place in self._unconfirmed:
            before = self.confirmations[number][place]
            self._set_confirmation(number, place, replace(before, trial=put_back(before.trial)))

    def _confirm(self, event: Confirming) -> None:
        number, trial = event.key.trial, self.trials[event.key.trial]
        again = Suggested(self.key(number), event.at, trial.configuration, trial.origin)
        before = self.confirmations.get(number, ())
        self.confirmations[number] = (*before, Confirmation(event.purpose, begun(again, trial.in_space, self.replicates)))
        self._unconfirmed.add((number, len(before)))

    def _change_confirmation(self, event: TrialEvent | Tested) -> None:
        again, replicate = divmod(event.key.replicate, self.replicates)
        number, place = event.key.trial, again - 1
        one = self.confirmations[number][place]
        if isinstance(event, Tested):
            self._set_confirmation(number, place, replace(one, tests=(*one.tests, event.metrics), split=event.split))
            return
        trial = after(one.trial, replace(event, key=self.key(number, replicate)), self.objective)
        self._set_confirmation(number, place, replace(one, trial=trial))
        if trial.has_ended:
            self._unconfirmed.discard((number, place))

    def _set_confirmation(self, number: int, place: int, confirmation: Confirmation) -> None:
        before = self.confirmations[number]
        self.confirmations[number] = (*before[:place], confirmation, *before[place + 1 :])

    def _end(self, trial: Trial) -> None:
        self.ended_order.append(trial.number)
        self.unended.discard(trial.number)
        self.epochs_trained += trial.epochs_trained
        if trial.state == "pruned":
            self.epochs_pruned += self.spec.epochs * self.replicates - trial.epochs_trained
        if trial.objective is None:
            return
        if self.worst is None or self.objective.better(self.worst, trial.objective):
            self.worst = trial.objective
        if trial.state == "complete":
            self._rank_among_the_best(trial)

    def _rank_among_the_best(self, trial: Trial) -> None:
        if len(self.leaders) < LEADERS or self._rank(trial.number) < self._rank(self.leaders[-1]):
            contenders = sorted((*self.leaders, trial.number), key=self._rank)
            self.leaders = tuple(contenders[:LEADERS])
            self.best = self.trials[self.leaders[0]]
        if len(self.objectives) == 1:  # then all of the front are equals, and they may be many
            assert trial.objective is not None
            best = self.trials[self._front[0]].objective if self._front else None
            if best is None or self.objective.better(trial.objective, best):
                self._front = [trial.number]
            elif trial.objective == best:
                self._front.append(trial.number)
        elif self.values(trial) is not None:
            self._front = with_one_more(self.losses, self._front, trial.number)

    def _rank(self, number: int) -> tuple[float, ...]:
        """Smaller is better: by the first objective, equals by the next one, then by number. So the best trial is on the front."""
        if len(self.objectives) == 1:
            return self._rank_value(self.trials[number].objective), number
        reached = self.reached(self.trials[number]).values()
        losses = (math.inf if value is None else each.loss(value) for each, value in zip(self.objectives, reached, strict=True))
        return (*losses, number)

    def _rank_value(self, objective: float | None) -> float:
        return math.inf if objective is None else self.objective.loss(objective)

    def _set(self, trial: Trial) -> None:
        before, self.trials[trial.number] = self.trials[trial.number], trial
        if trial.state != before.state:
            self._count(before.state, -1)
            self._count(trial.state, 1)

    def _count(self, state: State, by: int) -> None:
        self.counts[state] = self.counts.get(state, 0) + by
