"""Arguments of the library by what they may be: one of another type is answered with a sentence, before anything reads it.

Each function is given the name of the argument and what was given for it, and returns it as the rest reads it. None is left as it is where
that stands for what the space or the study says.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from automl.errors import UsageError
from automl.events import Value

_MOST_SHOWN = 60  # letters of what was given


def word(name: str, value: str) -> str:
    """A text that must be there, as it is."""
    if isinstance(value, str):
        return value
    raise _wrong(name, "a text", value, "Give a str.")


def text(name: str, value: str | None) -> str | None:
    """A text as it is."""
    return None if value is None else word(name, value)


def named(name: str, value: str | Path) -> str:
    """A name or a path, as a text."""
    found = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if isinstance(found, str):
        return found
    raise _wrong(name, "a name or a path", value, "Give a str or a Path.")


def path(name: str, value: str | Path | None) -> str | None:
    """A name or a path, as a text."""
    return None if value is None else named(name, value)


def whole(name: str, value: int | None) -> int | None:
    """A whole number, of numpy or pandas too, as an int."""
    if value is None:
        return None
    if _is_whole(value):
        return operator.index(value)
    raise _wrong(name, "a whole number", value, "Give an int.")


def count(name: str, value: int | str) -> str:
    """A whole number or a word such as ``auto``, as a text."""
    if isinstance(value, str) or _is_whole(value):
        return str(value)
    raise _wrong(name, "a whole number or 'auto'", value, "Give an int or a str.")


def duration(name: str, value: str | float | None) -> str | None:
    """A text such as ``30m`` as it is; seconds as such a text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Real) and not isinstance(value, bool):
        return f"{float(value):g}s"
    raise _wrong(name, "seconds or a text such as '30m'", value, "Give a number or a str.")


def texts(name: str, value: str | Iterable[str]) -> tuple[str, ...]:
    """A text, or several of them."""
    found = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if all(isinstance(each, str) for each in found):
        return found
    raise _wrong(name, "a text or a list of texts", value, "Give a str or a list of them.")


def configuration(name: str, value: str | Path | Mapping[str, Value] | None) -> str | dict[str, Value] | None:
    """A configuration as a dict, or the path of a file as a text."""
    if isinstance(value, Mapping):
        return _plain(value)
    if value is None or isinstance(value, str | os.PathLike):
        return path(name, value)
    raise _wrong(name, "a configuration or a file", value, "Give a dict, a str or a Path.")


def configurations(name: str, value: str | Path | Iterable[Mapping[str, Value]] | None) -> str | Sequence[dict[str, Value]] | None:
    """Configurations as dicts, or the path of a file as a text."""
    if value is None or isinstance(value, str | os.PathLike):
        return path(name, value)
    found = list(value) if isinstance(value, Iterable) and not isinstance(value, Mapping) else [None]
    if all(isinstance(each, Mapping) for each in found):
        return [_plain(each) for each in found if each is not None]
    raise _wrong(name, "a list of configurations or a file", value, "Give a list of dicts, a str or a Path.")


def _is_whole(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of numpy and pandas as Python's own."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in given.items()}


def _wrong(name: str, what: str, value: object, advice: str) -> UsageError:
    shown = repr(value) if value is None or isinstance(value, str | bytes | int | float | list | tuple | dict) else ""
    is_short = 0 < len(shown) <= _MOST_SHOWN and "\n" not in shown
    return UsageError(f"{name}: must be {what}, but is {shown if is_short else f'of type {type(value).__name__}'}. {advice}")
