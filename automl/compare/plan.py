"""From what a person asked to be compared to a plan: everything that can be checked is checked here, before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from automl.compare import statistics
from automl.compare.arms import Arm, make_arms, split_choices
from automl.compare.budget import Budget
from automl.compare.record import is_comparison, read_record
from automl.errors import StudyError, UsageError
from automl.folders import check_new_study, study_folder
from automl.plan import Plan, RunOptions, at_least_one, default_name, duration, lanes_asked, specify
from automl.spec import Objective, StudySpec
from automl.strategies import STRATEGIES, check_strategy
from automl.tracking import OFF, redacted, resolve_uri

DEFAULT_REPEATS = 7
DEFAULT_STRATEGIES = "grid,random,bayesian"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """What a person can ask of ``compare`` beyond what ``run`` has in common with it. Named like the flags."""

    strategies: str | None = None
    pruners: str | None = None
    repeats: int | None = None
    epochs_budget: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One study of a comparison: a repeat (from 1) of an arm."""

    arm: Arm
    repeat: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class ComparePlan:
    """A checked request. ``spec`` is that of the space file and flags; each member's own has its arm's methods, and the repeat's seed.

    ``notes`` are sentences that a person should read before it starts.
    """

    spec: StudySpec
    folder: Path
    options: RunOptions
    arms: tuple[Arm, ...]
    repeats: int
    budget: Budget
    lanes: int | None
    tracking_uri: str | None
    notes: tuple[str, ...] = ()

    @property
    def shown_uri(self) -> str:
        """The tracking URI as it may be shown: without credentials."""
        return redacted(self.tracking_uri) if self.tracking_uri else "off"

    @property
    def seeds(self) -> range:
        """The study seed of each repeat, the same for every arm."""
        first = self.spec.settings.seed
        return range(first, first + self.repeats)

    def members(self, spec: StudySpec | None = None) -> list[Member]:
        """The studies, repeat by repeat. ``spec``: the same specification once it is settled by the data.

        Repeat r has the same seed in every arm: the same draws where strategies draw alike (random search, and the random start of those
        that learn) and the same seeds of training for equal trial numbers. These common random numbers are what makes the repeats pairs:
        what an easy seed gives to one arm it gives to all. Repeats differ in their seeds; the data are split once, as the space file says.
        Winners are not confirmed: that is what the repeats are for.
        """
        spec = spec or self.spec
        return [
            Member(arm, repeat, self._plan_of(arm, repeat, seed, spec)) for repeat, seed in enumerate(self.seeds, 1) for arm in self.arms
        ]

    def _plan_of(self, arm: Arm, repeat: int, seed: int, spec: StudySpec) -> Plan:
        settings = replace(arm.settings(spec.settings), seed=seed, trials=self.budget.most_trials, time_seconds=None, confirm=0)
        folder = self.folder / f"{arm.slug}-{repeat}"
        continues = (folder / "study.db").is_file()
        return Plan(replace(spec, settings=settings), folder, self.options, (), self.tracking_uri, continues, self.lanes)


def plan(options: RunOptions, wanted: CompareOptions) -> ComparePlan:
    """Check everything that can be checked before anything starts. Raises the errors of ``automl.errors``."""
    if options.space is None:
        raise UsageError(
            "compare: must be given a search space, but is not. Example: automl compare digits_mlp --strategies grid,random,bayesian."
        )
    spec = specify(replace(options, time=None, trials=None))
    refuse_several_objectives(spec.objectives, spec.source or spec.name)
    arms = make_arms(
        split_choices(DEFAULT_STRATEGIES if wanted.strategies is None else wanted.strategies), split_choices(wanted.pruners or ""), spec
    )
    repeats = _repeats(wanted.repeats, arms)
    budget = _budget(options, wanted, spec)
    name = default_name(replace(spec, settings=replace(spec.settings, strategy="compare")), options)
    folder = study_folder(name if options.study is None else options.study)
    uri = resolve_uri(options.mlflow, os.environ)
    planned = ComparePlan(
        spec,
        folder,
        options,
        arms,
        repeats,
        budget,
        lanes_asked(options.lanes),
        None if uri == OFF else uri,
        tuple(_notes(arms, budget, spec)),
    )
    _check_folder(planned)
    return planned


def refuse_several_objectives(objectives: Sequence[Objective], where: str) -> None:
    """Raises UsageError where a pick would not be one value."""
    if len(objectives) > 1:
        names = ", ".join(objective.metric for objective in objectives)
        raise UsageError(
            f"{where}: a comparison needs one objective, since a pick is judged by one value, but there are {len(objectives)} ({names}). "
            "Leave out all but one."
        )


def _repeats(asked: int | None, arms: tuple[Arm, ...]) -> int:
    needed = statistics.repeats_for_any_verdict(len(arms))
    if asked is None:
        return max(DEFAULT_REPEATS, needed)
    if asked < needed:
        pairs = math.comb(len(arms), 2)
        raise UsageError(
            f"--repeats: must be at least {needed} for {len(arms)} arms, since fewer can lead to no verdict (with {asked} no test reaches "
            f"5 %, corrected for {pairs} pair{'s' if pairs > 1 else ''}), but is {asked}. Give --repeats {needed}, or fewer strategies."
        )
    return asked


def _budget(options: RunOptions, wanted: CompareOptions, spec: StudySpec) -> Budget:
    trials = None if options.trials is None else at_least_one("--trials", options.trials)
    epochs = None if wanted.epochs_budget is None else at_least_one("--epochs-budget", wanted.epochs_budget)
    seconds = None if options.time is None else duration(options.time)
    if epochs is not None and epochs < spec.epochs:
        raise UsageError(
            f"--epochs-budget: must allow at least one whole trial ({spec.epochs} epochs), but is {epochs}. "
            "It counts the epochs of all trials of a study together."
        )
    if trials is None and epochs is None and seconds is None:
        trials = spec.settings.trials
    if trials is not None and trials < 2:
        raise UsageError(f"--trials: must be at least 2, so that there is something to choose from, but is {trials}.")
    return Budget(trials, epochs, seconds)


def _notes(arms: tuple[Arm, ...], budget: Budget, spec: StudySpec) -> list[str]:
    """What will keep an arm from being what its name says."""
    notes = []
    for arm in arms:
        startup = check_strategy(arm.strategy, arm.strategy_options, spec.space).get("n_startup")
        before = (startup if isinstance(startup, int) else 0) + (spec.baseline is not None)
        if STRATEGIES[arm.strategy].learns and budget.trials is not None and startup is not None and budget.trials <= before:
            notes.append(
                f"{arm.name}: its first {before} trials are random draws (and the baseline), so with {budget.trials} trials it is random "
                "search. More --trials, or a smaller n_startup, makes it learn."
            )
    return notes


def _check_folder(planned: ComparePlan) -> None:
    """Raises StudyError where this comparison can neither begin nor go on."""
    folder = planned.folder
    if (folder / "study.db").is_file():
        raise StudyError(f"{folder}: must be the folder of a comparison, but holds a study. Use --study with another name or path.")
    if not is_comparison(folder):
        if not any(member.plan.continues for member in planned.members()):
            check_new_study(folder)
        return
    before = read_record(folder).budget
    if not planned.budget.covers(before):
        raise StudyError(
            f"{folder}: a comparison can go on with the same budget for each study or a larger one (it was {before.words}), but it is now "
            f"{planned.budget.words}. Use --study NAME for a new comparison."
        )
