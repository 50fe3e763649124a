"""What asks a driver to stop: Ctrl-C, SIGTERM (schedulers send it) and SIGHUP (of a terminal that was closed), all alike.

A signal that is ignored when the program begins stays ignored: `nohup` and shells that start something in the background mean it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_Handler = Callable[[int, FrameType | None], object]


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP raise KeyboardInterrupt, so that everything is left in order."""
    with _handled((signal.SIGTERM, signal.SIGHUP), signal.default_int_handler):
        yield


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Within, SIGINT, SIGTERM and SIGHUP are noted, for the loop to stop at the next safe point; a second one stops at once."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    with _handled((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), note):
        yield lambda: bool(noted)


@contextmanager
def _handled(numbers: tuple[signal.Signals, ...], handler: _Handler) -> Iterator[None]:
    """Only the main thread can; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    meant = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in meant}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
