"""The networks and their training as a careful user of PyTorch writes them by hand: what all peers have in common.

The same networks, initial weights, optimisers and data as automl's, so that the accuracies have the same distribution.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)
from torch.utils.data import DataLoader, TensorDataset

_ACTIVATIONS: Mapping[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}
_ROWS_AT_ONCE = 2048  # of the validation split


@dataclass(frozen=True, slots=True)
class Data:
    """The training and validation split as tensors on the device."""

    inputs: Tensor
    targets: Tensor
    validation_inputs: Tensor
    validation_targets: Tensor
    shape: tuple[int, ...]
    outputs: int


def read_data(folder: str | Path, device: str, model: str) -> Data:
    """The splits that automl has prepared, as float32; flat where the network takes vectors."""
    info = json.loads((Path(folder) / "info.json").read_text())

    def inputs(split: str) -> Tensor:
        x = torch.from_numpy(np.load(Path(folder) / f"x_{split}.npy")).to(device).float().mul_(info["input_scale"])
        return x.flatten(1) if model == "mlp" else x

    def targets(split: str) -> Tensor:
        return torch.from_numpy(np.load(Path(folder) / f"y_{split}.npy")).to(device)

    shape = tuple(info["input_shape"])
    return Data(inputs("train"), targets("train"), inputs("validation"), targets("validation"), shape, info["outputs"])


def network(model: str, values: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> nn.Sequential:
    """The network of a configuration: Glorot's uniform weights, biases of 0."""
    activation = _ACTIVATIONS[values.get("activation", "relu")]
    parts: list[nn.Module] = []
    if model == "mlp":
        features = int(np.prod(shape))
        for _ in range(values["layers"]):
            parts += [nn.Linear(features, values["units"]), activation(), nn.Dropout(values["dropout"])]
            features = values["units"]
    else:
        channels, height, width = shape
        for _ in range(values["conv_layers"]):
            parts += [nn.Conv2d(channels, values["channels"], values["kernel_size"], padding="same"), activation(), nn.MaxPool2d(2)]
            channels, height, width = values["channels"], height // 2, width // 2
        parts += [nn.Flatten(), nn.Linear(channels * height * width, values["dense_units"]), activation(), nn.Dropout(values["dropout"])]
        features = values["dense_units"]
    built = nn.Sequential(*parts, nn.Linear(features, outputs))
    for part in built:
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(part.weight)
            assert part.bias is not None
            nn.init.zeros_(part.bias)
    return built


def optimiser(values: Mapping[str, Any], module: nn.Module) -> torch.optim.Optimizer:
    """Fused where torch has it."""
    rate, decay, momentum = values["learning_rate"], values["l2"], values.get("momentum", 0.0)
    match values.get("optimizer", "adam"):
        case "sgd":
            return torch.optim.SGD(module.parameters(), rate, momentum=momentum, weight_decay=decay, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(module.parameters(), rate, momentum=momentum, weight_decay=decay)
        case _:
            return torch.optim.Adam(module.parameters(), rate, weight_decay=decay, fused=True)


def train(model: str, values: Mapping[str, Any], data: Data, epochs: int, *, use_loader: bool = False) -> Iterator[dict[str, float]]:
    """Train a configuration; after each epoch its training loss, validation loss and accuracy. Ends where the loss is no longer finite."""
    module = network(model, values, data.shape, data.outputs).to(data.inputs.device)
    stepper = optimiser(values, module)
    steps = epochs * -(-len(data.inputs) // values["batch_size"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(stepper, steps) if values.get("schedule") == "cosine" else None
    loader = DataLoader(TensorDataset(data.inputs, data.targets), values["batch_size"], shuffle=True) if use_loader else None
    for _ in range(epochs):
        module.train()
        total = torch.zeros((), device=data.inputs.device)
        for inputs, targets in loader or shuffled(data, values["batch_size"]):
            stepper.zero_grad()
            loss = F.cross_entropy(module(inputs), targets)
            loss.backward()
            stepper.step()
            if schedule:
                schedule.step()
            total += loss.detach() * len(targets)
        metrics = measured(module, data, total / len(data.targets))
        if not math.isfinite(metrics["train_loss"]):
            return
        yield metrics


def shuffled(data: Data, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """An epoch's batches: gathered once where the data are small, which is faster, else batch by batch."""
    order = torch.randperm(len(data.targets), device=data.targets.device)
    if data.inputs.numel() < 10**7:
        yield from zip(data.inputs[order].split(size), data.targets[order].split(size), strict=True)
        return
    for chosen in order.split(size):
        yield data.inputs[chosen], data.targets[chosen]


def measured(module: nn.Module, data: Data, train_loss: Tensor) -> dict[str, float]:
    """All numbers of an epoch, taken from the device at once."""
    module.eval()
    with torch.inference_mode():
        outputs = torch.cat([module(inputs) for inputs in data.validation_inputs.split(_ROWS_AT_ONCE)])
        loss = F.cross_entropy(outputs, data.validation_targets)
        # In float64 as automl has it: in float32 the same share of right answers would be another number.
        accuracy = (outputs.argmax(1) == data.validation_targets).double().mean()
        values = torch.stack([loss.double(), train_loss.double(), accuracy]).tolist()
    return dict(zip(("loss", "train_loss", "accuracy"), values, strict=True))
