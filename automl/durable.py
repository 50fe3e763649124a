"""Files that are whole or not there, also after a power cut."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk: a rename alone may come there before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def are_whole(weights: Path) -> bool:
    """Whether a file that torch wrote is there and holds, to the checksum, what was written. Needs no torch."""
    try:
        with zipfile.ZipFile(weights) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile):
        return False
