"""Trials of code of a person's own, for tests: written into a folder, trained by a real trainer."""

from __future__ import annotations

import itertools
import sys
import textwrap
from pathlib import Path
from typing import Any

from automl.events import Code, Job, TrialKey, TrialSpec, WorkerEvent
from automl.training import Trainer, make_trainer

_NUMBERS = itertools.count()


def module(folder: Path, code: str) -> str:
    """The name of a new module of this folder; each is new to the process."""
    name = f"own_code_{next(_NUMBERS)}"
    (folder / f"{name}.py").write_text(textwrap.dedent(code), encoding="utf-8")
    return name


def function_trial(folder: Path, code: str, number: int = 0, **more: Any) -> TrialSpec:
    """A trial of the function ``run`` of this code."""
    return own_trial(folder, f"{module(folder, code)}:run", Code("function", (str(folder),)), number, **more)


def command_trial(folder: Path, code: str, number: int = 0, *, arguments: str = "", **more: Any) -> TrialSpec:
    """A trial of a script with this code."""
    where = {name: more.pop(name) for name in ("pattern", "file") if name in more}
    command = f"{sys.executable} {module(folder, code)}.py {arguments}"
    return own_trial(folder, command, Code("command", (str(folder),), **where), number, **more)


def own_trial(folder: Path, model: str, code: Code, number: int, **more: Any) -> TrialSpec:
    """A trial of code of a person's own; a study of it lies in ``folder/study``."""
    configuration = more.pop("configuration", {"units": 4})
    maximize = more.pop("maximize", True)
    job = Job("s", model, str(folder / "study" / "data"), str(folder / "study"), "accuracy", maximize, ("accuracy",), code=code)
    return TrialSpec(
        TrialKey("s", number, more.pop("replicate", 0)), job, configuration, more.pop("seed", 3), more.pop("epochs", 3), **more
    )


def finish(trainer: Trainer) -> list[WorkerEvent]:
    """All events until there is nothing to train."""
    events: list[WorkerEvent] = []
    while news := trainer.advance():
        events += news
    return events


def trained(spec: TrialSpec) -> list[WorkerEvent]:
    """All events of a trial by itself."""
    trainer = make_trainer("cpu", "worker-0")
    trainer.start(spec)
    return finish(trainer)


def interrupted(spec: TrialSpec, answers: int) -> Trainer:
    """A trainer that is left alone after so many answers, as a driver that is killed leaves it."""
    trainer = make_trainer("cpu", "worker-0")
    trainer.start(spec)
    for _ in range(answers):
        trainer.advance()
    return trainer
