"""What ``sync --check`` finds: nothing where a mirror has done its work, and each thing that is taken away."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from tracking.shown import runs
from tracking.stories import header, numbered, study, summary, trial

from automl.errors import TrackingError
from automl.events import Reported
from automl.tracking import Level, Mirror
from automl.tracking.level import compared

STATES = ["complete", "pruned", "failed", "complete"]


@pytest.fixture
def mirrored(uri: str, database: Path) -> str:
    """A store that is level with a study."""
    told = numbered(study("level", STATES))
    mirror = Mirror(uri, header("level"), flush_seconds=0.02, reread=lambda after: told[after:])
    (database.parent / "study.yaml").write_text("name: digits")
    assert mirror.finish(summary(trial(0)), {"study.yaml": database.parent / "study.yaml"}, 60).is_level
    return uri


def level(uri: str, why: str | None = "done", identity: str = "level", files: tuple[str, ...] = ("study.yaml",)) -> Level:
    folder = Path(uri.removeprefix("sqlite:///")).parent
    return compared(uri, header(identity), numbered(study(identity, STATES)), why, {name: folder / name for name in files})


def change(uri: str, statement: str, trial: str) -> None:
    run = runs(uri, "level")[trial].info.run_id
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(statement, [run])


def test_metrics_of_a_persons_own_code_have_names_that_mlflow_takes(uri: str) -> None:
    """Whatever they are called: what it refuses of a trial is not there at all."""
    own = {"mAP@0.5": 0.5, "f1 (macro) ü": 0.25, "x" * 300: 1.0}
    events = [replace(each, metrics={**each.metrics, **own}) if isinstance(each, Reported) else each for each in study("level", STATES)]
    told = numbered(events)
    mirror = Mirror(uri, header("level"), flush_seconds=0.02, reread=lambda after: told[after:])
    assert mirror.finish(summary(trial(0)), {}, 60).is_level
    assert compared(uri, header("level"), told, "done", {}).is_level
    shown = runs(uri, "level")["0"].data.metrics
    assert (shown["mAP_0.5"], shown["f1 _macro_ _"], shown["x" * 250]) == (0.5, 0.25, 1.0)


def dump(uri: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        return list(connection.iterdump())


def test_a_store_that_is_level_is_found_so_and_stays_as_it_is(mirrored: str) -> None:
    before = dump(mirrored)
    found = level(mirrored)
    assert (found.is_level, found.words, found.trials) == (True, "", 4)
    assert dump(mirrored) == before


@pytest.mark.parametrize(
    ("statement", "which", "words"),
    [
        ("update runs set lifecycle_stage = 'deleted' where run_uuid = ?", "1", "1 of 4 trials have no run (1)"),
        (
            "delete from latest_metrics where key = 'loss' and run_uuid = ?",
            "0",
            "1 metrics or params are not there or not up to their end (of 0)",
        ),
        ("delete from params where run_uuid = ?", "3", "1 metrics or params are not there or not up to their end (of 3)"),
        ("update runs set status = 'RUNNING' where run_uuid = ?", "2", "1 states differ (2: running there, failed here)"),
        ("update runs set status = 'RUNNING' where run_uuid = ?", "study", "1 states differ (study: running there, done here)"),
    ],
)
def test_what_is_missing_is_said(mirrored: str, statement: str, which: str, words: str) -> None:
    change(mirrored, statement, which)
    found = level(mirrored)
    assert (found.is_level, found.words) == (False, words)


def test_files_and_second_runs_are_said(mirrored: str, database: Path) -> None:
    (database.parent / "page.html").write_text("later")
    assert level(mirrored, files=("study.yaml", "page.html")).words == "1 files are missing (page.html)"
    change(mirrored, "update tags set value = '0' where key = 'automl.trial' and run_uuid = ?", "3")
    assert level(mirrored).words.startswith("1 of 4 trials have no run (3); 1 trials have several runs (0)")


def test_a_study_that_is_at_work_is_expected_to_be_running(mirrored: str) -> None:
    assert level(mirrored, why=None).words == "1 states differ (study: done there, running here)"


@pytest.mark.parametrize("there", ["nothing", "an empty file", "another study"])
def test_a_store_without_the_study_is_not_made_or_changed(uri: str, database: Path, there: str) -> None:
    if there == "nothing":
        database.unlink()
    elif there == "an empty file":
        database.write_bytes(b"")
    before = database.read_bytes() if database.exists() else None
    found = level(uri, identity="other")
    assert (found.is_level, found.words) == (False, "it does not have the study")
    assert (database.read_bytes() if database.exists() else None) == before


def test_many_trials_are_not_all_named() -> None:
    found = replace(Level(40, has_study=True), runs=tuple(range(12)))
    assert found.words == "12 of 40 trials have no run (0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more)"


def test_an_mlflow_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(TrackingError) as caught:
        level("http://user:secret@127.0.0.1:9")
    assert str(caught.value) == "MLflow (http://***@127.0.0.1:9): must answer, but does not: connection refused. Try again."
