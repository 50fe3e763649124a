"""Durations and choices with options, as people type them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.errors import UsageError
from automl.shorthand import format_duration, parse_choice, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("90", 90), ("0.5", 0.5), (" 1.5H ", 5400), ("1h0m1s", 3601)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "-3", "5x", "m", "1m1h", "1e3", "inf", "nan", "1h 30m", "٣", "9" * 500])
def test_what_is_no_duration(text: str) -> None:
    message = f"time: must be a duration above 0, but is {text!r}. Give one such as 90s, 30m, 2h, 1h30m, or a number of seconds."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        parse_duration(text)


@given(st.integers(1, 10**9).map(float) | st.floats(0.01, 1e6))
def test_durations_read_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bayesian", ("bayesian", {})),
        ("bayesian:", ("bayesian", {})),
        (
            " bayesian : n_startup=10, multivariate=true,x=1e-3,y=a:b ",
            ("bayesian", {"n_startup": 10, "multivariate": True, "x": 1e-3, "y": "a:b"}),
        ),
        ("asha:min_epochs=null", ("asha", {"min_epochs": None})),
    ],
)
def test_choices_with_options(text: str, expected: tuple[str, dict[str, Any]]) -> None:
    assert parse_choice(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:b", "'a:b': options must be NAME=VALUE with commas between them, but one is 'b'. Example: bayesian:n_startup=10."),
        ("a:b=1,", "'a:b=1,': options must be NAME=VALUE with commas between them, but one is ''. Example: bayesian:n_startup=10."),
        ("a:b=1,b=2", "'a:b=1,b=2': an option must be given once, but 'b' is given twice."),
        ("", "'': must begin with a name, such as bayesian or bayesian:n_startup=10."),
        (":a=1", "':a=1': must begin with a name, such as bayesian or bayesian:n_startup=10."),
    ],
)
def test_what_is_no_choice(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        parse_choice(text)
