"""The ``space`` section of a search-space file: its parameters, their conditions and its fixed values, each mistake with its place."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from automl import families
from automl.errors import suggestion
from automl.events import Value
from automl.families import Family, Setting
from automl.space import Categorical, Condition, Float, Int, Parameter
from automl.yamlfile import ListNode, Node, Place, Problems, Scalar, shown
from automl.yamlfile import Mapping as MappingNode

Type = Literal["float", "int", "categorical"]

KEYS: Mapping[Type, tuple[str, ...]] = {
    "float": ("type", "low", "high", "log", "grid", "when"),
    "int": ("type", "low", "high", "log", "step", "grid", "when"),
    "categorical": ("type", "choices", "grid", "when"),
}
TYPES_FOR: Mapping[str, tuple[Type, ...]] = {
    "float": ("float", "int", "categorical"),
    "int": ("int", "categorical"),
    "categorical": ("categorical",),
    "bool": ("categorical",),
    "any": ("float", "int", "categorical"),
}
COMPARISON = re.compile(r"\s*(>=|<=|>|<)\s*([-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)\s*")
MOST_GRID_POINTS = 10_000
_LARGEST_INT = 10**15


@dataclass(frozen=True, slots=True)
class _Draft:
    """A parameter before its conditions are looked at; None where its own keys have mistakes."""

    name: str
    parameter: Parameter | None
    when: Node | None


@dataclass(frozen=True, slots=True)
class Section:
    """What the section says: parameters (each after those that it depends on) and fixed values; ``places``: where each stands."""

    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Value]
    places: Mapping[str, Place]


def read_section(node: MappingNode, model: Family | None, problems: Problems) -> Section:
    """The section as parameters and fixed values. Without a known ``model`` names and domains are not checked."""
    drafts: dict[str, _Draft] = {}
    fixed: dict[str, Value] = {}
    places = {key.text: key.place for key, _ in node.entries}
    for key, value in node.entries:
        setting = _setting(key, model, problems)
        match value:
            case MappingNode():
                drafts[key.text] = _Draft(key.text, _Reader(key.text, value, setting, problems).parameter(), value.get("when"))
            case Scalar() if _is_value(key.text, value, setting, problems):
                fixed[key.text] = value.value
            case ListNode():
                text = "must be a range, choices or a plain value, but is a list. Write {type: categorical, choices: [...]} to search them."
                problems.add(value.place, f"{key.text}: {text}")
    conditions = {name: _conditions(draft, drafts, fixed, places, problems) for name, draft in drafts.items()}
    parameters = {name: replace(draft.parameter, when=conditions[name]) for name, draft in drafts.items() if draft.parameter is not None}
    if model is not None:
        parameters = _with_layers(parameters, fixed, places, model, problems)
    ordered = _parents_first(parameters, places, problems)
    if ordered is None:
        return Section(tuple(parameters.values()), fixed, places)
    _refuse_impossible(ordered, fixed, places, problems)
    return Section(tuple(ordered), fixed, places)


def _setting(key: Scalar, model: Family | None, problems: Problems) -> Setting | None:
    if model is None:
        return None
    setting = families.find_setting(model, key.text)
    if setting is None and not model.is_open:
        problems.add(key.place, unknown_name(model, key.text))
    return setting


def unknown_name(model: Family, name: str) -> str:
    """The sentence about a name that neither the family nor the trainer knows."""
    listed = (
        f" 'automl space show --family {model.name}' lists them."
        if model.name in families.FAMILIES
        else f" It takes {', '.join(model.settings) or 'none'}."
    )
    hint = suggestion(name, families.setting_names(model)) or listed
    return f"{name!r} is not a parameter of {model.name} or of its training.{hint}"


def _is_value(name: str, node: Scalar, setting: Setting | None, problems: Problems) -> bool:
    if node.value is None:
        problems.add(node.place, f"{name}: must be a range, choices or a plain value, but is empty.")
        return False
    return is_admitted(f"{name}: must", "", node, setting, problems)


def is_admitted(subject: str, label: str, node: Scalar, setting: Setting | None, problems: Problems) -> bool:
    """Whether the model can take the value; else the problem ``<subject> be <domain>, but <label>is <value>.``"""
    if isinstance(node.value, float) and not math.isfinite(node.value):
        problems.add(node.place, f"{subject} be finite, but {label}is {shown(node)}.")
        return False
    if setting is None or setting.admits(node.value):
        return True
    near = suggestion(str(node.value), setting.choices) if setting.kind == "categorical" else ""
    problems.add(node.place, f"{subject} be {setting.domain}, but {label}is {shown(node)}.{near}")
    return False


@dataclass(slots=True)
class _Reader:
    """Reads the keys of one parameter. A missing answer (None) means that the problem has been noted."""

    name: str
    node: MappingNode
    setting: Setting | None
    problems: Problems

    def parameter(self) -> Parameter | None:
        before = len(self.problems)
        kind = self._type()
        self._check_keys(kind)
        if kind is None:
            return None
        parameter = self._categorical() if kind == "categorical" else self._numeric(kind)
        return parameter if len(self.problems) == before else None

    def _add(self, node: Node | None, text: str) -> None:
        self.problems.add(node.place if node is not None else self.node.place, f"{self.name}: {text}")

    def _type(self) -> Type | None:
        node = self.node.get("type")
        allowed = TYPES_FOR[self.setting.kind] if self.setting else tuple(KEYS)
        kind = next((kind for kind in KEYS if isinstance(node, Scalar) and node.value == kind), None)
        if kind is None:
            near = suggestion(node.text, KEYS) if isinstance(node, Scalar) else ""
            self._add(node, f"type must be {_or(KEYS)}, but type is {shown(node)}.{near}")
        elif kind not in allowed:
            self._add(node, f"type must be {_or(allowed)}, because {self.name} is {self._domain}, but type is {kind}.")
            self.setting = None  # its domain would be answered once more for every value
        return kind

    @property
    def _domain(self) -> str:
        assert self.setting is not None
        return self.setting.domain

    def _check_keys(self, kind: Type | None) -> None:
        known = KEYS[kind] if kind else tuple(dict.fromkeys(key for keys in KEYS.values() for key in keys))
        for key, _ in self.node.entries:
            if key.text in known:
                continue
            owners = [other for other, keys in KEYS.items() if key.text in keys]
            if kind and owners:
                self._add(key, f"{key.text!r} is a key of {' and '.join(owners)} parameters, but type is {kind}. Keys: {', '.join(known)}.")
            else:
                hint = suggestion(key.text, known) or f" Keys: {', '.join(known)}."
                self._add(key, f"unknown key {key.text!r}.{hint}")

    # -- numbers --------------------------------------------------------------------------------------------------------

    def _numeric(self, kind: Type) -> Parameter | None:
        low, high = self._bound("low", kind), self._bound("high", kind)
        log = self._log()
        step = self._step() if kind == "int" else 1
        if low is None or high is None:
            return None
        low_node, high_node = self.node.get("low"), self.node.get("high")
        if log and low <= 0:
            self._add(low_node, f"low must be above 0 on a log scale, but low is {shown(low_node)}.")
            return None
        if low > high:
            self._add(low_node, f"low must not be above high, but low is {shown(low_node)} and high is {shown(high_node)}.")
            return None
        is_fine = [self._admits(label) for label in ("low", "high")]
        if not all(is_fine) or step is None:
            return None
        if kind == "float":
            float_parameter = Float(self.name, float(low), float(high), log)
            grid = self._number_grid(float_parameter)
            return replace(float_parameter, grid=None if grid is None else tuple(map(float, grid)))
        assert isinstance(low, int)
        assert isinstance(high, int)
        if not self._step_fits(low, high, step, log):
            return None
        int_parameter = Int(self.name, low, high, log, step)
        grid = self._number_grid(int_parameter)
        return replace(int_parameter, grid=None if grid is None else tuple(map(int, grid)))

    def _bound(self, label: str, kind: Type) -> float | int | None:
        node = self.node.get(label)
        if node is None:
            self._add(None, f"{label} is missing. Parameters of type {kind} need low and high.")
            return None
        return self._number(label, node, kind)

    def _number(self, label: str, node: Node, kind: Type) -> float | int | None:
        words = "a whole number" if kind == "int" else "a number"
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or (kind == "int" and not isinstance(value, int)):
            hint = " Remove the quotes." if isinstance(value, str) and COMPARISON.fullmatch(f">{value}") else ""
            self._add(node, f"{label} must be {words}, but {label} is {shown(node)}.{hint}")
            return None
        if not math.isfinite(value):
            self._add(node, f"{label} must be finite, but {label} is {shown(node)}.")
            return None
        if kind == "int" and abs(value) > _LARGEST_INT:
            self._add(node, f"{label} must be between -1e15 and 1e15, but {label} is {shown(node)}.")
            return None
        return value

    def _admits(self, label: str) -> bool:
        node = self.node.get(label)
        assert isinstance(node, Scalar)
        return is_admitted(f"{self.name}: {label} must", f"{label} ", node, self.setting, self.problems)

    def _log(self) -> bool:
        node = self.node.get("log")
        if node is None:
            return False
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        self._add(node, f"log must be true or false, but log is {shown(node)}.")
        return False

    def _step(self) -> int | None:
        node = self.node.get("step")
        if node is None:
            return 1
        if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool) and node.value >= 1:
            return node.value
        self._add(node, f"step must be a whole number of at least 1, but step is {shown(node)}.")
        return None

    def _step_fits(self, low: int, high: int, step: int, log: bool) -> bool:
        node = self.node.get("step")
        if step > 1 and log:
            self._add(node, "step and log cannot go together. Leave one of them out, or use a categorical parameter.")
            return False
        if (high - low) % step:
            last = high - (high - low) % step
            self._add(node, f"step must lead from low to high, but from {low} in steps of {step} it reaches {last} and not {high}.")
            return False
        return True

    # -- grids ----------------------------------------------------------------------------------------------------------

    def _number_grid(self, parameter: Float | Int) -> tuple[float, ...] | None:
        node = self.node.get("grid")
        match node:
            case None:
                return None
            case ListNode(items=items) if items:
                kind: Type = "int" if isinstance(parameter, Int) else "float"
                points = [self._grid_point(item, parameter, kind) for item in items]
                self._refuse_twice("grid", items)
                return tuple(point for point in points if point is not None)
            case _:
                count = self._grid_count(node)
                return parameter.spaced(count) if count else None

    def _grid_point(self, node: Node, parameter: Float | Int, kind: Type) -> float | int | None:
        point = self._number("a grid point", node, kind)
        if point is None or parameter.contains(point):
            return point
        steps = f" in steps of {parameter.step}" if isinstance(parameter, Int) and parameter.step > 1 else ""
        self._add(node, f"a grid point must lie between {parameter.low} and {parameter.high}{steps}, but a grid point is {shown(node)}.")
        return None

    def _grid_count(self, node: Node) -> int | None:
        if (
            isinstance(node, Scalar)
            and isinstance(node.value, int)
            and not isinstance(node.value, bool)
            and 1 <= node.value <= MOST_GRID_POINTS
        ):
            return node.value
        given = "an empty list" if isinstance(node, ListNode) else shown(node)
        text = f"grid must be a number of points (1 to {MOST_GRID_POINTS}) or a list of them, but grid is {given}."
        self._add(node, text)
        return None

    def _choice_grid(self, parameter: Categorical) -> tuple[Value, ...] | None:
        node = self.node.get("grid")
        match node:
            case None:
                return None
            case ListNode(items=items) if items:
                self._refuse_twice("grid", items)
                return tuple(point for item in items for point in self._choice_point(item, parameter))
            case _:
                count = self._grid_count(node)
                return parameter.spaced(count) if count else None

    def _choice_point(self, node: Node, parameter: Categorical) -> list[Value]:
        index = parameter.index(node.value) if isinstance(node, Scalar) else None
        if index is not None:
            return [parameter.choices[index]]
        near = suggestion(str(node.value), map(str, parameter.choices)) if isinstance(node, Scalar) else ""
        self._add(node, f"a grid point must be one of {words_of(parameter.choices)}, but a grid point is {shown(node)}.{near}")
        return []

    # -- choices --------------------------------------------------------------------------------------------------------

    def _categorical(self) -> Parameter | None:
        node = self.node.get("choices")
        if not isinstance(node, ListNode) or not node.items:
            what = "missing" if node is None else "an empty list" if isinstance(node, ListNode) else shown(node)
            self._add(node, f"choices must be a list of values, but choices is {what}.")
            return None
        scalars = [item for item in node.items if self._is_choice(item)]
        self._refuse_twice("choices", node.items)
        if len(scalars) != len(node.items):
            return None
        parameter = Categorical(self.name, tuple(item.value for item in scalars if isinstance(item, Scalar)))
        return replace(parameter, grid=self._choice_grid(parameter))

    def _is_choice(self, node: Node) -> bool:
        if isinstance(node, Scalar):
            return is_admitted(f"{self.name}: a choice must", "a choice ", node, self.setting, self.problems)
        self._add(node, f"a choice must be a plain value, but a choice is {shown(node)}.")
        return False

    def _refuse_twice(self, label: str, items: Sequence[Node]) -> None:
        seen: list[Value] = []
        for item in items:
            if not isinstance(item, Scalar):
                continue
            if any(item.value == other and isinstance(item.value, bool) == isinstance(other, bool) for other in seen):
                self._add(item, f"{label} must differ from each other, but {shown(item)} is there twice.")
            seen.append(item.value)


def _or(words: Mapping[Type, object] | Sequence[str]) -> str:
    *most, last = list(words)
    return f"{', '.join(most)} or {last}" if most else last


def words_of(values: Sequence[Value]) -> str:
    """``relu, gelu, tanh``; true, false and null as they are written in a file, long lists cut."""
    names = ["null" if value is None else str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    return ", ".join(names) if len(names) <= 12 else ", ".join(names[:11]) + f", ... ({len(names)} values)"


# -- conditions -------------------------------------------------------------------------------------------------------


def _conditions(
    draft: _Draft, drafts: Mapping[str, _Draft], fixed: Mapping[str, Value], places: Mapping[str, Place], problems: Problems
) -> tuple[Condition, ...]:
    """What the parameter's ``when`` says, all of which must hold."""
    name, node = draft.name, draft.when
    if node is None:
        return ()
    if not isinstance(node, MappingNode):
        problems.add(node.place, f"{name}: when must be a mapping such as {{optimizer: sgd}}, but when is {shown(node)}.")
        return ()
    conditions: list[Condition] = []
    for key, value in node.entries:
        parent = drafts[key.text].parameter if key.text in drafts else None
        if key.text not in places:
            near = suggestion(key.text, places) or " Add it to the space."
            problems.add(key.place, f"{name}: when speaks of {key.text!r}, but the space has no such parameter.{near}")
        elif key.text == name:
            problems.add(key.place, f"{name}: when must speak of other parameters, but speaks of {name} itself.")
        elif parent is not None or key.text in fixed:
            condition = _condition(name, key.text, value, parent, problems)
            conditions += [condition] if condition else []
    return tuple(conditions)


def _condition(name: str, parent_name: str, node: Node, parent: Parameter | None, problems: Problems) -> Condition | None:
    """``sgd``, ``[sgd, rmsprop]`` or ``">= 2"``. ``parent`` is None where a fixed value stands."""
    items = node.items if isinstance(node, ListNode) else (node,)
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip()[:1] in ("<", ">", "=", "!"):
        match = COMPARISON.fullmatch(node.value)
        if match:
            return Condition(parent_name, match[1], (_number(match[2]),))
        problems.add(
            node.place, f"{name}: when compares like '>= 2' (with >=, <=, > or < and a number), but {parent_name} is given {shown(node)}."
        )
        return None
    if not items:
        problems.add(node.place, f"{name}: when needs a value of {parent_name}, but the list is empty.")
        return None
    values = [_condition_value(name, parent_name, item, parent, problems) for item in items]
    found = tuple(value for each in values for value in each)
    return Condition(parent_name, "in", found) if len(found) == len(items) else None


def _condition_value(name: str, parent_name: str, node: Node, parent: Parameter | None, problems: Problems) -> list[Value]:
    if not isinstance(node, Scalar):
        text = "when takes a value, a list of values or a comparison such as '>= 2'"
        problems.add(node.place, f"{name}: {text}, but {parent_name} is given {shown(node)}.")
        return []
    value = node.value
    if isinstance(parent, Float) and parent.low != parent.high:
        text = f"when must compare {parent_name} (such as '> {parent.low:g}'), because it is a range of numbers"
        problems.add(node.place, f"{name}: {text}, but it is given {shown(node)}.")
        return []
    if parent is None or parent.contains(value):
        index = parent.index(value) if isinstance(parent, Categorical) else None
        return [parent.choices[index] if isinstance(parent, Categorical) and index is not None else value]
    near = suggestion(str(value), map(str, parent.choices)) if isinstance(parent, Categorical) else ""
    problems.add(node.place, f"{name}: when needs {parent_name} to be {range_words(parent)}, but it is given {shown(node)}.{near}")
    return []


def _number(text: str) -> float | int:
    return int(text) if re.fullmatch(r"[-+]?[0-9]{1,18}", text) else float(text)


def range_words(parameter: Parameter) -> str:
    """``0.0 to 0.5``, ``1 to 9 in steps of 2``, ``one of sgd, adam``."""
    match parameter:
        case Categorical(choices=choices):
            return f"one of {words_of(choices)}"
        case Int(low=low, high=high, step=step) if step > 1:
            return f"{low} to {high} in steps of {step}"
        case _:
            return f"{parameter.low} to {parameter.high}"


def _with_layers(
    parameters: Mapping[str, Parameter], fixed: Mapping[str, Value], places: Mapping[str, Place], model: Family, problems: Problems
) -> dict[str, Parameter]:
    """``units_2`` and its like exist only where ``layers >= 2``: the condition is added, unless it always holds."""
    result = dict(parameters)
    for name in [*parameters, *fixed]:
        layer = families.layer_of(model, name)
        if layer is None or (layer[0] in places and layer[0] not in parameters and layer[0] not in fixed):
            continue
        count, number = layer
        counter = parameters.get(count)
        least, most, words = _layers(counter, fixed, model, count)
        if most < number:
            problems.add(places[name], f"{name} exists only where {count} >= {number}, but {count} is {words}.")
        elif name in result:
            implied = Condition(count, ">=", (number,))
            when = tuple(condition for condition in result[name].when if condition != implied)
            always = least >= number and (counter is None or not counter.when)
            result[name] = replace(result[name], when=when if always else (*when, implied))
    return result


def _layers(counter: Parameter | None, fixed: Mapping[str, Value], model: Family, count: str) -> tuple[float, float, str]:
    """The smallest and largest number of layers, and that in words."""
    match counter:
        case None:
            default = model.settings[count].default
            value = fixed.get(count, default)
            assert isinstance(value, int)
            return value, value, f"{value}" if count in fixed else f"{value} (its default; add {count} to the space)"
        case Categorical(choices=choices):
            numbers = [choice for choice in choices if isinstance(choice, int)]
            return min(numbers), max(numbers), f"at most {max(numbers)}"
        case _:
            return counter.low, counter.high, f"at most {counter.high}"


def _parents_first(parameters: Mapping[str, Parameter], places: Mapping[str, Place], problems: Problems) -> list[Parameter] | None:
    """The parameters in the order of the file, but each after those that its conditions speak of. None where they go in a circle."""
    done: dict[str, Parameter] = {}
    path: list[str] = []
    is_circular = False

    def visit(name: str) -> None:
        nonlocal is_circular
        if name in done or name not in parameters:
            return
        if name in path:
            circle = [*path[path.index(name) :], name]
            is_circular = True
            problems.add(places[name], f"{name}: conditions must not go in a circle, but {' depends on '.join(circle)}.")
            return
        path.append(name)
        for condition in parameters[name].when:
            visit(condition.parent)
        path.pop()
        done[name] = parameters[name]

    for name in parameters:
        visit(name)
    return None if is_circular else list(done.values())


def _refuse_impossible(
    parameters: Sequence[Parameter], fixed: Mapping[str, Value], places: Mapping[str, Place], problems: Problems
) -> None:
    """Conditions that no configuration fulfils, each on its own or together with those of the parents."""
    by_name = {parameter.name: parameter for parameter in parameters}
    impossible: set[str] = set()
    for parameter in parameters:
        if any(condition.parent in impossible for condition in parameter.when):
            continue  # said once, of the parent
        everything = _all_conditions(parameter, by_name)
        for parent in dict.fromkeys(condition.parent for condition in everything):
            tests = [condition for condition in everything if condition.parent == parent]
            if not _is_possible(by_name.get(parent), parent, tests, fixed):
                impossible.add(parameter.name)
                words = range_words(by_name[parent]) if parent in by_name else f"fixed to {words_of([fixed[parent]])}"
                needed = " and ".join(dict.fromkeys(str(condition) for condition in tests))
                problems.add(places[parameter.name], f"{parameter.name}: when can never hold: it needs {needed}, but {parent} is {words}.")
                break


def _all_conditions(parameter: Parameter, by_name: Mapping[str, Parameter]) -> list[Condition]:
    """The parameter's conditions and those of all its parents."""
    found: dict[Condition, None] = {}
    names, seen = [parameter.name], {parameter.name}
    while names:
        for condition in by_name[names.pop()].when:
            found.setdefault(condition)
            if condition.parent in by_name and condition.parent not in seen:
                seen.add(condition.parent)
                names.append(condition.parent)
    return list(found)


def _is_possible(parent: Parameter | None, name: str, tests: Sequence[Condition], fixed: Mapping[str, Value]) -> bool:
    """Whether the parent has a value with which all the tests hold."""
    match parent:
        case None:
            return name not in fixed or all(test.holds({name: fixed[name]}) for test in tests)
        case Categorical(choices=choices):
            candidates: Sequence[Value] = choices
        case _:
            listed = [value for test in tests if test.operator == "in" for value in test.values]
            candidates = listed or _edges(parent, tests)
    return any(parent.contains(value) and all(test.holds({name: value}) for test in tests) for value in candidates)


def _edges(parent: Float | Int, tests: Sequence[Condition]) -> list[Value]:
    """Values of the range of which one fulfils all comparisons, if any value does: the ends, and those at and beside each bound."""
    bounds = [float(test.values[0]) for test in tests if isinstance(test.values[0], int | float)]
    if isinstance(parent, Float):
        marks = sorted({parent.low, parent.high, *(bound for bound in bounds if parent.low <= bound <= parent.high)})
        return [*marks, *((a + b) / 2 for a, b in itertools.pairwise(marks))]
    last = (parent.high - parent.low) // parent.step
    clipped = [min(max(bound, parent.low), parent.high) for bound in bounds]
    indices = {0, last, *(math.floor((bound - parent.low) / parent.step) + by for bound in clipped for by in (-1, 0, 1))}
    return [parent.low + index * parent.step for index in sorted(indices) if 0 <= index <= last]
