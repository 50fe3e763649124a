"""The products of linear layers, by the library that makes more of this processor: torch's, or numpy's.

torch multiplies with Intel's MKL, which stays at 256 bits on processors of AMD where numpy's OpenBLAS takes 512: 64 samples of 144 units by
144 run at 105 GFLOP/s in one and at 200 in the other (one core of an EPYC of 2024; ``benchmarks/products.py``).

Weights are ``[lanes, inputs, units]``: of the three products of a layer the one that is slow in OpenBLAS, with a transposed second matrix,
is then that of the gradient of the inputs, which the first layer and validation do without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

_CPUS = Path("/proc/cpuinfo")


class Products(Protocol):
    """Of one layer of all lanes, ``y = x W + b``."""

    def outputs(self, x: Tensor, training: bool) -> Tensor:
        """``[lanes, samples, inputs]`` to ``[lanes, samples, units]``. While training they are there until the next call."""

    def gradients(self, d: Tensor, adds: bool) -> None:
        """Write, or add, the gradients of weights and bias, from the loss by the last outputs, ``[lanes, samples, units]``."""

    def inputs(self, d: Tensor) -> Tensor:
        """The loss by the inputs, ``[lanes, samples, inputs]``; there until the next call."""


def products_of(weight: Tensor, weight_gradient: Tensor, bias: Tensor | None, bias_gradient: Tensor | None) -> Products:
    """Views of the rows of all lanes: ``[lanes, inputs, units]`` and ``[lanes, 1, units]``.

    The choice is one of the machine and of the threads that steps of this size take, never of a measurement: results can be repeated.
    """
    kind = _ByNumpy if numpy_multiplies(weight.device) else _ByTorch
    return kind(weight, weight_gradient, bias, bias_gradient)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """``[lanes, samples, inputs]`` by ``[lanes, inputs, units]``."""
    return torch.from_numpy(np.matmul(a.numpy(), b.numpy())) if numpy_multiplies(a.device) else torch.bmm(a, b)


def numpy_multiplies(device: torch.device) -> bool:
    """Whether products on this device are numpy's, as things are set now: it takes one thread."""
    return device.type == "cpu" and torch.get_num_threads() == 1 and _numpy_is_faster()


@contextmanager
def multiplying() -> Iterator[None]:
    """Within, numpy multiplies in one thread and says nothing of numbers that are not finite."""
    if not _numpy_is_faster():
        yield
        return
    with np.errstate(all="ignore"), _blas().limit(limits=1):
        yield


@cache
def _numpy_is_faster() -> bool:
    has_mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    if not (has_mkl and torch.backends.cpu.get_cpu_capability() == "AVX512" and _CPUS.exists()):
        return False
    numpy: Any = np.show_config(mode="dicts")
    return "openblas" in numpy["Build Dependencies"]["blas"]["name"] and "AuthenticAMD" in _CPUS.read_text(errors="replace")


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


class _ByTorch:
    def __init__(self, weight: Tensor, weight_gradient: Tensor, bias: Tensor | None, bias_gradient: Tensor | None) -> None:
        self._weight, self._turned, self._weight_gradient = weight, weight.transpose(1, 2), weight_gradient
        self._bias, self._bias_gradient = bias, bias_gradient

    def outputs(self, x: Tensor, training: bool) -> Tensor:
        if training:
            self._x = x
        return torch.bmm(x, self._weight) if self._bias is None else torch.baddbmm(self._bias, x, self._weight)

    def gradients(self, d: Tensor, adds: bool) -> None:
        if adds:
            self._weight_gradient.baddbmm_(self._x.transpose(1, 2), d)
        else:
            torch.bmm(self._x.transpose(1, 2), d, out=self._weight_gradient)
        if self._bias_gradient is not None and adds:
            self._bias_gradient += d.sum(1, keepdim=True)
        elif self._bias_gradient is not None:
            torch.sum(d, 1, keepdim=True, out=self._bias_gradient)

    def inputs(self, d: Tensor) -> Tensor:
        return torch.bmm(d, self._turned)


class _Room(NamedTuple):
    """For one number of samples: outputs and gradients of inputs, as tensors and as arrays, and as many ones as samples."""

    outputs: Tensor
    outputs_array: np.ndarray
    inputs: Tensor
    inputs_array: np.ndarray
    ones: np.ndarray


class _ByNumpy:
    """What is a view of a tensor for as long as the lanes stay is made once: one costs as much as a small product."""

    def __init__(self, weight: Tensor, weight_gradient: Tensor, bias: Tensor | None, bias_gradient: Tensor | None) -> None:
        self._like, self._bias = weight, bias
        self._weight, self._weight_gradient = weight.numpy(), weight_gradient.numpy()
        self._turned = self._weight.transpose(0, 2, 1)
        self._bias_gradient = None if bias_gradient is None else bias_gradient.numpy()
        self._rooms: dict[int, _Room] = {}  # by the number of samples

    def outputs(self, x: Tensor, training: bool) -> Tensor:
        self._x = x.numpy()
        samples = x.shape[1]
        if training:
            room = self._rooms.get(samples) or self._made(samples)
            y, array = room.outputs, room.outputs_array
        else:
            y = self._like.new_empty(len(x), samples, self._weight.shape[2])
            array = y.numpy()
        np.matmul(self._x, self._weight, out=array)
        return y if self._bias is None else y.add_(self._bias)

    def gradients(self, d: Tensor, adds: bool) -> None:
        by_outputs, x = d.numpy(), self._x.transpose(0, 2, 1)
        ones = self._rooms[d.shape[1]].ones
        if adds:
            self._weight_gradient += np.matmul(x, by_outputs)
            if self._bias_gradient is not None:
                self._bias_gradient += np.matmul(ones, by_outputs)
            return
        np.matmul(x, by_outputs, out=self._weight_gradient)
        if self._bias_gradient is not None:
            np.matmul(ones, by_outputs, out=self._bias_gradient)

    def inputs(self, d: Tensor) -> Tensor:
        room = self._rooms[d.shape[1]]
        np.matmul(d.numpy(), self._turned, out=room.inputs_array)
        return room.inputs

    def _made(self, samples: int) -> _Room:
        lanes, inputs, units = self._weight.shape
        y, dx = self._like.new_empty(lanes, samples, units), self._like.new_empty(lanes, samples, inputs)
        room = self._rooms[samples] = _Room(y, y.numpy(), dx, dx.numpy(), np.ones((1, samples), self._weight.dtype))
        return room
