"""What the migrations made is kept for the next store, and is used only where it is whole and of this MLflow."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import mlflow.version
import pytest

from automl.folders import cache_folder
from automl.tracking import sqlite_store, template
from automl.tracking.client import connect
from automl.tracking.sqlite_store import ensure_store


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder() / "mlflow"


@pytest.fixture
def migrations(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which stores were made by migrations. They are real."""
    made, migrate = [], sqlite_store._migrate

    def noted(path: Path) -> None:
        made.append(path)
        migrate(path)

    monkeypatch.setattr(sqlite_store, "_migrate", noted)
    return made


def schema(path: Path) -> tuple[set[tuple[str, ...]], str]:
    """Every table, index and column of a whole database, and which migration was the last; MLflow's migrations order them by chance."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        parts = connection.execute(
            "select t.type, t.name, c.name, c.type from sqlite_master t left join pragma_table_info(t.name) c on t.type = 'table'"
        ).fetchall()
        ((revision,),) = connection.execute("select version_num from alembic_version").fetchall()
        return set(parts), revision


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_the_second_store_is_a_copy_of_what_the_migrations_made_and_mlflow_takes_it(
    tmp_path: Path, cache: Path, migrations: list[Path]
) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    ensure_store(first)
    assert len(migrations) == 1
    ensure_store(second)
    assert len(migrations) == 1, "the second store was migrated"
    assert schema(first) == schema(second)
    assert only_file(cache).name.startswith(f"{mlflow.version.VERSION}-")
    client = connect(f"sqlite:///{second}")
    run = client.create_run(client.create_experiment("mine"))
    client.log_metric(run.info.run_id, "loss", 0.5)
    assert client.get_run(run.info.run_id).data.metrics == {"loss": 0.5}


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def altered(file: Path) -> None:
    """One bit, which only the checksum tells."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def foreign(file: Path) -> None:
    file.write_bytes(b"no gzip at all")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [empty, cut, altered, foreign])
def test_what_is_damaged_is_made_again_by_migrations(
    tmp_path: Path, cache: Path, migrations: list[Path], damage: Callable[[Path], None]
) -> None:
    ensure_store(tmp_path / "first.db")
    damage(only_file(cache))
    ensure_store(tmp_path / "second.db")
    assert len(migrations) == 2
    assert schema(tmp_path / "first.db") == schema(tmp_path / "second.db")
    assert template.kept() is not None, "it was not kept anew"
    only_file(cache)


def test_a_database_with_a_log_of_its_own_is_not_taken(tmp_path: Path, migrations: list[Path]) -> None:
    """Not every file system that a store may lie on can have one."""
    ensure_store(tmp_path / "first.db")
    template.keep(tmp_path / "first.db")
    assert template.kept() is None


def test_another_mlflow_makes_its_own(tmp_path: Path, cache: Path, migrations: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_store(tmp_path / "first.db")
    monkeypatch.setattr(mlflow.version, "VERSION", "99.0.0")
    ensure_store(tmp_path / "second.db")
    assert len(migrations) == 2
    assert len(list(cache.iterdir())) == 2


def test_other_migrations_of_the_same_version_make_their_own(
    tmp_path: Path, cache: Path, migrations: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a checkout of MLflow that somebody works on."""
    from mlflow.store import db_migrations

    ensure_store(tmp_path / "first.db")
    (tmp_path / "mlflow" / "versions").mkdir(parents=True)
    (tmp_path / "mlflow" / "versions" / "abc_new.py").write_text("revision = 'abc'\n")
    monkeypatch.setattr(db_migrations, "__path__", [str(tmp_path / "mlflow")])
    assert template.kept() is None
    assert len(migrations) == 1


def test_an_mlflow_whose_migrations_lie_elsewhere_gets_its_stores_without_a_kept_one(
    tmp_path: Path, cache: Path, migrations: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store import db_migrations

    monkeypatch.setattr(db_migrations, "__path__", [str(tmp_path / "nowhere")])
    assert template.kept() is None
    template.keep(tmp_path / "any.db")
    assert not cache.exists()
    assert migrations == []


@pytest.mark.parametrize("place", ["under a file", "a folder of that name", "relative"])
def test_where_nothing_can_be_kept_stores_are_made_all_the_same(
    tmp_path: Path, cache: Path, migrations: list[Path], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "under a file":
        (tmp_path / "cache").write_text("")
    elif place == "relative":
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    else:
        ensure_store(tmp_path / "first.db")
        a_folder(only_file(cache))
    ensure_store(tmp_path / "second.db")
    schema(tmp_path / "second.db")
    made = len(migrations)
    ensure_store(tmp_path / "third.db")
    assert len(migrations) == made + 1
    assert not (tmp_path / "relative").exists()
    assert not list(tmp_path.rglob("*.new"))
