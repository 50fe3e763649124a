"""A peer: Optuna with every trial and epoch in MLflow. ``python optuna_mlflow.py WORK`` runs a study and writes its answer.

What makes it fast, all of it documented: one ``log_batch`` a trial with all epochs and parameters, no intermediate values for
Optuna where nothing is pruned, an in-memory study (or, of several processes, a journal file), and the training of ``network``. What is
left to choose (``Settings``) is measured by the benchmark on the machine that it runs on.

Tried on two busy cores, tracked trials an hour in one round of 16 trials each: two threads 5,900, two threads with MLflow's queue
6,800, two processes 3,500 (with the queue 5,000), two threads with a DataLoader 4,400, one job with two threads of torch's 800. MLflow's
own Optuna storage is left out: its cost grows with every trial.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import network
import optuna
import torch
from work import Answer, Settings, Trained, Work


class Records:
    """The MLflow side of a study; nothing at all where it is not tracked."""

    def __init__(self, work: Work, settings: Settings) -> None:
        self._address, self._asynchronous, self._pending = work.tracking, settings.asynchronous, list[Any]()

    def open(self, *, is_first: bool) -> None:
        """Connect. The first process makes the experiment before any other connects: only one may set up a new store."""
        if not self._address:
            return
        from mlflow import MlflowClient

        self._client = MlflowClient(self._address)
        if is_first:
            self._client.create_experiment("throughput")
        experiment = self._client.get_experiment_by_name("throughput")
        assert experiment is not None
        self._experiment = experiment.experiment_id

    def write(self, number: int, values: Mapping[str, Any], epochs: Sequence[tuple[float, Mapping[str, float]]]) -> None:
        """A run, its parameters and all its epochs."""
        if not self._address:
            return
        from mlflow.entities import Metric, Param

        run = self._client.create_run(self._experiment, run_name=str(number)).info.run_id
        metrics = [Metric(name, value, int(1000 * at), step) for step, (at, epoch) in enumerate(epochs, 1) for name, value in epoch.items()]
        params = [Param(name, str(value)) for name, value in values.items()]
        written = self._client.log_batch(run, metrics, params, synchronous=not self._asynchronous)
        if written:
            self._pending.append(written)
        self._client.set_terminated(run)

    def finish(self) -> None:
        """Wait until everything is written."""
        for written in self._pending:
            written.wait()


def suggest(trial: optuna.Trial, work: Work) -> dict[str, Any]:
    """A configuration of the space."""
    values = dict(work.fixed)
    for parameter in work.parameters:
        name = parameter["name"]
        if any(values.get(other) not in among for other, _, among in parameter["when"]):
            continue
        match parameter["type"]:
            case "int":
                values[name] = trial.suggest_int(name, parameter["low"], parameter["high"], log=parameter["log"])
            case "float":
                values[name] = trial.suggest_float(name, parameter["low"], parameter["high"], log=parameter["log"])
            case _:
                values[name] = trial.suggest_categorical(name, parameter["choices"])
    return values


class Objective:
    """Trains and tracks a trial; keeps what the benchmark wants to know of it."""

    def __init__(self, work: Work, settings: Settings, records: Records) -> None:
        self.trained: list[Trained] = []
        self._work, self._settings, self._records = work, settings, records
        self._data = network.read_data(work.data, work.device, work.model)

    def __call__(self, trial: optuna.Trial) -> float:
        work, started = self._work, time.time()
        values = suggest(trial, work)
        epochs = network.train(work.model, values, self._data, work.epochs, use_loader=self._settings.loader)
        told = [(time.time(), metrics) for metrics in epochs]
        self._records.write(trial.number, values, told)
        trained = Trained(values, started, [metrics["accuracy"] for _, metrics in told], [at for at, _ in told])
        self.trained.append(trained)
        return trained.best


def in_threads(work: Work, settings: Settings) -> None:
    """One process, ``n_jobs`` threads."""
    records = Records(work, settings)
    records.open(is_first=True)
    objective = Objective(work, settings, records)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(work.seed))
    study.optimize(objective, work.trials, n_jobs=settings.jobs)
    records.finish()
    Answer(objective.trained, time.time()).write(work.folder)


def in_processes(work: Work, settings: Settings) -> None:
    """Many processes that share a journal file, each with an Optuna of its own, as Optuna's tutorial on many processes has it."""
    context = multiprocessing.get_context("fork")  # torch and MLflow are imported once for all of them
    left, store_is_there = context.Value("i", work.trials), context.Event()
    optuna.create_study(storage=journal(work), study_name="throughput", direction="maximize")
    if work.tracking:
        import mlflow  # noqa: F401  (for the children)
    workers = [context.Process(target=one_process, args=(work, settings, number, left, store_is_there)) for number in range(settings.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a worker failed")
    answers = [Answer.read(part(work, number)) for number in range(settings.jobs)]
    Answer([trial for answer in answers for trial in answer.trials], max(answer.ended for answer in answers)).write(work.folder)


def one_process(work: Work, settings: Settings, number: int, left: Any, store_is_there: Any) -> None:
    """One of them: takes trials until none is left."""
    torch.manual_seed(work.seed * 1000 + number)  # else all would shuffle and drop alike
    records = Records(work, settings)
    if number:
        store_is_there.wait()
    records.open(is_first=number == 0)
    store_is_there.set()
    objective = Objective(work, settings, records)
    sampler = optuna.samplers.RandomSampler(work.seed * 1000 + number)
    study = optuna.load_study(storage=journal(work), study_name="throughput", sampler=sampler)
    if taken(left):
        study.optimize(objective, callbacks=[stopping(left)])
    records.finish()
    folder = part(work, number)
    folder.mkdir()
    Answer(objective.trained, time.time()).write(folder)


def journal(work: Work) -> optuna.storages.JournalStorage:
    """A file in the folder of the work."""
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(f"{work.folder}/journal"))


def part(work: Work, number: int) -> Path:
    return Path(work.folder) / f"part-{number}"


def taken(left: Any) -> bool:
    """Whether there was a trial left to take."""
    with left.get_lock():
        left.value -= 1
        return bool(left.value >= 0)


def stopping(left: Any) -> Callable[[optuna.Study, Any], None]:
    """Stops this process's share of the study when no trial is left."""

    def callback(study: optuna.Study, _: Any) -> None:
        if not taken(left):
            study.stop()

    return callback


def main() -> None:
    """Run the study of a work file."""
    work = Work.read(sys.argv[1])
    settings = Settings.parse(work.settings)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // settings.jobs))
    torch.manual_seed(work.seed)
    (in_processes if settings.processes else in_threads)(work, settings)


if __name__ == "__main__":
    main()
