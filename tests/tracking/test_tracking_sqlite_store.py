"""A fresh store is made whole or not at all: processes are really killed while MLflow migrates it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from automl.tracking import resolve_uri
from automl.tracking.client import connect
from automl.tracking.sqlite_store import checkpoint, ensure_store

MAKE = """
import sys
from pathlib import Path
import mlflow.store.db.utils, mlflow.store.tracking.sqlalchemy_store
from automl.tracking.sqlite_store import ensure_store
print("ready", flush=True)
ensure_store(Path(sys.argv[1]))
"""


def maker(path: Path) -> subprocess.Popen[bytes]:
    """A process that has imported MLflow and now makes the store, with none that was kept."""
    new = {**os.environ, "XDG_CACHE_HOME": str(path.parent / "cache")}
    process = subprocess.Popen([sys.executable, "-c", MAKE, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=new)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


def wait_for_size(maker: subprocess.Popen[bytes], path: Path, size: int) -> None:
    """Return as soon as the unfinished file of this process is as large as that."""
    while maker.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if any(file.stat().st_size >= size for file in path.parent.glob(f".{path.name}.{maker.pid}-*.new")):
                return
    pytest.fail("the store was complete before it had grown so large")


def test_a_store_can_be_made_whatever_an_earlier_kill_left(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    for size in (0, 300_000, 600_000):
        process = maker(path)
        wait_for_size(process, path, size)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not path.exists(), "the store had its name before it was complete"
    assert list(tmp_path.glob(".*.new")), "nothing was killed in the middle"
    ensure_store(path)
    assert resolve_uri(str(path), {}) == f"sqlite:///{path}"
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def test_of_two_makers_one_wins_and_its_store_stays(tmp_path: Path, empty_store: Path) -> None:
    path = tmp_path / "mlflow.db"
    slow = maker(path)
    wait_for_size(slow, path, 0)
    slow.send_signal(signal.SIGSTOP)
    first = Path(shutil.copyfile(empty_store, tmp_path / "first.db"))
    with contextlib.closing(sqlite3.connect(first)) as connection, connection:
        connection.execute("insert into experiments (name, lifecycle_stage, workspace) values ('mine', 'active', 'default')")
    first.rename(path)
    slow.send_signal(signal.SIGCONT)
    assert slow.wait() == 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from experiments where name = 'mine'").fetchone() == (1,)
    assert not list(tmp_path.glob(".*.new*"))


def test_a_store_that_is_there_is_not_touched(database: Path) -> None:
    before = database.read_bytes()
    ensure_store(database)
    assert database.read_bytes() == before


def test_leftovers_of_living_processes_stay_and_old_ones_go(database: Path) -> None:
    alive = database.with_name(f".mlflow.db.{os.getpid()}-00000000.new")
    old = database.with_name(f".mlflow.db.{os.getpid()}-11111111.new")
    others = database.with_name(f".other.db.{2**22 + 1}-00000000.new")
    for file in (alive, old, others):
        file.touch()
    os.utime(old, (0, 0))
    ensure_store(database)
    assert (alive.exists(), old.exists(), others.exists()) == (True, False, True)


def _synchronous(path: Path) -> int:
    """How a new connection of SQLAlchemy waits for the disk: 2 at every commit, 1 at checkpoints."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        found = connection.execute(text("pragma synchronous")).scalar_one()
    engine.dispose()
    return int(found)


def test_only_the_database_that_is_mirrored_to_waits_seldom_for_the_disk(database: Path, tmp_path: Path) -> None:
    other, link, plain = (tmp_path / name for name in ("other.db", "link.db", "plain.db"))
    for path in (other, plain):
        shutil.copyfile(database, path)
    with contextlib.closing(sqlite3.connect(plain)) as connection:
        connection.execute("pragma journal_mode = delete")
    link.symlink_to(database)
    assert [_synchronous(path) for path in (database, other, plain)] == [2, 2, 2]
    for path in (link, plain):
        connect(f"sqlite:///{path}").search_experiments()
    assert [_synchronous(path) for path in (database, link, other, plain)] == [1, 1, 2, 2]


def test_after_a_checkpoint_the_one_file_is_complete(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table more (x)")
    connection.commit()
    checkpoint(database)
    copy = database.with_name("copy.db")
    copy.write_bytes(database.read_bytes())
    connection.close()
    with sqlite3.connect(copy) as copied:
        assert copied.execute("select count(*) from more").fetchone() == (0,)


def test_a_locked_store_does_not_fail_a_checkpoint(database: Path) -> None:
    holder = sqlite3.connect(database, check_same_thread=False)
    holder.execute("begin exclusive")
    released = threading.Timer(0.05, holder.rollback)
    released.start()
    checkpoint(database)
    released.join()
    holder.close()
