"""From a sample that has steps, a sequence or a text, to the numbers of each step: the first layer of all networks that read steps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.events import Value
from automl.inputs import Inputs
from automl.models.layers import Drop, keep_all

PADDING = 0
WORDS = -1  # the layer of words, where dropout is asked for theirs


class Embedding(nn.Module):
    """Words as vectors: ``[...]`` of whole numbers below ``words`` to ``[..., units]``.

    The vector of padding is zero and stays so: it begins as zero, and has no gradient.
    """

    def __init__(self, words: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(words, units))

    def forward(self, words: Tensor) -> Tensor:
        return F.embedding(words, self.weight, PADDING)


class Positions(nn.Module):
    """A vector for each position: ``weight`` is ``[steps, units]``."""

    def __init__(self, steps: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(steps, units))


class Steps(nn.Module):
    """The steps of sequences and texts: ``[samples, *inputs]`` to ``[samples, steps, features]``, and which steps there are.

    Of a sequence the features are its channels, of a text the ``embedding`` units of each word: the vectors of all of its parts added up.
    In training ``word_dropout`` takes words and parts, each for itself. Which steps there are is a tensor of truths ``[samples, steps]``,
    or None where all samples are as long. The first step counts as one in any case, so that nothing is ever averaged over no steps.
    """

    def __init__(self, settings: Mapping[str, Value], inputs: Inputs) -> None:
        super().__init__()
        self.embedding = Embedding(inputs.vocabulary, int(settings["embedding"] or 0)) if inputs.kind == "tokens" else None
        self.word_dropout = float(settings.get("word_dropout") or 0)
        self.has_mask = inputs.has_mask
        self.features = self.embedding.weight.shape[1] if self.embedding else inputs.shape[0]
        self.steps = inputs.shape[-1]

    def forward(self, x: Tensor, drop: Drop = keep_all) -> tuple[Tensor, Tensor | None]:
        if self.embedding is None:
            return x.transpose(1, 2), _with_first(x[:, -1] > 0) if self.has_mask else None
        words = x[:, None] if x.dim() == 2 else x
        is_there = _with_first(words[:, 0] != PADDING)
        if not self.word_dropout:
            return self.embedding(words).sum(1), is_there
        kept = drop(torch.ones_like(words, dtype=self.embedding.weight.dtype), WORDS, self.word_dropout)
        return (self.embedding(words) * kept[..., None]).sum(1), is_there


def _with_first(is_there: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(is_there[:, :1]), is_there[:, 1:]], dim=1)


def mean_over(steps: Tensor, is_there: Tensor | None) -> Tensor:
    """The mean over the steps that there are: ``[samples, steps, units]`` to ``[samples, units]``."""
    if is_there is None:
        return steps.mean(1)
    share = is_there / is_there.sum(1, keepdim=True)
    return (steps * share[..., None].to(steps.dtype)).sum(1)


def largest_of(steps: Tensor, is_there: Tensor | None) -> Tensor:
    """The largest of each unit over the steps that there are: ``[samples, steps, units]`` to ``[samples, units]``."""
    return steps.amax(1) if is_there is None else steps.masked_fill(~is_there[..., None], -torch.inf).amax(1)
