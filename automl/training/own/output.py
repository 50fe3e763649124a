"""The log of a trial that runs code of a person's own: all that it prints, bounded."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOST_BYTES = 2**20
_LINES_IN_A_REASON = 12


class TrialLog:
    """A file that takes what a trial prints, made when there is something. Beyond ``MOST_BYTES`` its older half is left out."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Add to it. A full disk costs the log and nothing else."""
        if not data:
            return
        with self._lock, contextlib.suppress(OSError):
            log = self._opened()
            try:
                os.write(log, data)
                size = os.fstat(log).st_size
            finally:
                os.close(log)
            if size > MOST_BYTES:
                self._shorten()

    def note(self, text: str) -> None:
        """Add a line of the house's own."""
        self.write(f"[automl] {text}\n".encode())

    def descriptor(self) -> int:
        """For programs that the trial starts: what they print goes here as well. To be closed by the caller."""
        return self._opened()

    def last_lines(self, count: int = _LINES_IN_A_REASON) -> str:
        """The last lines of it, without those of the house and empty ones."""
        try:
            with self.file.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - 2**16))
                lines = log.read().decode("utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join([line for line in lines if line.strip() and not line.startswith("[automl] ")][-count:])

    def _opened(self) -> int:
        """Anew for each write, since the file may be deleted meanwhile; the folder is there nearly always."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self.file, flags, 0o644)
        except FileNotFoundError:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.file, flags, 0o644)

    def _shorten(self) -> None:
        kept = self.file.read_bytes()[-MOST_BYTES // 2 :]
        self.file.write_bytes(b"[automl] older lines are left out\n" + kept[kept.find(b"\n") + 1 :])


class _Bytes(io.RawIOBase):
    """The ``buffer`` of a stream, for those who print bytes."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._stream.write(content.decode("utf-8", errors="replace"))
        return len(content)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self._stream.flush()


class _Stream(io.TextIOBase):
    """Stands in for ``sys.stdout`` or ``sys.stderr`` while a trial runs: threads that were there before go on as they did.

    One object for all trials of a process, since whoever sets up ``logging`` in the first one keeps it.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self) -> None:
        super().__init__()
        self.log: TrialLog | None = None
        self.original: Any = None
        self.others: set[int | None] = set()
        self.buffer = _Bytes(self)

    def reconfigure(self, **settings: object) -> None:
        """What scripts ask for (``line_buffering=True``) is so already, or makes no difference to a log."""

    def write(self, text: str) -> int:
        if self.log is None or threading.get_ident() in self.others:
            if self.original is not None:
                self.original.write(text)
        else:
            self.log.write(text.encode("utf-8", errors="replace"))
        return len(text)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        if self.original is not None:
            self.original.flush()

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        if self.original is None:
            raise io.UnsupportedOperation("fileno")
        number: int = self.original.fileno()
        return number


_OUT, _ERR = _Stream(), _Stream()


@contextmanager
def printed_to(log: TrialLog, others: set[int | None]) -> Iterator[None]:
    """Send to the log what is printed meanwhile, except by the threads ``others``."""
    before = sys.stdout, sys.stderr
    for stream, original in zip((_OUT, _ERR), before, strict=True):
        stream.log, stream.original, stream.others = log, original, others
    sys.stdout, sys.stderr = _OUT, _ERR
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in (_OUT, _ERR):
            stream.log = None
