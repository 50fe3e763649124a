"""``automl run --detach``: the run as a process of its own, which neither this terminal nor its end concerns.

The process says through a pipe that its study has begun. What it says before goes to the person who asked for it, with its exit code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from automl.errors import StudyError
from automl.folders import RUN_LOG

_VARIABLE = "AUTOML_BEGUN"  # holds the pipe's descriptor
_BEGUN = b"begun"


@dataclass(frozen=True, slots=True)
class Background:
    """A run in the background. ``exit_code`` is None once its study has begun; else it has ended, and ``said`` this before."""

    process: int
    log: Path
    exit_code: int | None
    said: str = ""


def start(folder: Path, arguments: Sequence[str]) -> Background:
    """Run ``automl`` with these arguments in a session of its own, and wait until the study in ``folder`` has begun.

    Raises StudyError where nothing can be written there. An interrupt meanwhile ends the new process as well.
    """
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    log = folder / RUN_LOG
    try:
        folder.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StudyError(f"{log}: must be writable, but {reason}. Use --study with another path, or leave out --detach.") from None
    with output:
        before = output.tell()
        process, has_begun = _begun(arguments, output.fileno())
    if has_begun:
        pid, process.returncode = process.pid, 0  # it lives on; nobody here waits for it
        return Background(pid, log, None)
    exit_code = process.wait()
    with log.open("rb") as file:
        file.seek(before)
        said = file.read().decode(errors="replace")
    if not (folder / "study.db").exists():
        with contextlib.suppress(OSError):
            log.unlink()
            for path in new_folders:
                path.rmdir()
    return Background(process.pid, log, 128 - exit_code if exit_code < 0 else exit_code, said)


def _begun(arguments: Sequence[str], output: int) -> tuple[subprocess.Popen[bytes], bool]:
    """The new process, and whether its study has begun; else it has ended, or is about to."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as begun:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "automl", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, _VARIABLE: str(theirs)},
                pass_fds=[theirs],
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        try:
            return process, begun.read(len(_BEGUN)) == _BEGUN
        except BaseException:
            process.terminate()
            process.wait()
            raise


@contextlib.contextmanager
def in_background() -> Iterator[Callable[[], None]]:
    """Within the new process: what to call once the study has begun; SIGHUP is ignored. Nothing in a run that was not detached."""
    descriptor = os.environ.pop(_VARIABLE, "")
    if not descriptor.isdecimal():
        yield lambda: None
        return
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.ExitStack() as stack:
        pipe = stack.enter_context(os.fdopen(int(descriptor), "wb", buffering=0))

        def tell() -> None:
            with contextlib.suppress(OSError, ValueError), pipe:  # nobody waits any more, or was told before
                pipe.write(_BEGUN)

        yield tell
