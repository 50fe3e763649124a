"""Strategies are asked for by name, with options; what cannot be is answered before anything heavy is loaded."""

import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from automl import options
from automl.errors import UsageError
from automl.events import Value
from automl.strategies import STRATEGIES, check_strategy, make_strategy
from contracts.studies import cube, make_study


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        (
            "bayesain",
            {},
            "--strategy: 'bayesain' is not a strategy. Strategies: grid, random, sobol, bayesian, gp, cmaes, evolution. "
            "Did you mean 'bayesian'?",
        ),
        ("xyz", {}, "--strategy: 'xyz' is not a strategy. Strategies: grid, random, sobol, bayesian, gp, cmaes, evolution."),
        (
            "cmaes",
            {"sigma": 0},
            "--strategy cmaes: sigma must be a number above 0 and at most 1, but is 0. Leave it out for the default (0.3).",
        ),
        (
            "cmaes",
            {"population": 3},
            "--strategy cmaes: population must be a whole number of at least 4, but is 3. Leave it out for the default.",
        ),
        (
            "evolution",
            {"tournment": 3},
            "--strategy evolution: 'tournment' is not an option. Options: population, tournament. Did you mean 'tournament'?",
        ),
        (
            "bayesian",
            {"n_statrup": 5},
            "--strategy bayesian: 'n_statrup' is not an option. Options: n_startup, n_candidates. Did you mean 'n_startup'?",
        ),
        ("random", {"seed": 5}, "--strategy random: 'seed' is not an option. random takes no options: leave it out."),
        (
            "bayesian",
            {"n_startup": 0},
            "--strategy bayesian: n_startup must be a whole number of at least 1, but is 0. Leave it out for the default (10).",
        ),
        (
            "bayesian",
            {"n_candidates": "many"},
            "--strategy bayesian: n_candidates must be a whole number of at least 1, but is 'many'. Leave it out for the default (24).",
        ),
        (
            "bayesian",
            {"n_startup": True},
            "--strategy bayesian: n_startup must be a whole number of at least 1, but is True. Leave it out for the default (10).",
        ),
        (
            "bayesian",
            {"n_startup": None},
            "--strategy bayesian: n_startup must be a whole number of at least 1, but is None. Leave it out for the default (10).",
        ),
    ],
)
def test_what_cannot_be_is_answered_with_what_can(name: str, given: Mapping[str, Value], sentence: str) -> None:
    for door in (check_strategy, make_strategy):
        with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
            door(name, given, cube(1, 3))


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_can_be_made_with_its_defaults_written_out(name: str) -> None:
    space = cube(1, 3)
    defaults = check_strategy(name, {}, space)
    assert defaults == {setting.name: setting.default for setting in STRATEGIES[name].settings}
    assert len(make_strategy(name, defaults, space).suggest(make_study(space), 2)) == 2


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategys_path_leads_to_a_class_that_names_its_source(name: str) -> None:
    assert options.load(STRATEGIES[name]).__doc__


def test_checking_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from automl.space import Int, SearchSpace\n"
        "from automl.strategies import check_strategy\n"
        "from automl.pruners import check_pruner\n"
        "check_strategy('bayesian', {'n_startup': 3}, SearchSpace((Int('x', 0, 3),)))\n"
        "check_pruner('asha', {}, 10)\n"
        "print([name for name in ('optuna', 'numpy', 'torch', 'mlflow') if name in sys.modules])\n"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
