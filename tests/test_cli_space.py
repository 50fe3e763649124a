"""``automl space``: answers on stdout, mistakes with exit code 2, tables that fit 80 columns, JSON everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

from automl.families import FAMILIES, TRAINING
from automl.spacefile import dump, load

TEXT = """\
data: digits
model: mlp
objective: {maximize: accuracy}
space:
  layers: {type: int, low: 1, high: 3}
  units_2: {type: int, low: 1, high: 9, step: 2, grid: 2}
  optimizer: {type: categorical, choices: [adam, sgd]}
  momentum: {type: categorical, choices: [0.5, 0.9], when: {optimizer: sgd}}
  learning_rate: 0.1
forbid: [layers == 3 and units_2 > 3]
baseline: {layers: 1, dropout: 0.2}
study: {time: 1h30m, strategy: grid}
"""
BAD = "data: digits\nmodel: mlp\nspace:\n  dropout: {type: float, low: 0, high: 7}\n  lerning_rate: 1\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("good.yaml").write_text(TEXT)
    Path("bad.yaml").write_text(BAD)


def automl(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``automl space ...``."""
    from automl.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["automl", "space", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
    captured = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, captured.out, captured.err


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    code, out, err = automl(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_check_says_every_mistake_of_every_file(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = automl(capsys, "check", "good.yaml", "bad.yaml", "none.yaml")
    assert code == 2
    assert out == "good.yaml: ok\n"
    assert err.splitlines() == [
        "bad.yaml:4: dropout: high must be a number of at least 0 and below 1, but high is 7.",
        "bad.yaml:5: 'lerning_rate' is not a parameter of mlp or of its training. Did you mean 'learning_rate'?",
        "none.yaml: must be a search-space file, but there is no such file.",
    ]


def test_check_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = automl(capsys, "check", "good.yaml", "bad.yaml", "--json")
    good, bad = json.loads(out)
    assert (code, err) == (2, "")
    assert good == {"file": "good.yaml", "ok": True, "problems": []}
    assert (bad["file"], bad["ok"], len(bad["problems"])) == ("bad.yaml", False, 2)


def test_check_asks_strategies_and_pruners(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.yaml").write_text(TEXT.replace("strategy: grid", "strategy: {name: bayesian, n_start: 3}, pruner: {name: asha, min_epochs: 0}"))
    code, out, err = automl(capsys, "check", "x.yaml")
    assert (code, out) == (2, "")
    assert err.splitlines()[0].startswith("x.yaml: study: strategy bayesian: 'n_start' is not an option.")
    assert err.splitlines()[1].startswith("x.yaml: study: pruner asha: min_epochs must be")


def test_check_asks_them_also_where_the_model_is_misspelt(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.yaml").write_text(TEXT.replace("model: mlp", "model: mpl").replace("strategy: grid", "pruner: {name: asha, min_epochs: 0}"))
    code, out, err = automl(capsys, "check", "x.yaml")
    assert (code, out) == (2, "")
    model, pruner = err.splitlines()
    assert model.endswith("Did you mean 'mlp'?")
    assert pruner.startswith("x.yaml: study: pruner asha: min_epochs must be")


def test_check_knows_shipped_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    assert automl(capsys, "check", "digits_mlp") == (0, "digits_mlp: ok\n", "")


def _defaults_left() -> str:
    """What the example leaves to the family and its training, in lines as wide as others."""
    named = ("layers", "units", "optimizer", "learning_rate", "momentum")
    settings = {**FAMILIES["mlp"].settings, **TRAINING}
    shown = {name: str(setting.default).lower().removesuffix(".0") for name, setting in settings.items() if name not in named}
    text = ", ".join(f"{name} {value}" for name, value in shown.items())
    return f"\n{' ' * 16}".join(textwrap.wrap(text, 64, break_on_hyphens=False))


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = automl(capsys, "show", "good.yaml")
    assert (code, err) == (0, "")
    assert out == (
        "good: mlp on digits, maximize accuracy, at most 20 epochs\n"
        "\n"
        "parameter  type         values          grid  baseline  exists where\n"
        "────────────────────────────────────────────────────────────────────────\n"
        "layers     int          1 to 3          all   1\n"
        "units_2    int          1 to 9, step 2  1, 9            layers >= 2\n"
        "optimizer  categorical  adam, sgd       all\n"
        "momentum   categorical  0.5, 0.9        all             optimizer is sgd\n"
        "\n"
        "fixed           learning_rate 0.1\n"
        "forbid          layers == 3 and units_2 > 3\n"
        "baseline also   dropout 0.2\n"
        f"by default      {_defaults_left()}\n"
        "configurations  24\n"
        "grid            12\n"
        "study           grid, pruner asha, 50 trials, 1h30m, seed 0\n"
    )


@pytest.mark.parametrize("name", ["mnist_cnn", "digits_mlp", "tabular_mlp", "xor_mlp"])
def test_tables_fit_the_terminal(capsys: pytest.CaptureFixture[str], name: str) -> None:
    for command in ("show", "sample", "size"):
        code, out, err = automl(capsys, command, name)
        assert (code, err) == (0, "")
        assert all(len(line) <= 80 and line == line.rstrip() for line in out.splitlines())


def test_show_says_how_often_a_trial_is_trained(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    space = "model: mlp\nspace: {dropout: {type: float, low: 0, high: 0.5}}"
    Path("folds.yaml").write_text(f"data: {{source: wine, validation: {{folds: 5}}}}\nreplicates: 2\n{space}")
    assert "at most 20 epochs, 5 folds, 2 replicates\n" in automl(capsys, "show", "folds.yaml")[1]


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    record = answer(capsys, "show", "good.yaml")
    assert (record["name"], record["configurations"], record["grid"]) == ("good", 24, 12)
    assert [entry["name"] for entry in record["space"]["parameters"]] == ["layers", "units_2", "optimizer", "momentum"]
    assert record["defaults"]["batch_size"] == 64


@pytest.mark.parametrize("family", FAMILIES)
def test_show_lists_what_a_family_takes(capsys: pytest.CaptureFixture[str], family: str) -> None:
    names = [*FAMILIES[family].settings, *TRAINING]
    assert [entry["name"] for entry in answer(capsys, "show", "--family", family)] == names
    code, out, _ = automl(capsys, "show", "--family", family)
    assert code == 0
    assert all(any(line.startswith(f"{name} ") for line in out.splitlines()) for name in names)
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show",), "automl space show: needs either FILE or --family FAMILY. Example: automl space show digits_mlp"),
        (
            ("show", "good.yaml", "--family", "mlp"),
            "automl space show: needs either FILE or --family FAMILY. Example: automl space show digits_mlp",
        ),
        (("show", "--family", "mpl"), f"--family: 'mpl' is not a family. Families: {', '.join(FAMILIES)}. Did you mean 'mlp'?"),
        (("size", "other.yaml"), "other.yaml: must be a search-space file, but there is no such file."),
        (
            ("new", "digits", "-o", "good.yaml"),
            "good.yaml: must be a new file, but is there already. Give another name, or remove it first.",
        ),
        (
            ("new", "digits", "-o", "none/x.yaml"),
            "none/x.yaml: must be a file that can be written, but is not (No such file or directory). Give another place.",
        ),
    ],
)
def test_usage_errors(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    assert automl(capsys, *arguments) == (2, "", f"{message}\n")


def test_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert automl(capsys, "size", "good.yaml") == (0, "configurations  24\ngrid            12\n", "")
    assert answer(capsys, "size", "good.yaml") == {"configurations": 24, "grid": 12}


def test_size_of_an_infinite_space(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.yaml").write_text(TEXT.replace("learning_rate: 0.1", "dropout: {type: float, low: 0, high: 0.5}"))
    assert answer(capsys, "size", "x.yaml") == {"configurations": None, "grid": None}
    assert automl(capsys, "size", "x.yaml")[1] == (
        "configurations  infinitely many (dropout is continuous)\n"
        "grid            none: dropout has no points (add grid: 5, or a list of values)\n"
    )


def test_size_of_a_space_that_nobody_could_walk(capsys: pytest.CaptureFixture[str]) -> None:
    wide = "  batch_size: {type: int, low: 1, high: 1000000000}\n  early_stopping: {type: int, low: 0, high: 1000000}\n"
    Path("x.yaml").write_text(f"data: digits\nmodel: mlp\nspace:\n{wide}")
    assert answer(capsys, "size", "x.yaml") == {"configurations": 10**9 * (10**6 + 1), "grid": 10**9 * (10**6 + 1)}
    Path("y.yaml").write_text(f"data: digits\nmodel: mlp\nspace:\n{wide}forbid: [batch_size < early_stopping]")
    assert answer(capsys, "size", "y.yaml") == {"configurations": None, "grid": None}
    words = " ".join(automl(capsys, "size", "y.yaml")[1].split())
    said = "too many to count (the rules would have to be tried on more than 200,000 combinations)"
    assert words == f"configurations {said} grid {said}"


def test_size_says_which_rules_need_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.yaml").write_text(f"{TEXT}require: [parameters < 1e6]")
    assert automl(capsys, "size", "x.yaml")[1].splitlines()[0] == "configurations  24, before the rules on parameters, which need the data"


def test_sample_respects_the_rules_and_repeats_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    space = load("good.yaml").space
    samples = answer(capsys, "sample", "good.yaml", "--limit", "20")
    assert len(samples) == len({space.key(sample) for sample in samples}) == 20
    assert all(space.contains(sample) for sample in samples)
    assert answer(capsys, "sample", "good.yaml", "--limit", "20") == samples
    assert answer(capsys, "sample", "good.yaml", "--limit", "20", "--seed", "1") != samples
    assert len(answer(capsys, "sample", "good.yaml")) == 5


def test_sample_says_when_there_are_fewer(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = automl(capsys, "sample", "good.yaml", "--limit", "30", "--json")
    assert (code, len(json.loads(out))) == (0, 24)
    assert err == "Only 24 different configurations were found in 6,000 draws.\n"


def test_sample_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    (first, second) = answer(capsys, "sample", "good.yaml", "--limit", "2")
    lines = automl(capsys, "sample", "good.yaml", "--limit", "2")[1].splitlines()
    rows = [[name, *(str(sample.get(name, "-")) for sample in (first, second))] for name in ("layers", "units_2", "optimizer", "momentum")]
    assert lines[0].split() == ["parameter", "1", "2"]
    assert [line.split() for line in lines[2:]] == rows


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = automl(capsys, "schema")
    assert (code, err) == (0, "")
    jsonschema.Draft202012Validator.check_schema(json.loads(out))


@pytest.mark.parametrize(
    ("data", "model", "objective"),
    [("digits", "cnn", "accuracy"), ("diabetes", "mlp", "rmse"), ("xor", "mlp", "accuracy"), ("waves", "cnn1d", "accuracy")],
)
def test_new_writes_a_file_that_passes_check(capsys: pytest.CaptureFixture[str], data: str, model: str, objective: str) -> None:
    code, out, err = automl(capsys, "new", data)
    Path("x.yaml").write_text(out)
    spec = load("x.yaml")
    assert (code, err) == (0, "")
    assert (spec.name, spec.data.source, spec.model, spec.baseline is not None) == (data, data, model, True)
    assert spec.objective is not None
    assert spec.objective.metric == objective
    assert spec.epochs == (42 if data == "waves" else 30)  # a trial is to see 16,000 sequences
    assert spec.space.without_grid() == []
    assert automl(capsys, "check", "x.yaml") == (0, "x.yaml: ok\n", "")
    assert dump(spec)


def test_new_for_a_table_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sub").mkdir()
    rows = "".join(f"{index},{index % 7},{'ab'[index % 2]},{index * 1.5}\n" for index in range(60))
    Path("my houses.csv").write_text(f"id,rooms,kind,the price\n{rows}")
    code, out, err = automl(capsys, "new", "my houses.csv", "--target", "the price", "--drop", "id", "-o", "sub/houses.yaml")
    assert (code, out, err) == (0, "sub/houses.yaml: regression with model mlp. To search it: automl run sub/houses.yaml\n", "")
    spec = load("sub/houses.yaml")
    assert (spec.name, spec.data.source, spec.data.target, spec.data.drop) == ("houses", "../my houses.csv", "the price", ("id",))


def test_new_for_pictures_offers_augmentation_where_there_is_room_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        Path("pets", name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (20, 20), number).save(Path("pets", name, f"{number}.png"))
    assert automl(capsys, "new", "pets", "-o", "pets.yaml")[0] == 0
    spec = load("pets.yaml")
    assert [each.name for each in spec.space.parameters][-3:] == ["crop", "flip", "rotation"]
    assert spec.space.without_grid() == []
    assert automl(capsys, "check", "pets.yaml") == (0, "pets.yaml: ok\n", "")
    assert "flip" not in automl(capsys, "new", "digits")[1]


def test_new_answers_data_that_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = automl(capsys, "new", "digit")
    assert (code, out) == (2, "")
    assert err.endswith("Did you mean 'digits'?\n")


def test_colours_are_for_terminals_that_want_them() -> None:
    def run(**environment: str) -> str:
        command = [sys.executable, "-m", "automl", "space", "show", "good.yaml"]
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin", "COLUMNS": "80", **environment}
        )
        return answer.stdout

    assert "\x1b[" not in run()
    assert "\x1b[" in run(FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[3" not in run(FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")


def test_the_command_loads_nothing_heavy() -> None:
    code = "import automl.cli.space, sys; print('\\n'.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in answer.stdout.splitlines()}
    assert loaded & {"torch", "optuna", "mlflow", "plotly", "sklearn", "pandas", "scipy", "numpy", "rich", "ruamel"} == set()


def test_a_narrow_terminal_gets_paragraphs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for arguments in (("show", "digits_cnn"), ("show", "--family", "cnn")):
        code, out, _ = automl(capsys, *arguments)
        assert code == 0
        assert max(map(len, out.splitlines())) <= 40
        assert "learning_rate" in out
        if arguments == ("show", "digits_cnn"):
            assert out.splitlines()[3:5] == ["conv_layers    type int; values 1 to 2;", "               grid all; baseline 1"]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_has_whole_sentences_that_fit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = automl(capsys, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= columns
    assert "Check search-space files: every mistake of every file, with its line." in " ".join(out.split())
    assert "..." not in out.partition("Commands:")[2]
