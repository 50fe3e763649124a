"""Everything that can go wrong through what a person typed, wrote or has, as one tree of errors.

Every message has the form ``where: what must hold, but what was given. What to do.`` The command line prints it as it is
and exits with ``exit_code``; a traceback is always a bug of ours.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Sequence

OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)  # numbers of errors that are nobody's bug


class AutomlError(Exception):
    """An error that a person can do something about. Base of all errors that the package raises on purpose."""

    exit_code = 1


class UsageError(AutomlError):
    """A command, option or argument that cannot work. Nothing has been started."""

    exit_code = 2


class SpaceError(UsageError):
    """A search-space file with mistakes: one line for each of them, in the order of the file."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(UsageError):
    """Data that are missing, unreadable, or do not fit the task."""


class DeviceError(UsageError):
    """Devices that were asked for and are not there."""


class TrackingError(UsageError):
    """A tracking server or store that can never work as given."""


class StudyError(UsageError):
    """A study folder that cannot be used as asked."""


class MissingExtraError(UsageError):
    """A feature whose optional dependency is not installed."""


class DiskError(AutomlError):
    """A disk that is full or cannot be written to. It is no trial's fault: the study stops, and goes on when the disk is well again."""

    @classmethod
    def of(cls, error: BaseException) -> DiskError | None:
        """The same in a sentence for a person; None where the error is another one."""
        if not isinstance(error, OSError) or error.errno not in OF_THE_DISK:
            return None
        return cls(
            f"{error.filename2 or error.filename or 'the disk'}: must be readable and writable, but {os.strerror(error.errno).lower()}. "
            "All that was written before is kept; the same command goes on with it."
        )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant; None when none is near."""
    names = [str(name) for name in known]
    swapped = [name for name in names if sorted(name.lower()) == sorted(str(word).lower())]  # 'lgo' is nearer to 'log' than to 'low'
    return next(iter(swapped or difflib.get_close_matches(str(word), names, n=1, cutoff=0.6)), None)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` with the nearest known word, or nothing when none is near."""
    near = nearest(word, known)
    return f" Did you mean {near!r}?" if near is not None else ""


def listed(names: Sequence[str], most: int = 40) -> str:
    """The names with commas between them; the number of those that are too many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
