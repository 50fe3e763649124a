"""The networks of the built-in families. Their parameters are listed in ``automl.families``; torch is imported by the first ``build``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl.errors import UsageError, suggestion
from automl.events import Configuration
from automl.families import FAMILIES, complete

if TYPE_CHECKING:
    from torch import nn


def build(model: str, configuration: Configuration, inputs: Sequence[int], outputs: int) -> nn.Module:
    """The network of a family for this configuration, with the default of everything that it leaves out.

    Its weights are on torch's device ``meta``, that is, without values, and nothing random is drawn: give them values with
    ``automl.training.weights.initialised`` or ``load_state_dict(..., assign=True)``.

    Args:
        inputs: shape of one sample, ``(features,)`` or ``(channels, height, width)``.
        outputs: number of outputs (1 for regression and binary classification, else the number of classes).
    """
    if model not in FAMILIES:
        raise UsageError(f"model: must be one of {', '.join(FAMILIES)}, but is {model!r}.{suggestion(model, FAMILIES)}")
    settings = complete(model, configuration)
    if model == "cnn" and len(inputs) != 3:
        raise UsageError(
            f"model: cnn needs samples of the shape (channels, height, width), but they have the shape {tuple(inputs)}. Use model: mlp."
        )
    import torch

    from automl.models.cnn import CNN
    from automl.models.mlp import MLP

    networks = {"mlp": MLP, "cnn": CNN}
    with torch.device("meta"):
        return networks[model](settings, inputs, outputs)
