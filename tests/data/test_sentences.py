"""The built-in texts follow their law."""

from __future__ import annotations

from collections import Counter

from automl.data import inspect
from automl.data.sentences import COUNT, sentences
from automl.data.words import words_of
from automl.spec import DataSpec

BAD = {"bad", "dull", "cold", "boring", "stupid", "stale", "awful", "tired", "bleak", "annoying", "unbearable", "dreadful"}
BAD |= {"forgettable", "terrible", "pointless"}


def judged(text: str) -> str:
    """What most of the three judgements are."""
    clauses = [words_of(clause) for clause in text.replace(" and ", ", ").split(", ")]
    good = sum(("not" in clause) != (not BAD & set(clause)) for clause in clauses)
    return "good" if good >= 2 else "bad"


def test_sentences_have_the_class_of_most_judgements_but_for_one_in_twenty() -> None:
    drawn = sentences()
    right = sum(judged(text) == label for text, label in zip(drawn.texts, drawn.labels, strict=True))
    assert 0.93 < right / COUNT < 0.97
    assert 0.4 < Counter(drawn.labels)["good"] / COUNT < 0.6


def test_sentences_are_the_same_every_time() -> None:
    assert sentences().digest() == sentences().digest()
    info = inspect(DataSpec("sentences"))
    assert (info.name, info.kind, info.classes, sum(info.sizes.values())) == ("sentences", "tokens", ("bad", "good"), COUNT)
