"""Texts as numbers: words and punctuation, and the parts of words that tell about words which are rare. Nothing is downloaded.

Each word of a text becomes up to ``len(PARTS)`` numbers: its own, that of the pair that it makes with the word before it, and those of its
first four letters, its first six and its last three. A network adds up their vectors, so that words of one stem or ending know of each
other, and ``not good`` is more than its words.

Source: Bojanowski, Grave, Joulin and Mikolov, Enriching word vectors with subword information (arXiv 1607.04606), for vectors of parts;
Wang and Manning, Baselines and bigrams (ACL 2012), for pairs.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

PARTS = ("word", "pair", "first four letters", "first six letters", "last three letters")
PADDING, UNKNOWN = 0, 1
FIRST = 2  # the number of the most frequent word

MOST_WORDS = 20_000
FEWEST_WORDS, FEWEST_PARTS = 2, 3  # a word, or a part, must be so often in the training texts
LONGEST, LONGEST_OF_MANY = 1024, 256  # words of a text that are read at most, where nobody says otherwise: of few texts, and of many
MOST_READ = 2**21  # words of all training texts together, from which on fewer than LONGEST of each are read: it bounds what an epoch costs
LENGTH_SHARE = 0.95  # of the training texts are read to their end, where that is not too long
_LETTERS = 50  # of a word: what is longer is no word
_BEGINNINGS, _ENDING = (4, 6), 3

# Thai, Lao, Myanmar, Khmer, Japanese and Chinese have no blanks between words
_NO_BLANKS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"


@cache
def _pattern() -> re.Pattern[str]:
    """Numbers with their points; words, with accents and vowel signs that are written apart; single characters of all other kinds."""
    marks = "".join(
        chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)) in ("Mn", "Mc") and not _without_blanks(chr(code))
    )
    letter = rf"(?:[^\W{_NO_BLANKS}]|[{re.escape(marks)}\u200c\u200d])"
    return re.compile(rf"\d+(?:[.,:]\d+)+|{letter}+(?:['’]{letter}+)*|\S")


def _without_blanks(character: str) -> bool:
    return re.match(f"[{_NO_BLANKS}]", character) is not None


def words_of(text: str) -> list[str]:
    """The words of a text, small letters, numbers and signs among them; where a script has no blanks, its characters."""
    return [sys.intern(word[:_LETTERS]) for word in _pattern().findall(unicodedata.normalize("NFC", text).lower().replace("’", "'"))]


def parts_of(word: str) -> tuple[str, ...]:
    """Beginnings and the ending of a word, as the vocabulary has them (``amus*``, ``amusin*``, ``*ing``); empty where it is too short."""
    beginnings = (f"{word[:letters]}*" if len(word) > letters else "" for letters in _BEGINNINGS)
    return (*beginnings, f"*{word[-_ENDING:]}" if len(word) > _ENDING else "")


def pairs_of(words: Sequence[str]) -> Iterator[str]:
    """Each word with the one before it: of the second word on."""
    return (f"{a} {b}" for a, b in pairwise(words))


@dataclass(frozen=True, slots=True)
class Words:
    """What texts are read with: the words and parts that have numbers, in the order of these, and how many words of a text are read."""

    vocabulary: tuple[str, ...]
    length: int

    @property
    def size(self) -> int:
        """How many numbers there are, those of padding and of unknown words among them."""
        return FIRST + len(self.vocabulary)

    def numbers(self, texts: Sequence[Sequence[str]]) -> NDArray[np.int32]:
        """The words of texts as ``[texts, parts, length]``: 0 where there is nothing, 1 for unknown words."""
        known = {entry: number for number, entry in enumerate(self.vocabulary, FIRST)}
        spelled: dict[str, tuple[int, ...]] = {}
        found = np.zeros((len(texts), len(PARTS), self.length), np.int32)
        for row, words in enumerate(texts):
            read = words[: self.length]
            for word in read:
                if word not in spelled:
                    spelled[word] = (known.get(word, UNKNOWN), *(known.get(part, PADDING) for part in parts_of(word)))
            if read:
                found[row, [0, 2, 3, 4], : len(read)] = np.array([spelled[word] for word in read]).T
                found[row, 1, 1 : len(read)] = [known.get(pair, PADDING) for pair in pairs_of(read)]
        return found


def fit_words(texts: Sequence[Sequence[str]], most: int | None = None, length: int | None = None) -> Words:
    """The ``most`` frequent words of these texts and as many parts of words, ties by the alphabet.

    Words that are there once are left to be unknown, so that a network learns what unknown words mean, unless no word is there twice.
    """
    most = most or MOST_WORDS
    counts = Counter(word for words in texts for word in words)
    fewest = FEWEST_WORDS if any(count >= FEWEST_WORDS for count in counts.values()) else 1
    parts: Counter[str] = Counter()
    for word, count in counts.items():
        for part in parts_of(word):
            parts[part] += count
    parts.update(pair for words in texts for pair in pairs_of(words))
    del parts[""]
    if length is None:
        lengths = np.array([len(words) for words in texts])
        longest = min(max(MOST_READ // len(texts), LONGEST_OF_MANY), LONGEST)
        length = int(min(max(np.quantile(lengths, LENGTH_SHARE, method="higher"), 1), longest))
    return Words((*_most_frequent(counts, most, fewest), *_most_frequent(parts, most, FEWEST_PARTS)), length)


def _most_frequent(counts: Counter[str], most: int, fewest: int) -> Iterable[str]:
    enough = [(-count, entry) for entry, count in counts.items() if count >= fewest]
    return [entry for _, entry in sorted(enough)[:most]]


def unknown_share(texts: Sequence[Sequence[str]], words: Words) -> float:
    """Which share of the words of texts has no number."""
    known = set(words.vocabulary)
    counts = Counter(word for text in texts for word in text)
    return sum(count for word, count in counts.items() if word not in known) / max(counts.total(), 1)
