"""The page of a comparison: one file with everything in it, whatever the studies hold."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from automl.compare import figures
from automl.compare.arms import Arm
from automl.compare.page import document, write_page
from automl.compare.report import Report
from automl.compare.results import Course, Result
from automl.compare.verdict import judge
from automl.page.document import Figure, Group
from automl.spec import Objective


def report(paired: bool = True, missing: bool = False, evil: str = "") -> Report:
    results = []
    for place, name in enumerate(("grid", f"bayesian{evil}", "random")):
        for repeat in range(1, 8):
            value = None if missing and place == 2 and repeat == 1 else round(0.9 + 0.01 * place + 0.003 * ((repeat * (place + 1)) % 5), 4)
            validation = tuple(None if trial == 0 else 0.8 + 0.01 * trial + 0.002 * repeat for trial in range(5))
            course = Course((2, 4, 6, 8, 10), (0.1, 0.2, 0.3, 0.4, 0.5), (0.0, 0.01, 0.02, 0.03, 0.04), validation)
            results.append(
                Result(Arm(name, name), repeat, repeat, f"{name}-{repeat}", 3, validation[-1], value, "test", 5, 10, 0.5, 0.04, {}, course)
            )
    judged = judge(results, Objective("accuracy", True), paired)
    return Report("first-compare", "small", "iris", "5 trials", judged, notes=("a note for the reader",))


@pytest.mark.parametrize("paired", [True, False])
def test_the_page_needs_nothing_but_itself(paired: bool, tmp_path: Path) -> None:
    page = write_page(report(paired, missing=True), tmp_path / "page.html").read_text()
    text = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*\"", text) == []
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    for sentence in report(paired, missing=True).sentences:
        assert sentence.replace("<", "&lt;") in page
    for section in ("Standings", "Pairs", "On the way", "Cost", "Studies", "How it is judged"):
        assert f">{section}</h2>" in page


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    page = write_page(report(evil="</script><img src=x onerror=alert(1)>"), tmp_path / "page.html").read_text()
    assert "<img" not in page


def test_figures_say_in_words_what_they_show() -> None:
    blocks = [block for section in document(report(missing=True)).sections for block in section.blocks]
    shown = [block for block in blocks if isinstance(block, Figure)]
    shown += [figure for block in blocks if isinstance(block, Group) for figure in block.figures]
    assert {each.name for each in shown} == {
        "picks", "probabilities", "differences", "anytime-trials", "anytime-epochs", "anytime-seconds", "costs",
    }  # fmt: skip
    for each in shown:
        assert each.alternative
        assert "NaN" not in each.figure.to_json()


def test_an_arm_has_the_same_colour_everywhere() -> None:
    made = report()
    way = figures.anytime(made.results, made.judged.objective, "trials").figure
    of_way = {trace.name: trace.line.color for trace in way.data if trace.name}
    picks = figures.picks(made.judged).figure
    of_picks = [trace.marker.color for trace in picks.data if trace.mode == "markers"]
    assert of_picks == [of_way[standing.name] for standing in made.judged.standings]
    assert len(set(of_picks)) == 3


def test_curves_are_drawn_where_there_is_something_to_draw() -> None:
    made = report()
    drawn = json.loads(figures.anytime(made.results, made.judged.objective, "epochs").figure.to_json())["data"]
    lines = [trace for trace in drawn if trace.get("name")]
    assert len(lines) == 3
    assert all(math.isfinite(value) for trace in lines for value in trace["y"] if not isinstance(trace["y"], dict))
