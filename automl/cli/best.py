"""``automl best``: the winner of a study, for people or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl.best import command_again
from automl.cli.wrapping import print_sentence
from automl.reading import read_study
from automl.summary import best_record, confirmation_text, gain_text, number_text, value_text

if TYPE_CHECKING:
    from automl.study import Study


@click.command()
@click.argument("study")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def best(study: str, as_json: bool) -> None:
    """The winner of STUDY: its parameters, what it reached, and how to use it."""
    reading = read_study(study)
    record = best_record(reading.study)
    if as_json:
        click.echo(json.dumps(record, indent=2))
    elif record is None:
        click.echo(f"{reading.folder.name}: no trial is complete yet, so there is no winner.")
    else:
        print_best(reading.study, reading.folder)


def print_best(study: Study, folder: Path) -> None:
    """What won, what it reached, its parameters, and how to use it."""
    winner, tested = study.winner, study.test
    assert winner is not None
    verb = "won" if study.why_rested == "done" else "leads"
    print_sentence(f"Trial {winner.number} {verb} after {study.ended} trial{'s' if study.ended != 1 else ''}. {gain_text(study)}")
    claim = confirmation_text(study)
    if claim:
        print_sentence(claim)
    if tested is not None and tested.trial == winner.number:
        values = ", ".join(f"{name} {number_text(value)}" for name, value in tested.metrics.items())
        print_sentence(f"Its own weights on {_split_text(tested.split)}, measured once: {values}.")
    width = max((len(name) for name in winner.configuration), default=0)
    for name, value in winner.configuration.items():
        click.echo(f"  {name:<{width}}  {value_text(value)}")
    if (folder / "best").is_dir():
        click.echo(f"Use it:          from automl import load_best; model = load_best({str(folder)!r})")
        click.echo(f"Train it again:  {command_again(study, folder)}")


def _split_text(split: str) -> str:
    return "the test split" if split == "test" else split
