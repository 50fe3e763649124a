from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from automl.errors import TrackingError
from automl.tracking import redacted, resolve_uri

MLFLOW = version("mlflow")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_flag_wins_over_the_environment_and_that_over_the_default(folder: Path) -> None:
    environ = {"MLFLOW_TRACKING_URI": "http://a:1"}
    assert resolve_uri("http://b:2", environ) == "http://b:2"
    assert resolve_uri(None, environ) == "http://a:1"
    assert resolve_uri(None, {}) == f"sqlite:///{folder}/mlflow.db"
    assert resolve_uri(None, {"MLFLOW_TRACKING_URI": " "}) == f"sqlite:///{folder}/mlflow.db"
    assert resolve_uri("off", environ) == "off"


def test_an_old_folder_of_runs_does_not_change_the_default(folder: Path) -> None:
    (folder / "mlruns" / "0").mkdir(parents=True)
    (folder / "mlruns" / "0" / "meta.yaml").write_text("name: Default")
    assert resolve_uri(None, {}) == f"sqlite:///{folder}/mlflow.db"


@pytest.mark.parametrize("flag", ["runs.db", "./runs.db", "sqlite:///runs.db", "sqlite:///./runs.db"])
def test_an_sqlite_address_becomes_absolute_and_a_file_name_is_one(folder: Path, flag: str) -> None:
    assert resolve_uri(flag, {}) == f"sqlite:///{folder}/runs.db"


@pytest.mark.parametrize("flag", ["http://localhost:5000", "https://user:word@mlflow.example/some/prefix", "HTTP://[::1]:5000"])
def test_servers_pass_whether_or_not_they_answer(flag: str) -> None:
    assert resolve_uri(flag, {}) == flag


def test_a_database_of_this_mlflow_passes(database: Path) -> None:
    assert resolve_uri(str(database), {}) == f"sqlite:///{database}"


def test_folders_with_odd_names_are_fine(folder: Path, empty_store: Path) -> None:
    for name in ("a b", "a\nb", "a#b", "ä"):
        (folder / name).mkdir()
        shutil.copyfile(empty_store, folder / name / "m.db")
        assert resolve_uri(f"{name}/m.db", {}) == f"sqlite:///{folder}/{name}/m.db"


REFUSED = [
    (
        "htp://localhost:5000",
        "--mlflow: must begin with one of sqlite, http, https, postgresql, mysql, mssql or databricks, but 'htp://localhost:5000' "
        "begins with 'htp'. Did you mean 'http'?",
    ),
    (
        "ftp9://me:secret@host/x",
        "--mlflow: must begin with one of sqlite, http, https, postgresql, mysql, mssql or databricks, but 'ftp9://***@host/x' "
        "begins with 'ftp9'. Use sqlite:///mlflow.db or the address of a server.",
    ),
    (
        "zzz://x",
        "--mlflow: must begin with one of sqlite, http, https, postgresql, mysql, mssql or databricks, but 'zzz://x' "
        "begins with 'zzz'. Use sqlite:///mlflow.db or the address of a server.",
    ),
    (
        "localhost:5000",
        "--mlflow: the address of a server must begin with http:// or https://, but is 'localhost:5000'. Did you mean 'http://localhost:5000'?",
    ),
    (
        "./mlruns",
        "--mlflow: must be a database or a server, but './mlruns' would be a folder in MLflow's old file format, which MLflow refuses. "
        "Use sqlite:///mlflow.db (`mlflow migrate-filestore` moves old runs there).",
    ),
    (
        "file:///tmp/mlruns",
        "--mlflow: must be a database or a server, but 'file:///tmp/mlruns' would be a folder in MLflow's old file format, "
        "which MLflow refuses. Use sqlite:///mlflow.db (`mlflow migrate-filestore` moves old runs there).",
    ),
    ("http://", "--mlflow: the address of a server must name a host, but is 'http://'. Use an address like http://localhost:5000."),
    (
        "http://host:port",
        "--mlflow: the port must be a number from 1 to 65535, but the address is 'http://host:port'. "
        "Use an address like http://localhost:5000.",
    ),
    (
        "http://host:99999",
        "--mlflow: the port must be a number from 1 to 65535, but the address is 'http://host:99999'. "
        "Use an address like http://localhost:5000.",
    ),
    (
        "http://host:0",
        "--mlflow: the port must be a number from 1 to 65535, but the address is 'http://host:0'. "
        "Use an address like http://localhost:5000.",
    ),
    (
        "http://[::1",
        "--mlflow: the address of a server must name a host, but is 'http://[::1'. Use an address like http://localhost:5000.",
    ),
    (
        "http://user:word@:5000",
        "--mlflow: the address of a server must name a host, but is 'http://***@:5000'. Use an address like http://localhost:5000.",
    ),
    (
        "http://local host:5000",
        "--mlflow: the address of a server must name a host, but is 'http://local host:5000'. Use an address like http://localhost:5000.",
    ),
    (
        "postgres://user:word@host/db",
        "--mlflow: must begin with one of sqlite, http, https, postgresql, mysql, mssql or databricks, but 'postgres://***@host/db' "
        "begins with 'postgres'. Did you mean 'postgresql'?",
    ),
    (
        "databricks-uc",
        "--mlflow: must be a place for runs, but 'databricks-uc' is Unity Catalog, where MLflow keeps only models. "
        "Use databricks, or sqlite:///mlflow.db.",
    ),
    (
        "uc:http://localhost:8080",
        "--mlflow: must be a place for runs, but 'uc:http://localhost:8080' is Unity Catalog, where MLflow keeps only models. "
        "Use databricks, or sqlite:///mlflow.db.",
    ),
    (
        "http:localhost",
        "--mlflow: the address of a server must name a host, but is 'http:localhost'. Use an address like http://localhost:5000.",
    ),
    ("sqlite:runs.db", "--mlflow: an SQLite database must be a file, but the address is 'sqlite:runs.db'. Use sqlite:///mlflow.db."),
    ("sqlite://", "--mlflow: an SQLite database must be a file, but the address is 'sqlite://'. Use sqlite:///mlflow.db."),
    (
        "sqlite:///:memory:",
        "--mlflow: an SQLite database must be a file, but the address is 'sqlite:///:memory:'. Use sqlite:///mlflow.db.",
    ),
    (
        "postgresql+nonsense://user:word@host/db",
        "--mlflow: must be the address of a database, but is 'postgresql+nonsense://***@host/db'. "
        "Use dialect+driver://user:password@host:port/database.",
    ),
    (
        "postgresql+pg8000://user:word@host/db",
        "--mlflow: 'postgresql+pg8000://***@host/db' needs the Python module pg8000, which is not installed. "
        "Install it first: pip install pg8000",
    ),
    (
        "mysql://user:word@host/db",
        "--mlflow: 'mysql://***@host/db' needs the Python module MySQLdb, which is not installed. "
        "Install it first: pip install mysqlclient",
    ),
]


@pytest.mark.parametrize(("flag", "message"), REFUSED)
def test_addresses_that_can_never_work_are_refused(folder: Path, flag: str, message: str) -> None:
    with pytest.raises(TrackingError) as caught:
        resolve_uri(flag, {})
    assert str(caught.value) == message


def test_the_error_names_where_the_address_came_from() -> None:
    with pytest.raises(TrackingError, match=r"^MLFLOW_TRACKING_URI: must begin with"):
        resolve_uri(None, {"MLFLOW_TRACKING_URI": "zzz://x"})


def refusal(path: Path) -> str:
    with pytest.raises(TrackingError) as caught:
        resolve_uri(f"sqlite:///{path}", {})
    return str(caught.value)


def test_the_folder_of_a_database_must_exist(folder: Path) -> None:
    assert refusal(folder / "no" / "m.db") == f"--mlflow: the folder of the database must exist, but '{folder}/no' does not. Make it first."


def test_a_folder_is_no_database(folder: Path) -> None:
    assert refusal(folder) == f"--mlflow: '{folder}' must be a file that can be read and written, but is not. Use another file."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_new_database_needs_a_writable_folder(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o555)
    expected = f"--mlflow: '{folder}/closed' must be writable to make m.db in it, but is not. Use another folder."
    assert refusal(folder / "closed" / "m.db") == expected


@pytest.mark.parametrize("name", ["a?b.db", "a%20b.db"])
def test_what_means_something_else_in_an_address_is_no_part_of_a_path(folder: Path, name: str) -> None:
    expected = f"--mlflow: the path of an SQLite database must be without '?' and '%', but is '{folder}/{name}'. Use another folder."
    assert refusal(folder / name) == expected


def test_another_kind_of_file_is_no_database(folder: Path) -> None:
    (folder / "m.db").write_text("hello, I am a letter")
    assert (
        refusal(folder / "m.db") == f"--mlflow: '{folder}/m.db' must be an SQLite database, but is another kind of file. Use another file."
    )


def test_a_torn_database_is_no_database(folder: Path, empty_store: Path) -> None:
    (folder / "m.db").write_bytes(empty_store.read_bytes()[:5000])
    message = refusal(folder / "m.db")
    assert message.startswith(f"--mlflow: '{folder}/m.db' must be an SQLite database that can be read, but ")
    assert message.endswith(". Restore it from a copy.")


def test_a_database_of_something_else_is_left_alone(folder: Path) -> None:
    with sqlite3.connect(folder / "m.db") as connection:
        connection.execute("create table events (id integer)")
    assert refusal(folder / "m.db") == f"--mlflow: '{folder}/m.db' must be MLflow's database, but holds other tables. Use another file."


def test_an_empty_file_is_as_good_as_none(folder: Path) -> None:
    (folder / "m.db").touch()
    assert resolve_uri("m.db", {}) == f"sqlite:///{folder}/m.db"


def with_revision(empty_store: Path, path: Path, revision: str | None) -> Path:
    shutil.copyfile(empty_store, path)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "update alembic_version set version_num = ?" if revision else "delete from alembic_version", (revision,) * bool(revision)
        )
    return path


def test_a_database_of_a_newer_mlflow_is_refused(folder: Path, empty_store: Path) -> None:
    path = with_revision(empty_store, folder / "m.db", "ffffffffffff")
    assert refusal(path) == (
        f"--mlflow: '{path}' must be a database of MLflow {MLFLOW} or older, but a newer MLflow made it. "
        "Install that version, or use another file."
    )


@pytest.mark.parametrize("revision", ["451aebb31d03", None])
def test_an_older_or_half_made_database_is_refused(folder: Path, empty_store: Path, revision: str | None) -> None:
    path = with_revision(empty_store, folder / "m.db", revision)
    assert refusal(path) == (
        f"--mlflow: '{path}' must have the tables of MLflow {MLFLOW}, but an older version made it, or making it was interrupted. "
        f"Copy it, then run `mlflow db upgrade sqlite:///{path}`, or use another file."
    )


def test_a_database_that_is_locked_just_now_passes(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("begin exclusive")
        assert resolve_uri(str(database), {}) == f"sqlite:///{database}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:word@host:5000/x", "http://***@host:5000/x"),
        ("http://user:wo/rd@host:5000/x", "http://***@host:5000/x"),
        ("run --mlflow 'http://user:p@ss@host:5000'", "run --mlflow 'http://***@host:5000'"),
        ("http://host/a@b", "http://host/a@b"),
        ("run --mlflow https://token@host --seed 0", "run --mlflow https://***@host --seed 0"),
        ("http://host/x?api_key=abc&page=2", "http://host/x?api_key=***&page=2"),
        ("http://host/x?page=2&Token=abc#top", "http://host/x?page=2&Token=***#top"),
        ("mysql+pymysql://u:p%40@h/db", "mysql+pymysql://***@h/db"),
        ("http://host:5000/#/experiments/1", "http://host:5000/#/experiments/1"),
    ],
)
def test_secrets_in_addresses_are_not_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_checking_an_address_does_not_import_mlflow(database: Path) -> None:
    code = "import sys; from automl.tracking import resolve_uri; resolve_uri(sys.argv[1], {}); sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(database)], check=False).returncode == 0
