"""A commented search-space file to start from, for a data set: what ``automl space new`` writes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict

from automl.data import DataInfo
from automl.dataoptions import DATA_OPTIONS
from automl.datareport import report_of
from automl.metrics import METRICS, default_objective
from automl.spec import DataSpec
from automl.yamlfile import written

_EPOCHS = 30
_MOST_STEPS = 256
_SEEN_SEQUENCES, _MOST_EPOCHS = 16_000, 300  # that a trial of few sequences sees, over its epochs; and how many epochs it takes at most
_FEW_WINDOWS = 1000  # of which training takes too few steps to arrive where a regression is solved
_SMALL_PICTURE = 16  # pixels a side, up to which two convolutions are enough and nothing is cut or turned


def starter(data: DataSpec, info: DataInfo, name: str) -> str:
    """The text of a search-space file for these data: the family is that of ``model_for``. ``automl space check`` passes it."""
    return "\n".join(_lines(data, info, name)) + "\n"


def model_for(info: DataInfo) -> str:
    """The family that a starter file names."""
    if info.kind == "sequences":
        return "mlp" if info.continues else "cnn1d"
    if info.kind == "tokens":
        return "cnn1d"
    return "cnn" if info.kind == "pictures" else "mlp"


def epochs_for(info: DataInfo, least: int) -> int:
    """How many epochs a trial takes at most: more than the least where there are few sequences, since they are few steps of training."""
    if info.kind != "sequences" or info.continues:
        return least
    return max(least, min(_MOST_EPOCHS, math.ceil(_SEEN_SEQUENCES / info.sizes["train"])))


def is_short(info: DataInfo) -> bool:
    """Whether these are forecasts of series so short that training begins best at a regression."""
    return info.continues and info.sizes["train"] < _FEW_WINDOWS


def _lines(data: DataSpec, info: DataInfo, name: str) -> Iterator[str]:
    metric = METRICS[default_objective(info.task)]
    sizes = ", ".join(f"{count} for {split}" for split, count in info.sizes.items())
    yield f"# {_what(info)}: {sizes}."
    report = report_of(asdict(info))
    for said in (*(f"Warning: {warning}" for warning in report.warnings), *report.facts[1:], *report.notes):
        yield from (f"# {line}" for line in said.splitlines())
    yield f"name: {written(name)}"
    yield from _data_lines(data)
    yield f"model: {model_for(info)}"
    yield f"objective: {{{'maximize' if metric.maximize else 'minimize'}: {metric.name}}}    # measured on the validation split"
    yield f"epochs: {epochs_for(info, _EPOCHS):<29}# the most that a trial trains"
    yield ""
    yield "space:"
    yield from _architecture(info)
    yield "  # optimisation"
    yield "  optimizer: {type: categorical, choices: [adam, adamw, sgd]}"
    yield "  learning_rate: {type: float, low: 1e-4, high: 1e-1, log: true, grid: 4}    # grid: how many points a grid visits"
    yield "  momentum: {type: float, low: 0.0, high: 0.99, grid: [0.0, 0.9], when: {optimizer: sgd}}"
    yield f"  batch_size: {{type: categorical, choices: [{', '.join(map(str, _batch_sizes(info)))}]}}"
    yield "  # regularisation"
    yield "  dropout: {type: float, low: 0.0, high: 0.5, grid: 3}"
    yield "  l2: {type: float, low: 1e-7, high: 1e-2, log: true, grid: 3}"
    if info.kind == "pictures" and max(info.input_shape[1:]) > _SMALL_PICTURE:
        yield "  # augmentation of the training pictures: take away what would change their class, as mirrors do to letters"
        yield "  crop: {type: int, low: 0, high: 4, grid: [0, 2]}"
        yield "  flip: {type: categorical, choices: [false, true]}"
        yield "  rotation: {type: float, low: 0.0, high: 15.0, grid: [0.0, 10.0]}"
    yield ""
    yield "# Combinations that are not to be tried, and what must hold:"
    yield "# forbid:"
    yield "#   - batch_size == 32 and learning_rate > 0.05"
    yield "# require:"
    yield "#   - parameters <= 1e6"
    yield ""
    yield "baseline:                            # always trial 0: every gain is measured against it"
    yield f"  {{{_baseline(info)}, optimizer: adam, learning_rate: 0.001, batch_size: {_batch_sizes(info)[0]}}}"
    yield ""
    yield "study: {strategy: bayesian, pruner: asha, trials: 50}    # defaults; every one has a flag"


def _what(info: DataInfo) -> str:
    outputs = {"binary": "two classes", "multiclass": f"{info.outputs} classes", "regression": "a number to predict"}[info.task]
    if info.kind == "pictures":
        channels, height, width = info.input_shape
        return f"Pictures of {height} x {width} pixels with {channels} channel{'s' * (channels > 1)}, {outputs}"
    if info.continues:
        return f"Windows of {info.input_shape[1]} steps, the next {info.outputs} to forecast"
    if info.kind == "sequences":
        return f"Sequences of {info.input_shape[1]} steps, {outputs}"
    if info.kind == "tokens":
        return f"Texts of up to {info.input_shape[-1]} words, {outputs}"
    features = info.input_shape[0]
    return f"A table of {features} feature{'s' * (features > 1)} (after preparation), {outputs}"


def _data_lines(data: DataSpec) -> Iterator[str]:
    reading = {name: value for name in DATA_OPTIONS if (value := getattr(data, name)) is not None}
    if data.target is None and not data.drop and not reading:
        yield f"data: {written(data.source)}"
        return
    yield "data:"
    yield f"  source: {written(data.source)}"
    if data.target is not None:
        yield f"  target: {written(data.target)}"
    if data.drop:
        yield f"  drop: [{', '.join(map(written, data.drop))}]"
    for name, value in reading.items():
        yield f"  {name}: {written(value)}"


def _architecture(info: DataInfo) -> Iterator[str]:
    yield "  # architecture"
    if info.kind == "tokens":
        yield "  embedding: {type: int, low: 8, high: 128, log: true, grid: [16, 64]}"
        yield "  word_dropout: {type: float, low: 0.0, high: 0.6, grid: [0.0, 0.3]}"
        yield "  conv_layers: {type: int, low: 0, high: 1}"
        yield "  kernels: {type: int, low: 1, high: 3, when: {conv_layers: 1}}"
        yield "  pooling: {type: categorical, choices: [mean, max]}"
        return
    if model_for(info) == "cnn1d":
        yield "  conv_layers: {type: int, low: 2, high: 5}"
        yield "  channels: {type: int, low: 16, high: 64, log: true, grid: [32, 64]}"
        yield "  kernel_size: {type: categorical, choices: [5, 9, 15]}"
        yield "  residual: true"
        yield f"  most_steps: {_MOST_STEPS}    # longer sequences are read in strides"
        yield "  pooling: {type: categorical, choices: [mean, max]}"
        yield "  normalization: {type: categorical, choices: [none, batch]}"
        return
    if model_for(info) == "cnn":
        deepest = 2 if max(info.input_shape[1:]) <= _SMALL_PICTURE else 3
        yield f"  conv_layers: {{type: int, low: 1, high: {deepest}}}"
        yield "  channels: {type: int, low: 8, high: 64, log: true, grid: [16, 32, 64]}"
        yield "  dense_units: {type: categorical, choices: [64, 128]}"
    else:
        yield f"  layers: {{type: int, low: {0 if info.continues else 1}, high: 3}}"
        yield "  units: {type: int, low: 16, high: 256, log: true, grid: [32, 64, 128]}"
    yield "  activation: {type: categorical, choices: [relu, gelu, tanh]}"
    yield "  normalization: {type: categorical, choices: [none, batch]}"
    if info.continues:
        yield "  instance_norm: {type: categorical, choices: [none, last, mean, standard]}"
    if is_short(info):
        yield "  ridge: {type: categorical, choices: [0, 0.001, 0.01, 0.1, 1.0]}    # penalty of the regression at which training begins"


def _baseline(info: DataInfo) -> str:
    if info.continues:
        return "layers: 0, instance_norm: last" + ", ridge: 0.1" * is_short(info)
    if info.kind == "tokens":
        return "embedding: 64, word_dropout: 0.3, conv_layers: 0, pooling: mean"
    return {
        "cnn": "conv_layers: 2, channels: 32, dense_units: 128, activation: relu",
        "cnn1d": f"conv_layers: 4, channels: 32, kernel_size: 9, residual: true, most_steps: {_MOST_STEPS}, pooling: mean,\n"
        "   normalization: batch",
        "mlp": "layers: 1, units: 128, activation: relu",
    }[model_for(info)]


def _batch_sizes(info: DataInfo) -> list[int]:
    """Batch sizes that leave at least four steps an epoch, where the data are not too few for that."""
    most = info.sizes.get("train", 0) // 4
    return [size for size in (32, 64, 128, 256) if size <= most] or [8, 16]
