"""Convolutional networks for pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.events import Value
from automl.families import layer_values
from automl.inputs import Inputs
from automl.models.layers import ACTIVATIONS, Drop, Link, has_bias, keep_all, normalization
from automl.models.multiplication import Linear


class CNN(nn.Module):
    """``conv_layers`` times convolution, normalisation, activation, 2x2 pooling; then one hidden layer, and the outputs.

    The convolutions keep the map's size: they pad with zeros, an even kernel by one more on the right and at the bottom. Maps of less
    than 2x2 are not pooled. Dropout takes units of the hidden layer, or, where ``dense_units`` is 0, of the last map.
    """

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__()
        channels, height, width = inputs.shape
        layers = int(settings["conv_layers"] or 0)
        kernel = int(settings["kernel_size"] or 0)
        kind = str(settings["normalization"])
        widths = [channels, *layer_values(settings, "channels", layers)]
        before, after = (kernel - 1) // 2, kernel // 2
        self.padding = (before, after, before, after)
        self.activation = ACTIVATIONS[str(settings["activation"])]
        self.pool = {"max": F.max_pool2d, "average": F.avg_pool2d, "none": None}[str(settings["pooling"])]
        same = before if before == after else 0
        self.conv = nn.ModuleList(nn.Conv2d(a, b, kernel, padding=same, bias=has_bias(kind)) for a, b in pairwise(widths))
        self.norm = nn.ModuleList(normalization(kind, b, pictures=True) for b in widths[1:])
        for _ in range(layers):
            if self.pool and min(height, width) >= 2:
                height, width = height // 2, width // 2
        features, dense = widths[-1] * height * width, int(settings["dense_units"] or 0)
        self.hidden = Linear(features, dense, bias=has_bias(kind)) if dense else None
        self.hidden_norm = normalization(kind, dense, pictures=False) if dense else None
        self.output = Linear(dense or features, outputs)

    def chain(self) -> Iterator[Link]:
        """What happens up to the outputs, link after link."""
        for conv, norm in zip(self.conv, self.norm, strict=True):
            yield (conv, norm), partial(self._map, conv, norm)
        if self.hidden is not None and self.hidden_norm is not None:
            yield (self.hidden, self.hidden_norm), self._hidden

    def _map(self, conv: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
        is_uneven = self.padding[0] != self.padding[1]
        x = self.activation(norm(conv(F.pad(x, self.padding) if is_uneven else x)))
        return self.pool(x, 2) if self.pool and min(x.shape[2:]) >= 2 else x

    def _hidden(self, x: Tensor) -> Tensor:
        assert self.hidden is not None
        assert self.hidden_norm is not None
        return self.activation(self.hidden_norm(self.hidden(x.flatten(1))))

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, channels, height, width]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        for _, link in self.chain():
            x = link(x)
        out: Tensor = self.output(drop(x.flatten(1), 0))
        return out
