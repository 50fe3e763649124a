"""Recurrent networks for sequences and texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from automl.events import Value
from automl.families import layer_values
from automl.inputs import Inputs
from automl.models.embedding import Steps
from automl.models.instancenorm import InstanceNorm
from automl.models.layers import Drop, begins_at_zero, keep_all
from automl.models.multiplication import Linear


class _Recurrent(nn.Module):
    """``layers`` times recurrence, normalisation, dropout; then the steps become one, and a linear layer leads to the outputs.

    Of a text the steps are its words, as vectors. Where samples have ends of their own, what stands after them changes nothing: the
    backward direction begins at the last step of each, and pooling sees its own steps only. Dropout takes the same units at every step.

    Source: Gal and Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks, arXiv 1512.05287 (the masks).
    """

    def __init__(self, kind: Callable[[int, int], nn.RNNBase], settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__()
        units = layer_values(settings, "units", int(settings["layers"] or 0))
        directions = 2 if settings["bidirectional"] else 1
        self.has_mask, self.pooling = inputs.has_mask, str(settings["pooling"])
        self.instance_norm = InstanceNorm(str(settings["instance_norm"]) if inputs.kind == "sequences" else "none", inputs)
        self.read = Steps(settings, inputs)
        widths = [self.read.features - inputs.has_mask, *(each * directions for each in units)]
        self.forwards = nn.ModuleList(kind(a, b // directions) for a, b in pairwise(widths))
        self.backwards = nn.ModuleList(kind(a, b // directions) for a, b in pairwise(widths)) if directions == 2 else None
        is_normalised = settings["normalization"] == "layer"
        self.norm = nn.ModuleList(nn.LayerNorm(b) if is_normalised else nn.Identity() for b in widths[1:])
        self.output = Linear(widths[-1], outputs)
        if inputs.continues:
            begins_at_zero(self.output)  # so that with an instance_norm training begins at a naive forecast

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, *inputs]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        x, restore = self.instance_norm(x)
        read, is_there = self.read(x, drop)
        mask = None if is_there is None else is_there.T.to(read.dtype)  # [steps, samples]
        steps = (read[..., :-1] if self.has_mask else read).transpose(0, 1).contiguous()  # [steps, samples, features]
        ends = _ends(mask, steps)
        backwards: list[nn.Module | None] = list(self.backwards) if self.backwards is not None else [None] * len(self.forwards)
        for layer, (ahead, back, norm) in enumerate(zip(self.forwards, backwards, self.norm, strict=True)):
            found = ahead(steps)[0]
            if back is not None:
                found = torch.cat([found, _turned(back(_turned(steps, ends))[0], ends)], dim=2)
            steps = norm(found)
            steps = steps * drop(steps.new_ones(steps.shape[1:]), layer)
        restored: Tensor = restore(self.output(self._pooled(steps, mask, ends)))
        return restored

    def _pooled(self, steps: Tensor, mask: Tensor | None, ends: Tensor) -> Tensor:
        """``[samples, units]`` of ``[steps, samples, units]``."""
        if self.pooling == "last":
            last = steps.gather(0, ends[None, :, None].expand(1, -1, steps.shape[2]))[0]
            if self.backwards is None:
                return last
            ahead, _ = last.chunk(2, dim=1)
            _, back = steps[0].chunk(2, dim=1)  # which reads the first step last
            return torch.cat([ahead, back], dim=1)
        if mask is None:
            return steps.mean(0) if self.pooling == "mean" else steps.amax(0)
        if self.pooling == "mean":
            return (steps * mask[..., None]).sum(0) / mask.sum(0).clamp(min=1)[:, None]
        return steps.masked_fill(mask[..., None] == 0, -torch.inf).amax(0)


def _ends(mask: Tensor | None, steps: Tensor) -> Tensor:
    """Of each sample the number of its last step, ``[samples]``."""
    if mask is None:
        return torch.full(steps.shape[1:2], len(steps) - 1, dtype=torch.long, device=steps.device)
    return (mask.sum(0).long() - 1).clamp(min=0)


def _turned(steps: Tensor, ends: Tensor) -> Tensor:
    """The steps of each sample from its last to its first, and what is after its end where it was; turned twice they are as before."""
    number = torch.arange(len(steps), device=steps.device)[:, None]
    source = torch.where(number <= ends, ends - number, number)
    return steps.gather(0, source[..., None].expand(-1, -1, steps.shape[2]))


class RNN(_Recurrent):
    """Of plain units."""

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        activation = str(settings["activation"])
        super().__init__(lambda a, b: nn.RNN(a, b, nonlinearity=activation), settings, inputs, outputs)


class LSTM(_Recurrent):
    """Of long short-term memory."""

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__(nn.LSTM, settings, inputs, outputs)


class GRU(_Recurrent):
    """Of gated units."""

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__(nn.GRU, settings, inputs, outputs)
