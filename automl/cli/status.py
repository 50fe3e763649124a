"""``automl status``: where a study stands, for people or as JSON."""

from __future__ import annotations

import json
import shlex
import time

import click

from automl.cli.completion import studies
from automl.cli.wrapping import print_sentence
from automl.folders import STUDIES
from automl.reading import Reading, read_study
from automl.shorthand import format_duration
from automl.study import Study
from automl.summary import confirmation_text, epochs_saved, front_sentence, gain_text, state_of, status_record


@click.command()
@click.argument("study", shell_complete=studies)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(study: str, as_json: bool) -> None:
    """Where STUDY stands, in five lines. STUDY is a folder under studies/, or a path."""
    reading = read_study(study)
    if as_json:
        click.echo(json.dumps({**status_record(reading.study, reading.is_driven), "study": reading.folder.name}, indent=2))
        return
    print_status(reading)


def print_status(reading: Reading) -> None:
    """Five lines: how far it is, how it is searched, what leads, what it has cost, and what to do next."""
    study = reading.study
    settings, data = study.spec.settings, study.spec.data.source
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(study.counts.items()) if count)
    state = state_of(study, reading.is_driven).replace("_", " ")
    saved, whole = epochs_saved(study)
    print_sentence(f"{reading.folder.name}: {state}, {study.ended} of {study.asked} trials ({counts or 'none yet'})")
    print_sentence(f"{study.spec.name} ({study.spec.model}) on {data}: {settings.strategy}, pruner {settings.pruner}, seed {settings.seed}")
    found = confirmation_text(study) or gain_text(study)
    front = f" {front_sentence(study)}" if len(study.objectives) > 1 else ""
    print_sentence(found if study.winner is None else f"Best: trial {study.winner.number}. {found}{front}")
    print_sentence(f"{format_duration(_seconds(study)) or '0s'} at work; pruning saved {saved} of {whole} epochs")
    click.echo(_next(reading))


def _seconds(study: Study) -> float:
    """How long drivers have been at work on it."""
    return float(round(study.active_seconds + (time.time() - study.at_work_since if study.at_work_since is not None else 0.0)))


def _next(reading: Reading) -> str:
    study, name = reading.study, shown_name(reading)
    if reading.is_driven:
        return f"Watch it: {shlex.join(['automl', 'watch', name])}"
    match study.why_rested:
        case "done" if study.winner is not None:
            return f"See what won: {shlex.join(['automl', 'best', name])}"
        case "done":
            return f"See why: {shlex.join(['automl', 'trials', name, '--failed'])}"
        case "time":
            return "The same `automl run` with a larger --time or --trials goes on."
    return "The same `automl run` goes on with it."


def shown_name(reading: Reading) -> str:
    """What a person calls the study in the next command."""
    return reading.folder.name if reading.folder.parent == STUDIES else str(reading.folder)
