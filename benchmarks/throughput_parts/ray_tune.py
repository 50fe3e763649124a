"""A peer: Ray Tune with its MLflow callback. ``python ray_tune.py WORK`` runs a study and writes its answer.

Actors are reused, each with one thread and the data in memory; Ray's own loggers of files are off. Its callback writes to MLflow once
an epoch. Tried on two busy cores, trials an hour after start-up in one round of 16 trials each: tracked 1,800, with buffered results
(``TUNE_RESULT_BUFFER_LENGTH``) 1,300; without tracking 6,900, buffered 7,300.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "PYTHONPATH": str(Path(__file__).parent),  # so that the actors find what this script imports
}

import network
import ray
import torch
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from work import Answer, Settings, Trained, Work


class Training(tune.Trainable):
    """A trial; a step is an epoch."""

    def setup(self, config: Mapping[str, Any], work: Work) -> None:  # type: ignore[override]
        torch.set_num_threads(1)
        self._work = work
        self._data = network.read_data(work.data, work.device, work.model)
        self.reset_config(config)

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """Another trial in the same actor."""
        self._epochs = network.train(self._work.model, {**self._work.fixed, **new_config}, self._data, self._work.epochs)
        return True

    def step(self) -> dict[str, Any]:
        """An epoch, or the end of a trial that diverged."""
        metrics = next(self._epochs, None)
        return {"done": True, "accuracy": 0.0} if metrics is None else metrics


class Watch(tune.Callback):
    """Keeps what the benchmark wants to know, in the driver."""

    def __init__(self) -> None:
        self.started: dict[str, float] = {}
        self.configurations: dict[str, Mapping[str, Any]] = {}
        self.epochs: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.started.setdefault(trial.trial_id, time.time())
        self.configurations[trial.trial_id] = trial.config

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any) -> None:
        self.epochs[trial.trial_id].append((time.time(), result["accuracy"]))

    def answer(self, work: Work) -> Answer:
        """What it has seen."""
        trials = [
            Trained(
                {**work.fixed, **self.configurations[key]}, at, [value for _, value in self.epochs[key]], [t for t, _ in self.epochs[key]]
            )
            for key, at in self.started.items()
        ]
        return Answer(trials, time.time())


def domain(parameter: Mapping[str, Any]) -> Any:
    """A parameter in Ray's words; its upper bounds of whole numbers are exclusive."""
    low, high, log = parameter.get("low", 0), parameter.get("high", 0), parameter.get("log", False)
    match parameter["type"]:
        case "int":
            return tune.lograndint(low, high + 1) if log else tune.randint(low, high + 1)
        case "float":
            return tune.loguniform(low, high) if log else tune.uniform(low, high)
        case _:
            return tune.choice(parameter["choices"])


def main() -> None:
    """Run the study of a work file."""
    work = Work.read(sys.argv[1])
    settings = Settings.parse(work.settings)
    on_gpu = work.device.startswith("cuda")
    ray.init(num_cpus=settings.jobs, include_dashboard=False, log_to_driver=False)
    watch = Watch()
    callbacks: list[Any] = [watch]
    if work.tracking:
        callbacks.append(MLflowLoggerCallback(work.tracking, experiment_name="throughput"))
    share = {"cpu": 1, "gpu": 1 / settings.jobs} if on_gpu else {"cpu": 1}
    trainable = tune.with_resources(tune.with_parameters(Training, work=work), share)
    tuner = tune.Tuner(
        trainable,
        param_space={parameter["name"]: domain(parameter) for parameter in work.parameters},
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            num_samples=work.trials,
            max_concurrent_trials=settings.jobs,
            reuse_actors=True,
            search_alg=tune.search.BasicVariantGenerator(random_state=work.seed, max_concurrent=settings.jobs),
        ),
        run_config=tune.RunConfig(
            storage_path=f"{work.folder}/ray",
            stop={"training_iteration": work.epochs},
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=callbacks,
            verbose=0,
        ),
    )
    tuner.fit()
    watch.answer(work).write(work.folder)
    ray.shutdown()


if __name__ == "__main__":
    main()
