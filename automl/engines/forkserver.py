"""Processes that start in milliseconds and never outlive the driver.

A fork server imports torch once and forks a worker whenever the driver asks for one. It is a plain child of the driver, in a session
of its own: Ctrl-C in the terminal reaches the driver alone, nothing of the person's script is imported again (so the script
needs no ``if __name__ == "__main__"``), and the driver's own multiprocessing settings stay as they are.

How it ends, whatever is being trained:

================================== ================================================================================
who goes away                      what ends the workers
================================== ================================================================================
the driver, in any way             the fork server sees its socket closed or its parent changed, and kills them
the fork server (memory, a person) the kernel kills them (PR_SET_PDEATHSIG); elsewhere than on Linux the driver hangs up
one worker                         nothing else; its own child processes are killed with it (they are one process group)
a worker's answer                  the driver has the fork server kill it when its patience is over
================================== ================================================================================
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import pickle
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from automl.engines.worker import serve
from automl.events import Slot
from automl.garbage import without_collections

LOG_BYTES = 2**20
LAST_LINES = 30
_LOG_HEADER = "--- "
_PARENT_CHECK_SECONDS = 1.0
_CLOSE_SECONDS = 0.6
_RECORD = struct.Struct("<4q")  # kind, number of the fork, process id, exit code (negative: signal)
_UP, _ENDED = 0, 1
_FORK, _SHOW, _KILL = b"f", b"s", b"k"  # what the driver asks for; the last two are followed by the number of a fork
_NUMBER = struct.Struct("<q")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """The first words to a forked process: who it is. ``trainer`` is the pickled factory, opened when the environment stands."""

    slot: Slot
    environment: Mapping[str, str]
    log: str
    trainer: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of the process that ``ForkServer.fork`` counted as ``number``."""

    number: int
    exit_code: int


# -- the driver's side ------------------------------------------------------------------------------------------------


class ForkServer:
    """The driver's hold on a fork server. The constructor returns at once; requests wait in the socket until the server is up."""

    def __init__(self, preload: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._socket, theirs = socket.socketpair()
        search_path = [entry or str(Path.cwd()) for entry in sys.path]
        code = (
            f"import sys; sys.path[:] = {search_path!r}; "
            f"from automl.engines.forkserver import main; main({theirs.fileno()}, {os.getpid()}, {list(preload)!r})"
        )
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._forks = 0
        self._unread = b""
        self._is_up = False

    def fileno(self) -> int:
        """For waiting until there is news."""
        return self._socket.fileno()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self, start: WorkerStart) -> tuple[Connection, int]:
        """A new worker: the connection to it, and its number in ``Ended``. If the server is gone, the connection has no other end."""
        ours, theirs = Pipe(duplex=True)
        self._forks += 1
        with theirs, contextlib.suppress(ConnectionError):
            socket.send_fds(self._socket, [_FORK], [theirs.fileno()])
            ours.send(start)
        return ours, self._forks

    def show_stack(self, number: int) -> None:
        """Have a worker write into its log what it is doing."""
        self._ask(_SHOW, number)

    def kill(self, number: int) -> None:
        """End a worker and all processes that it has started, whatever they are doing."""
        self._ask(_KILL, number)

    def _ask(self, what: bytes, number: int) -> None:
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(what + _NUMBER.pack(number))

    def news(self) -> list[Ended] | None:
        """Which workers have ended since the last look; waits for the first news, and is None when the server itself has ended."""
        try:
            received = self._socket.recv(2**16)
        except ConnectionError:
            received = b""
        if not received:
            return None
        received = self._unread + received
        whole = len(received) - len(received) % _RECORD.size
        self._unread = received[whole:]
        records = list(_RECORD.iter_unpack(received[:whole]))
        self._is_up = self._is_up or bool(records)
        return [Ended(number, code) for kind, number, _, code in records if kind == _ENDED]

    def end(self) -> int:
        """End all workers and the server, within a second; its exit code."""
        is_up = self._is_up or bool(select.select([self._socket], [], [], 0)[0])
        self._socket.close()
        if not is_up:
            self._process.kill()
        try:
            return self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def last_words(log: Path) -> str:
    """The last lines that the newest process wrote into a log; empty where there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2**16))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    starts = [number for number, line in enumerate(lines) if line.startswith(_LOG_HEADER)]
    own = lines[starts[-1] + 1 :] if starts else lines
    return "\n".join(own[-LAST_LINES:]).strip()


def cause_of_death(exit_code: int, kernel: bool | None = None) -> str:
    """An exit code in words; negative ones are signals. ``kernel``: whether the kernel killed it for want of memory; None: not known."""
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    match -exit_code:
        case signal.SIGKILL if kernel:
            return "killed by the kernel, since memory ran out"
        case signal.SIGKILL if kernel is None:
            return "killed by SIGKILL (the kernel does this when memory runs out)"
        case signal.SIGSEGV:
            return "segmentation fault (SIGSEGV)"
        case signal.SIGBUS:
            return "bus error (SIGBUS; often a disk or /dev/shm that is full)"
        case number if number in set(signal.Signals):
            return f"killed by {signal.Signals(number).name}"
        case number:
            return f"killed by signal {number}"


# -- the server's side ------------------------------------------------------------------------------------------------


def main(control_fd: int, driver: int, preload: Sequence[str]) -> None:
    """Serve forks until the driver is gone. ``preload``: modules to import first, and functions to call as ``module:function``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with _ending_with(driver), without_collections():
        for each in preload:
            module, _, function = each.partition(":")
            try:
                imported = import_module(module)
                if function:
                    getattr(imported, function)()
            except Exception:
                traceback.print_exc()  # the workers will say what they lack
    gc.freeze()
    control = socket.socket(fileno=control_fd)
    wake_reader, wake_writer = _nonblocking_pipe()
    signal.set_wakeup_fd(wake_writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    workers: dict[int, int] = {}
    try:
        control.sendall(_RECORD.pack(_UP, 0, os.getpid(), 0))
        _serve_forks(control, driver, (wake_reader, wake_writer), workers)
    except ConnectionError:
        pass  # the driver is gone
    finally:
        for pid in workers:
            _kill_group(pid)
        for pid in workers:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
    sys.stderr.flush()
    os._exit(0)  # to take torch down in order would keep the driver waiting for a sixth of a second


@contextlib.contextmanager
def _ending_with(driver: int) -> Iterator[None]:
    """Within, this process looks every second whether the driver is still there, and ends if not."""
    before = signal.signal(signal.SIGALRM, lambda *_: os.getppid() == driver or os._exit(os.EX_UNAVAILABLE))
    signal.setitimer(signal.ITIMER_REAL, _PARENT_CHECK_SECONDS, _PARENT_CHECK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _serve_forks(control: socket.socket, driver: int, wake: tuple[int, int], workers: dict[int, int]) -> None:
    """Do what the driver asks for, and tell it of every end; ``workers`` maps process ids to the numbers of their forks."""
    forks = 0
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(wake[0], selectors.EVENT_READ)
        while os.getppid() == driver:
            ready = {key.fd for key, _ in selector.select(_PARENT_CHECK_SECONDS)}
            if wake[0] in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake[0], 2**12)
                _report_ends(control, workers)
            if control.fileno() in ready:
                data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
                if not data:
                    return
                if data != _FORK:
                    _signal(data, _NUMBER.unpack(control.recv(_NUMBER.size, socket.MSG_WAITALL))[0], workers)
                    continue
                forks += 1
                pid = _fork(descriptors[0], (control.fileno(), *wake, selector))
                os.close(descriptors[0])
                if pid:
                    workers[pid] = forks
                else:
                    control.sendall(_RECORD.pack(_ENDED, forks, 0, os.EX_OSERR))


def _signal(what: bytes, number: int, workers: Mapping[int, int]) -> None:
    """One that has ended meanwhile is not among the workers any more."""
    for pid in (pid for pid, fork in workers.items() if fork == number):
        if what == _KILL:
            _kill_group(pid)
        else:
            os.kill(pid, signal.SIGUSR1)


def _fork(descriptor: int, not_for_workers: tuple[int | selectors.BaseSelector, ...]) -> int:
    """The process id of a new worker that serves the connection; 0 when the system refuses another process."""
    server = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        traceback.print_exc()
        return 0
    if pid == 0:
        _become_worker(descriptor, server, not_for_workers)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)  # also done by the worker: whoever comes first
    return pid


def _report_ends(control: socket.socket, workers: dict[int, int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _kill_group(pid)
        control.sendall(_RECORD.pack(_ENDED, workers.pop(pid, 0), pid, os.waitstatus_to_exitcode(status)))


def _kill_group(leader: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)


def _nonblocking_pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


# -- the worker's side ------------------------------------------------------------------------------------------------


def _become_worker(descriptor: int, server: int, not_for_workers: tuple[int | selectors.BaseSelector, ...]) -> NoReturn:
    """The whole life of a forked worker."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for item in not_for_workers:
            if isinstance(item, int):
                os.close(item)
            else:
                item.close()
        _die_with(server)
        connection = Connection(descriptor)
        start = connection.recv()
        os.environ.update(start.environment)
        _open_log(start)
        _offer_to_the_kernel()
        threading.Thread(target=_watch, args=(descriptor, start.log), daemon=True).start()
        inside = "cuda:0" if start.slot.device.startswith("cuda") else start.slot.device
        serve(connection, pickle.loads(start.trainer), replace(start.slot, device=inside), start.slot.device)
        code = 0
    except EOFError:
        code = 0  # the driver was gone before it said who this is
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, also while it holds Python's lock (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _open_log(start: WorkerStart) -> None:
    """Send all output of this process to its log, that of C libraries and the stack of a crash included."""
    log = os.open(start.log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    with contextlib.suppress(OSError):  # a full disk will be told of by what cannot do without it
        print(f"{_LOG_HEADER}{start.slot.name} on {start.slot.device}, process {os.getpid()}, {now}", flush=True)
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGUSR1)  # before a worker that does not answer is ended, it is asked what it is doing


def _offer_to_the_kernel() -> None:
    """When memory runs out, the kernel shall take a worker, whose trials can be tried again, and not the driver."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _watch(descriptor: int, log: str) -> None:
    """End this process when the driver hangs up, also in the middle of training; keep the log bounded."""
    poll = select.poll()
    poll.register(descriptor, 0)
    while not poll.poll(1000.0):
        with contextlib.suppress(OSError):
            trim(Path(log))
    os._exit(1)


def trim(log: Path, most_bytes: int = LOG_BYTES) -> None:
    """Cut a log that has grown beyond ``most_bytes`` down to its last half of that, from the start of a line."""
    with log.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size <= most_bytes:
            return
        file.seek(size - most_bytes // 2)
        kept = file.read()
        file.seek(0)
        file.truncate()
        file.write(kept[kept.find(b"\n") + 1 :])
