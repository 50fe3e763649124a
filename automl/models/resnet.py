"""Residual networks for small pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.events import Value
from automl.families import layer_values
from automl.families.resnet import widths
from automl.inputs import Inputs
from automl.models.layers import ACTIVATIONS, Drop, Link, SameConv, begins_at_zero, has_bias, keep_all, normalization
from automl.models.multiplication import Linear


class Block(nn.Module):
    """Two convolutions beside a shortcut: activation(shortcut(x) + norm(conv(activation(norm(conv(x)))))).

    The first convolution takes every ``stride``-th pixel. The shortcut is x itself; where the block makes the map smaller, its 2x2 means
    (at the border of those that there are), and where it has other channels a 1x1 convolution of them, normalised. What the block adds to
    its shortcut begins as zero, so that a new network is as shallow as it can be and trains however many blocks it has.

    Source: He et al., Deep Residual Learning (arXiv 1512.03385), section 3.2; the shortcut of Bag of Tricks (arXiv 1812.01187), ResNet-D;
    the zeros of its section 3.1 and, without normalisation, of Fixup (arXiv 1901.09321).
    """

    def __init__(
        self, inputs: int, units: int, kernel: int, stride: int, kind: str, activation: Callable[[Tensor], Tensor], *, biased: bool
    ) -> None:
        super().__init__()
        self.stride, self.activation = stride, activation
        self.conv_1 = SameConv(inputs, units, kernel, stride, bias=biased)
        self.norm_1 = normalization(kind, units, pictures=True)
        self.conv_2 = SameConv(units, units, kernel, bias=biased)
        self.norm_2 = normalization(kind, units, pictures=True)
        begins_at_zero(self.conv_2 if kind == "none" else self.norm_2)
        self.shortcut = nn.Conv2d(inputs, units, 1, bias=biased) if inputs != units else None
        self.shortcut_norm = normalization(kind, units, pictures=True) if inputs != units else None

    def forward(self, x: Tensor) -> Tensor:
        """``[samples, inputs, height, width]`` to ``[samples, units, height / stride, width / stride]``, rounded up."""
        added = self.norm_2(self.conv_2(self.activation(self.norm_1(self.conv_1(x)))))
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        if self.shortcut is not None and self.shortcut_norm is not None:
            x = self.shortcut_norm(self.shortcut(x))
        return self.activation(x + added)


class ResNet(nn.Module):
    """A convolution, normalised and activated; ``stages`` of ``blocks``; the mean of every channel, dropout, and the outputs.

    The stem keeps the pixels of small pictures: it has the kernel of all others and a step of ``stem_stride``, and nothing is pooled.
    """

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs, outputs: int) -> None:
        super().__init__()
        kind, kernel = str(settings["normalization"]), int(settings["kernel_size"] or 0)
        self.activation = ACTIVATIONS[str(settings["activation"])]
        channels = int(settings["channels"] or 0)
        self.stem = SameConv(inputs.shape[0], channels, kernel, int(settings["stem_stride"] or 1), bias=has_bias(kind))
        self.stem_norm = normalization(kind, channels, pictures=True)
        self.stages = nn.ModuleList()
        for stage, (width, blocks) in enumerate(
            zip(widths(settings), layer_values(settings, "blocks", int(settings["stages"] or 0)), strict=True)
        ):
            parts = []
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                parts.append(Block(channels, width, kernel, stride, kind, self.activation, biased=has_bias(kind)))
                channels = width
            self.stages.append(nn.Sequential(*parts))
        self.output = Linear(channels, outputs)

    def chain(self) -> Iterator[Link]:
        """What happens up to the outputs, link after link."""
        yield (self.stem, self.stem_norm), lambda x: self.activation(self.stem_norm(self.stem(x)))
        *others, last = self.stages
        yield from (((stage,), stage) for stage in others)
        yield (last,), lambda x: last(x).mean((2, 3))

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, channels, height, width]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        for _, link in self.chain():
            x = link(x)
        out: Tensor = self.output(drop(x, 0))
        return out
