"""Studies that are there already, compared; and everything that must not be."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from automl import events as happened
from automl import spacefile
from automl.cli import comparing, main
from automl.compare.replay import replayed
from automl.errors import StudyError, UsageError
from automl.events import Configuration, Finished, Reported, Started
from automl.folders import existing_study
from automl.spec import StudySpec
from automl.store import Store
from automl.trials import Created, Rested, Resumed, Suggested

SPACE = """\
name: small
data: iris
model: mlp
objective: {maximize: accuracy}
epochs: 3
space:
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPACE)
    return tmp_path


def make(
    name: str,
    strategy: str,
    seed: int,
    test: float | None,
    *,
    trials: int = 2,
    fingerprint: str = "f",
    change: object = None,
    **options: object,
) -> None:
    """The events of a study of two trials, the second of which won."""
    spec: StudySpec = spacefile.load(Path("small.yaml"))
    spec = replace(
        spec, settings=replace(spec.settings, strategy=strategy, strategy_options=options, seed=seed, trials=trials, pruner="none")
    )
    if change is not None:
        spec = replace(spec, **change)  # type: ignore[arg-type]
    now = time.time()
    created = Created(now, name.replace("/", "-"), spacefile.to_dict(spec), "accuracy", True, fingerprint, "0")
    with Store.create(Path("studies", name), created) as store:
        study = store.study()
        events: list[object] = [Resumed(now, trials)]
        for number in range(trials):
            key = study.key(number)
            configuration: Configuration = {"learning_rate": 0.01 + 0.001 * number}
            events += [Suggested(key, now, configuration, "strategy", 0.01), Started(key, now, "cpu", "w")]
            events += [Reported(key, now, 1, {"accuracy": 0.5 + 0.1 * number}, 0.5), Finished(key, now)]
        if test is not None:
            events.append(happened.Tested(study.key(trials - 1), now, {"accuracy": test}))
        store.append([*events, Rested(now, "done", 1.0)])  # type: ignore[list-item]


def several(**more: object) -> list[str]:
    """Seven seeds of two strategies, bayesian always the better one."""
    names = []
    for seed in range(7):
        for strategy, by in (("random", 0.0), ("bayesian", 0.01 + 0.001 * seed)):
            names.append(f"{strategy}-{seed}")
            make(names[-1], strategy, seed, 0.9 + 0.003 * seed + by, **more)  # type: ignore[arg-type]
    return names


def test_studies_of_the_same_seeds_are_pairs() -> None:
    report = replayed(several())
    assert report.judged.is_paired
    assert report.sentences[0] == "Use bayesian: with 2 trials a study it is better here than random."
    assert report.judged.pairs[0].p_value == 2 / 2**7


def test_studies_of_other_seeds_are_compared_without_pairs() -> None:
    names = several()
    report = replayed([name for name in names if name not in ("random-0", "bayesian-3")])
    assert not report.judged.is_paired
    assert report.judged.pairs[0].wins is None


def test_options_that_are_the_default_make_no_other_arm() -> None:
    names = several()
    make("written-out", "bayesian", 99, 0.95, n_startup=10)
    make("another", "bayesian", 99, 0.95, n_startup=5)
    arms = [standing.name for standing in replayed([*names, "written-out", "another"]).judged.standings]
    assert sorted(arms) == ["bayesian", "bayesian:n_startup=5", "random"]


def test_a_comparison_stands_for_its_studies() -> None:
    for seed in range(6):
        make(f"whole/random-{seed}", "random", seed, 0.9)
        make(f"whole/sobol-{seed}", "sobol", seed, 0.91)
    Path("studies/whole/comparison.json").write_text("{}")
    assert len(replayed(["whole"]).results) == 12
    message = (
        "studies/whole: must be a study, but is a comparison of several. Give one of them, such as studies/whole/random-0; "
        "`automl compare --replay whole` shows what they say together."
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        existing_study("whole")


def test_the_command_prints_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names = several()
    monkeypatch.setattr("sys.argv", ["automl", "compare", "--replay", *names, "--csv", "rows.csv", "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    record = json.loads(capsys.readouterr().out)
    assert record["pairs"][0]["verdict"] == "a better"
    assert len(Path("rows.csv").read_text().splitlines()) == 15
    monkeypatch.setattr("sys.argv", ["automl", "compare", "--replay", *names])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said[:4] if "\u2500" not in line] == [
        ["arm", "mean", "rank", "accuracy", "(test)", "validation", "epochs", "seconds", "asking"],
        ["bayesian", "1.00", "0.922", "(0.91", "to", "0.934)", "0.6", "2", "1.0", "0.02"],
        ["random", "2.00", "0.909", "(0.9", "to", "0.918)", "0.6", "2", "1.0", "0.02"],
    ]
    assert "Use bayesian: with 2 trials a study it is better here than random." in said


def test_a_narrow_terminal_gets_a_narrow_table(monkeypatch: pytest.MonkeyPatch) -> None:
    report = replayed([*several(), *_third()])
    for width, detail in ((200, 2), (80, 1), (40, 0)):
        console = Console(width=width, force_terminal=True, file=io.StringIO(), color_system=None)
        monkeypatch.setattr(comparing, "Console", lambda console=console, **settings: console)
        comparing.print_report(report)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert max(map(len, lines)) <= width
        assert any("(0.91 to 0.934)" in line for line in lines) == (detail == 2)
        assert any("asking" in line for line in lines) == (detail > 0)
        assert any("bayesian is better" in line for line in lines) == (detail > 0)


def test_the_name_of_an_arm_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    report = replayed(several())
    first, *others = report.judged.standings
    named = replace(report, judged=replace(report.judged, standings=(replace(first, arm=replace(first.arm, name="[/a] :x:")), *others)))
    comparing.print_report(named)
    assert any(line.startswith("[/a] :x: ") for line in capsys.readouterr().out.splitlines())


def _third() -> list[str]:
    for seed in range(7):
        make(f"sobol-{seed}", "sobol", seed, 0.8)
    return [f"sobol-{seed}" for seed in range(7)]


def test_what_cannot_be_compared_is_refused() -> None:
    make("first", "random", 0, 0.9)
    make("space", "bayesian", 0, 0.9, change={"epochs": 4})
    make("data", "bayesian", 0, 0.9, fingerprint="g")
    make("budget", "bayesian", 0, 0.9, trials=3)
    make("untested", "bayesian", 0, None)
    make("alike", "random", 1, 0.9)
    start = "must have the space, data and budget of studies/first to be compared with it, but differs"
    for name, why in (
        ("space", f"studies/space: {start} (epochs was 3, now 4). Leave it out."),
        ("data", f"studies/data: {start} (the content of iris differs). Leave it out."),
        ("budget", f"studies/budget: {start} (the budget was 2 trials, now 3 trials). Leave it out."),
        (
            "untested",
            "studies/untested: must be at its end, with its winner tested, but is not. "
            "The command that made it goes on with it; then compare.",
        ),
        ("alike", "compare: the studies must be of at least two strategies or pruners, but all 2 are random. Add studies of another."),
        ("none", "studies/none: there must be a study here, but there is no study.db. Studies under studies: "),
    ):
        with pytest.raises(StudyError, match=f"^{re.escape(why)}"):
            replayed(["first", name])
    with pytest.raises(UsageError, match=r"^compare: every study must be given once, but studies/first is given twice\. Leave one out\.$"):
        replayed(["first", "studies/first"])
