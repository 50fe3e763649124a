"""What a space file says of code of a person's own: every mistake with its place, and the specification that comes of it."""

# ruff: noqa: E501 -- messages are written whole, each on its line

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from automl import spacefile
from automl.configurations import check_configurations
from automl.errors import SpaceError
from automl.events import Code
from automl.owncode import digest
from automl.spec import Objective

NET = """
import collections
from torch import nn

table = [1, 2]

def build(width, depth=2, *, input_shape, outputs):
    return nn.Linear(1, 1)

def anything(**options):
    return nn.Linear(1, 1)

def run(trial):
    pass

def run_two(trial, other):
    pass

def lazy(trial):
    yield

async def later(trial):
    pass
"""
SPACE = "space:\n  width: {type: int, low: 1, high: 9}\n"
AIM = "objective: {maximize: score}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mynet.py").write_text(NET.replace("from torch import nn", "class nn:\n    Linear = object"))
    Path("broken.py").write_text("import os\n\nvalue = {}['missing']\n")
    Path("lacks.py").write_text("import torchvison\n")
    Path("typo.py").write_text("def run(trial)\n    pass\n")
    Path("quits.py").write_text("import os\nos._exit(3)\n")
    Path("leaves.py").write_text("import sys\nsys.exit('no GPU')\n")
    Path("noisy.py").write_text("print('hello from the import')\ndef run(trial): pass\n")
    Path("train.py").write_text("print(1)\n")
    return tmp_path


def mistakes(text: str) -> list[str]:
    Path("x.yaml").write_text(text)
    with pytest.raises(SpaceError) as caught:
        spacefile.load("x.yaml")
    return [problem.removeprefix("x.yaml") for problem in caught.value.problems]


def the_mistake(text: str) -> str:
    (mistake,) = mistakes(text)
    return mistake.replace(str(Path.cwd()), "HERE").replace(sys.executable, "PYTHON")


# -- modules ----------------------------------------------------------------------------------------------------------

TRAIN = [
    ("mynet", ":1: train must be MODULE:NAME, such as my_package.net:build, but is 'mynet'."),
    ("a-b:c", ":1: train must be MODULE:NAME, such as my_package.net:build, but is 'a-b:c'."),
    ("3", ":1: train must be a function of yours, as MODULE:NAME, but is 3."),
    ("mynett:run", ":1: train: there must be a module 'mynett', but none is in HERE. Did you mean 'mynet'?"),
    ("mynet:rum", ":1: train: 'mynet' must have 'rum', but has not. Did you mean 'run'?"),
    ("mynet:table", ":1: train: 'mynet:table' must be a function or class, but is a list."),
    ("mynet:lazy", ":1: train: 'mynet:lazy' must do its work when it is called, but is a generator. Take 'yield' out of it."),
    ("mynet:later", ":1: train: 'mynet:later' must do its work when it is called, but is a coroutine. Take 'async' out of it."),
    ("mynet:run_two", ":1: train: 'mynet:run_two' must take the trial as its only argument, but takes trial, other. Write def run(trial)."),
    ("broken:run", ":1: train: module 'broken' must be importable, but raises KeyError: 'missing' (broken.py:3)."),
    (
        "lacks:run",
        ":1: train: module 'lacks' must be importable, but raises ModuleNotFoundError: No module named 'torchvison' (lacks.py:1).",
    ),
    ("typo:run", ":1: train: module 'typo' must be importable, but has a mistake: expected ':' (typo.py:1)."),
    ("leaves:run", ":1: train: module 'leaves' must be importable, but raises SystemExit: no GPU (leaves.py:2)."),
    ("quits:run", ":1: train: 'quits:run' must be importable, but its import ended the process (exit code 3)."),
]


@pytest.mark.parametrize(("target", "said"), TRAIN)
def test_a_training_function_is_looked_at_before_anything_trains(target: str, said: str) -> None:
    assert the_mistake(f"train: {target}\n{AIM}{SPACE}") == said


def test_a_training_function_takes_any_parameter_and_metric_and_needs_no_data(folder: Path) -> None:
    Path("x.yaml").write_text(f"train: noisy:run\n{AIM}space:\n  My-Own: {{type: categorical, choices: [a, b]}}\n  fixed: 3\n")
    spec = spacefile.load("x.yaml")
    assert (spec.model, spec.objective, spec.data.source) == ("noisy:run", Objective("score", True), "")
    assert spec.code == Code("function", (str(folder),), digest=digest(["noisy.py"]))
    assert spec.subject == "noisy:run"
    assert dict(spec.space.fixed) == {"fixed": 3}


def test_what_code_trains_by_itself_must_say_what_counts() -> None:
    said = ": objective is missing. Say which of the metrics that your code reports counts, such as {maximize: accuracy}."
    assert the_mistake(f"train: mynet:run\n{SPACE}") == said


def test_only_one_thing_trains() -> None:
    text = f"data: digits\nmodel: mlp\ntrain: mynet:run\n{AIM}{SPACE}"
    assert the_mistake(text) == ":3: model and train cannot go together: each says what is trained. Leave all but one of them out."


def test_measures_of_the_network_are_not_known_of_own_code() -> None:
    text = f"train: mynet:run\n{AIM}{SPACE}require: ['parameters <= 100']\n"
    said = ":5: require: 'parameters', a measure of the network, is known of built-in families only. Leave the rule out."
    assert the_mistake(text) == said


def test_a_module_in_another_folder_is_found_by_code_folder(folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src/elsewhere.py").write_text("def run(trial): pass\n")
    text = f"train: elsewhere:run\n{AIM}{SPACE}"
    assert the_mistake(text) == ":1: train: there must be a module 'elsewhere', but none is in HERE."
    Path("x.yaml").write_text(f"{text}code_folder: src\n")
    spec = spacefile.load("x.yaml")
    assert spec.code is not None
    assert spec.code.folders == (str(folder / "src"), str(folder))
    assert the_mistake(f"{text}code_folder: scr\n") == ":5: code_folder must be a folder, but there is no 'scr'."
    assert the_mistake("data: digits\nmodel: mlp\nspace: {dropout: {type: float, low: 0, high: 0.5}}\ncode_folder: src\n") == (
        ":4: code_folder says where your own code lies, but the model is a built-in family. Leave code_folder out."
    )


FACTORY = [
    ("widht: 3", "", ":4: 'widht' is not a parameter of mynet:build or of its training. Did you mean 'width'?"),
    (
        "depth: 3",
        "",
        ":2: model: 'mynet:build' needs 'width', but the space has no such parameter. Add it to the space: a plain value fixes it.",
    ),
    (
        "width: {type: int, low: 1, high: 3, when: {optimizer: sgd}}",
        "  optimizer: {type: categorical, choices: [sgd, adam]}\n",
        ":4: width: must always exist, since 'mynet:build' needs it, but has a condition. Give it a default in the code.",
    ),
    ("width: 3", "  learning_rate: {type: float, low: 0, high: 1}\n", ":5: learning_rate: low must be a number above 0, but low is 0."),
]


@pytest.mark.parametrize(("line", "more", "said"), FACTORY)
def test_the_signature_of_a_factory_is_compared_with_the_space(line: str, more: str, said: str) -> None:
    """The trainer's parameters are checked as ever."""
    searched = "" if "type" in line + more else "  l2: {type: float, low: 0.0, high: 0.1}\n"
    found = mistakes(f"data: digits\nmodel: mynet:build\nspace:\n  {line}\n{more}{searched}")
    assert said in found
    assert len(found) <= 2


def test_a_factory_is_a_model_with_data_and_training_of_the_house(folder: Path) -> None:
    text = "data: digits\nmodel: mynet:build\nspace:\n  width: {type: int, low: 1, high: 9}\n  learning_rate: 0.1\n"
    Path("x.yaml").write_text(text)
    spec = spacefile.load("x.yaml")
    assert spec.code == Code("factory", (str(folder),), ("width", "depth"), ("width",), digest=digest(["mynet.py"]))
    assert spec.subject == "mynet:build on digits"
    assert not spec.trains_itself
    Path("again.yaml").write_text(spacefile.dump(spec))
    assert spacefile.load("again.yaml").space == spec.space
    assert the_mistake(text.replace("mynet:build", "mynet:bild")) == (
        ":2: model: 'mynet' must have 'bild', but has not. Did you mean 'build'?"
    )
    rule = "objective: [{maximize: accuracy}, {minimize: parameters}]\n"
    said = ":6: objective: parameters, a measure of the network, is known of built-in families only. Leave it out."
    assert the_mistake(text + rule) == said


def test_a_factory_with_any_name_takes_any(folder: Path) -> None:
    Path("x.yaml").write_text("data: digits\nmodel: mynet:anything\nspace:\n  what_ever: {type: int, low: 1, high: 9}\n")
    spec = spacefile.load("x.yaml")
    assert spec.code is not None
    assert spec.code.takes is None


# -- commands ---------------------------------------------------------------------------------------------------------

COMMAND = f"command: {sys.executable} train.py"
COMMANDS = [
    (f"{COMMAND} --w {{widht}}", ":1: command: {widht} must be a parameter of the space, but is none. Did you mean 'width'?"),
    (
        f"{COMMAND} --w {{zzz}}",
        ":1: command: {zzz} must be a parameter of the space, but is none. Names beside the space's own: seed, device, epochs, folder, trial, data.",
    ),
    (f"{COMMAND} --w '{{width}}", ":1: command must be a command as a shell splits it, but is not (no closing quotation)."),
    (f"{COMMAND} --w {{width", ":1: command must have names in braces such as {learning_rate}, but a '{' stands alone. Double it: {{."),
    ("command: 3", ":1: command must be a command line, such as python train.py --lr {learning_rate}, but is 3."),
    ("command: []", ":1: command must be a command line, such as python train.py --lr {learning_rate}, but is a list."),
    (
        f"command: {sys.executable} trian.py {{width}}",
        ":1: command: there must be a file 'trian.py', but none is in HERE. Did you mean 'train.py'?",
    ),
    ("command: pythonn train.py {width}", ":1: command: must begin with a program, but 'pythonn' is none that can be found and run."),
    ("command: ./go {width}", ":1: command: must begin with a program, but './go' is none that can be found and run."),
    (
        f"{COMMAND} {{width}}\nmetrics: json",
        ":2: metrics must be a mapping such as {pattern: \"acc=(?P<accuracy>[0-9.]+)\"}, but is 'json'.",
    ),
    (f"{COMMAND} {{width}}\nmetrics: {{patern: a}}", ":2: metrics: unknown key 'patern'. Did you mean 'pattern'?"),
    (f"{COMMAND} {{width}}\nmetrics: {{file: 3}}", ":2: metrics: file must be a text, but is 3."),
    (
        f"{COMMAND} {{width}}\nmetrics: {{pattern: 'score=(?P<scor>.*)'}}",
        ":2: metrics: pattern must have a group named 'score', the objective, but its groups are: scor. Did you mean 'scor'?",
    ),
    (
        f"{COMMAND} {{width}}\nmetrics: {{pattern: 'score=(.*)'}}",
        ":2: metrics: pattern must have a group named 'score', the objective, but its groups are: none. Write (?P<score>[0-9.]+) for the number.",
    ),
    (
        f"{COMMAND} {{width}}\nmetrics: {{pattern: '(?P<score>'}}",
        ":2: metrics: pattern must be a regular expression, but is not (missing ), unterminated subpattern at position 0).",
    ),
    (
        f"{COMMAND} {{width}}\nmetrics: {{file: '{{fodler}}/m.csv'}}",
        ":1: command: {fodler} must be a parameter of the space, but is none. Did you mean 'folder'?",
    ),
]


@pytest.mark.parametrize(("line", "said"), COMMANDS)
def test_a_command_is_looked_at_before_anything_runs(line: str, said: str) -> None:
    assert the_mistake(f"{line}\n{AIM}{SPACE}") == said


def test_a_parameter_that_a_command_does_not_name_is_told_of() -> None:
    Path("x.yaml").write_text(f"{COMMAND} --seed {{seed}}\n{AIM}{SPACE}  depth: 3\n")
    spec = spacefile.load("x.yaml")
    said = "command: width, depth are not named in it, and change nothing unless the program reads AUTOML_PARAMETERS."
    assert spec.notes == (said,)


def test_a_command_may_be_a_list_of_words() -> None:
    Path("x.yaml").write_text(f'command: [{sys.executable}, train.py, "a b", "{{width}}"]\n{AIM}{SPACE}')
    assert spacefile.load("x.yaml").model == f"{sys.executable} train.py 'a b' '{{width}}'"


def test_metrics_are_for_commands() -> None:
    said = ":2: metrics says where those of a command are read, but there is no command. Leave metrics out."
    assert the_mistake(f"train: mynet:run\nmetrics: {{file: a}}\n{AIM}{SPACE}") == said


# -- records ----------------------------------------------------------------------------------------------------------

FILES = [
    f"train: mynet:run\n{AIM}{SPACE}baseline: {{width: 20}}\n",
    f"{COMMAND} {{width}}\n{AIM}{SPACE}metrics: {{pattern: 'score=(?P<score>[0-9]+)', file: 'm \"x\".txt'}}\n",
]


@pytest.mark.parametrize("text", FILES)
def test_load_after_dump_and_data_after_data_are_the_identity(text: str) -> None:
    Path("x.yaml").write_text(text)
    spec = spacefile.load("x.yaml")
    assert spacefile.from_dict(spacefile.to_dict(spec)) == spec
    Path("again.yaml").write_text(spacefile.dump(spec))
    again = spacefile.load("again.yaml")
    assert (again.model, again.code, again.space, again.objective, again.data) == (
        spec.model,
        spec.code,
        spec.space,
        spec.objective,
        spec.data,
    )
    assert spacefile.sha256(again) == spacefile.sha256(spec)
    assert spacefile.difference(spec, again) == []


def test_another_pattern_is_another_study_and_edited_code_is_not() -> None:
    texts = [FILES[1], FILES[1].replace("[0-9]", "[0-5]")]
    specs = []
    for text in texts:
        Path("x.yaml").write_text(text)
        specs.append(spacefile.load("x.yaml"))
    assert spacefile.difference(*specs) == ["metrics.pattern was score=(?P<score>[0-9]+), now score=(?P<score>[0-5]+)"]
    Path("train.py").write_text("print(2)\n")
    edited = spacefile.load("x.yaml")
    assert spacefile.difference(specs[1], edited) == []
    assert edited.code != specs[1].code


def test_configurations_of_own_code_are_checked_against_its_space() -> None:
    Path("x.yaml").write_text(FILES[0])
    spec = spacefile.load("x.yaml")
    assert check_configurations([{"width": 3}], spec, "--enqueue", "here") == ({"width": 3},)
    message = "here: configuration 1: 'widht' is not a parameter of mynet:run. Did you mean 'width'?"
    with pytest.raises(SpaceError, match=re.escape(message)):
        check_configurations([{"widht": 3}], spec, "--enqueue", "here")
