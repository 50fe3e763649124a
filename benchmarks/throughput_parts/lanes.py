"""The trainer of lanes by itself, in one process: what mixed networks cost beside equal ones, and whether freed lanes pay."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from automl.data import DataInfo
from automl.events import Configuration, Job, Reported, TrialKey, TrialSpec
from automl.space import SearchSpace
from throughput_parts.floor import multiplications

LANES = 24
LEAST_MIXED = 0.6
LEAST_FREED = 0.8
STOP_AFTER = 5  # epochs
WARM_EPOCHS = 2
FREED_UNITS = (32, 128)


def specs(configurations: Sequence[Configuration], data: Path, folder: Path, epochs: int) -> list[TrialSpec]:
    """Trials whose weights are never saved."""
    job = Job("lanes", "mlp", str(data), str(folder), "accuracy", True, ("loss", "train_loss", "accuracy"))
    return [TrialSpec(TrialKey("lanes", n), job, values, n, epochs, save_if_beats=2.0) for n, values in enumerate(configurations)]


def trainer(device: str, lanes: int = LANES) -> Any:
    """One as a worker has it."""
    import torch

    from automl.training.lanes.trainer import LaneTrainer

    if device == "cpu":
        torch.set_num_threads(1)
    return LaneTrainer(device, "benchmark", lanes)


def epochs_per_second(trials: Sequence[TrialSpec], device: str) -> float:
    """Trial-epochs a second of all trials side by side, from the start to the end of the last."""
    side_by_side, epochs = trainer(device), 0
    for trial in trials:
        side_by_side.start(trial)
    began = time.perf_counter()
    while events := side_by_side.advance():
        epochs += sum(isinstance(event, Reported) for event in events)
    return epochs / (time.perf_counter() - began)


def mixed_configurations(space: SearchSpace) -> list[Configuration]:
    """As a study of this space has them."""
    return [space.sample("mixed", number) for number in range(LANES)]


def equal_configurations(mixed: Sequence[Configuration], info: DataInfo) -> list[Configuration]:
    """Networks of two layers and batches of 64 with, together, as many multiplications a sample as the mixed ones."""
    inputs, outputs = math.prod(info.input_shape), info.outputs
    mean = statistics.mean(sum(multiplications("mlp", values, info.input_shape, outputs)) for values in mixed)
    both = inputs + outputs
    units = round((math.sqrt(both**2 + 4 * mean) - both) / 2)  # units**2 + (inputs + outputs) * units = mean
    return [{**values, "layers": 2, "units": units, "batch_size": 64} for values in mixed]


def mixed(space: SearchSpace, info: DataInfo, data: Path, folder: Path, device: str, epochs: int, pairs: int) -> dict[str, Any]:
    """Trial-epochs a second of mixed and of equal networks, by turns."""
    mixtures = mixed_configurations(space)
    sides = {"mixed": mixtures, "equal": equal_configurations(mixtures, info)}
    trials = {name: specs(configurations, data, folder, epochs) for name, configurations in sides.items()}
    for name in sides:
        epochs_per_second(specs(sides[name], data, folder, 1), device)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(pairs):
        for name in sides:
            rates[name].append(epochs_per_second(trials[name], device))
    shares = [a / b for a, b in zip(rates["mixed"], rates["equal"], strict=True)]
    return {
        "trials": LANES,
        "epochs": epochs,
        "equal_units": sides["equal"][0]["units"],
        "mixed_per_second": statistics.median(rates["mixed"]),
        "equal_per_second": statistics.median(rates["equal"]),
        "share": statistics.median(shares),
        "share_low": min(shares),
        "share_high": max(shares),
        "pairs": pairs,
        "target": LEAST_MIXED,
    }


def freed(units: int, data: Path, folder: Path, device: str, pairs: int) -> dict[str, Any]:
    """Seconds of an epoch of all trials before two thirds of them are stopped, and of the third that is left."""
    found = [_freed_once(units, data, folder, device) for _ in range(pairs + 1)][1:]
    before, after = (statistics.median(side) for side in zip(*found, strict=True))
    used = [(1 - late / early) * 3 / 2 for early, late in found]
    return {
        "trials": LANES,
        "left": LANES // 3,
        "units": units,
        "epoch_seconds_before": before,
        "epoch_seconds_after": after,
        "used": statistics.median(used),
        "used_low": min(used),
        "used_high": max(used),
        "pairs": pairs,
        "target": LEAST_FREED,
    }


def _freed_once(units: int, data: Path, folder: Path, device: str) -> tuple[float, float]:
    """Every third trial stays, so that no group of lanes empties by itself."""
    last = 3 * STOP_AFTER
    values: Configuration = {"layers": 2, "units": units, "batch_size": 32, "learning_rate": 0.001, "dropout": 0.2}
    trials = specs([values] * LANES, data, folder, last + 1)
    side_by_side = trainer(device)
    for trial in trials:
        side_by_side.start(trial)
    done = {trial.key: 0 for trial in trials}
    _until(side_by_side, done, WARM_EPOCHS)
    began = time.perf_counter()
    _until(side_by_side, done, STOP_AFTER)
    before = (time.perf_counter() - began) / (STOP_AFTER - WARM_EPOCHS)
    for trial in trials:
        if trial.key.trial % 3:
            side_by_side.stop(trial.key)
            del done[trial.key]
    began = time.perf_counter()
    _until(side_by_side, done, last)
    return before, (time.perf_counter() - began) / (last - STOP_AFTER)


def _until(side_by_side: Any, done: dict[TrialKey, int], epoch: int) -> None:
    """Train until every trial has reported this epoch. A group trains an epoch at a time, in turn, so none is far ahead."""
    while min(done.values()) < epoch:
        for event in side_by_side.advance():
            if isinstance(event, Reported):
                done[event.key] = event.epoch
