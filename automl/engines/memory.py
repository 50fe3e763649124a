"""Whether the kernel has killed a process for want of memory: it counts those kills, and a SIGKILL alone does not say who sent it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from automl.controlgroups import GROUPS, PROCESS, groups

_COUNTERS = {1: "memory.oom_control", 2: "memory.events"}
_REMEMBERED_SECONDS = 5.0  # a death is heard of within milliseconds


def kernel_kills(process: Path = PROCESS, root: Path = GROUPS, machine: Path = Path("/proc/vmstat")) -> int | None:
    """How many processes the kernel has killed for want of memory; None where that cannot be read.

    Those of this process's control group (of version 2, else 1) where it keeps count, else those of the whole machine.
    """
    counters = [(group.version, group.folder / _COUNTERS[group.version]) for group in groups("memory", process, root)]
    for file in (*(file for _, file in sorted(counters, key=lambda counter: -counter[0])), machine):
        try:
            words = file.read_text(encoding="utf-8").split()
        except OSError:
            continue
        if "oom_kill" in words[:-1]:
            return int(words[words.index("oom_kill") + 1])
    return None


class KernelKills:
    """Tells the deaths that were the kernel's doing from others, by its count."""

    def __init__(self, count: Callable[[], int | None] = kernel_kills) -> None:
        self._count = count
        self._explained = self._lately = count()  # what is above the first is the death of somebody that was not told of yet
        self._looked_at = 0.0

    def look(self, now: float) -> None:
        """To be called every now and then: kills of some seconds ago were of others, and explain no later death."""
        if now - self._looked_at >= _REMEMBERED_SECONDS and self._explained is not None and self._lately is not None:
            self._looked_at, self._explained, self._lately = now, max(self._explained, self._lately), self._count()

    def explain(self) -> bool | None:
        """Whether one more process was killed by the kernel lately, which explains one SIGKILL; None where it does not say."""
        kills = self._count()
        if kills is None or self._explained is None:
            return None
        is_more = kills > self._explained
        self._explained += is_more
        return is_more
