"""Each sequence on a scale of its own, before the layers of any family for sequences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from automl.inputs import Inputs

_SMALLEST = 1e-4  # of a spread, squared: a constant sequence is not blown up


class InstanceNorm(nn.Module):
    """Moves each channel of each sequence by its ``last`` step or its ``mean``, or standardises it (``standard``); ``none``: nothing.

    Where the outputs of a network continue the first channel, they are moved and scaled back by what was done to that. It has no weights.
    Steps after the end of a sequence are not looked at and stay 0.

    Source: Kim et al., Reversible Instance Normalization for Accurate Time-Series Forecasting against Distribution Shift (ICLR 2022),
    without its affine weights; ``last``: Zeng et al., Are Transformers Effective for Time Series Forecasting?, arXiv 2205.13504, NLinear.
    """

    def __init__(self, kind: str, inputs: Inputs) -> None:
        super().__init__()
        self.kind, self.has_mask, self.continues = kind, inputs.has_mask, inputs.continues

    def forward(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """``[samples, channels, steps]`` normalised, and what the outputs ``[samples, outputs]`` go through."""
        if self.kind == "none":
            return x, _as_it_is
        series = x[:, :-1] if self.has_mask else x
        mask = x[:, -1:] if self.has_mask else torch.ones_like(x[:, :1])
        count = mask.sum(2, keepdim=True).clamp(min=1)
        if self.kind == "last":
            at = (count.long() - 1).expand(-1, series.shape[1], 1)
            middle = series.gather(2, at)
        else:
            middle = (series * mask).sum(2, keepdim=True) / count
        moved = (series - middle) * mask
        scale = None
        if self.kind == "standard":
            scale = (moved.square().sum(2, keepdim=True) / count + _SMALLEST).sqrt()
            moved = moved / scale
        normalised = torch.cat([moved, mask], dim=1) if self.has_mask else moved
        if not self.continues:
            return normalised, _as_it_is
        return normalised, lambda out: (out if scale is None else out * scale[:, 0]) + middle[:, 0]


def _as_it_is(out: Tensor) -> Tensor:
    return out
