"""Stands between a worker and a program that it has started, so that nothing of that program outlives its use.

``python -I -S minder.py DESCRIPTOR GRACE_SECONDS PROGRAM [ARGUMENT ...]`` runs the program in a process group of its own, and ends that
group (SIGTERM, after the grace SIGKILL) as soon as stdin is closed: by the worker, which stops the trial so, or by its death. What the
program leaves running when it ends is killed. The descriptor gets ``{"group": NUMBER}`` and ``{"code": EXIT_CODE}`` (negative: the
signal), or ``{"error": "..."}``, a line each.

It imports nothing of the package, since it starts anew for every trial.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time

_GLANCE = 0.05  # seconds between two looks at a group that was told to end


def main() -> None:
    """Run the program to its end, or to that of its worker."""
    answers, grace, *command = sys.argv[1:]
    out = int(answers)
    ended, wake = os.pipe()
    for end in (ended, wake):
        os.set_blocking(end, False)
        os.set_inheritable(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(out, False)
    try:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_default_signals)
    except OSError as error:
        _answer(out, {"error": f"{error.filename or command[0]}: {(error.strerror or str(error)).lower()}"})
        return
    _answer(out, {"group": program.pid})
    while program.poll() is None:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(ended, 4096)
        if 0 in ready and not os.read(0, 4096):
            _end(program, float(grace))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    _answer(out, {"code": program.returncode})


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _end(program: subprocess.Popen[bytes], grace: float) -> None:
    """Ask the group to end, wait for the program, then see to it."""
    _signal(program, signal.SIGTERM)
    until = time.monotonic() + grace
    while program.poll() is None and time.monotonic() < until:
        time.sleep(_GLANCE)
    _signal(program, signal.SIGKILL)
    program.wait()


def _signal(program: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, number)


def _answer(out: int, content: dict[str, object]) -> None:
    with contextlib.suppress(OSError):
        os.write(out, json.dumps(content).encode() + b"\n")


if __name__ == "__main__":
    main()
