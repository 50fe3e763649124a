"""What a shell offers after TAB: studies that are there, shipped search spaces beside files, strategies, pruners. Looks at folders, reads
nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from automl.folders import STUDIES, shipped_spaces

if TYPE_CHECKING:
    from automl.options import Method


def studies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The studies under ``studies/``, and folders."""
    names = sorted(path.parent.name for path in STUDIES.glob("*/study.db"))
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


def spaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shipped search spaces, and files."""
    found = [CompletionItem(name) for name in shipped_spaces() if name.startswith(incomplete)]
    return [*found, CompletionItem(incomplete, type="file")]


def strategies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The strategies, each with what it does."""
    from automl.strategies import STRATEGIES

    return _methods(STRATEGIES, incomplete)


def pruners(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The pruners, each with what it does."""
    from automl.pruners import PRUNERS

    return _methods(PRUNERS, incomplete)


def several_strategies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """One more strategy of a list with commas."""
    from automl.strategies import STRATEGIES

    return _one_more(STRATEGIES, incomplete)


def several_pruners(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """One more pruner of a list with commas."""
    from automl.pruners import PRUNERS

    return _one_more(PRUNERS, incomplete)


def _methods(known: Mapping[str, Method], incomplete: str, before: str = "", without: Iterable[str] = ()) -> list[CompletionItem]:
    return [
        CompletionItem(f"{before}{name}", help=method.about)
        for name, method in known.items()
        if name.startswith(incomplete) and name not in without
    ]


def _one_more(known: Mapping[str, Method], incomplete: str) -> list[CompletionItem]:
    """What the list may go on with; nothing that it has already."""
    before, comma, last = incomplete.rpartition(",")
    return _methods(known, last, before + comma, before.split(","))
