"""What a forecast has to beat: the last value again, or the last season again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from automl.data.sequencedata import Floats
from automl.data.windows import targets_of

_MOST = 400  # steps of a season that is looked for
_LEAST_CORRELATION = 0.3
_MOST_WINDOWS = 20_000  # so many say how large an error is


def season_of(train: Floats) -> int | None:
    """After how many steps the changes of the series ``[series, steps]`` repeat themselves; None where they do not."""
    changes = np.diff(train, axis=1)
    longest = min(_MOST, changes.shape[1] // 3)
    if longest < 3:
        return None
    changes = changes - changes.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(changes, 2 * changes.shape[1], axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, : longest + 1]
    correlation = (correlation / np.maximum(correlation[:, :1], 1e-12)).mean(axis=0)
    inner = correlation[2:-1]  # a season is a peak: next to a smooth series' own steps all are alike
    peaks = 2 + np.flatnonzero((inner > correlation[1:-2]) & (inner >= correlation[3:]))
    highest = correlation[peaks].max(initial=0)
    return None if highest < _LEAST_CORRELATION else int(peaks[correlation[peaks] >= 0.8 * highest][0])


@dataclass(frozen=True, slots=True)
class Naive:
    """Root mean squared errors, by part of the series: of the last value again and, where there is a ``season``, of the last one again."""

    season: int | None
    last: Mapping[str, float]
    seasonal: Mapping[str, float]

    @property
    def is_seasonal(self) -> bool:
        """Whether the season is the better one to repeat, by the validation part: that one is to be beaten."""
        return bool(self.seasonal) and self.seasonal["validation"] < self.last["validation"]

    def notes(self, scale: float) -> list[str]:
        """What a person should know of it, in units of ``scale``."""
        seasonal = {part: f", that of {self.season} steps before {error * scale:.4g}" for part, error in self.seasonal.items()}
        return [
            f"To be beaten on the {part} part: the last value again has an rmse of {error * scale:.4g}{seasonal.get(part, '')}."
            for part, error in self.last.items()
        ]


def naive_of(series: Floats, spans: Mapping[str, tuple[int, int]], horizon: int, season: int | None) -> Naive:
    """The errors of naive forecasts of the series ``[series, steps]`` in these parts, ``validation`` among them."""
    last = {part: _error(series, span, horizon, None) for part, span in spans.items()}
    seasonal = {} if season is None else {part: _error(series, span, horizon, season) for part, span in spans.items()}
    return Naive(season, last, seasonal)


def _error(series: Floats, span: tuple[int, int], horizon: int, season: int | None) -> float:
    """Root mean squared error over the steps in this span."""
    back = season or 1
    first = np.arange(max(span[0], back), span[1] - horizon + 1)
    if not len(first):
        return float("inf")
    first = first[:: -(-len(first) * len(series) * horizon // (_MOST_WINDOWS * 96))]
    repeated = np.arange(horizon) % back  # which step of the last season comes again
    errors = []
    for row in series:
        target = targets_of(row[None], first, 0, horizon).reshape(len(first), horizon)
        errors.append(((row[first[:, None] - back + repeated[None]] - target) ** 2).mean())
    return float(np.sqrt(np.mean(errors)))
