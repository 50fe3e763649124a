"""How many threads the arithmetic of a step is shared out to: a small step is over before other threads have woken up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

FLOPS_A_MULTIPLICATION = 6  # of a step: forward, and backward to weights and inputs, two each
_FLOPS_A_THREAD = 25e6  # of a step. Two threads of two cores: 0.1 to 1.2 times as fast as one at 0.5 to 10 MFLOP, 1.3 to 1.7 from 70 on


@contextmanager
def threads_for(flops: float | None, device: torch.device) -> Iterator[None]:
    """Within, torch takes as many threads as steps of so many floating-point operations are worth; all where that is not known (None).

    On a CPU, of those that torch has otherwise. A function of the step alone, since numbers may depend on the threads to the last bit.
    """
    most = torch.get_num_threads()
    if device.type != "cpu" or most == 1 or flops is None:
        yield
        return
    torch.set_num_threads(threads_of(flops, most))
    try:
        yield
    finally:
        torch.set_num_threads(most)


def threads_of(flops: float, most: int) -> int:
    """How many of so many threads a step of these floating-point operations is worth."""
    return max(1, min(most, int(flops / _FLOPS_A_THREAD)))
