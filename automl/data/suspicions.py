"""What may be wrong with data of any kind: one class that is nearly all, and samples that are for training and for a test at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from automl.data.prepared import Array, Chosen

IMBALANCE = 0.9  # share of the largest class from which accuracy says little
TWINS = 0.02  # share of a split's samples that are training samples as well, from which its results are too good
FEWEST_TWINS = 3
_MOST_BYTES = 2**28  # that are looked at for twins
_MOST_SAMPLES = 200_000


def class_counts(y: NDArray[np.int64], classes: Sequence[str]) -> tuple[int, ...]:
    """Of the training samples, in the order of the classes; nothing for a regression."""
    return tuple(int(count) for count in np.bincount(y, minlength=len(classes))) if classes else ()


def imbalance(counts: Sequence[int], classes: Sequence[str]) -> Iterator[str]:
    """A warning where nearly all training samples are of one class."""
    total = sum(counts)
    if total and max(counts) >= IMBALANCE * total:
        most = int(np.argmax(counts))
        others = total - counts[most]
        yield (
            f"Imbalance: {counts[most] / total:.1%} of the training samples are of class {classes[most]!r}, so that always saying so "
            f"reaches that accuracy; the others have {others:,}. Search for another objective, such as {{maximize: balanced_accuracy}} or "
            "{maximize: roc_auc}, and let rare classes count for more: class_weights: balanced."
        )


def twins(arrays: Mapping[str, tuple[Array | Chosen, Array]], how: str = "in every number") -> Iterator[str]:
    """A warning for each split of which samples are training samples as well, to the last number. Not for tables, whose prepared rows
    are alike where the rows themselves need not be. ``how`` they are alike.
    """
    if "train" not in arrays:
        return
    known = _Samples(arrays["train"][0])
    for split in ("validation", "test"):
        if split in arrays and len(arrays[split][0]):
            share, count = known.share_of(arrays[split][0])
            if share >= TWINS and count >= FEWEST_TWINS:
                yield twins_text(share, split, "samples", how)


def twins_text(share: float, split: str, rows: str, how: str) -> str:
    """The warning of twins."""
    return (
        f"Duplicates: {share:.1%} of the {split} {rows} are training {rows} as well, alike {how}. What is measured on them says nothing of "
        f"new {rows}: remove the copies before the data are split."
    )


class _Samples:
    """Samples of training by their hashes, where they are few enough; what is found by its hash is compared number by number."""

    def __init__(self, x: Array | Chosen) -> None:
        self._x = x
        self._places: dict[int, int] = {}
        if len(x) <= _MOST_SAMPLES and len(x) * _sample(x, 0).nbytes <= _MOST_BYTES:
            self._places = {hash(_sample(x, place).tobytes()): place for place in range(len(x))}

    def share_of(self, x: Array | Chosen) -> tuple[float, int]:
        """Which share of these samples is among them, and how many."""
        if not self._places:
            return 0.0, 0
        found = 0
        for place in range(min(len(x), _MOST_SAMPLES)):
            sample = _sample(x, place)
            twin = self._places.get(hash(sample.tobytes()))
            found += twin is not None and np.array_equal(_sample(self._x, twin), sample)
        return found / min(len(x), _MOST_SAMPLES), found


def _sample(x: Array | Chosen, place: int) -> Array:
    return x.samples[x.rows[place]] if isinstance(x, Chosen) else x[place]  # type: ignore[no-any-return]
