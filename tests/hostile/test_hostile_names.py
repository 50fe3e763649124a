"""Names with slashes, quotes, line breaks and ``../``: they are refused with a sentence, or they are only names; no file lies elsewhere."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.errors import SpaceError, UsageError
from automl.folders import STUDIES, study_folder
from automl.spacefile import load_text

EVIL = (
    "../up",
    "/absolute",
    "a/b",
    "..",
    'quo"te',
    "it's",
    "line\nbreak",
    "\u202eright",
    "é\u0301",
    "\\back",
    "$(x)",
    "`x`",
    "%s{0}",
    "-rf",
)
SPACE = "data: digits\nmodel: mlp\nspace:\n  units: {type: int, low: 2, high: 8}\n"


def automl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "automl", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@given(st.text(max_size=40) | st.sampled_from(EVIL))
def test_a_word_as_the_name_of_a_study_is_a_folder_under_the_studies_or_refused(name: str) -> None:
    """Only a path, which has a slash or begins with a full stop or ``~``, leads elsewhere."""
    try:
        folder = study_folder(name)
    except UsageError:
        return
    assert "\0" not in str(folder)
    if os.sep not in name and name not in (".", "..") and not name.startswith("~"):
        assert folder.parent == STUDIES
        assert folder.name == name


@given(st.text(max_size=40) | st.sampled_from(EVIL))
def test_the_name_of_a_space_can_be_that_of_a_file(name: str) -> None:
    """It is what a study is called where nobody says otherwise."""
    try:
        spec = load_text(f"name: {json.dumps(name)}\n{SPACE}", "x.yaml")
    except SpaceError:
        return
    assert Path(spec.name).name == spec.name
    assert spec.name not in (".", "..")


@pytest.mark.parametrize("name", EVIL)
def test_a_parameter_of_such_a_name_is_refused(name: str) -> None:
    with pytest.raises(SpaceError, match="is not a parameter of mlp or of its training"):
        load_text(f"{SPACE}  {json.dumps(name)}: 3\n", "x.yaml")


def test_a_study_of_hostile_names_in_hostile_folders_writes_nothing_elsewhere(tmp_path: Path) -> None:
    """Columns, classes, cells, the data's file, the space's file, the experiment, the study and the working folder."""
    here = tmp_path / "odd\n 'folder'" / "in it"
    (here / "da ta").mkdir(parents=True)
    choose = random.Random(0)
    with (here / "da ta" / "../da ta/t\nab.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["a/b", "../../up", 'quo"te', "line\u2028end", "the\ttarget"])
        for _ in range(90):
            numbers = [choose.random(), choose.choice(("../x", "/etc/y", "z\nw")), choose.random(), choose.randint(0, 9)]
            table.writerow([*numbers, choose.choice(("../../class", "/absolute", 'class "c"'))])
    text = 'name: odd\ndata: {source: "da ta/t\\nab.csv", target: "the\\ttarget"}\nmodel: mlp\nepochs: 1\n'
    (here / "sp ace\n.yaml").write_text(f"{text}space:\n  units: {{type: int, low: 2, high: 8}}\n")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    arguments = ["sp ace\n.yaml", "--study", "./st\n udy", "--trials", "2", "--workers", "1", "--lanes", "1", "--experiment", "../e\nx/\"'"]
    done = automl(here, "run", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    allowed = (here / "st\n udy", here / "mlartifacts")
    assert {path for path in written if not path.is_relative_to(allowed[0]) and not path.is_relative_to(allowed[1])} <= {
        here / name for name in ("mlflow.db", "mlflow.db-shm", "mlflow.db-wal")
    }
    for command in (("status", "./st\n udy"), ("trials", "./st\n udy", "--json"), ("best", "./st\n udy"), ("page", "./st\n udy")):
        answer = automl(here, *command)
        assert answer.returncode == 0, answer.stderr
        assert "Traceback" not in answer.stderr
