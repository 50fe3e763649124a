"""``comparison.json``: what a folder of studies is a comparison of, and how often it was looked at.

Everything else about a comparison is made from the events of its studies. The looks are kept here because no event tells them: a verdict
that was drawn, found wanting and drawn again with more repeats has had more than one chance of a false alarm.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from automl.compare.budget import Budget
from automl.errors import StudyError
from automl.folders import COMPARISON
from automl.store import new_identity

Look = tuple[tuple[str, ...], int, str]


@dataclass(frozen=True, slots=True)
class Record:
    """``looks``: what was judged, in order, each once: the arms, the number of repeats, and the budget in words."""

    identity: str
    budget: Budget
    looks: tuple[Look, ...] = ()

    def looked(self, look: Look) -> Record:
        """The record after this look; the same one where that is nothing new."""
        return self if look in self.looks else replace(self, looks=(*self.looks, look))

    def before(self, look: Look) -> tuple[int, ...]:
        """With how many repeats the same arms were judged before this."""
        earlier = self.looks[: self.looks.index(look)] if look in self.looks else self.looks
        return tuple(repeats for arms, repeats, _ in earlier if arms == look[0])


def is_comparison(folder: Path) -> bool:
    """Whether this is the folder of a comparison."""
    return (folder / COMPARISON).is_file()


def new_record(budget: Budget) -> Record:
    """The record of a comparison that begins."""
    return Record(new_identity(), budget)


def read_record(folder: Path) -> Record:
    """The record in this folder. Raises StudyError where it cannot be read."""
    path = folder / COMPARISON
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        looks = tuple((tuple(arms), int(repeats), str(budget)) for arms, repeats, budget in content["looks"])
        return Record(str(content["identity"]), Budget(**content["budget"]), looks)
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise StudyError(
            f"{path}: must be what `automl compare` wrote, but cannot be read ({why}). "
            "Remove it: the studies are kept, and the same command goes on with them."
        ) from None


def write_record(folder: Path, record: Record) -> None:
    """Write it, whole or not at all."""
    unfinished = folder / f".{COMPARISON}.unfinished"
    unfinished.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    unfinished.replace(folder / COMPARISON)
