"""What a shell offers after TAB: studies that are there, and shipped search spaces beside files. Looks at folders, reads nothing."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from automl.folders import STUDIES, shipped_spaces


def studies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The studies under ``studies/``, and folders."""
    names = sorted(path.parent.name for path in STUDIES.glob("*/study.db"))
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


def spaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shipped search spaces, and files."""
    found = [CompletionItem(name) for name in shipped_spaces() if name.startswith(incomplete)]
    return [*found, CompletionItem(incomplete, type="file")]
