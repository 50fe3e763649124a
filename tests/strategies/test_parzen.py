"""The Parzen estimators and what Bayesian search makes of them, held against Optuna's."""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from automl.draws import seed_at, unit_at
from automl.events import Configuration, Value
from automl.space import Categorical, Float, Int, Parameter, SearchSpace
from automl.spec import Objective
from automl.strategies import make_strategy
from automl.strategies.parzen import Choices, Mixture, Range, propose
from automl.strategies.standing import standing
from automl.study import Study
from contracts.studies import COST, Play, continuous, make_study, many_sided_space, troubled

SCALES = {
    "line": Range(-1.0, 3.0),
    "log": Range(1e-4, 1e-1, log=True),
    "steps": Range(0, 12, step=3),
    "many steps": Range(1, 10**9, step=1),
    "log steps": Range(1, 40, log=True, step=1),
    "choices": Choices(3),
}


def drawn(scales: list[Range | Choices], count: int) -> np.ndarray[Any, Any]:
    """Points all over the place, as the prior draws them."""
    return Mixture(np.empty((0, len(scales))), scales).sample(np.random.RandomState(3), count)


def everywhere(scale: Range | Choices) -> tuple[np.ndarray[Any, Any], float]:
    """All coordinates, or many, and the width that each stands for."""
    match scale:
        case Choices(count):
            return np.arange(count, dtype=float), 1.0
        case Range(low, high, log, step) if step:
            numbers = np.arange(low, high + 1, step)
            return np.log(numbers) if log else numbers, 1.0
        case Range():
            low, high = scale.bounds
            return np.linspace(low, high, 4001), (high - low) / 4000


@pytest.mark.parametrize("name", [name for name in SCALES if name != "many steps"])
@pytest.mark.parametrize("count", [0, 1, 2, 30, 200])
def test_a_density_has_the_mass_one(name: str, count: int) -> None:
    scales = [SCALES[name]]
    coordinates, width = everywhere(scales[0])
    density = np.exp(Mixture(drawn(scales, count), scales).log_density(coordinates[:, None]))
    assert density.sum() * width == pytest.approx(1.0, abs=1e-3 if width < 1 else 1e-9)


@pytest.mark.parametrize("name", SCALES)
def test_draws_lie_on_the_scale_and_are_distributed_as_the_density_says(name: str) -> None:
    """E[log p(x)] over draws is the integral of p log p; here: over draws and over importance weighted draws of the prior."""
    scales = [SCALES[name]]
    mixture, prior = Mixture(drawn(scales, 20), scales), Mixture(np.empty((0, 1)), scales)
    draws, others = mixture.sample(np.random.RandomState(1), 20_000), prior.sample(np.random.RandomState(2), 20_000)
    weights = np.exp(mixture.log_density(others) - prior.log_density(others))
    assert weights.mean() == pytest.approx(1.0, abs=0.05)
    for function in (np.sin, np.cos, np.square):
        here, there = function(draws[:, 0]).mean(), (weights * function(others[:, 0])).mean()
        spread = function(others[:, 0]).std() + 1e-12
        assert abs(here - there) < 0.06 * spread
    scale = scales[0]
    if isinstance(scale, Range):
        assert draws.min() >= scale.nearest(np.array([-math.inf]))[0]
        assert draws.max() <= scale.nearest(np.array([math.inf]))[0]
        assert np.array_equal(draws, scale.nearest(draws)) or np.allclose(draws, scale.nearest(draws), rtol=1e-12)
    else:
        assert set(draws[:, 0]) == {0.0, 1.0, 2.0}


def test_a_density_is_the_product_over_independent_scales_of_one_kernel() -> None:
    """With the prior alone; and far from every kernel it is still finite."""
    scales = list(SCALES.values())
    points = drawn(scales, 7)
    apart = sum(Mixture(np.empty((0, 1)), [scale]).log_density(points[:, [i]]) for i, scale in enumerate(scales))
    assert Mixture(np.empty((0, len(scales))), scales).log_density(points) == pytest.approx(apart)
    assert np.isfinite(Mixture(points[:1].repeat(100, axis=0), scales).log_density(points)).all()


def test_the_proposal_is_where_good_is_likely_and_bad_is_not() -> None:
    scales = [Range(0.0, 1.0)]
    good = Mixture(np.array([[0.2], [0.8]]), scales)
    bad = Mixture(np.array([[0.79], [0.8], [0.81], [0.82]]), scales)
    found = [propose(good, bad, np.random.RandomState(seed), 24)[0] for seed in range(20)]
    assert np.mean([x < 0.5 for x in found]) >= 0.9


# -- beside Optuna ----------------------------------------------------------------------------------------------------


def distribution(parameter: Parameter) -> BaseDistribution | None:
    if parameter.size == 1:
        return None
    match parameter:
        case Float():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case Int() if parameter.log and parameter.step > 1:
            return FloatDistribution(0.0, 1.0)
        case Int():
            last = parameter.low + (int(parameter.size) - 1) * parameter.step
            return IntDistribution(parameter.low, last, log=parameter.log, step=parameter.step)
        case Categorical():
            return CategoricalDistribution(range(len(parameter.choices)))


def there(parameter: Parameter, value: Value) -> Any:
    """The value as Optuna's distribution has it."""
    if isinstance(parameter, Categorical):
        return parameter.index(value)
    return parameter.unit(value) if isinstance(distribution(parameter), FloatDistribution) and isinstance(parameter, Int) else value


def back(parameter: Parameter, value: Any) -> Value:
    if isinstance(parameter, Categorical):
        return parameter.choices[value]
    return parameter.at(value) if isinstance(distribution(parameter), FloatDistribution) and isinstance(parameter, Int) else value


def optunas(study: Study, n_candidates: int = 24) -> Configuration:
    """What Optuna's TPE suggests after the same trials, with the same seed: multivariate, grouped, running trials counted as bad."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        seed = seed_at(study.seed, "bayesian", len(study.trials), 0) % 2**32
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=0, n_ei_candidates=n_candidates, multivariate=True, group=True, constant_liar=True, seed=seed
        )
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    theirs = optuna.create_study(directions=["maximize" if each.maximize else "minimize" for each in study.objectives], sampler=sampler)
    optuna.logging.set_verbosity(verbosity)
    pruned = sorted(stands for each in study.trials if each.state == "pruned" and (stands := standing(each, study.objective)) is not None)
    for trial in study.trials:
        if trial.state == "lost":
            theirs.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
            continue
        params = {name: study.space.by_name[name] for name in trial.configuration if distribution(study.space.by_name[name]) is not None}
        create = partial(
            optuna.trial.create_trial,
            params={name: there(parameter, trial.configuration[name]) for name, parameter in params.items()},
            distributions={name: distribution(parameter) for name, parameter in params.items()},
        )
        curve = {report.epoch: report.value for report in trial.reports}
        match trial.state:
            case "waiting" | "running":
                theirs.add_trial(create(state=TrialState.RUNNING))
            case "complete":
                theirs.add_trial(create(state=TrialState.COMPLETE, values=study.values(trial)))
            case "pruned" if len(study.objectives) > 1:  # Optuna has none of these: they are less broken than the broken ones
                place = pruned.index(standing(trial, study.objective))
                score = {"trained": (1 + place) / (1 + len(pruned))}
                theirs.add_trial(create(state=TrialState.COMPLETE, values=[0.0] * len(study.objectives), constraints=score))
            case "pruned":
                theirs.add_trial(create(state=TrialState.PRUNED, intermediate_values=curve))
            case _:
                theirs.add_trial(create(state=TrialState.COMPLETE, values=[0.0] * len(study.objectives), constraints={"trained": 1.0}))
    asking = theirs.ask()
    together = sampler.sample_relative(theirs, asking._get_latest_trial(), sampler.infer_relative_search_space(theirs, asking))

    def choose(parameter: Parameter) -> Value:
        its = distribution(parameter)
        if its is None:
            return parameter.at(0.5)
        if parameter.name in together:
            return back(parameter, together[parameter.name])
        return back(parameter, sampler.sample_independent(theirs, asking._get_latest_trial(), parameter.name, its))

    return study.space.configure(choose)


@pytest.fixture
def _stable_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna sorts equal observations in an order that depends on the processor; ours is by age. That is the only difference."""
    monkeypatch.setattr(np, "argsort", partial(np.argsort, kind="stable"))


@pytest.mark.usefixtures("_stable_order")
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("space", [continuous(4), SearchSpace(many_sided_space().parameters)], ids=["continuous", "many-sided"])
@pytest.mark.parametrize("further", [(), (COST,)], ids=["one", "two"])
def test_it_suggests_what_optunas_tpe_does(space: SearchSpace, maximize: bool, further: tuple[Objective, ...]) -> None:
    """The same history, pruned, broken, lost and running trials included, and the same seed."""
    study = make_study(space, seed=7, maximize=maximize, further=further)
    strategy = make_strategy("bayesian", {}, space, 1 + len(further))
    compared = 0

    def compare(played: Play) -> None:
        nonlocal compared
        if len(study.trials) % 7 or study.ended < 40:
            return
        (ours,), theirs = strategy.suggest(study, 1), optunas(study)
        if study.knows(theirs):
            return  # ours tries again
        assert ours.keys() == theirs.keys()
        assert all(ours[name] == (pytest.approx(value, rel=1e-7) if isinstance(value, float) else value) for name, value in theirs.items())
        compared += 1

    troubled(study, strategy, 160, 3, compare)
    assert compared >= 10


# -- as a study grows -------------------------------------------------------------------------------------------------


def grown(trials: int) -> Study:
    study = make_study(continuous(2), seed=1, maximize=False)
    played = Play(study)
    for number in range(trials):
        x, y = unit_at("x", number), unit_at("y", number)
        played.train(played.suggest({"x0": x, "x1": y}), [(x - 0.3) ** 2 + (y - 0.7) ** 2])
    return study


def test_up_to_525_trials_all_count_and_of_more_all_good_ones_and_500_bad_ones() -> None:
    from automl.strategies.bayesian import Bayesian

    chosen = {}
    for trials in (525, 526, 900):
        study = grown(trials)
        strategy = Bayesian(study.space, 10, 24)
        strategy.suggest(study, 1)
        split = strategy._divided()
        assert {*split.good.tolist()} == {trial.number for trial in study.ranked()[:25]}
        assert set(split.bad).isdisjoint(split.good.tolist())
        chosen[trials] = set(split.bad)
    assert [len(bad) for bad in chosen.values()] == [500] * 3
    assert len(chosen[525] - chosen[526]) <= 2, "one more trial changes hardly anything"
    assert 150 < sum(number >= 525 for number in chosen[900]) < 270, "new ones count as often as old ones"


def test_after_a_thousand_trials_it_is_still_where_the_optimum_is() -> None:
    study = grown(1000)
    batch = make_strategy("bayesian", {}, study.space).suggest(study, 32)
    distance = [math.hypot(float(c["x0"]) - 0.3, float(c["x1"]) - 0.7) for c in batch]  # type: ignore[arg-type]
    assert sorted(distance)[16] < 0.15
    assert len({study.space.key(configuration) for configuration in batch}) == 32
