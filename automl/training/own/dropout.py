"""Dropout in networks of a person's own, drawn by position: the same masks whoever trains the network, alone or in a lane."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.training.randomness import Dropout

_CALLS = 2**16  # sets the draws of a further call of the same layer apart from those of other layers


class PositionedDropout(nn.Module):
    """In place of an ``nn.Dropout`` that drops a ``share`` of what it gets; what it drops is up to ``source``. None: nothing."""

    def __init__(self, share: float, layer: int) -> None:
        super().__init__()
        self.share, self.layer = share, layer
        self.source: Callable[[PositionedDropout, Tensor], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        return x if self.source is None or not self.training else self.source(self, x)


def positioned(module: nn.Module) -> list[PositionedDropout]:
    """Replace every ``nn.Dropout`` of a module, and return what stands there now, one for each that there was.

    Its subclasses and other random layers stay as they are, and so does one that drops everything.
    """
    found: dict[int, PositionedDropout] = {}
    for part in module.modules():
        for name, child in list(part.named_children()):
            if type(child) is nn.Dropout and child.p < 1:
                if id(child) not in found:
                    found[id(child)] = PositionedDropout(child.p, len(found)).train(child.training)
                part._modules[name] = found[id(child)]
    return list(found.values())


class AloneDropout:
    """The source of one network that trains alone. Set ``samples``, and ``step`` and ``first_row`` as of ``Dropout``.

    What has no axis of samples in front is dropped by torch's generator, which the trainer has set for the step.
    """

    def __init__(self, drops: list[PositionedDropout], seed: int, rows: int) -> None:
        self._draws = {drop.layer: Dropout(seed, drop.share, rows) for drop in drops}
        self._calls: dict[int, int] = {}
        self._step = self.first_row = self.samples = 0
        for drop in drops:
            drop.source = self

    def begin(self, step: int, first_row: int, samples: int) -> None:
        """These samples of the batch of this step are next."""
        self._step, self.first_row, self.samples = step, first_row, samples
        self._calls.clear()

    def __call__(self, layer: PositionedDropout, x: Tensor) -> Tensor:
        if not layer.share:
            return x
        if x.dim() == 0 or len(x) != self.samples:
            return F.dropout(x, layer.share)
        call = self._calls[layer.layer] = self._calls.get(layer.layer, -1) + 1
        draw = self._draws[layer.layer]
        draw.step, draw.first_row = self._step, self.first_row
        return draw(x.reshape(len(x), -1), layer.layer + call * _CALLS).view(x.shape)
