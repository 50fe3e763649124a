"""MLflow's client, opened quietly: no telemetry, no chatter on the terminal, no trace in the environment of child processes."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from automl.tracking.address import sqlite_path
from automl.tracking.sqlite_store import ensure_store

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

REQUEST_SECONDS = 10  # a request that takes longer has failed; MLflow's own default is 120
_LOGGERS = ("mlflow", "alembic")
_quiet_threads: set[int] = set()
_opening = threading.Lock()


class _OtherThreads(logging.Filter):
    """Lets pass what threads other than ours say: a person who uses MLflow as well keeps its messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread not in _quiet_threads


_others = _OtherThreads()


def connect(uri: str) -> MlflowClient:
    """A client for this address, for the calling thread. Takes seconds the first time: imports MLflow and makes a fresh SQLite store."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    _quiet_threads.add(threading.get_ident())
    with _opening:
        from mlflow.tracking import MlflowClient

        _quieten()
        _be_quick()
        path = sqlite_path(uri)
        if path is not None:
            ensure_store(path)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def forget_thread() -> None:
    """The calling thread is done with MLflow."""
    _quiet_threads.discard(threading.get_ident())


def _quieten() -> None:
    """MLflow tells of migrations, and with tracebacks of locked databases, on stderr: not from our thread, which tells in its own words."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for place in (logger, *logger.handlers):
            if _others not in place.filters:
                place.addFilter(_others)


def _be_quick() -> None:
    """Short requests and few of MLflow's own retries, as the mirror has its own. Defaults, so that a person's environment still wins."""
    from mlflow import environment_variables as variables

    for name, value in (
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", REQUEST_SECONDS),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", 1),
        ("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", False),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", True),  # stdout is for answers; and it costs a request
    ):
        variable = getattr(variables, name, None)
        if variable is not None:
            variable.default = value
