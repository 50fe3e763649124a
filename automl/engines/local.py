"""The engine that trains in processes of this machine, one worker a process, pinned to its device and kept warm between trials."""

from __future__ import annotations

import atexit
import math
import os
import pickle
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path

from automl import clock
from automl.engines import Answer
from automl.engines.devices import Placement
from automl.engines.forkserver import ForkServer, WorkerStart, cause_of_death, last_words
from automl.engines.memory import KernelKills, kernel_kills
from automl.engines.worker import Ready, TrainerFactory, Unfit, make_real_trainer
from automl.errors import AutomlError
from automl.events import LossReason, Orders, Slot, WorkerLost
from automl.families import is_compiled

MOST_EARLY_DEATHS = 3
_COMING_UP_SECONDS = 600.0  # after which a worker that has not come up is given up
_LONGEST_TICK = 1.0  # seconds of silence that one look can find: when this process itself was stopped, nobody is to blame
_LAST_WORDS_SECONDS = 1.0  # from asking a silent worker for its stack to killing it
_KILL_SECONDS = 2.0  # from there until the fork server is taken for stopped as well
# A small tensor is freed and asked for again thousands of times a second: glibc keeps the pages instead of handing them back to the
# system each time (a step of a small network: 82 microseconds instead of 121). Other allocators ignore this.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**28), "MALLOC_TOP_PAD_": str(2**24)}
_WAITS = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}  # of the two OpenMP libraries that torch comes with
_PRELOAD = ("torch", "automl.training.lanes.trainer")  # what nearly every worker needs
_KERNELS = "automl.training.lanes.compiled:have_kernels"  # read once for all workers, and on a new machine compiled once
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(slots=True)
class _Worker:
    """A process as the driver knows it. ``number`` is the fork server's count of it.

    ``silence`` is how long it has kept somebody waiting; ``given_up`` how far it has come on its way out: its stack was asked for,
    it was killed, the fork server was killed too.
    """

    connection: Connection
    number: int
    is_ready: bool = False
    has_had_orders: bool = False
    has_hung_up: bool = False
    silence: float = 0.0
    given_up: int = 0


@dataclass(slots=True)
class _Seat:
    """A slot and the worker that stands in it now.

    ``orders`` wait here until the worker is ready, so that a worker that dies on its way costs nothing. ``lost`` is a death between
    an answer and the next orders: it answers those. ``early_deaths`` counts workers in a row that were never ready.
    """

    placement: Placement
    worker: _Worker
    orders: Orders | None = None
    patience: float = math.inf
    owes_answer: bool = False
    lost: WorkerLost | None = None
    early_deaths: int = 0


class LocalEngine:
    """Workers in processes. The constructor returns at once; they come up in the background while the driver prepares.

    ``log_folder`` takes ``worker-<i>.log`` for each worker (at most 1 MiB) and ``forkserver.log``. ``factory`` makes another trainer
    than the real one; it is pickled. ``preload`` is what the fork server imports, or calls as ``module:function``, before it forks: nothing
    that starts CUDA or threads; where it is not given, what nearly all trainers need and what is needed for ``model``.
    ``kernel_kills`` counts the processes that the kernel has killed for want of memory.
    """

    def __init__(
        self,
        placements: Sequence[Placement],
        log_folder: Path,
        factory: TrainerFactory | None = None,
        preload: Sequence[str] | None = None,
        kernel_kills: Callable[[], int | None] = kernel_kills,
        model: str = "",
    ) -> None:
        self.slots: Sequence[Slot] = tuple(placement.slot for placement in placements)
        self._log_folder = log_folder
        self._trainer = pickle.dumps(factory or make_real_trainer)
        self._preload = tuple(preload if preload is not None else _needed_for(model, placements) if factory is None else ())
        self._environment = _server_environment(min(placement.threads for placement in placements))
        self._answers: list[tuple[Slot, Answer]] = []
        self._hopeless = ""
        self._is_closed = False
        self._owner = os.getpid()
        self._kernel = KernelKills(kernel_kills)
        self._looked_at = time.monotonic()
        log_folder.mkdir(parents=True, exist_ok=True)
        self._server = self._start_server()
        self._seats = {placement.slot: _Seat(placement, self._start_worker(placement)) for placement in placements}
        atexit.register(self.close)

    def send(self, slot: Slot, orders: Orders, patience_seconds: float = math.inf) -> None:
        """Hand over orders; they wait here while the slot's worker is on its way, and its patience begins when it has them."""
        if self._is_closed:
            raise RuntimeError("the engine is closed")
        if slot not in self._seats:
            raise ValueError(f"{slot} is no slot of this engine")
        seat = self._seats[slot]
        if seat.owes_answer:
            raise RuntimeError(f"{slot.name} was sent orders before it has answered the last ones")
        if seat.lost is not None:
            self._answers.append((slot, seat.lost))
            seat.lost = None
            return
        seat.owes_answer, seat.orders, seat.patience = True, orders, patience_seconds
        self._transmit(seat)

    def wait(self, timeout_seconds: float | None = None) -> list[tuple[Slot, Answer]]:
        """The answers that are there, waiting for the first one. Raises AutomlError when no worker can come up at all."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not self._is_closed:
            if self._hopeless:
                raise AutomlError(self._hopeless)
            if self._answers or not any(seat.owes_answer for seat in self._seats.values()):
                answers, self._answers = self._answers, []
                return answers
            by_connection = {seat.worker.connection: seat for seat in self._seats.values() if not seat.worker.has_hung_up}
            remaining = math.inf if deadline is None else max(0.0, deadline - time.monotonic())
            ready = wait_for_any([*by_connection, self._server.fileno()], min(remaining, _LONGEST_TICK))
            for connection in ready:
                if isinstance(connection, Connection):
                    self._hear(by_connection[connection])
            if self._server.fileno() in ready:
                self._take_news()
            self._note_silence()
            if not ready and remaining <= _LONGEST_TICK:
                return []
        return []

    def close(self) -> None:
        """End all workers and the fork server, whatever they are doing, within a second."""
        if self._is_closed or os.getpid() != self._owner:
            return
        self._is_closed = True
        atexit.unregister(self.close)
        self._server.end()
        for seat in self._seats.values():
            seat.worker.connection.close()

    # -- processes ----------------------------------------------------------------------------------------------------

    def _start_server(self) -> ForkServer:
        return ForkServer(self._preload, self._environment, self._log_folder / "forkserver.log")

    def _start_worker(self, placement: Placement) -> _Worker:
        environment = {"CUDA_VISIBLE_DEVICES": placement.visible}
        start = WorkerStart(placement.slot, environment, str(self._log(placement.slot).absolute()), self._trainer)
        return _Worker(*self._server.fork(start))

    def _log(self, slot: Slot) -> Path:
        return self._log_folder / f"{slot.name}.log"

    # -- conversation -------------------------------------------------------------------------------------------------

    def _transmit(self, seat: _Seat) -> None:
        """Pass the seat's orders on, if its worker is ready for them."""
        if seat.orders is None or not seat.worker.is_ready:
            return
        try:
            seat.worker.connection.send(seat.orders)
        except ConnectionError:
            if not seat.worker.has_had_orders:
                return  # nothing is lost: the next worker gets them
        seat.worker.has_had_orders, seat.worker.silence, seat.orders = True, 0.0, None

    def _hear(self, seat: _Seat) -> None:
        """Take in one thing that a worker says, or that it has hung up."""
        try:
            words = seat.worker.connection.recv()
        except (EOFError, OSError):  # also in the middle of a message
            seat.worker.has_hung_up = True
            return
        match words:
            case Ready():
                seat.worker.is_ready, seat.early_deaths = True, 0
                self._transmit(seat)
            case Unfit(message):
                self._hopeless = message
            case _:
                seat.owes_answer = False
                if seat.worker.given_up == 1:  # in time after all
                    seat.worker.given_up = 0
                self._answers.append((seat.placement.slot, words))

    def _note_silence(self) -> None:
        """Send on their way out, one step at a time, the workers whose silence is longer than the patience with them."""
        now = time.monotonic()
        passed, self._looked_at = min(now - self._looked_at, _LONGEST_TICK), now
        self._kernel.look(now)
        for seat in [seat for seat in self._seats.values() if seat.owes_answer]:
            worker = seat.worker
            worker.silence += passed
            over = worker.silence - (seat.patience if worker.is_ready else _COMING_UP_SECONDS)
            if over > 0 and worker.given_up == 0:
                worker.given_up = 1
                self._server.show_stack(worker.number)
            elif over > _LAST_WORDS_SECONDS and worker.given_up == 1:
                worker.given_up = 2
                self._server.kill(worker.number)
            elif over > _LAST_WORDS_SECONDS + _KILL_SECONDS and worker.given_up == 2:
                self._replace_all("its fork server did not answer either")
                return

    def _take_news(self) -> None:
        """Put new workers in the place of those that have ended; put a new fork server in the place of one that has."""
        ended = self._server.news()
        if ended is None:
            self._replace_all()
            return
        seats = {seat.worker.number: seat for seat in self._seats.values()}
        for end in ended:
            if end.number in seats:
                seat = seats[end.number]
                if seat.worker.given_up:
                    self._replace(seat, f"did not answer for {seat.worker.silence:.0f} s and was ended", "timeout")
                    continue
                kernel = self._kernel.explain() if end.exit_code == -signal.SIGKILL else False
                self._replace(seat, cause_of_death(end.exit_code, kernel), "out_of_memory" if kernel else "lost")

    def _replace_all(self, why: str = "") -> None:
        """A new fork server, and new workers."""
        exit_code = self._server.end()
        self._server = self._start_server()
        for seat in self._seats.values():
            is_silent = bool(seat.worker.given_up)
            self._replace(seat, why or f"its fork server died: {cause_of_death(exit_code)}", "timeout" if is_silent else "lost")

    def _replace(self, seat: _Seat, why: str, reason: LossReason) -> None:
        """A worker has died: hear what it said to the end, tell what was lost with it, start another."""
        dead, slot = seat.worker, seat.placement.slot
        while not dead.has_hung_up and dead.connection.poll():
            self._hear(seat)
        dead.connection.close()
        detail = last_words(self._log(slot)) or last_words(self._log_folder / "forkserver.log")
        lost = WorkerLost(why, detail, reason, dead.silence)
        if dead.has_had_orders and seat.owes_answer:
            self._answers.append((slot, lost))
            seat.owes_answer, seat.orders = False, None
        elif dead.has_had_orders:
            seat.lost = lost
        if not dead.is_ready:
            seat.early_deaths += 1
        if seat.early_deaths >= MOST_EARLY_DEATHS and not self._hopeless:
            where, times, log = f"{slot.name} on {slot.device}", MOST_EARLY_DEATHS, self._log(slot)
            self._hopeless = (
                f"{where}: must come up before it can train, but died {times} times in a row: {why}. See {log}\n{detail}".strip()
            )
        if not self._hopeless:
            seat.worker = self._start_worker(seat.placement)


def _needed_for(model: str, placements: Sequence[Placement]) -> tuple[str, ...]:
    compiles = any(is_compiled(model, placement.slot.device) for placement in placements)
    return (*_PRELOAD, _KERNELS) if compiles else _PRELOAD


def _server_environment(threads: int) -> dict[str, str]:
    """What the fork server and its workers see: all but what is meant for MLflow, and at most ``threads`` threads for arithmetic.

    Fewer where the person has set fewer. Threads that have nothing to do wait awake for some microseconds, and then sleep: on a core that
    another process needs waiting awake held up a small step for 200 ms, and being woken costs as much as a small step takes.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    given = [int(environment[name]) for name in _THREAD_VARIABLES if environment.get(name, "").isdecimal()]
    number = min([threads, *(limit for limit in given if limit > 0)])
    waits = {} if "OMP_WAIT_POLICY" in environment else _WAITS
    return _MEMORY | waits | environment | clock.for_children() | dict.fromkeys(_THREAD_VARIABLES, str(number))
