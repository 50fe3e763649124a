"""Who made a run, with which command and of which commit: the tags that MLflow's own fluent functions would set and a client does not."""

from __future__ import annotations

import getpass
import os
import subprocess

from automl.tracking.address import redacted


def origin_tags(command: str) -> dict[str, str]:
    """``command``: what was typed."""
    tags = {"mlflow.user": _user(), "mlflow.source.name": redacted(command) or "automl", "mlflow.source.type": "LOCAL"}
    commit = _commit()
    return {**tags, "mlflow.source.git.commit": commit} if commit else tags


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())


def _commit() -> str:
    """The commit of the git repository that the command runs in, if it does."""
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
