"""The Pareto front of a study with several objectives, as a table for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from automl.cli.wrapping import print_sentence
from automl.front import FOLDER
from automl.summary import front_sentence, number_text, value_text

if TYPE_CHECKING:
    from automl.study import Study


def print_front(study: Study, folder: Path, err: bool = False) -> None:
    """Every trial of the front with what it reached, and where its weights are. ``err``: on stderr."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    print_sentence(front_sentence(study), err)
    if not study.front:
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    for name in ("trial", *(objective.metric for objective in study.objectives)):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("configuration", overflow="fold")
    for trial in study.front:
        words = ", ".join(f"{name} {value_text(value)}" for name, value in trial.configuration.items())
        mark = "*" if study.winner is not None and trial.number == study.winner.number else ""
        table.add_row(f"{mark}{trial.number}", *map(number_text, study.reached(trial).values()), words)
    console = Console(highlight=False, markup=False, emoji=False, stderr=err)
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)
    if (folder / FOLDER).is_dir():
        print_sentence(f"Use one of them: load_best({str(folder / FOLDER / 'NUMBER')!r})", err)
