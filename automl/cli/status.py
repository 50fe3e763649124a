"""``automl status``: where a study stands, for people or as JSON."""

from __future__ import annotations

import json

import click

from automl.cli.wrapping import print_sentence
from automl.reading import read_study
from automl.summary import confirmation_text, epochs_saved, gain_text, number_text, state_of, status_record


@click.command()
@click.argument("study")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(study: str, as_json: bool) -> None:
    """Where STUDY stands: a folder under studies/, or a path."""
    reading = read_study(study)
    found = reading.study
    if as_json:
        click.echo(json.dumps({**status_record(found, reading.is_driven), "study": reading.folder.name}, indent=2))
        return
    settings = found.spec.settings
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(found.counts.items()) if count)
    saved, whole = epochs_saved(found)
    state = state_of(found, reading.is_driven).replace("_", " ")
    print_sentence(f"{reading.folder.name}: {state}, {found.ended} of {found.asked} trials ({counts or 'none yet'})")
    print_sentence(f"{settings.strategy}, pruner {settings.pruner}, seed {settings.seed}; pruning saved {saved} of {whole} epochs")
    if found.winner is not None:
        print_sentence(f"best: trial {found.winner.number}, validation {found.objective.metric} {number_text(found.winner.objective)}")
        print_sentence(confirmation_text(found) or gain_text(found))
