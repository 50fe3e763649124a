"""Reading data sets, splitting them and preparing them once per study, for workers that share them through memory-mapped files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, slots=True)
class DataInfo:
    """What is known of prepared data; ``info.json`` in their folder.

    Beside it lie ``x_<split>.npy`` and ``y_<split>.npy`` for the splits ``train``, ``validation`` and ``test``, first axis samples:
    x is ``float32``, or ``uint8`` to be multiplied with ``input_scale``; y is ``int64`` class numbers (0 and 1 for binary) or ``float32``
    standardised targets (``raw = y * target_scale + target_mean``). Tables also have ``preprocessing.skops``.
    """

    name: str
    task: Task
    input_shape: tuple[int, ...]  # (features,) or (channels, height, width)
    outputs: int  # 1 for binary and regression, else the number of classes
    classes: tuple[str, ...]  # their labels, in the order of the class numbers; empty for regression
    sizes: dict[str, int]  # samples of each split
    input_scale: float = 1.0
    target_mean: float = 0.0
    target_scale: float = 1.0
    shared_splits: bool = False  # the same samples are training, validation and test at once (xor)
    notes: tuple[str, ...] = ()  # what a person should know: dropped columns, filled values, ...
    fingerprint: str = ""  # sha256 of the source and of all that shaped the prepared data
