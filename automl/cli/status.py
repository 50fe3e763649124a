"""``automl status``: where a study stands, for people or as JSON."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence

import click

from automl.cli.completion import studies
from automl.cli.wrapping import print_sentence
from automl.confirmation import Estimate, confirmed
from automl.folders import STUDIES
from automl.hindsight import Hindsight, hindsight, pruning_note, pruning_record
from automl.reading import Reading, read_study
from automl.shorthand import format_duration
from automl.study import Study
from automl.summary import gain_text, number_text, state_of, status_record


@click.command()
@click.argument("study", shell_complete=studies)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(study: str, as_json: bool) -> None:
    """Where STUDY stands, in five lines. STUDY is a folder under studies/, or a path."""
    reading = read_study(study)
    if as_json:
        record = {**status_record(reading.study, reading.is_driven), "study": reading.folder.name}
        click.echo(json.dumps({**record, "pruning": pruning_record(reading.study, _looked_back(reading))}, indent=2))
        return
    print_status(reading)


def print_status(reading: Reading) -> None:
    """Five lines: how far it is, how it is searched, what leads, what it has cost, and what to do next."""
    study = reading.study
    settings = study.spec.settings
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(study.counts.items()) if count)
    state = state_of(study, reading.is_driven).replace("_", " ")
    print_sentence(f"{reading.folder.name}: {state}, {study.ended} of {study.asked} trials ({counts or 'none yet'})")
    print_sentence(f"{study.spec.title}: {settings.strategy}, pruner {settings.pruner}, seed {settings.seed}")
    front = f"; {len(study.front)} on the Pareto front" if len(study.objectives) > 1 and study.front else ""
    print_sentence(f"{_leader(study)}{front}")
    print_sentence(f"{format_duration(_seconds(study)) or '0s'} at work; {pruning_note(study, _looked_back(reading))}")
    click.echo(_next(reading))


def _leader(study: Study) -> str:
    """What leads and by how much, short enough for a line; `automl best` says it whole."""
    winner, baseline, claim = study.winner, study.baseline, confirmed(study)
    if winner is None:
        return gain_text(study)
    if claim is not None:
        seeds = "one fresh seed" if claim.winner.replicates == 1 else f"{claim.winner.replicates} fresh seeds"
        gain = f"; gain {_with_interval(claim.gain)}" if claim.gain is not None else ""
        return f"best: trial {winner.number}, {claim.split} {claim.metric} {number_text(claim.winner.value)} on {seeds}{gain}"
    found = f"best: trial {winner.number}, validation {study.objective.metric} {number_text(winner.objective)}"
    if baseline is not None and baseline.number == winner.number:
        return f"{found}, the baseline"
    if study.gain is None or baseline is None:
        return found
    return f"{found}; gain {number_text(study.gain)} over the baseline's {number_text(baseline.objective)}"


def _with_interval(estimate: Estimate) -> str:
    low, high = estimate.interval or (estimate.value, estimate.value)
    return f"{number_text(estimate.value)} ({number_text(low)} to {number_text(high)})"


def _looked_back(reading: Reading) -> Sequence[Hindsight]:
    """Only of a study at rest: another one will know better."""
    return () if reading.is_driven else hindsight(reading.study)


def _seconds(study: Study) -> float:
    """How long drivers have been at work on it."""
    since = 0.0 if study.at_work_since is None else max(0.0, time.time() - study.at_work_since)  # the clock may have been put back
    return float(round(study.active_seconds + since))


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
            return "The same `automl run` with a larger --time goes on."
    if study.ended and not (study.counts.get("complete") or study.counts.get("pruned")):
        return f"See why: {shlex.join(['automl', 'trials', name, '--failed'])}"
    return "The same `automl run` goes on with it."


def shown_name(reading: Reading) -> str:
    """What a person calls the study in the next command."""
    return reading.folder.name if reading.folder.parent == STUDIES else str(reading.folder)
