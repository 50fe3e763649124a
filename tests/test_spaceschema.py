"""The JSON Schema: valid files fulfil it, typical mistakes do not."""

# ruff: noqa: E501 -- files are written whole, each on its line

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from automl.errors import SpaceError
from automl.spacefile import load
from automl.spaceschema import schema

TWO = "  optimizer: {type: categorical, choices: [adam, sgd]}\n  dropout: {type: float, low: 0, high: 0.5}\n"
HEAD = "data: digits\nmodel: mlp\n"  # two lines, so that what follows begins on line 3
SPACE = HEAD + "space:\n"


VALIDATOR = jsonschema.Draft202012Validator(schema())


def plain(text: str) -> Any:
    """The file as an editor's YAML plug-in sees it."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


@pytest.mark.parametrize(
    "text",
    [
        "extends: a.yaml",
        "extends: a.yaml\nspace: {dropout: null, units_2: 3, channels: {type: int, low: 1, high: 3}}\nforbid: null",
        f"{HEAD}space: {{layers: {{type: int, low: 1, high: 3, step: 2}}, units_2: {{type: categorical, choices: [1, 2], when: {{layers: '>= 2'}}}}}}",
        f"{HEAD}space: {{l1: 0.1, warmup_epochs: {{type: int, low: 0, high: 3, grid: 2}}}}\nstudy: {{time: 90, strategy: {{name: grid}}}}",
        f"{SPACE}{TWO}objective: [{{maximize: f1}}, {{minimize: parameters}}, {{minimize: loss}}]",
        f"data: {{source: a.csv, target: b, test: 0.2, drop: [c], positive: [1, b]}}\n{SPACE[13:]}{TWO}",
    ],
)
def test_valid_files_fulfil_the_schema(text: str) -> None:
    assert list(VALIDATOR.iter_errors(plain(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "name: a", f"{SPACE}{TWO}modle: mlp", f"{SPACE}{TWO}epochs: ten", f"{SPACE}{TWO}objective: {{minimize: accuracy}}",
        f"{SPACE}{TWO}objective: [{{minimize: parameters}}, {{maximize: f1}}]", f"{SPACE}{TWO}objective: [{{maximize: f1}}, {{maximize: f1}}]",
        f"{SPACE}{TWO}study: {{strategy: baysian}}", f"{SPACE}{TWO}forbid: a > 1", f"{SPACE}{TWO}baseline: {{dropout: 1}}",
        f"data: {{sorce: a}}\nmodel: mlp\nspace:\n{TWO}", f"data: digits\nmodel: mpl\nspace:\n{TWO}", f"{HEAD}space: {{}}",
        *(f"{SPACE}  {line}" for line in (
            "channels: 3", "learning_rat: 0.1", "activation: glu", "units: 0.5", "units: {type: float, low: 1, high: 2}", "dropout: {type: float, high: 0.5}",
            "dropout: {type: float, low: 0, high: 1}", "dropout: {type: float, low: 0, high: 0.5, lgo: true}", "l1: [1, 2]",
            "optimizer: {type: categorical, choices: []}", "optimizer: {type: categorical, choices: [a]}", "l1: {type: float, low: 0, high: 1, when: a}",
            "dropout: {type: float, low: 0, high: 0.5, grid: 0}", "dropout: {type: float, low: 0, high: 0.5, step: 1}",
        )),
    ],
)  # fmt: skip
def test_typical_mistakes_do_not_fulfil_the_schema(tmp_path: Path, text: str) -> None:
    assert list(VALIDATOR.iter_errors(plain(text))) != []
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(SpaceError):
        load(tmp_path / "x.yaml")
