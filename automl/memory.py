"""How much memory this machine has, and has left: within what a container or a batch system allows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from automl.controlgroups import GROUPS, PROCESS, Group, groups

MEMINFO = Path("/proc/meminfo")
_FILES = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes"), 2: ("memory.max", "memory.current")}
_RECLAIMABLE = {1: "total_inactive_file", 2: "inactive_file"}  # in memory.stat: what is freed as soon as somebody asks for it


def total_bytes(process: Path = PROCESS, root: Path = GROUPS) -> int:
    """The machine's memory, or what a control group allows where that is less."""
    return min([_installed(), *(limit for limit, _ in _limits(process, root))])


def available_bytes(process: Path = PROCESS, root: Path = GROUPS, machine: Path = MEMINFO) -> int:
    """What the system calls available: free, or freed as soon as somebody asks for it. Of the machine (where it does not say, all that
    there is), and of each control group that this process is in."""
    try:
        lines = machine.read_text(encoding="ascii").splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        free = _installed()
    return max(0, min([free, *(limit - used for limit, used in _limits(process, root))]))


def _installed() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _limits(process: Path, root: Path) -> Iterator[tuple[int, int]]:
    """Of each group that has a limit: the limit, and how much of it is taken for good."""
    for group in groups("memory", process, root):
        limit, used = (group.number(file) for file in _FILES[group.version])
        if limit is not None:
            yield limit, max(0, (used or 0) - _reclaimable(group))


def _reclaimable(group: Group) -> int:
    return group.number("memory.stat", _RECLAIMABLE[group.version]) or 0
