"""Which networks can share a set of tensors, and the stages that they run through."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from automl.events import Configuration, Value
from automl.families import layer_values
from automl.models.layers import has_bias
from automl.training.lanes.stages import Activation, BatchNorm, Convolution, Dropout, Flatten, LayerNorm, Linear, Pool, Stage

_Settings = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Network:
    """The stages from the inputs to the outputs. ``takes_pictures``: inputs keep their shape; else they are flattened.

    ``own_dropouts``: those within a stage.
    """

    stages: Sequence[Stage]
    takes_pictures: bool
    own_dropouts: Sequence[Dropout] = ()

    @property
    def turned(self) -> set[str]:
        """The weights that stand turned in a row."""
        return {stage.weight_name for stage in self.stages if isinstance(stage, Linear)}

    @property
    def dropouts(self) -> list[Dropout]:
        return [stage for stage in self.stages if isinstance(stage, Dropout)] or list(self.own_dropouts)


def kind_of(model: str, settings: _Settings) -> Hashable:
    """What must be equal for two networks to share tensors; their widths may differ."""
    parts: list[Value | str] = [model, settings["activation"], settings["normalization"]]
    if model == "mlp":
        parts += [settings["layers"]]
    else:
        parts += [settings["conv_layers"], settings["kernel_size"], settings["pooling"], settings["dense_units"] == 0]
    if settings["normalization"] == "batch":
        parts.append(settings["batch_size"])
    return tuple(parts)


def widths_of(model: str, settings: _Settings) -> tuple[int, ...]:
    """The widths of the hidden layers, first to last."""
    if model == "mlp":
        return tuple(layer_values(settings, "units", int(settings["layers"] or 0)))
    dense = int(settings["dense_units"] or 0)
    return (*layer_values(settings, "channels", int(settings["conv_layers"] or 0)), *([dense] if dense else []))


def with_widths(model: str, settings: _Settings, widths: Sequence[int]) -> Configuration:
    """The same network with hidden layers of these widths."""
    if model == "mlp":
        return {**settings, **{f"units_{layer}": width for layer, width in enumerate(widths, 1)}}
    layers = int(settings["conv_layers"] or 0)
    dense = {"dense_units": widths[layers]} if len(widths) > layers else {}
    return {**settings, **{f"channels_{layer}": width for layer, width in enumerate(widths[:layers], 1)}, **dense}


def dropouts_of(model: str, settings: _Settings) -> int:
    """How many of its layers are followed by dropout."""
    return int(settings["layers"] or 0) if model == "mlp" else 1


def arithmetic(model: str, settings: _Settings, widths: Sequence[int], inputs: Sequence[int], outputs: int) -> int:
    """Multiplications for one sample's way through the network with hidden layers of these widths."""
    if model == "mlp":
        return sum(a * b for a, b in pairwise((math.prod(inputs), *widths, outputs)))
    channels, height, width = inputs
    layers, kernel = int(settings["conv_layers"] or 0), int(settings["kernel_size"] or 0)
    total = 0
    for before, after in pairwise((channels, *widths[:layers])):
        total += before * after * kernel**2 * height * width
        if _is_pooled(settings, height, width):
            height, width = height // 2, width // 2
    return total + sum(a * b for a, b in pairwise((widths[layers - 1] * height * width, *widths[layers:], outputs)))


def network(model: str, settings: _Settings, inputs: Sequence[int]) -> Network:
    """The stages of this network for samples of the shape ``inputs``. Their names are those of the layers of ``automl.models``."""
    return _mlp(settings) if model == "mlp" else _cnn(settings, inputs)


def _mlp(settings: _Settings) -> Network:
    stages: list[Stage] = []
    layers, bias = int(settings["layers"] or 0), has_bias(str(settings["normalization"]))
    for layer in range(layers):
        linear = Linear(f"hidden.{layer}", is_first=layer == 0, has_bias=bias)
        dropout = Dropout(layer, before=f"hidden.{layer + 1}" if layer + 1 < layers else "output")
        stages += [linear, *_hidden(settings, f"hidden.{layer}", f"norm.{layer}", False), dropout]
    return Network([*stages, Linear("output", is_first=layers == 0)], takes_pictures=False)


def _cnn(settings: _Settings, inputs: Sequence[int]) -> Network:
    stages: list[Stage] = []
    _, height, width = inputs
    bias = has_bias(str(settings["normalization"]))
    for layer in range(int(settings["conv_layers"] or 0)):
        convolution = Convolution(f"conv.{layer}", int(settings["kernel_size"] or 0), is_first=layer == 0, has_bias=bias)
        stages += [convolution, *_hidden(settings, f"conv.{layer}", f"norm.{layer}", True)]
        if _is_pooled(settings, height, width):
            stages.append(Pool(str(settings["pooling"])))
            height, width = height // 2, width // 2
    stages.append(Flatten())
    if settings["dense_units"]:
        stages += [Linear("hidden", has_bias=bias), *_hidden(settings, "hidden", "hidden_norm", False)]
    return Network([*stages, Dropout(0, before="output"), Linear("output")], takes_pictures=True)


def _hidden(settings: _Settings, layer: str, norm: str, pictures: bool) -> list[Stage]:
    """What follows a linear layer or a convolution."""
    activation = Activation(str(settings["activation"]), layer, pictures)
    match settings["normalization"]:
        case "batch":
            return [BatchNorm(norm, pictures), activation]
        case "layer":
            return [LayerNorm(norm, pictures), activation]
        case _:
            return [activation]


def _is_pooled(settings: _Settings, height: int, width: int) -> bool:
    return settings["pooling"] != "none" and min(height, width) >= 2
