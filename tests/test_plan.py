"""What a request means is settled, and every mistake in it answered, before anything starts."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl.configurations import configuration_yaml, read_configurations
from automl.data import DataInfo, inspect
from automl.errors import AutomlError, UsageError
from automl.folders import study_folder
from automl.plan import RunOptions, lanes_asked, plan, settle, specify
from automl.space import SearchSpace
from automl.spec import DataSpec, Objective, StudySpec
from automl.starter import starter

SPACE = """\
name: small
data: digits
model: mlp
space:
  optimizer:     {type: categorical, choices: [adam, sgd]}
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
  momentum:      {type: float, low: 0.0, high: 0.9, when: {optimizer: sgd}}
  units:         64
baseline: {optimizer: adam, learning_rate: 0.001, units: 64}
"""

SMALLER = SPACE.replace("units:         64", "units: {type: int, low: 1, high: 64}").replace("units: 64}", "units: 8}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "small.yaml").write_text(SPACE)
    return tmp_path


def message(**options: object) -> str:
    with pytest.raises(AutomlError) as error:
        plan(RunOptions(space="small.yaml", **options))  # type: ignore[arg-type]
    assert error.value.exit_code == 2
    return str(error.value)


def test_flags_win_over_the_file() -> None:
    options = RunOptions(
        space="small.yaml", strategy="bayesian:n_startup=4", pruner="asha:min_epochs=2", trials=7, time="1h30m", epochs=3, seed=5
    )
    spec = specify(options)
    settings = spec.settings
    assert (settings.strategy, dict(settings.strategy_options)) == ("bayesian", {"n_startup": 4})
    assert (settings.pruner, dict(settings.pruner_options)) == ("asha", {"min_epochs": 2})
    assert (settings.trials, settings.time_seconds, settings.seed, spec.epochs) == (7, 5400.0, 5, 3)


def test_folds_and_replicates_win_over_the_file() -> None:
    Path("small.yaml").write_text(SPACE.replace("data: digits", "data: {source: digits, validation: 0.3}\nreplicates: 2"))
    spec = specify(RunOptions(space="small.yaml", folds=5))
    assert (spec.data, spec.replicates, spec.trainings) == (DataSpec("digits", folds=5), 2, 10)
    assert specify(RunOptions(space="small.yaml", folds=4, replicates=3)).trainings == 12
    Path("small.yaml").write_text(SPACE.replace("data: digits", "data: {source: digits, validation: {folds: 4}}"))
    assert specify(RunOptions(space="small.yaml", data="wine")).data == DataSpec("wine", folds=4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"folds": 1}, "--folds: must be a whole number of at least 2, but is 1. Leave it out for a validation split in place of folds."),
        ({"folds": 0}, "--folds: must be a whole number of at least 2, but is 0. Leave it out for a validation split in place of folds."),
        ({"replicates": 0}, "--replicates: must be a whole number of at least 1, but is 0."),
        (
            {"folds": 3, "pruner": "wilcoxon"},
            "--pruner wilcoxon: with a threshold of 0.1 a trial must have at least 4 folds or replicates, but has 3. Take --pruner asha.",
        ),
    ],
)
def test_folds_and_replicates_that_cannot_be(options: dict[str, object], sentence: str) -> None:
    assert message(**options) == sentence


def test_folds_and_replicates_together_are_enough_for_the_signed_rank_test() -> None:
    assert plan(RunOptions(space="small.yaml", folds=3, replicates=2, pruner="wilcoxon")).spec.trainings == 6


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (RunOptions(space="small.yaml"), "small-bayesian"),
        (RunOptions(space="small.yaml", strategy="random"), "small-random"),
        (RunOptions(space="small.yaml", data="wine"), "small-wine-bayesian"),
        (RunOptions(space="small.yaml", study="mine"), "mine"),
    ],
)
def test_a_study_that_nobody_named_is_named_after_its_space_data_and_strategy(options: RunOptions, name: str) -> None:
    assert plan(options).folder == Path("studies") / name


def test_a_path_is_taken_as_the_studys_folder(folder: Path) -> None:
    assert plan(RunOptions(space="small.yaml", study=str(folder / "elsewhere"))).folder == folder / "elsewhere"


def test_data_beside_the_space_file_are_found_from_everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "rows.csv").write_text("a,b\n1,2\n")
    (folder / "sub" / "own.yaml").write_text(SPACE.replace("data: digits", "data: {source: rows.csv, target: b}"))
    assert specify(RunOptions(space="sub/own.yaml")).data.source == "sub/rows.csv"
    monkeypatch.chdir(folder / "sub")
    assert specify(RunOptions(space="own.yaml")).data.source == "rows.csv"


GONE = "--config: must be a file with configurations, but gone.yaml cannot be read (no such file or directory). Check the path."
PRINTED = StudySpec("x", DataSpec("digits"), "mlp", None, 1, SearchSpace(()))


def many_sided_space_configurations() -> st.SearchStrategy[dict[str, Any]]:
    """Values of every type that a configuration has, as the family takes them."""
    values = {
        "layers": st.integers(1, 9),
        "learning_rate": st.floats(1e-12, 1e3),
        "dropout": st.floats(0.0, 0.9),
        "optimizer": st.sampled_from(["adam", "sgd"]),
        "schedule": st.sampled_from(["constant", "cosine"]),
        "clip_norm": st.floats(0.0, 10.0),
    }
    return st.fixed_dictionaries({"layers": values.pop("layers")}, optional=values)


NO_CONFIGURATION = "--enqueue: must hold a configuration or a list of them, but own.yaml holds"
HOW_TO_WRITE_THEM = "Write them like [{learning_rate: 0.01}, {learning_rate: 0.1}]."
ENQUEUED = [
    ("", f"{NO_CONFIGURATION} nothing. {HOW_TO_WRITE_THEM}"),
    ("[]", f"{NO_CONFIGURATION} nothing. {HOW_TO_WRITE_THEM}"),
    ("[1, 2]", f"{NO_CONFIGURATION} a list of other things. {HOW_TO_WRITE_THEM}"),
    ("fast", f"{NO_CONFIGURATION} something else. {HOW_TO_WRITE_THEM}"),
    (
        "{optimizer: adam, learning_rate: 0.1, lernrate: 1}",
        "own.yaml: configuration 1: 'lernrate' is not a parameter of mlp. Did you mean 'learning_rate'?",
    ),
    (
        "[{optimizer: adam, learning_rate: 0.01}, {optimizer: adam, learning_rate: -1}]",
        "own.yaml: configuration 2: learning_rate must be a number above 0, but is -1.",
    ),
    ("{optimizer: sgd, learning_rate: 0.1}", "own.yaml: configuration 1: must give every searched parameter, but lacks momentum."),
]


@pytest.mark.parametrize(("content", "expected"), ENQUEUED)
def test_own_configurations_are_checked_before_anything_starts(folder: Path, content: str, expected: str) -> None:
    (folder / "own.yaml").write_text(content)
    assert message(enqueue="own.yaml") == expected


def test_an_unreadable_file_of_configurations_is_named(folder: Path) -> None:
    (folder / "own.yaml").write_text("b: 1\na: [1, 2")
    assert message(enqueue="own.yaml") == (
        "--enqueue: must be YAML or JSON in UTF-8, but own.yaml is not, from line 2 on. Correct the file."
    )
    (folder / "own.yaml").write_bytes(b"\xff\xfe\xfd")
    assert message(enqueue="own.yaml") == "--enqueue: must be YAML or JSON in UTF-8, but own.yaml is not. Correct the file."
    assert message(enqueue="gone.yaml") == (
        "--enqueue: must be a file with configurations, but gone.yaml cannot be read (no such file or directory). Check the path."
    )
    assert message(enqueue="") == "--enqueue: must be a file with configurations, but . cannot be read (is a directory). Check the path."


def test_a_winner_can_be_given_as_best_wrote_it(folder: Path) -> None:
    (folder / "own.json").write_text(
        '{"number": 3, "parameters": {"optimizer": "adam", "learning_rate": 0.01, "units": 64}, "objective": 1}'
    )
    assert plan(RunOptions(space="small.yaml", enqueue="own.json")).enqueued == ({"optimizer": "adam", "learning_rate": 0.01},)


def test_a_configuration_alone_is_a_study_of_one_trial_without_baseline_and_search(folder: Path) -> None:
    (folder / "fast.yaml").write_text("{optimizer: adam, learning_rate: 0.1}")
    planned = plan(RunOptions(space="small.yaml", config="fast.yaml", seed=3, epochs=7))
    settings = planned.spec.settings
    assert (planned.folder.name, planned.enqueued) == ("small-fast", ({"optimizer": "adam", "learning_rate": 0.1},))
    assert (planned.spec.baseline, settings.trials, settings.pruner, settings.confirm) == (None, 1, "none", 0)
    assert (settings.seed, planned.spec.epochs) == (3, 7)
    assert plan(RunOptions(space="small.yaml", config="fast.yaml", confirm="2")).spec.settings.confirm == 2


def test_the_configuration_of_a_winner_alone_is_called_after_its_study(folder: Path) -> None:
    (folder / "studies" / "first" / "best").mkdir(parents=True)
    (folder / "studies" / "first" / "best" / "config.yaml").write_text("{model: mlp, parameters: {optimizer: adam, learning_rate: 0.1}}")
    assert plan(RunOptions(space="small.yaml", config="studies/first/best/config.yaml")).folder == Path("studies/first-again")
    assert plan(RunOptions(space="small.yaml", config="studies/first/best/config.yaml", study="x")).folder == Path("studies/x")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"trials": 5}, "--trials: must be left out with --config, which trains one configuration as it is, but was given."),
        ({"strategy": "grid"}, "--strategy: must be left out with --config, which trains one configuration as it is, but was given."),
        ({"pruner": "none"}, "--pruner: must be left out with --config, which trains one configuration as it is, but was given."),
        ({"enqueue": "a.yaml"}, "--enqueue: must be left out with --config, which trains one configuration as it is, but was given."),
        ({}, "--config: must hold one configuration, but two.yaml holds 2. To train several: --enqueue and --trials."),
        ({"config": "gone.yaml"}, GONE),
    ],
)
def test_what_a_configuration_alone_cannot_have(folder: Path, options: dict[str, Any], expected: str) -> None:
    (folder / "two.yaml").write_text("[{optimizer: adam, learning_rate: 0.01}, {optimizer: adam, learning_rate: 0.02}]")
    assert message(**{"config": "two.yaml", **options}) == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(many_sided_space_configurations())
def test_a_configuration_that_was_printed_is_read_as_the_same(configuration: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "printed.yaml"
        path.write_text(configuration_yaml(configuration), encoding="utf-8")
        (read,) = read_configurations(path, PRINTED)
    assert read == configuration
    assert [type(value) for value in read.values()] == [type(value) for value in configuration.values()]


def test_more_enqueued_than_trials_is_refused(folder: Path) -> None:
    (folder / "own.yaml").write_text("[{optimizer: adam, learning_rate: 0.01}, {optimizer: adam, learning_rate: 0.02}]")
    assert message(enqueue="own.yaml", trials=2) == (
        "--trials: must leave room for the 2 enqueued configurations and the baseline, but is 2. Give at least --trials 3."
    )


def test_a_grid_over_continuous_parameters_is_refused_with_the_way_to_give_points() -> None:
    assert "learning_rate" in message(strategy="grid")
    assert "grid:" in message(strategy="grid")


PICTURES = DataInfo("digits", "multiclass", (1, 8, 8), 10, tuple("0123456789"), {"train": 1, "validation": 1, "test": 1}, kind="pictures")
TABLE = DataInfo("houses", "regression", (13,), 1, (), {"train": 1, "validation": 1, "test": 1})


def test_the_objective_that_nobody_gave_fits_the_task() -> None:
    spec = specify(RunOptions(space="small.yaml"))
    assert [(o.metric, o.maximize) for o in (settle(spec, PICTURES).objective, settle(spec, TABLE).objective) if o] == [
        ("accuracy", True),
        ("rmse", False),
    ]


def test_an_objective_of_another_task_is_refused(folder: Path) -> None:
    (folder / "small.yaml").write_text(SPACE + "objective: {maximize: accuracy}\n")
    with pytest.raises(UsageError) as error:
        settle(specify(RunOptions(space="small.yaml")), TABLE)
    assert str(error.value) == (
        "small.yaml: objective must be a metric of regression tasks, but is 'accuracy'. Metrics: loss, mse, rmse, mae, r2."
    )


def test_skill_is_an_objective_of_forecasts_alone(folder: Path) -> None:
    (folder / "small.yaml").write_text(SPACE + "objective: {maximize: skill}\n")
    spec = specify(RunOptions(space="small.yaml"))
    assert settle(spec, replace(TABLE, kind="sequences", input_shape=(1, 9), continues=True)).objective == Objective("skill", True)
    message = "small.yaml: objective must be a metric of regression tasks, but is 'skill'. Metrics: loss, mse, rmse, mae, r2."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        settle(spec, TABLE)


def test_requirements_on_the_number_of_weights_are_held_against_the_data(folder: Path) -> None:
    (folder / "small.yaml").write_text(SMALLER + "require: [parameters <= 900]\n")
    space = settle(specify(RunOptions(space="small.yaml")), PICTURES).space
    drawn = [space.sample("x", number) for number in range(200)]
    assert {configuration["units"] for configuration in drawn if space.allows(configuration)} == set(range(1, 12))  # 75 u + 10 <= 900


def test_requirements_that_the_data_make_impossible_are_refused(folder: Path) -> None:
    (folder / "small.yaml").write_text(SPACE + "require: [parameters <= 10]\n")
    with pytest.raises(UsageError) as error:
        settle(specify(RunOptions(space="small.yaml")), PICTURES)
    assert str(error.value) == (
        "small.yaml: the space must hold a valid configuration for digits, but none of 10,000 draws satisfies parameters <= 10."
    )


def test_data_in_the_place_of_a_space_are_answered_with_the_flag(folder: Path) -> None:
    (folder / "my rows.csv").write_text("a,b\n1,2\n")
    for name, expected in (
        ("my rows.csv", "my rows.csv: must be a search space, but is a table. Use --data 'my rows.csv' --target COLUMN."),
        ("iris", "iris: must be a search space, but is a data set. Use --data iris."),
        (".", ".: must be a search-space file, but is a folder. Give a file in it."),
    ):
        with pytest.raises(UsageError) as error:
            specify(RunOptions(space=name))
        assert str(error.value) == expected
    assert message(data="") == "--data: must be a built-in name or a file, but is empty. Give one, such as --data iris."


def test_a_time_that_is_none_names_the_flag() -> None:
    assert message(time="0s") == (
        "--time: must be a duration above 0, but is '0s'. Give one such as 90s, 30m, 2h, 1h30m, or a number of seconds."
    )


def test_a_new_study_takes_no_folder_with_other_files(folder: Path) -> None:
    (folder / "work").mkdir()
    for name in ("best", "letter.txt", ".git", "workers"):
        (folder / "work" / name).mkdir()
        (folder / "work" / name / "mine").touch()
        assert message(study=str(folder / "work")) == (
            f"{folder}/work: must be empty, or hold a study to go on with, but holds {name!r} and no study.db. "
            "Use --study with another name or path."
        )
        shutil.rmtree(folder / "work" / name)


def test_a_new_study_takes_a_folder_with_what_a_killed_start_left(folder: Path) -> None:
    work = folder / "work"
    for name in ("data", "workers", ".data.123.abcdefgh"):
        (work / name).mkdir(parents=True)
    for name in ("study.lock", ".study.db.unfinished", ".study.db.unfinished-journal", "data/info.json", "workers/worker-0.log"):
        (work / name).touch()
    assert plan(RunOptions(space="small.yaml", study=str(work))).folder == work


def test_where_a_file_is_no_study_can_be(folder: Path) -> None:
    (folder / "studies").touch()
    end = "Move it away, or use --study with another path."
    assert message() == (f"studies/small-bayesian: must be a folder for the study, but {folder}/studies is a file. {end}")
    assert message(study="studies/") == f"studies: must be a folder for the study, but that is a file. {end}"
    (folder / "gone").symlink_to("nowhere")
    assert message(study="./gone/x") == f"gone/x: must be a folder for the study, but {folder}/gone is a link that leads nowhere. {end}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_new_study_needs_a_folder_that_can_be_written(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o555)
    assert message(study="closed/x") == (
        f"closed/x: the study's folder must be writable, but {folder}/closed is not. Use --study with another path."
    )


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("x", "studies/x"),
        ("./x", "x"),
        ("a/x", "a/x"),
        ("../x", "../x"),
        ("~nobody-of-this-name", "studies/~nobody-of-this-name"),
    ],
)
def test_a_study_is_named_by_a_word_or_a_path(name: str, place: str) -> None:
    assert study_folder(name) == Path(place)


def test_the_folder_that_one_is_in_has_a_name(folder: Path) -> None:
    assert study_folder(".") == folder
    assert study_folder("..") == study_folder("../") == folder.parent


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "--study: must be a name or a folder, but is empty. Give one, such as --study first."),
        ("a\nb", "--study: must be a name of printable letters, but is 'a\\nb'. Give one, such as --study first."),
        ("a\0b", "--study: must be a name of printable letters, but is 'a\\x00b'. Give one, such as --study first."),
        ("/", "--study: must be a name or a folder with a name, but is '/'. Give one, such as --study first."),
        ("ä" * 128, "--study: must be a name of at most 255 bytes, but has 256. Give a shorter one."),
    ],
)
def test_a_name_that_no_folder_can_have_is_refused(name: str, expected: str) -> None:
    assert message(study=name) == expected


def test_a_home_that_does_not_exist_is_no_traceback() -> None:
    where = "~nobody-of-this-name"
    assert message(mlflow=f"sqlite:///{where}/x.db").startswith(
        f"--mlflow: the folder of the database must exist, but '{Path.cwd()}/{where}'"
    )
    with pytest.raises(AutomlError, match="must be a file, but is not there"):
        inspect(DataSpec(f"{where}/x.csv", "y"))


def test_a_baseline_that_is_too_large_for_the_rules_is_refused(folder: Path) -> None:
    (folder / "small.yaml").write_text(
        SPACE.replace("units:         64", "units: {type: int, low: 1, high: 64}") + "require: [parameters <= 900]\n"
    )
    with pytest.raises(UsageError) as error:
        settle(specify(RunOptions(space="small.yaml")), PICTURES)
    assert str(error.value) == (
        "small.yaml: baseline must keep every rule on digits, but breaks require: parameters <= 900. Change one of them."
    )


def test_a_negative_seed_is_refused() -> None:
    assert message(seed=-1) == "--seed: must be a whole number of at least 0, but is -1."


@pytest.mark.parametrize(("text", "number"), [("auto", None), (" auto ", None), ("1", 1), ("4096", 4096)])
def test_lanes_are_a_number_or_measured(text: str, number: int | None) -> None:
    assert lanes_asked(text) == number


@pytest.mark.parametrize("text", ["0", "4097", "-1", "two", "1.5", ""])
def test_no_other_number_of_lanes_can_be(text: str) -> None:
    sentence = f"--lanes: must be 'auto' or a whole number from 1 to 4096, but {text!r} was given. Leave it out."
    with pytest.raises(UsageError, match=re.escape(sentence)):
        lanes_asked(text)


@pytest.mark.parametrize(
    ("data", "line", "sentence"),
    [
        ("iris", "crop: {type: int, low: 0, high: 2}", "crop is for pictures, but the data are a table of 4 features."),
        ("iris", "flip: true", "flip is for pictures, but the data are a table of 4 features."),
        ("diabetes", "class_weights: sqrt", "class_weights is for binary and multiclass, but the task is regression."),
        ("iris", "ridge: 0.1", "ridge is for regression, but the task is multiclass."),
        ("digits", "ridge: {type: float, low: 0, high: 1}", "ridge is for tables and sequences, but the data are pictures of 1 x 8 x 8."),
    ],
)
def test_parameters_of_other_data_are_refused(folder: Path, data: str, line: str, sentence: str) -> None:
    (folder / "small.yaml").write_text(SMALLER.replace("  units:", f"  {line}\n  units:"))
    spec = specify(RunOptions(space="small.yaml", data=data))
    with pytest.raises(UsageError, match=re.escape(f"small.yaml: {sentence} Take {line.split(':')[0]} out of the space.")):
        settle(spec, inspect(spec.data))


def test_parameters_of_other_data_may_stay_at_their_defaults(folder: Path) -> None:
    (folder / "small.yaml").write_text(SMALLER.replace("  units:", "  flip: false\n  mixup: 0.1\n  units:"))
    spec = specify(RunOptions(space="small.yaml", data="iris"))
    assert settle(spec, inspect(spec.data)).objective is not None


def test_few_sequences_without_a_space_are_divided_into_folds(folder: Path) -> None:
    """Unless there are enough of them, or too few of a class. The fewer they are the more epochs they take."""
    head = "@timeStamps false\n@classLabel true a b\n@data\n"
    for name, count, rare in (("few", 60, 30), ("many", 300, 150), ("rare", 60, 4)):
        lines = [f"{number % 7},{number % 5},1:{'b' if number < rare else 'a'}" for number in range(count)]
        (folder / f"{name}.ts").write_text(head + "\n".join(lines))
    found = {name: specify(RunOptions(data=f"{name}.ts")) for name in ("few", "many", "rare")}
    assert {name: (spec.name, spec.data.folds) for name, spec in found.items()} == {
        "few": ("sequence_cnn", 5),
        "many": ("sequence_cnn", None),
        "rare": ("sequence_cnn", None),
    }
    assert {name: spec.epochs for name, spec in found.items()} == {"few": 300, "many": 84, "rare": 300}
    assert specify(RunOptions(data="few.ts", folds=3)).data.folds == 3
    assert specify(RunOptions(data="few.ts", epochs=3)).epochs == 3
    assert specify(RunOptions(data="seasons", horizon=3)).name == "forecast_short"


@pytest.mark.parametrize(("rows", "windows", "space"), [(1579, 999, "forecast_short"), (1580, 1000, "forecast_mlp")])
def test_a_forecast_of_few_windows_begins_at_a_regression(folder: Path, rows: int, windows: int, space: str) -> None:
    """Without a space, and in the file that is written to start from."""
    (folder / "days.csv").write_text("n\n" + "\n".join(str(day % 7) for day in range(rows)))
    data = DataSpec("days.csv", horizon=1, window=11)
    info = inspect(data)
    assert info.sizes["train"] == windows
    assert specify(RunOptions(data="days.csv", horizon=1, window=11)).name == space
    assert ("ridge:" in starter(data, info, "days")) == (space == "forecast_short")


def test_other_rows_are_for_test_with_another_split_seed(folder: Path) -> None:
    (folder / "small.yaml").write_text(SMALLER)
    assert specify(RunOptions(space="small.yaml")).data.split_seed == 0
    assert specify(RunOptions(space="small.yaml", data="iris", split_seed=3)).data.split_seed == 3
    with pytest.raises(UsageError, match=r"^--split-seed: must be a whole number of at least 0, but is -1\.$"):
        specify(RunOptions(space="small.yaml", split_seed=-1))
