"""The control groups that this process is in: what a container, a batch system or systemd lets it have (versions 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROCESS = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Group:
    """A group's folder. ``version`` says what its files are called."""

    version: int
    folder: Path

    def words(self, name: str) -> list[str]:
        """What is in one of its files, word by word; nothing where it cannot be read."""
        try:
            return (self.folder / name).read_text(encoding="utf-8").split()
        except OSError:
            return []

    def number(self, name: str, key: str = "") -> int | None:
        """The number in a file, or behind this word of it; None where there is none, as for ``max``."""
        words = self.words(name)
        if key:
            words = words[words.index(key) + 1 :] if key in words else []
        return int(words[0]) if words and words[0].isdigit() else None


def groups(controller: str, process: Path = PROCESS, root: Path = GROUPS) -> Iterator[Group]:
    """The groups by which this controller (``cpu``, ``memory``) holds the process: its own, then those above it.

    Where several hierarchies might have the controller all are named; where one has not, there are no files.
    """
    for controllers, path in _memberships(process):
        if controllers == "":
            yield from (Group(2, root / part) for part in _with_ancestors(path))
        elif controller in controllers.split(","):
            yield from (Group(1, root / name / part) for name in dict.fromkeys((controllers, controller)) for part in _with_ancestors(path))


def _memberships(process: Path) -> Iterator[tuple[str, str]]:
    """(controllers, path) of each hierarchy that the process is in; controllers are empty for version 2."""
    try:
        lines = process.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        yield controllers, path


def _with_ancestors(path: str) -> list[str]:
    """A group's path and those above it, relative to the root: ``/a/b`` gives ``a/b``, ``a`` and the root itself."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return ["/".join(parts[:end]) for end in range(len(parts), -1, -1)]
