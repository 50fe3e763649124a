"""Makes the checkpoint that search_spaces/finetune_image.yaml begins from: a small residual network that tells strokes apart.

    python benchmarks/strokes.py FOLDER

writes ``strokes.npz``, 16 kinds of drawings of 16 x 16 pixels, and a space with one configuration; the command that it prints trains
it, and ``best/`` of that study, without what a study's record adds, is ``search_spaces/checkpoints/strokes``.

The law of the drawings: a kind is a line through four random points. A drawing of it turns, stretches and shifts the points at random,
draws the line softly, and adds noise. Nothing of it is anybody's data.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KINDS, EACH, SIDE, POINTS = 16, 300, 16, 4
SPACE = """\
name: strokes
data: strokes.npz
model: resnet
epochs: 20
space: {learning_rate: {type: float, low: 1.0e-3, high: 1.0e-2, log: true}, channels: 12, batch_size: 64, schedule: cosine}
"""
CONFIG = "{learning_rate: 0.005, channels: 12, batch_size: 64, schedule: cosine}\n"


def drawing(kind: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.uint8]:
    """One drawing of a kind, given as points in [-1, 1]."""
    angle, stretch = random.normal(0, 0.2), random.uniform(0.7, 1.1, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (kind * stretch) @ turn.T + random.uniform(-0.15, 0.15, 2) + random.normal(0, 0.05, kind.shape)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    pixels = np.stack([x, y], axis=-1)[:, :, None]
    start, way = points[:-1], np.diff(points, axis=0)
    along = np.clip(((pixels - start) * way).sum(-1) / (way**2).sum(-1), 0, 1)
    distance = np.linalg.norm(pixels - start - along[..., None] * way, axis=-1).min(-1)
    ink = np.exp(-((distance / random.uniform(0.1, 0.18)) ** 2)) * random.uniform(0.7, 1.0) + random.normal(0, 0.03, (SIDE, SIDE))
    return (255 * np.clip(ink, 0, 1)).astype(np.uint8)


def main() -> None:
    """Write the drawings and the space."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    kinds = random.uniform(-0.9, 0.9, (KINDS, POINTS, 2))
    x = np.stack([drawing(kind, random) for kind in kinds for _ in range(EACH)])
    np.savez_compressed(folder / "strokes.npz", x=x, y=np.repeat(np.arange(KINDS), EACH))
    (folder / "strokes.yaml").write_text(SPACE)
    (folder / "config.yaml").write_text(CONFIG)
    print(f"cd {folder} && automl run strokes.yaml --config config.yaml --workers 1 --mlflow off --study strokes")


if __name__ == "__main__":
    main()
