"""The house's rules about who may import whom, and about what a cheap command must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "automl"
HEAVY = ("torch", "optuna", "mlflow", "plotly", "sklearn", "pandas", "scipy", "numpy", "rich", "ruamel")

# Who may not import whom: workers know nothing of studies, and what follows the events drives nothing.
FORBIDDEN = {
    "errors": ("automl.",),
    "draws": ("automl.",),
    "events": ("automl.",),
    "owncode": ("automl.space", "automl.spec", "automl.study", "automl.driver", "automl.training"),
    "spacecode": ("automl.study", "automl.driver", "automl.training"),
    "expressions": ("automl.space", "automl.study", "automl.driver"),
    "families": ("automl.space", "automl.study", "automl.models", "automl.training"),
    "space": ("automl.spec", "automl.study", "automl.driver", "automl.families"),
    "spec": ("automl.study", "automl.driver"),
    "spacefile": ("automl.study", "automl.driver", "automl.strategies", "automl.training", "automl.tracking"),
    "pareto": ("automl.",),
    "front": ("automl.cli", "automl.launch", "automl.driver", "automl.plan", "automl.engines", "automl.tracking"),
    "trials": (
        "automl.study",
        "automl.driver",
        "automl.strategies",
        "automl.pruners",
        "automl.tracking",
        "automl.engines",
        "automl.training",
    ),
    "study": ("automl.driver", "automl.strategies", "automl.pruners", "automl.tracking", "automl.engines", "automl.training"),
    "store": ("automl.driver", "automl.strategies", "automl.pruners", "automl.tracking", "automl.engines", "automl.training"),
    "strategies": ("automl.driver", "automl.store", "automl.tracking", "automl.engines", "automl.training", "automl.cli"),
    "pruners": ("automl.driver", "automl.store", "automl.tracking", "automl.engines", "automl.training", "automl.cli"),
    "engines": ("automl.study", "automl.store", "automl.strategies", "automl.pruners", "automl.tracking", "automl.driver", "automl.cli"),
    "training": ("automl.study", "automl.store", "automl.strategies", "automl.pruners", "automl.tracking", "automl.driver", "automl.cli"),
    "models": ("automl.study", "automl.store", "automl.strategies", "automl.training", "automl.tracking", "automl.driver", "automl.cli"),
    "data": ("automl.study", "automl.store", "automl.strategies", "automl.training", "automl.tracking", "automl.driver", "automl.cli"),
    "tracking": ("automl.driver", "automl.engines", "automl.training", "automl.strategies", "automl.pruners", "automl.cli"),
    "reading": ("automl.cli", "automl.launch", "automl.driver", "automl.tracking", "automl.training", "automl.engines"),
    "pedanova": ("automl.driver", "automl.store", "automl.tracking", "automl.page", "automl.cli"),
    "importances": ("automl.driver", "automl.store", "automl.tracking", "automl.page", "automl.cli"),
    "page": ("automl.cli", "automl.launch", "automl.driver", "automl.engines", "automl.training", "automl.data", "automl.tracking"),
    "configurations": ("automl.study", "automl.plan", "automl.driver", "automl.cli", "automl.data", "automl.training"),
    "selection": ("automl.store", "automl.driver", "automl.cli", "automl.engines", "automl.tracking", "automl.training"),
    "progress": ("automl.cli", "automl.launch", "automl.driver", "automl.store", "automl.tracking", "automl.training"),
    "library": ("automl.driver", "automl.engines", "automl.tracking", "automl.strategies", "automl.pruners"),
    "driver": ("automl.cli", "automl.launch", "automl.tracking", "automl.data", "automl.training"),
    "hindsight": ("automl.driver", "automl.store", "automl.tracking", "automl.engines", "automl.training", "automl.cli"),
    "winner": ("automl.cli", "automl.launch", "automl.mirroring", "automl.plan", "automl.tracking"),
    "dashboard": ("automl.cli", "automl.launch", "automl.plan", "automl.driver", "automl.engines", "automl.training"),
    "mirroring": ("automl.cli", "automl.launch", "automl.winner", "automl.plan", "automl.driver", "automl.engines"),
    "launch": ("automl.cli", "automl.compare"),
    "compare": ("automl.cli", "automl.training", "automl.models"),
    "plan": ("automl.cli", "automl.launch", "automl.engines", "automl.training"),
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("name", FORBIDDEN)
def test_arrows_point_one_way(name: str) -> None:
    folder = PACKAGE / name
    files = list(folder.glob("**/*.py")) if folder.is_dir() else [PACKAGE / f"{name}.py"]
    assert files
    for file in files:
        wrong = [module for module in _imports(file) if any(f"{module}.".startswith(f"{bad.rstrip('.')}.") for bad in FORBIDDEN[name])]
        own = f"automl.{name}"
        assert [module for module in wrong if not f"{module}.".startswith(f"{own}.")] == [], file


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print('\\n'.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in answer.stdout.splitlines()}


@pytest.mark.parametrize(
    "statement",
    [
        "import automl",
        "from automl import load_space, load_study, run",
        "from automl.cli import automl; automl.main(['--help'], standalone_mode=False)",
        "import automl.study, automl.space, automl.families, automl.events",
    ],
)
def test_cheap_commands_load_nothing_heavy(statement: str) -> None:
    assert _modules_after(statement) & set(HEAVY) == set()


def test_the_driver_does_not_load_torch() -> None:
    """Workers train; the driver's process stays small."""
    modules = (
        "launch",
        "reading",
        "cli.run",
        "cli.display",
        "cli.outcome",
        "cli.status",
        "cli.watch",
        "cli.trials",
        "cli.trial",
        "cli.best",
    )
    assert "torch" not in _modules_after("\n".join(f"import automl.{module}" for module in modules))


def test_the_page_loads_plotly_only_when_it_draws() -> None:
    assert _modules_after("import automl.page.studypage") & {"torch", "optuna", "plotly", "pandas", "mlflow", "scipy"} == set()


def test_every_package_folder_is_listed_for_the_wheel() -> None:
    import tomllib

    listed = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {
        "automl",
        *(f"automl.{path.parent.relative_to(PACKAGE).as_posix().replace('/', '.')}" for path in PACKAGE.glob("*/**/__init__.py")),
    }
    assert set(listed) == there | {"automl.search_spaces"}
