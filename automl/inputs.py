"""What a network is given: the kind and the shape of one sample. Pure data, known before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

SampleKind = Literal["features", "pictures", "sequences", "tokens"]

KINDS: Mapping[SampleKind, str] = {
    "features": "tables",
    "pictures": "pictures",
    "sequences": "sequences",
    "tokens": "texts",
}
"""Each kind of sample, and what a person calls such data."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """One sample as a network gets it. ``continues``: the outputs go on where its first channel ends, as those of a forecast do.

    ===========  ===========================  ==============================================================================
    kind         shape                        numbers
    ===========  ===========================  ==============================================================================
    features     (features,)                  standardised numbers and one-hot categories
    pictures     (channels, height, width)    pixels from 0 to 1
    sequences    (channels, steps)            standardised series; with ``has_mask`` the last channel is 1 where the sequence has
                                              a step and 0 after its end, where all channels are 0
    tokens       (length,) or                 whole numbers below ``vocabulary``: 0 after the end of a text, 1 for unknown words; with
                 (parts, length)              several parts the first is the word, the others tell more of it (0: nothing)
    ===========  ===========================  ==============================================================================
    """

    kind: SampleKind
    shape: tuple[int, ...]
    vocabulary: int = 0
    has_mask: bool = False
    continues: bool = False

    def __str__(self) -> str:
        """In a person's words: ``pictures of 1 x 28 x 28``, ``a table of 30 features``."""
        match self.kind:
            case "pictures":
                return f"pictures of {' x '.join(map(str, self.shape))}"
            case "sequences":
                return f"sequences of {self.shape[1]} steps"
            case "tokens":
                return f"texts of {self.shape[-1]} words"
            case _:
                return f"a table of {self.shape[0]} feature{'s' * (self.shape[0] != 1)}"


def inputs_of(given: Inputs | Sequence[int]) -> Inputs:
    """The same; of a bare shape, that of features or, where it has three axes, of pictures."""
    if isinstance(given, Inputs):
        return given
    return Inputs("pictures" if len(given) == 3 else "features", tuple(given))
