"""The study page: what it says of a study, and what a real browser shows of it."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from automl import events
from automl.datareport import DataReport
from automl.errors import StudyError
from automl.launch import run
from automl.page.document import Block, Card, Code, Columns, DataTable, Facts, Folded, Points, Section, Stack, Table, Text, Tiles, render
from automl.page.studypage import Known, read, study_document, verdict, write_page
from automl.plan import RunOptions, plan
from automl.space import Categorical, Float, SearchSpace
from automl.spec import Objective
from automl.store import Store
from automl.trials import Trial, after_reports
from contracts.browser import Browser
from contracts.studies import many_sided_space
from contracts.told import Story, write_study

SPACE = SearchSpace((Float("learning_rate", 1e-5, 1e-1, log=True), Categorical("optimizer", ("adam", "sgd")), Float("dropout", 0.0, 0.5)))
BASELINE = {"learning_rate": 2e-5, "optimizer": "adam", "dropout": 0.0}
REAL = """\
name: small
data: iris
model: mlp
epochs: 4
space:
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
  units:         {type: int, low: 4, high: 32, log: true}
  optimizer:     {type: categorical, choices: [adam, sgd]}
baseline: {learning_rate: 0.01, units: 8, optimizer: adam}
study: {strategy: random, pruner: median, trials: 14}
"""


def good(configuration: object) -> float:
    return 0.9 - abs(SPACE.by_name["learning_rate"].unit(configuration["learning_rate"]) - 0.5)  # type: ignore[index]


def known(folder: Path, story: Story, space: SearchSpace = SPACE) -> Known:
    write_study(folder, space, good, story)
    return read(folder)


def _flat(blocks: object) -> Iterator[Block]:
    for block in blocks:  # type: ignore[attr-defined]
        yield block
        if isinstance(block, Folded | Card | Stack | Columns):
            yield from _flat(block.blocks)


def section(sections: object, anchor: str) -> list[Block]:
    (found,) = (each for each in sections if each.anchor == anchor)  # type: ignore[attr-defined]
    assert isinstance(found, Section)
    return list(_flat(found.blocks))


def of(blocks: list[Block], kind: type) -> list:  # type: ignore[type-arg]
    return [block for block in blocks if isinstance(block, kind)]


# -- what it says -----------------------------------------------------------------------------------------------------


def test_the_first_sentence_is_what_came_out(tmp_path: Path) -> None:
    story = Story(trials=20, baseline=BASELINE)
    done = known(tmp_path / "done", story)
    best = done.study.best
    assert best is not None
    assert re.fullmatch(
        rf"Trial {best.number} won after 20 trials\. "
        r"Validation accuracy 0\.\d+ against 0\.\d+ of the baseline: 0\.\d+ more, on one seed each\.",
        verdict(done),
    )
    left = known(tmp_path / "left", Story(trials=20, rest="interrupted", asked=50))
    assert re.fullmatch(
        r"Trial \d+ leads after 20 trials\. Validation accuracy 0\.\d+; there is no baseline, so no gain to report\.",
        verdict(left),
    )
    failed = known(tmp_path / "failed", Story(trials=5, failed=1.0, pruned=0.0))
    assert verdict(failed) == "None of the 5 trials that ended is complete, so there is no winner."
    assert verdict(known(tmp_path / "begun", Story(trials=0))) == "No trial has begun yet."


def test_it_suggests_what_to_do_next(tmp_path: Path) -> None:
    def points(story: Story, name: str) -> list[str]:
        found = of(section(study_document(known(tmp_path / name, story)).sections, "overview"), Points)
        return list(found[0].items) if found else []

    assert points(Story(trials=10, rest="interrupted", asked=50), "interrupted") == [
        "The study was interrupted with 10 of 50 trials; the command that began it goes on with it."
    ]
    assert points(Story(trials=10, rest="time", asked=50), "time") == [
        "The time was over after 10 of 50 trials; a larger --time goes on with them."
    ]
    stopped = points(Story(trials=3, failed=1.0, pruned=0.0, rest="failed", asked=50), "stopped")
    assert stopped == ["The study stopped after 3 of 50 trials, which all failed; the command that began it tries again."]
    assert points(Story(trials=10, failed=1.0, pruned=0.0), "failed") == [
        "10 of 10 trials did not work out: see Failures before looking at anything else."
    ]


def test_the_table_holds_every_trial_with_its_exact_order_by_the_objective(tmp_path: Path) -> None:
    study = known(tmp_path / "study", Story(trials=30, failed=0.1))
    (table,) = of(section(study_document(study).sections, "trials"), DataTable)
    assert len(table.rows) == 30
    assert list(table.columns) == ["trial", "state", "accuracy", "best epoch", "epochs", "seconds", "learning_rate", "optimizer", "dropout"]
    assert list(table.keys[2]) == [trial.objective for trial in study.study.trials]
    assert list(table.marked) == [study.study.best.number if study.study.best else None]
    assert table.is_falling


def test_failures_are_told_once_for_each_kind_with_the_log(tmp_path: Path) -> None:
    study = known(tmp_path / "study", Story(trials=20, failed=0.5, diverged=0.3, pruned=0.0))
    failed = next(trial for trial in study.study.trials if trial.state == "failed")
    log = tmp_path / "study" / "trials" / str(failed.number) / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("\n".join([f"line {n} <b>" for n in range(100)]))
    blocks = section(study_document(study).sections, "failures")
    folded = of(blocks, Folded)
    assert sorted(each.summary.partition(" (")[0] for each in folded) == [
        "diverged: the loss became NaN or infinite",
        "failed: ValueError: expected 3 channels, got 1",
    ]
    texts = [code.text for code in of(blocks, Code)]
    assert "\n".join(f"line {n} <b>" for n in range(60, 100)) in texts
    assert of(blocks, Text)[0].text.endswith("of 20 trials did not work out.")


def test_a_study_without_failures_or_winners_has_no_empty_section(tmp_path: Path) -> None:
    def anchors(story: Story, name: str) -> list[str]:
        return [each.anchor for each in study_document(known(tmp_path / name, story)).sections]

    assert anchors(Story(trials=12), "fine") == ["overview", "progress", "parameters", "workers", "trials", "again"]
    assert anchors(Story(trials=6, failed=1.0, pruned=0.0), "broken") == ["overview", "workers", "trials", "failures", "again"]
    assert anchors(Story(trials=0), "empty") == ["again"]


def test_it_says_with_what_it_was_made_and_what_changed_between_runs(tmp_path: Path) -> None:
    environment = {"automl": "0.1", "python": "3.11.7", "torch": "2.13.0+cpu", "command": "automl run small.yaml"}
    before = known(tmp_path / "study", Story(trials=3, environment=environment))
    (facts,) = of(section(study_document(before).sections, "again"), Facts)
    assert {**dict(facts.rows)}.items() >= environment.items()
    other = {**environment, "torch": "2.14.0+cpu", "command": "automl run small.yaml --trials 9"}
    (facts,) = of(
        section(study_document(Known(before.study, before.folder, before.spans, before.created, [environment, other])).sections, "again"),
        Facts,
    )
    assert dict(facts.rows)["changed between its runs"] == "torch: 2.13.0+cpu, then 2.14.0+cpu"


def test_it_says_what_the_data_are_and_what_may_be_wrong_with_them(tmp_path: Path) -> None:
    before = known(tmp_path / "study", Story(trials=3))
    told = replace(before, data=DataReport(("80 for train.",), ("Leak? a",), ("Left out: b.",)))
    card = of(section(study_document(told).sections, "overview"), Card)[-1]
    assert (card.title, card.blocks) == ("What may be wrong with the data", [Points(["Leak? a"])])
    facts = dict(of(section(study_document(told).sections, "again"), Facts)[0].rows)
    assert facts["what is in them"] == "80 for train. Left out: b."


def test_a_study_of_an_older_version_without_an_environment_has_a_page(tmp_path: Path) -> None:
    write_study(tmp_path / "study", SPACE, good, Story(trials=12))
    with Store.open(tmp_path / "study") as store:
        with store._connection:
            store._connection.execute("update events set body = '[12]' where kind = 'Resumed'")
        assert store.study().ended == 12
    (facts,) = of(section(study_document(read(tmp_path / "study")).sections, "again"), Facts)
    assert dict(facts.rows)["automl"] == "0.1"


def test_the_winner_stands_beside_the_baseline(tmp_path: Path) -> None:
    blocks = section(study_document(known(tmp_path / "study", Story(trials=20, baseline=BASELINE))).sections, "overview")
    table = of(blocks, Table)[0]
    assert list(table.columns) == ["parameter", "winner", "baseline"]
    assert [row[0] for row in table.rows] == list(BASELINE)
    assert [row[2] for row in table.rows] == ["2e-05", "adam", "0"]
    labels = [tile.label for tile in of(blocks, Tiles)[0].tiles]
    assert labels == ["validation accuracy", "gain over the baseline", "trials", "of the epochs saved by pruning", "at work"]


@pytest.mark.parametrize("metrics", [{"accuracy": 0.75}, {}])
def test_what_the_winner_reached_on_test_data_is_shown_where_anything_is_known(tmp_path: Path, metrics: dict[str, float]) -> None:
    """A person's own code may say nothing of test data."""
    found = known(tmp_path / "study", Story(trials=8))
    assert found.study.winner is not None
    found.study.apply(events.Tested(found.study.key(found.study.winner.number), 1.0, metrics))
    captions = {each.caption: each.rows for each in of(section(study_document(found).sections, "overview"), Table)}
    (shown,) = [rows for caption, rows in captions.items() if caption.endswith("measured once")] or [None]
    assert shown == ([["accuracy", "0.75"]] if metrics else None)


def test_what_is_fixed_stands_beside_what_the_baseline_has_instead(tmp_path: Path) -> None:
    space = replace(SPACE, fixed={"schedule": "cosine", "activation": "relu"})
    baseline = {**BASELINE, "schedule": "constant", "momentum": 0.5}
    sections = study_document(known(tmp_path / "study", Story(trials=20, baseline=baseline), space)).sections
    assert of(section(sections, "overview"), Table)[0].rows[-2:] == [["schedule", "cosine", "constant"], ["momentum", "-", "0.5"]]
    (table,) = of(section(sections, "trials"), DataTable)
    schedule, momentum = (table.columns.index(name) for name in ("schedule", "momentum"))
    assert {(row[schedule], row[momentum]) for row in table.rows[1:]} == {("cosine", "")}


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_study(tmp_path / "study", SPACE, good, Story(trials=3))
    path = write_page(tmp_path / "study")
    assert path == tmp_path / "study" / "page.html"
    assert write_page(tmp_path / "study", tmp_path / "elsewhere.html").read_text().startswith("<!doctype html>")
    assert sorted(each.name for each in (tmp_path / "study").iterdir() if each.name.startswith(".")) == []
    with pytest.raises(
        StudyError, match=r"the folder must be there and writable, but no such file or directory\. Use --out with another path\."
    ):
        write_page(tmp_path / "study", tmp_path / "nowhere" / "page.html")


def test_reading_for_the_page_takes_the_reports_of_a_trial_in_at_once_and_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more calls than there are trials, and no more memory than the study and its stretches take."""
    calls: list[int] = []

    def counted(trial: Trial, reports: Mapping[int, Sequence[events.Reported]], objective: Objective) -> Trial:
        calls.append(len(reports[0]))
        return after_reports(trial, reports, objective)

    written = write_study(tmp_path / "study", SPACE, good, Story(trials=40, epochs=60, pruned=0.0, lanes=1))
    monkeypatch.setattr("automl.study.after_reports", counted)
    tracemalloc.start()
    try:
        with Store.read_only(tmp_path / "study") as store:
            alone = store.study()
        _, needed = tracemalloc.get_traced_memory()
        del alone
        tracemalloc.reset_peak()
        calls.clear()
        found = read(tmp_path / "study")
        _, taken = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert calls == [60] * 40
    assert taken < 1.5 * needed
    assert [trial.reports for trial in found.study.trials] == [trial.reports for trial in written.trials]


@pytest.mark.long
def test_ten_thousand_trials_make_a_page_of_less_than_five_megabytes_in_ten_seconds(tmp_path: Path) -> None:
    space = SearchSpace((*(Float(f"x{n}", 1e-4, 1.0, log=n % 2 == 0) for n in range(8)), *SPACE.parameters[:2]))
    write_study(tmp_path / "study", space, good, Story(trials=10_000, epochs=4, workers=8, lanes=16))
    began = time.process_time()
    path = write_page(tmp_path / "study")
    assert time.process_time() - began < 20  # of a processor that others use too; alone it takes about five
    assert path.stat().st_size < 1_600_000 + 5_000_000


# -- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small study that has really been trained."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "small.yaml").write_text(REAL)
    outcome = run(plan(RunOptions(space=str(folder / "small.yaml"), study=str(folder / "small"), engine="inline", mlflow="off")))
    assert outcome.page == folder / "small" / "page.html"
    return outcome.page


READY = "return document.documentElement.dataset.ready"


def test_a_real_study_is_shown_without_an_error_and_without_the_network(browser: Browser, real_page: Path) -> None:
    browser.open(real_page.as_uri())
    browser.wait(READY)
    assert browser.console() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [real_page.as_uri()]
    assert browser.text(".lead").startswith("Trial ")
    plots = browser.run(
        "return [...document.querySelectorAll('.plot')].map((each) => [each.id, each.querySelectorAll('.main-svg path').length])"
    )
    assert {name for name, _ in plots} >= {
        "figure-best-by-trials",
        "figure-learning-curves",
        "figure-parallel-coordinates",
        "figure-timeline",
    }
    assert all(paths > 3 for _, paths in plots)


def _column(browser: Browser, index: int) -> list[str]:
    return browser.texts(f"#table-trials tbody tr > *:nth-child({index})")


def test_the_table_is_sorted_by_mouse_and_keyboard_and_says_so(browser: Browser, real_page: Path) -> None:
    browser.open(real_page.as_uri())
    browser.wait(READY)
    values = [float(text) for text in _column(browser, 3) if text]
    assert values == sorted(values, reverse=True)
    assert browser.run("return document.querySelectorAll('#table-trials th')[2].getAttribute('aria-sort')") == "descending"
    browser.click("#table-trials th:nth-child(1) button")
    assert _column(browser, 1) == [str(number) for number in range(14)]
    browser.type("#table-trials th:nth-child(1) button", "\ue007")
    assert _column(browser, 1) == [str(number) for number in reversed(range(14))]
    assert browser.run("return document.querySelectorAll('#table-trials th')[0].getAttribute('aria-sort')") == "descending"


def test_the_table_is_filtered_by_words_states_and_comparisons(browser: Browser, real_page: Path) -> None:
    browser.open(real_page.as_uri())
    browser.wait(READY)
    browser.type("#table-trials input", "adam units >= 10")
    optimizers, units = _column(browser, 9), _column(browser, 8)
    assert set(optimizers) == {"adam"}
    assert all(int(text) >= 10 for text in units)
    assert browser.text("#table-trials .count") == f"{len(units)} of 14 trials"
    browser.run("const input = document.querySelector('#table-trials input'); input.value = ''; input.dispatchEvent(new Event('input'))")
    browser.run(
        "const menu = document.querySelector('#table-trials select'); menu.value = 'complete'; menu.dispatchEvent(new Event('change'))"
    )
    assert set(_column(browser, 2)) == {"complete"}
    browser.type("#table-trials input", "no such word")
    assert _column(browser, 1) == []
    assert browser.text("#table-trials .count") == "0 of 14 trials"


@pytest.mark.parametrize(("width", "height", "is_phone"), [(390, 844, True), (1280, 900, False), (1920, 1080, False)])
def test_nothing_is_wider_than_the_window(browser: Browser, real_page: Path, width: int, height: int, is_phone: bool) -> None:
    browser.resize(width, height, mobile=is_phone)
    browser.open(real_page.as_uri())
    browser.wait(READY)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    wide = """
        const plots = [...document.querySelectorAll(".plot")].filter((plot) => !plot.style.minWidth);
        return plots.filter((plot) => plot.firstChild.scrollWidth > plot.clientWidth + 1).map((plot) => plot.id);
    """
    assert browser.run(wide) == []


def test_every_figure_and_table_has_a_name_for_those_who_cannot_see_it(browser: Browser, real_page: Path) -> None:
    browser.open(real_page.as_uri())
    browser.wait(READY)
    unnamed = """
        const label = (each) => each.getAttribute("aria-label") || (each.labels && each.labels.length && "label") || each.textContent;
        return [...document.querySelectorAll("[role=img], button, input, select, nav")].filter((each) => !label(each).trim()).length
            + [...document.querySelectorAll("table")].filter((table) => !table.caption).length;
    """
    assert browser.run(unnamed) == 0
    own = "return [...document.querySelectorAll('[id]')].filter((each) => !each.closest('svg')).map((each) => each.id)"
    ids = browser.run(own)
    assert len(ids) == len(set(ids))


def test_a_printed_page_has_every_figure_in_light_colours_and_every_fold_open(browser: Browser, real_page: Path, tmp_path: Path) -> None:
    browser.prefer("dark")
    browser.open(real_page.as_uri())
    browser.wait(READY)
    browser.run("""
        const seen = () => [document.documentElement.dataset.theme, document.querySelectorAll("details:not([open])").length];
        window.dispatchEvent(new Event("beforeprint"));
        window.seen = seen();
    """)
    assert browser.wait("return window.seen") == ["light", 0]
    browser.run("window.dispatchEvent(new Event('afterprint'))")
    browser.wait(READY)
    assert browser.run("return document.documentElement.dataset.theme") == "dark"
    assert browser.pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("trials", [0, 1, 2])
def test_the_page_of_hardly_any_trials_is_without_errors(browser: Browser, tmp_path: Path, trials: int) -> None:
    write_study(tmp_path / "study", SPACE, good, Story(trials=trials))
    browser.open(write_page(tmp_path / "study").as_uri())
    browser.wait(READY)
    assert browser.console() == []


def test_the_page_of_every_kind_of_parameter_is_without_errors(browser: Browser, tmp_path: Path) -> None:
    write_study(
        tmp_path / "study", many_sided_space(), lambda c: float(c["learning_rate"]), Story(trials=60, epochs=3, failed=0.1, diverged=0.1)
    )  # type: ignore[arg-type]
    file = tmp_path / "page.html"
    file.write_text(render(study_document(read(tmp_path / "study"))), encoding="utf-8")
    browser.open(file.as_uri())
    browser.wait(READY)
    assert browser.console() == []
