"""What is written of an event comes back as it was; what is no event of ours is refused, value by value."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl import events
from automl.eventrows import event_of, row_of
from automl.events import Diverged, Failed, Finished, Reported, Started, TrialKey
from automl.trials import Confirming, Created, Event, Lost, Pruned, Rested, Resumed, Suggested

KEY = TrialKey("x", 3, 1)
EVENTS: list[Event] = [
    Created(1.0, "x", {"name": "s", "deep": [1, {"a": None}]}, "accuracy", True, "abc", "0.1"),
    Resumed(2.0, 10, {"python": "3.11"}),
    Rested(3.0, "done", 1.5),
    Suggested(KEY, 4.0, {"a": 1, "b": 0.5, "c": "text", "d": True, "e": None}, "strategy", 0.1, {"parameters": 100}),
    Confirming(KEY, 5.0, "pick"),
    Started(KEY, 6.0, "cpu", "cpu-0"),
    Reported(KEY, 7.0, 1, {"loss": 0.5, "f1": math.inf}, 0),
    Finished(KEY, 8.0, True, False),
    Pruned(KEY, 9.0, 3),
    Diverged(KEY, 10.0, 2, 0.1),
    Diverged(KEY, 10.0, 2, 0.1, "score"),
    Failed(KEY, 11.0, "out_of_memory", "line\nline", 2.0),
    Lost(KEY, 12.0, "was killed", "", "timeout", 2),
    events.Tested(KEY, 13.0, {"accuracy": 0.9}, "test"),
]
ROWS = [row_of(event) for event in EVENTS]


@pytest.mark.parametrize("event", EVENTS, ids=[type(event).__name__ for event in EVENTS])
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert event_of(row_of(event), "x") == event


def test_what_older_studies_do_not_say_has_its_default() -> None:
    assert event_of((4.0, "Suggested", 3, 1, '[{"a":1},"strategy"]'), "x") == Suggested(KEY, 4.0, {"a": 1}, "strategy")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((1.0, "Celebrated", 0, 0, "[]"), "it holds an event of kind 'Celebrated'"),
        ((1.0, None, 0, 0, "[]"), "it holds an event of kind None"),
        ((1.0, "Finished", 0, 0, "[true,false,1]"), "it says more of an event of kind 'Finished' than this version of automl knows"),
        ((1.0, "Finished", 0, 0, "{}"), "it holds an event of kind 'Finished' that cannot be read"),
        ((1.0, "Finished", 0, 0, "[] "), "it holds an event of kind 'Finished' that cannot be read"),
        ((1.0, "Finished", 0, 0, '["yes"]'), "it holds an event of kind 'Finished' that cannot be read"),
        ((1.0, "Finished", 0, 0, b"[]"), "it holds an event of kind 'Finished' that cannot be read"),
        ((1, "Finished", 0, 0, "[]"), "it holds an event of kind 'Finished' that cannot be read"),
        ((1.0, "Finished", -1, 0, "[]"), "it holds an event of kind 'Finished' that cannot be read"),
        ((1.0, "Finished", None, None, "[]"), "it holds an event of kind 'Finished' that cannot be read"),
        ((1.0, "Finished", 0, 0.5, "[]"), "it holds an event of kind 'Finished' that cannot be read"),
        ((1.0, "Reported", 0, 0, "[1]"), "it holds an event of kind 'Reported' that cannot be read"),
        ((1.0, "Reported", 0, 0, '[-1,{"loss":0.5},0.1]'), "it holds an event of kind 'Reported' that cannot be read"),
        ((1.0, "Reported", 0, 0, '[1,{"loss":"0.5"},0.1]'), "it holds an event of kind 'Reported' that cannot be read"),
        ((1.0, "Reported", 0, 0, f'[1,{{"loss":{10**400}}},0.1]'), "it holds an event of kind 'Reported' that cannot be read"),
        ((1.0, "Suggested", 0, 0, '[{"a":[1]},"strategy"]'), "it holds an event of kind 'Suggested' that cannot be read"),
        ((1.0, "Suggested", 0, 0, '[{},"somebody"]'), "it holds an event of kind 'Suggested' that cannot be read"),
        ((1.0, "Suggested", 0, 0, '[{},["strategy"]]'), "it holds an event of kind 'Suggested' that cannot be read"),
        ((1.0, "Resumed", None, None, "[3,{},{}]"), "it says more of an event of kind 'Resumed' than this version of automl knows"),
        ((1.0, "Resumed", None, None, '[3,{"python":3}]'), "it holds an event of kind 'Resumed' that cannot be read"),
    ],
)
def test_what_is_no_event_is_refused(row: tuple[Any, ...], expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        event_of(row, "x")


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8
)


@given(st.data())
def test_whatever_stands_in_a_row_is_an_event_or_a_sentence(data: st.DataObject) -> None:
    """And what is read as an event is written as the same row."""
    at, kind, trial, replicate, text = data.draw(st.sampled_from(ROWS))
    body = json.loads(text)
    for _ in range(data.draw(st.integers(0, 2))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(JSON)
    changed = data.draw(st.sampled_from([text, json.dumps(body), text[: data.draw(st.integers(0, len(text)))]]) | st.text() | st.binary())
    row = (data.draw(st.just(at) | PLAIN), kind, data.draw(st.just(trial) | PLAIN), data.draw(st.just(replicate) | PLAIN), changed)
    try:
        event = event_of(row, "x")
    except ValueError:
        return
    assert event_of(row_of(event), "x") == event or "NaN" in changed
