"""Ours: the command line as a user types it, with the package that is installed for this Python; its events say what happened."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from automl.events import Reported, Started
from automl.store import Store
from automl.trials import Suggested
from throughput_parts.work import Answer, Trained, Work


def command(work: Work, space: Path, options: Sequence[str]) -> list[str]:
    """``automl run`` for this work; ``options`` are more flags."""
    flags = {
        "--study": f"{work.folder}/study",
        "--strategy": "random",
        "--pruner": "none",
        "--trials": str(work.trials),
        "--epochs": str(work.epochs),
        "--seed": str(work.seed),
        "--devices": work.device,
        "--mlflow": work.tracking or "off",
    }
    return [sys.executable, "-m", "automl", "run", str(space), *(text for flag in flags.items() for text in flag), *options, "--json"]


def run(work: Work, space: Path, options: Sequence[str], environment: Mapping[str, str]) -> Answer:
    """Run the study. It has ended when the process has, with everything tracked and the winner tested."""
    with (Path(work.folder) / "log.txt").open("w") as log:
        subprocess.run(command(work, space, options), stdout=log, stderr=log, env=dict(environment), cwd=work.folder, check=True)
    return answer(Path(work.folder) / "study", time.time())


def answer(folder: Path, ended: float) -> Answer:
    """What the events of a study say of its trials."""
    configurations, started = dict[int, Mapping[str, object]](), dict[int, float]()
    epochs: dict[int, list[tuple[float, float]]] = {}
    with Store.read_only(folder) as store:
        fixed = dict(store.study().spec.space.fixed)
        for _, event in store.events():
            match event:
                case Suggested():
                    configurations[event.key.trial], epochs[event.key.trial] = event.configuration, []
                case Started():
                    started[event.key.trial] = event.at
                case Reported():
                    epochs[event.key.trial].append((event.at, event.metrics["accuracy"]))
    trials = [
        Trained({**fixed, **configurations[number]}, at, [value for _, value in epochs[number]], [when for when, _ in epochs[number]])
        for number, at in started.items()
    ]
    return Answer(trials, ended)
