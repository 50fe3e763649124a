"""Sequences with a target each, as they were read: not yet split, filled or padded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TargetKind = Literal["auto", "classes", "numbers"]


@dataclass(frozen=True, slots=True)
class Sequences:
    """``samples`` are ``[channels, steps]`` each, NaN where a value is missing; ``targets`` one for each, as the file has them.

    ``kind``: whether the targets are classes or numbers, where the file says so. ``test``: an official test part. ``plan`` and ``used`` are
    those of ``automl.data.arrays.Arrays``.
    """

    name: str
    where: str
    samples: Sequence[Floats]
    targets: Sequence[Any]
    channels: tuple[str, ...]
    kind: TargetKind = "auto"
    target: str = "class"
    test: Sequences | None = None
    notes: tuple[str, ...] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    used: tuple[str, ...] = ()

    def digest(self) -> str:
        """sha256 of all values and targets."""
        digest = hashlib.sha256(repr((self.channels, self.kind, list(self.targets))).encode())
        for sample in self.samples:
            digest.update(f"{sample.shape}".encode())
            digest.update(np.ascontiguousarray(sample).data)
        return f"{digest.hexdigest()} {self.test.digest()}" if self.test else digest.hexdigest()
