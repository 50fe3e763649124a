"""What `pip install .` installs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.long
def test_the_wheel_holds_every_module_the_shipped_spaces_and_the_command(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("automl_lanes-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "automl").glob("**/*.py")}
    spaces = {f"automl/search_spaces/{path.name}" for path in (ROOT / "search_spaces").glob("*.yaml")}
    assets = {path.relative_to(ROOT).as_posix() for path in (ROOT / "automl/page/assets").iterdir()}
    spaces |= {f"automl/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "search_spaces/checkpoints").glob("*/*")}
    assert modules | spaces | assets | {"automl/py.typed"} <= names
    assert "automl = automl.cli:program" in entry

    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); from automl.folders import shipped_folder; print(shipped_folder())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert Path(answer.stdout.strip()) == installed / "automl" / "search_spaces"
