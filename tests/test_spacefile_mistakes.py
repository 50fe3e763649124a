"""Every mistake that a search-space file can have, answered with its place, the rule, the value and the next step."""

# ruff: noqa: E501 -- messages are written whole, each on its line

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl.errors import SpaceError
from automl.families import FAMILIES
from automl.folders import shipped_folder
from automl.spacefile import KEYS, load

HEAD = "data: digits\nmodel: mlp\n"  # two lines, so that what follows begins on line 3
SPACE = HEAD + "space:\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def mistakes(text: str | bytes, name: str = "x.yaml") -> list[str]:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SpaceError) as caught:
        load(name)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


# -- extends ----------------


def test_a_mistake_of_an_extended_file_names_that_file() -> None:
    Path("base.yaml").write_text(f"{SPACE}  dropout: {{type: float, low: 0, high: 2}}")
    assert mistakes("extends: base.yaml\nepochs: 0") == [
        "x.yaml:2: epochs must be a whole number of at least 1, but is 0.",
        "base.yaml:4: dropout: high must be a number of at least 0 and below 1, but high is 2.",
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"x.yaml": "extends: x.yaml"}, "x.yaml:1: extends must not go in a circle, but x.yaml extends x.yaml."),
        (
            {"x.yaml": "\nextends: y.yaml", "y.yaml": "extends: sub/../x.yaml"},
            "y.yaml:1: extends must not go in a circle, but x.yaml extends y.yaml extends x.yaml.",
        ),
        (
            {"x.yaml": "extends: z.yaml"},
            "x.yaml:1: extends must name a file (relative to this one) or a shipped space, but there is no 'z.yaml'.",
        ),
        ({"x.yaml": "extends: [a]"}, "x.yaml:1: extends must be the path or the name of a search-space file, but is a list."),
        (
            {"x.yaml": "extends: y.yaml\nspace: {dropot: null}", "y.yaml": f"{SPACE}  dropout: {{type: float, low: 0, high: 0.5}}"},
            "x.yaml:2: space: null removes what the extended file says, but it says nothing of 'dropot'. Did you mean 'dropout'?",
        ),
        (
            {"x.yaml": "extends: y0.yaml", **{f"y{n}.yaml": f"extends: y{n + 1}.yaml" for n in range(12)}},
            "y9.yaml:1: extends may lead over at most 10 files, but this is one more.",
        ),
    ],
)
def test_mistakes_of_extends(files: dict[str, str], expected: str) -> None:
    for name, text in files.items():
        Path(name).write_text(text)
    assert mistakes(files["x.yaml"]) == [expected]


# -- every mistake, at its line -----------------------------------------------------------------------------------------

BUILT_IN = f"Built in: {', '.join(FAMILIES)}."
MISSING = f"{BUILT_IN} For code of your own: model: MODULE:NAME, train, command or optuna."
METRICS = "loss, accuracy, balanced_accuracy, precision, recall, f1, roc_auc, mse, rmse, mae, r2, skill"
CHOICES = "one of relu, gelu, tanh, sigmoid, silu, leaky_relu, elu"
TWO = "  optimizer: {type: categorical, choices: [adam, sgd]}\n  dropout: {type: float, low: 0, high: 0.5}\n"  # lines 4 and 5

PARAMETERS: list[tuple[str, str]] = [
    ("learning_rate: {type: float, low: 0, high: 1, log: true}", "learning_rate: low must be above 0 on a log scale, but low is 0."),
    ("units: {type: int, low: 0, high: 1, log: true}", "units: low must be above 0 on a log scale, but low is 0."),
    ("dropout: {type: float, low: 0, high: 0.5, lgo: true}", "dropout: unknown key 'lgo'. Did you mean 'log'?"),
    ("dropout: {type: float, low: 0, high: 0.5, xyz: 1}", "dropout: unknown key 'xyz'. Keys: type, low, high, log, grid, when."),
    (
        "dropout: {type: float, low: 0, high: 0.5, step: 1}",
        "dropout: 'step' is a key of int parameters, but type is float. Keys: type, low, high, log, grid, when.",
    ),
    ("dropout: {low: 0, high: 0.5}", "dropout: type must be float, int or categorical, but type is missing."),
    ("dropout: {type: flot, low: 0, high: 0.5}", "dropout: type must be float, int or categorical, but type is 'flot'. Did you mean 'float'?"),
    (
        "units: {type: float, low: 1, high: 5}",
        "units: type must be int or categorical, because units is a whole number of at least 1 and at most 65536, but type is float.",
    ),
    (
        "optimizer: {type: int, low: 1, high: 5}",
        "optimizer: type must be categorical, because optimizer is one of sgd, adam, adamw, rmsprop, but type is int.",
    ),
    ("dropout: {type: float, high: 0.5}", "dropout: low is missing. Parameters of type float need low and high."),
    ("units: {type: int, low: 5}", "units: high is missing. Parameters of type int need low and high."),
    ("dropout: {type: float, low: 0.5, high: 0.1}", "dropout: low must not be above high, but low is 0.5 and high is 0.1."),
    ("dropout: {type: float, low: 0, high: 1}", "dropout: high must be a number of at least 0 and below 1, but high is 1."),
    ("units: {type: int, low: 0, high: 8}", "units: low must be a whole number of at least 1 and at most 65536, but low is 0."),
    ("l2: {type: float, low: a, high: 1}", "l2: low must be a number, but low is 'a'."),
    ("l2: {type: float, low: '1e-4', high: 1}", "l2: low must be a number, but low is '1e-4'. Remove the quotes."),
    ("l2: {type: float, low: [1], high: 1}", "l2: low must be a number, but low is a list."),
    ("l2: {type: float, low: true, high: 1}", "l2: low must be a number, but low is true."),
    ("l2: {type: float, low: , high: 1}", "l2: low must be a number, but low is empty."),
    ("l2: {type: float, low: 0, high: .inf}", "l2: high must be finite, but high is .inf."),
    ("l2: {type: float, low: .nan, high: 1}", "l2: low must be finite, but low is .nan."),
    ("batch_size: {type: int, low: 1.5, high: 8}", "batch_size: low must be a whole number, but low is 1.5."),
    ("batch_size: {type: int, low: 1, high: 1e2}", "batch_size: high must be a whole number, but high is 1e2."),
    (
        "batch_size: {type: int, low: 1, high: 10000000000000000}",
        "batch_size: high must be between -1e15 and 1e15, but high is 10000000000000000.",
    ),
    ("l2: {type: float, low: 0, high: 1, log: on}", "l2: log must be true or false, but log is 'on'."),
    ("units: {type: int, low: 1, high: 9, step: 0}", "units: step must be a whole number of at least 1, but step is 0."),
    (
        "units: {type: int, low: 8, high: 64, step: 24}",
        "units: step must lead from low to high, but from 8 in steps of 24 it reaches 56 and not 64.",
    ),
    (
        "units: {type: int, low: 8, high: 64, step: 8, log: true}",
        "units: step and log cannot go together. Leave one of them out, or use a categorical parameter.",
    ),
    (
        "dropout: {type: float, low: 0, high: 0.5, grid: 0}",
        "dropout: grid must be a number of points (1 to 10000) or a list of them, but grid is 0.",
    ),
    (
        "dropout: {type: float, low: 0, high: 0.5, grid: []}",
        "dropout: grid must be a number of points (1 to 10000) or a list of them, but grid is an empty list.",
    ),
    (
        "dropout: {type: float, low: 0, high: 0.5, grid: [0.1, 0.6]}",
        "dropout: a grid point must lie between 0.0 and 0.5, but a grid point is 0.6.",
    ),
    (
        "units: {type: int, low: 1, high: 9, step: 2, grid: [2]}",
        "units: a grid point must lie between 1 and 9 in steps of 2, but a grid point is 2.",
    ),
    ("dropout: {type: float, low: 0, high: 0.5, grid: [a]}", "dropout: a grid point must be a number, but a grid point is 'a'."),
    ("dropout: {type: float, low: 0, high: 0.5, grid: [0, 0.0]}", "dropout: grid must differ from each other, but 0.0 is there twice."),
    ("optimizer: {type: categorical}", "optimizer: choices must be a list of values, but choices is missing."),
    ("optimizer: {type: categorical, choices: []}", "optimizer: choices must be a list of values, but choices is an empty list."),
    ("optimizer: {type: categorical, choices: adam}", "optimizer: choices must be a list of values, but choices is 'adam'."),
    ("optimizer: {type: categorical, choices: [adam, [sgd]]}", "optimizer: a choice must be a plain value, but a choice is a list."),
    ("optimizer: {type: categorical, choices: [adam, adam]}", "optimizer: choices must differ from each other, but 'adam' is there twice."),
    ("activation: {type: categorical, choices: [glu]}", f"activation: a choice must be {CHOICES}, but a choice is 'glu'. Did you mean 'gelu'?"),
    ("l2: {type: categorical, choices: [.inf]}", "l2: a choice must be finite, but a choice is .inf."),
    (
        "optimizer: {type: categorical, choices: [adam, sgd], grid: [sdg]}",
        "optimizer: a grid point must be one of adam, sgd, but a grid point is 'sdg'. Did you mean 'sgd'?",
    ),
    ("activation: glu", f"activation: must be {CHOICES}, but is 'glu'. Did you mean 'gelu'?"),
    ("units: 0.5", "units: must be a whole number of at least 1 and at most 65536, but is 0.5."),
    ("nesterov: yes", "nesterov: must be true or false, but is 'yes'."),
    ("l1: .inf", "l1: must be finite, but is .inf."),
    ("l1:", "l1: must be a range, choices or a plain value, but is empty."),
    (
        "l1: [0, 1]",
        "l1: must be a range, choices or a plain value, but is a list. Write {type: categorical, choices: [...]} to search them.",
    ),
    ("learning_rat: 0.1", "'learning_rat' is not a parameter of mlp or of its training. Did you mean 'learning_rate'?"),
    ("frobnicate: 1", "'frobnicate' is not a parameter of mlp or of its training. 'automl space show --family mlp' lists them."),
    ("channels: 1", "'channels' is not a parameter of mlp or of its training. 'automl space show --family mlp' lists them."),
    ("unit: 1", "'unit' is not a parameter of mlp or of its training. Did you mean 'units'?"),
    ("units_2: 8", "units_2 exists only where layers >= 2, but layers is 1 (its default; add layers to the space)."),
    ("units_2: {type: int, low: 1, high: 8}", "units_2 exists only where layers >= 2, but layers is 1 (its default; add layers to the space)."),
    ("l1: {type: float, low: 0, high: 1, when: a}", "l1: when must be a mapping such as {optimizer: sgd}, but when is 'a'."),
    (
        "l1: {type: float, low: 0, high: 1, when: {optimzer: sgd}}",
        "l1: when speaks of 'optimzer', but the space has no such parameter. Did you mean 'optimizer'?",
    ),
    (
        "l1: {type: float, low: 0, high: 1, when: {schedule: cosine}}",
        "l1: when speaks of 'schedule', but the space has no such parameter. Add it to the space.",
    ),
    ("l1: {type: float, low: 0, high: 1, when: {l1: 1}}", "l1: when must speak of other parameters, but speaks of l1 itself."),
    (
        "l1: {type: float, low: 0, high: 1, when: {optimizer: sdg}}",
        "l1: when needs optimizer to be one of adam, sgd, but it is given 'sdg'. Did you mean 'sgd'?",
    ),
    ("l1: {type: float, low: 0, high: 1, when: {optimizer: []}}", "l1: when needs a value of optimizer, but the list is empty."),
    (
        "l1: {type: float, low: 0, high: 1, when: {optimizer: {a: 1}}}",
        "l1: when takes a value, a list of values or a comparison such as '>= 2', but optimizer is given a mapping.",
    ),
    (
        "l1: {type: float, low: 0, high: 1, when: {dropout: '== 2'}}",
        "l1: when compares like '>= 2' (with >=, <=, > or < and a number), but dropout is given '== 2'.",
    ),
    (
        "l1: {type: float, low: 0, high: 1, when: {dropout: 0.1}}",
        "l1: when must compare dropout (such as '> 0'), because it is a range of numbers, but it is given 0.1.",
    ),
    (
        "l1: {type: float, low: 0, high: 1, when: {dropout: '> 0.5'}}",
        "l1: when can never hold: it needs dropout > 0.5, but dropout is 0.0 to 0.5.",
    ),
    (
        "l1: {type: float, low: 0, high: 1, when: {optimizer: '>= 2'}}",
        "l1: when can never hold: it needs optimizer >= 2, but optimizer is one of adam, sgd.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), PARAMETERS)
def test_mistakes_of_a_parameter(line: str, expected: str) -> None:
    name = line.partition(":")[0]
    others = "".join(f"{other}\n" for other in TWO.splitlines() if not other.strip().startswith(f"{name}:"))
    at = 4 + others.count("\n")
    assert mistakes(f"{SPACE}{others}  {line}\n") == [f"x.yaml:{at}: {expected}"]


WHOLE: list[tuple[str, list[str]]] = [
    ("", ["x.yaml: must say what is searched, but is empty. 'automl space new DATA' writes a file to start from."]),
    ("# nothing\n", ["x.yaml: must say what is searched, but is empty. 'automl space new DATA' writes a file to start from."]),
    ("---\n", ["x.yaml: must say what is searched, but is empty. 'automl space new DATA' writes a file to start from."]),
    ("- a\n", ["x.yaml:1: must be a mapping with keys such as model and space, but is a list."]),
    ("hello", ["x.yaml:1: must be a mapping with keys such as model and space, but is 'hello'."]),
    (
        "name: a\n",
        [
            f"x.yaml: model is missing. {MISSING}",
            "x.yaml: data is missing. Give a built-in name (such as digits), or a file or folder.",
            "x.yaml: space is missing. Give the parameters that are searched.",
        ],
    ),
    (f"{SPACE}{TWO}modle: mlp", ["x.yaml:6: unknown key 'modle'. Did you mean 'model'?"]),
    (
        f"{SPACE}{TWO}xyz: 1",
        [f"x.yaml:6: unknown key 'xyz'. Keys: {', '.join(KEYS)}."],
    ),
    (f"{SPACE}{TWO}  dropout: 0.1\n", ["x.yaml:6: 'dropout' is given twice (first on line 5)."]),
    (f"{SPACE}{TWO}epochs: ten", ["x.yaml:6: epochs must be a whole number of at least 1, but is 'ten'."]),
    (f"{SPACE}{TWO}epochs: 1.5", ["x.yaml:6: epochs must be a whole number of at least 1, but is 1.5."]),
    (f"{SPACE}{TWO}name: a/b", ["x.yaml:6: name must be a word of letters, digits, '_', '-' and '.', but is 'a/b'."]),
    (f"data: digits\nmodel: mpl\nspace:\n{TWO}", [f"x.yaml:2: model must be a built-in family, but is 'mpl'. {BUILT_IN} Did you mean 'mlp'?"]),
    (f"data: digits\nmodel: 3\nspace:\n{TWO}", [f"x.yaml:2: model must be the name of a family, but is 3. {BUILT_IN}"]),
    (f"{HEAD}space: 3", ["x.yaml:3: space must be a mapping of parameters, but is 3."]),
    (
        f"{HEAD}space: {{dropout: 0.1}}",
        ["x.yaml:3: space must have a parameter to search, but has none. Give one a range, such as {type: float, low: 0.0, high: 0.5}."],
    ),
    (
        f"{SPACE}{TWO}objective: accuracy",
        ["x.yaml:6: objective must be {maximize: METRIC} or {minimize: METRIC}, but is 'accuracy'."],
    ),
    (
        f"{SPACE}{TWO}objective: {{maximise: f1}}",
        ["x.yaml:6: objective must be {maximize: METRIC} or {minimize: METRIC}, but is 'maximise'. Did you mean 'maximize'?"],
    ),
    (f"{SPACE}{TWO}objective: {{maximize: acuracy}}", [f"x.yaml:6: objective must be a metric, but is 'acuracy'. Metrics: {METRICS}. Did you mean 'accuracy'?"]),
    (
        f"{SPACE}{TWO}objective: {{minimize: accuracy}}",
        ["x.yaml:6: objective: more accuracy is better, but it is to be minimized. Write {maximize: accuracy}."],
    ),
    (f"{SPACE}{TWO}objective: {{maximize: loss}}", ["x.yaml:6: objective: less loss is better, but it is to be maximized. Write {minimize: loss}."]),
    (
        f"{SPACE}{TWO}objective: [{{maximize: f1}}, {{minimize: parameters}}, {{maximize: f1}}]",
        ["x.yaml:6: objective: the objectives must differ from each other, but f1 is there twice."],
    ),
    (
        f"{SPACE}{TWO}objective: {{maximize: f1, minimize: parameters}}",
        ["x.yaml:6: objective: each of several objectives must be an entry of a list. Write [{maximize: f1}, {minimize: parameters}]."],
    ),
    (
        f"{SPACE}{TWO}objective: {{minimize: parameters}}",
        ["x.yaml:6: objective: the first one must be measured after every epoch, since it chooses the epoch of a trial, but parameters is known before training. Put it second: [{maximize: METRIC}, {minimize: parameters}]."],
    ),
    (f"{SPACE}{TWO}objective: []", ["x.yaml:6: objective may list 1 to 4 objectives, but lists 0."]),
    (f"{SPACE}{TWO}objective: [{{maximize: f1}}, {{maximize: params}}]", [f"x.yaml:6: objective must be a metric, but is 'params'. Metrics: {METRICS}, parameters, multiply_adds. Did you mean 'parameters'?"]),
    (f"{SPACE}{TWO}objective: [{{maximize: f1}}, {{maximize: parameters}}]", ["x.yaml:6: objective: less parameters is better, but it is to be maximized. Write {minimize: parameters}."]),
    (f"{SPACE}{TWO}objective: [accuracy, {{minimize: loss}}]", ["x.yaml:6: objective must be {maximize: METRIC} or {minimize: METRIC}, but is 'accuracy'."]),
    (f"data: [a]\nmodel: mlp\nspace:\n{TWO}", ["x.yaml:1: data must be a name, a path or a mapping with the key 'source', but is a list."]),
    (f"data: 3\nmodel: mlp\nspace:\n{TWO}", ["x.yaml:1: data must be a text, but is 3. Put it in quotes."]),
    (
        f"data: {{target: a}}\nmodel: mlp\nspace:\n{TWO}",
        ["x.yaml:1: data: source is missing. Give a built-in name (such as digits), or a file or folder."],
    ),
    (f"{SPACE}{TWO}forbid: dropout > 1", ["x.yaml:6: forbid must be a list of expressions, but is 'dropout > 1'. Begin each with '- '."]),
    (f"{SPACE}{TWO}forbid: [3]", ["x.yaml:6: forbid must hold expressions such as 'layers >= 2', but one is 3."]),
    (f"{SPACE}{TWO}forbid: ['1 == 1']", ["x.yaml:6: forbid: an expression must speak of a parameter, but '1 == 1' speaks of none."]),
    (
        f"{SPACE}{TWO}forbid: [\"dropout > 'a'\"]",
        ["x.yaml:6: forbid: 'dropout' is a number, but is compared with the text 'a'. Compare it with a number."],
    ),
    (
        f"{SPACE}{TWO}require: [optimizer != 1 or dropout < 0.2]",
        ["x.yaml:6: require: 'optimizer' is a text, but is compared with the number 1. Compare it with a text in quotes."],
    ),
    (f"{SPACE}{TWO}forbid: ['dropout >']", ["x.yaml:6: forbid: 'dropout >' is not an expression such as 'layers >= 2'."]),
    (f"{SPACE}{TWO}require: ['dropot > 0']", ["x.yaml:6: require: 'dropot' is not a parameter of the space. Did you mean 'dropout'?"]),
    (f"{SPACE}{TWO}require: [optimizer == sgd]", ["x.yaml:6: require: 'sgd' is not a parameter of the space. Put texts in quotes: 'sgd'."]),
    (
        f"{SPACE}{TWO}require: [momentum > 0]",
        ["x.yaml:6: require: 'momentum' is not a parameter of the space. Add it to the space: a plain value fixes it."],
    ),
    (f"{SPACE}{TWO}baseline: 3", ["x.yaml:6: baseline must be a mapping of parameters to values, but is 3."]),
    (f"{SPACE}{TWO}baseline: {{dropot: 0.1}}", ["x.yaml:6: baseline: 'dropot' is not a parameter of mlp or of its training. Did you mean 'dropout'?"]),
    (f"{SPACE}{TWO}baseline: {{dropout: 1}}", ["x.yaml:6: baseline: dropout must be a number of at least 0 and below 1, but is 1."]),
    (f"{SPACE}{TWO}baseline: {{dropout: [1]}}", ["x.yaml:6: baseline: dropout must be a plain value, but is a list."]),
    (f"{SPACE}{TWO}baseline: {{units_2: 8}}", ["x.yaml:6: baseline: units_2 exists only where layers >= 2, but layers is 1."]),
    (
        f"{SPACE}{TWO}forbid: [dropout > 0.4]\nbaseline: {{dropout: 0.45}}",
        ["x.yaml:7: baseline must be allowed, but breaks 'forbid: dropout > 0.4'. Change the baseline or the rule."],
    ),
    (
        f"{SPACE}{TWO}require: [dropout < 0.4]\nbaseline: {{dropout: 0.45}}",
        ["x.yaml:7: baseline must be allowed, but breaks 'require: dropout < 0.4'. Change the baseline or the rule."],
    ),
    (
        f"{SPACE}{TWO}forbid: [dropout >= 0]",
        ["x.yaml:6: forbid and require must leave a configuration, but none of 5000 random ones is allowed. Loosen a rule or widen a range."],
    ),
    (
        f"{SPACE}  layers: {{type: int, low: 1, high: 4}}\nrequire: [layers > 4]",
        ["x.yaml:5: forbid and require must leave a configuration, but all 4 combinations are excluded. Loosen a rule or widen a range."],
    ),
    (f"{SPACE}{TWO}study: 3", ["x.yaml:6: study must be a mapping with keys such as strategy and trials, but is 3."]),
    (f"{SPACE}{TWO}study: {{sed: 1}}", ["x.yaml:6: study: unknown key 'sed'. Did you mean 'seed'?"]),
    (
        f"{SPACE}{TWO}study: {{strategy: baysian}}",
        ["x.yaml:6: study: strategy must be one of grid, random, sobol, bayesian, gp, cmaes, evolution, but is 'baysian'. Did you mean 'bayesian'?"],
    ),
    (
        f"{SPACE}{TWO}study: {{strategy: 'bayesian:n_startup=3'}}",
        [
            "x.yaml:6: study: strategy must be one of grid, random, sobol, bayesian, gp, cmaes, evolution, but is 'bayesian:n_startup=3'. "
            "Write {name: bayesian, OPTION: VALUE} for options."
        ],
    ),
    (
        f"{SPACE}{TWO}study: {{pruner: {{min_epochs: 3}}}}",
        [
            "x.yaml:6: study: pruner must be one of none, median, percentile, asha, hyperband, patient, wilcoxon, "
            "but is a mapping without a name."
        ],
    ),
    (f"{SPACE}{TWO}study: {{pruner: {{name: asha, a: [1]}}}}", ["x.yaml:6: study: pruner: a must be a plain value, but is a list."]),
    (f"{SPACE}{TWO}study: {{trials: 0}}", ["x.yaml:6: study: trials must be a whole number of at least 1, but is 0."]),
    (f"{SPACE}{TWO}study: {{seed: a}}", ["x.yaml:6: study: seed must be a whole number of at least 0, but is 'a'."]),
    (
        f"{SPACE}{TWO}study: {{time: 1:30}}",
        ["x.yaml:6: study: time must be a duration above 0, such as 30m, 2h, 1h30m or seconds, but is '1:30'."],
    ),
    (
        f"{SPACE}{TWO}study: {{trial_time: soon}}",
        ["x.yaml:6: study: trial_time must be a duration above 0, such as 30m, 2h, 1h30m or seconds, but is 'soon'."],
    ),
    (f"{HEAD}space: [1,2\n", ["x.yaml:4: must be YAML, but expected ',' or ']', but got '<stream end>' (while parsing a flow sequence, which begins on line 3)."]),
    ("a: b: c", ["x.yaml:1: must be YAML, but mapping values are not allowed here."]),
    (
        "a:\n\tb: 1",
        ["x.yaml:2: must be YAML, but found character '\\t' that cannot start any token. Indent with blanks instead of tabs."],
    ),
    ("a: \x07", ["x.yaml:1: must be text, but has the control character U+0007. Remove it."]),
    ("a: 1\n---\nb: 2", ["x.yaml:2: a file holds one search space, but a second document begins here ('---'). Put it into a file of its own."]),
    ("? [a]\n: 1", ["x.yaml:1: a key must be a word, but is a list.", *(f"x.yaml: {text}" for text in (
        f"model is missing. {MISSING}",
        "data is missing. Give a built-in name (such as digits), or a file or folder.",
        "space is missing. Give the parameters that are searched.",
    ))]),
    ("a: &x 1", ["x.yaml:1: anchors and aliases (&x, *x) are not part of search-space files. Write the value out where it is needed."]),
    ("b: 1\na: *x", ["x.yaml:2: anchors and aliases (&x, *x) are not part of search-space files. Write the value out where it is needed."]),
    ("a: !!str 1", ["x.yaml:1: tags (such as !!str) are not part of search-space files. Leave the tag out, and quote what is a text."]),
    ("a: " + "[" * 2000, ["x.yaml:1: must be nested at most 20 deep, but is deeper."]),
    ("a: [" + "1," * 30000 + "]", ["x.yaml:1: must have at most 20000 values, but has more. A search space is a page of text; is this the right file?"]),
    ("#" * 1_000_001, ["x.yaml: must have at most 1 MB, but is larger. A search space is a page of text; is this the right file?"]),
    ('a: "\\ud800"', ["x.yaml:1: must be UTF-8 text, but has half a character (a lone surrogate). Remove it."]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WHOLE, ids=range(len(WHOLE)))
def test_mistakes_of_a_file(text: str, expected: list[str]) -> None:
    assert sorted(mistakes(text)) == sorted(expected)


DATA = [
    ("sorce: 1", "data: unknown key 'sorce'. Did you mean 'source'?"),
    ("task: regresion", "data: task must be one of classification, regression, but is 'regresion'. Did you mean 'regression'?"),
    ("target: 3", "data: target must be a text, but is 3. Put it in quotes."),
    ("drop: a", "data: drop must be a list of texts, but is 'a'. Put it in brackets."),
    ("drop: [[a]]", "data: drop: an entry must be a text, but is a list."),
    ("test: 2", "data: test must be a share above 0 and below 1 or a file, but is 2."),
    ("validation: 1.0", "data: validation must be a share above 0 and below 1 or {folds: N}, but is 1.0."),
    ("validation: 5", "data: validation must be a share above 0 and below 1 or {folds: N}, but is 5."),
    ("validation: {}", "data: validation must be a share above 0 and below 1 or {folds: N}, but is a mapping."),
    ("validation: {folds: 1}", "data: validation: folds must be a whole number of at least 2, but is 1."),
    ("validation: {folds: 2.5}", "data: validation: folds must be a whole number of at least 2, but is 2.5."),
    ("validation: {folds: null}", "data: validation: folds must be a whole number of at least 2, but is empty."),
    ("validation: {fold: 5}", "data: validation: unknown key 'fold'. Did you mean 'folds'?"),
    ("folds: 5", "data: unknown key 'folds'. Write validation: {folds: N}."),
    ("positive: a", "data: positive must be a list of classes, but is 'a'. Put it in brackets."),
    ("positive: []", "data: positive must be a list of classes, but is an empty list. Put it in brackets."),
    ("positive: [[a]]", "data: positive: a class must be a text or a number, but is a list."),
    ("positive: [1, 1]", "data: positive: classes must differ from each other, but 1 is there twice."),
    ("split_seed: -1", "data: split_seed must be a whole number of at least 0, but is -1."),
]


@pytest.mark.parametrize(("entry", "expected"), DATA)
def test_mistakes_of_the_data(entry: str, expected: str) -> None:
    assert mistakes(f"data: {{source: a.csv, {entry}}}\nmodel: mlp\nspace:\n{TWO}") == [f"x.yaml:1: {expected}"]


CIRCLE = """  momentum: {type: float, low: 0, high: 0.9, when: {layers: 2}}
  dropout: {type: float, low: 0, high: 0.5}
  layers: {type: int, low: 1, high: 3, when: {momentum: "> 0"}}
"""
CHAIN = """  optimizer: {type: categorical, choices: [adam, sgd]}
  momentum: {type: float, low: 0, high: 0.9, when: {optimizer: sgd}}
  nesterov: {type: categorical, choices: [true, false], when: {momentum: "> 0", optimizer: adam}}
  l1: {type: float, low: 0, high: 1, when: {nesterov: true}}
"""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (CIRCLE, ["x.yaml:4: momentum: conditions must not go in a circle, but momentum depends on layers depends on momentum."]),
        (
            CHAIN,
            [
                "x.yaml:6: nesterov: when can never hold: it needs optimizer is adam and optimizer is sgd, but optimizer is one of adam, sgd."
            ],
        ),
        (
            f"{TWO}  layers: 1\n  units_2: {{type: int, low: 1, high: 3}}\n",
            ["x.yaml:7: units_2 exists only where layers >= 2, but layers is 1."],
        ),
        (
            f"{TWO}  layers: {{type: categorical, choices: [1, 2]}}\n  units_3: 4\n",
            ["x.yaml:7: units_3 exists only where layers >= 3, but layers is at most 2."],
        ),
        (
            "  layers: {type: int, low: 1, high: 4}\n  units_3: {type: int, low: 1, high: 3, when: {layers: '< 3'}}\n",
            ["x.yaml:5: units_3: when can never hold: it needs layers < 3 and layers >= 3, but layers is 1 to 4."],
        ),
        (
            f"{TWO}  schedule: cosine\n  warmup_epochs: {{type: int, low: 1, high: 3, when: {{schedule: step}}}}\n",
            ["x.yaml:7: warmup_epochs: when can never hold: it needs schedule is step, but schedule is fixed to cosine."],
        ),
        (
            "  momentum: {type: float, low: 0, high: 1, when: {optimizer: sdg}}\n  optimizer: {type: categorical, choices: [adam, sgd]}\n",
            [
                "x.yaml:4: momentum: high must be a number of at least 0 and below 1, but high is 1.",
                "x.yaml:4: momentum: when needs optimizer to be one of adam, sgd, but it is given 'sdg'. Did you mean 'sgd'?",
            ],
        ),
    ],
)
def test_mistakes_between_parameters(lines: str, expected: list[str]) -> None:
    assert mistakes(SPACE + lines) == expected


def test_all_mistakes_of_a_file_at_once_and_in_its_order() -> None:
    text = f"{SPACE}  lerning_rate: 1\n  dropout: {{type: float, low: 0, high: 7}}\nepochs: x\ntrials: 3\nstudy: {{trials: 0}}"
    found = mistakes(text)
    assert [int(re.match(r"x.yaml:(\d+):", line)[1]) for line in found] == [4, 5, 6, 7, 8]  # type: ignore[index]


@pytest.mark.parametrize(
    ("model", "first"),
    [
        (
            "model: net.build",
            f"x.yaml:2: model must be a built-in family, but is 'net.build'. {BUILT_IN} Code of your own is named MODULE:NAME, such as "
            "model: my_module:build.",
        ),
        ("model: mlpp", f"x.yaml:2: model must be a built-in family, but is 'mlpp'. {BUILT_IN} Did you mean 'mlp'?"),
        ("model: 3", f"x.yaml:2: model must be the name of a family, but is 3. {BUILT_IN}"),
        ("epochs: 0", f"x.yaml:2: epochs must be a whole number of at least 1, but is 0.\nx.yaml: model is missing. {MISSING}"),
    ],
)
def test_a_mistake_in_the_model_hides_none_of_the_rest(model: str, first: str) -> None:
    """They are checked for the family that was probably meant."""
    space = "space:\n  units: {type: int, low: 0, high: 8}\n  unitss: 3\n  dropout: {type: float, low: 0.0, high: 0.5}\n"
    found = mistakes(f"data: digits\n{model}\n{space}baseline: {{units: 4, dropuot: 0.1}}\n")
    assert sorted(found) == sorted(
        [
            *first.splitlines(),
            "x.yaml:4: units: low must be a whole number of at least 1 and at most 65536, but low is 0.",
            "x.yaml:5: 'unitss' is not a parameter of mlp or of its training. Did you mean 'units'?",
            "x.yaml:7: baseline: 'dropuot' is not a parameter of mlp or of its training. Did you mean 'dropout'?",
        ]
    )


def test_the_family_that_knows_the_names_is_assumed() -> None:
    space = "space:\n  channels: {type: int, low: 1, high: 8}\n  unitss: 3\n"
    assert mistakes(f"data: digits\nmodel: xyz\n{space}") == [
        f"x.yaml:2: model must be a built-in family, but is 'xyz'. {BUILT_IN}",
        "x.yaml:5: 'unitss' is not a parameter of cnn or of its training. 'automl space show --family cnn' lists them.",
    ]


def test_rules_and_baseline_are_checked_although_other_sections_have_mistakes() -> None:
    space = "space:\n  layers: {type: int, low: 1, high: 3}\nforbid: [layers == 2]\nbaseline: {layers: 2}\n"
    assert mistakes(f"data: digits\nmodel: mlpp\nepochs: 0\n{space}") == [
        f"x.yaml:2: model must be a built-in family, but is 'mlpp'. {BUILT_IN} Did you mean 'mlp'?",
        "x.yaml:3: epochs must be a whole number of at least 1, but is 0.",
        "x.yaml:7: baseline must be allowed, but breaks 'forbid: layers == 2'. Change the baseline or the rule.",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spac.yaml", "spac.yaml: must be a search-space file, but there is no such file. Did you mean 'space.yaml'?"),
        ("sub", "sub: must be a file, but is a folder. Name a file in it."),
        ("bytes.yaml", "bytes.yaml:2: must be UTF-8 text, but has the byte 0xff. Save the file as UTF-8."),
    ],
)
def test_files_that_cannot_be_read(name: str, expected: str) -> None:
    Path("sub").mkdir()
    Path("space.yaml").write_text("")
    Path("bytes.yaml").write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(SpaceError) as caught:
        load(name)
    assert caught.value.problems == (expected,)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=80), st.text(max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_arbitrary_bytes_are_answered_with_space_errors(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "fuzz.yaml"
    file.write_bytes(content)
    with pytest.raises(SpaceError):
        load(file)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_read_or_answered(tmp_path: Path, data: st.DataObject) -> None:
    text = (shipped_folder() / "mnist_cnn.yaml").read_text(encoding="utf-8")
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    piece = data.draw(
        st.sampled_from(["", "{", "}", "[", ": ", "\n", "- ", "'", '"', "#", "&a ", "*a", "!", "null", "1e999", "\t", "|", "\\"])
    )
    file = tmp_path / "damaged.yaml"
    file.write_text(text[:first] + piece + text[min(last, first + 9) :], encoding="utf-8")
    try:
        problems = (f"{load(file).source}: ok",)
    except SpaceError as error:
        problems = error.problems
    assert all(problem.startswith(f"{file}:") for problem in problems)


@pytest.mark.parametrize("name", ["9" * 300 + ".yaml", "a/" * 3000 + "b.yaml"])
def test_a_path_that_is_too_long_for_any_file_is_one_that_is_not_there(tmp_path: Path, name: str) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(f"extends: {name}\n")
    sentence = r"space\.yaml:1: extends must name a file \(relative to this one\) or a shipped space, but there is no '\S+\.\.\.'\.$"
    with pytest.raises(SpaceError, match=sentence):
        load(file)
