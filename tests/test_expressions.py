"""The language of forbid and require: what it says, what it refuses, and that no text and no value harms it."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from automl.expressions import Expression, ExpressionError

VALUES: dict[str, Any] = {"layers": 3, "units": 64, "optimizer": "sgd", "nesterov": True, "rate": 0.1}
LANGUAGE = "comparisons, and, or, not, + - * / // %, names, numbers and texts"


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("layers == 3", True),
        ("layers != 3", False),
        ("layers > 2", True),
        ("layers < 3", False),
        ("layers >= 3", True),
        ("layers <= 2", False),
        ("2 < layers < 4", True),
        ("3 < layers < 9", False),
        ("optimizer == 'sgd'", True),
        ('optimizer in ["adam", "sgd"]', True),
        ("optimizer not in ('adam', 'sgd')", False),
        ("layers * units == 192", True),
        ("units / layers > 21 and units % layers == 1", True),
        ("units // layers == 21", True),
        ("layers - 4 == -1", True),
        ("+layers == 3", True),
        ("layers > 5 or rate < 1", True),
        ("not layers > 5", True),
        ("nesterov and layers > 1", True),
        ("not nesterov", False),
        ("nesterov == true", True),
        ("nesterov == false or nesterov == null", False),
        ("nesterov == True", True),
        ("(layers > 1) == true", True),
        ("(layers > 1) + 1 == 2", True),
    ],
)
def test_what_expressions_say(text: str, truth: bool) -> None:
    assert Expression.parse(text).holds(VALUES) == truth


def test_names_in_the_order_of_their_first_use() -> None:
    assert Expression.parse("b > 1 and (a < b or c == 'd') and true").names == ("b", "a", "c")


@pytest.mark.parametrize(
    "text",
    [
        "absent > 1",
        "1 > absent",
        "absent == absent",
        "not absent > 1",
        "not (absent > 1 or layers > 5)",
        "absent and layers > 1",
        "layers + absent > 1",
        "(absent > 1) == true",
        "layers in [absent]",
        "not not absent > 1",
    ],
)
def test_a_comparison_with_an_inactive_parameter_excludes_nothing(text: str) -> None:
    """Not forbidden, and not in want of anything, under ``not`` as well."""
    assert not Expression.parse(text).holds(VALUES)
    assert Expression.parse(text).holds(VALUES, inactive=True)


@pytest.mark.parametrize(
    "text", ["optimizer > 1", "layers in 3", "optimizer * 3 == 'sgdsgdsgd'", "layers / 0 > 1", "layers % 0 == 1", "-optimizer == 1"]
)
def test_a_comparison_that_makes_no_sense_is_false(text: str) -> None:
    assert not Expression.parse(text).holds(VALUES)
    assert not Expression.parse(text).holds(VALUES, inactive=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers >", "'layers >' is not an expression such as 'layers >= 2'"),
        ("", "'' is not an expression such as 'layers >= 2'"),
        ("layers = 3", "'layers = 3' is not an expression such as 'layers >= 2'; values are compared with =="),
        ("layers", "'layers' must be a comparison, such as 'layers >= 2'"),
        ("-layers", "'-layers' must be a comparison, such as 'layers >= 2'"),
        ("layers + 1", "'layers + 1' must be a comparison, such as 'layers >= 2'"),
        ("layers ** 9 > 1", f"'layers ** 9' is not part of the language, which has {LANGUAGE}"),
        ("f(layers) > 1", f"'f(layers)' is not part of the language, which has {LANGUAGE}"),
        ("a.b > 1", f"'a.b' is not part of the language, which has {LANGUAGE}"),
        ("a[0] > 1", f"'a[0]' is not part of the language, which has {LANGUAGE}"),
        ("a is b", f"'a is b' is not part of the language, which has {LANGUAGE}"),
        ("a > 1j", f"'1j' is not part of the language, which has {LANGUAGE}"),
        ("a << 3 > 1", f"'a << 3' is not part of the language, which has {LANGUAGE}"),
        ("[x for x in a] == 1", f"'[x for x in a]' is not part of the language, which has {LANGUAGE}"),
        ("a == f'{b}'", f"\"f'{{b}}'\" is not part of the language, which has {LANGUAGE}"),
        ("a == 1" + " " * 995, "an expression may have at most 1000 characters, but this one has 1001"),
        ("not " * 45 + "a == 1", "an expression may be nested at most 40 deep"),
        ("a == '\0'", "\"a == '\\x00'\" is not an expression such as 'layers >= 2'"),
    ],
)
def test_what_is_not_in_the_language(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=f"^{re.escape(message)}$"):
        Expression.parse(text)


names = st.sampled_from([*VALUES, "absent"])
values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**300))
operands = st.one_of(names, st.integers(-9, 9).map(str), st.sampled_from(["'a'", "1e308", "9" * 60, "[1, 'a']", "()", "null"]))
terms = st.recursive(
    operands, lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(" ".join), max_leaves=6
)
comparisons = st.tuples(terms, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]), terms).map(" ".join)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map("({0[0]} {0[1]} {0[2]})".format), inner.map("not ({})".format)
    ),
    max_leaves=4,
)


MAY_BE = {"layers": [1, 3], "use_bias": [True, False], "optimizer": ["adam", "sgd"], "momentum": [None, 0.5], "mixed": [1, "a"]}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("layers > 'a'", "'layers' is a number, but is compared with the text 'a'. Compare it with a number"),
        ("3 <= optimizer", "'optimizer' is a text, but is compared with the number 3. Compare it with a text in quotes"),
        (
            "not (layers > 2 and optimizer in ['sgd', 1])",
            "'optimizer' is a text, but is compared with the number 1. Compare it with a text in quotes",
        ),
        ("use_bias == 'true'", "'use_bias' is a number, but is compared with the text 'true'. Compare it with a number"),
        ("1 < layers < 'b'", "'layers' is a number, but is compared with the text 'b'. Compare it with a number"),
        ("momentum == 'no'", "'momentum' is a number, but is compared with the text 'no'. Compare it with a number"),
        ("layers > 2 or optimizer == 'adam' or use_bias == true or momentum == null or optimizer == null", ""),
        ("mixed == 'a' or mixed > 0 or unknown == 'a' or layers == optimizer or layers + 1 == 2", ""),
    ],
)
def test_comparisons_of_numbers_with_texts_are_told(text: str, wrong: str) -> None:
    assert Expression.parse(text).mismatch(MAY_BE) == wrong


@settings(max_examples=300, deadline=None)
@given(expressions, st.dictionaries(st.sampled_from([*VALUES]), values))
@example("'a' * 1000000000 == 'b'", {})
@example("layers * layers * layers * layers > 1", {"layers": 10**300})
@example("layers * 1.5 > 1", {"layers": 10**400})
def test_every_expression_of_the_language_has_a_truth_for_all_values(text: str, configuration: dict[str, Any]) -> None:
    assume(len(text) <= 1000)
    rule = Expression.parse(text)
    assert isinstance(rule.holds(configuration), bool)
    assert isinstance(rule.holds(configuration, inactive=True), bool)
    assert set(rule.names) <= {*VALUES, "absent"}


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text("ab01 '\"()[]+-*/%<>=!,.:\\\n\t#", max_size=60)))
@example("(" * 400)
@example("-" * 900 + "1 == 1")
@example("f(" + "-" * 900 + "1) == 1")
@example("'\\d' == 1or 2")
@example("\ud800 == 1")
def test_arbitrary_texts_are_refused_with_expression_errors(text: str) -> None:
    try:
        Expression.parse(text).holds(VALUES)
    except ExpressionError as error:
        message = str(error)
    else:
        message = ""
    assert "\x00" not in message


def test_expressions_are_values() -> None:
    rule = Expression.parse(" layers > 1 ")
    assert rule == Expression.parse("layers > 1") == pickle.loads(pickle.dumps(rule))
    assert len({rule, Expression.parse("layers > 1"), Expression.parse("layers > 2")}) == 2
