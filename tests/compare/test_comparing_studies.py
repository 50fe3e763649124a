"""A comparison as a whole: fair budgets, shared data and starts, and nothing lost or said differently when it is interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from automl.compare import plan as planning
from automl.compare import running
from automl.compare.concluding import Outcome, compare
from automl.compare.plan import CompareOptions, ComparePlan, plan
from automl.compare.record import read_record
from automl.compare.running import Entry
from automl.driver import Follower
from automl.errors import AutomlError, StudyError
from automl.events import Slot
from automl.plan import RunOptions
from automl.reading import read_study
from automl.store import Store
from automl.study import Study
from automl.summary import state_of
from automl.trials import Event

pytestmark = pytest.mark.usefixtures("prepares_here")

SPACE = """\
name: small
data: iris
model: mlp
epochs: 2
space:
  units: {type: int, low: 4, high: 32, log: true, grid: [4, 8, 16]}
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true, grid: 3}
baseline: {units: 8, learning_rate: 0.01}
study: {strategy: random, pruner: none, trials: 3}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPACE)
    return tmp_path


def planned(strategies: str = "grid,random", repeats: int = 6, epochs_budget: int | None = None, **options: object) -> ComparePlan:
    run_options = {"engine": "inline", "mlflow": "off", "lanes": "1", **options}
    return plan(
        RunOptions(space="small.yaml", **run_options), CompareOptions(strategies=strategies, repeats=repeats, epochs_budget=epochs_budget)
    )  # type: ignore[arg-type]


def carried_out(**options: object) -> Outcome:
    return compare(planned(**options))  # type: ignore[arg-type]


def study(name: str) -> Study:
    with Store.read_only(Path("studies/small-compare", name)) as store:
        return store.study()


def events(name: str) -> list[tuple[int, Event]]:
    with Store.read_only(Path("studies/small-compare", name)) as store:
        return list(store.events())


def members(folder: str = "studies/small-compare") -> list[str]:
    return sorted(path.parent.name for path in Path(folder).glob("*/study.db"))


def test_a_comparison_gives_every_study_the_same_and_ends_in_a_verdict() -> None:
    outcome = carried_out()
    assert outcome.why == "done"
    assert outcome.report is not None
    assert members() == sorted(f"{arm}-{repeat}" for arm in ("grid", "random") for repeat in range(1, 7))
    for repeat in range(1, 7):
        grid, random = study(f"grid-{repeat}"), study(f"random-{repeat}")
        assert grid.ended == random.ended == 3
        assert grid.seed == random.seed == repeat - 1
        assert grid.test is not None
        assert grid.trials[0].objective == random.trials[0].objective  # the baseline, from the same seed: common random numbers
        assert [trial.configuration for trial in grid.trials] != [trial.configuration for trial in random.trials]
    assert len({study(f"grid-{repeat}").trials[0].objective for repeat in range(1, 7)}) > 1  # repeats are draws of their own
    record = outcome.report.as_json()
    assert record["verdict"] == " ".join(outcome.report.sentences)
    assert {each["name"]: each["test_values"] for each in record["strategies"]} == {
        arm: [study(f"{arm}-{repeat}").test.metrics["accuracy"] for repeat in range(1, 7)]  # type: ignore[union-attr]
        for arm in ("grid", "random")
    }


def test_the_same_command_again_trains_nothing_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    first = carried_out()
    before = {name: events(name) for name in members()}
    monkeypatch.delattr("automl.launch.make_engine")
    again = carried_out()
    assert again.report == first.report
    assert {name: events(name) for name in members()} == before


def _interrupting(after: int) -> running.Watcher:
    """Ctrl-C once so many trials have ended, in all studies together."""

    def watch(entries: Sequence[Entry], slots: Sequence[Slot]) -> Sequence[Follower]:
        def follow(written: Sequence[tuple[int, Event]]) -> None:
            if sum(entry.study.ended for entry in entries) == after and not told:
                told.append(True)
                os.kill(os.getpid(), signal.SIGINT)

        told: list[bool] = []
        return [follow] * len(entries)

    return watch


def test_an_interrupted_comparison_goes_on_to_the_same_verdict() -> None:
    """Grid and random search depend on nothing but their seeds, so that the verdict is the same to the last digit."""
    whole = compare(planned(study="whole"))
    interrupted = compare(planned(study="cut"), _interrupting(17))
    assert (interrupted.why, interrupted.report) == ("interrupted", None)
    assert sum(1 for name in members("studies/cut") if (Path("studies/cut") / name / "best").exists()) == 0
    resumed = compare(planned(study="cut"))
    assert resumed.report is not None
    assert whole.report is not None
    assert resumed.report.judged.pairs == whole.report.judged.pairs
    assert [(s.name, s.test) for s in resumed.report.judged.standings] == [(s.name, s.test) for s in whole.report.judged.standings]


def test_studies_are_driven_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """At no time is a study more than a trial ahead of another, so that drift of the machine hits all alike."""
    leads = []

    def watch(entries: Sequence[Entry], slots: Sequence[Slot]) -> Sequence[Follower]:
        def follow(written: Sequence[tuple[int, Event]]) -> None:
            ended = [entry.study.ended for entry in entries]
            leads.append(max(ended) - min(ended))

        return [follow] * len(entries)

    compare(planned(), watch)
    assert max(leads) == 1


def test_more_repeats_go_on_and_the_earlier_look_is_told() -> None:
    carried_out(repeats=6)
    before = {name: events(name) for name in members()}
    more = carried_out(repeats=7)
    assert {name: events(name) for name in before} == before
    assert more.report is not None
    assert more.report.judged.repeats == 7
    assert more.report.looks == (6,)
    assert more.report.sentences[-1] == (
        "These arms were judged before, with 6 repeats: over all 2 verdicts together the chance of a false alarm is up to 10 %, not 5 %."
    )
    assert carried_out(repeats=6).report.looks == ()  # type: ignore[union-attr]
    assert read_record(more.folder).looks == ((("grid", "random"), 6, "3 trials"), (("grid", "random"), 7, "3 trials"))


def test_more_trials_go_on_and_fewer_are_refused() -> None:
    carried_out()
    assert carried_out(trials=4).report.as_json()["strategies"][0]["trials"] == 4  # type: ignore[union-attr]
    message = (
        "studies/small-compare: a comparison can go on with the same budget for each study or a larger one (it was 4 trials), but it is "
        "now 3 trials. Use --study NAME for a new comparison."
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        carried_out()


@pytest.mark.parametrize("lanes", ["1", "5"])
def test_a_budget_of_epochs_is_the_same_for_all_whatever_pruning_saves(lanes: str) -> None:
    """To the epoch, also where a worker answers with many at once."""
    budget = plan(
        RunOptions(space="small.yaml", engine="inline", mlflow="off", lanes=lanes, epochs=4),
        CompareOptions(strategies="random", pruners="none,asha:min_epochs=1", repeats=6, epochs_budget=14),
    )
    outcome = compare(budget)
    assert outcome.report is not None
    for result in outcome.report.results:
        assert result.epochs == 14
    assert len({standing.results[0].trials for standing in outcome.report.judged.standings}) == 2  # pruned trials leave room for others
    assert compare(budget).report == outcome.report


def test_a_budget_of_seconds_counts_training_and_asking() -> None:
    outcome = carried_out(strategies="random,sobol", time="0.2s")
    assert outcome.report is not None
    assert all(result.seconds + result.ask_seconds >= 0.2 for result in outcome.report.results)


def test_a_grid_that_is_used_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("small.yaml").write_text(SPACE.replace("grid: [4, 8, 16]", "grid: [4]").replace("grid: 3", "grid: 2"))
    outcome = carried_out(trials=5)
    assert outcome.report is not None
    assert outcome.report.notes == ("grid: its space was used up after 3 of 5 trials.",)
    monkeypatch.delattr("automl.launch.make_engine")
    assert carried_out(trials=5).report == outcome.report


def test_a_study_that_cannot_work_stops_the_comparison() -> None:
    """The data vanish under the workers: every trial fails, and nothing is learnt from going on."""

    def watch(entries: Sequence[Entry], slots: Sequence[Slot]) -> Sequence[Follower]:
        for file in Path("studies/small-compare/data").glob("*.npy"):
            file.unlink()
        return []

    with pytest.raises(
        AutomlError, match=r"^studies/small-compare/(grid|random)-\d: The first 3 trials all failed in the same way, so the study stops\."
    ):
        compare(planned(trials=4), watch)
    states = {state_of(read_study(str(folder)).study, False) for folder in Path("studies/small-compare").glob("*-1")}
    assert states <= {"failed", "interrupted"}
    assert "failed" in states


def test_other_data_are_refused_before_anything_is_touched(folder: Path) -> None:
    rows = "".join(f"{n % 7},{n % 5},{n % 2}\n" for n in range(60))
    (folder / "mine.csv").write_text(f"a,b,c\n{rows}")
    carried_out(data="mine.csv", target="c", study="mine")
    (folder / "mine.csv").write_text(f"a,b,c\n{rows}1,1,1\n")
    kept = (folder / "studies/mine/data/info.json").read_bytes()
    message = "studies/mine/grid-1 holds a study of another space (the content of mine.csv has changed). Use --study NAME for a new one."
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        carried_out(data="mine.csv", target="c", study="mine")
    assert (folder / "studies/mine/data/info.json").read_bytes() == kept


def test_a_comparison_that_cannot_begin_leaves_nothing_behind(folder: Path) -> None:
    (folder / "one.csv").write_text("a,b\n1,1\n2,1\n")
    with pytest.raises(AutomlError):
        carried_out(data="one.csv", target="b")
    assert not (folder / "studies").exists()


def test_a_killed_comparison_goes_on(folder: Path) -> None:
    """A real process, killed in the middle of training: no configuration twice, every study to its total."""
    command = [
        sys.executable,
        "-m",
        "automl",
        "compare",
        "small.yaml",
        "--strategies",
        "grid,random",
        "--repeats",
        "6",
        "--engine",
        "inline",
    ]
    command += ["--mlflow", "off", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[1/12]"):
            process.kill()
            break
    process.wait()
    process.stderr.close()
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    record = json.loads(answer.stdout)
    assert [each["trials"] for each in record["strategies"]] == [3, 3]
    for name in members():
        configurations = [json.dumps(trial.configuration, sort_keys=True) for trial in study(name).trials]
        assert len(set(configurations)) == len(configurations) == 3


def test_seeds_count_on_from_the_one_given() -> None:
    assert list(planned(seed=100).seeds) == [100, 101, 102, 103, 104, 105]
    assert {member.plan.spec.settings.seed for member in planned(seed=100).members() if member.repeat == 2} == {101}


def test_the_data_are_prepared_once_and_found_after_a_move(folder: Path) -> None:
    carried_out()
    assert not (folder / "studies/small-compare/data").is_symlink()
    (folder / "studies/small-compare").rename(folder / "elsewhere")
    for name in members("elsewhere"):
        assert (folder / "elsewhere" / name / "data").resolve() == (folder / "elsewhere/data").resolve()
        assert (folder / "elsewhere" / name / "best" / "weights.pt").is_file()


def test_the_defaults_are_three_strategies_and_as_many_repeats_as_they_need() -> None:
    made = plan(RunOptions(space="small.yaml", mlflow="off"), CompareOptions())
    assert [arm.name for arm in made.arms] == ["grid", "random", "bayesian"]
    assert made.repeats == planning.DEFAULT_REPEATS == 7
    four = plan(RunOptions(space="small.yaml", mlflow="off"), CompareOptions(strategies="grid,random,sobol,bayesian"))
    assert four.repeats == 8
    assert replace(made, repeats=2).members()[-1].plan.folder == Path("studies/small-compare/bayesian-2")
