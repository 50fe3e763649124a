"""How long a worker may keep silent before it counts as hung.

A worker answers at the end of an epoch, and an epoch has no natural limit. What is known is how long the answers of this run have taken
so far. A limit far beyond all of them costs a hung worker minutes and a working one nothing. Where it is wrong all the same (one network
can be a hundred times as large as the last), the trial is tried again with ten times the patience.
"""

from __future__ import annotations

FLOOR_SECONDS = 60.0  # a disk, a GPU that wakes up or a busy machine may take so long for nothing
FACTOR = 20.0
UNKNOWN_SECONDS = 3600.0  # while no epoch has ended yet
_AFTER_A_LOSS = 10.0


def longest_silence(slowest_answer: float | None, trainings: int, losses: int = 0, reports_at_will: bool = False) -> float:
    """Seconds after which a worker that has not answered is hung: ``FLOOR + FACTOR * trainings * slowest``, times 10 for each loss before.

    Args:
        slowest_answer: the longest that any worker has taken for the end of an epoch; None where none has ended yet.
        trainings: how many the worker has side by side; that answer may have been of one.
        losses: how often what trains there was lost already.
        reports_at_will: a person's own code says when it likes to how far it is; ten times as long for it.
    """
    seconds = UNKNOWN_SECONDS if slowest_answer is None else FLOOR_SECONDS + FACTOR * trainings * slowest_answer
    return float(seconds * _AFTER_A_LOSS ** (losses + reports_at_will))
