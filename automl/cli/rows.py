"""Tables of very many rows for a terminal or a pipe, in the looks of rich's, which take it a millisecond a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_LEAST_ROOM = 10  # columns for words that are folded


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of plain text under their ``columns``; those whose index is in ``numbers`` stand at the right. Row ``bold`` is set off.

    ``gap``: blanks between columns. What does not fit a terminal is folded in the last column.
    """

    columns: Sequence[str]
    cells: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    bold: int | None = None
    gap: int = 3

    @property
    def width(self) -> int:
        """How wide its lines are where none is folded."""
        return _width(_widths(self), self.gap)


def print_rows(console: Console, rows: Rows) -> None:
    """As wide as they are where there is no terminal."""
    widths = _widths(rows)
    room = max(_LEAST_ROOM, console.width - _width(widths[:-1], rows.gap) - rows.gap)
    if console.is_terminal:
        widths = [*widths[:-1], min(widths[-1], room)]
    rule = ("-" if console.options.ascii_only else "─") * _width(widths, rows.gap)
    _print(console, [*_lines(rows.columns, widths, rows, console), rule], "bold")
    plain: list[str] = []
    for index, row in enumerate(rows.cells):
        lines = _lines(row, widths, rows, console)
        if index == rows.bold:
            _print(console, plain, "")
            _print(console, list(lines), "bold")
            plain = []
        else:
            plain += lines
    _print(console, plain, "")


def _widths(rows: Rows) -> list[int]:
    return [max(map(cell_len, (name, *column))) for name, column in zip(rows.columns, zip(*rows.cells, strict=True), strict=True)]


def _width(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _lines(row: Sequence[str], widths: Sequence[int], rows: Rows, console: Console) -> Iterator[str]:
    """A row; of words that are folded the second line and those after it stand under the first."""
    *others, last = (cell if cell.isprintable() else _printable(cell) for cell in row)
    placed = enumerate(zip(others, widths[:-1], strict=True))
    head = "".join(_padded(cell, width, index in rows.numbers) + " " * rows.gap for index, (cell, width) in placed)
    if cell_len(last) <= widths[-1]:
        yield (head + _padded(last, widths[-1], len(others) in rows.numbers)).rstrip()
        return
    for index, line in enumerate(Text(last).wrap(console, widths[-1], overflow="fold")):
        yield ((head if not index else " " * cell_len(head)) + line.plain).rstrip()


def _padded(cell: str, width: int, is_number: bool) -> str:
    blanks = " " * (width - cell_len(cell))
    return blanks + cell if is_number else cell + blanks


def _printable(cell: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in cell)


def _print(console: Console, lines: Sequence[str], style: str) -> None:
    if lines:
        console.print(Text("\n".join(lines), style), soft_wrap=True)
