"""A screen that a thread keeps up to date, on the terminal's second page: whatever stood on the terminal comes back at its end."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Self, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from automl.cli.screen import screen
from automl.engines.usage import Usage
from automl.events import Slot
from automl.progress import Progress, Snapshot
from automl.study import Study
from automl.trials import Event

REFRESH = 4  # times a second

Take = Callable[[Sequence[str]], Snapshot | Text]
"""What is to be shown now, with these notes: a snapshot, or a line while there is none."""


class Feed:
    """Brings events from the thread that has them to the thread that shows them."""

    def __init__(self, name: str, driver: int) -> None:
        self._name = name
        self._usage = Usage(driver)
        self._progress: Progress | None = None
        self._events: deque[Event] = deque()
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._usage.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._usage.stop()

    def begin(self, study: Study, slots: Sequence[Slot] = ()) -> None:
        """Show this study from now on, which is left as it is."""
        self._progress = Progress(self._name, study.copy(), slots)

    def put(self, events: Sequence[tuple[int, Event]]) -> None:
        """These have happened."""
        self._events.extend(event for _, event in events)

    def take(self, notes: Sequence[str]) -> Snapshot | Text:
        """What is to be shown now; called by the thread that shows it."""
        if self._progress is None:
            return Text.assemble((self._name, "bold"), (f"  preparing data and workers ... {time.monotonic() - self._began:.0f} s", "dim"))
        self._progress.take([self._events.popleft() for _ in range(len(self._events))])
        return self._progress.snapshot(time.time(), True, self._usage.of, notes)


class PatientConsole(Console):
    """Where whoever read the progress has gone, the run goes on in silence; rich would end it, and close stdout to the answer."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def can_show_screen(console: Console) -> bool:
    """Whether there is a terminal that can be drawn on."""
    return console.is_terminal and not console.is_dumb_terminal


class LiveScreen:
    """Use it as a context manager: within, the screen follows what ``take`` says, and ``note`` adds a line to it.

    Notes, and whatever is written to stderr meanwhile, are shown at the bottom and printed once more at the end.
    """

    def __init__(self, console: Console, take: Take) -> None:
        self._console = console
        self._take = take
        self._notes: list[str] = []
        self._live = Live(self, console=console, screen=True, refresh_per_second=REFRESH, redirect_stdout=False, redirect_stderr=False)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(self._print_notes)
        self._stack.enter_context(self._live)
        if self._console.file is sys.stderr:
            self._console.file = sys.stderr  # rich asks for sys.stderr anew each time; what it writes is the screen
        if threading.current_thread() is threading.main_thread():
            self._stack.callback(signal.signal, signal.SIGTSTP, signal.signal(signal.SIGTSTP, self._suspend))
        self._stack.callback(setattr, sys, "stderr", sys.stderr)
        sys.stderr = cast("TextIO", _Lines(sys.stderr, self.note))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the terminal is as it was while this process is stopped, and the screen comes back with it."""
        self._live.stop()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._live.start(refresh=True)

    def note(self, line: str) -> None:
        """Show this line, and keep it."""
        self._notes.append(line)

    def _print_notes(self) -> None:
        for note in self._notes:
            self._console.print(Text(note, style="dim"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        try:
            shown = self._take(self._notes)
            lines = [shown] if isinstance(shown, Text) else screen(shown, width, height, options.ascii_only)
        except Exception as error:  # a study is not to suffer from how it is shown
            lines = [Text(f"The display failed: {error!r}. The study goes on.")]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
            yield line


class _Lines(io.TextIOBase):
    """Takes the place of stderr while the screen is on it: whole lines become notes."""

    def __init__(self, stderr: TextIO, note: Callable[[str], None]) -> None:
        self._stderr, self._note, self._rest = stderr, note, ""

    def write(self, text: str) -> int:
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            if line.strip():
                self._note(line.rstrip())
        return len(text)

    def fileno(self) -> int:
        return self._stderr.fileno()

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        pass
