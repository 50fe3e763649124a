"""The Pareto front of a study with several objectives, kept in ``front/NUMBER``: each like ``best/``, a model that is ready to be used."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from automl.best import WEIGHTS, checkpoint_record, code_record, command_for, front_header, holds_model, write_model
from automl.configurations import stated
from automl.durable import are_whole
from automl.study import Study
from automl.trials import Trial

FOLDER = "front"


def keep_front(study: Study, folder: Path) -> None:
    """Bring ``front/`` level with the study: the trials of the front whose weights are there, and no others.

    Does nothing with one objective. At most ``automl.study.MOST_KEPT`` trials are kept.
    """
    members = _members(study, folder)
    for place in _folders(folder):
        if int(place.name) not in members:
            shutil.rmtree(place)
    for trial in members.values():
        if not _is_held(study, folder, trial):
            place = _place(folder, trial)
            header = front_header(place, command_for(folder, place), code_record(study.spec.code))
            write_model(place, _trial_folder(folder, trial), **_belongings(study, folder, trial), header=header)


def holds_front(study: Study, folder: Path) -> bool:
    """Whether ``keep_front`` has nothing to do."""
    members = _members(study, folder)
    return all(int(place.name) in members for place in _folders(folder)) and all(_is_held(study, folder, each) for each in members.values())


def _members(study: Study, folder: Path) -> dict[int, Trial]:
    """What is to be in ``front/``: of what is to be kept that which has weights, or is there already."""
    if len(study.objectives) == 1:
        return {}
    kept = study.kept
    return {
        trial.number: trial
        for trial in study.front
        if trial.number in kept and (are_whole(_trial_folder(folder, trial) / WEIGHTS) or _is_held(study, folder, trial))
    }


def _is_held(study: Study, folder: Path, trial: Trial) -> bool:
    return holds_model(_place(folder, trial), **_belongings(study, folder, trial))


def _folders(folder: Path) -> list[Path]:
    place = folder / FOLDER
    return [each for each in place.iterdir() if each.name.isdecimal()] if place.is_dir() else []


def _place(folder: Path, trial: Trial) -> Path:
    return folder / FOLDER / str(trial.number)


def _trial_folder(folder: Path, trial: Trial) -> Path:
    return folder / "trials" / str(trial.number)


def _belongings(study: Study, folder: Path, trial: Trial) -> dict[str, Any]:
    """What is kept beside the weights."""
    return {
        "model": study.spec.model,
        "configuration": stated(study.spec, trial.configuration),
        "data_folder": folder / "data",
        "extra": {
            "study": folder.name,
            **code_record(study.spec.code),
            **checkpoint_record(study.spec.checkpoint),
            "number": trial.number,
            "objectives": study.reached(trial),
            "epoch": trial.epoch,
        },
    }
