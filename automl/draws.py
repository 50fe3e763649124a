"""Random draws by position.

Nobody keeps a random state. Every draw is a function of a seed and a position (trial number, purpose, name, ...), so that a
restart, another process or another order of work draws the same numbers.
"""

from __future__ import annotations

import hashlib

Position = int | str


def seed_at(*position: Position) -> int:
    """A seed in [0, 2**63) for this position: the first eight bytes of a BLAKE2b hash of it.

    Parts are joined with their type and length, so that ``(1, "2")`` and ``("12",)`` differ.
    """
    text = "|".join(f"{type(part).__name__}:{len(str(part))}:{part}" for part in position)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def unit_at(*position: Position) -> float:
    """A uniform draw in [0, 1) for this position, with 53 random bits."""
    return (seed_at(*position) >> 10) / 2**53
