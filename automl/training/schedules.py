"""How the learning rate moves over a training: pure functions of the step, which say with what the learning rate is multiplied."""

from __future__ import annotations

import math
from collections.abc import Callable

_RISE = 0.3  # one_cycle: the share of the training in which the learning rate rises
_START = 1 / 25  # one_cycle: what it rises from
_END = 1e-4 / 25  # one_cycle: what it falls to


def constant(progress: float) -> float:
    """1 all along."""
    return 1.0


def step(progress: float) -> float:
    """1, then 0.1 after a third of the training, then 0.01 after two thirds."""
    return 0.1 ** int(3 * progress + 1e-9)


def cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine. Source: Loshchilov and Hutter, SGDR (arXiv 1608.03983), equation 5 without restarts."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def one_cycle(progress: float) -> float:
    """From 1/25 up to 1 over the first 30 %, then down to 1/250,000, both along half a cosine.

    Source: Smith and Topin, Super-Convergence (arXiv 1708.07120), with the annealing and the constants of torch's OneCycleLR.
    Momentum does not move.
    """
    if progress < _RISE:
        return 1 + (_START - 1) * cosine(progress / _RISE)
    return _END + (1 - _END) * cosine((progress - _RISE) / (1 - _RISE))


SHAPES: dict[str, Callable[[float], float]] = {"constant": constant, "step": step, "cosine": cosine, "one_cycle": one_cycle}


def factor(schedule: str, number: int, steps_per_epoch: int, epochs: int, warmup_epochs: float = 0.0) -> float:
    """With what the learning rate is multiplied in step ``number`` (from 0) of ``steps_per_epoch * epochs``.

    Warm-up multiplies any schedule with a line that rises from 0 and reaches 1 after ``warmup_epochs``, which need not be whole.
    """
    warm = min(1.0, (number + 1) / (warmup_epochs * steps_per_epoch)) if warmup_epochs > 0 else 1.0
    return warm * SHAPES[schedule](number / (steps_per_epoch * epochs))
