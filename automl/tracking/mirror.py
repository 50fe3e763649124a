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
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from automl.errors import TrackingError
from automl.folders import STUDIES
from automl.tracking import client as mlflow_client
from automl.tracking.address import redacted, sqlite_path
from automl.tracking.client import PatientClient
from automl.tracking.content import StudyHeader, Summary
from automl.tracking.presentation import REFUSED
from automl.tracking.sqlite_store import checkpoint
from automl.tracking.trouble import is_timeout, reason
from automl.tracking.writer import Writer
from automl.trials import Event

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_LONGEST_QUEUE = 50_000  # events in memory while MLflow is away; what is beyond is read again from the study
_CHUNK = 5_000  # events taken in between two flushes
_LONGEST_PAUSE = 30.0  # seconds between two tries while MLflow is away
_SHORT_PAUSE = 0.2  # seconds between two writings, at least ...
_PAUSE_SHARE = 0.25  # ... and of the time that the last one took: the driver needs a fifth of what MLflow takes of the interpreter
_PATIENCE = 15.0  # seconds that the end of a study waits for an MLflow that only fails ...
_LAST_TRIES = 5.0  # ... and for one that did so before
_MOST_TRIES = 6  # of the end, where each fails and none comes further than those before
_WORTH_A_WORD = 10.0  # seconds of waiting for the end after which a person is told why
_WORTH_TELLING = 60.0  # seconds that trouble must last to be told of, once MLflow has been away and back

_logger = logging.getLogger("automl.tracking")

Reread = Callable[[int], Iterable[tuple[int, Event]]]


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

    Returns at once; MLflow is imported and opened in the background. ``reread`` gives all events of the study after a position: with it
    the mirror begins by reading those by itself, its memory stays bounded while MLflow is away, and it begins anew where MLflow has lost
    what it had. Trials that have ended are written at once, those under way every ``flush_seconds``, since each of their writings costs a
    quarter of a trial. ``say`` gets the few sentences for a person, in the mirror's thread or in that which waits for its end.
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
        self._running_due = 0.0  # when trials that are under way are written again
        self._reread = reread
        self._tell = say
        self._news = threading.Condition()
        self._queue: deque[tuple[int, Event]] = deque()
        self._is_behind = reread is not None  # there are events that are neither queued nor taken in
        self._taken = 0  # position of the last event that the writer took in
        self._ending: tuple[Summary, Mapping[str, Path]] | None = None
        self._knows_of_ending = False  # the last step was begun with the ending in hand
        self._ended_at = 0.0
        self._writing_since = 0.0  # of the last step
        self._deadline: float | None = None
        self._writer: Writer | None = None
        self._trouble = ""
        self._failures = 0  # one after the other, without any request that worked in between
        self._failing_since: float | None = None
        self._in_trouble_since: float | None = None  # when the last step failed for the first time
        self._has_told = False  # of this trouble
        self._tells_from = 0.0  # seconds that trouble must last to be told of
        self._answers = 0  # to requests of this step that worked
        self._furthest = (0, 0)  # that a step has come: trials outstanding, counted down, and answers
        self._tries_left = _MOST_TRIES  # of the end, since one has come further
        self._is_level = False
        self._is_done = False
        self._thread = threading.Thread(target=self._run, name="automl-mlflow", daemon=True)
        self._thread.start()

    def follow(self, events: Sequence[tuple[int, Event]]) -> None:
        """Hand over events that were just appended, with their positions. Never blocks, never raises; known positions are ignored."""
        with self._news:
            if self._is_done or self._is_behind:
                return
            self._queue.extend(events)
            if self._reread is not None and len(self._queue) > _LONGEST_QUEUE:
                self._queue.clear()
                self._is_behind = True
            self._news.notify_all()

    def finish(self, summary: Summary, artifacts: Mapping[str, Path], timeout_seconds: float) -> MirrorReport:
        """Write everything outstanding, the summary and the artifacts, and end the runs; returns within the time, whatever MLflow does.

        Sooner where MLflow only fails: after a moment where it has done so before, else after a while.
        """
        with self._news:
            self._ended_at = time.monotonic()
            self._deadline = self._ended_at + timeout_seconds
            self._ending = (summary, artifacts)
            self._news.notify_all()
        if timeout_seconds > _WORTH_A_WORD and not self._await_end(_WORTH_A_WORD):
            self._say(
                f"Waiting for MLflow ({redacted(self.uri)}), {timeout_seconds:.0f} s at most. Ctrl-C leaves it, and `{self.header.sync}` "
                "writes the rest."
            )
        self._await_end(timeout_seconds)
        return self._report()

    def _await_end(self, seconds: float) -> bool:
        """Wait until the thread is done or has no time left, at most so many seconds from the end of the study on. Whether it is so."""
        with self._news:
            while not (is_over := self._is_done or self._is_over()) and (left := self._time_left(seconds)) > 0:
                self._news.wait(left)
            return is_over

    def _time_left(self, seconds: float) -> float:
        """Until there is something to look at: the time is over, or MLflow has failed for too long."""
        until = self._ended_at + seconds
        since = self._failing_since
        return min(until, until if since is None else self._patient_until(since)) - time.monotonic()

    def _patient_until(self, failing_since: float) -> float:
        """When an MLflow that has failed since then is given up, once the study has ended."""
        return self._ended_at + _LAST_TRIES if failing_since < self._ended_at else failing_since + _PATIENCE

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
            where, again = f"MLflow ({redacted(self.uri)})", f"`{self.header.sync}`"
            why = (self._trouble or "it did not answer in time").removeprefix(f"{where}: ").removesuffix(".")
            problems.insert(0, f"{where} is not level with the study: {why}.{'' if again in why else f' {again} does it.'}")
        run = writer.parent if writer else ""
        return MirrorReport(self.url, self._is_level and not problems, tuple(problems), self._taken, run)

    # -- the thread -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:  # a mirror that breaks must not break the study
            self._trouble = reason(error)
        finally:
            mlflow_client.forget_thread()
            with self._news:
                self._is_done = True
                self._news.notify_all()

    def _loop(self) -> None:
        pause = 0.0
        while not self._is_over():
            self._wait(pause)
            self._answers = 0
            try:
                self._step()
            except TrackingError as error:
                self._give_up(str(error))
                return
            except Exception as error:
                pause = self._after_failure(error)
                if self._tries_left <= 0:
                    return
                continue
            if self._is_level:
                return
            self._after_success()
            spent = time.monotonic() - self._writing_since
            pause = max(min(_SHORT_PAUSE, self._flush_seconds), _PAUSE_SHARE * spent)

    def _wait(self, pause: float) -> None:
        """Sleep for the pause, cut short by the study's end, also one that came during the last step; then until there is work."""
        with self._news:
            self._news.wait_for(lambda: self._ending is not None and not self._knows_of_ending, timeout=pause)
            self._news.wait_for(self._has_work)

    def _has_work(self) -> bool:
        if self._ending is not None or self._writer is None or not self._writer.is_open or self._writer.has_work:
            return True
        return bool(self._queue) or (self._is_behind and self._reread is not None)

    def _step(self) -> None:
        ending = self._ending
        self._knows_of_ending = ending is not None
        writer = self._opened()
        self._writing_since = time.monotonic()
        if self._in_trouble_since is not None:
            writer.flush(time.monotonic())  # what is in hand first: while MLflow is away nothing more is taken in
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

    def _opened(self) -> Writer:
        if self._writer is None:
            client = PatientClient(mlflow_client.connect(self.uri), self._note_answer, self._note_failure, self._is_over)
            self._writer = Writer(cast("MlflowClient", client), self.uri, self.header, self._is_over)
        if not self._writer.is_open:
            self._writer.open()
        return self._writer

    def _catch_up(self, writer: Writer, reread: Reread) -> None:
        """Read the study's own events. Whatever is handed over from now on is queued; what is known twice is taken in once."""
        with self._news:
            self._is_behind = False
        try:
            events = iter(reread(self._taken))
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
        now = time.monotonic()
        is_due = now >= self._running_due
        writer.flush(now, final=self._ending is not None, running=is_due)
        if is_due:
            self._running_due = time.monotonic() + self._flush_seconds

    def _note_answer(self) -> None:
        """A request worked: MLflow is there, whatever it says to the next one."""
        self._answers += 1
        self._failures, self._failing_since = 0, None

    def _note_failure(self) -> None:
        """A request failed: who waits for the end is to know since when."""
        with self._news:
            self._failing_since = self._failing_since or time.monotonic()
            self._news.notify_all()

    def _after_success(self) -> None:
        self._failures, self._failing_since = 0, None
        self._trouble, self._in_trouble_since = "", None
        if self._has_told:
            self._has_told, self._tells_from = False, _WORTH_TELLING
            self._say("MLflow is back; what it missed is written.")

    def _after_failure(self, error: Exception) -> float:
        """Note the failure, tell of the trouble once, and return how long to pause."""
        now = time.monotonic()
        self._trouble = reason(error)
        self._failures += 1
        self._in_trouble_since = self._in_trouble_since or now
        self._note_failure()
        if is_timeout(error):
            mlflow_client.wait_longer()
        if getattr(error, "error_code", None) in REFUSED and self._reread is not None:
            self._begin_anew()
        if self._ending is not None:
            self._count_try()
        elif not self._has_told and now - self._in_trouble_since >= self._tells_from:
            self._has_told = True
            self._say(
                f"MLflow ({redacted(self.uri)}) cannot be written to: {self._trouble}. The study goes on; what MLflow misses is written "
                f"when it is back, or later by `{self.header.sync}`."
            )
        pause = min(_LONGEST_PAUSE, max(0.2, self._flush_seconds) * 2 ** min(self._failures - 1, 10))
        return float(pause if self._deadline is None else max(0.0, min(pause, 0.5, self._deadline - now)))

    def _begin_anew(self) -> None:
        """What was written to is not there any more, as when a server was started anew with an empty store: all is written once more."""
        self._writer, self._taken = None, 0
        with self._news:
            self._queue.clear()
            self._is_behind = True

    def _count_try(self) -> None:
        """The end is tried a few times, and on as long as each try comes further than all before."""
        if not self._answers:
            return  # how long an MLflow may be tried that does nothing at all is a matter of time
        come = (-(self._writer.outstanding if self._writer else 0), self._answers)
        if self._tries_left == _MOST_TRIES or come > self._furthest:
            self._furthest, self._tries_left = come, _MOST_TRIES
        self._tries_left -= 1

    def _give_up(self, why: str) -> None:
        self._trouble = why.rstrip(".")
        with self._news:
            self._queue.clear()
        self._say(why)

    def _say(self, sentence: str) -> None:
        """Tell a person. Where nobody can be told any more, the mirror goes on."""
        with contextlib.suppress(Exception, SystemExit):  # rich leaves by SystemExit when nobody reads what it prints
            self._tell(sentence)

    def _is_over(self) -> bool:
        """Whether the study has ended and MLflow has had its time."""
        if self._deadline is None:
            return False
        now, since = time.monotonic(), self._failing_since
        return now > self._deadline or (since is not None and now > self._patient_until(since))


def without_secrets(uri: str) -> str:
    """The address of a server as anybody may read it."""
    parts = urlsplit(uri)
    host = parts.hostname or ""
    with contextlib.suppress(ValueError):
        host = f"{host}:{parts.port}" if parts.port else host
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
