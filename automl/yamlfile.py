"""YAML in which every key and value knows its file and line, read by the rules of YAML 1.2.

``1e-5`` is a number, ``off`` and ``yes`` are texts, ``012`` is 12, a key that is given twice is an error. Anchors, aliases, tags and
second documents are not part of the files that are read here, and are answered, so that no small file can grow large in memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from automl.errors import SpaceError, nearest
from automl.events import Value
from automl.folders import home_expanded, is_too_long

LARGEST_BYTES = 1_000_000
MOST_NODES = 20_000
DEEPEST = 20

_NULL = re.compile(r"|~|null|Null|NULL")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)")
_NAN = re.compile(r"\.nan|\.NaN|\.NAN")
_PLAIN_TEXT = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_MOST_DIGITS = 18  # longer numbers are read as floats, so that no number is expensive


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; line 0 is the file as a whole."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. ``text`` is what was written, without quotes."""

    value: Value
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys with their values, in the order of the file; no key twice."""

    entries: tuple[tuple[Scalar, Node], ...]
    place: Place

    def get(self, key: str) -> Node | None:
        return next((value for name, value in self.entries if name.text == key), None)

    @property
    def keys(self) -> list[str]:
        return [name.text for name, _ in self.entries]


Node = Scalar | ListNode | Mapping


@dataclass
class Problems:
    """The mistakes found so far. Files are listed in the order in which they were read, their mistakes by line."""

    _found: list[tuple[int, int, int, str]] = field(default_factory=list)
    _files: list[str] = field(default_factory=list)

    def add(self, place: Place, text: str) -> None:
        if place.file not in self._files:
            self._files.append(place.file)
        self._found.append((self._files.index(place.file), place.line, len(self._found), f"{place}: {text}"))

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def settle(self) -> None:
        """Raises SpaceError with all mistakes, in the order of the file; nothing when there is none."""
        if self._found:
            raise SpaceError(dict.fromkeys(text for *_, text in sorted(self._found)))


def shown(node: Node | None) -> str:
    """A value as it may stand in a message: texts in quotes, other values as they were written."""
    match node:
        case None:
            return "missing"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=str() as text):
            return repr(text if len(text) <= 60 else f"{text[:57]}...")
        case Scalar(text=text):
            return text if len(text) <= 30 else f"{text[:27]}..."
        case ListNode():
            return "a list"
        case Mapping():
            return "a mapping"


def is_empty(node: Node | None) -> bool:
    """Whether nothing was given: no such key, or a key without a value."""
    return node is None or (isinstance(node, Scalar) and node.value is None)


# -- reading ----------------------------------------------------------------------------------------------------------


def parse(text: str, file: str, problems: Problems) -> Node | None:
    """The text of ``file`` with its places. None where there is nothing to go on with, which is a problem unless the text is empty."""
    try:
        return _Tree(file, problems).build(text)
    except _StopReadingError:
        return None


def read_text(path: Path, problems: Problems) -> str | None:
    """The file's text; None where it cannot be had, which is noted as a problem."""
    whole = Place(str(path), 0)
    try:
        if path.is_dir():
            problems.add(whole, "must be a file, but is a folder. Name a file in it.")
            return None
        if not path.is_file():
            problems.add(whole, f"must be a search-space file, but there is no such file.{_nearest_file(path)}")
            return None
        with path.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        problems.add(whole, f"must be readable, but is not ({getattr(error, 'strerror', None) or error}).")
        return None
    if len(content) > LARGEST_BYTES:
        problems.add(whole, "must have at most 1 MB, but is larger. A search space is a page of text; is this the right file?")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add(Place(str(path), line), f"must be UTF-8 text, but has the byte 0x{content[error.start]:02x}. Save the file as UTF-8.")
        return None


def _nearest_file(path: Path) -> str:
    try:
        beside = {entry.stem: entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml")}
    except OSError:
        return ""
    near = nearest(path.stem, beside)
    return f" Did you mean {beside[near]!r}?" if near else ""


class _StopReadingError(Exception):
    """The rest of the file cannot be understood."""


class _Tree:
    """Builds the tree from the parser's events: flat code for what the parser tells one by one, with bounds on depth and number."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._nodes = 0

    def build(self, text: str) -> Node | None:
        events = self._events(text)
        next(events)  # the stream's start
        if type(next(events)).__name__ != "DocumentStartEvent":
            return None
        root = self._node(next(events), events, 0)
        next(events)  # the document's end
        following = next(events)
        if type(following).__name__ != "StreamEndEvent":
            self._fail(
                following, "a file holds one search space, but a second document begins here ('---'). Put it into a file of its own."
            )
        return root

    def _events(self, text: str) -> Iterator[Any]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError
        from ruamel.yaml.reader import ReaderError

        try:
            yield from YAML(typ="safe", pure=True).parse(text)
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            code = error.character if isinstance(error.character, int) else ord(error.character)
            self._stop(line, f"must be text, but has the control character U+{code:04X}. Remove it.")
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._stop(mark.line + 1 if mark else 0, f"must be YAML, but {_complaint(error)}.{_remedy(error)}")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError, AssertionError):
            # ruamel answers some broken input with an error of its own inside instead of a YAML error.
            self._stop(0, "must be YAML, but cannot be parsed. Check the quotes, escapes and brackets.")

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        place = self._place(event)
        kind = type(event).__name__
        self._nodes += 1
        if kind == "AliasEvent" or event.anchor is not None:
            self._fail(event, "anchors and aliases (&x, *x) are not part of search-space files. Write the value out where it is needed.")
        if event.tag is not None:
            self._fail(event, "tags (such as !!str) are not part of search-space files. Leave the tag out, and quote what is a text.")
        if depth > DEEPEST:
            self._fail(event, f"must be nested at most {DEEPEST} deep, but is deeper.")
        if self._nodes > MOST_NODES:
            self._fail(
                event, f"must have at most {MOST_NODES} values, but has more. A search space is a page of text; is this the right file?"
            )
        match kind:
            case "ScalarEvent":
                return self._scalar(event, place)
            case "SequenceStartEvent":
                return ListNode(tuple(self._items(events, depth)), place)
            case _:
                return self._mapping(events, place, depth)

    def _items(self, events: Iterator[Any], depth: int) -> Iterator[Node]:
        while type(event := next(events)).__name__ != "SequenceEndEvent":
            yield self._node(event, events, depth + 1)

    def _mapping(self, events: Iterator[Any], place: Place, depth: int) -> Mapping:
        entries: dict[str, tuple[Scalar, Node]] = {}
        while type(event := next(events)).__name__ != "MappingEndEvent":
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            if isinstance(value, Scalar) and not value.text:  # what is not there stands where its key does
                value = replace(value, place=key.place)
            if not isinstance(key, Scalar):
                self._problems.add(key.place, f"a key must be a word, but is {shown(key)}.")
            elif key.text in entries:
                first = entries[key.text][0].place.line
                self._problems.add(key.place, f"{key.text!r} is given twice (first on line {first}).")
            else:
                entries[key.text] = (key, value)
        return Mapping(tuple(entries.values()), place)

    def _scalar(self, event: Any, place: Place) -> Scalar:
        text: str = event.value
        try:
            text.encode()
        except UnicodeEncodeError:
            self._fail(event, "must be UTF-8 text, but has half a character (a lone surrogate). Remove it.")
        is_plain = event.implicit[0] and event.style is None
        return Scalar(resolve(text) if is_plain else text, text, place)

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1)

    def _fail(self, event: Any, text: str) -> None:
        self._stop(event.start_mark.line + 1, text)

    def _stop(self, line: int, text: str) -> None:
        self._problems.add(Place(self._file, line), text)
        raise _StopReadingError


def _complaint(error: Any) -> str:
    problem = str(error.problem or error.context or "cannot be parsed").strip()
    mark = error.context_mark
    if mark is None or error.problem_mark is None or mark.line == error.problem_mark.line or not error.context:
        return problem
    return f"{problem} ({error.context}, which begins on line {mark.line + 1})"


def _remedy(error: Any) -> str:
    """What to do about what editors do unasked; nothing where only the person can know."""
    return " Indent with blanks instead of tabs." if r"character '\t'" in str(error.problem) else ""


def resolve(text: str) -> Value:
    """What an unquoted text means by the core schema of YAML 1.2."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    if len(text) <= _MOST_DIGITS:
        if _INT.fullmatch(text):
            return int(text)
        if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
            return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return float("nan") if _NAN.fullmatch(text) else text


# -- writing ----------------------------------------------------------------------------------------------------------


def written(value: Value) -> str:
    """The value as YAML that reads back as the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if _PLAIN_TEXT.fullmatch(value) and resolve(value) == value:
        return value
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable() and character != "\ufeff":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def relative_to(file: str, other: str) -> Path:
    """The path that ``other`` names when it is written in ``file``. One that is too long for any file is cut: there is none of that name,
    and the system would not even answer."""
    path = Path(os.path.normpath(Path(file).parent / home_expanded(other)))
    return Path(f"{str(path)[:60]}...") if is_too_long(path) else path
