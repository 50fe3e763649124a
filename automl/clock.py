"""What time it is, for everything that is recorded: a clock that no correction of the system's clock moves.

A driver reads the system's clock once. From there on it counts what the machine's own counter has gone on by, and hands the difference
between the two to its workers, so that all times of a run are of one clock.
"""

from __future__ import annotations

import os
import time

VARIABLE = "AUTOML_CLOCK"


def _counter() -> float:
    """Seconds that only ever grow, alike in all processes of the machine, and where possible also while it sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _ahead() -> float:
    """By how much the system's clock was ahead of the counter when the driver began."""
    try:
        return float(os.environ[VARIABLE])
    except (KeyError, ValueError):
        return time.time() - _counter()


_AHEAD = _ahead()


def now() -> float:
    """Seconds since 1970."""
    return _AHEAD + _counter()


def for_children() -> dict[str, str]:
    """What a child process must find in its environment for its clock to be the same."""
    return {VARIABLE: repr(_AHEAD)}
