"""A trained network with a new head: which of its stages train, and at what share of the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.events import Value
from automl.models.layers import ACTIVATIONS, Drop, keep_all

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Stage:
    """Some layers of a network; ``run`` is what they do where the network is a chain of its stages, else None."""

    parts: tuple[nn.Module, ...]
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How the pictures of a study become those that a network takes: grey ones are repeated, colour becomes its mean; brought to ``size``
    (height, width) where it takes no other; standardised by channel where it was trained so."""

    channels: int
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.channels:
            x = x.mean(1, keepdim=True).expand(-1, self.channels, -1, -1)
        if self.size is not None and tuple(x.shape[2:]) != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
        if self.mean:
            mean, std = (torch.tensor(values, dtype=x.dtype, device=x.device)[:, None, None] for values in (self.mean, self.std))
            x = (x - mean) / std
        return x


class Trunk(nn.Module):
    """A network without its last layer, from pictures to ``features`` numbers.

    Where its stages are a chain, it can be cut between any two of them; else only after the last one.
    """

    def __init__(self, network: nn.Module, stages: Sequence[Stage], features: int, adaptation: Adaptation) -> None:
        super().__init__()
        self.network = network
        self.stages, self.features, self.adaptation = tuple(stages), features, adaptation
        self.is_chain = all(stage.run is not None for stage in stages)

    def run(self, x: Tensor, first: int, last: int) -> Tensor:
        """What the stages from ``first`` up to, not with, ``last`` make of x: pictures of the study, or what ``first - 1`` made of them."""
        if first == last:
            return x
        if first == 0:
            x = self.adaptation(x)
        if self.is_chain:
            for stage in self.stages[first:last]:
                assert stage.run is not None
                x = stage.run(x)
        else:
            x = self.network(x)
        return x.flatten(1) if last == len(self.stages) else x


class Finetuned(nn.Module):
    """A trunk of which the first stages may be frozen, and a new head.

    Frozen stages keep their weights and statistics. ``cut`` is how many of them can be computed once for all epochs and trials; while
    ``takes_features`` is set, ``forward`` is given what they make of pictures.
    """

    def __init__(self, trunk: Trunk, settings: Mapping[str, Value], outputs: int) -> None:
        super().__init__()
        self.trunk = trunk
        count = len(trunk.stages)
        self.frozen = round(float(settings["frozen"] or 0) * count)
        self.cut = self.frozen if trunk.is_chain or self.frozen == count else 0
        self.takes_features = False
        units = int(settings["head_units"] or 0) if settings["head"] == "mlp" else 0
        self.activation = ACTIVATIONS[str(settings["activation"])]
        self.hidden = nn.Linear(trunk.features, units) if units else None
        self.output = nn.Linear(units or trunk.features, outputs)
        for part in self._frozen_parts:
            part.requires_grad_(False)

    @property
    def _frozen_parts(self) -> list[nn.Module]:
        return [part for stage in self.trunk.stages[: self.frozen] for part in stage.parts]

    def train(self, mode: bool = True) -> Finetuned:
        """Frozen normalisations stay as they are."""
        super().train(mode)
        for part in self._frozen_parts:
            part.eval()
        return self

    def frozen_features(self, x: Tensor) -> Tensor:
        """What the stages before the cut make of pictures."""
        with torch.no_grad():
            return self.trunk.run(x, 0, self.cut)

    def forward(self, x: Tensor, drop: Drop = keep_all) -> Tensor:
        """``[samples, ...]`` to ``[samples, outputs]``: logits, or standardised predictions."""
        if not self.takes_features:
            x = self.frozen_features(x)
        x = self.trunk.run(x, self.cut, len(self.trunk.stages)).flatten(1)
        if self.hidden is not None:
            x = self.activation(self.hidden(x))
        out: Tensor = self.output(drop(x, 0))
        return out

    def rates(self, decay: float) -> dict[str, float]:
        """By what the learning rate of each weight is multiplied: 1 in the head, ``decay`` in the last stage, its square in the one before.

        Source: Howard and Ruder, Universal Language Model Fine-tuning (arXiv 1801.06146), section 3.2, discriminative fine-tuning.
        """
        stages = self.trunk.stages
        of = {
            id(weight): decay ** (len(stages) - number)
            for number, stage in enumerate(stages)
            for part in stage.parts
            for weight in part.parameters()
        }
        return {name: of.get(id(weight), 1.0) for name, weight in self.named_parameters() if weight.requires_grad}


def own_stages(network: nn.Module) -> list[Stage] | None:
    """Those of a network of the families; None where it does not say."""
    stages = getattr(network, "chain", None)
    return None if stages is None else [Stage(parts, run) for parts, run in stages()]


def stages_of(network: nn.Module, x: Tensor) -> list[Stage]:
    """The stages of a network that is not ours, whose last layer is an identity: its children, one stage each with those without weights.

    They are a chain if one after another they make of ``x`` what the network makes of it.
    """
    outer = network
    while len(children := list(outer.children())) == 1:
        outer = children[0]
    groups: list[list[nn.Module]] = []
    for child in children:
        if groups and (not list(child.parameters()) or not any(list(part.parameters()) for part in groups[-1])):
            groups[-1].append(child)
        else:
            groups.append([child])
    if not groups:
        return [Stage((network,))]
    chain = [Stage(tuple(group), nn.Sequential(*group)) for group in groups]
    return chain if _is_chain(network, chain, x) else [Stage(stage.parts) for stage in chain]


def _is_chain(network: nn.Module, chain: Sequence[Stage], x: Tensor) -> bool:
    with torch.no_grad():
        expected = network(x)
        try:
            for stage in chain:
                assert stage.run is not None
                x = stage.run(x)
        except Exception:  # whatever its layers do not take from each other
            return False
    found = x.flatten(1)
    return found.shape == expected.flatten(1).shape and torch.allclose(found, expected.flatten(1), rtol=1e-4, atol=1e-5)
