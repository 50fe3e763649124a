"""``automl stop``: end the run of a study that another process drives, as Ctrl-C would."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from automl.cli.completion import studies
from automl.cli.wrapping import print_sentence
from automl.errors import AutomlError, StudyError
from automl.folders import existing_study, study_folder
from automl.store import LOCK, driver_of, is_being_driven

_PATIENCE_SECONDS = (15.0, 5.0)  # after the first signal, which stops at the next safe point, and the second, which stops at once
_LOOK_SECONDS = 0.05


@click.command()
@click.argument("study", shell_complete=studies)
def stop(study: str) -> None:
    """Stop the run of STUDY at its next safe point, wherever it was started, and wait until it has left.

    Everything so far is kept; the same `automl run` goes on with it.
    """
    folder = study_folder(study)
    if not is_being_driven(folder):
        existing_study(study)
        print_sentence(f"{folder.name}: nobody runs it now, so there is nothing to stop.", err=True)
        return
    process = driver_of(folder)
    if process is None or not _works_on(folder, process):
        raise StudyError(
            f"{folder}: must be run by a process of this machine to be stopped here, but is not (process {process or '?'}). "
            "Stop it where it runs."
        )
    for patience in _PATIENCE_SECONDS:
        if _has_left(folder, process, patience):
            print_sentence(f"{folder.name}: stopped. Everything so far is kept; the same `automl run` goes on with it.")
            return
    raise AutomlError(
        f"{folder}: process {process} must leave when it is told to, but was told twice and is still there. "
        f"`kill -KILL {process}` ends it; what is written so far is kept."
    )


def _works_on(folder: Path, process: int) -> bool:
    """Whether this process of this machine has the study's lock open: a number alone may be somebody else's by now, or elsewhere."""
    descriptors = Path("/proc", str(process), "fd")
    try:
        if not descriptors.parent.parent.joinpath("self").exists():  # no such file system here
            os.kill(process, 0)
            return True
        lock = (folder / LOCK).stat()
        return any(os.path.samestat(lock, found.stat()) for found in descriptors.iterdir() if found.exists())
    except (OSError, OverflowError):
        return False


def _has_left(folder: Path, process: int, patience: float) -> bool:
    """Tell it to stop, and wait for that. It may have left by itself, and another may be there."""
    try:
        os.kill(process, signal.SIGTERM)
    except ProcessLookupError:
        return True
    until = time.monotonic() + patience
    while driver_of(folder) == process:
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_SECONDS)
    while _is_there(process) and time.monotonic() < until:  # it still says how the study stands
        time.sleep(_LOOK_SECONDS)
    return True


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path("/proc", str(process), "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # one that nobody waits for is gone all the same
