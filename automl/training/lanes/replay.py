"""Work that is done again and again on tensors of the same shapes, as one launch.

A step of a small network is some fifty calls; on a GPU each of them takes longer to launch than to compute. A CUDA graph launches all of
them at once. Whether that pays is measured where it is done, and its numbers are held to those of the calls themselves.

Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from automl.training.outcomes import reason

Work = Callable[..., Tensor]
"""Takes tensors, changes others in place, and returns one. It looks at no value of a tensor, so that the calls are always the same."""

Capture = Callable[[Callable[[], object]], Callable[[], object]]
"""Makes of some calls into torch, which are not carried out by that, one that carries them out."""

_logger = logging.getLogger(__name__)

_TRIED_FROM = 16  # repetitions ahead, while it is not known yet what recording costs and saves
_CLOSE = {"rtol": 1e-3, "atol": 1e-5}  # of two float32 kernels for the same


def cuda_graph(calls: Callable[[], object]) -> Callable[[], object]:
    """As ``Capture``, on the current CUDA device."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        calls()
    return graph.replay


def cuda_recorder(device: torch.device) -> Recorder:
    """One that records CUDA graphs."""

    def clock() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return Recorder(cuda_graph, clock)


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Work as it was recorded: the tensors that it reads, the one that it writes, and the launch."""

    inputs: tuple[Tensor, ...]
    output: Tensor
    launch: Callable[[], object]

    def __call__(self, *tensors: Tensor) -> Tensor:
        """The work on these tensors. What it returns is good until the next call."""
        for own, new in zip(self.inputs, tensors, strict=True):
            own.copy_(new)
        self.launch()
        return self.output


class Recorder:
    """Records work for one worker, as long as that works and pays.

    Args:
        capture: ``cuda_graph``, or what stands for it where there is no GPU.
        clock: seconds, once the device has done all that was asked of it.
    """

    def __init__(self, capture: Capture, clock: Callable[[], float]) -> None:
        self._capture, self._clock = capture, clock
        self._costs: tuple[float, float] | None = None  # seconds that a recording takes, and that each launch saves
        self.is_off = False

    def pays(self, repetitions: int) -> bool:
        """Whether so many repetitions ahead are worth a recording."""
        if self.is_off:
            return False
        if self._costs is None:
            return repetitions >= _TRIED_FROM
        cost, saved = self._costs
        return repetitions * saved > cost

    def record(self, work: Work, tensors: Sequence[Tensor], changed: Sequence[Tensor]) -> tuple[Tensor, Replay | None]:
        """Do the work once, and get ready to do it again: what it returned, and None where it cannot be recorded.

        ``changed`` are all tensors that the work changes and that outlive it.
        """
        inputs = tuple(tensor.clone() for tensor in tensors)
        before = [tensor.clone() for tensor in changed]
        began = self._clock()
        result = work(*inputs).clone()
        called = self._clock() - began
        after = [tensor.clone() for tensor in changed]
        output = result.clone()
        _put(before, changed)
        try:
            began = self._clock()
            launch = self._capture(lambda: output.copy_(work(*inputs)))
            recorded = self._clock() - began
            launch()
            launched = self._clock() - began - recorded
        except Exception as error:
            if reason(error) == "out_of_memory":
                raise
            self._give_up(f"they cannot be recorded here ({error!r})")
            _put(after, changed)
            return result, None
        if not all(
            torch.allclose(new, old, equal_nan=True, **_CLOSE) for new, old in zip([output, *changed], [result, *after], strict=True)
        ):
            self._give_up("they gave other numbers")
            _put(after, changed)
            return result, None
        self._costs = recorded + called, called - launched
        return output, Replay(inputs, output, launch)

    def _give_up(self, why: str) -> None:
        self.is_off = True
        _logger.warning("Steps are launched call by call, not as CUDA graphs: %s.", why)


def _put(values: Sequence[Tensor], places: Sequence[Tensor]) -> None:
    for place, value in zip(places, values, strict=True):
        place.copy_(value)
