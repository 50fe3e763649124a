"""Samples that do not fit into a device's memory: read from their file while the device trains, some pieces ahead."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from automl.memory import available_bytes

_SHARE_OF_MEMORY = 0.5  # of what is free, that samples may take for good
_AHEAD = 2  # pieces that each thread has in work or ready
_MEASURED_PIECES = 8  # by each number of threads
_NEARLY_BEST = 0.9  # the fewest threads that reach this share of the best rate are taken
_MOST_THREADS = 8

_log = logging.getLogger(__name__)


def room_of(device: torch.device) -> int:
    """How many bytes of samples this device may hold for good: a share of its free memory. Of a CPU, what the system calls available."""
    if device.type == "cuda":
        return int(_SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0])
    return int(_SHARE_OF_MEMORY * available_bytes())


class Stream:
    """Gathers rows of a tensor that is a file, ahead of whoever takes them, and brings them to the device.

    How many threads read is measured when the first pieces are asked for: more of them pay where the file lies on a slow disk.
    What is gathered does not depend on it.
    """

    def __init__(self, device: torch.device, what: str) -> None:
        self._device, self._what = device, what
        self._threads: int | None = None

    def gathered(self, source: Tensor, pieces: Sequence[Tensor]) -> Iterator[Tensor]:
        """For each piece (row numbers, on the CPU) these rows of ``source``, on the device, in order."""
        if self._threads is None:
            self._threads = self._measured(source, pieces)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="samples") as pool:
            ahead: deque[Future[Tensor]] = deque()
            waiting = iter(pieces)
            try:
                for piece in waiting:
                    ahead.append(pool.submit(self._gather, source, piece))
                    if len(ahead) >= _AHEAD * self._threads:
                        yield self._brought(ahead.popleft())
                while ahead:
                    yield self._brought(ahead.popleft())
            finally:
                for future in ahead:
                    future.cancel()

    def _gather(self, source: Tensor, piece: Tensor) -> Tensor:
        rows = source.index_select(0, piece)
        return rows.pin_memory() if self._device.type == "cuda" else rows

    def _brought(self, future: Future[Tensor]) -> Tensor:
        return future.result().to(self._device, non_blocking=True)

    def _measured(self, source: Tensor, pieces: Sequence[Tensor]) -> int:
        """The fewest threads that read about as fast as any number of them, each number tried on pieces of its own."""
        rates: dict[int, float] = {}
        first, threads = 0, 1
        while threads <= min(_MOST_THREADS, os.cpu_count() or 1) and first + _MEASURED_PIECES <= len(pieces):
            tried = pieces[first : first + _MEASURED_PIECES]
            began = time.perf_counter()
            with ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(lambda piece: self._gather(source, piece), tried):
                    pass
            rates[threads] = sum(map(len, tried)) / (time.perf_counter() - began)
            first, threads = first + _MEASURED_PIECES, 2 * threads
        best = max(rates.values(), default=0.0)
        chosen = min((count for count, rate in rates.items() if rate >= _NEARLY_BEST * best), default=1)
        words = ", ".join(f"{count}: {rate:,.0f}" for count, rate in rates.items())
        measured = f" (samples a second by threads: {words})" if rates else ""
        _log.warning("%s: read from the file while training, by %d thread%s ahead%s.", self._what, chosen, "s" * (chosen > 1), measured)
        return chosen
