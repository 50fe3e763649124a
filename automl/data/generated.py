"""Built-in sequences and series that are drawn, not measured: each follows a law that is written here, from a seed of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from automl.data.sequencedata import Sequences

if TYPE_CHECKING:
    import pandas as pd

SHAPES = ("sine", "square", "triangle", "sawtooth")


def waves() -> Sequences:
    """600 sequences of 20 to 40 steps: a wave of one of four shapes, with a period of 8 to 16 steps, an amplitude of 0.5 to 2, any phase,
    and normal noise of 0.3. The class is the shape."""
    random = np.random.default_rng(20240501)
    samples, targets = [], []
    for number in range(600):
        shape = SHAPES[number % len(SHAPES)]
        steps = np.arange(random.integers(20, 41))
        turns = steps / random.uniform(8, 16) + random.uniform()
        wave = {
            "sine": np.sin(2 * np.pi * turns),
            "square": np.sign(np.sin(2 * np.pi * turns)),
            "triangle": 4 * np.abs(turns % 1 - 0.5) - 1,
            "sawtooth": 2 * (turns % 1) - 1,
        }[shape]
        samples.append((random.uniform(0.5, 2) * wave + random.normal(0, 0.3, len(steps)))[None])
        targets.append(shape)
    return Sequences("waves", "waves", samples, targets, ("value",), "classes", "shape")


def seasons() -> pd.DataFrame:
    """600 months: 100 + 0.3 a month + 20 sin + 8 cos of the year's (and half a year's) turn, and noise e(t) = 0.7 e(t-1) + normal of 3."""
    import pandas as pd

    random = np.random.default_rng(20240502)
    months = np.arange(600)
    noise = np.zeros(len(months))
    for month, shock in enumerate(random.normal(0, 3, len(months))):
        noise[month] = shock + (0.7 * noise[month - 1] if month else 0)
    values = 100 + 0.3 * months + 20 * np.sin(2 * np.pi * months / 12) + 8 * np.cos(2 * np.pi * months / 6) + noise
    return pd.DataFrame({"month": pd.date_range("1970-01-01", periods=len(months), freq="MS"), "value": values.round(2)})
