from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from automl.tracking.client import forget_thread
from automl.tracking.sqlite_store import ensure_store
from contracts.mlflowserver import Server


@pytest.fixture(scope="session", autouse=True)
def _no_telemetry() -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database as it is after its migrations, which take seconds: to be copied."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    ensure_store(path)
    return path


@pytest.fixture
def database(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(empty_store, tmp_path / "mlflow.db"))


@pytest.fixture
def uri(database: Path) -> str:
    return f"sqlite:///{database}"


@pytest.fixture(scope="session")
def server(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may be down, or up as an earlier test has left it."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    server = Server(folder)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _this_thread_speaks_again() -> Iterator[None]:
    """A thread that opened MLflow is quiet until it says that it is done; tests open it in the thread that all others run in."""
    yield
    forget_thread()
