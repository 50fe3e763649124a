"""Reading data sets, splitting them and preparing them once per study, for workers that share them through memory-mapped files."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from automl.inputs import Inputs, SampleKind

if TYPE_CHECKING:
    from automl.data.builtin import is_built_in
    from automl.data.prediction import decode, encode
    from automl.data.preparation import fingerprint, inspect, load, load_parts, prepare, prepare_apart, read_info

__all__ = [
    "DataInfo",
    "Task",
    "decode",
    "encode",
    "fingerprint",
    "inspect",
    "is_built_in",
    "load",
    "load_parts",
    "prepare",
    "prepare_apart",
    "read_info",
]

Task = Literal["binary", "multiclass", "regression", "none"]  # none: training code that has its own data

_LATER = {
    "decode": "automl.data.prediction",
    "encode": "automl.data.prediction",
    "fingerprint": "automl.data.preparation",
    "inspect": "automl.data.preparation",
    "is_built_in": "automl.data.builtin",
    "load": "automl.data.preparation",
    "load_parts": "automl.data.preparation",
    "prepare": "automl.data.preparation",
    "prepare_apart": "automl.data.preparation",
    "read_info": "automl.data.preparation",
}


@dataclass(frozen=True, slots=True)
class DataInfo:
    """What is known of prepared data; ``info.json`` in their folder.

    Beside it lie ``x_<split>.npy`` and ``y_<split>.npy`` for the splits ``train``, ``validation`` and ``test``, first axis samples:
    x is ``float32``, or ``uint8`` to be multiplied with ``input_scale``, or for tokens ``int32``; y is ``int64`` class numbers (0 and 1 for
    binary) or ``float32`` standardised targets (``raw = y * target_scale + target_mean``), for forecasts ``[samples, steps]``. Tables also
    have ``preprocessing.skops``. What folds there are lies as ``automl.data.folding`` says.
    """

    name: str
    task: Task
    input_shape: tuple[int, ...]  # of one sample, by its kind: see automl.inputs
    outputs: int  # 1 for binary and regression (a forecast: its steps), else the number of classes
    classes: tuple[str, ...]  # their labels, in the order of the class numbers; empty for regression
    sizes: dict[str, int]  # samples of each split
    input_scale: float = 1.0
    target_mean: float = 0.0
    target_scale: float = 1.0
    shared_splits: bool = False  # the same samples are training, validation and test at once (xor)
    notes: tuple[str, ...] = ()  # what a person should know: dropped columns, filled values, ...
    warnings: tuple[str, ...] = ()  # what may be wrong with the data, each with what to do
    class_counts: tuple[int, ...] = ()  # training samples of each class
    column_kinds: dict[str, int] = field(default_factory=dict)  # of a table: how many of each kind there are
    folds: int = 1  # parts of the data that are the validation split in turn; sizes are those of one fold
    fingerprint: str = ""  # sha256 of the source and of all that shaped the prepared data
    kind: SampleKind = "features"
    vocabulary: int = 0  # of tokens
    has_mask: bool = False  # of sequences: the last channel says where they end
    continues: bool = False  # of forecasts: the targets are the next steps of the first channel
    naive: dict[str, float] = field(default_factory=dict)  # of forecasts: by split the standardised rmse of the naive one to be beaten
    season: int = 0  # steps after which that one repeats the past; 0: it is the last value again

    @property
    def inputs(self) -> Inputs:
        """What a network for these samples is given."""
        return Inputs(self.kind, self.input_shape, self.vocabulary, self.has_mask, self.continues)


def __getattr__(name: str) -> Any:
    """The functions come from their modules when first asked for, so that importing this package costs nothing."""
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
