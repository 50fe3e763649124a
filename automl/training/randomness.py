"""Random draws on a device, by position.

Nobody keeps a random state: every number is a hash of a key (made of the trial's seed and a purpose, ``key_at``) and of where the
number is used (step, row, unit). So a draw does not depend on what was drawn before, on the device, on a trial's neighbours, or on
padding: a wider tensor has the same numbers at the same rows and units.

All arithmetic is on integers that wrap around, which every device does alike. Keys may be numbers or int64 tensors that
broadcast (one key a lane).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from automl.draws import Position, seed_at


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)
_COLUMNS = _signed(0xD1B54A32D192ED03)  # sets the keys of columns apart from those of rows
_ROWS_A_STEP = 2**32
_FEW = 2**16  # numbers to sort: from there on torch sorts by their digits


def key_at(*position: Position) -> int:
    """The key of all draws for one purpose of one trial, such as ``key_at(seed, "dropout", layer)``."""
    return seed_at(*position)


def hashed(counters: Tensor, key: int | Tensor) -> Tensor:
    """64 random bits, as int64, for each of the int64 ``counters``.

    Source: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators (OOPSLA 2014), the output function of SplitMix64:
    z = key + n * golden; z = (z ^ z >> 30) * a; z = (z ^ z >> 27) * b; z ^ z >> 31.
    """
    z = counters * _GOLDEN + key
    z ^= (z >> 30) & (2**34 - 1)  # the mask makes the shift a logical one
    z *= _FIRST
    z ^= (z >> 27) & (2**37 - 1)
    z *= _SECOND
    z ^= (z >> 31) & (2**33 - 1)
    return z


def uniform(key: int, rows: int, units: int, device: torch.device | str = "cpu") -> Tensor:
    """Uniform numbers in [0, 1) with 53 random bits, float64 ``[rows, units]``."""
    row = hashed(torch.arange(rows, device=device), key)[:, None]
    unit = hashed(torch.arange(units, device=device), _COLUMNS)[None, :]
    bits = hashed(row + unit, key)
    return ((bits >> 11) & (2**53 - 1)).to(torch.float64) * 2.0**-53


def shares(counters: Tensor, key: int) -> Tensor:
    """A uniform number in [0, 1) with 53 random bits, float64, for each of the int64 ``counters``."""
    return ((hashed(counters, key) >> 11) & (2**53 - 1)).to(torch.float64) * 2.0**-53


def gaussian(rows: Tensor, units: int, key: int, device: torch.device | str = "cpu") -> Tensor:
    """Numbers of the standard normal distribution, float64 ``[rows, units]``, for these int64 places of rows."""
    row = hashed(rows.to(device), key)[:, None]
    unit = hashed(torch.arange(units, device=device), key ^ _COLUMNS)[None, :]
    numbers: Tensor = torch.special.ndtri(shares(row + unit, key) + 2.0**-54)  # never 0 nor 1
    return numbers


def permutation(key: int | Tensor, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The numbers 0 to ``count - 1`` in a random order: sorted by their hashes, of which no two are the same."""
    hashes = hashed(torch.arange(count, device=device), key)
    if hashes.device.type == "cpu" and count < _FEW:
        return torch.from_numpy(np.argsort(hashes.numpy()))  # by AVX-512, where torch takes up to five times as long
    return torch.argsort(hashes)


def places(step: Tensor, rows: Tensor) -> Tensor:
    """Where a row of a step stands among all rows of the training: one int64 number for each pair that broadcasts."""
    return step * _ROWS_A_STEP + rows


def keep_masks(bits: Tensor, threshold: int | Tensor, scale: float | Tensor, like: Tensor) -> Tensor:
    """What dropout multiplies with: 0 with the probability that ``threshold`` stands for, else ``scale``.

    Two hashes are added and squared: (place of the row) + (unit), one even and one odd. An odd number squared modulo 2**32 has
    uniform upper bits, and the square undoes what the sum would leave in common between rows and units. Three passes over the
    mask, in 32 bits, instead of the twelve of a full hash in 64.

    Args:
        bits: ``row_bits`` plus ``unit_bits``, ``[..., rows, units]``; they are overwritten.
        threshold, scale: one for all, or tensors that broadcast with the bits; one of thresholds is of int32.
    """
    bits *= bits
    if bits.device.type != "cpu" or like.dtype != torch.float32 or not isinstance(scale, Tensor):
        masks = torch.empty(bits.shape, dtype=like.dtype, device=bits.device)
        torch.ge(bits, threshold, out=masks)
        return masks.mul_(scale)
    # The same numbers in two thirds of the time: 0 or 1, times the bits of the scale, all of it on whole numbers.
    return bits.ge_(threshold).mul_(scale.view(torch.int32)).view(torch.float32)


def row_bits(places: Tensor, key: int | Tensor) -> Tensor:
    """For ``keep_masks``: ``[..., rows, 1]``. Keys of many lanes are ``[lanes, 1, 1]`` where places are ``[..., lanes, rows]``."""
    return _upper_half(hashed(places[..., None], key)) & -2


def unit_bits(key: int | Tensor, units: int, device: torch.device | str = "cpu") -> Tensor:
    """For ``keep_masks``: ``[units]``; keys of many lanes ``[lanes, 1, 1]`` give ``[lanes, 1, units]``."""
    return _upper_half(hashed(torch.arange(units, device=device), key ^ _COLUMNS)) | 1


def _upper_half(bits: Tensor) -> Tensor:
    return (bits >> 32).to(torch.int32)


def threshold(share: float) -> int:
    """The int32 below which this share of all int32 lies."""
    return min(round(share * 2**32) - 2**31, 2**31 - 1)


class Dropout:
    """Dropout of one trial: call it with the hidden units and the number of their layer (the same share of a layer every time).

    Set ``step`` before every step, and ``first_row`` where only a part of the batch comes. Masks are drawn for several steps at once,
    since a small tensor costs as much as one a few times its size; that changes no number.
    """

    def __init__(self, seed: int, share: float, rows: int) -> None:
        self.step = self.first_row = 0
        self._seed, self._share, self._rows = seed, share, rows
        self._drawn: dict[int, tuple[int, Tensor]] = {}  # layer -> first step, masks of the steps from there

    def __call__(self, hidden: Tensor, layer: int, share: float | None = None) -> Tensor:
        """``hidden`` is ``[rows, units]``; of more axes, those after the first together are the units. ``share``: None for the trial's."""
        share = self._share if share is None else share
        if not share:
            return hidden
        if hidden.dim() > 2:
            return self(hidden.flatten(1), layer, share).view(hidden.shape)
        first, masks = self._drawn.get(layer, (0, None))
        if masks is None or not first <= self.step < first + len(masks):
            first, masks = self.step, self._draw(hidden, layer, share)
            self._drawn[layer] = first, masks
        mask = masks[self.step - first]
        return hidden * (mask if len(hidden) == self._rows else mask[self.first_row : self.first_row + len(hidden)])

    def _draw(self, hidden: Tensor, layer: int, share: float) -> Tensor:
        units, device = hidden.shape[1], hidden.device
        most = 2**16 if device.type == "cpu" else 2**22
        steps = torch.arange(self.step, self.step + max(1, min(256, most // (self._rows * units))), device=device)
        where = places(steps[:, None], torch.arange(self._rows, device=device))
        key = key_at(self._seed, "dropout", layer)
        rows, columns = row_bits(where, key), unit_bits(key, units, device)
        return keep_masks(rows + columns, threshold(share), 1 / (1 - share), hidden.detach())
