"""Sequences that lie in one array, with what says where each of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data.labels import flat
from automl.data.sequencedata import Floats, Sequences
from automl.errors import DataError

Array = NDArray[Any]


def sequences_in(where: str, name: str, x: Array, y: Array, lengths: Array | None, steps_first: bool | None = None) -> Sequences:
    """``x`` is ``[samples, steps]``, or has channels as well: of two axes the longer one is taken for the steps, and a note says so.

    ``lengths``: how many steps of each sample there are; what follows is padding. ``steps_first``: which axis training samples have first.
    """
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where}: samples must be numbers, but are of type {x.dtype}. Convert them.")
    notes: tuple[str, ...] = ()
    if x.ndim == 2:
        x = x[:, None]
    elif steps_first is None:
        steps_first = x.shape[1] >= x.shape[2]
        axes = "(samples, steps, channels)" if steps_first else "(samples, channels, steps)"
        notes = (f"An array of the shape {x.shape} is taken to be {axes}: there are mostly more steps than channels.",)
    if steps_first and x.ndim == 3:
        x = np.moveaxis(x, 2, 1)
    ends = _ends(where, x, lengths)
    samples: list[Floats] = [np.asarray(sample[:, :end], np.float64) for sample, end in zip(x, ends, strict=True)]
    channels = tuple(f"channel_{number}" for number in range(1, x.shape[1] + 1))
    return Sequences(name, where, samples, list(flat(where, y)), channels, target="y", notes=notes, plan={"steps_first": bool(steps_first)})


def _ends(where: str, x: Array, lengths: Array | None) -> Sequence[int]:
    if lengths is None:
        if not x.shape[1] or not x.shape[2]:
            raise DataError(f"{where}: sequences must have at least one step, but have none. Give others.")
        return [x.shape[2]] * len(x)
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "iu":
        raise DataError(f"{where}: lengths must be a whole number for each of {len(x)} sequences, but have the shape {lengths.shape}.")
    wrong = np.flatnonzero((lengths < 1) | (lengths > x.shape[2]))
    if len(wrong):
        raise DataError(
            f"{where}: each length must be from 1 to the {x.shape[2]} steps of the array, but that of sequence {wrong[0] + 1} is "
            f"{lengths[wrong[0]]}. Leave such sequences out."
        )
    return [int(length) for length in lengths]
