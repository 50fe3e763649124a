"""The samples of a study on the device that trains on them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from automl.data import DataInfo, load

_GATHERED_BYTES = 2**20  # so much is gathered at once: a small batch costs as much to gather as a few of them


@dataclass(frozen=True, slots=True)
class Split:
    """``inputs`` are ``[samples, ...]`` of float or, to be multiplied with ``scale``, of uint8; ``targets`` are ``[samples]``:
    class numbers, or floats for binary and regression."""

    inputs: Tensor
    targets: Tensor
    scale: float
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(self.targets)

    def prepared(self, inputs: Tensor) -> Tensor:
        """Some of the inputs as the model takes them."""
        ready = inputs.to(self.dtype)
        return ready * self.scale if self.scale != 1.0 else ready

    def batches(self, order: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets in this order, ``size`` at a time; the last batch has what is left."""
        width = self.inputs[0].numel() * self.dtype.itemsize
        several = max(1, _GATHERED_BYTES // (size * width)) * size
        for chosen in torch.split(order, several):
            inputs = self.prepared(self.inputs.index_select(0, chosen))
            targets = self.targets.index_select(0, chosen)
            yield from zip(torch.split(inputs, size), torch.split(targets, size), strict=True)

    def in_order(self, size: int) -> Iterator[Tensor]:
        """Inputs from the first to the last, ``size`` at a time."""
        for inputs in torch.split(self.inputs, size):
            yield self.prepared(inputs)


@dataclass(frozen=True, slots=True)
class Samples:
    """Prepared data on a device. On a CPU the tensors are the memory-mapped files, which all workers share."""

    info: DataInfo
    train: Split
    validation: Split
    test: Split


def read_samples(folder: str | Path, device: torch.device, dtype: torch.dtype = torch.float32) -> Samples:
    """Map the prepared data of a folder and, where the device has memory of its own, copy them there."""
    info, arrays = load(Path(folder))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # and nobody writes
        train, validation, test = (_to_split(info, *arrays[split], device, dtype) for split in ("train", "validation", "test"))
    return Samples(info, train, validation, test)


def _to_split(info: DataInfo, x: NDArray[Any], y: NDArray[Any], device: torch.device, dtype: torch.dtype) -> Split:
    targets = torch.from_numpy(y)
    targets = targets.long() if info.task == "multiclass" else targets.to(dtype)
    return Split(torch.from_numpy(x).to(device), targets.to(device), info.input_scale, dtype)
