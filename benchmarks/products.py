"""How fast torch and numpy multiply the matrices of small linear layers on one core of this machine.

    python benchmarks/products.py [--samples 32,64,128] [--units 64,144,256] [--json]

A layer has as many inputs as units. Of its three products, forward, gradient of the weights and gradient of the inputs, with weights as
lanes have them, the best of seven rounds each, both libraries in turn; in GFLOP/s. On processors of AMD with AVX-512, lanes multiply with
numpy (``automl/models/multiplication.py``); ``takes`` says whether they do here. What ``OPENBLAS_CORETYPE`` and
``MKL_ENABLE_INSTRUCTIONS`` say holds here as well.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from automl.models.multiplication import multiplying, numpy_multiplies

ROUNDS = 7
ROUND_SECONDS = 0.02


def rate(product: Callable[[], Any], flops: int) -> float:
    """GFLOP/s of a round."""
    began, times = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < ROUND_SECONDS:
        for _ in range(10):
            product()
        times += 10
    return times * flops / seconds / 1e9


def rates(samples: int, units: int) -> dict[str, tuple[float, float]]:
    """For each product of a layer: torch's and numpy's rate."""
    x, weight, y = torch.randn(1, samples, units), torch.randn(1, units, units), torch.randn(1, samples, units)
    sides = {
        "forward": (x, weight, y),
        "gradient of the weights": (x.transpose(1, 2), y, torch.empty(1, units, units)),
        "gradient of the inputs": (y, weight.transpose(1, 2), x),
    }
    found = {}
    for name, (a, b, out) in sides.items():
        arrays = [tensor.numpy() for tensor in (a, b, out)]
        calls = (
            lambda a=a, b=b, out=out: torch.bmm(a, b, out=out),
            lambda arrays=arrays: np.matmul(arrays[0], arrays[1], out=arrays[2]),
        )
        rounds = [[rate(call, 2 * samples * units**2) for call in calls] for _ in range(ROUNDS)]
        torchs, numpys = zip(*rounds, strict=True)
        found[name] = max(torchs), max(numpys)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", default="32,64,128")
    parser.add_argument("--units", default="64,144,256")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with multiplying():
        table = [
            {"samples": samples, "units": units, "product": name, "torch": pair[0], "numpy": pair[1]}
            for samples in map(int, options.samples.split(","))
            for units in map(int, options.units.split(","))
            for name, pair in rates(samples, units).items()
        ]
        takes = "numpy" if numpy_multiplies(torch.device("cpu")) else "torch"
    if options.json:
        print(json.dumps({"takes": takes, "rates": table}))
        return
    print(f"{'samples':>7}  {'units':>5}  {'product':24}{'torch':>7}{'numpy':>7}")
    for row in table:
        print(f"{row['samples']:>7}  {row['units']:>5}  {row['product']:24}{row['torch']:>7.0f}{row['numpy']:>7.0f}")
    print(f"takes: {takes}")


if __name__ == "__main__":
    main()
