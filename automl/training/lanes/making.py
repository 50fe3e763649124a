"""How a group comes by the networks of its lanes, whoever has written them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from automl.data import DataInfo
from automl.events import TrialSpec
from automl.families import complete
from automl.models import build
from automl.training.lanes.layout import Layout, Shapes, shapes_of
from automl.training.lanes.networks import Network, network
from automl.training.weights import flattened, initialised


@dataclass(frozen=True, slots=True)
class Made:
    """A network at its beginning: shapes and values of its weights (``flat``) and buffers, and the share of each of its dropouts."""

    shapes: Shapes
    buffer_shapes: Shapes
    flat: Tensor
    buffers: list[tuple[str, Tensor]]
    shares: tuple[float, ...]


class Networks(Protocol):
    """Networks that are alike: the stages that run them all, and where their weights and buffers stand in a row."""

    network: Network
    layout: Layout
    statistics_layout: Layout

    def made(self, trial: TrialSpec, info: DataInfo) -> Made:
        """The trial's network at its beginning."""

    def module(self, trial: TrialSpec, info: DataInfo) -> nn.Module:
        """The trial's network, for its best weights to be put into."""


class FamilyNetworks:
    """Networks of a built-in family, no wider than ``widest``, a completed configuration of their kind."""

    def __init__(self, model: str, widest: dict[str, Any], info: DataInfo, device: torch.device, dtype: torch.dtype) -> None:
        module = build(model, widest, info.inputs, info.outputs)
        self.network = network(model, widest, info.input_shape)
        self.layout, self.statistics_layout = Layout.of(module.named_parameters(), self.network.turned), Layout.of(module.named_buffers())
        self._device, self._dtype = device, dtype

    def made(self, trial: TrialSpec, info: DataInfo) -> Made:
        """The trial's network at its beginning."""
        module = build(trial.job.model, trial.configuration, info.inputs, info.outputs)
        shapes = shapes_of(module)
        flat, _ = initialised(module, trial.seed, self._device, self._dtype)
        share = float(complete(trial.job.model, trial.configuration)["dropout"] or 0)
        return Made(*shapes, flat, list(module.named_buffers()), (share,) * len(self.network.dropouts))

    def module(self, trial: TrialSpec, info: DataInfo) -> nn.Module:
        """The trial's network, for its best weights to be put into."""
        module = build(trial.job.model, trial.configuration, info.inputs, info.outputs)
        flattened(module, self._device, self._dtype)
        return module
