"""Where training begins with ``ridge``: at a linear regression of the targets on the inputs, solved and not trained."""

from __future__ import annotations

import torch

from automl.models.mlp import MLP
from automl.training.samples import Split

_MOST_SAMPLES = 2**14  # of more every n-th is taken: training goes on with all of them
_ROWS = 2048  # at once


@torch.no_grad()
def begin_at_ridge(module: MLP, train: Split) -> None:
    """Give the linear map of a network the weights ``W`` and biases ``b`` that make the least of

        mean over the samples of |target - output|^2, and ridge * |W|^2

    where the output is what the network says while its hidden layers add nothing. Biases are not held small.

    Sources: Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal Problems, 1970, equation 2.1, W = (X'X + kI)^-1 X'Y;
    Toner and Darlow, An Analysis of Linear Time Series Forecasting Models, arXiv 2403.14587 (solved, a linear forecast is mostly better
    than trained).
    """
    weight, bias = module.linear.weight, module.output.bias
    products = torch.zeros(weight.shape[1] + 1, weight.shape[1] + 1, dtype=torch.float64, device=weight.device)
    wanted = torch.zeros(weight.shape[1] + 1, weight.shape[0], dtype=torch.float64, device=weight.device)
    chosen = torch.arange(0, len(train), -(-len(train) // _MOST_SAMPLES), device=weight.device)
    for x, targets in train.batches(chosen, _ROWS):
        inputs, scale, moved = module.design(x)
        rows = (torch.cat([inputs, torch.ones_like(scale)], dim=1) * scale).double()
        products += rows.T @ rows
        wanted += rows.T @ (targets.view(len(targets), -1) - moved).double()
    products /= len(chosen)
    products.diagonal()[:-1].add_(module.ridge)
    solution = torch.linalg.lstsq(products.cpu(), wanted.cpu() / len(chosen), driver="gelsd").solution
    weight.copy_(solution[:-1].T)
    bias.copy_(solution[-1])
