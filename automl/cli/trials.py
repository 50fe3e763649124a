"""``automl trials``: the table of a study's trials, for people or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from automl.reading import read_study
from automl.summary import number_text, trial_record, value_text

if TYPE_CHECKING:
    from rich.table import Table

    from automl.study import Study, Trial

_NARROWEST = 60  # columns that a table of trials needs


@click.command()
@click.argument("study")
@click.option("--failed", is_flag=True, help="Only trials that did not work out, with the reason.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def trials(study: str, failed: bool, as_json: bool) -> None:
    """The trials of STUDY, in the order of their numbers."""
    reading = read_study(study)
    loaded = reading.study
    wanted = [t for t in loaded.trials if not failed or (t.has_ended and t.state not in ("complete", "pruned"))]
    if as_json:
        click.echo(json.dumps([trial_record(trial) for trial in wanted], indent=2))
    elif not wanted:
        click.echo(f"{reading.folder.name}: no trial {'has failed' if failed else 'yet'}.")
    else:
        _print_trials(loaded, wanted, failed)


def _print_trials(study: Study, wanted: list[Trial], reasons: bool) -> None:
    """A column for each parameter where the terminal has room for them, else one for all; whole rows where there is no terminal."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(highlight=False)
    console.width = max(console.width, _NARROWEST)
    table = _trial_table(study, wanted, _reasons(wanted) if reasons else _parameter_columns(wanted))
    widest = Measurement.get(console, console.options.update(width=10_000), table).maximum
    if not console.is_terminal:
        console.width = widest
    elif widest > console.width and not reasons:
        table = _trial_table(study, wanted, _parameter_words(wanted))
    console.print(table)


def _trial_table(study: Study, wanted: list[Trial], columns: dict[str, list[str]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    for name in ("trial", "state", study.objective.metric, "epochs", "seconds"):
        table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row, trial in enumerate(wanted):
        is_best = study.best is not None and trial.number == study.best.number
        cells = [f"{'*' if is_best else ''}{trial.number}", trial.state.replace("_", " "), number_text(trial.objective)]
        cells += [str(trial.epochs), f"{trial.seconds:.1f}", *(values[row] for values in columns.values())]
        table.add_row(*cells, style="bold" if is_best else "")
    return table


def _parameter_columns(wanted: list[Trial]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for trial in wanted for name in trial.configuration)
    return {name: [value_text(t.configuration[name]) if name in t.configuration else "" for t in wanted] for name in names}


def _parameter_words(wanted: list[Trial]) -> dict[str, list[str]]:
    return {"parameters": [", ".join(f"{name} {value_text(value)}" for name, value in t.configuration.items()) for t in wanted]}


def _reasons(wanted: list[Trial]) -> dict[str, list[str]]:
    return {"reason": [trial.reason.strip() for trial in wanted]}
