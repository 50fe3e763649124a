"""The networks of the built-in families. Their parameters are listed in ``automl.families``; torch is imported by the first ``build``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl.errors import UsageError, suggestion
from automl.events import Configuration
from automl.families import FAMILIES, FINETUNE, complete, wanted
from automl.inputs import Inputs, inputs_of

if TYPE_CHECKING:
    from torch import nn


def build(model: str, configuration: Configuration, inputs: Inputs | Sequence[int], outputs: int) -> nn.Module:
    """The network of a family for this configuration, with the default of everything that it leaves out.

    Its weights are on torch's device ``meta``, that is, without values, and nothing random is drawn: give them values with
    ``automl.training.weights.initialised`` or ``load_state_dict(..., assign=True)``.

    Args:
        inputs: one sample, or the bare shape of features or pictures: ``(features,)`` or ``(channels, height, width)``.
        outputs: number of outputs (1 for regression and binary classification, else the number of classes).
    """
    if model not in FAMILIES:
        raise UsageError(f"model: must be one of {', '.join(FAMILIES)}, but is {model!r}.{suggestion(model, FAMILIES)}")
    settings = complete(model, configuration)
    given = inputs_of(inputs)
    if given.kind not in FAMILIES[model].kinds:
        fitting = [name for name, family in FAMILIES.items() if given.kind in family.kinds]
        raise UsageError(f"model: {model} takes {wanted(model)}, but the data are {given}. Use model: {' or '.join(fitting)}.")
    if model == FINETUNE.name:
        raise UsageError("model: finetune builds on a checkpoint, which this does not know. Take automl.training.pretrained.")
    import torch

    from automl.models.cnn import CNN
    from automl.models.cnn1d import CNN1d
    from automl.models.mlp import MLP
    from automl.models.recurrent import GRU, LSTM, RNN
    from automl.models.resnet import ResNet
    from automl.models.tabular_resnet import TabularResNet
    from automl.models.transformer import Transformer

    networks: dict[str, type[nn.Module]] = {
        "mlp": MLP,
        "cnn": CNN,
        "resnet": ResNet,
        "rnn": RNN,
        "lstm": LSTM,
        "gru": GRU,
        "cnn1d": CNN1d,
        "transformer": Transformer,
        "tabular_resnet": TabularResNet,
    }
    with torch.device("meta"):
        return networks[model](settings, given, outputs)
