"""Texts as words, and words as numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.data.words import LONGEST, LONGEST_OF_MANY, MOST_READ, PARTS, Words, fit_words, pairs_of, parts_of, unknown_share, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's GOOD, really!", ["it's", "good", ",", "really", "!"]),
        ("don’t", ["don't"]),
        ("3.14 or 1,000 at 12:30 for $5", ["3.14", "or", "1,000", "at", "12:30", "for", "$", "5"]),
        ("a\tb\n c  d", ["a", "b", "c", "d"]),
        ("mp3_player v2.0", ["mp3_player", "v2", ".", "0"]),
        ("Größe naïve Ελλάδα Привет", ["größe", "naïve", "ελλάδα", "привет"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("我爱北京。", ["我", "爱", "北", "京", "。"]),
        ("ねこ cat", ["ね", "こ", "cat"]),
        ("👍🏽!", ["👍", "🏽", "!"]),
        ("", []),
        (" \n\x00", ["\x00"]),
    ],
)
def test_words_numbers_signs_and_characters_where_there_are_no_blanks(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_accents_written_apart_make_the_same_word() -> None:
    assert words_of("na\u0131\u0308ve cafe\u0301") == words_of("na\u0131\u0308ve café")


@given(st.text())
def test_no_visible_character_is_lost(text: str) -> None:
    assert sum(map(len, words_of(text))) <= 4 * len(text)
    assert bool(words_of(text)) == bool(text.split())


def test_a_very_long_word_is_cut() -> None:
    assert words_of("x" * 1000) == ["x" * 50]


def test_parts_are_beginnings_and_the_ending_of_longer_words() -> None:
    assert parts_of("amusing") == ("amus*", "amusin*", "*ing")
    assert parts_of("good") == ("", "", "*ood")
    assert parts_of("the") == ("", "", "")
    assert list(pairs_of(["not", "so", "good"])) == ["not so", "so good"]


def test_the_vocabulary_has_words_of_two_occurrences_most_frequent_first_and_parts_of_three() -> None:
    texts = [["b", "a", "walked"], ["a", "b", "talked"], ["a", "b", "baked", "once"]]
    words = fit_words(texts)
    assert words.vocabulary == ("a", "b", "*ked")
    assert fit_words(texts, most=1).vocabulary == ("a", "*ked")
    assert fit_words([*texts, ["a", "b"]]).vocabulary == ("a", "b", "*ked", "a b")


def test_where_no_word_is_there_twice_all_are_taken() -> None:
    assert fit_words([["a"], ["b"]]).vocabulary == ("a", "b")


def test_texts_become_numbers_of_words_and_their_parts() -> None:
    words = Words(("talked", "a", "a talked", "*ked"), length=3)
    numbers = words.numbers([["a", "talked", "walked", "a"], []])
    assert words.size == 6
    assert numbers.shape == (2, len(PARTS), 3)
    assert numbers.dtype == np.int32
    assert numbers[0].tolist() == [[3, 2, 1], [0, 4, 0], [0, 0, 0], [0, 0, 0], [0, 5, 5]]
    assert not numbers[1].any()


def test_the_length_is_that_of_most_training_texts_within_bounds() -> None:
    assert fit_words([["a"] * length for length in range(1, 101)]).length == 96
    assert fit_words([["a"] * 10_000]).length == LONGEST
    assert fit_words([["a"] * 600] * 4096).length == MOST_READ // 4096
    assert fit_words([["a"] * 257] * 10_000).length == LONGEST_OF_MANY
    assert fit_words([[], []]).length == 1
    assert fit_words([["a"] * 9], length=4).length == 4


def test_the_share_of_unknown_words() -> None:
    assert unknown_share([["a", "b"], ["c", "a"]], Words(("a",), 1)) == 0.5
    assert unknown_share([[]], Words(("a",), 1)) == 0
