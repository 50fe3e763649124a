"""The command itself before an MLflow that is in trouble, and what it keeps for itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from contracts.faultyproxy import FaultyProxy

SPACE = """\
name: small
data: iris
model: mlp
epochs: 2
space:
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
study: {strategy: random, pruner: none, trials: 3}
"""
SECRETS = ("opensesame-of-the-address", "opensesame-of-the-token", "opensesame-of-the-store")


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    """Before nothing yet."""
    proxy = FaultyProxy(9)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SPACE)
    return tmp_path


def start(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    return subprocess.Popen(
        [sys.executable, "-m", "automl", *arguments],
        cwd=folder,
        env={**theirs, "COLUMNS": "400", "NO_COLOR": "1", "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_study_without_its_mlflow_ends_as_it_would_and_says_how_to_mirror_it_later(folder: Path, proxy: FaultyProxy) -> None:
    """The server answers everything with an error, from the beginning to the end."""
    proxy.behave("503")
    with start(folder, {}, "run", "small.yaml", "--study", "first", "--engine", "inline", "--mlflow", proxy.uri) as process:
        out, err = process.communicate(timeout=240)
    assert process.returncode == 0
    assert "first: 3 of 3 trials (3 complete)" in out
    about = [line for line in err.splitlines() if "MLflow" in line]
    waits = f"Waiting for MLflow ({proxy.uri}), 120 s at most. Ctrl-C leaves it, and `automl sync first` writes the rest."
    about = [line for line in about if line != waits]  # on a slow machine the end takes long enough for that
    away = (
        f"MLflow ({proxy.uri}) cannot be written to: it answers 503 (service unavailable). The study goes on; what MLflow misses is "
        "written when it is back, or later by `automl sync first`."
    )
    behind = f"MLflow ({proxy.uri}) is not level with the study: it answers 503 (service unavailable). `automl sync first` does it."
    assert about in ([away, behind], [behind])  # the study may be over before MLflow has failed


def test_an_interrupt_does_not_wait_for_a_request_that_hangs(folder: Path, proxy: FaultyProxy) -> None:
    """The request would hang for ten minutes."""
    proxy.behave("hang")
    long = ("run", "small.yaml", "--study", "first", "--engine", "inline", "--mlflow", proxy.uri, "--trials", "100000")
    process = start(folder, {"MLFLOW_HTTP_REQUEST_TIMEOUT": "600"}, *long)
    assert process.stderr is not None
    said = []
    while not any(line.startswith("[") for line in said) or not proxy.came:
        said.append(process.stderr.readline())
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"MLflow ({proxy.uri}) is not level with the study: it did not answer in time. `automl sync first` does it.\n" in err
    assert err.endswith(f"Interrupted. Everything so far is kept; to continue:\n  automl {' '.join(long)}\n")


def test_secrets_reach_neither_the_terminal_nor_files_nor_mlflow_and_nobody_listens_to_the_network(
    folder: Path, proxy: FaultyProxy, server: Any
) -> None:
    """They are used, though: the server gets them."""
    server.start()
    proxy.target = server.port
    address, token, store = SECRETS
    uri = proxy.uri.replace("http://", f"http://someone:{address}@")
    environment = {"MLFLOW_TRACKING_TOKEN": token, "AWS_SECRET_ACCESS_KEY": store}
    words = ("run", "small.yaml", "--study", "first", "--workers", "1", "--experiment", "secrets", "--mlflow", uri)
    said, heard = "", set()
    with start(folder, environment, *words) as process:
        while process.poll() is None:
            heard |= listening(process.pid)
            try:
                said = "".join(process.communicate(timeout=0.2))
            except subprocess.TimeoutExpired:
                continue
    assert process.returncode == 0, said
    with start(folder, environment, "sync", "first", "--check", "--mlflow", uri) as process:
        said += "".join(process.communicate(timeout=120))
    assert "first: MLflow (http://***@127.0.0.1:" in said
    assert any(authorization.startswith("Basic ") for authorization in proxy.authorizations)
    kept = {file: file.read_bytes() for place in (folder, server.folder) for file in place.rglob("*") if file.is_file()}
    assert [str(file) for file, content in kept.items() for secret in SECRETS if secret.encode() in content] == []
    assert [secret for secret in SECRETS if secret in said] == []
    assert heard == set()


def listening(process: int) -> set[str]:
    """The addresses at which it and its descendants wait for connections."""
    try:
        family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
        return {each.laddr.ip for member in family for each in member.net_connections("inet") if each.status == psutil.CONN_LISTEN}
    except psutil.Error:
        return set()
