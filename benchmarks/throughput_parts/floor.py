"""The arithmetic floor: how long a study would take if its matrix products were all there is, at this machine's measured rate.

``python floor.py DEVICE`` prints the rate that one process reaches, by kind of product, in floating-point operations a second.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

ROUND_SECONDS = 0.15
ROUNDS = 5


def multiplications(model: str, values: Mapping[str, Any], shape: Sequence[int], outputs: int) -> list[int]:
    """Multiplications of one sample's way through each layer."""
    if model == "mlp":
        return [a * b for a, b in pairwise([math.prod(shape), *[values["units"]] * values["layers"], outputs])]
    channels, height, width = shape
    products = []
    for _ in range(values["conv_layers"]):
        products.append(channels * values["channels"] * values["kernel_size"] ** 2 * height * width)
        channels, height, width = values["channels"], height // 2, width // 2
    return [*products, *(a * b for a, b in pairwise([channels * height * width, values["dense_units"], outputs]))]


def trial_flops(model: str, values: Mapping[str, Any], info: Any, epochs: int) -> float:
    """Floating-point operations of a trial's matrix products.

    Of each multiplication in the network six a training sample (two forward, two for the weights' gradient, two for the inputs'), but
    four in the first layer, whose inputs need no gradient; two a validation sample.
    """
    first, *others = multiplications(model, values, info.input_shape, info.outputs)
    training = info.sizes["train"] * (4 * first + 6 * sum(others))
    return float(epochs * (training + info.sizes["validation"] * 2 * (first + sum(others))))


def measured_rate(device: str, processes: int) -> float:
    """Floating-point operations a second of so many processes at once, with one thread each: of the kind of product that does best."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, device]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(processes)]
    rates = [json.loads(process.communicate()[0]) for process in running]
    return float(max(sum(rate[kind] for rate in rates) for kind in rates[0]))


def rates(device: str) -> dict[str, float]:
    """Of this process, by kind of product: the best of a few rounds."""
    import numpy as np
    import torch

    large, many = (4096, 256) if device.startswith("cuda") else (1024, 8)
    square = torch.rand(large, large, device=device)
    small = torch.rand(many, 128, 128, device=device)
    found = {
        "mm": _rate(lambda: torch.mm(square, square), 2 * large**3, device),
        "bmm": _rate(lambda: torch.bmm(small, small), 2 * many * 128**3, device),
    }
    if device == "cpu":
        squares, smalls = square.numpy(), small.numpy()
        found["mm, numpy"] = _rate(lambda: np.matmul(squares, squares), 2 * large**3, device)
        found["bmm, numpy"] = _rate(lambda: np.matmul(smalls, smalls), 2 * many * 128**3, device)
    return found


def _rate(product: Callable[[], Any], flops: int, device: str) -> float:
    import torch

    best = 0.0
    for _ in range(ROUNDS):
        began, times = time.perf_counter(), 0
        while time.perf_counter() - began < ROUND_SECONDS:
            for _ in range(10):
                product()
            times += 10
            if device.startswith("cuda"):
                torch.cuda.synchronize()
        best = max(best, times * flops / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    print(json.dumps(rates(sys.argv[1])))
