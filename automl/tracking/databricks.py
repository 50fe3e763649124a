"""Whether MLflow on Databricks can work from here: a workspace and a way to log in, found where its SDK looks for them.

The SDK itself is not asked: it calls the workspace, and tries for five minutes where that does not answer.
"""

from __future__ import annotations

import configparser
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from automl.errors import TrackingError, suggestion
from automl.folders import home_expanded

_INSIDE = ("DATABRICKS_RUNTIME_VERSION", "IS_IN_DB_MODEL_SERVING_ENV", "IS_IN_DATABRICKS_MODEL_SERVING_ENV")
_WORKSPACE = {"host": "DATABRICKS_HOST", "azure_workspace_resource_id": "DATABRICKS_AZURE_RESOURCE_ID"}
_LOGIN = {  # keys of a profile, and what they are called in the environment: one of them is part of every way to log in
    "token": "DATABRICKS_TOKEN",
    "username": "DATABRICKS_USERNAME",
    "client_id": "DATABRICKS_CLIENT_ID",
    "auth_type": "DATABRICKS_AUTH_TYPE",
    "oidc_token_env": "DATABRICKS_OIDC_TOKEN_ENV",
    "oidc_token_filepath": "DATABRICKS_OIDC_TOKEN_FILEPATH",
    "oidc_token_file": "DATABRICKS_OIDC_TOKEN_FILE",
    "metadata_service_url": "DATABRICKS_METADATA_SERVICE_URL",
    "google_service_account": "DATABRICKS_GOOGLE_SERVICE_ACCOUNT",
    "google_credentials": "GOOGLE_CREDENTIALS",
    "azure_client_id": "ARM_CLIENT_ID",
    "azure_use_msi": "ARM_USE_MSI",
}
_PROGRAMS = ("databricks", "az")  # which hold a login of their own
_SETTINGS = "__settings__"


def check_databricks(where: str, raw: str, environ: Mapping[str, str]) -> None:
    """Raise TrackingError for ``databricks`` or ``databricks://PROFILE`` that can never work with this environment and configuration file.

    Source: the rules of MLflow's ``get_databricks_host_creds`` and of ``databricks.sdk.config.Config``. Whether the workspace answers
    and takes the login is not asked: that may change before the study ends.
    """
    named = "" if raw == "databricks" else urlsplit(raw).netloc
    if raw != "databricks" and not named:
        raise TrackingError(f"{where}: must be databricks or databricks://PROFILE, but is {raw!r}. Give the name of a profile.")
    if any(environ.get(name) for name in _INSIDE):
        return
    if ":" in named:
        raise TrackingError(
            f"{where}: {raw!r} names a secret scope, which must be read inside Databricks, but this is outside. Use databricks://PROFILE."
        )
    named = named or environ.get("DATABRICKS_CONFIG_PROFILE", "")
    settings = _given(_WORKSPACE, environ) | _given(_LOGIN, environ)
    file = home_expanded(environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg")
    if named or not settings:
        settings = _profile(where, named, file) | settings
    if not settings.keys() & _WORKSPACE.keys():
        raise TrackingError(
            f"{where}: {raw!r} needs a Databricks workspace, but neither $DATABRICKS_HOST nor {file} names one. "
            "Set $DATABRICKS_HOST and $DATABRICKS_TOKEN, or use another address, such as sqlite:///mlflow.db."
        )
    if not settings.keys() & _LOGIN.keys() and not any(shutil.which(name, path=environ.get("PATH")) for name in _PROGRAMS):
        raise TrackingError(
            f"{where}: {raw!r} needs a login to the Databricks workspace, but neither the environment nor {file} gives one. "
            "Set $DATABRICKS_TOKEN, or use another address, such as sqlite:///mlflow.db."
        )


def _given(names: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    return {key: environ[name] for key, name in names.items() if environ.get(name)}


def _profile(where: str, named: str, file: Path) -> dict[str, str]:
    """What the file says under the profile of this name, or under that which it has for those who name none."""
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(file.read_text(encoding="utf-8") if file.is_file() else "", str(file))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = " ".join(str(error).split())
        raise TrackingError(f"{where}: {file} must hold profiles of Databricks, but cannot be read ({reason}). Correct it.") from None
    chosen = named or parser.get(_SETTINGS, "default_profile", fallback="").strip() or "DEFAULT"
    if parser.has_section(chosen):
        return {key: value for key, value in parser.items(chosen) if value}
    if not named:
        return {}
    known = [section for section in parser.sections() if section != _SETTINGS]
    there = f"has {', '.join(known)}" if known else "has none" if file.is_file() else "is not there"
    raise TrackingError(
        f"{where}: Databricks profile {named!r} must be in {file}, but that {there}."
        f"{suggestion(named, known) or ' `databricks configure` makes one.'}"
    )
