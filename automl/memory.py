"""How much memory this machine has left."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes() -> int:
    """What the system calls available: free, or freed as soon as somebody asks for it. Where it does not say, all that there is."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
