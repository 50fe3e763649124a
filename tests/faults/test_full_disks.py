"""Real studies on disks that really are full or read-only: file systems in memory, of a size of their own, in a mount namespace.

Where no file system can be mounted, files that may not grow beyond a limit stand for the full disk.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SPACE = """\
name: small
data: digits
model: mlp
epochs: 6
space:
  units:         {type: int, low: 700, high: 900}
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
study: {strategy: random, pruner: none, trials: 6}
"""
AUTOML = f"{sys.executable} -m automl"
_MOUNTED = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-uc"]


def run(data: str, study: str = "s") -> str:
    """The command of a study of these data."""
    return f"{AUTOML} run small.yaml --study {study} --data {data} --workers 1 --lanes 1 --mlflow off"


@cache
def can_mount() -> bool:
    """Whether a file system of one's own is allowed here."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_MOUNTED, "mount -t tmpfs -o size=8k tmpfs /mnt"], capture_output=True, check=False).returncode == 0


def script(folder: Path, text: str, *, mounts: bool) -> str:
    """What a script says that runs in this folder, in a mount namespace of its own if need be; ``disk`` is there to mount something on."""
    (folder / "disk").mkdir(exist_ok=True)
    (folder / "small.yaml").write_text(SPACE)
    command = [*_MOUNTED, text] if mounts else ["bash", "-uc", text]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trials(text: str) -> list[list[object]]:
    """What `automl trials --json` says, but for times."""
    return [[trial[name] for name in ("number", "parameters", "state", "epochs", "objective", "metrics")] for trial in json.loads(text)]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[list[object]]]:
    """The trials of the study of these data on a disk with room."""

    @cache
    def of(data: str) -> list[list[object]]:
        return trials(script(tmp_path_factory.mktemp("calm"), f"{run(data)} >/dev/null 2>&1; {AUTOML} trials s --json", mounts=False))

    return of


AGAIN = r"All that was written before is kept; the same command goes on with it\."
REFUSED = (  # exit code 2: nothing was begun
    r"studies/s/data: must be a place to write prepared data to, but is not \(.+\)\. Choose another folder\.",
    r"studies/s: the study's folder must be writable, but .+\. Use --study with another path\.",
)
STOPPED = (  # exit code 1
    rf"studies/s/study\.db: must be writable, but (database or disk is full|disk I/O error)\. {AGAIN}",
    rf".*/studies/s/trials/\d+/weights\.pt: must be readable and writable, but no space left on device\. {AGAIN}",
    r"studies/s/.+: must be readable and writable, but no space left on device\. The same command goes on after that\.",
)


def check_sentence(code: str, said: str) -> None:
    """The last line says in one of these sentences what is wrong, and the exit code agrees."""
    assert "Traceback" not in said
    assert int(code) in (1, 2), said
    assert any(re.fullmatch(sentence, said.splitlines()[-1]) for sentence in (STOPPED if int(code) == 1 else REFUSED)), (code, said)


@pytest.mark.parametrize("size", ["8k", "200k", "420k", "480k", "1150k"])
def test_a_disk_that_is_full_stops_the_study_which_goes_on_when_there_is_room(
    tmp_path: Path, calm: Callable[[str], list[list[object]]], size: str
) -> None:
    """Full while the data are prepared, when the study begins, when trials report or leave weights, or when the winner is kept."""
    if not can_mount():
        pytest.skip("no file system can be mounted here; files that may not grow stand for it")
    said = script(
        tmp_path,
        f"""
        mount -t tmpfs -o size={size} tmpfs disk && cd disk && cp ../small.yaml .
        {run("digits")} >/dev/null 2>../full.txt; echo $? >../code.txt
        mount -o remount,size=50m . && {run("digits")} >/dev/null 2>../room.txt || exit 3
        {AUTOML} trials s --json
        """,
        mounts=True,
    )
    check_sentence((tmp_path / "code.txt").read_text(), (tmp_path / "full.txt").read_text())
    assert "Traceback" not in (tmp_path / "room.txt").read_text()
    assert trials(said) == calm("digits")


@pytest.mark.parametrize(("data", "kilobytes"), [("digits", 8), ("digits", 60), ("iris", 40), ("iris", 80)])
def test_a_file_that_may_not_grow_stops_the_study_which_goes_on_when_it_may(
    tmp_path: Path, calm: Callable[[str], list[list[object]]], data: str, kilobytes: int
) -> None:
    """The data cannot be written, or the events."""
    said = script(
        tmp_path,
        f"""
        (ulimit -f {kilobytes}; {run(data)} >/dev/null 2>full.txt); echo $? >code.txt
        {run(data)} >/dev/null 2>room.txt || exit 3
        {AUTOML} trials s --json
        """,
        mounts=False,
    )
    check_sentence((tmp_path / "code.txt").read_text(), (tmp_path / "full.txt").read_text())
    assert "Traceback" not in (tmp_path / "room.txt").read_text()
    assert trials(said) == calm(data)


def test_a_study_that_may_only_be_read_is_read_and_not_driven(tmp_path: Path) -> None:
    """One that is complete, and one whose driver was killed: its last events are in the write-ahead log still."""
    if not can_mount():
        pytest.skip("no file system can be mounted here")
    said = script(
        tmp_path,
        f"""
        mount -t tmpfs -o size=50m tmpfs disk && cd disk && cp ../small.yaml . && exec 2>/dev/null
        {run("digits")} >/dev/null || exit 3
        {run("digits", "s2")} >/dev/null --trials 4000 &
        until [ "$(stat -c %s studies/s2/study.db-wal 2>/dev/null || echo 0)" -gt 100000 ]; do sleep 0.02; done
        kill -KILL $!; wait $!
        {AUTOML} trials s2 --json >../writable.json
        until mount -o remount,ro .; do sleep 0.1; done
        {AUTOML} trials s2 --json | cmp - ../writable.json && echo same
        for command in "status s" "status s2" "trials s" "best s" "page s -o ../page.html" "page s" "run small.yaml --study s2 --mlflow off"
        do {AUTOML} $command >/dev/null 2>../said.txt; echo "$? $(tail -n 1 ../said.txt)"; done
        """,
        mounts=True,
    )
    same, status, status2, listed, best, elsewhere, page, driven = said.splitlines()
    assert same == "same"
    assert {status, status2, listed, elsewhere} == {"0 "}
    assert best.startswith("0 ")
    assert page == "2 studies/s/page.html: the folder must be there and writable, but read-only file system. Use --out with another path."
    assert driven == "2 studies/s2: the study's folder must be writable, but read-only file system. Use --study with another path."
