"""``automl best``: the winner of a study, for people or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl.best import command_again
from automl.cli.completion import studies
from automl.cli.front import print_front
from automl.cli.wrapping import print_sentence
from automl.configurations import configuration_yaml, stated
from automl.datareport import read_season
from automl.reading import read_study
from automl.summary import best_record, confirmation_text, gain_text, number_text, skill_text, value_text, weights_text

if TYPE_CHECKING:
    from automl.study import Study
    from automl.trials import Trial


@click.command()
@click.argument("study", shell_complete=studies)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def best(ctx: click.Context, /, study: str, as_json: bool) -> None:
    """The winner of STUDY: its configuration as YAML on stdout, what it reached and how to use it on stderr.

    \b
    automl best my_study > best.yaml
    automl run my_space.yaml --config best.yaml
    """
    reading = read_study(study)
    found = reading.study
    if as_json:
        click.echo(json.dumps(best_record(found), indent=2))
    elif found.winner is None:
        click.echo(f"{reading.folder.name}: no trial is complete yet, so there is no winner.", err=True)
        ctx.exit(1)
    else:
        print_best(found, reading.folder, err=True)
        click.echo(configuration_yaml(stated(found.spec, found.winner.configuration)), nl=False)


def print_best(study: Study, folder: Path, err: bool = False) -> None:
    """What won, what it reached, and how to use it. ``err``: on stderr."""
    winner, tested = study.winner, study.test
    assert winner is not None
    verb = "won" if study.why_rested == "done" else "leads"
    if len(study.objectives) > 1:
        verb = f"{verb} by {study.objective.metric}, the first objective,"
    print_sentence(f"Trial {winner.number} {verb} after {study.ended} trial{'s' if study.ended != 1 else ''}. {gain_text(study)}", err)
    claim = confirmation_text(study)
    if claim:
        print_sentence(claim, err)
    if tested is not None and tested.trial == winner.number and tested.metrics:
        values = ", ".join(f"{name} {number_text(value)}" for name, value in tested.metrics.items())
        split = _split_text(tested.split)
        how = f"Your code measured on {split}" if study.spec.trains_itself else f"Its own weights on {split}, measured once"
        print_sentence(" ".join(filter(None, (f"{how}: {values}.", skill_text(study, read_season(folder)), weights_text(study)))), err)
    if not err:
        _print_parameters(winner)
    if (folder / "best").is_dir():
        if study.spec.trains_itself:
            click.echo(f"Its parameters:  {folder / 'best' / 'config.yaml'}", err=err)
        else:
            click.echo(f"Use it:          from automl import load_best; model = load_best({str(folder)!r})", err=err)
        click.echo(f"Train it again:  {command_again(study, folder)}", err=err)
    if len(study.objectives) > 1:
        print_front(study, folder, err)


def _print_parameters(trial: Trial) -> None:
    width = max((len(name) for name in trial.configuration), default=0)
    for name, value in trial.configuration.items():
        click.echo(f"  {name:<{width}}  {value_text(value)}")


def _split_text(split: str) -> str:
    return "the test split" if split == "test" else split
