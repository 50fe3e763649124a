"""Random draws on a device, by position.

Nobody keeps a random state: every number is a hash of a key (made of the trial's seed and a purpose, ``key_at``) and of where the
number is used (step, row, unit). So a draw does not depend on what was drawn before, on the device, on a trial's neighbours, or on
padding: a wider tensor has the same numbers at the same rows and units.

All arithmetic is on 64-bit integers that wrap around, which every device does alike. Keys may be numbers or int64 tensors that
broadcast (one key a lane).
"""

from __future__ import annotations

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


def permutation(key: int | Tensor, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The numbers 0 to ``count - 1`` in a random order: sorted by their hashes."""
    return torch.argsort(hashed(torch.arange(count, device=device), key), stable=True)


def keep_masks(key: int | Tensor, first_step: int | Tensor, steps: int, rows: int, units: int, share: float, like: Tensor) -> Tensor:
    """What dropout multiplies with: ``[steps, rows, units]`` of 0 with probability ``share``, else 1 / (1 - share).

    Two hashes are added and squared: (row, which includes the step) + (unit), one even and one odd. An odd number squared modulo 2**64 has
    uniform upper bits, and the square undoes what the sum would leave in common between rows and units. Three passes over the
    mask instead of the twelve of a full hash.

    Keys and first steps of many lanes, ``[lanes, 1, 1, 1]``, give ``[lanes, steps, rows, units]``.
    """
    device = like.device
    step = (torch.arange(steps, device=device)[:, None, None] + first_step) * _ROWS_A_STEP
    row = hashed(step + torch.arange(rows, device=device)[:, None], key) & -2
    unit = hashed(torch.arange(units, device=device), key ^ _COLUMNS) | 1
    bits = row + unit
    bits *= bits
    masks = torch.empty(bits.shape, dtype=like.dtype, device=device)
    torch.ge(bits, _threshold(share), out=masks)
    return masks.mul_(1 / (1 - share))


def _threshold(share: float) -> int:
    """The int64 below which this share of all int64 lies."""
    return min(round(share * 2**64) - 2**63, 2**63 - 1)


class Dropout:
    """Dropout of one trial: call it with the hidden units and the number of their layer.

    Set ``step`` before every step. Masks are drawn for several steps at once, since a small tensor costs as much as one a
    few times its size; that changes no number.
    """

    def __init__(self, seed: int, share: float, rows: int) -> None:
        self.step = 0
        self._seed, self._share, self._rows = seed, share, rows
        self._drawn: dict[int, tuple[int, Tensor]] = {}  # layer -> first step, masks of the steps from there

    def __call__(self, hidden: Tensor, layer: int) -> Tensor:
        """``hidden`` is ``[rows, units]``."""
        first, masks = self._drawn.get(layer, (0, None))
        if masks is None or not first <= self.step < first + len(masks):
            first, masks = self.step, self._draw(hidden, layer)
            self._drawn[layer] = first, masks
        mask = masks[self.step - first]
        return hidden * (mask if len(hidden) == self._rows else mask[: len(hidden)])

    def _draw(self, hidden: Tensor, layer: int) -> Tensor:
        units = hidden.shape[1]
        most = 2**16 if hidden.device.type == "cpu" else 2**22
        steps = max(1, min(256, most // (self._rows * units)))
        return keep_masks(key_at(self._seed, "dropout", layer), self.step, steps, self._rows, units, self._share, hidden.detach())
