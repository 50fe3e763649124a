"""A fresh SQLite store for MLflow, made whole or not at all.

MLflow's migration of an empty file takes a second or more, and a kill in the middle leaves a file that no MLflow opens again. So the
store is made under a name of its own beside its place, and gets its real name when it is complete. What the migrations made once is
kept and copied for the next store (``template``).
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import threading
import time
import uuid
from pathlib import Path

from automl.tracking import template

_MIGRATION = threading.Lock()  # alembic's migrations share state within a process
_synced_seldom: set[Path] = set()
_ABANDONED = 600.0  # seconds after which an unfinished file is nobody's, even where its process number is in use again


def ensure_store(path: Path) -> None:
    """Make the database at ``path`` unless one is there. Imports MLflow; several processes may try at once: one wins."""
    _remove_leftovers(path)
    if path.exists() and path.stat().st_size > 0:
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.new")
    try:
        _fill(unfinished)
        _use_write_ahead_log(unfinished)
        _sync(unfinished)
        _give_name(unfinished, path)
    finally:
        _remove(unfinished)


def checkpoint(path: Path) -> None:
    """Move what is in the write-ahead log into the database itself, so that a copy of the one file is complete. Best effort."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=2.0)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)").fetchall()


def sync_seldom(path: Path) -> None:
    """MLflow's connections of this process to this database wait for the disk at checkpoints of its write-ahead log, not at each commit.

    Where processors are busy, a thread that waited is awake again milliseconds later, some six times a trial. A kill loses nothing, a
    power failure the last commits, which the mirror writes again. Without such a log all stays as it is.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    _synced_seldom.add(path.resolve())  # as SQLite tells it
    if not event.contains(Engine, "connect", _note_connection):
        event.listen(Engine, "connect", _note_connection)


def _note_connection(connection: object, _: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    with contextlib.suppress(sqlite3.Error):
        file = next((row[2] for row in connection.execute("pragma database_list") if row[1] == "main"), "")
        if Path(file) in _synced_seldom and connection.execute("pragma journal_mode").fetchone() == ("wal",):
            connection.execute("pragma synchronous = normal")


def _fill(path: Path) -> None:
    if content := template.kept():
        path.write_bytes(content)
    else:
        _migrate(path)
        template.keep(path)


def _migrate(path: Path) -> None:
    from mlflow.store.db import utils
    from sqlalchemy import event

    engine = utils.create_sqlalchemy_engine(f"sqlite:///{path}")  # type: ignore[no-untyped-call]
    event.listen(engine, "connect", lambda connection, _: connection.execute("pragma synchronous = off"))  # it is synced when it is whole
    try:
        with _MIGRATION:
            # What `mlflow db upgrade` calls for an empty database.
            utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


def _use_write_ahead_log(path: Path) -> None:
    """Stays with the file: one sync less a commit, and readers do not wait for the writer. Not every file system can."""
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal").fetchall()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_name(unfinished: Path, path: Path) -> None:
    """Put the complete file in its place. A database that another process put there meanwhile stays: a plain rename would destroy it."""
    if path.exists() and path.stat().st_size == 0:
        path.unlink()
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            unfinished.rename(path)


def _remove_leftovers(path: Path) -> None:
    """Delete the unfinished files of processes that are no more."""
    for file in path.parent.glob(".*.new*"):
        match = re.fullmatch(rf"\.{re.escape(path.name)}\.(\d+)-\w+\.new(-wal|-shm|-journal)?", file.name, re.S)
        with contextlib.suppress(FileNotFoundError):
            if match and (not _is_alive(int(match[1])) or time.time() - file.stat().st_mtime > _ABANDONED):
                file.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
