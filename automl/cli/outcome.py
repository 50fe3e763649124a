"""What ``automl run`` says at its end, for people or as JSON."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from automl.cli.best import print_best
from automl.cli.wrapping import print_sentence
from automl.folders import STUDIES
from automl.hindsight import hindsight, hindsight_text, pruning_record
from automl.summary import epochs_saved, gain_text, grid_text, status_record

if TYPE_CHECKING:
    from automl.launch import Outcome


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    """What ``run --json`` prints."""
    record = status_record(outcome.study, False)
    return {
        **record,
        "study": outcome.folder.name,
        "folder": str(outcome.folder),
        "why": outcome.why,
        "page": None if outcome.page is None else str(outcome.page),
        "mlflow": outcome.tracking,
        "pruning": pruning_record(outcome.study, hindsight(outcome.study)),
    }


def print_outcome(outcome: Outcome) -> None:
    """What ``run`` says at its end: what won, by how much, and where to look."""
    study, folder = outcome.study, outcome.folder
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(study.counts.items()) if count)
    saved, whole = epochs_saved(study)
    looked_back = hindsight_text(study, hindsight(study))
    pruning = f"pruning saved {saved} of {whole} epochs. {looked_back}".rstrip()
    print_sentence(f"{folder.name}: {study.ended} of {study.asked} trials ({counts}); {pruning}")
    grid = grid_text(study.spec, study.asked, study.active_seconds / study.ended) if study.ended else ""
    if grid:
        print_sentence(grid)
    if outcome.why == "time":
        click.echo("The time is over. A larger --time continues.")
    if outcome.why == "done" and study.ended < study.asked:
        print_sentence(f"The search ended after {study.ended} trials, since nothing was left to suggest: the space is used up.")
    if study.best is not None:
        print_best(study, folder)
    else:
        print_sentence(gain_text(study))
    click.echo(f"All trials:      {shlex.join(['automl', 'trials', folder.name if folder.parent == STUDIES else str(folder)])}")
    if outcome.page is not None:
        click.echo(f"Study page:      {outcome.page}")
    if outcome.tracking:
        click.echo(f"MLflow:          {outcome.tracking}")
