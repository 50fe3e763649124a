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
from automl.training.lanes.networks import dropouts_of, network
from automl.training.lanes.stack import Stack
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
    """Networks that are alike."""

    def made(self, trial: TrialSpec, info: DataInfo) -> Made:
        """The trial's network at its beginning."""

    def module(self, trial: TrialSpec, info: DataInfo) -> nn.Module:
        """The trial's network, for its best weights to be put into."""


class StackedNetworks(Networks, Protocol):
    """Networks that run as one stack."""

    @property
    def stack(self) -> Stack: ...


class FamilyNetworks:
    """Networks of a built-in family."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype

    def made(self, trial: TrialSpec, info: DataInfo) -> Made:
        """The trial's network at its beginning."""
        settings = complete(trial.job.model, trial.configuration)
        module = build(trial.job.model, trial.configuration, info.inputs, info.outputs)
        shapes = shapes_of(module)
        flat, _ = initialised(module, trial.seed, self._device, self._dtype)
        shares = (float(settings["dropout"] or 0),) * dropouts_of(trial.job.model, settings)
        return Made(*shapes, flat, list(module.named_buffers()), shares)

    def module(self, trial: TrialSpec, info: DataInfo) -> nn.Module:
        """The trial's network, for its best weights to be put into."""
        module = build(trial.job.model, trial.configuration, info.inputs, info.outputs)
        flattened(module, self._device, self._dtype)
        return module


class StackedFamilyNetworks(FamilyNetworks):
    """Those that are no wider than ``widest``, a completed configuration of their kind."""

    def __init__(self, model: str, widest: dict[str, Any], info: DataInfo, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(device, dtype)
        module = build(model, widest, info.inputs, info.outputs)
        stages = network(model, widest, info.input_shape)
        layouts = Layout.of(module.named_parameters(), stages.turned), Layout.of(module.named_buffers())
        self.stack = Stack(stages, *layouts, device, dtype)
