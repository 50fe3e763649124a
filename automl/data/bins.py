"""Numbers spread over bins, so that a network sees where a number lies and can answer each part of its range in its own way.

Source: Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features in Tabular Deep Learning (arXiv 2203.05556), section 3.2:
with edges b_0 < ... < b_T at the quantiles of the training rows, a number x becomes e_1 ... e_T with
e_t = (x - b_(t-1)) / (b_t - b_(t-1)), here always within 0 and 1. The number itself stays beside them and says what lies beyond the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_BINS = 48
FEWEST_BINS = 4  # fewer say little
FEWEST_ROWS = 1000  # of training, for quantiles that are worth the further weights
ROWS_A_BIN = 50
MOST_FEATURES = 512  # that are added to a table: they make the first layer of every network wider
MOST_CELLS = 2**27  # of four bytes each, that are added to the training rows

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spread:
    """The edges of the bins of one feature, ascending: at least three of them."""

    feature: int
    edges: tuple[float, ...]


def fit_bins(x: Features, bins: int | None) -> list[Spread]:
    """How the features of these prepared training rows are spread: those that have more than two values.

    ``bins`` is how many each gets at most, 0: none; None: as many as the rows and the width of the table bear, none below
    ``FEWEST_ROWS``. A feature of few values, or with one that is frequent, gets fewer: edges differ.
    """
    if bins == 0 or (bins is None and len(x) < FEWEST_ROWS):
        return []
    numbers = [feature for feature in range(x.shape[1]) if _has_several(x[:, feature])]
    count = _borne(len(x), len(numbers)) if bins is None else bins
    if not numbers or count < 2:
        return []
    shares = np.linspace(0, 1, count + 1)
    edges = {feature: np.unique(np.quantile(x[:, feature], shares, method="nearest")) for feature in numbers}
    return [Spread(feature, tuple(map(float, found))) for feature, found in edges.items() if len(found) > 2]


def spread(x: Features, spreads: Sequence[Spread]) -> Features:
    """The features, and after them those of the bins."""
    added = [x]
    for each in spreads:
        edges = np.array(each.edges)
        added.append(np.clip((x[:, each.feature, None] - edges[:-1]) / np.diff(edges), 0, 1).astype(np.float32))
    return np.concatenate(added, axis=1)


def bins_note(spreads: Sequence[Spread]) -> str:
    """What a person should know of it."""
    most = max(len(each.edges) - 1 for each in spreads)
    width = sum(len(each.edges) - 1 for each in spreads)
    return f"Numbers are spread over up to {most} bins each ({width} more features); data: {{bins: 0}} leaves that out."


def _has_several(values: Features) -> bool:
    """Whether there are more than two values. Most features of a table are zeros and ones, and that is seen without sorting."""
    first = values[0]
    others = values[values != first]
    return bool(len(others)) and bool((others != others[0]).any())


def _borne(rows: int, numbers: int) -> int:
    count = min(MOST_BINS, rows // ROWS_A_BIN, MOST_FEATURES // max(numbers, 1), MOST_CELLS // (rows * max(numbers, 1)))
    return count if count >= FEWEST_BINS else 0
