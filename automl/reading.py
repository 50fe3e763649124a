"""A study as it stands now, for whoever only looks: a driver may be at work on it, or have been killed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from automl.folders import existing_study
from automl.store import Store, is_being_driven
from automl.study import Study
from automl.trials import Rested


@dataclass(frozen=True, slots=True)
class Reading:
    """The study in a folder at one moment. ``is_driven``: whether a driver is at work on it."""

    folder: Path
    study: Study
    is_driven: bool


def read_study(name: str) -> Reading:
    """The study that a person calls ``name``. Raises StudyError where there is none, with the nearest name."""
    folder = existing_study(name)
    is_driven = is_being_driven(folder)
    with Store.read_only(folder) as store:
        study = store.study()
    if study.at_work_since is not None and not is_driven:
        study.apply(Rested(time.time(), "interrupted", 0.0))  # its driver was killed, so nothing is running
    return Reading(folder, study, is_driven)
