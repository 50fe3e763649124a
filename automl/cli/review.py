"""``automl status``, ``trials`` and ``best``: what a study says of itself, for people or as JSON."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl.best import command_again
from automl.cli.wrapping import print_sentence
from automl.folders import STUDIES, existing_study
from automl.summary import best_record, epochs_saved, gain_text, number_text, state_of, status_record, trial_record, value_text

if TYPE_CHECKING:
    from rich.table import Table

    from automl.launch import Outcome
    from automl.study import Study, Trial

_NARROWEST = 60  # columns that a table of trials needs

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _load(name: str) -> tuple[Path, Study]:
    from automl.store import Store, is_being_driven
    from automl.study import Rested

    folder = existing_study(name)
    is_driven = is_being_driven(folder)
    with Store.read_only(folder) as store:
        study = store.study()
    if study.at_work_since is not None and not is_driven:
        study.apply(Rested(time.time(), "interrupted", 0.0))  # its driver was killed, so nothing is running
    return folder, study


@click.command()
@click.argument("study")
@_as_json
def status(study: str, as_json: bool) -> None:
    """Where STUDY stands: a folder under studies/, or a path."""
    from automl.store import is_being_driven

    folder, loaded = _load(study)
    driven = is_being_driven(folder)
    if as_json:
        click.echo(json.dumps({**status_record(loaded, driven), "study": folder.name}, indent=2))
        return
    settings = loaded.spec.settings
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(loaded.counts.items()) if count)
    saved, whole = epochs_saved(loaded)
    print_sentence(
        f"{folder.name}: {state_of(loaded, driven).replace('_', ' ')}, {loaded.ended} of {loaded.asked} trials ({counts or 'none yet'})"
    )
    print_sentence(f"{settings.strategy}, pruner {settings.pruner}, seed {settings.seed}; pruning saved {saved} of {whole} epochs")
    if loaded.best is not None:
        print_sentence(f"best: trial {loaded.best.number}, validation {loaded.objective.metric} {number_text(loaded.best.objective)}")
        print_sentence(gain_text(loaded))


@click.command()
@click.argument("study")
@click.option("--failed", is_flag=True, help="Only trials that did not work out, with the reason.")
@_as_json
def trials(study: str, failed: bool, as_json: bool) -> None:
    """The trials of STUDY, in the order of their numbers."""
    folder, loaded = _load(study)
    wanted = [t for t in loaded.trials if not failed or (t.has_ended and t.state not in ("complete", "pruned"))]
    if as_json:
        click.echo(json.dumps([trial_record(trial) for trial in wanted], indent=2))
    elif not wanted:
        click.echo(f"{folder.name}: no trial {'has failed' if failed else 'yet'}.")
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


@click.command()
@click.argument("study")
@_as_json
def best(study: str, as_json: bool) -> None:
    """The winner of STUDY: its parameters, what it reached, and how to use it."""
    folder, loaded = _load(study)
    record = best_record(loaded)
    if as_json:
        click.echo(json.dumps(record, indent=2))
    elif record is None:
        click.echo(f"{folder.name}: no trial is complete yet, so there is no winner.")
    else:
        _print_best(loaded, folder)


def _print_best(study: Study, folder: Path) -> None:
    winner, tested = study.best, study.test
    assert winner is not None
    verb = "won" if study.why_rested == "done" else "leads"
    print_sentence(f"Trial {winner.number} {verb} after {study.ended} trial{'s' if study.ended != 1 else ''}. {gain_text(study)}")
    if tested is not None and tested.trial == winner.number:
        values = ", ".join(f"{name} {number_text(value)}" for name, value in tested.metrics.items())
        print_sentence(f"On {_split_text(tested.split)}, measured once: {values}.")
    width = max((len(name) for name in winner.configuration), default=0)
    for name, value in winner.configuration.items():
        click.echo(f"  {name:<{width}}  {value_text(value)}")
    if (folder / "best").is_dir():
        click.echo(f"Use it:          from automl import load_best; model = load_best({str(folder)!r})")
        click.echo(f"Train it again:  {command_again(study, folder)}")


def _split_text(split: str) -> str:
    return "the test split" if split == "test" else split


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    """What ``run --json`` prints."""
    record = status_record(outcome.study, False)
    return {**record, "study": outcome.folder.name, "folder": str(outcome.folder), "why": outcome.why, "mlflow": outcome.tracking}


def print_outcome(outcome: Outcome) -> None:
    """What ``run`` says at its end: what won, by how much, and where to look."""
    study, folder = outcome.study, outcome.folder
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(study.counts.items()) if count)
    saved, whole = epochs_saved(study)
    print_sentence(f"{folder.name}: {study.ended} of {study.asked} trials ({counts}); pruning saved {saved} of {whole} epochs.")
    if outcome.why == "time":
        click.echo("The time is over. A larger --time or --trials continues.")
    if study.best is not None:
        _print_best(study, folder)
    else:
        print_sentence(gain_text(study))
    click.echo(f"All trials:      {shlex.join(['automl', 'trials', folder.name if folder.parent == STUDIES else str(folder)])}")
    if outcome.tracking:
        click.echo(f"MLflow:          {outcome.tracking}")
