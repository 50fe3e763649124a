"""A page of HTML in one file: text, tables and plotly figures, with everything in it that they need and nothing from anywhere else.

Whoever has something to show makes a ``Document`` of plain values and writes what ``render`` returns. All text is escaped here, and a
Content-Security-Policy keeps the page from fetching anything, whatever is in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.page.palette import DARK

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

_ASSETS = Path(__file__).parent / "assets"
_MANY_COLUMNS = 15  # fit on paper only with broken words
_FIRST_ROWS = 20  # of a data table, for where scripts do not run


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. ``is_note``: a smaller one beside the point."""

    text: str
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that stands out. ``note``: a line of explanation."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Numbers side by side."""

    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class Figure:
    """A plotly figure. ``name`` is unique on the page and made of letters, digits and dashes.

    ``alternative`` says in words what it shows, for those who cannot see it; ``caption`` is what everybody reads below it. Below
    ``least_width`` pixels it scrolls sideways.
    """

    name: str
    title: str
    figure: PlotlyFigure
    caption: str = ""
    alternative: str = ""
    least_width: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Figures side by side where there is room: small ones, or two larger ones (``is_pair``)."""

    figures: Sequence[Figure]
    is_pair: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, a line each."""

    caption: str
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """A small table that stays as it is. ``numbers`` are the positions of the columns that hold numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class DataTable:
    """A table that is sorted, filtered and turned over by its reader; any number of rows.

    ``keys`` gives columns numbers to sort by where those in the cells are rounded. ``state`` is the column that a menu chooses from,
    ``sort`` the one that it is sorted by at first (``is_falling``: greatest first), ``marked`` are rows that stand out, ``what`` names
    the rows (``trials``). Empty cells always come last.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    keys: Mapping[int, Sequence[float | None]] = field(default_factory=dict)
    state: int | None = None
    sort: int = 0
    is_falling: bool = False
    marked: Sequence[int] = ()
    what: str = "rows"
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Text to copy, as it is. ``label`` says what it is; ``is_command``: short, and broken where it is too long for the line."""

    label: str
    text: str
    is_command: bool = False


@dataclass(frozen=True, slots=True)
class Folded:
    """Blocks behind a line that opens them."""

    summary: str
    blocks: Sequence[Block]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """Blocks in a frame under a small heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Stack:
    """Blocks one below the other, as one of several ``Columns``."""

    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Columns:
    """Blocks side by side where there is room."""

    blocks: Sequence[Block]


Block = Text | Points | Tiles | Figure | Group | Facts | Table | DataTable | Code | Folded | Card | Stack | Columns


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page. ``anchor`` is unique on the page; one without a ``title`` stands at the top and not in the list of sections."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """A page. ``kind`` says what it is of (``Study``), ``lead`` says in a sentence what came out, ``under`` more about it."""

    kind: str
    title: str
    lead: str
    sections: Sequence[Section]
    under: str = ""
    footer: str = ""


def render(document: Document) -> str:
    """The page as HTML."""
    first, plotly, own = asset("first.js"), asset("plotly-cartesian.min.js"), asset("page.js")
    has_figures = any(True for section in document.sections for block in section.blocks for _ in _figures(block))
    scripts = [first, *([plotly] if has_figures else []), own]
    titled = [section for section in document.sections if section.title]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="generator" content="automl">\n<link rel="icon" href="data:,">',
            f"<title>{escape(document.title)} · {escape(document.kind.lower())}</title>",
            f"<style>\n{asset('page.css')}</style>\n<script>{first}</script>\n</head>\n<body>",
            '<a class="skip" href="#content">To the content</a>',
            '<div class="bar"><div class="wide"><nav aria-label="Sections"><ul>',
            *(f'<li><a href="#{section.anchor}">{escape(section.title)}</a></li>' for section in titled),
            '</ul></nav><button type="button" class="theme">Colours</button></div></div>',
            '<main id="content" class="wide">\n<header class="head">',
            f'<p class="kind">{escape(document.kind)}</p>\n<h1>{escape(document.title)}</h1>\n<p class="lead">{escape(document.lead)}</p>',
            *([f'<p class="under">{escape(document.under)}</p>'] if document.under else []),
            "</header>\n<noscript><p>Figures and sorting need JavaScript, which is off here. Everything is in this file.</p></noscript>",
            *(_section(section) for section in document.sections),
            f"<footer>{escape(document.footer)}</footer>\n</main>" if document.footer else "</main>",
            f'<script type="application/json" id="themes">{_json(DARK)}</script>',
            *([f"<script>{plotly}</script>"] if has_figures else []),
            f"<script>{own}</script>\n</body>\n</html>\n",
        ]
    )


@cache
def asset(name: str) -> str:
    """The content of a file that comes with the pages."""
    return (_ASSETS / name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """No source for anything but what is in the page; scripts by their hashes, so that nothing that a study holds could ever run."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"


def _json(value: Any) -> str:
    return in_script(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def in_script(text: str) -> str:
    """JSON as it may stand in a script element."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _figures(block: Block) -> Iterator[Figure]:
    match block:
        case Figure():
            yield block
        case Group(figures=figures):
            yield from figures
        case Folded(blocks=blocks) | Card(blocks=blocks) | Stack(blocks=blocks) | Columns(blocks=blocks):
            for each in blocks:
                yield from _figures(each)


# -- the parts --------------------------------------------------------------------------------------------------------


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    if not section.title:
        return f'<section class="first" id="{section.anchor}">\n{blocks}\n</section>'
    heading = f'<h2 id="{section.anchor}-title">{escape(section.title)}</h2>'
    return f'<section id="{section.anchor}" aria-labelledby="{section.anchor}-title">\n{heading}\n{blocks}\n</section>'


def _block(block: Block) -> str:
    match block:
        case Text(text=text, is_note=is_note):
            return f'<p class="note">{escape(text)}</p>' if is_note else f"<p>{escape(text)}</p>"
        case Points(items=items):
            return f'<ul class="points">{"".join(f"<li>{escape(item)}</li>" for item in items)}</ul>'
        case Tiles(tiles=tiles):
            return f'<dl class="tiles">{"".join(map(_tile, tiles))}</dl>'
        case Figure():
            return _figure(block)
        case Group(figures=figures, is_pair=is_pair):
            return f'<div class="group{" two" if is_pair else ""}">{"".join(map(_figure, figures))}</div>'
        case Facts(caption=caption, rows=rows):
            lines = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
            return f'<div class="card scroll"><table class="facts"><caption>{escape(caption)}</caption><tbody>{lines}</tbody></table></div>'
        case Table():
            return _table(block)
        case DataTable():
            return _data_table(block)
        case Code(label=label, text=text, is_command=is_command):
            return (
                f'<p class="note">{escape(label)}</p><div class="code{" short" if is_command else ""}">'
                f'<pre tabindex="0" aria-label="{escape(label)}">{escape(text)}</pre><button type="button">Copy</button></div>'
            )
        case Folded(summary=summary, blocks=blocks, is_open=is_open):
            return f"<details{' open' if is_open else ''}><summary>{escape(summary)}</summary>{''.join(map(_block, blocks))}</details>"
        case Card(title=title, blocks=blocks):
            return f'<div class="card"><h3>{escape(title)}</h3>{"".join(map(_block, blocks))}</div>'
        case Stack(blocks=blocks):
            return f'<div class="stack">{"".join(map(_block, blocks))}</div>'
        case Columns(blocks=blocks):
            return f'<div class="group two columns">{"".join(map(_block, blocks))}</div>'


def _tile(tile: Tile) -> str:
    note = f"<dd>{escape(tile.note)}</dd>" if tile.note else ""
    return f'<div class="tile"><dt>{escape(tile.label)}</dt><dd>{escape(tile.value)}</dd>{note}</div>'


def _figure(figure: Figure) -> str:
    name = f"figure-{figure.name}"
    height = figure.figure.layout.height or 400
    least = f"min-width:{figure.least_width}px;" if figure.least_width else ""
    says = f"{figure.title}. {figure.alternative or figure.caption}"
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>" if figure.caption else ""
    reached = ' tabindex="0" role="group" aria-label="scrolls sideways"' if figure.least_width else ""
    return (
        f'<figure aria-labelledby="{name}-title"><div class="title"><h3 id="{name}-title">{escape(figure.title)}</h3>'
        f'<button type="button" class="save" aria-label="Save {escape(figure.title)} as a picture">Save</button></div>'
        f'<div class="scroll"{reached}><div class="plot" id="{name}" role="img" aria-label="{escape(says)}"'
        f' style="{least}min-height:{height:g}px"></div></div>{caption}'
        f'<script type="application/json" id="data-{name}">{in_script(figure.figure.to_json())}</script></figure>'
    )


def _table(table: Table) -> str:
    def number(index: int) -> str:
        return ' class="number"' if index in table.numbers else ""

    head = "".join(f'<th scope="col"{number(index)}>{escape(column)}</th>' for index, column in enumerate(table.columns))
    rows = "".join(f"<tr>{''.join(f'<td{number(index)}>{escape(text)}</td>' for index, text in enumerate(row))}</tr>" for row in table.rows)
    return (
        f'<div class="card scroll"><table class="small"><caption>{escape(table.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _data_table(table: DataTable) -> str:
    name = f"table-{table.name}"

    def number(index: int) -> str:
        return ' class="number"' if index in table.numbers else ""

    head = "".join(
        f'<th scope="col"{number(index)}><button type="button">{escape(column)}</button></th>' for index, column in enumerate(table.columns)
    )
    rows = "".join(
        f"<tr>{''.join(f'<td{number(index)}>{escape(text)}</td>' for index, text in enumerate(row))}</tr>"
        for row in table.rows[:_FIRST_ROWS]
    )
    many = ' class="many"' if len(table.columns) > _MANY_COLUMNS else ""
    record = {
        "columns": [{"name": column, "number": index in table.numbers} for index, column in enumerate(table.columns)],
        "rows": table.rows,
        "keys": [list(table.keys[index]) if index in table.keys else None for index in range(len(table.columns))],
        "state": table.state,
        "sort": table.sort,
        "falling": table.is_falling,
        "marked": list(table.marked),
        "what": table.what,
    }
    return (
        f'<div class="card data" id="{name}"><div class="tools">{_tools(table)}</div>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(table.caption)}"><table{many}>'
        f'<caption class="hidden">{escape(table.caption)} The buttons in the head sort.</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        '<div class="pages"><button type="button">Previous</button><span class="place"></span><button type="button">Next</button></div>'
        f'<script type="application/json" id="data-{name}">{_json(record)}</script></div>'
    )


def _tools(table: DataTable) -> str:
    hint = f' placeholder="{escape(table.hint)}"' if table.hint else ""
    tools = f'<label>Filter<input type="search"{hint} spellcheck="false" autocomplete="off"></label>'
    if table.state is not None:
        states = dict.fromkeys(row[table.state] for row in table.rows)
        options = "".join(f"<option>{escape(state)}</option>" for state in sorted(states))
        tools += f'<label>{escape(table.columns[table.state].capitalize())}<select><option value="">all</option>{options}</select></label>'
    return f'{tools}<p class="count" role="status"></p>'
