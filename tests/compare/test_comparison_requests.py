"""What can be asked of a comparison, and the sentence for everything that cannot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.cli import main
from automl.compare.arms import Arm, choice_name, make_arms, split_choices
from automl.compare.budget import Budget
from automl.compare.plan import CompareOptions, ComparePlan, plan
from automl.compare.record import new_record, read_record, write_record
from automl.errors import StudyError, UsageError
from automl.plan import RunOptions
from automl.shorthand import parse_choice
from automl.spacefile import load

SPACE = """\
name: small
data: iris
model: mlp
epochs: 20
space:
  units: {type: int, low: 4, high: 32, log: true}
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
baseline: {units: 8, learning_rate: 0.01}
study: {strategy: random, pruner: asha, trials: 12}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPACE)
    return tmp_path


def planned(*, strategies: str | None = "random,bayesian", space: str | None = "small.yaml", **options: object) -> ComparePlan:
    own = {name: options.pop(name) for name in ("pruners", "repeats", "epochs_budget") if name in options}
    return plan(RunOptions(space=space, mlflow="off", **options), CompareOptions(strategies=strategies, **own))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("grid,random,bayesian", ["grid", "random", "bayesian"]),
        ("grid, bayesian:n_startup=5 ,random", ["grid", "bayesian:n_startup=5", "random"]),
        ("bayesian:n_startup=5,n_candidates=8,random", ["bayesian:n_startup=5,n_candidates=8", "random"]),
        ("bayesian,n_startup=5,random", ["bayesian:n_startup=5", "random"]),
        ("bayesian:n_startup=5,bayesian:n_startup=10", ["bayesian:n_startup=5", "bayesian:n_startup=10"]),
        ("grid,,random,", ["grid", "random"]),
        ("", []),
    ],
)
def test_commas_part_strategies_and_their_options(text: str, choices: list[str]) -> None:
    assert split_choices(text) == choices


_NAMES = st.sampled_from(["grid", "random", "bayesian", "evolution"])
_OPTIONS = st.dictionaries(st.sampled_from(["n_startup", "population", "sigma"]), st.integers(1, 99), max_size=3)


@given(st.lists(st.tuples(_NAMES, _OPTIONS), min_size=1, max_size=5))
def test_what_an_arm_is_called_is_what_a_person_types(arms: list[tuple[str, dict[str, int]]]) -> None:
    text = ",".join(choice_name(name, options) for name, options in arms)
    assert [parse_choice(choice) for choice in split_choices(text)] == arms


def test_every_strategy_meets_every_pruner() -> None:
    arms = make_arms(["random", "bayesian:n_startup=5"], ["none", "asha"], load(Path("small.yaml")))
    assert [arm.name for arm in arms] == ["random + none", "random + asha", "bayesian:n_startup=5 + none", "bayesian:n_startup=5 + asha"]
    assert [arm.slug for arm in arms] == ["random-none", "random-asha", "bayesian-n_startup=5-none", "bayesian-n_startup=5-asha"]
    assert arms[3] == Arm("bayesian:n_startup=5 + asha", "bayesian", {"n_startup": 5}, "asha", {})


def test_without_pruners_it_is_the_one_of_the_space_file() -> None:
    assert [(arm.name, arm.pruner) for arm in planned().arms] == [("random", "asha"), ("bayesian", "asha")]


def test_without_a_budget_it_is_that_of_the_space_file() -> None:
    assert planned().budget == Budget(trials=12)
    assert planned(time="10m").budget == Budget(seconds=600)
    assert planned(epochs_budget=400, trials=30).budget == Budget(trials=30, epochs=400)
    assert (planned(epochs_budget=400).budget.most_trials, planned(time="90s").budget.words) == (400, "1m30s")


def test_a_model_that_never_begins_is_told_of() -> None:
    note = (
        "bayesian: its first 11 trials are random draws (and the baseline), so with 8 trials it is random search. "
        "More --trials, or a smaller n_startup, makes it learn."
    )
    assert planned(trials=8).notes == (note,)
    assert planned(trials=12).notes == ()


MISTAKES = {
    "a strategy that does not exist": (
        {"strategies": "random,bayesan"},
        "--strategies: 'bayesan' is not a strategy. Strategies: grid, random, sobol, bayesian, gp, cmaes, evolution. "
        "Did you mean 'bayesian'?",
    ),
    "a grid without points": (
        {"strategies": "grid,random"},
        "--strategies grid: every continuous parameter must have its points, but none are given for learning_rate. "
        "Add 'grid: 4' (so many points) or 'grid: [...]' (these points) to each of them.",
    ),
    "an option that does not exist": (
        {"strategies": "random,bayesian:n_start=5"},
        "--strategies bayesian: 'n_start' is not an option. Options: n_startup, n_candidates. Did you mean 'n_startup'?",
    ),
    "a pruner that does not exist": (
        {"pruners": "none,ash"},
        "--pruners: 'ash' is not a pruner. Pruners: none, median, percentile, asha, hyperband, patient, wilcoxon. Did you mean 'asha'?",
    ),
    "one strategy": (
        {"strategies": "random"},
        "--strategies: must name at least two strategies, or one with two --pruners, but is random. "
        "Example: --strategies grid,random,bayesian.",
    ),
    "no strategy": (
        {"strategies": ","},
        "--strategies: must name at least two strategies, or one with two --pruners, but is nothing. "
        "Example: --strategies grid,random,bayesian.",
    ),
    "the same twice": (
        {"strategies": "random,bayesian,random"},
        "--strategies: every arm must differ from the others, but random and random are the same. Leave one out.",
    ),
    "the same with its default written out": (
        {"strategies": "bayesian,bayesian:n_startup=10"},
        "--strategies: every arm must differ from the others, but bayesian and bayesian:n_startup=10 are the same. Leave one out.",
    ),
    "too few repeats for two arms": (
        {"repeats": 5},
        "--repeats: must be at least 6 for 2 arms, since fewer can lead to no verdict (with 5 no test reaches 5 %, corrected for 1 pair), "
        "but is 5. Give --repeats 6, or fewer strategies.",
    ),
    "too few repeats for four arms": (
        {"strategies": "random,sobol,bayesian,evolution", "repeats": 7},
        "--repeats: must be at least 8 for 4 arms, since fewer can lead to no verdict (with 7 no test reaches 5 %, corrected for 6 pairs), "
        "but is 7. Give --repeats 8, or fewer strategies.",
    ),
    "no repeats": (
        {"repeats": 0},
        "--repeats: must be at least 6 for 2 arms, since fewer can lead to no verdict (with 0 no test reaches 5 %, corrected for 1 pair), "
        "but is 0. Give --repeats 6, or fewer strategies.",
    ),
    "no trials": ({"trials": 0}, "--trials: must be a whole number of at least 1, but is 0."),
    "one trial": ({"trials": 1}, "--trials: must be at least 2, so that there is something to choose from, but is 1."),
    "no epochs": ({"epochs_budget": 0}, "--epochs-budget: must be a whole number of at least 1, but is 0."),
    "fewer epochs than a trial": (
        {"epochs_budget": 19},
        "--epochs-budget: must allow at least one whole trial (20 epochs), but is 19. "
        "It counts the epochs of all trials of a study together.",
    ),
    "no time": (
        {"time": "0s"},
        "--time: must be a duration above 0, but is '0s'. Give one such as 90s, 30m, 2h, 1h30m, or a number of seconds.",
    ),
    "no space": (
        {"space": None},
        "compare: must be given a search space, but is not. Example: automl compare digits_mlp --strategies grid,random,bayesian.",
    ),
    "a folder of a study": (
        {"study": "other"},
        "studies/other: must be the folder of a comparison, but holds a study. Use --study with another name or path.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_answered_before_anything_starts(mistake: str) -> None:
    options, message = MISTAKES[mistake]
    Path("studies/other").mkdir(parents=True)
    Path("studies/other/study.db").touch()
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        planned(**options)  # type: ignore[arg-type]
    assert [path.name for path in Path("studies").iterdir()] == ["other"]


def test_several_objectives_are_refused() -> None:
    Path("small.yaml").write_text(SPACE + "objective: [{maximize: accuracy}, {minimize: parameters}]\n")
    message = (
        "small.yaml: a comparison needs one objective, since a pick is judged by one value, but there are 2 (accuracy, parameters). "
        "Leave out all but one."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        planned()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["small.yaml", "grid", "random"],
            "compare: must be given one search space, but has 3: small.yaml, grid, random. "
            "Strategies go after --strategies, with commas between them; --replay compares studies.",
        ),
        (["small.yaml", "--csv", "."], "--csv: must be a file, but . is a folder. Give another name."),
        (["small.yaml", "--csv", "no/x.csv"], "--csv: must be in a folder that is there, but no is not. Make it first."),
        (["--replay", "a", "--trials", "5"], "--trials: must not be given with --replay, which trains nothing, but is. Leave it out."),
        (["--replay"], "compare: --replay must be given studies, but is given none. Example: automl compare --replay STUDY STUDY ..."),
        (["small.yaml", "--repeats", "many"], "--repeats: must be a whole number, but is 'many'. `automl compare --help` shows how."),
    ],
)
def test_mistakes_on_the_command_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["automl", "compare", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert (stop.value.code, capsys.readouterr().err) == (2, f"{message}\n")


def test_a_rehearsal_says_what_would_be_done_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.argv", ["automl", "compare", "small.yaml", "--strategies", "random,bayesian", "--trials", "20", "--mlflow", "off", "--dry-run"]
    )
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr().out
    assert stop.value.code == 0
    for line in ("arms         random, bayesian", "repeats      7", "studies      14", "trials       280", "most_epochs  5600"):
        assert line in said
    assert not Path("studies").exists()


def test_a_record_that_cannot_be_read_is_told_of() -> None:
    write_record(Path(), new_record(Budget(trials=3)))
    assert read_record(Path()).budget == Budget(trials=3)
    Path("comparison.json").write_text("{}")
    message = (
        "comparison.json: must be what `automl compare` wrote, but cannot be read (it lacks 'looks'). "
        "Remove it: the studies are kept, and the same command goes on with them."
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        read_record(Path())
