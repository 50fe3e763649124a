from __future__ import annotations

import math
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tracking.shown import content, history, runs
from tracking.stories import T0, configuration, counted, end, header, key, report, start, story, study, suggestion, summary, trial

from automl import events as automl_events
from automl.errors import TrackingError
from automl.events import Finished, Reported, Started, TrialKey
from automl.tracking.client import connect
from automl.tracking.colours import COMPLETE, WINNER
from automl.tracking.views import BY_STRATEGY, STRATEGIES, TAG, TRIALS, own_key
from automl.tracking.writer import Writer
from automl.trials import Confirming, Event, Lost, Rested, Resumed, Suggested


def opened(uri: str, identity: str, **more: Any) -> Writer:
    writer = Writer(connect(uri), uri, header(identity), **more)
    writer.open()
    return writer


def take(writer: Writer, events: Sequence[Event]) -> None:
    for event in events:
        writer.take(event)


def mirrored(uri: str, identity: str, events: Sequence[Event], *, close: bool = True) -> Writer:
    """The writer that has written these events."""
    writer = opened(uri, identity)
    take(writer, events)
    writer.flush(0.0, final=True)
    if close:
        writer.close(summary(), {})
    return writer


STATUSES = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
    "diverged": "FAILED",
    "out_of_memory": "FAILED",
    "timeout": "FAILED",
    "lost": "FAILED",
}


def test_every_state_has_its_status_its_tag_and_its_reason(uri: str) -> None:
    mirrored(uri, "states", study("states", STATUSES))
    found = runs(uri, "states")
    for number, (state, status) in enumerate(STATUSES.items()):
        run = found[str(number)]
        assert (run.info.status, run.data.tags["automl.state"]) == (status, state)
        assert ("automl.reason" in run.data.tags) == (state != "complete")
    assert found["6"].data.tags["automl.reason"] == "killed\nits last words"
    assert found["study"].info.status == "FINISHED"


def test_trials_under_way_can_be_put_off_but_none_that_has_ended(uri: str) -> None:
    writer = opened(uri, "off")
    take(writer, [Resumed(T0, 2), suggestion("off", 0), start("off", 0), report("off", 0, 1), *story("off", 1)])
    writer.flush(0.0, running=False)
    found = runs(uri, "off")
    assert {name: run.info.status for name, run in found.items()} == {"study": "RUNNING", "1": "FINISHED"}
    assert writer.has_work
    for _ in range(2):
        writer.flush(0.0)
    assert runs(uri, "off")["0"].data.metrics["accuracy"] == report("off", 0, 1).metrics["accuracy"]


def test_a_trial_is_shown_as_it_was(uri: str) -> None:
    mirrored(uri, "whole", study("whole", ["complete", "complete"]))
    run = runs(uri, "whole")["1"]
    assert run.info.run_name == "1 lr=0.002 sgd 2x65"
    assert (run.info.start_time, run.info.end_time) == (round((T0 + 21) * 1000), round((T0 + 35) * 1000))
    assert run.data.params == {"layers": "2", "units": "65", "optimizer": "sgd", "learning_rate": "0.002", "dropout": "0.1"}
    assert run.data.metrics["objective"] == 0.601
    points = history(uri, run)["accuracy"]
    assert points == [(epoch, 0.5 + epoch / 100 + 0.001, round((T0 + 21 + epoch) * 1000)) for epoch in range(1, 11)]
    tags = {name: value for name, value in run.data.tags.items() if name.startswith("automl.")}
    assert tags == {
        "automl.kind": "trial",
        "automl.study": "study-whole",
        "automl.study_id": "whole",
        "automl.trial": "1",
        "automl.strategy": "random",
        "automl.pruner": "median",
        "automl.seed": "3",
        "automl.space_sha256": "5e1f",
        "automl.state": "complete",
        "automl.device": "cpu",
    }
    assert run.data.tags["mlflow.parentRunId"] == runs(uri, "whole")["study"].info.run_id


def test_only_complete_trials_have_an_objective(uri: str) -> None:
    mirrored(uri, "objectives", study("objectives", ["complete", "pruned", "diverged", "failed"]))
    found = runs(uri, "objectives")
    assert [number for number in "0123" if "objective" in found[number].data.metrics] == ["0"]


def test_the_parents_curve_never_falls_back_though_trials_end_out_of_order(uri: str) -> None:
    events = [Resumed(T0, 3)]
    for number in (0, 1, 2):
        events += story("curve", number, "running")
    events += [*end("curve", 2, "complete"), *end("curve", 0, "complete"), *end("curve", 1, "pruned")]
    mirrored(uri, "curve", events)
    points = history(uri, runs(uri, "curve")["study"])["best_objective"]
    assert sorted((step, value) for step, value, _ in points) == [(0, 0.602), (1, 0.602), (2, 0.602)]


def test_nothing_but_finite_numbers_is_logged(uri: str, database: Path) -> None:
    odd = [report("nan", 0, epoch, loss=value) for epoch, value in enumerate([float("nan"), float("inf"), float("-inf"), 0.25], start=1)]
    mirrored(uri, "nan", [suggestion("nan", 0), start("nan", 0), *odd, *end("nan", 0, "complete")])
    with sqlite3.connect(database) as connection:
        assert connection.execute("select count(*) from metrics where is_nan or abs(value) > 1e300").fetchone() == (0,)
        assert connection.execute("select step from metrics where key = 'loss'").fetchall() == [(4,)]


def test_a_trial_that_nobody_trained_has_no_run(uri: str) -> None:
    writer = mirrored(uri, "unstarted", [Resumed(T0, 2), suggestion("unstarted", 0), Rested(T0 + 1, "interrupted", 1.0)])
    assert set(runs(uri, "unstarted")) == {"study"}
    assert writer.missing == 0


# -- again --------------------------------------------------------------------------------------------------------------


def test_writing_a_study_again_writes_nothing(uri: str) -> None:
    events = study("again", ["complete", "pruned", "failed"])
    mirrored(uri, "again", events)
    before = content(uri, "again")
    writer = opened(uri, "again")
    take(writer, events)
    with counted() as seen:
        writer.flush(0.0, final=True)
    assert seen.statements == []
    writer.close(summary(), {})
    assert content(uri, "again") == before


def test_whatever_a_killed_writer_left_is_completed(uri: str) -> None:
    """The writer dies before any of its requests, one after another; the next one makes of it what an undisturbed one writes."""
    events = study("reference", ["complete", "pruned", "failed"])
    mirrored(uri, "reference", events)
    reference = {name: (info[1:], params, metrics) for name, (info, _, params, metrics) in content(uri, "reference").items()}
    for requests in (0, 1, 2, 3, 5, 8):
        identity = f"killed-{requests}"
        events = study(identity, ["complete", "pruned", "failed"])
        writer = opened(uri, identity)
        take(writer, events)
        writer._client = DyingClient(writer._client, requests)  # type: ignore[assignment]
        with pytest.raises(DeadError):
            writer.flush(0.0, final=True)
        mirrored(uri, identity, events)
        found = {name: (info[1:], params, metrics) for name, (info, _, params, metrics) in content(uri, identity).items()}
        assert found == reference


class DeadError(BaseException):
    """Nothing of ours runs after it, like after a kill."""


class DyingClient:
    """A real client that dies after so many requests."""

    def __init__(self, client: Any, requests: int) -> None:
        self._client, self._left = client, requests

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def request(*arguments: Any, **named: Any) -> Any:
            if self._left == 0:
                raise DeadError
            self._left -= 1
            return getattr(self._client, name)(*arguments, **named)

        return request


def test_what_a_killed_driver_left_running_waits_and_then_runs_on(uri: str) -> None:
    begun = [Resumed(T0, 1), suggestion("torn", 0), start("torn", 0), report("torn", 0, 1)]
    mirrored(uri, "torn", begun, close=False)
    assert runs(uri, "torn")["0"].info.status == "RUNNING"

    returned = [*begun, Resumed(T0 + 100, 1)]
    mirrored(uri, "torn", returned, close=False)
    run = runs(uri, "torn")["0"]
    assert (run.info.status, run.data.tags["automl.state"]) == ("KILLED", "waiting")

    going = [*returned, start("torn", 0), report("torn", 0, 2)]
    mirrored(uri, "torn", going, close=False)
    run = runs(uri, "torn")["0"]
    assert (run.info.status, run.data.tags["automl.state"]) == ("RUNNING", "running")

    mirrored(uri, "torn", [*going, *end("torn", 0, "complete")])
    run = runs(uri, "torn")["0"]
    assert (run.info.status, run.data.tags["automl.state"]) == ("FINISHED", "complete")
    assert [step for step, _, _ in history(uri, run)["accuracy"]] == [1, 2]


def test_an_interrupted_study_leaves_no_run_running(uri: str) -> None:
    events = [Resumed(T0, 2), *story("left", 0), *story("left", 1, "running"), Rested(T0 + 50, "interrupted", 50.0)]
    writer = opened(uri, "left")
    take(writer, events)
    writer.close(summary(why="interrupted"), {})
    found = runs(uri, "left")
    assert {name: run.info.status for name, run in found.items()} == {"study": "KILLED", "0": "FINISHED", "1": "KILLED"}
    assert found["1"].data.tags["automl.state"] == "waiting"
    assert found["1"].info.end_time == round((T0 + 50) * 1000)


def test_a_continued_study_is_shown_at_work(uri: str) -> None:
    events = study("continued", ["complete"])
    mirrored(uri, "continued", events)
    mirrored(uri, "continued", [*events, Resumed(T0 + 20_000, 2)], close=False)
    parent = runs(uri, "continued")["study"]
    assert (parent.info.status, parent.data.tags["automl.state"]) == ("RUNNING", "running")


def test_of_two_runs_of_a_trial_the_fuller_one_stays(uri: str) -> None:
    """A request that MLflow answered too late makes a run that nobody knows of."""
    writer = mirrored(uri, "twice", study("twice", ["complete"]))
    client = connect(uri)
    parent = {"mlflow.parentRunId": writer.parent, "automl.kind": "trial", "automl.trial": "0", "automl.study_id": "twice"}
    client.create_run(writer.experiment, start_time=1, tags=parent)
    mirrored(uri, "twice", study("twice", ["complete"]))
    assert runs(uri, "twice")["0"].info.status == "FINISHED"


def test_a_run_that_was_made_without_an_answer_is_found(uri: str) -> None:
    class Deaf(DyingClient):
        def create_run(self, *arguments: Any, **named: Any) -> Any:
            self._client.create_run(*arguments, **named)
            raise TimeoutError("no answer")

    writer = opened(uri, "deaf")
    take(writer, study("deaf", ["complete"]))
    client, writer._client = writer._client, Deaf(writer._client, 100)  # type: ignore[assignment]
    with pytest.raises(TimeoutError):
        writer.flush(0.0, final=True)
    writer._client = client
    writer.close(summary(), {})
    assert runs(uri, "deaf")["0"].info.status == "FINISHED"


# -- any chunking -------------------------------------------------------------------------------------------------------

TANGLE = [
    Resumed(T0, 5),
    *story("x", 0),
    suggestion("x", 1),
    suggestion("x", 2),
    start("x", 1),
    start("x", 2),
    report("x", 2, 1),
    report("x", 1, 1),
    Lost(key("x", 2), T0 + 60, "killed"),
    report("x", 1, 2),
    Resumed(T0 + 80, 5),
    start("x", 2),
    report("x", 2, 2),
    *end("x", 2, "complete"),
    start("x", 1),
    *end("x", 1, "pruned"),
    *story("x", 3, "diverged"),
    *story("x", 4, "running"),
    Rested(T0 + 200, "interrupted", 1.0),
]


def renamed(events: Sequence[Event], identity: str) -> list[Event]:
    from dataclasses import replace

    return [replace(event, key=key(identity, event.key.trial)) if hasattr(event, "key") else event for event in events]  # type: ignore[type-var]


@settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cuts=st.sets(st.integers(1, len(TANGLE) - 1), max_size=8), restarts=st.sets(st.integers(1, len(TANGLE) - 1), max_size=3))
def test_any_chunking_and_any_restart_gives_the_same_content(uri: str, cuts: set[int], restarts: set[int]) -> None:
    def written(cuts: set[int], restarts: set[int]) -> Any:
        identity = uuid.uuid4().hex
        events = renamed(TANGLE, identity)
        writer, begin = opened(uri, identity), 0
        for cut in sorted({*cuts, *restarts, len(events)}):
            take(writer, events[begin:cut])
            writer.flush(float(cut))
            begin = cut
            if cut in restarts:
                writer = opened(uri, identity)
                take(writer, events[:cut])
        writer.close(summary(), {})
        return {
            name: (info[1:], {key: tags.get(key) for key in ("automl.state", "automl.reason", "automl.device")}, params, metrics)
            for name, (info, tags, params, metrics) in content(uri, identity).items()
        }

    assert written(cuts, restarts) == written(set(), set())


# -- what it costs ------------------------------------------------------------------------------------------------------


def cost_of_four(writer: Writer, identity: str, first: int, flushes: int) -> int:
    """SQL statements for four trials of ten reports, one after another, each over so many flushes, and the parent's curve with them."""
    with counted() as seen:
        for number in range(first, first + 4):
            events = story(identity, number)
            cuts = [round(part * len(events) / flushes) for part in range(flushes + 1)]
            for begin, until in pairwise(cuts):
                take(writer, events[begin:until])
                writer.flush(0.0)
    return len(seen.statements)


def crowd(database: Path, run: str, numbers: range) -> None:
    """Many more runs like this one, put into the database directly."""
    with sqlite3.connect(database) as connection:
        for table in ("runs", "tags", "params", "latest_metrics", "metrics"):
            names = [row[1] for row in connection.execute(f"pragma table_info({table})")]
            rows = connection.execute(f"select * from {table} where run_uuid = ?", (run,)).fetchall()
            copies = []
            for number in numbers:
                for row in rows:
                    copied = {**dict(zip(names, row, strict=True)), "run_uuid": f"{number:032x}"}
                    if table == "tags" and copied["key"] == "automl.trial":
                        copied["value"] = str(number)
                    copies.append(tuple(copied.values()))
            connection.executemany(f"insert into {table} values ({','.join('?' * len(names))})", copies)


def test_a_trial_costs_the_same_at_trial_ten_and_beyond_a_thousand_and_all_are_found(uri: str, database: Path) -> None:
    identity = "flat"
    writer = opened(uri, identity)
    take(writer, [Resumed(T0, 2000)])
    cost_of_four(writer, identity, 0, 1)  # the first of all adds the parent's curve
    early = cost_of_four(writer, identity, 4, 1)
    assert early <= 4 * 40
    for first, flushes in ((8, 2), (12, 3), (16, 5), (20, 10)):
        assert cost_of_four(writer, identity, first, flushes) <= 4 * (40 + 12 * (flushes - 1))

    writer.close(summary(), {})
    run = runs(uri, identity)["23"].info.run_id
    crowd(database, run, range(24, 1100))
    events = [Resumed(T0, 2000)] + [event for number in range(1100) for event in story(identity, number, epochs=1)]
    writer = opened(uri, identity)
    take(writer, events)
    writer.flush(0.0, final=True)  # the parent's curve
    assert writer.missing == 0
    assert cost_of_four(writer, identity, 1100, 1) == early
    assert len(runs(uri, identity)) == 1 + 1104


# -- what cannot be written ---------------------------------------------------------------------------------------------


def test_what_mlflow_refuses_is_told_and_holds_up_nothing_else(uri: str) -> None:
    writer = opened(uri, "refused")
    take(writer, [Resumed(T0, 2), *story("refused", 0, "running")])
    writer.flush(0.0, final=True)
    connect(uri).delete_run(runs(uri, "refused")["0"].info.run_id)
    take(writer, [*end("refused", 0, "complete"), *story("refused", 1)])
    writer.flush(1.0, final=True)
    assert writer.missing == 1
    assert len(writer.problems) == 1
    assert writer.problems[0].startswith("MLflow refuses trial 0: The run ")
    assert runs(uri, "refused")["1"].info.status == "FINISHED"


def test_a_deleted_experiment_is_an_error_that_says_how_to_restore_it(uri: str) -> None:
    client = connect(uri)
    experiment = opened(uri, "gone").experiment
    client.delete_experiment(experiment)
    with pytest.raises(TrackingError) as caught:
        opened(uri, "gone")
    assert str(caught.value) == (
        f"MLflow ({uri}): the experiment 'digits' must be active, but it was deleted there. "
        f"Restore it with `MLFLOW_TRACKING_URI={uri} mlflow experiments restore -x {experiment}`, then `automl sync study-gone`."
    )


def test_a_long_value_is_shortened_visibly_and_kept_whole_beside(uri: str, tmp_path: Path) -> None:
    long = Suggested(key("long", 0), T0, {**configuration(0), "note": "x" * 7000}, "strategy")
    mirrored(uri, "long", [long, *story("long", 0)[1:]])
    run = runs(uri, "long")["0"]
    assert run.data.params["note"] == "x" * (6000 - 14) + " … (shortened)"
    kept = Path(connect(uri).download_artifacts(run.info.run_id, "configuration.json", str(tmp_path)))
    assert "x" * 7000 in kept.read_text()


def test_replicates_are_no_trials(uri: str) -> None:
    from automl.events import TrialKey

    confirmation = Reported(TrialKey("replicates", 0, 1), T0 + 500, 1, {"accuracy": 0.99}, 1.0)
    mirrored(uri, "replicates", [*study("replicates", ["complete"]), confirmation])
    assert runs(uri, "replicates")["0"].data.metrics["accuracy"] == 0.6


# -- the end ------------------------------------------------------------------------------------------------------------


def test_the_end_leaves_ranks_a_note_and_artifacts(uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "weights and more"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "config.yaml").write_text("a: 1")
    (tmp_path / "digits.yaml").write_text("name: digits")
    events = study("end", ["complete", "complete", "complete"])
    artifacts = {"best": folder, "space.yaml": tmp_path / "digits.yaml", "missing.txt": tmp_path / "missing.txt"}

    writer = mirrored(uri, "end", events, close=False)
    writer.close(summary(trial(1), trial(2)), artifacts)
    writer.close(summary(trial(2), trial(0)), artifacts)
    found = runs(uri, "end")
    assert {number: found[number].data.tags.get("automl.rank") for number in "012"} == {"0": "2", "1": None, "2": "1"}
    assert {number: found[number].data.tags.get("automl.view") for number in "012"} == {"0": "by strategy", "1": None, "2": "by strategy"}
    assert {number: found[number].data.tags["mlflow.runColor"] for number in "012"} == {"0": COMPLETE, "1": COMPLETE, "2": WINNER}
    note = found["study"].data.tags["mlflow.note.content"]
    assert f"[2](#/experiments/{writer.experiment}/runs/{found['2'].info.run_id}?workflowType=machine_learning)" in note
    client = connect(uri)
    names = sorted(file.path for file in client.list_artifacts(writer.parent))
    assert names == ["best", "space.yaml", "summary.json"]
    assert [file.path for file in client.list_artifacts(writer.parent, "best/inner")] == ["best/inner/config.yaml"]
    assert Path(client.download_artifacts(writer.parent, "space.yaml", str(tmp_path))).read_text() == "name: digits"
    assert (tmp_path / "mlartifacts").is_dir()
    assert [problem.split(":")[0] for problem in writer.problems] == ["missing.txt could not be copied to MLflow"]


def test_replicates_have_curves_of_their_own_and_the_trial_their_mean(uri: str) -> None:
    """One has got further than the other: the mean stands where both have been, and the objective when both have ended."""

    def says(replicate: int, epoch: int, value: float) -> Reported:
        return Reported(TrialKey("both", 0, replicate), T0 + 10 * replicate + epoch, epoch, {"accuracy": value, "loss": 1 - value}, 1.0)

    begin = [Resumed(T0, 2), suggestion("both", 0), *(Started(TrialKey("both", 0, r), T0 + 1, "cpu", f"worker-{r}") for r in (0, 1))]
    first = [says(0, 1, 0.5), says(0, 2, 0.75), Finished(TrialKey("both", 0, 0), T0 + 3, saved=True)]
    second = [says(1, 1, 0.25), Finished(TrialKey("both", 0, 1), T0 + 13, stopped_early=True)]
    for events in ([*begin, *first], [*begin, *first, *second]):  # the second time a new writer finds what the first has left
        writer = Writer(connect(uri), uri, replace(header("both"), replicates=2))
        writer.open()
        take(writer, events)
        writer.close(summary(), {})
    run = runs(uri, "both")["0"]
    shown = {name: [(step, value) for step, value, _ in points] for name, points in history(uri, run).items()}
    assert shown == {
        "accuracy": [(1, 0.375)],
        "objective": [(2, 0.5)],
        "replicate_0/accuracy": [(1, 0.5), (2, 0.75)],
        "replicate_0/loss": [(1, 0.5), (2, 0.25)],
        "replicate_1/accuracy": [(1, 0.25)],
        "replicate_1/loss": [(1, 0.75)],
    }
    assert (run.info.status, run.data.tags["automl.state"]) == ("FINISHED", "complete")


# -- what it looks like -------------------------------------------------------------------------------------------------


def tags_of(uri: str, writer: Writer) -> dict[str, str]:
    return dict(connect(uri).get_experiment(writer.experiment).tags)


def test_an_experiment_has_its_views_from_the_first_moment_and_a_person_may_change_its_note(uri: str) -> None:
    writer = opened(uri, "views")
    seen = tags_of(uri, writer)
    assert {key for key in seen if key.startswith(TAG)} == {TAG + key for key in (STRATEGIES, TRIALS, BY_STRATEGY, own_key("views"))}
    assert "[Trials](#/experiments/" in seen["mlflow.note.content"]
    connect(uri).set_experiment_tag(writer.experiment, "mlflow.note.content", "mine")
    opened(uri, "views").close(summary(), {})
    assert tags_of(uri, writer) == {**seen, "mlflow.note.content": "mine"}


@pytest.mark.parametrize(("version", "reads"), [("3.16.9", False), ("3.17.0rc1", True), ("3.99", True), ("4.0.0", False), ("odd", False)])
def test_a_ui_that_reads_other_views_gets_none(uri: str, monkeypatch: pytest.MonkeyPatch, version: str, reads: bool) -> None:
    monkeypatch.setattr("mlflow.version.VERSION", version)
    writer = mirrored(uri, "old", study("old", ["complete"]))
    assert (TAG + TRIALS in tags_of(uri, writer)) == reads
    assert ("viewStateShareKey" in runs(uri, "old")["study"].data.tags["mlflow.note.content"]) == reads


def test_what_mlflow_refuses_of_the_looks_holds_up_nothing(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    def refuse(*anything: object) -> None:
        raise MlflowException("you may not", PERMISSION_DENIED)

    monkeypatch.setattr("mlflow.tracking.MlflowClient.set_experiment_tag", refuse)
    monkeypatch.setattr("mlflow.tracking.MlflowClient.log_inputs", refuse)
    writer = mirrored(uri, "refusing", study("refusing", ["complete"]))
    assert writer.problems == []
    assert runs(uri, "refusing")["study"].info.status == "FINISHED"


def test_the_data_set_is_an_input_of_the_study_once(uri: str) -> None:
    told = replace(header("data"), data_fingerprint="f" * 64, data_source="tables/a.csv", data_sizes={"train": 80, "test": 20})
    for _ in range(2):
        writer = Writer(connect(uri), uri, told)
        writer.open()
    (given,) = connect(uri).get_run(writer.parent).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest, given.dataset.source_type) == ("digits", "f" * 36, "local")
    assert given.dataset.source == '{"uri": "tables/a.csv"}'
    assert given.dataset.profile == '{"samples": 100, "train": 80, "test": 20}'


def test_the_study_tells_how_it_searches_and_what_became_of_its_trials(uri: str) -> None:
    writer = opened(uri, "told")
    take(writer, study("told", ["complete", "pruned", "failed"]))
    writer.close(replace(summary(), counts={"complete": 1, "pruned": 1, "failed": 1}, epochs=(5, 20), gain=0.5), {})
    run = runs(uri, "told")["study"]
    assert run.data.params == {"strategy": "random", "pruner": "median", "epochs": "10", "seed": "3", "data": "digits"}
    shown = {name: points[-1][:2] for name, points in history(uri, run).items()}
    assert shown == {
        "best_objective": (2, 0.6),
        "epochs/saved_percent": (3, 25.0),
        "epochs/trained": (2, 30.0),
        "gain": (3, 0.5),
        "trials/complete": (3, 1.0),
        "trials/failed": (3, 1.0),
        "trials/pruned": (3, 1.0),
    }


def test_trials_have_the_colour_of_their_end_and_failed_ones_their_log(uri: str, tmp_path: Path) -> None:
    (tmp_path / "trials" / "2").mkdir(parents=True)
    (tmp_path / "trials" / "2" / "log.txt").write_text("its last words")
    for _ in range(2):
        writer = Writer(connect(uri), uri, replace(header("ends"), folder=str(tmp_path)))
        writer.open()
        take(writer, study("ends", ["complete", "pruned", "failed", "diverged", "running"]))
        writer.close(summary(), {})
    found = runs(uri, "ends")
    assert [found[number].data.tags.get("mlflow.runColor") for number in "01234"] == ["#0072B2", "#B0B0B0", "#D55E00", "#D55E00", None]
    note = found["2"].data.tags["mlflow.note.content"]
    log = f"#/experiments/{writer.experiment}/runs/{found['2'].info.run_id}/artifacts/log.txt?workflowType=machine_learning"
    assert note == f"**Trial 2: failed.**\n\n```\nTraceback\nValueError: no\n```\n\n[Its log]({log})"
    assert Path(connect(uri).download_artifacts(found["2"].info.run_id, "log.txt", str(tmp_path))).read_text() == "its last words"
    assert "log" not in found["3"].data.tags["mlflow.note.content"]
    assert "mlflow.note.content" not in found["0"].data.tags


def test_parameters_on_a_logarithmic_scale_have_their_logarithm_as_a_metric(uri: str) -> None:
    writer = Writer(connect(uri), uri, replace(header("logs"), logarithmic=("learning_rate",)))
    writer.open()
    take(writer, study("logs", ["complete"]))
    writer.close(summary(), {})
    assert history(uri, runs(uri, "logs")["0"])["log10/learning_rate"] == [(0, -3.0, round(T0 * 1000))]


def test_a_trial_that_stopped_early_says_so(uri: str) -> None:
    early = replace(end("early", 0, "complete")[0], stopped_early=True)  # type: ignore[type-var]
    mirrored(uri, "early", [*story("early", 0, "running", epochs=4), early])
    assert runs(uri, "early")["0"].data.tags["automl.reason"] == "stopped early after epoch 4"


def fresh(identity: str, number: int, again: int) -> list[Event]:
    """A confirmation of a trial that is complete."""
    replicate, at = TrialKey(identity, number, again), T0 + 1000 + again * 20
    made = [Confirming(replicate, at, "claim"), Started(replicate, at, "cpu", "worker-0")]
    reports = [Reported(replicate, at + epoch, epoch, {"accuracy": 0.9 + epoch / 100, "loss": math.nan}, 1.0) for epoch in (1, 2)]
    return [*made, *reports, automl_events.Tested(replicate, at + 3, {"accuracy": again / 4}), Finished(replicate, at + 3)]


@pytest.mark.parametrize("cut", range(0, 13, 3))
def test_confirmations_stand_with_their_trial_and_change_nothing_else(uri: str, cut: int) -> None:
    """Also when a first writer got only so far, and a second one begins anew with all events."""
    identity = uuid.uuid4().hex
    before = [event for number in (0, 1) for event in story(identity, number)]
    plain = uuid.uuid4().hex
    mirrored(uri, plain, [event for number in (0, 1) for event in story(plain, number)])
    events = [*before, *fresh(identity, 1, 1), *fresh(identity, 1, 2)]
    mirrored(uri, identity, events[: len(before) + cut])
    mirrored(uri, identity, events)
    found, expected = content(uri, identity), content(uri, plain)
    assert set(found) == set(expected) == {"study", "0", "1"}
    info, tags, params, curves = found["1"]
    own = {name: points for name, points in curves.items() if not name.startswith("fresh_")}
    assert (info[1:], params, own) == (expected["1"][0][1:], *expected["1"][2:])
    assert tags["automl.fresh_seeds"] == "2"
    assert sorted(set(curves) - set(own)) == ["fresh_1/accuracy", "fresh_1/test_accuracy", "fresh_2/accuracy", "fresh_2/test_accuracy"]
    assert [(step, value) for step, value, _ in curves["fresh_2/accuracy"]] == [(1, 0.91), (2, 0.92)]
    assert [(step, value) for step, value, _ in curves["fresh_2/test_accuracy"]] == [(0, 0.5)]
    assert found["study"][3].keys() == expected["study"][3].keys(), "the test of a confirmation is not that of the winner"
    assert found["0"][3] == expected["0"][3]


def test_confirmations_that_mlflow_has_whole_are_not_written_again(uri: str, database: Path) -> None:
    identity = uuid.uuid4().hex
    events = [*story(identity, 0), *fresh(identity, 0, 1)]
    mirrored(uri, identity, events)
    again = opened(uri, identity)
    take(again, events)
    assert not again.has_work
    assert again.missing == 0


@pytest.mark.parametrize(
    ("folds", "trainings", "names"),
    [
        (3, 3, {"fold_0/accuracy", "fold_1/accuracy", "fold_2/accuracy"}),
        (2, 4, {f"replicate_{replicate}/fold_{fold}/accuracy" for replicate in (0, 1) for fold in (0, 1)}),
    ],
)
def test_folds_stand_under_their_own_names(uri: str, folds: int, trainings: int, names: set[str]) -> None:
    identity = f"folds-{trainings}"
    began = [Resumed(T0, 2), suggestion(identity, 0), *(Started(TrialKey(identity, 0, r), T0 + 1, "cpu", "w") for r in range(trainings))]
    reports = [Reported(TrialKey(identity, 0, r), T0 + 2 + r, 1, {"accuracy": r / 10}, 1.0) for r in range(trainings)]
    ends = [Finished(TrialKey(identity, 0, r), T0 + 20, saved=True) for r in range(trainings)]
    writer = Writer(connect(uri), uri, replace(header(identity), replicates=trainings, folds=folds))
    writer.open()
    take(writer, [*began, *reports, *ends])
    writer.close(summary(), {})
    run = runs(uri, identity)["0"]
    assert set(run.data.metrics) == {*names, "accuracy", "objective"}
    assert run.data.metrics["objective"] == run.data.metrics["accuracy"] == pytest.approx(sum(range(trainings)) / 10 / trainings)
