"""How an error in code of a person's own is told: its place in their files first, without the lines of the house."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from automl.errors import AutomlError
from automl.events import Job
from automl.owncode import defined_at, place_of

_DETAIL_LINES = 12


def told(error: BaseException, job: Job) -> tuple[str, str]:
    """What is said of the error, and its traceback from where the person's code begins.

    What the house says of the code as a whole is placed where that is written.
    """
    assert job.code is not None
    said = str(error) if isinstance(error, AutomlError) else f"{type(error).__name__}: {error}".removesuffix(": ")
    if isinstance(error, SystemExit):
        said = f"it called sys.exit({error.code!r})"
    lines = "".join(traceback.format_exception(error.with_traceback(_without_the_house(error)))).splitlines()
    detail = [placed(said, job, error)]
    if not isinstance(error, AutomlError | SystemExit):
        detail += lines[-_DETAIL_LINES:]
    return "\n".join(detail), "\n".join(lines) + "\n"


def placed(said: str, job: Job, error: BaseException | None = None) -> str:
    """``net.py:12: `` before it, where a place is known: that of the error, or of the code that it speaks of."""
    assert job.code is not None
    place, folders = "", job.code.folders
    for each in (error, error.__cause__ if error is not None else None):
        place = place or (place_of(each, folders) if each is not None else "")
    if not place and said.startswith(f"{job.model}:"):
        place = defined_at(job.model, folders)
    return f"{place}: {said}" if place else said


def _without_the_house(error: BaseException) -> Any:
    """The traceback from where the person's code begins; all of it where none of theirs is in it."""
    house = str(Path(__file__).parents[2])
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(house) and trace.tb_next is not None:
        trace = trace.tb_next
    return trace
