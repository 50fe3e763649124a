"""Figures as files, drawn by the browser that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from automl.errors import AutomlError, MissingExtraError
from automl.page import pictures
from automl.page.studypage import figures_of, read
from automl.space import Categorical, Float, SearchSpace
from contracts.browser import WHY_NONE, programs
from contracts.told import Story, write_study

SPACE = SearchSpace((Float("learning_rate", 1e-5, 1e-1, log=True), Categorical("optimizer", ("adam", "sgd"))))


@pytest.fixture
def figures(tmp_path: Path) -> list[pictures.Figure]:
    write_study(tmp_path / "study", SPACE, lambda c: float(c["learning_rate"]), Story(trials=12))  # type: ignore[arg-type]
    return figures_of(read(tmp_path / "study"))


@pytest.mark.skipif(programs() is None, reason=WHY_NONE)
@pytest.mark.parametrize("form", ["png", "svg"])
def test_every_figure_becomes_a_file(figures: list[pictures.Figure], tmp_path: Path, form: str) -> None:
    files = pictures.write_pictures(figures, tmp_path / "pictures", form)  # type: ignore[arg-type]
    assert [file.name for file in files] == [f"{figure.name}.{form}" for figure in figures]
    for figure, file in zip(figures, files, strict=True):
        content = file.read_bytes()
        if form == "png":
            assert content.startswith(b"\x89PNG")
            assert len(content) > 5_000
        else:
            assert content.startswith(b"<svg")
            assert figure.title in content.decode()


def test_where_there_is_no_browser_it_says_what_to_do(
    figures: list[pictures.Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOML_CHROMIUM", "/nowhere/chromium")
    monkeypatch.setattr(pictures, "_MAC", Path("/nowhere"))
    with pytest.raises(
        MissingExtraError,
        match=re.escape(
            "--png: pictures are drawn by Chromium or Chrome, but none is installed here. Install one (Debian: apt-get install chromium), "
            "or open the page and press Save beside a figure."
        ),
    ):
        pictures.write_pictures(figures, tmp_path / "pictures", "png")


def test_a_browser_that_draws_nothing_is_told_of(figures: list[pictures.Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_CHROMIUM", "/bin/true")
    with pytest.raises(
        AutomlError,
        match=re.escape("--svg: /bin/true must draw the figure best-by-trials, but did not. Name another in AUTOML_CHROMIUM."),
    ):
        pictures.write_pictures(figures, tmp_path / "pictures", "svg")
