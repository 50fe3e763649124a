"""An event as a row of ``study.db`` and back.

A row that nothing of ours wrote is refused here, value by value: what comes out holds what the events' own annotations say, so that
whoever reads a damaged study meets a sentence and not an error of Python's somewhere behind it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import call
from sys import intern
from typing import Any, get_args, get_type_hints

from automl.events import Configuration, Diverged, Failed, FailureReason, Finished, LossReason, Reported, Started, Tested, TrialKey, Value
from automl.trials import Confirming, Created, Event, Lost, Origin, Pruned, Purpose, Rested, Resumed, Suggested

Row = tuple[float, str, int | None, int | None, str]  # when, kind, trial, replicate, and all else as a list in JSON

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Created, Resumed, Rested, Suggested, Confirming, Started, Reported, Finished, Pruned, Diverged, Failed, Lost, Tested)
}
_LARGEST = 2**53  # whole numbers beyond it are none that we wrote, and no float holds them
_REMEMBERED_KEYS = 4096
_decode = json.JSONDecoder().raw_decode


def row_of(event: Event) -> Row:
    """The event as ``study.db`` keeps it."""
    kind = type(event).__name__
    body = json.dumps([_plain(getattr(event, name)) for name in _NAMES[kind]], separators=(",", ":"))
    key: TrialKey | None = getattr(event, "key", None)
    return event.at, kind, key.trial if key else None, key.replicate if key else None, body


def event_of(row: Sequence[Any], identity: str) -> Event:
    """The event in a row of the study that is called so. Raises ValueError with the words of what the row has and must not have.

    Of older studies the last values may be missing: those have defaults.
    """
    at, kind, trial, replicate, text = row[:5]
    form = _FORMS.get(kind)
    if form is None:
        raise ValueError(f"it holds an event of kind {kind!r}")
    make, readers, is_keyed = form
    try:
        moment, body = _moment(at), _list(text)
        values = map(call, readers, body)
        event: Event = make(_key(identity, trial, replicate), moment, *values) if is_keyed else make(moment, *values)
    except (ValueError, TypeError, RecursionError):
        raise ValueError(f"it holds an event of kind {kind!r} that cannot be read") from None
    if len(body) > len(readers):
        raise ValueError(f"it says more of an event of kind {kind!r} than this version of automl knows")
    return event


@lru_cache(_REMEMBERED_KEYS)  # the events of one training come one after the other
def _key(identity: str, trial: int | None, replicate: int | None) -> TrialKey:
    return TrialKey(identity, _count(trial), 0 if replicate is None else _count(replicate))


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else value


# -- what a value may be: each returns it, or raises TypeError --------------------------------------------------------
# Names and words are interned, since a large study says the same ones a million times.


def _list(text: Any) -> list[Any]:
    value, end = _decode(text)
    if type(value) is list and end == len(text):
        return value
    raise TypeError


def _moment(value: Any) -> float:
    if type(value) is float:
        return value
    raise TypeError


def _count(value: Any) -> int:
    if type(value) is int and 0 <= value <= _LARGEST:
        return value
    raise TypeError


def _number(value: Any) -> float:
    if type(value) is float or (type(value) is int and -_LARGEST <= value <= _LARGEST):
        return value
    raise TypeError


def _truth(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise TypeError


def _text(value: Any) -> str:
    return intern(value)


def _numbers(value: Any) -> dict[str, float]:
    for each in _mapping(value).values():
        if type(each) is not float:
            _number(each)
    return value  # type: ignore[no-any-return]


def _texts(value: Any) -> dict[str, str]:
    return {intern(name): intern(each) for name, each in _mapping(value).items()}


def _configuration(value: Any) -> dict[str, Value]:
    return {intern(name): _value(each) for name, each in _mapping(value).items()}


def _value(value: Any) -> Value:
    if type(value) is str:
        return intern(value)
    return value if value is None or type(value) is bool else _number(value)


def _mapping(value: Any) -> dict[str, Any]:
    if type(value) is dict:
        return value
    raise TypeError


def _word_of(words: Any) -> Callable[[Any], str]:
    allowed: dict[str, str] = {word: word for word in get_args(words)}

    def word(value: Any) -> str:
        if value in allowed:
            return allowed[value]
        raise TypeError

    return word


_BY_ANNOTATION: list[tuple[Any, Callable[[Any], Any]]] = [
    (int, _count),
    (float, _number),
    (str, _text),
    (bool, _truth),
    (Configuration, _configuration),
    (Mapping[str, float], _numbers),
    (Mapping[str, str], _texts),
    (Mapping[str, Any], _mapping),  # the specification of a study, whose reader looks at the rest
    *((words, _word_of(words)) for words in (Origin, Purpose, FailureReason, LossReason)),
]


def _reader_of(annotation: Any) -> Callable[[Any], Any]:
    return next(read for known, read in _BY_ANNOTATION if known == annotation)


def _form_of(kind: type[Any]) -> tuple[type[Any], tuple[Callable[[Any], Any], ...], bool]:
    """How an event of this kind is made: its class, what reads each of its values, and whether it is of a trial."""
    hints = get_type_hints(kind)
    return kind, tuple(_reader_of(hints[name]) for name in _NAMES[kind.__name__]), "key" in hints


_NAMES = {name: tuple(f.name for f in fields(kind) if f.name not in ("key", "at")) for name, kind in _KINDS.items()}
_FORMS = {name: _form_of(kind) for name, kind in _KINDS.items()}
