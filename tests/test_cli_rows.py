"""Tables of very many rows: what they look like, and that a row costs next to nothing."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from types import FrameType

import pytest
from rich.cells import cell_len
from rich.console import Console

from automl.cli.rows import Rows, print_rows

COLUMNS = ("trial", "state", "words")


def printed(rows: Rows, width: int | None = None, **more: bool) -> list[str]:
    """On a terminal of this width, or where there is none."""
    console = Console(file=io.StringIO(), width=width, force_terminal=width is not None, no_color=True, **more)  # type: ignore[arg-type]
    print_rows(console, rows)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def rows(*cells: Sequence[str], bold: int | None = None) -> Rows:
    return Rows(COLUMNS, cells, (0,), bold)


def test_numbers_stand_at_the_right_and_words_at_the_left() -> None:
    found = rows(("7", "pruned", "a, b"), ("*1234567", "complete", ""))
    assert printed(found) == [
        "   trial   state      words",
        "───────────────────────────",
        "       7   pruned     a, b",
        "*1234567   complete",
    ]
    assert found.width == 27


def test_the_row_that_is_set_off_is_bold_on_a_terminal_alone() -> None:
    found = rows(("1", "a", "b"), ("2", "c", "d"), ("3", "e", "f"), bold=1)
    assert [line for line in printed(found, 40) if line.startswith("\x1b[1m    2")] == ["\x1b[1m    2   c       d\x1b[0m"]
    assert printed(found)[2:] == ["    1   a       b", "    2   c       d", "    3   e       f"]


def test_words_that_do_not_fit_are_folded_under_each_other() -> None:
    found = rows(("1", "complete", "units 32, momentum 0.9, 日本語日本語日本語日本語日本語"), ("2", "lost", ""))
    lines = printed(found, 40)[2:]
    assert [line.split("complete")[-1].strip() for line in lines] == [
        "units 32, momentum",
        "0.9,",
        "日本語日本語日本語日",
        "本語日本語",
        "2   lost",
    ]
    assert {line.index(line.strip()) for line in lines[1:4]} == {19}
    assert max(map(cell_len, lines)) <= 40


def test_text_is_shown_as_it_is() -> None:
    """Brackets and colons are nothing to rich; what would end a line, or move the cursor, is a blank."""
    assert printed(rows(("1", "[/x]", ":x: [relu]"), ("2", "a\nb", "c\rd\x1b[0m")))[2:] == [
        "    1   [/x]    :x: [relu]",
        "    2   a b     c d [0m",
    ]


def test_wide_characters_take_two_columns() -> None:
    assert printed(rows(("1", "日本", "x"), ("2", "ab", "y")))[2:] == ["    1   日本    x", "    2   ab      y"]


def test_a_row_costs_a_few_calls() -> None:
    """Rich's own tables take thousands for each."""

    def calls(count: int) -> int:
        found, seen = rows(*(("7", "pruned", f"units {number}") for number in range(count))), 0

        def note(frame: FrameType, event: str, argument: object) -> None:
            nonlocal seen
            seen += event == "call"

        sys.setprofile(note)
        try:
            printed(found)
        finally:
            sys.setprofile(None)
        return seen

    assert (calls(1500) - calls(500)) / 1000 < 50


@pytest.mark.parametrize(("encoding", "rule"), [("utf-8", "─"), ("ascii", "-")])
def test_the_rule_can_be_written_everywhere(encoding: str, rule: str) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_rows(Console(file=file), rows(("1", "a", "b")))
    file.seek(0)
    assert file.read().splitlines()[1] == rule * 21
