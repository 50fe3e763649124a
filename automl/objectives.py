"""An Optuna objective as a search-space file: what it asks for becomes the space, the rest is found in its module or has a default."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from automl import owncode
from automl.errors import UsageError
from automl.events import Value
from automl.owncode import CodeError
from automl.suggestions import Asked
from automl.tracing import COUNT_SECONDS, MOST_VALUES, Call, Traced, traced
from automl.yamlfile import written

METRIC = "value"  # what the result of an objective is called where no file says otherwise
MOST_STEPS = 100  # of a stepped number that are written out as choices
UNKNOWN_REPORTS = 100
_DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True, slots=True)
class Direction:
    """Which way is better, and who says so."""

    maximize: bool
    reason: str

    @property
    def word(self) -> str:
        return "maximize" if self.maximize else "minimize"


def study_name(target: str) -> str:
    """What a study of this objective is called: its module, and its function unless that is called ``objective``."""
    module, _, function = target.partition(":")
    short = module.rpartition(".")[2]
    return short if function == "objective" else f"{short}-{function}"


@dataclass(frozen=True, slots=True)
class Found:
    """The text of a search-space file for an objective, and what a person should know of it."""

    text: str
    notes: tuple[str, ...]


def found(target: str, direction: str | None, epochs: int | None, folder: Path) -> Found:
    """Call this objective a few times, to see what it asks for.

    Modules are looked for in ``folder``. Raises UsageError where the objective is not there or its parameters are no search space.
    """
    if not owncode.TARGET.fullmatch(target):
        raise UsageError(f"--optuna: must be MODULE:NAME, such as my_module:objective, but is {target!r}.")
    folders = (str(folder.resolve()),)
    try:
        calls = traced(target, folders, counts=epochs is None)
        way = _direction(direction, calls.file, folders)
        return Found("\n".join(_lines(target, folders[0], calls, way, epochs)) + "\n", tuple(_notes(calls, way, epochs)))
    except CodeError as error:
        raise UsageError(f"--optuna: {error}") from None


def _notes(calls: Traced, way: Direction, epochs: int | None) -> Iterator[str]:
    yield f"objective: {way.word} what it returns ({way.reason})"
    if epochs is None and calls.reports is None:
        yield (
            f"epochs: how often the objective reports is not known, and taken for {UNKNOWN_REPORTS} times; trials are pruned by the "
            "median. --epochs N says it."
        )
    if not calls.is_whole:
        yield (
            f"space: found by {len(calls.calls)} calls, and there was no time for all choices. Where a trial asks for what they have not "
            "met, it fails and says so; a file of your own from 'automl space new --optuna' says it all."
        )


def _lines(target: str, folder: str, found: Traced, way: Direction, epochs: int | None) -> Iterator[str]:
    reports = epochs if epochs is not None else found.reports
    yield f"# What {target} asks for, found by calling it {len(found.calls)} times up to its first report."
    if not found.is_whole:
        yield "# There was no time to try every choice: what it asks for in those cases only is not here, and would be an error."
    yield f"name: {written(study_name(target))}"
    yield f"optuna: {target}"
    yield f"code_folder: {written(folder)}"
    yield f"objective: {{{way.word}: {METRIC}}}    # {way.reason}"
    if reports is None:
        yield f"epochs: {UNKNOWN_REPORTS}    # how often it reports is not known: a call had not ended after {COUNT_SECONDS:g} s"
    else:
        yield f"epochs: {reports}    # how often it reports, its result included where that is news"
    yield ""
    yield "space:"
    for asked in found.asked.values():
        yield from _parameter(asked, found)
    yield ""
    pruner = "none" if reports == 1 else "median" if reports is None else "asha"
    yield f"study: {{pruner: {pruner}}}"


def _parameter(asked: Asked, found: Traced) -> Iterator[str]:
    others = {str(each): each for call in found.calls for each in call.asked if each.name == asked.name and each != asked}
    if others:
        other = next(iter(others.values()))
        raise CodeError(
            f"{asked.name!r} must have the same range in every trial, but is {asked.domain} in one and {other.domain} in another. "
            "Write a space file with optuna: and a space of your own."
        )
    values = _values(asked)
    if len(values) == 1:
        yield f"  {written(asked.name)}: {written(values[0])}"
        return
    condition = _condition(asked.name, found)
    when = f", when: {condition}" if condition else ""
    if asked.kind == "categorical" or (asked.kind == "float" and values):
        yield f"  {written(asked.name)}: {{type: categorical, choices: [{', '.join(map(written, values))}]{when}}}"
        return
    bounds = f"low: {written(asked.low)}, high: {written(asked.high)}"
    more = f"{', log: true' if asked.log else ''}{f', step: {asked.step:g}' if asked.kind == 'int' and asked.step > 1 else ''}"
    note = f"    # in steps of {asked.step:g}: the objective gets the nearest" if asked.kind == "float" and asked.step else ""
    yield f"  {written(asked.name)}: {{type: {asked.kind}, {bounds}{more}{when}}}{note}"


def _values(asked: Asked) -> list[Value]:
    """All values, where they are to be written out; empty for a range."""
    if asked.kind == "categorical":
        return list(dict.fromkeys(asked.choices))
    if asked.low == asked.high:
        return [asked.low]
    steps = round((asked.high - asked.low) / asked.step) + 1 if asked.step else 0
    if asked.kind == "int" or not 0 < steps <= MOST_STEPS:
        return []
    return [asked.fitted(min(asked.low + number * asked.step, asked.high)) for number in range(steps)]


# -- conditions -------------------------------------------------------------------------------------------------------


def _condition(name: str, found: Traced) -> str:
    """``{classifier: svc}`` where the calls leave no doubt that the parameter is asked for with those values alone; else nothing.

    A parameter without a condition always has a value, and one that is not asked for changes nothing: that is no mistake.
    """
    having = [call for call in found.calls if any(each.name == name for each in call.asked)]
    lacking = [call for call in found.calls if call not in having]
    if not lacking or not found.is_whole:
        return ""
    for parent in having[0].asked:
        if parent.name == name:
            break
        values = _all_tried(parent)
        if not values or not all(_is_before(call, parent.name, name) for call in having):
            continue
        with_it, without = _given(parent.name, having), _given(parent.name, lacking)
        if with_it and None not in with_it and not with_it & without and with_it | without >= set(values):
            return f"{{{written(parent.name)}: {_test(parent, [value for value in values if value in with_it])}}}"
    return ""


def _all_tried(asked: Asked) -> list[Value]:
    """The values of a parameter, each of which was in a call; empty where there are more."""
    if asked.kind == "categorical":
        return list(asked.choices) if len(set(asked.choices)) == len(asked.choices) else []  # 1 and true would be one
    if asked.kind == "float":
        return []
    steps = range(int(asked.low), int(asked.high) + 1, int(asked.step))
    return list(steps) if len(steps) <= MOST_VALUES else []


def _is_before(call: Call, parent: str, name: str) -> bool:
    names = [each.name for each in call.asked]
    return parent in names and names.index(parent) < names.index(name)


def _given(name: str, calls: Sequence[Call]) -> set[Value]:
    return {call.values[name] for call in calls if name in call.values}


def _test(asked: Asked, values: Sequence[Value]) -> str:
    if asked.kind == "int" and values[-1] == asked.high and len(values) > 1:
        whole = list(range(int(values[0]), int(asked.high) + 1, int(asked.step)))  # type: ignore[arg-type]
        if whole == list(values):
            return f'">= {values[0]}"'
    return written(values[0]) if len(values) == 1 else f"[{', '.join(map(written, values))}]"


# -- direction --------------------------------------------------------------------------------------------------------


def _direction(given: str | None, file: str, folders: Sequence[str]) -> Direction:
    """What was asked for, else what a ``create_study`` in the objective's file says, else Optuna's own default."""
    if given is not None:
        return Direction(given == "maximize", "as asked for")
    said = dict(_created(file))
    if len(set(said.values())) > 1:
        lines = " and ".join(str(line) for line in said)
        short = owncode.shortest(file, folders)
        raise CodeError(f"create_study must say one direction, but lines {lines} of {short} say different ones. Give --direction.")
    if not said:
        return Direction(False, "Optuna's default; --direction maximize for the other way")
    line, word = next(iter(said.items()))
    if word not in _DIRECTIONS:
        raise CodeError(f"there must be one objective, but {owncode.shortest(file, folders)}:{line} creates a study with {word}.")
    return Direction(word == "maximize", f"as {owncode.shortest(file, folders)}:{line} creates its study")


def _created(file: str) -> Iterator[tuple[int, str]]:
    """Lines that create a study, and the direction that they say."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _last_name(node.func) != "create_study":
            continue
        words = {key.arg: key.value for key in node.keywords}
        if "directions" in words:
            yield node.lineno, "directions"
        elif (word := _word(words.get("direction"))) is not None:
            yield node.lineno, word


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _word(node: ast.expr | None) -> str | None:
    """``maximize`` or ``minimize``; None where that is not written there."""
    if node is None:
        return "minimize"
    text = node.value if isinstance(node, ast.Constant) else _last_name(node)
    return text.lower() if isinstance(text, str) and text.lower() in _DIRECTIONS else None
