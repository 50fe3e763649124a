"""The laws that every pruner keeps. A pruner's tests inherit ``PrunerContract`` and give its name and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl.draws import unit_at
from automl.events import Finished, Value
from automl.pruners import Pruner, default_min_epochs, make_pruner
from automl.study import Study
from automl.trials import Event, State
from contracts.studies import Play, continuous, make_study, replayed

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
EPOCHS = 27

Curve = Sequence[float]
Decision = tuple[int, int, bool]  # trial, epoch, whether it was pruned


def curve(level: float, *, noise: float = 0.0, seed: int = 0, epochs: int = EPOCHS) -> list[float]:
    """A learning curve of an error that falls towards ``level``, power law in the epoch."""
    return [level + 0.5 * (epoch + 1) ** -0.7 + noise * (unit_at("noise", seed, epoch) - 0.5) for epoch in range(epochs)]


def levels(count: int, seed: int = 0) -> list[float]:
    return [unit_at("level", seed, number) for number in range(count)]


def train_all(
    pruner: Pruner,
    curves: Sequence[Curve],
    *,
    parallel: int = 4,
    seed: int = 0,
    maximize: bool = False,
    before_each_decision: Callable[[Play, int], None] | None = None,
) -> tuple[Play, list[Decision]]:
    """Trains one trial per curve, ``parallel`` at a time, an epoch each in turn, as the driver does; the values are errors."""
    epochs = max(map(len, curves), default=1)
    study = make_study(continuous(1), seed=seed, maximize=maximize, epochs=epochs)
    played = Play(study)
    decisions: list[Decision] = []
    queue = list(range(len(curves)))
    running: list[int] = []
    while queue or running:
        while queue and len(running) < parallel:
            number = queue.pop(0)
            played.suggest({"x0": unit_at("x", number)})
            played.start(number)
            running.append(number)
        for number in list(running):
            epoch = study.trials[number].epochs
            played.report(number, -curves[number][epoch] if maximize else curves[number][epoch])
            if before_each_decision is not None:
                before_each_decision(played, number)
            stops = pruner.prune(study, study.trials[number])
            decisions.append((number, epoch + 1, stops))
            if stops or epoch + 1 == len(curves[number]):
                played.end(number, "pruned" if stops else "complete")
                running.remove(number)
    return played, decisions


def states(study: Study) -> list[State]:
    return [trial.state for trial in study.trials]


class PrunerContract:
    name: ClassVar[str]
    options: ClassVar[Mapping[str, Value]] = {}
    prunes: ClassVar[bool] = True
    replicates: ClassVar[int] = 1  # that it is told a trial has

    def make(self) -> Pruner:
        return make_pruner(self.name, self.options, EPOCHS, self.replicates)

    @QUICK
    @given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(1, 9), st.integers(0, 5))
    def test_nothing_is_pruned_before_a_tenth_of_the_epochs_nor_at_the_last_one(self, error: list[float], parallel: int, seed: int) -> None:
        _, decisions = train_all(self.make(), [curve(level) for level in error], parallel=parallel, seed=seed)
        first = self.options.get("min_epochs", default_min_epochs(EPOCHS))
        assert isinstance(first, int)
        assert all(first <= epoch < EPOCHS for _, epoch, stops in decisions if stops)

    @QUICK
    @given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(1, 9))
    def test_nothing_is_pruned_after_an_epoch_that_is_not_decided(self, error: list[float], parallel: int) -> None:
        """Workers do not wait for an answer there."""
        pruner = self.make()
        _, decisions = train_all(pruner, [curve(level) for level in error], parallel=parallel)
        assert pruner.decided is None or {epoch for _, epoch, stops in decisions if stops} <= pruner.decided

    @pytest.mark.parametrize("parallel", [1, 4, 64])
    @pytest.mark.parametrize("place", [0, 20, 39])
    def test_the_clearly_best_trial_is_never_pruned(self, parallel: int, place: int) -> None:
        error = [0.2 + level for level in levels(40)]
        error[place] = 0.0
        played, _ = train_all(self.make(), [curve(level) for level in error], parallel=parallel)
        assert played.study.trials[place].state == "complete"

    def test_a_clearly_worst_trial_is_pruned_before_its_end(self) -> None:
        """After thirty others, whichever bracket it falls into that prunes at all: of ten such trials most go."""
        error = [0.2 * level for level in levels(30)] + [5.0] * 10
        played, _ = train_all(self.make(), [curve(level) for level in error])
        assert (states(played.study)[30:].count("pruned") >= 5) == self.prunes

    def test_a_restart_before_any_decision_changes_none_of_them(self) -> None:
        """A pruner that begins with the replayed events decides as the uninterrupted one does."""
        pruner = self.make()

        def compare(played: Play, number: int) -> None:
            again = replayed(played.study, played.events)
            assert self.make().prune(again, again.trials[number]) == pruner.prune(played.study, played.study.trials[number])

        train_all(self.make(), [curve(level, noise=0.1, seed=3) for level in levels(30)], parallel=5, before_each_decision=compare)

    @pytest.mark.parametrize("side_by_side", [True, False])
    def test_replicates_are_judged_by_their_mean_and_a_restart_changes_no_decision(self, side_by_side: bool) -> None:
        """Twice five trials with three replicates each, side by side or one after another; the best of the trials stays."""
        pruner, replicates, asked = self.make(), 3, 0
        study = make_study(continuous(1), maximize=False, epochs=EPOCHS, replicates=replicates)
        played = Play(study)
        every = [(epoch, replicate) for epoch in range(EPOCHS) for replicate in range(replicates)]
        steps = every if side_by_side else sorted(every, key=lambda step: step[::-1])
        for first in (0, 5):
            error = {played.suggest({"x0": unit_at("x", number)}): 0.2 + unit_at("level", number) for number in range(first, first + 5)}
            error.update({7: 0.0} if 7 in error else {})
            for epoch, replicate in steps:
                for number, level in error.items():
                    if study.trials[number].has_ended:
                        continue
                    played.report(number, curve(level, noise=0.05, seed=number + 100 * replicate)[epoch], replicate)
                    stops, asked = pruner.prune(study, study.trials[number]), asked + 1
                    if stops or asked % 50 == 0:
                        again = replayed(study, played.events)
                        assert stops == self.make().prune(again, again.trials[number])
                    if stops:
                        played.end(number, "pruned")
                    elif epoch + 1 == EPOCHS:
                        played.apply(Finished(study.key(number, replicate), 0.0))
        assert study.trials[7].state == "complete"
        assert ("pruned" in states(study)) == self.prunes

    def with_folds(self, levels: Sequence[Sequence[float]]) -> Play:
        """Complete trials whose folds reach these levels."""
        played = Play(make_study(continuous(1), maximize=False, epochs=EPOCHS, replicates=len(levels[0])))
        for number, folds in enumerate(levels):
            played.suggest({"x0": unit_at("x", number)})
            for fold, level in enumerate(folds):
                for value in curve(level):
                    played.report(number, value, fold)
                played.apply(Finished(played.study.key(number, fold), 0.0))
        return played

    def judged(self, played: Play, folds: Sequence[float]) -> int | None:
        """In which fold a further trial, one fold after another, is stopped."""
        pruner, number = self.make(), played.suggest({"x0": 0.123})
        for fold, level in enumerate(folds):
            for value in curve(level):
                played.report(number, value, fold)
                if pruner.prune(played.study, played.study.trials[number]):
                    return fold
            played.apply(Finished(played.study.key(number, fold), 0.0))
        return None

    def test_a_hard_fold_is_no_reason_to_stop_a_trial(self) -> None:
        """The first fold is much harder than the others, for all: the best trial so far must get through it."""
        offsets = [3.0, 0.0, 0.0, 0.0, 0.0][: max(3, self.replicates)]
        before = [[offset + 0.2 + level for offset in offsets] for level in levels(20)]
        assert self.judged(self.with_folds(before), [offset + 0.1 for offset in offsets]) is None

    def test_a_trial_that_falls_back_in_its_second_fold_is_stopped_there(self) -> None:
        """Best of all in its first fold, and worse than all from then on. The signed-rank test wants four pairs to be sure."""
        folds = max(3, self.replicates)
        before = [[0.2 + level] * folds for level in levels(20)]
        fallen = self.judged(self.with_folds(before), [0.1, *[9.0] * (folds - 1)])
        assert fallen == (1 if self.prunes else 4 if self.name == "wilcoxon" else None)

    def test_one_pruner_can_judge_two_studies(self) -> None:
        """What it remembers of one says nothing about the other, also where they are judged in turn."""
        both = self.make()
        other, _ = train_all(self.make(), [curve(level - 5) for level in levels(30, seed=9)])
        last = max(other.study.trials, key=lambda trial: trial.epochs)

        def compare(played: Play, number: int) -> None:
            both.prune(other.study, replace(last, reports=last.reports[:-1]))
            trial = played.study.trials[number]
            assert both.prune(played.study, trial) == self.make().prune(played.study, trial)

        train_all(self.make(), [curve(level) for level in levels(15)], before_each_decision=compare)

    def test_asking_twice_gives_the_same_answer(self) -> None:
        pruner = self.make()

        def compare(played: Play, number: int) -> None:
            trial = played.study.trials[number]
            assert pruner.prune(played.study, trial) == pruner.prune(played.study, trial)

        train_all(pruner, [curve(level) for level in levels(20)], before_each_decision=compare)

    def test_maximising_is_minimising_the_negative(self) -> None:
        curves = [curve(level, noise=0.2, seed=number) for number, level in enumerate(levels(40))]
        _, minimised = train_all(self.make(), curves, maximize=False)
        _, maximised = train_all(self.make(), curves, maximize=True)
        assert minimised == maximised

    def test_the_baseline_is_never_pruned(self) -> None:
        """It is trained beside trials that are all much better, and its every report is judged."""
        pruner = self.make()
        played, _ = train_all(pruner, [curve(0.2 * level) for level in levels(20)])
        events: list[Event] = list(played.events)
        study = make_study(continuous(1), maximize=False, epochs=EPOCHS)
        again = Play(study)
        baseline = again.suggest({"x0": 0.5}, "baseline")
        for event in events:
            moved = type(event)(**{**_fields(event), "key": study.key(event.key.trial + 1)})  # type: ignore[union-attr]
            again.apply(moved)
        again.start(baseline)
        for value in curve(9.0):
            again.report(baseline, value)
            assert not pruner.prune(study, study.trials[baseline])

    def test_reports_that_are_not_finite_count_as_worst(self) -> None:
        """A trial that never reported anything finite is no better than any other, and nothing breaks."""
        curves = [curve(level) for level in levels(20)] + [[float("nan")] * EPOCHS, [float("inf")] * EPOCHS] * 5
        played, _ = train_all(self.make(), curves)
        assert (states(played.study)[20:].count("pruned") >= 5) == self.prunes

    @pytest.mark.parametrize("epochs", [1, 2, 3])
    def test_trials_of_very_few_epochs_can_be_judged(self, epochs: int) -> None:
        options = {name: value for name, value in self.options.items() if name != "min_epochs"}
        pruner = make_pruner(self.name, options, epochs, self.replicates)
        played, decisions = train_all(pruner, [curve(level, epochs=epochs) for level in levels(20)])
        assert played.study.ended == 20
        assert all(epoch < epochs for _, epoch, stops in decisions if stops)

    def test_trials_that_stop_early_fail_or_are_lost_disturb_nobody(self) -> None:
        pruner = self.make()
        study = make_study(continuous(1), maximize=False, epochs=EPOCHS)
        played = Play(study)
        for number, state in enumerate(("complete", "failed", "lost", "diverged", "timeout", "out_of_memory") * 5):
            played.suggest({"x0": unit_at("x", number)})
            played.train(number, curve(0.1)[: number % 7], state)
        last = played.suggest({"x0": 0.5})
        played.start(last)
        for value in curve(0.0):
            played.report(last, value)
            assert not pruner.prune(study, study.trials[last])


def _fields(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in type(event).__dataclass_fields__}
