"""study.db survives what happens to files, and says in a sentence what it cannot survive."""

from __future__ import annotations

import fcntl
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from automl.driver import drive
from automl.errors import AutomlError, StudyError
from automl.store import FORMAT, Store, is_being_driven
from automl.trials import Event, Rested, Resumed
from contracts.driving import Rehearsed, numbers


@pytest.fixture
def played(tmp_path: Path) -> Path:
    Rehearsed(tmp_path / "s", trials=5).drive()
    return tmp_path / "s"


def message_of(error: pytest.ExceptionInfo[StudyError]) -> str:
    return str(error.value)


def test_events_come_back_as_they_were_written(played: Path) -> None:
    with Store.read_only(played) as store:
        events = list(store.events())
    with Store.open(played) as store:
        written = store.append([event for _, event in events[1:]])
        assert [event for _, event in store.events()][len(events) :] == [event for _, event in written]
        assert [event for _, event in written] == [event for _, event in events[1:]]


def test_who_asks_is_told_of_every_event_while_the_study_is_read(played: Path) -> None:
    heard: list[Event] = []
    with Store.read_only(played) as store:
        found = store.study(told=heard.append)
        assert heard == [event for _, event in store.events()]
        assert found.trials == store.study().trials


def test_a_second_driver_is_told_so_and_leaves(played: Path) -> None:
    with Store.open(played):
        assert is_being_driven(played)
        with pytest.raises(StudyError) as error:
            Store.open(played)
        assert message_of(error) == (
            f"{played}: another automl (process {os.getpid()}) is at work on this study. Wait for it, or use --study NAME for a new one."
        )
    assert not is_being_driven(played)


def test_the_lock_of_a_killed_driver_is_gone_with_it(played: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from automl.store import Store
store = Store.open(Path({str(played)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert not is_being_driven(played)
    Store.open(played).close()


def test_a_killed_writer_leaves_whole_commits(tmp_path: Path) -> None:
    """Killed in the middle of appending: every commit is there whole or not at all, and the study goes on."""
    folder = tmp_path / "s"
    rehearsed = Rehearsed(folder, trials=5)
    rehearsed.drive()
    code = f"""
import os, signal, threading
from pathlib import Path
from automl.store import Store
from automl.trials import Resumed
store = Store.open(Path({str(folder)!r}))
print("ready", flush=True)
while True:
    store.append([Resumed(1.0, 5), Resumed(2.0, 5), Resumed(3.0, 5)])
"""
    with Store.read_only(folder) as store:
        before = len(list(store.events()))
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.kill()
        with Store.read_only(folder) as store:
            after = len(list(store.events()))
        assert (after - before) % 3 == 0
    assert numbers(rehearsed.drive()[0]) == numbers(Rehearsed(tmp_path / "other", trials=5).drive()[0])


def test_every_prefix_of_the_log_holds_whole_commits_and_the_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn write-ahead log loses its last commits and nothing else: cut at every frame, a byte beside it, and within it."""
    folder = tmp_path / "s"
    rehearsed = Rehearsed(folder, trials=3, epochs=2)
    log, lengths = folder / "study.db-wal", {0: 1}  # bytes of the log to the events that they hold
    append = Store.append

    def noted(store: Store, events: Sequence[Event]) -> list[tuple[int, Event]]:
        written = append(store, events)
        lengths[log.stat().st_size] = written[-1][0]
        return written

    with rehearsed.open() as store, monkeypatch.context() as patched:
        patched.setattr(Store, "append", noted)
        session = rehearsed.session(store)
        drive(rehearsed.engine(), [session])
        whole, main = log.read_bytes(), (folder / "study.db").read_bytes()
    frame = 24 + 4096
    cuts = {cut for edge in range(32, len(whole) + 1, frame) for cut in (edge - 1, edge, edge + 1, edge + 24, edge + frame // 2)}
    for number, cut in enumerate(sorted(cut for cut in {0, 1, *cuts} if cut <= len(whole))):
        torn = tmp_path / f"torn{number}"
        torn.mkdir()
        (torn / "study.db").write_bytes(main)
        (torn / "study.db-wal").write_bytes(whole[:cut])
        with Store.read_only(torn) as store:
            assert store.study().last_event_at is not None
            assert store.length() == max(count for size, count in lengths.items() if size <= cut), cut
        if number % 8 == 0:
            study, why = rehearsed.but(folder=torn).drive()
            assert (why, numbers(study)) == ("done", numbers(session.study))


@pytest.mark.parametrize("how", ["cut off", "zeros", "noise"])
def test_a_study_of_which_something_is_missing_is_refused_and_never_counted_wrongly(played: Path, how: str) -> None:
    """A file that is too short, a page that holds nothing, a page that holds anything: its events are all there, or it is refused."""
    whole, page = (played / "study.db").read_bytes(), 4096
    with Store.read_only(played) as store:
        expected = list(store.events())
    assert len(whole) > 3 * page
    for start in range(0, len(whole), page) if how != "cut off" else (*range(0, len(whole), page), *range(7, len(whole), 3 * page)):
        torn = {"cut off": b"", "zeros": bytes(page), "noise": random.Random(start).randbytes(page)}[how]
        (played / "study.db").write_bytes(whole[:start] + torn + (b"" if how == "cut off" else whole[start + page :]))
        with pytest.raises(StudyError, match=rf"^{re.escape(str(played / 'study.db'))}: must .*\."):
            _read_whole(played)
    (played / "study.db").write_bytes(whole)
    assert _read_whole(played) == expected


def _read_whole(folder: Path) -> list[tuple[int, Event]]:
    with Store.read_only(folder) as store:
        store.length()
        store.study()
        return list(store.events())


def test_what_is_no_study_is_answered_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as error:
        Store.open(tmp_path / "x")
    assert message_of(error) == f"{tmp_path / 'x'}: there must be a study here, but there is no study.db. `automl run` makes one."

    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "study.db").write_text("this is a text and no database" * 100)
    with pytest.raises(StudyError) as error:
        Store.open(tmp_path / "text")
    path = tmp_path / "text" / "study.db"
    assert message_of(error) == f"{path}: must be a study's events, but file is not a database. Restore it from a copy."

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "study.db").touch()
    with pytest.raises(StudyError) as error:
        Store.open(tmp_path / "empty")
    path = tmp_path / "empty" / "study.db"
    assert message_of(error) == f"{path}: must be a study's events, but holds no table of them. Restore it from a copy."


def test_another_format_is_refused(played: Path) -> None:
    connection = sqlite3.connect(played / "study.db")
    connection.execute("pragma user_version = 99")
    connection.close()
    path = played / "study.db"
    expected = f"{path}: must have format {FORMAT}, but has format 99. Use the version of automl that made it."
    with pytest.raises(StudyError, match=f"^{re.escape(expected)}$"):
        Store.open(played)


def test_unknown_events_are_refused_and_not_skipped(played: Path) -> None:
    connection = sqlite3.connect(played / "study.db")
    with connection:
        connection.execute("insert into events (at, kind, trial, replicate, body) values (1.0, 'Celebrated', 0, 0, '[]')")
    connection.close()
    with Store.read_only(played) as store:
        expected = f"{played / 'study.db'}: must be a study's events, but it holds an event of kind 'Celebrated'. Restore it from a copy."
        with pytest.raises(StudyError, match=f"^{re.escape(expected)}$"):
            store.study()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "s"
    with pytest.raises(StudyError) as error:
        Rehearsed(folder).open()
    assert message_of(error) == f"{folder}: the study's folder must be writable, but not a directory. Use --study with another path."


def test_a_new_study_does_not_replace_one_that_is_there(played: Path) -> None:
    with Store.read_only(played) as store:
        created = store.created()
    with pytest.raises(StudyError) as error:
        Store.create(played, created)
    assert message_of(error) == f"{played}: there is a study already. Use --study NAME for a new one."


def test_who_looks_whether_a_study_is_driven_keeps_no_driver_away(played: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``is_being_driven`` has the lock for a moment: here until the driver waits before its second try."""
    with (played / "study.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        monkeypatch.setattr(time, "sleep", lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN))
        Store.open(played).close()


def test_a_disk_that_is_full_is_said_in_a_sentence_and_what_was_written_stays(tmp_path: Path) -> None:
    with Rehearsed(tmp_path / "s").open() as store:
        store.append([Resumed(1.0, 3)])
        store._connection.execute("pragma max_page_count = 3")
        message = (
            f"{tmp_path / 's' / 'study.db'}: must be writable, but database or disk is full. All that was written before is kept; "
            "the same command goes on with it."
        )
        with pytest.raises(AutomlError, match=f"^{re.escape(message)}$"):
            store.append([Rested(2.0, "x" * 10_000, 0.0)])
    with Store.read_only(tmp_path / "s") as store:
        assert [event for _, event in store.events()][1:] == [Resumed(1.0, 3)]


def test_what_a_killed_driver_left_of_a_new_study_is_swept_up(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for name in (".study.db.unfinished", ".study.db.unfinished-journal"):
        (folder / name).write_bytes(b"torn")
    Rehearsed(folder).open().close()
    assert {path.name for path in folder.iterdir()} == {"study.db", "study.lock"}


def test_a_study_that_cannot_be_opened_now_is_not_called_broken(played: Path) -> None:
    (played / "study.db-wal").mkdir()
    with pytest.raises(StudyError) as error:
        Store.open(played)
    assert message_of(error) == (
        f"{played / 'study.db'}: must be a file that can be read and written, but unable to open database file. "
        "Look for space on the disk and for rights."
    )


def test_a_study_at_rest_is_read_where_nothing_may_be_written(played: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = played.parent / "odd ?#%20 name"
    played.rename(odd)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with Store.read_only(odd) as store:
        assert store.study().ended == 5
    assert {path.name for path in odd.iterdir()} == {"study.db", "study.lock"}
