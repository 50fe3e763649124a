"""TAB offers what is there: options, studies, shipped spaces; and does so without loading anything heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from automl.cli import automl
from automl.folders import shipped_spaces
from automl.pruners import PRUNERS
from automl.strategies import STRATEGIES
from contracts.stored import stored_study


def offered(*words: str) -> list[tuple[str, str]]:
    *arguments, incomplete = words
    items = ShellComplete(automl, {}, "automl", "_AUTOML_COMPLETE").get_completions(arguments, incomplete)
    return [(item.type, item.value) for item in items]


@pytest.mark.parametrize("command", ["status", "watch", "trials", "best", "sync"])
def test_studies_are_completed(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stored_study(tmp_path / "studies" / "first")
    stored_study(tmp_path / "studies" / "second")
    assert offered(command, "f") == [("plain", "first")]
    assert offered(command, "") == [("plain", "first"), ("plain", "second")]
    assert offered(command, "elsewhere/") == [("dir", "elsewhere/")]


def test_spaces_are_the_shipped_ones_and_files() -> None:
    expected = [*(("plain", name) for name in shipped_spaces() if name.startswith("mnist")), ("file", "mnist")]
    assert offered("run", "mnist") == offered("space", "show", "mnist") == expected
    assert ("plain", "--strategy") in offered("run", "--s")
    assert offered("wat") == [("plain", "watch")]


def test_strategies_and_pruners_are_completed() -> None:
    assert offered("run", "--strategy", "b") == [("plain", "bayesian")]
    assert offered("run", "x", "--pruner", "h") == [("plain", "hyperband")]
    assert [name for _, name in offered("run", "--strategy", "")] == list(STRATEGIES)
    assert [name for _, name in offered("run", "--pruner", "")] == list(PRUNERS)


def test_lists_of_strategies_and_pruners_are_completed_with_what_they_lack() -> None:
    assert offered("compare", "--strategies", "gr") == [("plain", "grid")]
    assert offered("compare", "--strategies", "grid,b") == [("plain", "grid,bayesian")]
    rest = [f"grid,gp,{name}" for name in STRATEGIES if name not in ("grid", "gp")]
    assert [name for _, name in offered("compare", "--strategies", "grid,gp,")] == rest
    assert offered("compare", "--strategies", "bayesian:n_startup=5,n_candidates=8,s")[0][1] == "bayesian:n_startup=5,n_candidates=8,sobol"
    assert offered("compare", "--pruners", "none,as") == [("plain", "none,asha")]
    assert ("plain", "digits_mlp") in offered("compare", "digits_m")


def test_completing_loads_nothing_heavy() -> None:
    code = (
        "from click.shell_completion import ShellComplete; from automl.cli import automl; import sys;"
        "ShellComplete(automl, {}, 'automl', 'X').get_completions(['run', '--strategy'], 'b');"
        "print(sorted(set(sys.modules) & {'numpy', 'pandas', 'torch', 'mlflow', 'optuna', 'rich', 'ruamel', 'sqlite3'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
