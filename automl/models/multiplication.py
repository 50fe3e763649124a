"""Products of matrices on a CPU by numpy, where it makes more of the processor than torch does.

torch multiplies with Intel's MKL, which stays at 256 bits on processors of AMD where numpy's OpenBLAS takes 512: 64 samples of 144 units by
144 run at 102 GFLOP/s in one and at 200 in the other (one core of an EPYC of family 26; ``benchmarks/products.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_CPUS = Path("/proc/cpuinfo")
_SHORT_WAYS = ("SkylakeX", "Cooperlake", "SapphireRapids")  # what OpenBLAS takes the processor for
_WORTH_IT = 2**19  # multiplications of a layer, from which on numpy saves more than it costs to leave torch


class _Depth:
    """How many contexts are open in this process. A plain number, which ``torch.compile`` and ``torch.export`` can look at."""

    value = 0


@contextmanager
def multiplying() -> Iterator[None]:
    """Within, products on this CPU are numpy's where that is faster: in one thread, as torch must be at the beginning.

    The choice is one of the machine and of the number of threads, never of a measurement, so that numbers can be repeated. Numbers that are
    not finite are no reason for a warning.
    """
    if torch.get_num_threads() > 1 or not numpy_is_faster():
        yield
        return
    _Depth.value += 1
    try:
        with np.errstate(all="ignore"), blas_threads(1):
            yield
    finally:
        _Depth.value -= 1


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Within, products of numpy and of compiled code take so many threads."""
    if all(library.num_threads == count for library in _blas().lib_controllers):  # a tenth of the time of a limit
        yield
        return
    with _blas().limit(limits=count):
        yield


def numpy_multiplies(device: torch.device) -> bool:
    """Whether products on this device are numpy's now."""
    return _Depth.value > 0 and device.type == "cpu"


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """``[lanes, samples, inputs]`` by ``[lanes, inputs, units]``; of tensors that torch does not record for."""
    return torch.from_numpy(np.matmul(a.numpy(), b.numpy())) if numpy_multiplies(a.device) else torch.bmm(a, b)


@cache
def numpy_is_faster() -> bool:
    """Whether torch has MKL and numpy OpenBLAS on a processor of AMD that knows AVX-512."""
    has_mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    if not (has_mkl and torch.backends.cpu.get_cpu_capability() == "AVX512" and _CPUS.exists()):
        return False
    numpy: Any = np.show_config(mode="dicts")
    return "openblas" in numpy["Build Dependencies"]["blas"]["name"] and "AuthenticAMD" in _CPUS.read_text(errors="replace")


@cache
def small_product() -> int:
    """Up to how many multiplications a product takes a shorter way in OpenBLAS, which is faster; 0: there is none.

    64 samples of 160 units by 160 run at 181 GFLOP/s at once, and at 254 by 39 or fewer (one core of an EPYC of family 26). Source:
    OpenBLAS, kernel/x86_64/sgemm_small_kernel_permit_skylakex.c.
    """
    libraries = [library for library in _blas().info() if library["internal_api"] == "openblas"]
    return 1_000_000 if libraries and all(library.get("architecture") in _SHORT_WAYS for library in libraries) else 0


@cache
def _blas() -> ThreadpoolController:
    import scipy.linalg.cython_blas  # noqa: F401  (whose library is another than numpy's, and must be there to be found)

    return ThreadpoolController().select(user_api="blas")


class Linear(nn.Linear):
    """``torch.nn.Linear``, whose larger products are numpy's within ``multiplying``."""

    def reset_parameters(self) -> None:
        """Draw nothing where there is no memory to draw into: torch would go through the motions, which takes longer than all the rest."""
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """``[..., inputs]`` to ``[..., units]``."""
        if not (numpy_multiplies(x.device) and x.numel() * self.out_features >= _WORTH_IT and x.dtype == self.weight.dtype):
            return super().forward(x)
        y: Tensor = _Product.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return y


class _Product(torch.autograd.Function):
    """``x W' + b`` of ``[..., inputs]``, ``[units, inputs]`` and ``[units]``, and its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        y = x.new_empty(*x.shape[:-1], len(weight))
        np.matmul(_matrix(x), _matrix(weight).T, out=_matrix(y))
        return y if bias is None else y.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx = dw = db = None
        if ctx.needs_input_grad[0]:
            dx = torch.empty(x.shape, dtype=x.dtype)
            np.matmul(_matrix(d), _matrix(weight), out=_matrix(dx))
        if ctx.needs_input_grad[1]:
            dw = torch.empty(weight.shape, dtype=weight.dtype)
            np.matmul(_matrix(d).T, _matrix(x), out=_matrix(dw))
        if ctx.has_bias and ctx.needs_input_grad[2]:
            db = d.flatten(0, -2).sum(0)
        return dx, dw, db


def _matrix(tensor: Tensor) -> np.ndarray:
    """All but the last axis are the rows; the same memory where that can be."""
    return tensor.detach().reshape(-1, tensor.shape[-1]).numpy()
