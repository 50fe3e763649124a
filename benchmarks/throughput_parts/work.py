"""What a contender is given to do and what it answers, as plain data in files: contenders run in processes of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Work:
    """A study. ``parameters`` and ``fixed`` are the space as ``automl.spacefile.to_dict`` writes it, ``data`` a folder of prepared data.

    ``folder`` is new for every run. ``tracking`` is the address of the MLflow store, None for a study without tracking. ``settings``
    say how a peer runs it (``Settings``); automl finds out by itself.
    """

    folder: str
    data: str
    model: str
    parameters: Sequence[Mapping[str, Any]]
    fixed: Mapping[str, Any]
    trials: int
    epochs: int
    seed: int
    tracking: str | None
    device: str
    settings: str = ""

    def write(self) -> Path:
        """Put it where ``read`` finds it."""
        path = Path(self.folder) / "work.json"
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """What ``write`` wrote."""
        return cls(**json.loads(Path(path).read_text()))


@dataclass(frozen=True, slots=True)
class Trained:
    """A trial: what it was, its validation accuracy after each epoch, and when (seconds since 1970) each epoch was over."""

    configuration: Mapping[str, Any]
    started: float
    accuracies: Sequence[float]
    ends: Sequence[float]

    @property
    def best(self) -> float:
        """The best accuracy over the epochs; 0 where the first one diverged."""
        return max(self.accuracies, default=0.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """All trials, and when the last of their records was in the tracking store."""

    trials: Sequence[Trained]
    ended: float

    def write(self, folder: str | Path) -> None:
        """Put it where ``read`` finds it."""
        (Path(folder) / "answer.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """What ``write`` wrote."""
        content = json.loads((Path(folder) / "answer.json").read_text())
        return cls([Trained(**trial) for trial in content["trials"]], content["ended"])


@dataclass(frozen=True, slots=True)
class Settings:
    """How Optuna runs a study, written as ``processes:2+async``.

    Args:
        processes: many processes that share an Optuna storage, each with one job; else one process with Optuna's ``n_jobs`` threads.
        jobs: how many trials train at once.
        loader: a DataLoader makes the batches; else they are pieces of tensors in memory.
        asynchronous: MLflow's own queue writes the records.
    """

    processes: bool
    jobs: int
    loader: bool = False
    asynchronous: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``threads:2``, ``processes:8+async`` and the like; a ValueError where it is none of them."""
        first, *flags = text.split("+")
        kind, _, jobs = first.partition(":")
        if kind not in ("threads", "processes") or not jobs.isdecimal() or int(jobs) < 1 or not {*flags} <= {"loader", "async"}:
            raise ValueError(text)
        return cls(kind == "processes", int(jobs), "loader" in flags, "async" in flags)
