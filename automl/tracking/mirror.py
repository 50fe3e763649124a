"""MLflow follows a study: a thread of its own that writes what happened, and never holds up or takes down the driver."""

from __future__ import annotations

import contextlib
import logging
import shlex
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from automl.errors import TrackingError
from automl.folders import STUDIES
from automl.study import Event
from automl.tracking import client as mlflow_client
from automl.tracking.address import redacted, sqlite_path
from automl.tracking.content import StudyHeader, Summary
from automl.tracking.sqlite_store import checkpoint
from automl.tracking.writer import Writer, first_line

_LONGEST_QUEUE = 50_000  # events in memory while MLflow is away; what is beyond is read again from the study
_CHUNK = 5_000  # events taken in between two flushes
_LONGEST_PAUSE = 30.0  # seconds between two tries while MLflow is away
_PATIENCE = 15.0  # seconds that the end of a study waits for an MLflow that only fails

_logger = logging.getLogger("automl.tracking")

Reread = Callable[[], Iterable[tuple[int, Event]]]


@dataclass(frozen=True, slots=True)
class MirrorReport:
    """What became of the mirror. ``is_level``: MLflow holds the first ``events`` events, the summary and the artifacts, in ``run``.

    ``problems`` are sentences for a person.
    """

    url: str
    is_level: bool
    problems: tuple[str, ...]
    events: int = 0
    run: str = ""


class Mirror:
    """Follows the events of one study into MLflow. It owns nothing: it can be made again at any time, fed from the first event on.

    Returns at once; MLflow is imported and opened in the background. ``reread`` gives all events of the study from the beginning: with it
    the mirror begins by reading those by itself, and its memory stays bounded while MLflow is away. ``say`` gets the few sentences for
    a person, in the mirror's thread.
    """

    def __init__(
        self,
        uri: str,
        header: StudyHeader,
        *,
        flush_seconds: float = 2.0,
        reread: Reread | None = None,
        say: Callable[[str], None] = _logger.warning,
    ) -> None:
        self.uri = uri
        self.header = header
        self._flush_seconds = flush_seconds
        self._reread = reread
        self._say = say
        self._news = threading.Condition()
        self._queue: deque[tuple[int, Event]] = deque()
        self._is_behind = reread is not None  # there are events that are neither queued nor taken in
        self._taken = 0  # position of the last event that the writer took in
        self._ending: tuple[Summary, Mapping[str, Path]] | None = None
        self._knows_of_ending = False  # the last step was begun with the ending in hand
        self._deadline: float | None = None
        self._writer: Writer | None = None
        self._trouble = ""
        self._failures = 0
        self._failing_since: float | None = None  # after the end of the study
        self._is_level = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="automl-mlflow", daemon=True)
        self._thread.start()

    def follow(self, events: Sequence[tuple[int, Event]]) -> None:
        """Hand over events that were just appended, with their positions. Never blocks, never raises; known positions are ignored."""
        with self._news:
            if self._done.is_set() or self._is_behind:
                return
            self._queue.extend(events)
            if self._reread is not None and len(self._queue) > _LONGEST_QUEUE:
                self._queue.clear()
                self._is_behind = True
            self._news.notify()

    def finish(self, summary: Summary, artifacts: Mapping[str, Path], timeout_seconds: float) -> MirrorReport:
        """Write everything outstanding, the summary and the artifacts, and end the runs; returns within the time, whatever MLflow does."""
        with self._news:
            self._ending = (summary, artifacts)
            self._deadline = time.monotonic() + timeout_seconds
            self._news.notify()
        self._done.wait(timeout_seconds)
        return self._report()

    @property
    def url(self) -> str:
        """The study's page in MLflow, or the command that shows it."""
        path = sqlite_path(self.uri)
        if path is not None:
            folder = Path(self.header.folder)
            return f"automl dashboard {shlex.quote(folder.name if folder.parent == STUDIES.absolute() else str(folder))}"
        page = self._writer.page if self._writer else ""
        return f"{without_secrets(self.uri)}/{page}" if urlsplit(self.uri).scheme in ("http", "https") else redacted(self.uri)

    def _report(self) -> MirrorReport:
        writer = self._writer
        problems = list(writer.problems) if writer else []
        if not self._is_level:
            why = self._trouble or "it did not answer in time"
            problems.insert(
                0, f"MLflow ({redacted(self.uri)}) is not level with the study: {why}. `automl sync {self.header.name}` does it."
            )
        run = writer.parent if writer else ""
        return MirrorReport(self.url, self._is_level and not problems, tuple(problems), self._taken, run)

    # -- the thread -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:  # a mirror that breaks must not break the study
            self._trouble = first_line(error)
        finally:
            mlflow_client.forget_thread()
            self._done.set()

    def _loop(self) -> None:
        pause = 0.0
        while not self._is_over():
            self._wait(pause)
            began = time.monotonic()
            try:
                self._step()
            except TrackingError as error:
                self._give_up(str(error))
                return
            except Exception as error:
                pause = self._after_failure(error)
                continue
            if self._is_level:
                return
            if self._failures:
                self._failures, self._failing_since, self._trouble = 0, None, ""
                self._say("MLflow is back; what it missed is written.")
            # Half of the time at most is spent writing, so that a slow store does not take the driver's share of the interpreter.
            pause = max(self._flush_seconds, time.monotonic() - began)

    def _wait(self, pause: float) -> None:
        """Sleep for the pause, cut short by the study's end, also one that came during the last step; then until there is work."""
        with self._news:
            self._news.wait_for(lambda: self._ending is not None and not self._knows_of_ending, timeout=pause)
            self._news.wait_for(self._has_work)

    def _has_work(self) -> bool:
        if self._ending is not None or self._writer is None or self._writer.has_work:
            return True
        return bool(self._queue) or (self._is_behind and self._reread is not None)

    def _step(self) -> None:
        ending = self._ending
        self._knows_of_ending = ending is not None
        writer = self._writer = self._writer or self._open()
        if self._is_behind and self._reread is not None:
            self._catch_up(writer, self._reread)
        with self._news:
            events = list(self._queue)
            self._queue.clear()
        self._write(writer, events)
        if ending is not None and not self._is_over():
            writer.close(*ending)
            self._is_level = not self._is_over() and not writer.missing and not self._is_behind
            path = sqlite_path(self.uri)
            if path is not None:
                checkpoint(path)

    def _open(self) -> Writer:
        writer = Writer(mlflow_client.connect(self.uri), self.uri, self.header, self._is_over)
        writer.open()
        return writer

    def _catch_up(self, writer: Writer, reread: Reread) -> None:
        """Read the study's own events. Whatever is handed over from now on is queued; what is known twice is taken in once."""
        with self._news:
            self._is_behind = False
        try:
            events = iter(reread())
            while chunk := list(islice(events, _CHUNK)):
                self._write(writer, chunk)
        except BaseException:
            self._is_behind = True
            raise

    def _write(self, writer: Writer, events: Sequence[tuple[int, Event]]) -> None:
        for position, event in events:
            if position > self._taken:
                self._taken = position
                writer.take(event)
        writer.flush(time.monotonic(), final=self._ending is not None)

    def _after_failure(self, error: Exception) -> float:
        """Note the failure, tell of the first one, and return how long to pause."""
        self._trouble = first_line(error)
        if not self._failures and self._ending is None:
            self._say(
                f"MLflow ({redacted(self.uri)}) cannot be reached: {self._trouble}. The study goes on; all is written when it is back."
            )
        self._failures += 1
        pause = min(_LONGEST_PAUSE, max(0.2, self._flush_seconds) * 2 ** min(self._failures - 1, 10))
        if self._deadline is not None:
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            self._deadline = min(self._deadline, self._failing_since + _PATIENCE)
            pause = min(pause, 0.5, max(0.0, self._deadline - now))
        return float(pause)

    def _give_up(self, why: str) -> None:
        self._trouble = why.rstrip(".")
        with self._news:
            self._queue.clear()
        self._say(why)

    def _is_over(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline


def without_secrets(uri: str) -> str:
    """The address of a server as anybody may read it."""
    parts = urlsplit(uri)
    host = parts.hostname or ""
    with contextlib.suppress(ValueError):
        host = f"{host}:{parts.port}" if parts.port else host
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
