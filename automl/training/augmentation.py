"""Augmentation of training batches: other pictures at every step, drawn by position (seed, step, row) like everything else.

A draw does not depend on the device, nor on the pieces in which a batch goes through the network. No picture outside the training split is
ever changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.draws import seed_at
from automl.events import Value
from automl.training.randomness import gaussian, key_at, permutation, places, shares

_SMALLEST, _LARGEST = 0.02, 0.4  # of a picture that is erased
_FLATTEST = 0.3  # height divided by width of what is erased; the tallest is its inverse


@dataclass(frozen=True, slots=True)
class Mixture:
    """A batch of which each sample is ``share`` its own and the rest another of the batch, whose ``targets`` these are."""

    targets: Tensor
    share: float


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to the training batches of one trial (``automl.families.training`` says what the numbers mean)."""

    seed: int
    flip: bool = False
    crop: int = 0
    rotation: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    noise: float = 0.0

    @classmethod
    def of(cls, seed: int, settings: Mapping[str, Value]) -> Augmentation | None:
        """From a completed configuration; None where nothing is done."""
        number = {name: float(settings[name] or 0) for name in ("rotation", "erase", "mixup", "noise")}
        found = cls(seed, bool(settings["flip"]), int(settings["crop"] or 0), **number)
        return found if found.changes_pictures or found.mixup or found.noise else None

    @property
    def changes_pictures(self) -> bool:
        """Whether anything is done to single pictures."""
        return bool(self.flip or self.crop or self.rotation or self.erase)

    def __call__(self, inputs: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Mixture | None]:
        """The batch of this step, ``[samples, ...]``, as it is trained on; what is given stays as it is."""
        if self.flip or self.crop:
            inputs = self._moved(inputs, step)
        if self.rotation:
            inputs = self._turned(inputs, step)
        if self.erase:
            inputs = self._erased(inputs, step)
        if self.noise:
            inputs = self._noisy(inputs, step)
        return self._mixed(inputs, targets, step) if self.mixup else (inputs, None)

    def _draws(self, what: str, inputs: Tensor, step: int) -> Tensor:
        """A number in [0, 1) for every sample."""
        rows = torch.arange(len(inputs), device=inputs.device)
        return shares(places(torch.tensor(step, device=inputs.device), rows), key_at(self.seed, "augmentation", what))

    def _moved(self, inputs: Tensor, step: int) -> Tensor:
        """Mirrored or not, and shifted by whole pixels; what comes in at a border is the border's last pixel."""
        height, width = inputs.shape[2:]
        down, right = (self._shift(what, inputs, step)[:, None] for what in ("down", "right"))
        y = (torch.arange(height, device=inputs.device) - down).clamp_(0, height - 1)
        x = (torch.arange(width, device=inputs.device) - right).clamp_(0, width - 1)
        if self.flip:
            x = torch.where(self._draws("flip", inputs, step)[:, None] < 0.5, width - 1 - x, x)
        where = (y[:, :, None] * width + x[:, None, :]).flatten(1)
        return inputs.flatten(2).gather(2, where[:, None].expand(-1, inputs.shape[1], -1)).view(inputs.shape)

    def _shift(self, what: str, inputs: Tensor, step: int) -> Tensor:
        """Whole numbers from -crop to crop, each as likely."""
        return (self._draws(what, inputs, step) * (2 * self.crop + 1)).long() - self.crop

    def _turned(self, inputs: Tensor, step: int) -> Tensor:
        """Turned around the middle by up to ``rotation`` degrees, between pixels by what is around; borders as in ``_moved``."""
        height, width = inputs.shape[2:]
        angle = (2 * self._draws("rotation", inputs, step) - 1) * math.radians(self.rotation)
        cosine, sine, nothing = angle.cos(), angle.sin(), torch.zeros_like(angle)
        rows = (
            torch.stack([cosine, -sine * height / width, nothing], dim=1),
            torch.stack([sine * width / height, cosine, nothing], dim=1),
        )
        grid = F.affine_grid(torch.stack(rows, dim=1).to(inputs.dtype), list(inputs.shape), align_corners=False)
        return F.grid_sample(inputs, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _erased(self, inputs: Tensor, step: int) -> Tensor:
        """A share of ``erase`` of the pictures loses a rectangle, which becomes one random grey of each channel.

        Source: Zhong et al., Random Erasing Data Augmentation (arXiv 1708.04896), algorithm 1 with its bounds of area and aspect. A
        rectangle that does not fit is cut to the picture's sides where the paper draws again; tall ones are as likely as flat ones; and it
        has one value where the paper's has one a pixel.
        """
        _, channels, height, width = inputs.shape
        area = (_SMALLEST + (_LARGEST - _SMALLEST) * self._draws("area", inputs, step)) * height * width
        aspect = _FLATTEST ** (1 - 2 * self._draws("aspect", inputs, step))
        tall = (area * aspect).sqrt().round().clamp(1, height)
        wide = (area / aspect).sqrt().round().clamp(1, width)
        top = (self._draws("top", inputs, step) * (height - tall + 1)).floor()
        left = (self._draws("left", inputs, step) * (width - wide + 1)).floor()
        is_erased = self._draws("erase", inputs, step) < self.erase
        y = _within(top, tall, height)
        x = _within(left, wide, width)
        inside = (y[:, :, None] & x[:, None, :] & is_erased[:, None, None])[:, None]
        greys = torch.stack([self._draws(f"grey {channel}", inputs, step) for channel in range(channels)], dim=1)
        return torch.where(inside, greys.to(inputs.dtype)[:, :, None, None], inputs)

    def _noisy(self, inputs: Tensor, step: int) -> Tensor:
        """With Gaussian noise on every number."""
        where = places(torch.tensor(step), torch.arange(len(inputs)))
        noise = gaussian(where, inputs[0].numel(), key_at(self.seed, "augmentation", "noise"), inputs.device)
        return inputs + noise.mul_(self.noise).to(inputs.dtype).view(inputs.shape)

    def _mixed(self, inputs: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Mixture]:
        """Every sample with another of the batch, all by the same share, which a beta distribution of (alpha, alpha) gives.

        Source: Zhang et al., mixup (arXiv 1710.09412), figure 1: x = share x_i + (1 - share) x_j. The loss is linear in the targets, so
        that of the mixed target is the same mixture of two losses.
        """
        share = float(np.random.default_rng(seed_at(self.seed, "augmentation", "share", step)).beta(self.mixup, self.mixup))
        others = permutation(key_at(self.seed, "augmentation", "others", step), len(inputs), inputs.device)
        return inputs * share + inputs[others] * (1 - share), Mixture(targets[others], share)


def _within(first: Tensor, count: Tensor, size: int) -> Tensor:
    """Which of ``size`` places lie among the ``count`` ones from ``first`` on, ``[samples, size]``."""
    every = torch.arange(size, device=first.device)
    return (every >= first[:, None]) & (every < (first + count)[:, None])
