"""PED-ANOVA gives the numbers of Optuna's."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from automl import pedanova
from automl.draws import unit_at
from automl.events import Value
from automl.space import Categorical, Int, Parameter, SearchSpace
from automl.trials import Suggested, Trial, begun
from contracts.studies import make_study, many_sided_space


def _distribution(parameter: Parameter) -> Any:
    if isinstance(parameter, Categorical):
        return CategoricalDistribution([str(index) for index in range(len(parameter.choices))])
    if isinstance(parameter, Int):
        highest = parameter.low + (int(parameter.size) - 1) * parameter.step
        high = parameter.high if parameter.log else highest
        return IntDistribution(parameter.low, high, parameter.log, 1 if parameter.log else parameter.step)
    return FloatDistribution(parameter.low, parameter.high, parameter.log)


def _encoded(parameter: Parameter, value: Value) -> Any:
    return str(parameter.index(value)) if isinstance(parameter, Categorical) else value


def _optuna(space: SearchSpace, trials: list[Trial], losses: list[float], best: int) -> dict[str, float]:
    distributions = {parameter.name: _distribution(parameter) for parameter in space.parameters}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials(
        optuna.trial.create_trial(
            params={name: _encoded(space.by_name[name], value) for name, value in trial.configuration.items()},
            distributions={name: distributions[name] for name in trial.configuration},
            value=loss,
        )
        for trial, loss in zip(trials, losses, strict=True)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental; few trials of a kind
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=(best - 0.5) / len(trials))
        return evaluator.evaluate(study)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), count=st.integers(6, 60), best=st.integers(1, 5), distinct=st.integers(2, 60))
def test_the_importances_are_those_of_optuna(seed: int, count: int, best: int, distinct: int) -> None:
    space = many_sided_space()
    study = make_study(space)
    trials = [begun(Suggested(study.key(n), 0.0, space.sample("pedanova", seed, n % distinct), "strategy"), True) for n in range(count)]
    losses = [unit_at("loss", seed, number) for number in range(count)]
    is_best = np.array(losses) <= sorted(losses)[best - 1]
    (found,) = pedanova.importances([pedanova.column(parameter, trials) for parameter in space.parameters], [is_best])
    theirs = _optuna(space, trials, losses, best)
    for parameter, value in zip(space.parameters, found, strict=True):
        assert value == pytest.approx(theirs.get(parameter.name, 0.0), rel=1e-6, abs=1e-9), parameter.name
        assert math.isfinite(value)
