"""MLflow's own server on this machine, in its small configuration: one worker, no jobs; two processes instead of fifteen."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from automl.errors import TrackingError, UsageError
from automl.tracking.address import redacted, sqlite_path

HOST = "127.0.0.1"
_STARTS = 120.0  # seconds that a start may take; on two busy cores it takes twenty
_ENDS = 10.0
_LOOKS = 0.1
_WORDS = 8  # lines of the log that an error shows


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at ``address``."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> None:
        """Return when it ends. Raises TrackingError with its last words, since it ends by itself only by accident."""
        code = self.process.wait()
        raise TrackingError(f"MLflow's server: must run until it is ended, but ended with exit code {code}. {_last_words(self.log)}")


@contextlib.contextmanager
def serving(uri: str, port: int | None = None, prefix: str = "") -> Iterator[Server]:
    """A server over the store at ``uri``, ended with all its processes at the end. ``port``: None for any that is free.

    The environment reaches it (``MLFLOW_SERVER_ALLOWED_HOSTS`` and the like). The address of the store, which may hold a password, is in no
    process's arguments. Raises UsageError where the port is taken, TrackingError where the server does not start.
    """
    place = _free_port(port)
    with tempfile.TemporaryDirectory(prefix="automl-mlflow-") as folder:
        log = Path(folder, "server.log")
        with log.open("wb") as out:
            process = subprocess.Popen(_command(place, prefix), env=_environment(uri), stdout=out, stderr=out, start_new_session=True)
        try:
            server = Server(f"http://{HOST}:{place}{prefix}", process, log)
            _await(server, uri)
            yield server
        finally:
            _end(process)


def check_prefix(prefix: str) -> str:
    """The prefix as it is, or UsageError: it begins the path of every address."""
    if prefix and (not prefix.startswith("/") or prefix.endswith("/") or any(letter in prefix for letter in "?#% {}")):
        raise UsageError(f"--path-prefix: must begin with '/' and not end with it, but is {prefix!r}. Give one, such as /mlflow.")
    return prefix


def _free_port(port: int | None) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just used is free
        try:
            probe.bind((HOST, port or 0))
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise UsageError(f"--port: must be free on {HOST}, but {port} is not ({why}). Give another, or leave it out.") from None
        return int(probe.getsockname()[1])


def _command(port: int, prefix: str) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    return [*command, "--static-prefix", prefix] if prefix else command


def _environment(uri: str) -> Mapping[str, str]:
    path = sqlite_path(uri)
    artifacts = {"MLFLOW_ARTIFACTS_DESTINATION": str(path.parent / "mlartifacts")} if path else {}
    ours = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **artifacts}
    theirs = {name: value for name, value in os.environ.items() if name != "MLFLOW_STATIC_PREFIX"}  # the links would not have it
    return {"MLFLOW_DISABLE_TELEMETRY": "true", **theirs, **ours}


def _await(server: Server, uri: str) -> None:
    """Return when it answers."""
    until = time.monotonic() + _STARTS
    while not _answers(server.address):
        code = server.process.poll()
        if code is not None:
            raise TrackingError(
                f"MLflow's server on {redacted(uri)}: must start, but ended with exit code {code}. {_last_words(server.log)}"
            )
        if time.monotonic() > until:
            raise TrackingError(
                f"MLflow's server on {redacted(uri)}: must answer within {_STARTS:g} seconds, but does not. {_last_words(server.log)}"
            )
        time.sleep(_LOOKS)


def _answers(address: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}/health", timeout=5):
            return True
    except OSError:
        return False


def _last_words(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-_WORDS:]
        if lines:
            return "Its last words:\n" + redacted("\n".join(lines))
    return "It said nothing."


def _end(process: subprocess.Popen[bytes]) -> None:
    """The server and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS)
