"""Studies on disk for tests: a real ``study.db`` of simulated trials. Nothing trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from automl import spacefile
from automl.events import Diverged, Failed, Finished, Reported, Started
from automl.store import Store
from automl.study import Study
from automl.trials import Created, Event, Pruned, Rested, Resumed, Suggested

SPACE = """\
name: small
data: digits
model: mlp
objective: {maximize: accuracy}
epochs: 4
space:
  units:         {type: int, low: 8, high: 64}
  optimizer:     {type: categorical, choices: [adam, sgd]}
  learning_rate: {type: float, low: 1e-4, high: 1e-1, log: true}
  momentum:      {type: float, low: 0.0, high: 0.9, when: {optimizer: sgd}}
  schedule:      cosine
baseline: {units: 8, optimizer: adam, learning_rate: 0.001}
study: {strategy: random, pruner: none, trials: 5}
"""


def stored_study(folder: Path, trials: int = 5) -> Path:
    """A study that is done: the baseline, a better trial, one that was pruned, one that failed and one that diverged; or none of them."""
    folder.mkdir(parents=True)
    (folder / "space.yaml").write_text(SPACE)
    spec = replace(spacefile.load(folder / "space.yaml"), source="small.yaml")
    (folder / "study.yaml").write_text(spacefile.dump(spec))
    created = Created(0.0, "me", spacefile.to_dict(spec), "accuracy", True, "none", "0")
    with Store.create(folder, created) as store:
        study = store.empty_study()
        store.append([Resumed(1.0, trials), *(_trials(study) if trials else ()), Rested(9.0, "done", 8.0)])
    (folder / "trials" / "3").mkdir(parents=True)
    (folder / "trials" / "3" / "log.txt").write_text("".join(f"line {number}\n" for number in range(20)) + "ValueError: a bug\n")
    return folder


def _trials(study: Study) -> list[Event]:
    configurations = [
        {"units": 8, "optimizer": "adam", "learning_rate": 0.001},
        {"units": 32, "optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.9},
        {"units": 16, "optimizer": "adam", "learning_rate": 0.0005},
        {"units": 64, "optimizer": "adam", "learning_rate": 0.02},
        {"units": 48, "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.5},
    ]
    curves = [(0.5, 0.6, 0.7, 0.65), (0.6, 0.8, 0.85, 0.9), (0.3, 0.2), (0.1,), ()]
    ends = [Finished, Finished, None, None, None]
    events: list[Event] = []
    for number, (configuration, curve, end) in enumerate(zip(configurations, curves, ends, strict=True)):
        key, at = study.key(number), 1.0 + number
        origin = "baseline" if number == 0 else "strategy"
        events += [Suggested(key, at, configuration, origin), Started(key, at, "cpu", "worker-0")]
        events += [
            Reported(key, at, epoch, {"accuracy": value, "loss": 1 - value}, 0.5 * (number + 1)) for epoch, value in enumerate(curve, 1)
        ]
        events += [end(key, at + 0.5)] if end else []
    events += [
        Pruned(study.key(2), 8.0, 2),
        Failed(study.key(3), 8.0, "error", "ValueError: a bug"),
        Diverged(study.key(4), 8.0, 1),
    ]
    return events
