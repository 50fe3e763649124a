"""Charts of characters: what is highest stands highest, and nothing is wider than it was allowed to be."""

from __future__ import annotations

import math

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from automl.cli.charts import Series, plot, sampled, sparkline

NUMBERS = st.lists(st.floats(-1e12, 1e12) | st.just(math.nan) | st.just(math.inf), max_size=300)


def test_a_sparkline_rises_where_the_values_do_and_leaves_gaps() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 10) == "▁▂▃▄▅▆▇█"
    assert sparkline([math.nan, 1, math.nan, 2], 10) == " ▁ █"
    assert sparkline([3, 3], 10) == "▅▅"
    assert sparkline([0, 7], 10, ascii_only=True) == "_#"
    assert sparkline([math.nan], 10) == ""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NUMBERS, st.integers(1, 100))
def test_a_sparkline_is_no_wider_than_its_room_and_keeps_both_ends(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) <= width
    if len(values) > width > 1:
        shown = sampled(values, width)
        assert (repr(shown[0]), repr(shown[-1]), len(shown)) == (repr(values[0]), repr(values[-1]), width)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NUMBERS, st.integers(0, 120), st.integers(0, 30), st.booleans(), st.sampled_from(["", "lines", "steps"]))
@example([0.0, *[-1e11] * 9, 0.0], 26, 4, False, "")  # with room for the points, and not for the word below them
def test_a_plot_keeps_to_its_room(values: list[float], width: int, height: int, ascii_only: bool, joined: str) -> None:
    lines = plot([Series(range(len(values)), values, "green", joined)], width, height, "epoch", ascii_only)
    assert len(lines) in (0, height)
    assert all(line.cell_len <= width for line in lines)
    assert not ascii_only or all(line.plain.isascii() for line in lines)


def test_a_plot_shows_a_rise_with_its_ends_named() -> None:
    lines = [line.plain for line in plot([Series([1, 2, 3], [0.0, 0.5, 1.0], "")], 21, 5, "epoch", ascii_only=True)]
    assert [line.rstrip() for line in lines] == [
        "1 |                 *",
        "  |        *",
        "0 |*",
        "  +------------------",
        "   1          epoch 3",
    ]


def test_a_value_that_holds_until_the_next_is_drawn_as_a_step() -> None:
    lines = [line.plain.rstrip() for line in plot([Series([0, 1], [0.0, 1.0], "", "steps")], 13, 5, "n", ascii_only=True)]
    assert lines[:3] == ["1 |         *", "  |         *", "0 |**********"]
