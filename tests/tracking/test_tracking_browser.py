"""MLflow's UI in a real browser, on a study that this package has written: what a person sees, and that nothing comes from elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tracking.conftest import Server

from automl import mirroring
from automl.data import DataInfo
from automl.page.studypage import write_page
from automl.tracking.server import serving
from automl.tracking.views import BY_STRATEGY, STRATEGIES, TRIALS, own_key, route
from automl.training.simulated import Fault, Rehearsal
from contracts.browser import Browser
from contracts.driving import Rehearsed

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

INFO = DataInfo("digits", "multiclass", (64,), 10, tuple("0123456789"), {"train": 80, "validation": 10, "test": 10}, fingerprint="f" * 64)
CHARTS = "return document.querySelectorAll('.js-plotly-plot .main-svg').length >= arguments[0]"
SAYS = "return document.body.innerText.includes(arguments[0])"
# MLflow's own: it asks for a user even where nobody logs in, and draws axes before it has their numbers.
THEIRS = ("users/current", "favicon.ico", "AG Grid", "ResizeObserver", "attribute", "deprecated")

FILE = pytest.mark.parametrize("site", ["sqlite"], indirect=True)
FILE_AND_SERVER = pytest.mark.parametrize("site", ["sqlite", "server"], indirect=True)


@dataclass(frozen=True)
class Site:
    """A server with two studies; ``run`` is that of the first, ``failed`` that of its trial that failed."""

    address: str
    study: str
    experiment: str
    run: str
    failed: str

    def view(self, key: str) -> str:
        return f"{self.address}/{route(self.experiment, key)}"

    def page(self, run: str, artifact: str = "") -> str:
        return f"{self.address}/#/experiments/{self.experiment}/runs/{run}{artifact}?workflowType=machine_learning"


def written(folder: Path, uri: str) -> tuple[str, str, str, str]:
    """Two studies in MLflow; identity, experiment and runs of the first."""
    from automl.tracking.client import connect

    for strategy in ("random", "sobol"):
        faults = {4: Fault("raise"), 5: Fault("diverge")}
        study = Rehearsed(folder / strategy, trials=24, strategy=strategy, pruner="asha", epochs=8, rehearsal=Rehearsal(faults=faults))
        study.folder.mkdir(parents=True)
        study.drive()
        (study.folder / "data").mkdir()
        (study.folder / "data" / "info.json").write_text(json.dumps(asdict(INFO)))
        (study.folder / "trials" / "4").mkdir(parents=True, exist_ok=True)
        (study.folder / "trials" / "4" / "log.txt").write_text("the last words of trial 4")
        write_page(study.folder)
        assert mirroring.sync(study.folder, uri, None).is_level
    client = connect(uri)
    experiment = client.get_experiment_by_name("rehearsed")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`automl.study` = 'random'")
    named = {run.data.tags.get("automl.trial", "study"): run for run in runs}
    return named["study"].data.tags["automl.study_id"], experiment.experiment_id, named["study"].info.run_id, named["4"].info.run_id


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Written to a file that the dashboard's server then shows, behind a prefix; and to a server that keeps the artifacts."""
    folder = tmp_path_factory.mktemp("site")
    if request.param == "sqlite":
        shutil.copyfile(empty_store, folder / "mlflow.db")
        told = written(folder, f"sqlite:///{folder}/mlflow.db")
        with serving(f"sqlite:///{folder}/mlflow.db", prefix="/in/front") as served:
            yield Site(served.address, *told)
    else:
        server: Server = request.getfixturevalue("server")
        server.start()
        yield Site(server.uri, *written(folder, server.uri))
        server.stop()


@pytest.fixture
def seen(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A browser in which MLflow's assistant has been closed. Afterwards: no error of ours, and nothing from another machine."""
    browser.open(f"{site.address}/health")
    browser.run("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    browser.resize(1920, 1080)
    yield browser
    if os.environ.get("AUTOML_SCREENSHOTS"):
        browser.screenshot(Path(os.environ["AUTOML_SCREENSHOTS"], f"{request.node.name}.png"))
    assert [said for said in browser.console() if said.startswith("SEVERE") and not any(mark in said for mark in THEIRS)] == []
    hosts = {urlsplit(asked).hostname for asked in browser.requests() if asked.startswith(("http:", "https:", "ws:", "wss:"))}
    assert hosts <= {"127.0.0.1"}


@FILE
def test_strategies_are_drawn_side_by_side(seen: Browser, site: Site) -> None:
    seen.open(site.view(STRATEGIES))
    seen.wait(CHARTS, 5)
    for words in (
        "Best so far: by trials, epochs, time",
        "What became of the trials",
        "trials/pruned",
        "random",
        "sobol",
        "2 matching runs",
    ):
        seen.wait(SAYS, words)


@FILE
def test_trials_of_a_study_are_drawn_by_their_values_and_curves(seen: Browser, site: Site) -> None:
    seen.resize(1920, 2600)
    seen.open(site.view(own_key(site.study)))
    seen.wait("return document.querySelectorAll('canvas').length > 0")  # the parallel coordinates
    seen.wait(CHARTS, 5)
    for words in ("Values of the best trials", "log10/learning_rate vs. objective", "Learning curves", "accuracy", "24 matching runs"):
        seen.wait(SAYS, words)


@FILE
def test_trials_of_all_studies_and_groups_are_there(seen: Browser, site: Site) -> None:
    seen.open(site.view(TRIALS))
    seen.wait(SAYS, "48 matching runs")
    seen.open(site.view(BY_STRATEGY))
    seen.wait(CHARTS, 2)
    for words in ("Group: random", "Group: sobol", "Learning curves of each study's ten best"):
        seen.wait(SAYS, words)


@FILE
def test_the_views_are_in_the_menu_and_a_link_to_one_leads_there(seen: Browser, site: Site) -> None:
    seen.open(f"{site.address}/#/experiments/{site.experiment}/runs?workflowType=machine_learning")
    seen.wait(SAYS, "Hyperparameter search by automl")
    found = seen.wait(
        "return [...document.querySelectorAll('a')].filter((each) => each.innerText == 'By strategy').map((each) => each.href)"
    )
    assert found == [site.view(BY_STRATEGY)]


@FILE_AND_SERVER
def test_the_study_says_what_came_out_and_shows_its_page(seen: Browser, site: Site) -> None:
    seen.open(site.page(site.run))
    seen.wait(SAYS, "Show more")
    for words in ("won: accuracy", "Study page", "Datasets", "digits (ffffffff", "trials/failed", "24 trials"):
        seen.wait(SAYS, words)
    seen.run("[...document.querySelectorAll('button, a')].find((each) => each.innerText == 'Show more').click()")
    for words in ("The best trials", "Pruned and failed", "sgd"):
        seen.wait(SAYS, words)
    found = seen.wait(
        "return [...document.querySelectorAll('a')].filter((each) => each.innerText == 'Study page').map((each) => each.href)"
    )
    assert found == [site.page(site.run, "/artifacts/page.html")]
    seen.open(found[0])
    inside = "const frame = document.querySelector('iframe'); return frame && (frame.srcdoc || frame.src || '').length"
    assert seen.wait(inside)
    seen.wait(SAYS, "page.html")
    seen.wait("return document.querySelector('iframe').getBoundingClientRect().height > 300")


@FILE_AND_SERVER
def test_a_failed_trial_says_why_and_shows_its_log(seen: Browser, site: Site) -> None:
    seen.open(site.page(site.failed))
    for words in ("Trial 4: failed.", "Its log", "Failed"):
        seen.wait(SAYS, words)
    seen.open(site.page(site.failed, "/artifacts/log.txt"))
    seen.wait(SAYS, "the last words of trial 4")
