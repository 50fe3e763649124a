"""MLflow's client, opened quietly: no telemetry, no chatter on the terminal, no trace in the environment of child processes."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from automl.garbage import without_collections
from automl.tracking.address import sqlite_path
from automl.tracking.sqlite_store import ensure_store, sync_seldom
from automl.tracking.trouble import is_passing, is_timeout

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_SHORT, _LONG = 10, 120  # seconds after which a request has failed: at first, and once it is known that MLflow is slow
_PAUSES = (0.2, 0.6, 2.0)  # before a request is made again; one that was not answered in time once
_NOT_AGAIN = ("create_run",)  # would make another one
_LOGGERS = ("mlflow", "alembic", "urllib3")
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
    with _opening, without_collections():
        from mlflow.tracking import MlflowClient

        _quieten()
        _be_quick()
        path = sqlite_path(uri)
        if path is not None:
            ensure_store(path)
            sync_seldom(path)
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
    """Short requests and none of MLflow's own retries, which repeat also what must not be, and which wait as long as a server tells them.

    The mirror has its own. Defaults, so that a person's environment still wins.
    """
    from mlflow import environment_variables as variables

    for name, value in (
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", _SHORT),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", 0),
        ("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", False),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", True),  # stdout is for answers; and it costs a request
    ):
        variable = getattr(variables, name, None)
        if variable is not None:
            variable.default = value


def wait_longer() -> None:
    """A request was not answered in time: from now on each may take twice as long, within bounds. Nobody waits for the mirror meanwhile."""
    from mlflow import environment_variables as variables

    timeout = variables.MLFLOW_HTTP_REQUEST_TIMEOUT
    timeout.default = min(_LONG, 2 * timeout.default)


def repeats_by_itself() -> bool:
    """Whether a person's environment has MLflow repeat requests whose answer did not come: those that make something make it twice."""
    from mlflow import environment_variables as variables

    return int(variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()) > 0  # type: ignore[no-untyped-call]


class PatientClient:
    """MLflow's client, for a server that answers badly now and then: what can be asked again is, after short pauses.

    Otherwise whatever takes many requests would never come to its end there. ``answered`` is told of each request that worked, ``failed``
    of each that did not.
    """

    def __init__(
        self, client: MlflowClient, answered: Callable[[], None], failed: Callable[[], None], should_stop: Callable[[], bool]
    ) -> None:
        self._client = client
        self._answered = answered
        self._failed = failed
        self._should_stop = should_stop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._ask, name)

    def _ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        pauses = list(() if name in _NOT_AGAIN else _PAUSES)
        while True:
            try:
                answer = getattr(self._client, name)(*arguments, **named)
            except Exception as error:
                self._failed()
                if is_timeout(error):
                    del pauses[1:]
                elif not is_passing(error):
                    raise
                if not pauses or self._should_stop():
                    raise
                time.sleep(pauses.pop(0))
            else:
                self._answered()
                return answer
