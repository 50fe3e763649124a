"""The built-in texts: sentences that are drawn, by a law that is written here, from a seed of its own."""

from __future__ import annotations

import numpy as np

from automl.data.textfiles import TextFiles

COUNT = 1500
NEGATED, MISLABELLED = 0.3, 0.05
_THINGS = ("film", "book", "meal", "trip", "concert", "lesson", "hotel", "play")
_PARTS = ("beginning", "middle", "end", "idea", "sound", "service", "view", "price")
_GOOD = (
    *("good", "fine", "warm", "moving", "clever", "fresh", "lovely", "funny", "bright", "charming"),
    *("enjoyable", "delightful", "memorable", "wonderful", "inspired"),
)
_BAD = (
    *("bad", "dull", "cold", "boring", "stupid", "stale", "awful", "tired", "bleak", "annoying"),
    *("unbearable", "dreadful", "forgettable", "terrible", "pointless"),
)


def sentences() -> TextFiles:
    """1,500 sentences that judge three parts of a thing, each with one of 15 good or 15 bad words, which ``not`` turns round (30 %).

    The class is what most of the three judgements are, in 5 % of the sentences the other one: nobody is right more often than 95 %.
    """
    random = np.random.default_rng(20240503)
    texts, labels = [], []
    for _ in range(COUNT):
        clauses, good = [], 0
        for part in random.choice(_PARTS, 3, replace=False):
            is_good, is_negated = bool(random.integers(2)), bool(random.random() < NEGATED)
            word = random.choice(_GOOD if is_good else _BAD)
            good += is_good != is_negated
            clauses.append(f"the {part} was {'not ' if is_negated else ''}{word}")
        texts.append(f"Of this {random.choice(_THINGS)} {clauses[0]}, {clauses[1]} and {clauses[2]}.")
        labels.append("good" if (good >= 2) != (random.random() < MISLABELLED) else "bad")
    return TextFiles("sentences", tuple(texts), tuple(labels), "Texts: drawn sentences, of which 5 % have the wrong class.")
