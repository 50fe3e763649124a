"""``study.db``: the events of a study in one crash-safe SQLite file, and the lock that keeps a second driver away.

One table, one writer, one commit a tick of the driver, in write-ahead mode: whatever was committed survives a kill at any moment,
and what was not committed leaves no trace.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from automl.errors import AutomlError, StudyError
from automl.eventrows import event_of, row_of
from automl.garbage import without_collections
from automl.space import SearchSpace
from automl.spacefile import from_dict
from automl.spec import Objective, StudySpec
from automl.study import Study
from automl.trials import Created, Event

FORMAT = 1
LOCK = "study.lock"  # who has it drives the study
_TRIES = 8  # to get the lock: a quarter of a second in all
_TABLE = """
    create table if not exists events (
        id integer primary key,
        at real not null,
        kind text not null,
        trial integer,
        replicate integer,
        body text not null
    )
"""


class Store:
    """The events of one study. Open it to write with ``Store.create`` or ``Store.open``, to read with ``Store.read_only``."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: int | None) -> None:
        self.folder = folder
        self._connection = connection
        self._lock = lock
        self._identity = ""

    @classmethod
    def create(cls, folder: Path, created: Created, held: int | None = None) -> Self:
        """A new study in ``folder``, which exists from here on. Raises StudyError where one is already.

        ``held``: what ``hold`` gave for this folder, where the caller holds it.
        """
        lock = _take_lock(folder) if held is None else os.dup(held)
        if (folder / "study.db").exists():
            os.close(lock)
            raise StudyError(f"{folder}: there is a study already. Use --study NAME for a new one.")
        # A killed driver leaves either a whole study or none: the first event is there when the file gets its name.
        unfinished = folder / ".study.db.unfinished"
        try:
            for leftover in (unfinished, folder / f"{unfinished.name}-journal"):
                leftover.unlink(missing_ok=True)
            connection = sqlite3.connect(unfinished)
            connection.execute(f"pragma user_version = {FORMAT}")
            connection.execute(_TABLE)
            _insert(connection, [created])
            connection.close()
            unfinished.rename(folder / "study.db")
        except (OSError, sqlite3.Error) as error:
            os.close(lock)
            raise _unwritable(folder, error) from None
        return cls._connect(folder, lock)

    @classmethod
    def open(cls, folder: Path, held: int | None = None) -> Self:
        """A study that is there, to go on with. Raises StudyError where another driver has it. ``held``: as for ``create``."""
        _require(folder)
        return cls._connect(folder, _take_lock(folder) if held is None else os.dup(held))

    @classmethod
    def read_only(cls, folder: Path) -> Self:
        """A study that is there, to read, whether or not a driver is at work on it."""
        _require(folder)
        return cls._connect(folder, None)

    @classmethod
    def _connect(cls, folder: Path, lock: int | None) -> Self:
        path = folder / "study.db"
        try:
            connection = sqlite3.connect(_address(path), timeout=10.0, uri=True)
            connection.execute("pragma busy_timeout = 10000")
            if lock is not None:
                connection.execute("pragma journal_mode = wal")
                connection.execute("pragma synchronous = normal")
            (version,) = connection.execute("pragma user_version").fetchone()
            found = connection.execute("select count(*) from sqlite_master where name = 'events'").fetchone()[0]
        except sqlite3.OperationalError as error:  # says nothing about the events themselves
            raise StudyError(
                f"{path}: must be a file that can be read and written, but {_words(error)}. Look for space on the disk and for rights."
            ) from None
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where SQLite's own complaint quotes what is damaged
            raise StudyError(f"{path}: must be a study's events, but {_words(error)}. Restore it from a copy.") from None
        if not found:
            raise StudyError(f"{path}: must be a study's events, but holds no table of them. Restore it from a copy.")
        if version != FORMAT:
            raise StudyError(f"{path}: must have format {FORMAT}, but has format {version}. Use the version of automl that made it.")
        return cls(folder, connection, lock)

    def append(self, events: Sequence[Event]) -> list[tuple[int, Event]]:
        """Write events in one commit; returns them with their positions. Raises AutomlError where that fails, and nothing is written."""
        try:
            last = _insert(self._connection, events)
        except sqlite3.Error as error:
            raise AutomlError(
                f"{self.folder / 'study.db'}: must be writable, but {_words(error)}. All that was written before is kept; "
                "the same command goes on with it."
            ) from None
        return list(enumerate(events, start=last - len(events) + 1))

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """The events with their positions, oldest first. ``after``: only those after this position, once earlier ones were read.

        Raises StudyError at a row that is no event.
        """
        if after and not self._identity:
            self.created()
        try:
            query = "select at, kind, trial, replicate, body, id from events where id > ? order by id"
            for row in self._connection.execute(query, [after]):
                event = event_of(row, self._identity)
                if isinstance(event, Created):
                    self._identity = event.identity
                yield row[-1], event
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(error) from None
        except MemoryError:  # a damaged file may say that something in it is larger than all memory
            raise self._damaged(ValueError("there is no memory for what they claim to be")) from None

    def _damaged(self, error: Exception) -> StudyError:
        return StudyError(f"{self.folder / 'study.db'}: must be a study's events, but {_words(error)}. Restore it from a copy.")

    def study(self, space: SearchSpace | None = None, told: Callable[[Event], None] | None = None) -> Study:
        """The study as its events tell it. ``space``: the same space as the study's own, with its measures bound to the data.

        ``told`` hears of each event, in their order, for what a study does not keep of them.
        """
        study = self.empty_study(space)
        with without_collections():
            study.apply_all(self._heard(told))
        return study

    def _heard(self, told: Callable[[Event], None] | None) -> Iterator[Event]:
        for _, event in self.events():
            if told is not None:
                told(event)
            yield event

    def empty_study(self, space: SearchSpace | None = None) -> Study:
        """The study as it was before anything happened in it, for whoever takes in the events. ``space``: as for ``study``."""
        created, spec = self.created(), self.spec()
        return Study(created.identity, replace(spec, space=space or spec.space), Objective(created.metric, created.maximize))

    def spec(self) -> StudySpec:
        """What the study is, as it was frozen at its start. Raises StudyError where that cannot be read."""
        try:
            return from_dict(self.created().spec)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._damaged(ValueError("what it says of the space cannot be read")) from None

    def created(self) -> Created:
        """The study's first event. Raises StudyError where it is another one."""
        first = next(self.events(), None)
        if first is None or not isinstance(first[1], Created):
            raise StudyError(f"{self.folder / 'study.db'}: must begin with what the study is, but does not. Restore it from a copy.")
        return first[1]

    def length(self) -> int:
        """How many events there are: the position of the last one."""
        try:
            (last,) = self._connection.execute("select max(id) from events").fetchone()
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        return int(last or 0)

    def close(self) -> None:
        """Let go of the file and the lock. May be called again."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextmanager
def hold(folder: Path, task: Literal["run", "sync"] = "run") -> Iterator[int]:
    """Within, no other driver works on the study in this folder, which is made where there is none; for ``Store.create`` and ``open``.

    ``task``: what it is held for; only a run drives it. Raises StudyError where another driver has it, or where the folder cannot be
    written to.
    """
    lock = _take_lock(folder, task)
    try:
        yield lock
    finally:
        os.close(lock)


def new_identity() -> str:
    """An identity that no other study has."""
    return uuid.uuid4().hex


def is_being_driven(folder: Path) -> bool:
    """Whether a driver is at work on the study in this folder now."""
    return _holder(folder) not in (None, "sync")


def driver_of(folder: Path) -> int | None:
    """The process that drives the study in this folder now; None where nobody does, or it could not say who it is."""
    words = _owner(folder / LOCK).split() if is_being_driven(folder) else []
    return int(words[0]) if words and words[0].isdecimal() else None


def _holder(folder: Path) -> str | None:
    """What the study's folder is held for now: ``run``, ``sync``; None where nobody holds it."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return "sync" if _owner(folder / LOCK).endswith(" sync") else "run"
    else:
        return None
    finally:
        os.close(descriptor)


def _owner(lock: Path) -> str:
    """What whoever holds the lock wrote into it: its process, and its task where that is not to drive."""
    with contextlib.suppress(OSError):
        return lock.read_text(encoding="utf-8", errors="replace").strip()
    return ""


def _insert(connection: sqlite3.Connection, events: Sequence[Event]) -> int:
    rows = [row_of(event) for event in events]
    with connection:
        connection.executemany("insert into events (at, kind, trial, replicate, body) values (?, ?, ?, ?, ?)", rows)
        (last,) = connection.execute("select max(id) from events").fetchone()
    return int(last or 0)


def _address(path: Path) -> str:
    """Where nothing may be written, a study at rest is read as it is: SQLite would want to make files beside it."""
    is_at_rest = not path.with_name(f"{path.name}-wal").exists()
    options = "" if os.access(path.parent, os.W_OK) else "?mode=ro&immutable=1" if is_at_rest else "?mode=ro"
    return f"{path.absolute().as_uri()}{options}"


def _require(folder: Path) -> None:
    if not (folder / "study.db").is_file():
        raise StudyError(f"{folder}: there must be a study here, but there is no study.db. `automl run` makes one.")


def _take_lock(folder: Path, task: str = "run") -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(folder, error) from None
    if not _is_ours(descriptor):
        process = (os.read(descriptor, 32).decode(errors="replace").split() or ["?"])[0]
        os.close(descriptor)
        raise StudyError(
            f"{folder}: another automl (process {process}) is at work on this study. Wait for it, or use --study NAME for a new one."
        )
    with contextlib.suppress(OSError):  # on a full disk nobody is told who has it
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}{'' if task == 'run' else f' {task}'}".encode())
    return descriptor


def _is_ours(descriptor: int) -> bool:
    """Whether the lock could be had. Who only looks (``is_being_driven``) has it for microseconds, so that is tried a few times."""
    for attempt in range(_TRIES):
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.001 * 2**attempt)
    return False


def _unwritable(folder: Path, error: Exception) -> StudyError:
    return StudyError(f"{folder}: the study's folder must be writable, but {_words(error)}. Use --study with another path.")


def _words(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (words[:1].lower() + words[1:]).rstrip(".")
