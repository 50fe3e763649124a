"""The samples of a study on the device that trains on them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from automl.data import DataInfo, load_parts, read_info
from automl.data.preparation import Part
from automl.training.streaming import Stream, room_of

_GATHERED_BYTES = 2**20  # so much is gathered at once: a small batch costs as much to gather as a few of them


@dataclass(frozen=True, slots=True)
class Split:
    """``inputs`` are ``[samples, ...]`` of float or, to be multiplied with ``scale``, of uint8; ``are_tokens``: they are whole numbers and
    stay so. ``targets`` are ``[samples]``: class numbers, or floats for binary and regression (of a forecast ``[samples, steps]``).

    Where folds share their inputs, ``rows`` are those that this split has of them, ``[samples]``; None: all, as they stand. With a
    ``stream`` the inputs are a file that the device does not hold: they and their ``rows`` are on the CPU, and batches are brought.
    """

    inputs: Tensor
    targets: Tensor
    scale: float
    dtype: torch.dtype
    rows: Tensor | None = None
    are_tokens: bool = False
    stream: Stream | None = None
    file: Path | None = None  # that the inputs lie in
    naive: float = math.nan  # of a forecast: the error of a naive one, as automl.training.metrics takes it

    def __len__(self) -> int:
        return len(self.targets)

    def prepared(self, inputs: Tensor) -> Tensor:
        """Some of the inputs as the model takes them."""
        if self.are_tokens:
            return inputs
        ready = inputs.to(self.dtype)
        return ready * self.scale if self.scale != 1.0 else ready

    def places(self, chosen: Tensor) -> Tensor:
        """Where these of its samples stand among ``inputs``."""
        return chosen if self.rows is None else self.rows[chosen]

    def apart(self) -> Split:
        """The same with ``inputs`` that are its own samples and nothing else, for code that knows of no ``rows``."""
        if self.rows is None:
            return self
        return replace(self, inputs=self.inputs.index_select(0, self.rows), rows=None)

    def batches(self, order: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets in this order, ``size`` at a time; the last batch has what is left."""
        for chosen, inputs in self.runs(order, size):
            yield from zip(torch.split(inputs, size), torch.split(self.targets.index_select(0, chosen), size), strict=True)

    def runs(self, order: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The same, several whole batches at once: which samples they are, and their inputs."""
        width = self.inputs[0].numel() * self.dtype.itemsize
        several = max(1, _GATHERED_BYTES // (size * width)) * size
        pieces = torch.split(order, several)
        for chosen, gathered in zip(pieces, self._gathered(pieces), strict=True):
            yield chosen, self.prepared(gathered)

    def _gathered(self, pieces: Sequence[Tensor]) -> Iterator[Tensor]:
        """The inputs of these samples, as they are stored, on the device."""
        if self.stream is None:
            return (self.inputs.index_select(0, self.places(chosen)) for chosen in pieces)
        return self.stream.gathered(self.inputs, [self.places(chosen.cpu()) for chosen in pieces])

    def in_order(self, size: int) -> Iterator[Tensor]:
        """Inputs from the first to the last, ``size`` at a time."""
        if self.stream is not None:
            every = torch.split(torch.arange(len(self)), size)
            yield from map(self.prepared, self._gathered(every))
        elif self.rows is None:
            yield from (self.prepared(inputs) for inputs in torch.split(self.inputs, size))
        else:
            yield from (self.prepared(self.inputs.index_select(0, rows)) for rows in torch.split(self.rows, size))


@dataclass(frozen=True, slots=True)
class Samples:
    """Prepared data on a device. On a CPU the tensors are the memory-mapped files, which all workers share."""

    info: DataInfo
    train: Split
    validation: Split
    test: Split


def apart(samples: Samples) -> Samples:
    """The same samples with splits that share nothing: nobody who takes ``train.inputs`` must get validation rows with them."""
    return Samples(samples.info, samples.train.apart(), samples.validation.apart(), samples.test.apart())


class StudySamples:
    """The samples of a study on a device, fold by fold; what folds share is there once."""

    def __init__(self, folder: str | Path, device: torch.device, dtype: torch.dtype = torch.float32, room: int | None = None) -> None:
        """``room``: so many bytes of inputs may lie on the device, by default what is said of it; more are streamed."""
        self._room = room_of(device) if room is None else room
        self._stream: Stream | None = None
        self._folder, self._device, self._dtype = Path(folder), device, dtype
        self._folds = read_info(self._folder).folds
        self._samples: dict[int, Samples] = {}
        self._inputs: dict[Path, Tensor] = {}  # by file

    def of(self, replicate: int) -> Samples:
        """What this replicate of a trial is trained and measured on: those of fold ``replicate`` modulo the number of folds."""
        fold = replicate % self._folds
        if fold not in self._samples:
            self._samples[fold] = self._read(fold)
        return self._samples[fold]

    def _read(self, fold: int) -> Samples:
        """Map the prepared data and, where the device has memory of its own, copy them there."""
        info, parts = load_parts(self._folder, fold)
        bytes_of = {part.file: (part.x if part.series is None else part.series).nbytes for part in parts.values()}
        if sum(bytes_of.values()) > self._room and self._stream is None and not self._inputs:
            self._stream = Stream(self._device, f"{info.name}, {sum(bytes_of.values()) / 2**30:.2f} GiB, do not fit in memory")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # and nobody writes
            train, validation, test = (self._split(info, parts[split], split) for split in ("train", "validation", "test"))
        return Samples(info, train, validation, test)

    def _split(self, info: DataInfo, part: Part, name: str) -> Split:
        if part.file not in self._inputs:
            self._inputs[part.file] = _inputs(part, torch.device("cpu") if self._stream else self._device)
        targets = torch.from_numpy(part.y)
        targets = targets.long() if info.task == "multiclass" else targets.to(self._dtype)
        rows = None if part.rows is None else torch.from_numpy(part.rows).to("cpu" if self._stream else self._device)
        is_text = info.kind == "tokens"
        inputs, naive = self._inputs[part.file], info.naive.get(name, math.nan)
        return Split(inputs, targets.to(self._device), info.input_scale, self._dtype, rows, is_text, self._stream, part.file, naive)


def _inputs(part: Part, device: torch.device) -> Tensor:
    """All samples that lie in the file of this part. Windows share their series on the device as well."""
    if part.series is None:
        return torch.from_numpy(part.x).to(device)
    return torch.from_numpy(part.series).to(device).unfold(1, part.x.shape[2], 1).transpose(0, 1)


def read_samples(folder: str | Path, device: torch.device, dtype: torch.dtype = torch.float32) -> Samples:
    """The samples of a study without folds, or those of the first one."""
    return StudySamples(folder, device, dtype).of(0)
