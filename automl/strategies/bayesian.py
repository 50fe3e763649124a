"""Bayesian search: a tree-structured Parzen estimator."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from automl.draws import seed_at
from automl.events import Configuration, Value
from automl.space import Categorical, Float, Int, Parameter, SearchSpace
from automl.strategies.following import Follower
from automl.strategies.uniform import Uniform
from automl.strategies.unvisited import Visited
from automl.study import Study, Trial

_ATTEMPTS = 8  # of the model to find something new; then a uniform draw
_NAME = "automl"


class Bayesian(Follower):
    """Source: Watanabe, "Tree-Structured Parzen Estimator: Understanding Its Algorithm Components", arXiv:2304.11127, as in Optuna's
    TPESampler (multivariate, grouped by conditions, running trials counted as bad).

    Until ``n_startup`` trials have ended with a value, trial n is the one that random search would make trial n. The model is fed with
    the trials that lie in the space: complete ones with their objective; pruned ones with their last value, ranked behind all
    complete ones, longer curves first; those that diverged, failed, ran out of memory or of time as infeasible, ranked behind
    everything; lost ones not at all; waiting and running ones as points to stay away from. The draws of trial n are seeded by the
    study's seed, n and the attempt: a draw that is forbidden or was visited is followed by further attempts, and then by uniform draws.
    """

    def __init__(self, space: SearchSpace, n_startup: int, n_candidates: int) -> None:
        self._space = space
        self._uniform = Uniform(space)
        self._axes = {parameter.name: axis for parameter in space.parameters if (axis := _axis(parameter)) is not None}
        self._n_startup = n_startup
        self._n_candidates = n_candidates
        super().__init__()

    def suggest(self, study: Study, count: int) -> list[Configuration]:
        self.follow(study)
        visited = Visited(study)
        suggestions: list[Configuration] = []
        for number in range(len(study.trials), len(study.trials) + count):
            configuration = self._next(study, number, visited)
            if configuration is None:
                break
            visited.add(configuration)
            self.foresee(number, configuration)
            suggestions.append(configuration)
        return suggestions

    def _next(self, study: Study, number: int, visited: Visited) -> Configuration | None:
        if self._told >= self._n_startup and self._axes:
            for attempt in range(_ATTEMPTS):
                configuration = self._ask(study, number, attempt)
                if self._space.allows(configuration) and configuration not in visited:
                    return configuration
        return self._uniform.draw(number, visited)

    def _ask(self, study: Study, number: int, attempt: int) -> Configuration:
        """One draw of the model."""
        seed = seed_at(study.seed, "bayesian", number, attempt)
        suggest = self._history.model(_sampler(self._n_candidates, seed))

        def choose(parameter: Parameter) -> Value:
            axis = self._axes.get(parameter.name)
            return parameter.at(0.5) if axis is None else axis.value(suggest(parameter.name, axis.distribution))

        return self._space.configure(choose)

    def _reset(self, study: Study) -> None:
        self._history = _History(study.objective.maximize)
        self._ids: dict[int, int] = {}  # the history's name for each trial that it has
        self._told = 0  # trials that ended with a value

    def _take(self, number: int, configuration: Configuration, in_space: bool) -> None:
        if in_space:
            axes = {name: self._axes[name] for name in configuration if name in self._axes}
            params = {name: axis.point(configuration[name]) for name, axis in axes.items()}
            self._ids[number] = self._history.begin(params, {name: axis.distribution for name, axis in axes.items()})

    def _end(self, trial: Trial) -> None:
        if trial.number not in self._ids:
            return
        identity = self._ids[trial.number]
        last = next((report for report in reversed(trial.reports) if math.isfinite(report.value)), None)
        self._told += trial.state in ("complete", "pruned") and last is not None
        match trial.state:
            case "lost":
                self._history.drop(identity)
            case "complete" if trial.objective is not None:
                self._history.complete(identity, trial.objective)
            case "pruned" if last is not None:
                self._history.prune(identity, last.epoch, last.value)
            case _:
                self._history.fail(identity)


class _History:
    """An Optuna study in memory. Its trials stand in the order in which they began; what became of them may come in any order."""

    def __init__(self, maximize: bool) -> None:
        direction = optuna.study.StudyDirection.MAXIMIZE if maximize else optuna.study.StudyDirection.MINIMIZE
        self._storage = optuna.storages.InMemoryStorage()
        with _quiet():
            self._study_id = self._storage.create_new_study([direction], _NAME)
        self._asking = self._storage.create_new_trial(self._study_id)  # the one trial in whose name every question is asked

    def begin(self, params: dict[str, Any], distributions: dict[str, BaseDistribution]) -> int:
        """A trial is waiting or running. Returns its identity."""
        running = optuna.trial.create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        return int(self._storage.create_new_trial(self._study_id, running))

    def complete(self, identity: int, value: float) -> None:
        self._storage.set_trial_state_values(identity, TrialState.COMPLETE, [value])

    def prune(self, identity: int, epoch: int, value: float) -> None:
        """The sampler looks at the last epoch alone."""
        self._storage.set_trial_intermediate_value(identity, epoch, value)
        self._storage.set_trial_state_values(identity, TrialState.PRUNED, [value])

    def fail(self, identity: int) -> None:
        """A broken constraint ranks it behind all others, whatever its value."""
        optuna.trial.Trial(self._study(_sampler(1, 0)), identity).set_constraint("trained", 1.0)
        self._storage.set_trial_state_values(identity, TrialState.COMPLETE, [0.0])

    def drop(self, identity: int) -> None:
        self._storage.set_trial_state_values(identity, TrialState.FAIL)

    def model(self, sampler: optuna.samplers.TPESampler) -> Callable[[str, BaseDistribution], Any]:
        """A joint draw of the model for what has happened, as a function that gives the value of each parameter."""
        study = self._study(sampler)
        asking = self._storage.get_trial(self._asking)
        together = sampler.sample_relative(study, asking, sampler.infer_relative_search_space(study, asking))

        def suggest(name: str, distribution: BaseDistribution) -> Any:
            return together[name] if name in together else sampler.sample_independent(study, asking, name, distribution)

        return suggest

    def _study(self, sampler: optuna.samplers.TPESampler) -> optuna.Study:
        """A new one for each question: a study that has been used may answer from its own cache."""
        return optuna.load_study(study_name=_NAME, storage=self._storage, sampler=sampler, pruner=optuna.pruners.NopPruner())


def _sampler(n_candidates: int, seed: int) -> optuna.samplers.TPESampler:
    """A new one for each draw: a sampler that has been used remembers the order in which trials ended, which a restart does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group=True
        return optuna.samplers.TPESampler(
            n_startup_trials=0, n_ei_candidates=n_candidates, multivariate=True, group=True, constant_liar=True, seed=seed % 2**32
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna announces every study that it makes."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A parameter as Optuna sees it. ``point`` and ``value`` translate there and back."""

    distribution: BaseDistribution
    point: Callable[[Value], Any]
    value: Callable[[Any], Value]


def _axis(parameter: Parameter) -> _Axis | None:
    """None for a parameter with one value. Choices become their index, since Optuna confuses 1, 1.0 and True."""
    if parameter.size == 1:
        return None
    match parameter:
        case Float(low=low, high=high, log=log):
            return _Axis(FloatDistribution(low, high, log=log), _as_float, lambda point: min(max(float(point), low), high))
        case Int(low=low, step=step, log=log, size=size) if step == 1 or not log:
            return _Axis(IntDistribution(low, low + (int(size) - 1) * step, log=log, step=step), _as_int, int)
        case Int():  # Optuna knows no steps on a log scale
            return _Axis(FloatDistribution(0.0, 1.0), parameter.unit, parameter.at)
        case Categorical(choices=choices):
            return _Axis(CategoricalDistribution(range(len(choices))), parameter.index, lambda point: choices[int(point)])


def _as_float(value: Value) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _as_int(value: Value) -> int:
    assert isinstance(value, int)
    return value
