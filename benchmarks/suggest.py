"""What a suggestion costs against the size of the study, for every strategy, beside Optuna's own sampler with the same history.

    python benchmarks/suggest.py [--sizes 10,100,1000,10000] [--batches 1,16] [--asks 15] [--strategies bayesian,...] [--two] [--json]

Eight parameters, one of them conditional; ``--two``: with a second objective. All sides of a row are asked in turn in the same process, so
many configurations at once as the row's batch says; the answers become complete trials before the next question. Times are of the CPU and
for one suggestion, the median of the questions. ``cold`` is the first suggestion of a strategy that has to take in the whole study, as
after a restart. Beside each strategy stands Optuna's sampler of the same kind, as far as it has one: TPE with the same options, a Gaussian
process, CMA-ES, NSGA-II, random and quasi-random draws. (Its grid cannot be conditional.) Optuna is asked up to 1,000 trials, its
Gaussian process up to 100.
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
from automl.study import Study
from automl.trials import Suggested

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

COST = Objective("cost", maximize=False)
SAMPLERS: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
    "random": lambda: optuna.samplers.RandomSampler(seed=0),
    "sobol": lambda: optuna.samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=0),
    "bayesian": lambda: optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=0),
    "gp": lambda: optuna.samplers.GPSampler(seed=0),
    "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=0),
    "evolution": lambda: optuna.samplers.NSGAIISampler(seed=0),
}
MOST_TRIALS = {"gp": 100}  # of Optuna's; 1,000 for the others


def value(configuration: Configuration) -> float:
    return sum((unit - 0.3) ** 2 for unit in SPACE.encode(configuration))


def cost(configuration: Configuration) -> float:
    return sum((unit - 0.7) ** 2 for unit in SPACE.encode(configuration))


def new_study(two: bool) -> Study:
    objective = Objective("loss", maximize=False)
    further = (COST,) if two else ()
    return Study(
        "benchmark", StudySpec("benchmark", DataSpec(""), "mlp", objective, 1, SPACE, settings=StudySettings(), further=further), objective
    )


def add(study: Study, configuration: Configuration) -> None:
    key = study.key(len(study.trials))
    study.apply(Suggested(key, 0.0, configuration, "strategy", measures={"cost": cost(configuration)}))
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


def optunas_own(name: str, study: Study) -> Callable[[int], None]:
    """Optuna's ask and tell over the same history."""
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    theirs = optuna.create_study(directions=["minimize"] * len(study.objectives), sampler=SAMPLERS[name]())
    for trial in study.trials:
        distributions = {each: distribution(SPACE.by_name[each]) for each in trial.configuration}
        params, values = dict(trial.configuration), study.values(trial)
        theirs.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, values=values))

    def ask(count: int) -> None:
        trials = [theirs.ask() for _ in range(count)]
        answers = [SPACE.configure(lambda parameter, trial=trial: choose(parameter, trial)) for trial in trials]  # type: ignore[misc]
        for trial, answer in zip(trials, answers, strict=True):
            theirs.tell(trial, [value(answer), cost(answer)][: len(study.objectives)])

    return ask


def distribution(parameter: Any) -> optuna.distributions.BaseDistribution:
    match parameter:
        case Int():
            return optuna.distributions.IntDistribution(parameter.low, parameter.high, log=parameter.log)
        case Float():
            return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case _:
            return optuna.distributions.CategoricalDistribution(parameter.choices)


def history(size: int, two: bool) -> Study:
    study = new_study(two)
    for number in range(size):
        add(study, SPACE.sample("history", number))
    return study


def ours(name: str, study: Study) -> Callable[[int], None]:
    strategy = make_strategy(name, {}, SPACE, len(study.objectives))

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
    parser.add_argument("--two", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    names, batches = arguments.strategies.split(","), [int(batch) for batch in arguments.batches.split(",")]
    if arguments.two:
        names = [name for name in names if name != "cmaes"]
    rows = [row for size in arguments.sizes.split(",") for row in measure(int(size), names, batches, arguments.asks, arguments.two)]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    columns = [side for name in names for side in (name, optunas(name)) if side == name or name in SAMPLERS]
    print(f"{'CPU milliseconds':26}" + "".join(f"{column:>20}" for column in columns))
    for row in rows:
        times = (row["milliseconds"].get(column) for column in columns)
        print(f"{row['trials']:>6} trials, {row['asked']:11}" + "".join(f"{'-' if time is None else f'{time:.2f}':>20}" for time in times))


def optunas(name: str) -> str:
    """What stands over Optuna's column."""
    return f"Optuna ({name})"


def measure(size: int, names: Sequence[str], batches: Sequence[int], asks: int, two: bool) -> list[dict[str, Any]]:
    """Milliseconds a suggestion from this size on, by strategy: the first one, and the median of the next ones in each size of batch."""
    sides: dict[str, Callable[[int], None]] = {}
    for name in names:
        sides[name] = ours(name, history(size, two))
        if name in SAMPLERS and size <= MOST_TRIALS.get(name, 1000):
            sides[optunas(name)] = optunas_own(name, history(size, two))
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
