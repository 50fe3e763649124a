"""What a suggestion costs against the size of the study, beside Optuna's own sampler with the same options and the same history.

    python benchmarks/suggest.py [--sizes 10,100,1000,10000] [--batches 1,16] [--asks 15] [--strategies bayesian,...] [--json]

Eight parameters, one of them conditional. All sides of a row are asked in turn in the same process, so many configurations at once as the
row's batch says; the answers become complete trials before the next question. Times are of the CPU and for one suggestion, the median of
the questions. ``cold`` is the first suggestion of a strategy that has to take in the whole study, as after a restart. Optuna's sampler is
asked up to 1,000 trials.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
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

THEIRS = "Optuna's own TPE"


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


def optunas_own(study: Study) -> Callable[[int], None]:
    """Optuna's ask and tell over the same history."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=0)
    theirs = optuna.create_study(sampler=sampler)
    for trial in study.trials:
        distributions = {name: distribution(SPACE.by_name[name]) for name in trial.configuration}
        theirs.add_trial(optuna.trial.create_trial(params=dict(trial.configuration), distributions=distributions, value=trial.objective))

    def ask(count: int) -> None:
        trials = [theirs.ask() for _ in range(count)]
        answers = [SPACE.configure(lambda parameter, trial=trial: choose(parameter, trial)) for trial in trials]  # type: ignore[misc]
        for trial, answer in zip(trials, answers, strict=True):
            theirs.tell(trial, value(answer))

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


def ours(name: str, study: Study) -> Callable[[int], None]:
    strategy = make_strategy(name, {}, SPACE)

    def ask(count: int) -> None:
        for configuration in strategy.suggest(study, count):
            add(study, configuration)

    return ask


def milliseconds(ask: Callable[[int], None], count: int) -> float:
    """CPU time of one suggestion of so many."""
    began = time.process_time()
    ask(count)
    return 1e3 * (time.process_time() - began) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,100,1000,10000")
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--asks", type=int, default=15)
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    names, batches = arguments.strategies.split(","), [int(batch) for batch in arguments.batches.split(",")]
    rows = [row for size in arguments.sizes.split(",") for row in measure(int(size), names, batches, arguments.asks)]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'CPU milliseconds':26}" + "".join(f"{name:>18}" for name in [*names, THEIRS]))
    for row in rows:
        times = (row["milliseconds"].get(name) for name in [*names, THEIRS])
        print(f"{row['trials']:>6} trials, {row['asked']:11}" + "".join(f"{'-' if time is None else f'{time:.2f}':>18}" for time in times))


def measure(size: int, names: Sequence[str], batches: Sequence[int], asks: int) -> list[dict[str, Any]]:
    """Milliseconds a suggestion from this size on, by strategy: the first one, and the median of the next ones in each size of batch."""
    sides = {name: ours(name, history(size)) for name in names}
    if size <= 1000:
        sides[THEIRS] = optunas_own(history(size))
    rows = [{"trials": size, "asked": "cold", "milliseconds": {name: milliseconds(ask, 1) for name, ask in sides.items()}}]
    for batch in batches:
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(asks):
            for name, ask in sides.items():
                times[name].append(milliseconds(ask, batch))
        medians = {name: statistics.median(each) for name, each in times.items()}
        rows.append({"trials": size, "asked": f"{batch} at once", "milliseconds": medians})
    return rows


if __name__ == "__main__":
    main()
