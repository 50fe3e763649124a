"""The steps of an epoch for a lane that takes its batches in pieces of equal size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """Which samples each piece of each batch has.

    A batch larger than a piece is taken in several, whose gradients are added up, before the optimiser steps; pieces that are not
    full are padded with samples that weigh nothing. Shapes are ``[pieces, rows]``.
    """

    order: Tensor  # places in the order of the epoch; 0 where a row pads
    is_sample: Tensor  # bool: False where a row pads
    weight: Tensor  # float64: 1 / samples of the batch, 0 where a row pads
    batch: Tensor  # [pieces, 1]: the number of the batch
    row: Tensor  # the place of each row in its batch
    rows: tuple[int, ...]  # how many rows of each piece are samples
    ends_batch: tuple[bool, ...]  # whether the optimiser steps after this piece


@lru_cache(maxsize=64)
def timetable(samples: int, batch_size: int, rows: int, device: torch.device) -> Timetable:
    """For an epoch of ``samples`` in batches of ``batch_size`` taken in pieces of ``rows``; the last batch has what is left."""
    batches = [(start, min(start + batch_size, samples)) for start in range(0, samples, batch_size)]
    pieces = [(b, begin, end, at) for b, (begin, end) in enumerate(batches) for at in range(begin, end, rows)]
    start = torch.tensor([at for _, _, _, at in pieces])[:, None]
    first = torch.tensor([begin for _, begin, _, _ in pieces])[:, None]
    end = torch.tensor([end for _, _, end, _ in pieces])[:, None]
    order = start + torch.arange(rows)
    is_sample = order < end
    weight = is_sample.double() / (end - first)
    return Timetable(
        order=torch.where(is_sample, order, 0).to(device),
        is_sample=is_sample.to(device),
        weight=weight.to(device),
        batch=torch.tensor([b for b, _, _, _ in pieces])[:, None].to(device),
        row=(order - first).to(device),
        rows=tuple(min(at + rows, end) - at for _, _, end, at in pieces),
        ends_batch=tuple(at + rows >= end for _, _, end, at in pieces),
    )
