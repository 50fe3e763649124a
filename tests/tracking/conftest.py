from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from automl.tracking.client import forget_thread
from automl.tracking.sqlite_store import ensure_store


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


class Server:
    """A real `mlflow server` in its smallest configuration, which can be stopped and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--artifacts-destination", str(self.folder / "artifacts")]
        environ = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True, cwd=self.folder)
        while not self._answers():
            if self._process.poll() is not None:
                pytest.fail((self.folder / "server.log").read_text())

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def server(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has not been started yet."""
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
