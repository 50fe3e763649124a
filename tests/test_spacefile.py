"""Search-space files: what they say, every mistake at its line, and the laws of writing and reading."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl import families, pruners, spacefile, strategies
from automl.expressions import Expression
from automl.folders import shipped_folder
from automl.space import Categorical, Condition, Float, Int, Parameter, SearchSpace
from automl.spacefile import difference, dump, from_dict, load, sha256, to_dict
from automl.spaceschema import schema
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.yamlfile import resolve, written

EXAMPLE = """\
# The CNN of the tutorial, on MNIST: how far do width, learning rate and regularisation take it?
name: mnist_cnn
data: mnist                        # a built-in name, or a file or folder; --data overrides it
model: cnn                         # a built-in family, or your.module:factory
objective: {maximize: accuracy}    # measured on the validation split; the test split is not touched
epochs: 10

space:
  # architecture
  conv_layers:   {type: int, low: 1, high: 3}
  channels:      {type: int, low: 8, high: 64, log: true}
  activation:    {type: categorical, choices: [relu, gelu, tanh]}
  # optimisation
  optimizer:     {type: categorical, choices: [adam, sgd, rmsprop]}
  learning_rate: {type: float, low: 1e-4, high: 1e-1, log: true}
  momentum:      {type: float, low: 0.0, high: 0.99, when: {optimizer: sgd}}
  batch_size:    {type: categorical, choices: [32, 64, 128, 256]}
  # regularisation
  dropout:       {type: float, low: 0.0, high: 0.5}
  l2:            {type: float, low: 1e-7, high: 1e-2, log: true}

forbid:
  - conv_layers == 3 and channels > 48      # does not fit a small GPU

baseline:                          # the tutorial's own values: always trial 0, so that every gain is measured against it
  {conv_layers: 2, channels_1: 32, channels_2: 64, dense_units: 128, activation: relu, optimizer: adam, learning_rate: 0.001,
   batch_size: 32, dropout: 0.2, l2: 0}

study: {strategy: bayesian, pruner: asha, trials: 50}    # defaults; every one has a flag
"""

HEAD = "data: digits\nmodel: mlp\n"  # two lines, so that what follows begins on line 3
SPACE = HEAD + "space:\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def spec_of(text: str) -> StudySpec:
    Path("x.yaml").write_text(text, encoding="utf-8")
    return load("x.yaml")


def parameter(line: str, name: str = "learning_rate") -> Parameter:
    return spec_of(f"{SPACE}  {name}: {line}").space.by_name[name]


VALIDATOR = jsonschema.Draft202012Validator(schema())


def plain(text: str) -> Any:
    """The file as an editor's YAML plug-in sees it."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def content(spec: StudySpec) -> StudySpec:
    """What a file means: all but where it lies and how it was written."""
    return replace(spec, source="", text="")


# -- what a file says ---------------------------------------------------------------------------------------------------


def test_the_example_of_the_design() -> None:
    spec = spec_of(EXAMPLE)
    assert (spec.name, spec.data, spec.model, spec.epochs) == ("mnist_cnn", DataSpec("mnist"), "cnn", 10)
    assert spec.objective == Objective("accuracy", maximize=True)
    assert spec.space.by_name["channels"] == Int("channels", 8, 64, log=True)
    assert spec.space.by_name["learning_rate"] == Float("learning_rate", 1e-4, 0.1, log=True)
    assert spec.space.by_name["momentum"].when == (Condition("optimizer", "in", ("sgd",)),)
    assert spec.space.by_name["batch_size"] == Categorical("batch_size", (32, 64, 128, 256))
    assert spec.space.forbid == (Expression.parse("conv_layers == 3 and channels > 48"),)
    assert spec.baseline is not None
    assert (spec.baseline["channels_2"], spec.baseline["l2"]) == (64, 0)
    assert spec.settings == StudySettings("bayesian", {}, "asha", {}, 50)
    assert (spec.source, spec.text) == ("x.yaml", EXAMPLE)


def test_what_a_file_leaves_out_has_a_default() -> None:
    spec = spec_of(SPACE + "  dropout: {type: float, low: 0, high: 0.5}\n")
    assert (spec.name, spec.epochs, spec.objective, spec.baseline) == ("x", 20, None, None)
    assert spec.settings == StudySettings()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{type: float, low: 1e-5, high: 1}", Float("learning_rate", 1e-5, 1.0)),
        ("{type: float, low: .5, high: 1., grid: 3}", Float("learning_rate", 0.5, 1.0, grid=(0.5, 0.75, 1.0))),
        ("{type: float, low: 1e-4, high: 1e-2, log: true, grid: 3}", Float("learning_rate", 1e-4, 1e-2, True, grid=(1e-4, 1e-3, 1e-2))),
        ("{type: float, low: 0.1, high: 1, grid: [1, 0.5]}", Float("learning_rate", 0.1, 1.0, grid=(1.0, 0.5))),
        ("{type: int, low: 1, high: 9, step: 2}", Int("learning_rate", 1, 9, step=2)),
        ("{type: int, low: 1, high: 0x10, log: true, grid: [1, 0o10]}", Int("learning_rate", 1, 16, True, grid=(1, 8))),
        ("{type: int, low: 012, high: 100, grid: 2}", Int("learning_rate", 12, 100, grid=(12, 100))),
        ("{type: categorical, choices: [1, 0.1], grid: [0.1]}", Categorical("learning_rate", (1, 0.1), grid=(0.1,))),
        ("{type: categorical, choices: [1, 0.1, 0.01], grid: 2}", Categorical("learning_rate", (1, 0.1, 0.01), grid=(1, 0.1))),
    ],
)
def test_parameters(line: str, expected: Parameter) -> None:
    assert parameter(line) == expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{optimizer: sgd}", (Condition("optimizer", "in", ("sgd",)),)),
        ("{optimizer: [sgd, adam]}", (Condition("optimizer", "in", ("sgd", "adam")),)),
        ('{layers: ">= 2"}', (Condition("layers", ">=", (2,)),)),
        ('{dropout: "< .25"}', (Condition("dropout", "<", (0.25,)),)),
        ('{nesterov: true, layers: [1, 3], optimizer: "sgd"}', None),
        ("{}", ()),
    ],
)
def test_conditions(when: str, expected: tuple[Condition, ...] | None) -> None:
    others = """
  layers: {type: int, low: 1, high: 3}
  dropout: {type: float, low: 0, high: 0.5}
  nesterov: {type: categorical, choices: [true, false]}
  optimizer: {type: categorical, choices: [adam, sgd]}
"""
    found = spec_of(f"{SPACE}  momentum: {{type: float, low: 0, high: 0.9, when: {when}}}{others}").space
    three = (Condition("nesterov", "in", (True,)), Condition("layers", "in", (1, 3)), Condition("optimizer", "in", ("sgd",)))
    assert found.by_name["momentum"].when == (three if expected is None else expected)


def test_parents_come_first_and_all_else_stays_in_order() -> None:
    found = spec_of(
        SPACE
        + """  momentum: {type: float, low: 0, high: 0.9, when: {optimizer: sgd}}
  dropout: {type: float, low: 0, high: 0.5}
  l2: {type: float, low: 0, high: 0.5, when: {batch_size: 32}}
  optimizer: {type: categorical, choices: [adam, sgd]}
  batch_size: {type: categorical, choices: [32, 64], when: {optimizer: adam}}
"""
    ).space
    assert list(found.by_name) == ["optimizer", "momentum", "dropout", "batch_size", "l2"]


def test_a_width_of_a_layer_exists_only_with_the_layer() -> None:
    found = spec_of(
        SPACE + "  units_2: {type: int, low: 1, high: 9}\n  layers: {type: int, low: 1, high: 3}\n  units_1: {type: int, low: 1, high: 9}"
    ).space
    assert found.by_name["units_2"].when == (Condition("layers", ">=", (2,)),)
    assert found.by_name["units_1"].when == ()
    assert list(found.by_name) == ["layers", "units_2", "units_1"]


def test_a_plain_value_fixes_a_parameter() -> None:
    found = spec_of(SPACE + "  dropout: {type: float, low: 0, high: 0.5}\n  optimizer: adam\n  schedule: 'cosine'\n  nesterov: false").space
    assert found.fixed == {"optimizer": "adam", "schedule": "cosine", "nesterov": False}


def test_data_as_a_mapping() -> None:
    data = "{source: a.csv, target: price, drop: [id, date], test: t.csv, validation: 0.3, positive: [1, b, true], split_seed: 4}"
    spec = spec_of(f"data: {data}\nmodel: mlp\nspace: {{dropout: {{type: float, low: 0, high: 0.5}}}}")
    assert spec.data == DataSpec("a.csv", "price", ("id", "date"), "t.csv", 0.3, (1, "b", True), 4)


def test_folds_and_replicates() -> None:
    space = "model: mlp\nspace: {dropout: {type: float, low: 0, high: 0.5}}"
    spec = spec_of(f"data: {{source: iris, validation: {{folds: 5}}}}\nreplicates: 3\n{space}")
    assert (spec.data, spec.replicates, spec.trainings) == (DataSpec("iris", folds=5), 3, 15)
    assert spec_of(f"data: iris\n{space}").trainings == 1


def test_settings_of_the_study() -> None:
    study = "study: {strategy: {name: bayesian, n_startup: 5}, pruner: none, trials: 7, time: 1h30m, trial_time: 5m, seed: 3}"
    spec = spec_of(f"{SPACE}  dropout: {{type: float, low: 0, high: 0.5}}\n{study}")
    assert spec.settings == StudySettings("bayesian", {"n_startup": 5}, "none", {}, 7, 5400.0, 300.0, 3)


def test_the_names_of_methods_are_those_that_there_are() -> None:
    assert tuple(strategies.STRATEGIES) == spacefile.STRATEGIES
    assert tuple(pruners.PRUNERS) == spacefile.PRUNERS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("1E5", 1e5), ("off", "off"), ("yes", "yes"), ("012", 12), ("1_000", "1_000"), ("0b1", "0b1"),
        ("12:30:45", "12:30:45"), ("2001-01-01", "2001-01-01"), ("TRUE", True), ("~", None), ("", None), ("-.inf", -float("inf")),
        ("+1", 1), ("<<", "<<"), ("=", "="),
        (".5e1", 5.0), ("0o14", 12), ("0x1f", 31), ("9" * 400, float("inf")), ("9" * 20, 1e20),
    ],
)  # fmt: skip
def test_plain_values_follow_yaml_1_2(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_a_byte_order_mark_is_no_mistake() -> None:
    Path("x.yaml").write_bytes(b"\xef\xbb\xbf" + EXAMPLE.encode())
    assert content(load("x.yaml")) == content(spec_of(EXAMPLE))


# -- extends ------------------------------------------------------------------------------------------------------------


def test_extends_takes_over_parameter_by_parameter() -> None:
    Path("sub").mkdir()
    Path("sub/base.yaml").write_text(EXAMPLE)
    spec = spec_of(
        "extends: sub/base.yaml\nepochs: 3\nforbid: null\nspace: {dropout: 0.1, l2: null, l1: {type: float, low: 0, high: 1}}\n"
        "baseline: {channels_1: 8, l2: null}\nstudy: {trials: 9}\ndata: {validation: 0.1}"
    )
    base = load("sub/base.yaml")
    assert spec.name == "x"
    assert (spec.epochs, spec.model, spec.objective, spec.settings) == (3, "cnn", base.objective, replace(base.settings, trials=9))
    assert list(spec.space.by_name) == [*(name for name in base.space.by_name if name not in ("dropout", "l2")), "l1"]
    assert spec.space.fixed == {"dropout": 0.1}
    assert spec.space.forbid == ()
    assert base.baseline is not None
    assert spec.baseline == {**{name: value for name, value in base.baseline.items() if name != "l2"}, "channels_1": 8}
    assert spec.data == DataSpec("mnist", validation=0.1)


@pytest.mark.parametrize("name", ["digits_mlp", "digits_mlp.yaml"])
def test_extends_takes_over_a_shipped_space_by_its_name(name: str) -> None:
    spec = spec_of(f"extends: {name}\nepochs: 3\ndata: {{source: wine}}")
    shipped = load(str(shipped_folder() / "digits_mlp.yaml"))
    assert (spec.epochs, spec.data.source, spec.space.by_name.keys()) == (3, "wine", shipped.space.by_name.keys())


def test_a_file_of_the_name_of_a_shipped_space_goes_before_it() -> None:
    Path("digits_mlp.yaml").write_text(EXAMPLE)
    assert spec_of("extends: digits_mlp.yaml").model == "cnn"


def test_paths_of_an_extended_file_are_relative_to_it() -> None:
    Path("sub").mkdir()
    Path("sub/a.csv").write_text("a,b\n")
    Path("sub/base.yaml").write_text(f"{SPACE}  dropout: {{type: float, low: 0, high: 0.5}}".replace("digits", "a.csv"))
    assert spec_of("extends: sub/base.yaml").data.source == str(Path("sub/a.csv"))


# -- writing and plain data ---------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def numbers(draw: st.DrawFn, name: str, low: float, high: float) -> Parameter:
    a, b = sorted((draw(st.floats(low, high)), draw(st.floats(low, high))))
    log = draw(st.booleans()) and a > 0
    free = Float(name, a, b, log)
    grid = draw(st.none() | st.integers(1, 5))
    return replace(free, grid=None if grid is None else tuple(dict.fromkeys(free.spaced(grid))))


@st.composite
def whole_numbers(draw: st.DrawFn, name: str, low: int, high: int) -> Parameter:
    step = draw(st.integers(1, 4))
    a = draw(st.integers(low, high - 4 * step))
    b = a + step * draw(st.integers(0, 4))
    log = step == 1 and a >= 1 and draw(st.booleans())
    free = Int(name, a, b, log, step)
    grid = draw(st.none() | st.integers(1, 5))
    return replace(free, grid=None if grid is None else free.spaced(grid))


@st.composite
def choices(draw: st.DrawFn, name: str) -> Parameter:
    setting = families.find_setting("mlp", name)
    assert setting is not None
    among: list[Any] = [True, False] if setting.kind == "bool" else list(setting.choices)
    picked = draw(st.lists(st.sampled_from(among), unique=True, min_size=1))
    return Categorical(name, tuple(picked), draw(st.none() | st.just((picked[0],))))


@st.composite
def specs(draw: st.DrawFn) -> StudySpec:
    """Specifications as ``load`` gives them: parents first, conditions that can hold."""
    layers = draw(whole_numbers("layers", 1, 20))
    optimizer = draw(choices("optimizer"))
    assert isinstance(layers, Int)
    assert isinstance(optimizer, Categorical)
    allowed = tuple(draw(st.lists(st.sampled_from(optimizer.choices), unique=True, min_size=1)))
    tests = [(Condition("optimizer", "in", allowed),), (Condition("layers", "<=", (layers.high,)),), ()]
    parameters: list[Parameter] = [layers, optimizer]
    if layers.low < 2 <= layers.high:
        units = replace(draw(whole_numbers("units_2", 1, 500)), when=(*draw(st.sampled_from(tests)), Condition("layers", ">=", (2,))))
        parameters.append(units)
    parameters.append(replace(draw(numbers("dropout", 0, 0.99)), when=draw(st.sampled_from(tests))))
    parameters.append(replace(draw(choices("nesterov")), when=draw(st.sampled_from(tests))))
    fixed = draw(
        st.fixed_dictionaries(
            {}, optional={"l2": st.floats(0, 1e9), "schedule": st.sampled_from(families.SCHEDULES), "units": st.integers(1, 99)}
        )
    )
    rules = draw(
        st.lists(st.sampled_from(["dropout > 0.999", "layers == 99 and optimizer != 'a\"b'", "not (layers >= 1) # x: {y}"]), unique=True)
    )
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12).filter(str.strip)
    data = DataSpec(
        draw(text), draw(st.none() | text), tuple(draw(st.lists(text, max_size=2))), draw(st.none() | text | st.floats(0.1, 0.9)),
        draw(st.none() | st.floats(0.01, 0.99)), tuple(draw(st.lists(text | st.integers(0, 9) | st.booleans(), max_size=3, unique_by=str))),
        draw(st.integers(0, 99)),
    )  # fmt: skip
    if data.validation is None:
        data = replace(data, folds=draw(st.none() | st.integers(2, 9)))
    baseline = draw(st.none() | st.fixed_dictionaries({"layers": st.integers(1, 9), "dropout": st.floats(0, 0.99)}))
    methods = draw(
        st.sampled_from([("bayesian", {"n_startup": 3, "x": None, "y": "1"}, "none", {}), ("grid", {}, "asha", {"min_epochs": 2})])
    )
    settings = StudySettings(
        *methods,
        draw(st.integers(1, 999)),
        draw(st.none() | st.integers(1, 10**6).map(float) | st.floats(0.1, 1e6)),
        draw(st.none() | st.integers(1, 10**6).map(float)),
        draw(st.integers(0, 2**40)),
    )
    objective = draw(st.none() | st.sampled_from([Objective("f1", True), Objective("rmse", False)]))
    others = [Objective("loss", False), Objective("parameters", False), Objective("recall", True)]
    further = draw(st.lists(st.sampled_from(others), unique=True, max_size=3)) if objective is not None else []
    space = SearchSpace(tuple(parameters), fixed, tuple(map(Expression.parse, rules)), ())
    return StudySpec(
        draw(st.from_regex(r"[A-Za-z0-9_]\w{0,8}", fullmatch=True)),
        data,
        "mlp",
        objective,
        draw(st.integers(1, 99)),
        space,
        baseline,
        settings,
        replicates=draw(st.integers(1, 5)),
        further=tuple(further),
    )


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(specs())
def test_load_after_dump_is_the_identity(tmp_path: Path, spec: StudySpec) -> None:
    file = tmp_path / "dumped.yaml"
    file.write_text(dump(spec), encoding="utf-8")
    loaded = load(file)
    assert content(loaded) == spec
    assert sha256(loaded) == sha256(spec)
    assert difference(spec, loaded) == []
    VALIDATOR.validate(plain(loaded.text))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs())
def test_a_specification_survives_as_json(spec: StudySpec) -> None:
    assert from_dict(json.loads(json.dumps(to_dict(spec)))) == spec


@pytest.mark.parametrize("path", sorted(shipped_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_survive_dump_and_fulfil_the_schema(path: Path) -> None:
    spec = load(path)
    assert content(spec_of(dump(spec))) == content(spec)
    VALIDATOR.validate(plain(spec.text))


def test_dump_writes_out_what_is_left_to_the_model() -> None:
    text = dump(spec_of(EXAMPLE))
    assert "  # kernel_size: 3\n" in text
    assert "# learning_rate" not in text


@given(st.text(st.characters(exclude_categories=["Cs"])) | finite | st.integers(-(10**17), 10**17) | st.booleans() | st.none())
def test_a_written_value_reads_back(value: Any) -> None:
    from ruamel.yaml import YAML

    back = YAML(typ="safe", pure=True).load(f"[{written(value)}]")[0]
    assert back == value
    assert type(back) is type(value)


CHANGES: list[tuple[str, str, list[str]]] = [
    ("high: 1e-1", "high: 1.0", ["learning_rate.high was 0.1, now 1.0"]),
    ("epochs: 10", "epochs: 11", ["epochs was 10, now 11"]),
    ("{maximize: accuracy}", "{minimize: loss}", ["objective was maximize accuracy, now minimize loss"]),
    ("{maximize: accuracy}", "[{maximize: accuracy}]", []),
    ("{maximize: accuracy}", "[{maximize: accuracy}, {minimize: parameters}]", [
        "objective was maximize accuracy, now maximize accuracy, minimize parameters",
    ]),
    ("[relu, gelu, tanh]", "[relu, gelu]", ["activation.choices was [relu, gelu, tanh], now [relu, gelu]"]),
    ("data: mnist ", "data: {source: mnist, validation: 0.1} ", ["data.validation was not there, now 0.1"]),
    ("data: mnist ", "data: {source: mnist, validation: {folds: 5}} ", ["data.validation.folds was not there, now 5"]),
    ("epochs: 10", "epochs: 10\nreplicates: 3", ["replicates was 1, now 3"]),
    ("when: {optimizer: sgd}", "when: {optimizer: adam}", ["momentum.when was optimizer is sgd, now optimizer is adam"]),
    ("channels > 48", "channels > 50", ["forbid was conv_layers == 3 and channels > 48, now conv_layers == 3 and channels > 50"]),
    ("dropout: 0.2", "dropout: 0.3", ["baseline.dropout was 0.2, now 0.3"]),
    ("dropout:       {type: float, low: 0.0, high: 0.5}", "dropout: 0.1", [
        "dropout was searched, now fixed to 0.1", "dropout.type was float, now is not there", "dropout.low was 0.0, now is not there",
        "dropout.high was 0.5, now is not there", "dropout.log was false, now is not there",
    ]),
    ("strategy: bayesian", "strategy: random", ["strategy was bayesian, now random"]),
    ("pruner: asha", "pruner: {name: asha, min_epochs: 2}", ["pruner was asha, now asha (min_epochs=2)"]),
    ("trials: 50", "seed: 1", ["seed was 0, now 1"]),
    ("trials: 50", "trials: 51, time: 3h", []),
    ("name: mnist_cnn", "name: other", []),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES)
def test_differences_are_readable(old: str, new: str, expected: list[str]) -> None:
    assert old in EXAMPLE
    assert difference(spec_of(EXAMPLE), spec_of(EXAMPLE.replace(old, new))) == expected


def test_the_hash_tells_spaces_apart_and_not_strategies() -> None:
    example = spec_of(EXAMPLE)
    same = ("name: mnist_cnn", "strategy: bayesian", "pruner: asha", "trials: 50")
    for old, new, _ in CHANGES:
        assert (sha256(spec_of(EXAMPLE.replace(old, new))) == sha256(example)) == (old in same or new == "[{maximize: accuracy}]")


def test_several_objectives_are_a_list() -> None:
    text = EXAMPLE.replace("{maximize: accuracy}", "[{maximize: accuracy}, {minimize: multiply_adds}, {maximize: recall}]")
    spec = spec_of(text)
    assert list(map(str, spec.objectives)) == ["maximize accuracy", "minimize multiply_adds", "maximize recall"]
    assert (spec.objective, spec.further) == (spec.objectives[0], spec.objectives[1:])
    assert "objective: [{maximize: accuracy}, {minimize: multiply_adds}, {maximize: recall}]\n" in dump(spec)


def test_what_is_written_of_one_objective_is_what_was_always_written() -> None:
    """So a study that was made before there could be several still opens, and has the same hash."""
    record = to_dict(spec_of(EXAMPLE))
    assert "further" not in record
    assert from_dict(record).further == ()
