"""What click finds wrong is said in the form of all other errors."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from automl.cli import COMMANDS, automl
from automl.cli.mistakes import sentence

MISTAKES = [
    ("runn", f"automl: 'runn' is not a command. Commands: {', '.join(COMMANDS)}. Did you mean 'run'?"),
    ("--verison", "automl: '--verison' is not an option. Did you mean '--version'? `automl --help` lists them."),
    ("run --trails 3", "automl run: '--trails' is not an option. Did you mean '--trials'? `automl run --help` lists them."),
    ("run x --trials three", "--trials: must be a whole number, but is 'three'. `automl run --help` shows how."),
    ("run x --trials it's", '--trials: must be a whole number, but is "it\'s". `automl run --help` shows how.'),
    ("run x --trials", "--trials: must be followed by a value, but is not. Give one."),
    ("run --data --trials 3", "--data: must be followed by a value, but is not. Give one."),
    ("run x --json=1", "--json: must be given without a value, but has one. Leave it out."),
    ("run x --engine ray", "--engine: must be one of local, inline, but is 'ray'. `automl run --help` shows how."),
    (
        "run x extra",
        "automl run: must be given no further arguments, but has 'extra'. Put quotes around names with blanks. "
        "`automl run --help` shows how.",
    ),
    ("status", "automl status: must be given STUDY, but is not. `automl status --help` shows how."),
    ("space chek x", "automl space: 'chek' is not a command. Commands: check, new, sample, schema, show, size. Did you mean 'check'?"),
    ("space check", "automl space check: must be given FILE..., but is not. `automl space check --help` shows how."),
    ("space sample x --limit 0", "--limit: must be a whole number from 1 to 10000, but is 0. `automl space sample --help` shows how."),
    ("space new digits -o folder", "--output: must be a file, but 'folder' is a folder. Give another name."),
]


@pytest.mark.parametrize(("words", "expected"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_answered_with_one_sentence(words: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(click.UsageError) as mistake:
        automl.main(words.split(), prog_name="automl", standalone_mode=False)
    assert sentence(mistake.value) == expected
