"""The shell of pages: what goes in is shown as it is, and nothing of it is ever run or fetched."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from automl.page import document
from automl.page.document import Code, DataTable, Document, Facts, Figure, Folded, Group, Points, Section, Table, Text, Tile, Tiles, render
from automl.page.palette import DARK
from contracts.browser import Browser

NASTY = "</script><script>alert('x')</script><img src=x onerror=alert(1)> & \"quotes\" ü\u2028"


def _figure(name: str = "one", words: str = NASTY) -> Figure:
    import plotly.graph_objects as go

    plot = go.Figure(go.Scatter(x=[1, 2, 3], y=[3, 1, 2], name=words, line={"color": "#0072b2"}))
    plot.update_layout(height=200, template=None, paper_bgcolor="#ffffff", title=None)
    return Figure(name, words, plot, caption=words, alternative=words)


def _everything(words: str = NASTY) -> Document:
    blocks = [
        Text(words),
        Text(words, is_note=True),
        Points([words]),
        Tiles([Tile(words, words, words)]),
        _figure("one", words),
        Group([_figure("two", words), _figure("three", words)], is_pair=True),
        Facts(words, [(words, words)]),
        Table(words, [words, "number"], [[words, "1"]], numbers=[1]),
        DataTable("rows", words, [words, "size"], [[words, "2"], ["plain", "1"]], numbers=[1], state=0, marked=[0], hint=words),
        Code(words, words),
        Folded(words, [Text(words)]),
    ]
    return Document(words, words, words, [Section("first", "", [Text(words)]), Section("all", words, blocks)], under=words, footer=words)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link", "input", "img", "br"):
            self.open.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.said.append(data)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_whatever_is_shown_is_shown_as_it_is_and_well_formed() -> None:
    reader = _read(render(_everything()))
    assert "img" not in reader.tags
    assert reader.tags.count("script") == 1 + 3 + 1 + 1 + 1 + 1  # first, figures, table, themes, plotly, own
    assert sum(NASTY in each for each in reader.said) >= 15


def test_a_page_without_figures_is_small() -> None:
    page = render(Document("Study", "x", "nothing", [Section("a", "A", [Text("b")])]))
    assert len(page) < 40_000
    assert "plotly" not in _read(page).said


def test_the_policy_names_each_script_and_allows_no_address() -> None:
    page = render(_everything())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert policy[1].count("sha256-") == 3
    assert "http" not in policy[1]


def test_every_colour_of_a_figure_has_its_counterpart_in_the_dark() -> None:
    themes = re.search(r'id="themes">(.*?)</script>', render(_everything()))
    assert themes is not None
    assert json.loads(themes[1]) == dict(DARK)
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for pair in DARK.items() for colour in pair)


@pytest.mark.parametrize("name", ["plotly-cartesian.min.js", "plotly-LICENSE.txt"])
def test_plotly_comes_with_its_licence(name: str) -> None:
    text = (Path(document.__file__).parent / "assets" / name).read_text(encoding="utf-8")
    assert "MIT" in text[:400] or "Permission is hereby granted" in text
    assert "Plotly" in text[:200]


def test_a_browser_shows_all_of_it_and_runs_none_of_it(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(render(_everything()), encoding="utf-8")
    browser.open(file.as_uri())
    browser.wait("return document.documentElement.dataset.ready")
    assert browser.console() == []
    assert browser.requests() == [file.as_uri()]
    assert browser.run("return document.querySelectorAll('.plot .main-svg').length") >= 3
    assert NASTY.replace("\u2028", "").strip() in browser.text(".lead").replace("\u2028", "")


def test_a_small_table_breaks_no_word_in_two(browser: Browser, tmp_path: Path) -> None:
    """However many numbers stand beside them: the table scrolls sideways in its frame."""
    table = Table("Standings", ["arm", *"abcdefgh"], [["bayesian", *["0.9582 (0.9528 to 0.9777)"] * 8]], numbers=range(1, 9))
    file = tmp_path / "page.html"
    file.write_text(render(Document("t", "t", "t", [Section("s", "s", [table])])), encoding="utf-8")
    browser.resize(390, 800)
    browser.open(file.as_uri())
    lines = "const r = document.createRange(); r.selectNodeContents(document.querySelector('.small td')); return r.getClientRects().length"
    assert browser.run(lines) == 1
    assert browser.run("return document.documentElement.scrollWidth") <= 390


def test_a_browser_may_not_fetch_anything_from_a_page(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(render(_everything()), encoding="utf-8")
    browser.open(file.as_uri())
    browser.run("fetch('https://example.com/').catch(() => 0); new Image().src = 'https://example.com/x.png'")
    browser.run("const s = document.createElement('script'); s.textContent = 'window.evil = 1'; document.body.append(s)")
    assert browser.run("return window.evil") is None
    refused = 0
    while refused < 3:  # each of the three is said in the console, sooner or later
        refused += sum("Content Security Policy" in line for line in browser.console())
    assert [url for url in browser.requests() if "example.com" in url] == []


def test_the_theme_follows_the_system_and_the_button(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(render(_everything("words")), encoding="utf-8")
    browser.prefer("dark")
    browser.open(file.as_uri())
    drawn = "return document.documentElement.dataset.ready && document.querySelector('.plot').dataset.drawn === arguments[0]"
    browser.wait(drawn, "dark")
    dark = browser.run("return getComputedStyle(document.querySelector('.plot .main-svg')).backgroundColor")
    assert dark == "rgb(22, 28, 36)"
    browser.click(".theme")
    browser.wait(drawn, "light")
    assert browser.run("return document.documentElement.dataset.theme") == "light"
    assert browser.run("return document.querySelector('.theme').getAttribute('aria-label')") == "Colours: light. Press to change."
    browser.run("localStorage.clear()")
