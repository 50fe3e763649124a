"""Where MLflow is: one address from the flag, the environment or the default, checked before anything starts."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shlex
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from automl.errors import TrackingError, suggestion
from automl.folders import home_expanded
from automl.tracking.databricks import check_databricks

OFF = "off"
DEFAULT = "sqlite:///mlflow.db"

_SERVERS = ("http", "https")
_DATABASES = ("postgresql", "mysql", "mssql")
_DATABRICKS = "databricks"
_MODEL_REGISTRIES = ("databricks-uc", "uc")
_SCHEMES = ("sqlite", *_SERVERS, *_DATABASES, _DATABRICKS)
_PACKAGES = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}  # what installs a module, where that is called differently
_SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_SECRET_WORDS = "token|password|passwd|pwd|secret|key|signature|sig|credential|auth"
_MAGIC = b"SQLite format 3\x00"


def resolve_uri(flag: str | None, environ: Mapping[str, str]) -> str:
    """The address of MLflow: the flag, else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in this folder; ``off`` for none.

    SQLite addresses come back with an absolute path. Raises TrackingError for an address that can never work. A server that
    does not answer now is none: it may be back before the study ends.
    """
    if flag:
        where, raw = "--mlflow", flag.strip()
    else:
        where, raw = "MLFLOW_TRACKING_URI", environ.get("MLFLOW_TRACKING_URI", "").strip()
        if not raw:
            where, raw = "--mlflow", DEFAULT
    if raw == OFF:
        return OFF
    scheme = _scheme(raw)
    if scheme == "sqlite":
        return _sqlite_uri(where, raw.split(":", 1)[1])
    if scheme is None and raw.lower().endswith(_SQLITE_SUFFIXES):
        return _sqlite_uri(where, f"///{raw}")
    if scheme in (None, "file"):
        raise TrackingError(_no_scheme(where, raw))
    if scheme in _SERVERS:
        _check_server(where, raw)
    elif scheme in _DATABASES:
        _check_database(where, raw)
    elif scheme == _DATABRICKS:
        check_databricks(where, raw, environ)
    elif scheme in _MODEL_REGISTRIES:
        raise TrackingError(
            f"{where}: must be a place for runs, but {redacted(raw)!r} is Unity Catalog, where MLflow keeps only models. "
            "Use databricks, or sqlite:///mlflow.db."
        )
    elif scheme not in _plugins():
        raise TrackingError(
            f"{where}: must begin with one of sqlite, http, https, postgresql, mysql, mssql or databricks, but {redacted(raw)!r} "
            f"begins with {scheme!r}.{suggestion(scheme, _SCHEMES) or ' Use sqlite:///mlflow.db or the address of a server.'}"
        )
    return raw


def restore_command(uri: str, experiment: str) -> str:
    """What brings an experiment back that was deleted in MLflow, by its id."""
    return f"MLFLOW_TRACKING_URI={shlex.quote(redacted(uri))} mlflow experiments restore -x {experiment}"


def redacted(text: str) -> str:
    """The text without the user names, passwords and tokens of addresses in it."""
    text = re.sub(r"(\w://)[^\s/]*@", r"\1***@", text)  # up to the last one: a password may hold others
    text = re.sub(r"(\w://)(?!\*\*\*@)[^\s/@:]*:[^\s@]*@", r"\1***@", text)
    return re.sub(rf"(?i)([?&;][\w-]*(?:{_SECRET_WORDS})[\w-]*=)[^&\s#;'\"]+", r"\1***", text)


def sqlite_path(uri: str) -> Path | None:
    """The file of an address that ``resolve_uri`` made, None where it is no SQLite database."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _scheme(raw: str) -> str | None:
    if raw in (_DATABRICKS, *_MODEL_REGISTRIES):
        return raw
    match = re.match(r"([A-Za-z][A-Za-z0-9.-]*)(?:\+[\w-]+)?:(?=//|/)|(arn|file|sqlite|https?|databricks|databricks-uc|uc):", raw, re.I)
    return (match[1] or match[2]).lower() if match else None


def _no_scheme(where: str, raw: str) -> str:
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", raw):
        return f"{where}: the address of a server must begin with http:// or https://, but is {raw!r}. Did you mean 'http://{raw}'?"
    return (
        f"{where}: must be a database or a server, but {raw!r} would be a folder in MLflow's old file format, which MLflow refuses. "
        "Use sqlite:///mlflow.db (`mlflow migrate-filestore` moves old runs there)."
    )


def _plugins() -> set[str]:
    return {entry.name for entry in importlib.metadata.entry_points(group="mlflow.tracking_store")}


def _check_server(where: str, raw: str) -> None:
    try:
        parts = urlsplit(raw)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or re.search(r"\s", raw):
        raise TrackingError(
            f"{where}: the address of a server must name a host, but is {redacted(raw)!r}. Use an address like http://localhost:5000."
        )
    try:
        is_port = parts.port != 0
    except ValueError:
        is_port = False
    if not is_port:
        raise TrackingError(
            f"{where}: the port must be a number from 1 to 65535, but the address is {redacted(raw)!r}. "
            "Use an address like http://localhost:5000."
        )


def _check_database(where: str, raw: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        make_url(raw).get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise TrackingError(
            f"{where}: must be the address of a database, but is {redacted(raw)!r}. Use dialect+driver://user:password@host:port/database."
        ) from None
    except ImportError as error:
        raise TrackingError(
            f"{where}: {redacted(raw)!r} needs the Python module {error.name}, which is not installed. "
            f"Install it first: pip install {_PACKAGES.get(error.name or '', error.name)}"
        ) from None


# -- SQLite -------------------------------------------------------------------------------------------------------------


def _sqlite_uri(where: str, rest: str) -> str:
    name = rest.removeprefix("///")
    if not rest.startswith("///") or name in ("", ":memory:"):
        raise TrackingError(f"{where}: an SQLite database must be a file, but the address is 'sqlite:{rest}'. Use sqlite:///mlflow.db.")
    path = Path(os.path.abspath(home_expanded(name)))  # noqa: PTH100  # links stay links
    if set("?%") & set(str(path)):  # in an address they begin something else
        raise TrackingError(
            f"{where}: the path of an SQLite database must be without '?' and '%', but is {str(path)!r}. Use another folder."
        )
    _check_sqlite(where, path)
    return f"sqlite:///{path}"


def _check_sqlite(where: str, path: Path) -> None:
    """Raise TrackingError where no MLflow database is at ``path`` and none can be made there."""
    if not path.parent.is_dir():
        raise TrackingError(f"{where}: the folder of the database must exist, but {str(path.parent)!r} does not. Make it first.")
    if not path.exists():
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise TrackingError(
                f"{where}: {str(path.parent)!r} must be writable to make {path.name} in it, but is not. Use another folder."
            )
        return
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        raise TrackingError(f"{where}: {str(path)!r} must be a file that can be read and written, but is not. Use another file.")
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
    if head and head != _MAGIC:
        raise TrackingError(f"{where}: {str(path)!r} must be an SQLite database, but is another kind of file. Use another file.")
    if head:
        _check_schema(where, path)


def _check_schema(where: str, path: Path) -> None:
    """The database must be one that the installed MLflow opens: it does not bring up to date by itself."""
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=1.0)
        try:
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
            rows = connection.execute("select version_num from alembic_version").fetchall() if "alembic_version" in tables else []
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return  # locked by another process just now: the mirror will see
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"{where}: {str(path)!r} must be an SQLite database that can be read, but {str(error).rstrip('.')}. Restore it from a copy."
        ) from None
    if not tables:
        return
    if "experiments" not in tables:
        raise TrackingError(f"{where}: {str(path)!r} must be MLflow's database, but holds other tables. Use another file.")
    revisions = _revisions()
    (revision,) = rows[0] if rows else ("",)
    if not revisions or revision == _newest(revisions):
        return
    if revision and revision not in revisions:
        raise TrackingError(
            f"{where}: {str(path)!r} must be a database of MLflow {_version()} or older, but a newer MLflow made it. "
            "Install that version, or use another file."
        )
    raise TrackingError(
        f"{where}: {str(path)!r} must have the tables of MLflow {_version()}, but an older version made it, or making it was interrupted. "
        f"Copy it, then run `mlflow db upgrade sqlite:///{path}`, or use another file."
    )


def _revisions() -> dict[str, str]:
    """MLflow's own list of schema revisions, each with the one before it, read without importing MLflow."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(next(iter(spec.submodule_search_locations))) / "store" / "db_migrations" / "versions"
    found: dict[str, str] = {}
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        revision = re.search(r"""^revision\s*(?::[^=]*)?=\s*["'](\w+)["']""", text, re.M)
        before = re.search(r"""^down_revision\s*(?::[^=]*)?=\s*["'](\w+)["']""", text, re.M)
        if revision:
            found[revision[1]] = before[1] if before else ""
    return found


def _newest(revisions: Mapping[str, str]) -> str:
    heads = set(revisions) - set(revisions.values())
    return heads.pop() if len(heads) == 1 else ""


def _version() -> str:
    return importlib.metadata.version("mlflow")
