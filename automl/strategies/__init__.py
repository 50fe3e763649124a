"""How configurations are chosen."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol

from automl import options as methods
from automl.errors import UsageError
from automl.events import Configuration, Value
from automl.families import Setting
from automl.options import Method
from automl.space import SearchSpace
from automl.study import Study


class Strategy(Protocol):
    """Suggests configurations.

    A plain function of what has happened (waiting and running trials included) and the study's seed: it keeps no state that a
    restart would lose. Caches that are functions of the events are fine. The laws are in ``tests/contracts/strategy.py``:

    - every suggestion lies in the space and no configuration is suggested that the study knows already (a grid may ask once more for a
      point whose trial was lost);
    - the same study gives the same suggestions in another process;
    - the n-th trial of a study depends on the study's events, its seed and n.
    """

    def suggest(self, study: Study, count: int) -> list[Configuration]:
        """Configurations of the trials ``len(study.trials)``, ``len(study.trials) + 1``, ...

        Fewer than ``count``: the space is used up.
        """


_N_STARTUP = Setting("n_startup", "int", 10, "trials with a value before the model is used; random draws until then", low=1)

STRATEGIES: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("grid", "every combination of the grid's points, in an order that spreads", "automl.strategies.grid:Grid"),
        Method("random", "uniform draws from the space, without repeats", "automl.strategies.uniform:Random"),
        Method("sobol", "quasi-random points, which fill the space more evenly than random ones", "automl.strategies.sobol:Sobol"),
        Method(
            "bayesian",
            "a model of good and bad regions (TPE, multivariate and grouped)",
            "automl.strategies.bayesian:Bayesian",
            (
                _N_STARTUP,
                Setting("n_candidates", "int", 24, "draws from the model, of which the most promising is taken", low=1),
            ),
            learns=True,
        ),
        Method(
            "gp",
            "a Gaussian process, for a few parameters that are mostly numbers",
            "automl.strategies.gp:GaussianProcess",
            (_N_STARTUP,),
            learns=True,
        ),
        Method(
            "cmaes",
            "a normal distribution that moves and turns towards what is better (CMA-ES)",
            "automl.strategies.cmaes:CmaEs",
            (
                Setting("population", "int", None, "trials of a generation; null: 4 + 3 ln(parameters), rounded down", low=4),
                Setting(
                    "sigma", "float", 0.3, "the first standard deviation, of the range of each parameter", low=0, high=1, low_open=True
                ),
            ),
            learns=True,
        ),
        Method(
            "evolution",
            "changes of the best of recent trials, one parameter at a time (regularised evolution)",
            "automl.strategies.evolution:Evolution",
            (
                Setting("population", "int", 20, "trials that are remembered, the latest; random draws until there are so many", low=2),
                Setting("tournament", "int", 5, "of the population, drawn for each suggestion; the best of them is changed", low=1),
            ),
            learns=True,
        ),
    )
}

_CHECKED = ("grid", "sobol", "gp")  # their modules have ``check``: not every space will do
_FOR_ONE_OBJECTIVE = ("cmaes",)  # one normal distribution cannot be everywhere on a front


def check_strategy(name: str, options: Mapping[str, Value], space: SearchSpace, objectives: int = 1) -> dict[str, Value]:
    """The options with their defaults. Raises UsageError for what cannot work with this space and so many objectives; loads nothing
    heavy."""
    method = methods.find("--strategy", "Strategies", name, STRATEGIES)
    if objectives > 1 and name in _FOR_ONE_OBJECTIVE:
        raise UsageError(
            f"--strategy {name}: there must be one objective, but there are {objectives}. Take --strategy bayesian or evolution."
        )
    completed = methods.complete("--strategy", method, options)
    if name in _CHECKED:
        importlib.import_module(STRATEGIES[name].path.partition(":")[0]).check(space)
    return completed


def make_strategy(name: str, options: Mapping[str, Value], space: SearchSpace, objectives: int = 1) -> Strategy:
    """The strategy of this name. Raises UsageError as ``check_strategy`` does."""
    completed = check_strategy(name, options, space, objectives)
    strategy: Strategy = methods.load(STRATEGIES[name])(space, **completed)
    return strategy
