"""Windows over a series: the samples of a forecast, without a copy of the series for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SERIES = "series.npy"  # [1, steps]: all series, one behind the other
STARTS = "starts_{}.npy"  # of each window of a split its first step in there

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Windows:
    """``series`` ``[1, steps]``, and for each split where its windows begin."""

    series: NDArray[np.float32]
    starts: dict[str, NDArray[np.int64]]


def inputs_of(series: Array, window: int) -> Array:
    """Every window of the series, ``[windows, 1, window]``, as a view."""
    return np.lib.stride_tricks.sliding_window_view(series, window, axis=1).transpose(1, 0, 2)


def targets_of(series: Array, starts: Array, window: int, horizon: int) -> Array:
    """The steps that follow these windows, ``[windows, horizon]``; of one step ``[windows]``."""
    targets: Array = np.lib.stride_tricks.sliding_window_view(series[0], horizon)[starts + window]
    return targets[:, 0] if horizon == 1 else targets
