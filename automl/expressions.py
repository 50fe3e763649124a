"""The small language of ``forbid`` and ``require``: comparisons, ``and or not``, arithmetic, names and literals.

It is parsed with Python's own parser, checked node by node against a short list, and evaluated by walking the tree: nothing
is ever passed to ``eval``. A comparison in which an inactive parameter takes part says nothing: it is false in ``forbid`` and true in
``require`` (and the other way round under ``not``), so that neither excludes a configuration for a parameter that it does not have.
``true``, ``false`` and ``null`` mean what they mean in the file.
"""

from __future__ import annotations

import ast
import itertools
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from automl.events import Value

_LITERALS: dict[str, Value] = {"true": True, "false": False, "null": None}
_LANGUAGE = "comparisons, and, or, not, + - * / // %, names, numbers and texts"
_LONGEST = 1000
_DEEPEST = 40

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class ExpressionError(ValueError):
    """An expression that the language does not have; the message says which part."""


class _InactiveError(Exception):
    """A parameter of the comparison is not active in this configuration."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression. ``names`` are the parameters it speaks of, in the order of their first use."""

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Raises ExpressionError with what is wrong and what the language has."""
        if len(text) > _LONGEST:
            raise ExpressionError(f"an expression may have at most {_LONGEST} characters, but this one has {len(text)}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python warns of odd but valid texts, such as unknown escapes
                tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            hint = "; values are compared with ==" if re.search(r"(?<![<>=!])=(?!=)", text) else ""
            raise ExpressionError(f"{text!r} is not an expression such as 'layers >= 2'{hint}") from None
        names: dict[str, None] = {}
        _check(tree, text.strip(), names, 0)
        if not isinstance(tree, ast.Compare | ast.BoolOp) and not (isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not)):
            raise ExpressionError(f"{text!r} must be a comparison, such as 'layers >= 2'")
        return cls(text.strip(), tuple(names), tree)

    def holds(self, values: Mapping[str, Value], *, inactive: bool = False) -> bool:
        """Whether the expression is true for these values.

        Parameters that are not in ``values`` are inactive; a comparison with one of them counts as ``inactive``.
        """
        return _truth(self._tree, values, inactive)

    def mismatch(self, known: Mapping[str, Iterable[Value]]) -> str:
        """What is wrong with a comparison of a number with a text, which says nothing; empty where there is none.

        ``known``: what each name may be. Of names that may be both, or are not there, nothing is said.
        """
        kinds = {name: kind for name, values in known.items() if (kind := _kind(values))}
        for name, value in _compared_with(self._tree):
            own, other = kinds.get(name, ""), _kind([value])
            if own and other and own != other:
                such = {"number": "a number", "text": "a text in quotes"}[own]
                return f"{name!r} is a {own}, but is compared with the {other} {value!r}. Compare it with {such}"
        return ""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Expression.parse, (self.text,))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def _kind(values: Iterable[Value]) -> str:
    """``number`` or ``text``, where all are so; true and false count as numbers, null as neither."""
    kinds = {"text" if isinstance(value, str) else "number" for value in values if value is not None}
    return kinds.pop() if len(kinds) == 1 else ""


def _compared_with(tree: ast.expr) -> Iterator[tuple[str, Value]]:
    """Names, each with a value that it is compared with."""
    for node in ast.walk(tree):
        terms = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        for one, other in itertools.pairwise(terms):
            for name, literal in ((one, other), (other, one)):
                if isinstance(name, ast.Name):
                    yield from ((name.id, value) for value in _literals(literal))


def _literals(node: ast.expr) -> Iterator[Value]:
    """The values that stand here as such, by themselves or in a list."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            yield value
        case ast.Name(id=name) if name in _LITERALS:
            yield _LITERALS[name]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            for element in elements:
                yield from _literals(element)


def _check(node: ast.AST, text: str, names: dict[str, None], depth: int) -> None:
    if depth > _DEEPEST:
        raise ExpressionError(f"an expression may be nested at most {_DEEPEST} deep")
    match node:
        case ast.BoolOp(values=values):
            children: list[ast.AST] = list(values)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
            children = [operand]
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in _COMPARISONS for op in ops):
            children = [left, *comparators]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            children = [left, right]
        case ast.Name(id=name):
            if name not in _LITERALS:
                names.setdefault(name)
            children = []
        case ast.Constant(value=bool() | int() | float() | str() | None):
            children = []
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            children = list(elements)
        case _:
            part = ast.get_source_segment(text, node) if isinstance(node, ast.expr) else None
            raise ExpressionError(f"{(part or text)!r} is not part of the language, which has {_LANGUAGE}")
    for child in children:
        _check(child, text, names, depth + 1)


def _truth(node: ast.expr, values: Mapping[str, Value], inactive: bool | None) -> bool:
    """Whether ``node`` is true; with ``inactive`` None a comparison with an inactive parameter raises _InactiveError."""
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_truth(part, values, inactive) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_truth(part, values, inactive) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(operand, values, None if inactive is None else not inactive)
    try:
        return _compared(node, values) if isinstance(node, ast.Compare) else bool(_term(node, values))
    except _InactiveError:
        if inactive is None:
            raise
        return inactive
    except (TypeError, ZeroDivisionError, OverflowError):
        return False


def _compared(node: ast.Compare, values: Mapping[str, Value]) -> bool:
    terms = [_term(term, values) for term in (node.left, *node.comparators)]
    return all(_COMPARISONS[type(op)](a, b) for op, (a, b) in zip(node.ops, itertools.pairwise(terms), strict=True))


def _term(node: ast.expr, values: Mapping[str, Value]) -> Any:
    match node:
        case ast.Name(id=name):
            if name in values:
                return values[name]
            if name in _LITERALS:
                return _LITERALS[name]
            raise _InactiveError
        case ast.Constant(value=value):
            return value
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return tuple(_term(element, values) for element in elements)
        case ast.BinOp(left=left, op=op, right=right):
            terms = _term(left, values), _term(right, values)
            if not all(isinstance(term, int | float) for term in terms):
                raise TypeError("arithmetic is for numbers")
            return _ARITHMETIC[type(op)](*terms)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_term(operand, values)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return +_term(operand, values)
        case _:
            return _truth(node, values, None)
