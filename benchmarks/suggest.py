"""What a suggestion costs against the size of the study, beside Optuna's own sampler with the same options and the same history.

    python benchmarks/suggest.py [--sizes 10,100,1000,5000] [--asks 15] [--json]

Eight parameters, one of them conditional. Both sides of a row are asked in turn in the same process; each answer becomes a complete trial.
Times are of the CPU. ``cold`` is the first suggestion of a strategy that has to take in the whole study, as after a restart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import optuna

from automl.events import Configuration, Finished, Reported
from automl.space import Categorical, Condition, Float, Int, SearchSpace
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.strategies import STRATEGIES, make_strategy
from automl.study import Study, Suggested

SPACE = SearchSpace(
    (
        Int("layers", 1, 4),
        Int("units", 16, 512, log=True),
        Categorical("activation", ("relu", "gelu", "tanh")),
        Categorical("optimizer", ("adam", "sgd", "rmsprop")),
        Float("learning_rate", 1e-4, 1e-1, log=True, grid=(1e-4, 1e-3, 1e-2, 1e-1)),
        Float("momentum", 0.0, 0.99, grid=(0.0, 0.5, 0.9), when=(Condition("optimizer", "in", ("sgd",)),)),
        Float("dropout", 0.0, 0.5, grid=(0.0, 0.25, 0.5)),
        Float("l2", 1e-7, 1e-2, log=True, grid=(1e-7, 1e-4, 1e-2)),
    )
)


def value(configuration: Configuration) -> float:
    return sum((unit - 0.3) ** 2 for unit in SPACE.encode(configuration))


def new_study() -> Study:
    objective = Objective("loss", maximize=False)
    return Study("benchmark", StudySpec("benchmark", DataSpec(""), "mlp", objective, 1, SPACE, settings=StudySettings()), objective)


def add(study: Study, configuration: Configuration) -> None:
    key = study.key(len(study.trials))
    study.apply(Suggested(key, 0.0, configuration, "strategy"))
    study.apply(Reported(key, 0.0, 1, {"loss": value(configuration)}, 0.1))
    study.apply(Finished(key, 0.0))


def choose(parameter: Any, trial: optuna.Trial) -> Any:
    match parameter:
        case Int():
            return trial.suggest_int(parameter.name, parameter.low, parameter.high, log=parameter.log)
        case Float():
            return trial.suggest_float(parameter.name, parameter.low, parameter.high, log=parameter.log)
        case _:
            return trial.suggest_categorical(parameter.name, parameter.choices)


def optunas_own(study: Study) -> Callable[[], None]:
    """Optuna's ask and tell over the same history."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=0)
    theirs = optuna.create_study(sampler=sampler)
    for trial in study.trials:
        distributions = {name: distribution(SPACE.by_name[name]) for name in trial.configuration}
        theirs.add_trial(optuna.trial.create_trial(params=dict(trial.configuration), distributions=distributions, value=trial.objective))

    def ask() -> None:
        trial = theirs.ask()
        theirs.tell(trial, value(SPACE.configure(lambda parameter: choose(parameter, trial))))

    return ask


def distribution(parameter: Any) -> optuna.distributions.BaseDistribution:
    match parameter:
        case Int():
            return optuna.distributions.IntDistribution(parameter.low, parameter.high, log=parameter.log)
        case Float():
            return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case _:
            return optuna.distributions.CategoricalDistribution(parameter.choices)


def history(size: int) -> Study:
    study = new_study()
    for number in range(size):
        add(study, SPACE.sample("history", number))
    return study


def ours(name: str, study: Study) -> Callable[[], None]:
    strategy = make_strategy(name, {}, SPACE)

    def ask() -> None:
        (configuration,) = strategy.suggest(study, 1)
        add(study, configuration)

    return ask


def seconds(ask: Callable[[], None]) -> float:
    began = time.process_time()
    ask()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,100,1000,5000")
    parser.add_argument("--asks", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [measure(int(size), arguments.asks) for size in arguments.sizes.split(",")]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'CPU milliseconds':20}" + "".join(f"{name:>18}" for name in rows[0]["warm"]))
    for row in rows:
        print(f"{row['trials']:>6} trials       " + "".join(f"{time:18.2f}" for time in row["warm"].values()))
        print(f"{'        cold':20}" + "".join(f"{time:18.2f}" for time in row["cold"].values()))


def measure(size: int, asks: int) -> dict[str, Any]:
    """Milliseconds a suggestion at this size, by strategy: the first one, and the median of the next ones."""
    sides = {name: ours(name, history(size)) for name in STRATEGIES} | {"Optuna's own TPE": optunas_own(history(size))}
    cold = {name: 1e3 * seconds(ask) for name, ask in sides.items()}
    warm: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(asks):
        for name, ask in sides.items():
            warm[name].append(1e3 * seconds(ask))
    return {"trials": size, "warm": {name: statistics.median(times) for name, times in warm.items()}, "cold": cold}


if __name__ == "__main__":
    main()
