"""``--mlflow databricks`` passes where MLflow could log in, and is refused where it never could: MLflow itself is asked the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl.errors import TrackingError
from automl.tracking import resolve_uri

HOST = {"DATABRICKS_HOST": "https://workspace.example"}
PROFILES = """\
[DEFAULT]
host = https://default.example
token = secret

[team]
host = https://team.example
client_id = me
client_secret = hush

[halfway]
host = https://halfway.example

[nowhere]
token = secret
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def profiles(home: Path) -> Path:
    (home / ".databrickscfg").write_text(PROFILES)
    return home / ".databrickscfg"


def refusal(flag: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(TrackingError) as caught:
        resolve_uri(flag, environ or {})
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    "environ",
    [
        HOST | {"DATABRICKS_TOKEN": "secret"},
        HOST | {"DATABRICKS_CLIENT_ID": "me", "DATABRICKS_CLIENT_SECRET": "hush"},
        HOST | {"DATABRICKS_AUTH_TYPE": "external-browser"},
        {"DATABRICKS_AZURE_RESOURCE_ID": "/subscriptions/1", "ARM_CLIENT_ID": "me"},
        {"DATABRICKS_RUNTIME_VERSION": "17.3"},
    ],
)
def test_a_workspace_and_a_login_in_the_environment_pass(environ: dict[str, str]) -> None:
    assert resolve_uri("databricks", environ) == "databricks"


@pytest.mark.parametrize("flag", ["databricks", "databricks://team", "databricks://DEFAULT"])
def test_profiles_pass(profiles: Path, flag: str) -> None:
    assert resolve_uri(flag, {}) == flag


def test_the_environment_names_a_profile_and_another_file(home: Path, profiles: Path) -> None:
    other = profiles.rename(home / "other.cfg")
    environ = {"DATABRICKS_CONFIG_FILE": str(other)}
    assert resolve_uri("databricks://team", environ) == "databricks://team"
    assert resolve_uri("databricks", environ | {"DATABRICKS_CONFIG_PROFILE": "team"}) == "databricks"


def test_the_file_may_say_which_profile_is_the_default(home: Path) -> None:
    (home / ".databrickscfg").write_text("[__settings__]\ndefault_profile = team\n[team]\nhost = https://team.example\ntoken = secret\n")
    assert resolve_uri("databricks", {}) == "databricks"


def test_a_program_that_holds_a_login_is_enough(home: Path) -> None:
    program = home / "databricks"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert resolve_uri("databricks", HOST | {"PATH": str(home)}) == "databricks"


def test_without_a_workspace_nothing_can_work(home: Path) -> None:
    expected = (
        f"--mlflow: 'databricks' needs a Databricks workspace, but neither $DATABRICKS_HOST nor {home}/.databrickscfg names one. "
        "Set $DATABRICKS_HOST and $DATABRICKS_TOKEN, or use another address, such as sqlite:///mlflow.db."
    )
    assert refusal("databricks") == expected
    assert refusal("databricks", {"DATABRICKS_TOKEN": "secret"}) == expected
    with pytest.raises(TrackingError, match=r"^MLFLOW_TRACKING_URI: 'databricks' needs a Databricks workspace, but "):
        resolve_uri(None, {"MLFLOW_TRACKING_URI": "databricks"})


def test_a_profile_without_a_workspace_is_refused(profiles: Path) -> None:
    assert refusal("databricks://nowhere") == (
        f"--mlflow: 'databricks://nowhere' needs a Databricks workspace, but neither $DATABRICKS_HOST nor {profiles} names one. "
        "Set $DATABRICKS_HOST and $DATABRICKS_TOKEN, or use another address, such as sqlite:///mlflow.db."
    )


def test_without_a_login_nothing_can_work(home: Path, profiles: Path) -> None:
    expected = (
        "--mlflow: {!r} needs a login to the Databricks workspace, but neither the environment nor {} gives one. "
        "Set $DATABRICKS_TOKEN, or use another address, such as sqlite:///mlflow.db."
    )
    assert refusal("databricks://halfway", {"PATH": str(home)}) == expected.format("databricks://halfway", profiles)
    assert refusal("databricks", {"PATH": str(home)} | HOST) == expected.format("databricks", profiles)


def test_a_profile_that_is_not_there_is_refused_with_the_nearest(home: Path, profiles: Path) -> None:
    assert refusal("databricks://tema") == (
        f"--mlflow: Databricks profile 'tema' must be in {profiles}, but that has DEFAULT, team, halfway, nowhere. Did you mean 'team'?"
    )
    assert refusal("databricks://xyz", {"DATABRICKS_CONFIG_FILE": str(home / "gone")}) == (
        f"--mlflow: Databricks profile 'xyz' must be in {home}/gone, but that is not there. `databricks configure` makes one."
    )
    profiles.write_text("")
    assert refusal("databricks://xyz") == (
        f"--mlflow: Databricks profile 'xyz' must be in {profiles}, but that has none. `databricks configure` makes one."
    )


def test_a_broken_file_of_profiles_is_named(profiles: Path) -> None:
    profiles.write_text("host = https://nowhere.example\n")
    message = refusal("databricks")
    assert message.startswith(f"--mlflow: {profiles} must hold profiles of Databricks, but cannot be read (")
    assert message.endswith("). Correct it.")


@pytest.mark.parametrize("flag", ["databricks:/team", "databricks://", "databricks:team"])
def test_a_profile_needs_two_slashes_and_a_name(flag: str) -> None:
    assert refusal(flag) == f"--mlflow: must be databricks or databricks://PROFILE, but is {flag!r}. Give the name of a profile."


def test_a_secret_scope_can_be_read_inside_databricks_only() -> None:
    assert resolve_uri("databricks://scope:prefix", {"DATABRICKS_RUNTIME_VERSION": "17.3"}) == "databricks://scope:prefix"
    assert refusal("databricks://scope:prefix") == (
        "--mlflow: 'databricks://scope:prefix' names a secret scope, which must be read inside Databricks, but this is outside. "
        "Use databricks://PROFILE."
    )


@pytest.mark.parametrize("flag", ["databricks", "databricks://nowhere-at-all"])
def test_what_is_refused_here_mlflow_refuses_too(home: Path, flag: str) -> None:
    refusal(flag)
    code = (
        "import sys, mlflow; from mlflow.exceptions import MlflowException\n"
        "try:\n    mlflow.MlflowClient(sys.argv[1]).search_experiments()\n"
        "except MlflowException as error:\n    sys.exit('credential' not in str(error))\nsys.exit(1)"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("DATABRICKS", "ARM"))}
    answer = subprocess.run([sys.executable, "-c", code, flag], env=environ | {"PATH": str(home)}, capture_output=True, check=False)
    assert answer.returncode == 0, answer.stderr
