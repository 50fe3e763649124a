"""Transformer encoders for sequences and texts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.events import Value
from automl.families.transformer import stride_of
from automl.inputs import Inputs
from automl.models.embedding import Positions, Steps, largest_of, mean_over
from automl.models.instancenorm import InstanceNorm
from automl.models.layers import ACTIVATIONS, Drop, keep_all
from automl.models.multiplication import Linear


class _Encoder(nn.Module):
    """Attention between all steps, then a hidden layer for each step; each is normalised first and added to what was there.

    Source: Vaswani et al., Attention is all you need (arXiv 1706.03762), section 3; normalised first: Xiong et al., On layer normalization
    in the transformer architecture (arXiv 2002.04745).
    """

    def __init__(self, settings: Mapping[str, Value]) -> None:
        super().__init__()
        units, self.heads, factor = (int(settings[name] or 0) for name in ("units", "heads", "feed_forward"))
        inner = math.ceil(units / self.heads) * self.heads
        self.attention_norm = nn.LayerNorm(units)
        self.queries_keys_values = Linear(units, 3 * inner)
        self.attended = Linear(inner, units)
        self.hidden_norm = nn.LayerNorm(units)
        self.hidden = Linear(units, factor * units)
        self.output = Linear(factor * units, units)
        self.activation = ACTIVATIONS[str(settings["activation"])]

    def forward(self, x: Tensor, is_there: Tensor | None, drop: Drop, layer: int) -> Tensor:
        """``[samples, steps, units]``; nobody attends to steps that are not there. ``layer``: the number of the first of two dropouts."""
        samples, steps, _ = x.shape
        parts = self.queries_keys_values(self.attention_norm(x)).view(samples, steps, 3, self.heads, -1)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each [samples, heads, steps, units of a head]
        mask = None if is_there is None else is_there[:, None, None, :]
        found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        x = x + drop(self.attended(found.transpose(1, 2).reshape(samples, steps, -1)), layer)
        added: Tensor = x + drop(self.output(self.activation(self.hidden(self.hidden_norm(x)))), layer + 1)
        return added


class Transformer(nn.Module):
    """Patches of steps become ``units`` numbers each, know their position, and go through ``layers`` encoders; then they are pooled.

    A patch begins every ``stride`` steps. What is behind the end of a sample changes nothing: no patch begins there, and one that reaches
    beyond it is filled up with zeros.

    Source for patches: Nie, Nguyen, Sinthong and Kalagnanam, A time series is worth 64 words (arXiv 2211.14730), section 3.1; here they
    hold all channels.
    """

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__()
        units, self.patch, self.stride = int(settings["units"] or 0), int(settings["patch"] or 1), stride_of(settings)
        self.instance_norm = InstanceNorm(str(settings["instance_norm"]) if inputs.kind == "sequences" else "none", inputs)
        self.read = Steps(settings, inputs)
        places = math.ceil(self.read.steps / self.stride)
        self.beyond = max(0, (places - 1) * self.stride + self.patch - self.read.steps)
        self.input = Linear(self.read.features * self.patch, units)
        self.positional = str(settings["positional"])
        self.positions = Positions(places, units) if self.positional == "learned" else None
        self.encoders = nn.ModuleList(_Encoder(settings) for _ in range(int(settings["layers"] or 0)))
        self.norm = nn.LayerNorm(units)
        self.pooling = str(settings["pooling"])
        self.output = Linear(units * places if self.pooling == "all" else units, outputs)

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, *inputs]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        x, restore = self.instance_norm(x)
        steps, is_there = self._patches(*self.read(x, drop))
        steps = self.input(steps)
        if self.positions is not None:
            steps = steps + self.positions.weight
        elif self.positional == "sinusoidal":
            steps = steps + _waves(steps)
        steps = drop(steps, 0)
        for number, encoder in enumerate(self.encoders):
            steps = encoder(steps, is_there, drop, 2 * number + 1)
        restored: Tensor = restore(self.output(self._pooled(self.norm(steps), is_there)))
        return restored

    def _patches(self, steps: Tensor, is_there: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """So many steps side by side as one; one of which there is any step is there, and of these there is the first."""
        if self.patch == self.stride == 1:
            return steps, is_there
        windows = F.pad(steps, (0, 0, 0, self.beyond)).unfold(1, self.patch, self.stride)  # [samples, patches, features, steps of a patch]
        return windows.transpose(2, 3).flatten(2), None if is_there is None else is_there[:, :: self.stride]

    def _pooled(self, steps: Tensor, is_there: Tensor | None) -> Tensor:
        match self.pooling:
            case "mean":
                return mean_over(steps, is_there)
            case "max":
                return largest_of(steps, is_there)
            case "first":
                return steps[:, 0]
            case _:
                return (steps if is_there is None else steps * is_there[..., None]).flatten(1)


def _waves(like: Tensor) -> Tensor:
    """Sines and cosines of each position, from short to long waves: ``[steps, units]`` for ``[samples, steps, units]``."""
    _, steps, units = like.shape
    unit = torch.arange(units, device=like.device)
    frequency = 10_000.0 ** (-(unit - unit % 2).to(like.dtype) / units)
    angle = torch.arange(steps, device=like.device, dtype=like.dtype)[:, None] * frequency
    return torch.where(unit % 2 == 0, angle.sin(), angle.cos())
