"""``automl trials``: the table of a study's trials, sorted and filtered, or one of them whole; for people or as JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from automl.cli.completion import studies
from automl.errors import UsageError
from automl.reading import Reading, read_study
from automl.selection import SORTED_BY, selected
from automl.summary import number_text, trial_record, value_text, why_text
from automl.trials import ENDED

if TYPE_CHECKING:
    from automl.cli.rows import Rows
    from automl.study import Study
    from automl.trials import Trial

_NARROW = 60  # columns that a table with parameters needs
_STATES = ("waiting", "running", *ENDED)


@click.command()
@click.argument("study", shell_complete=studies)
@click.argument("number", type=int, required=False)
@click.option("--sort", metavar="KEY", help=f"{', '.join(SORTED_BY)}, or a parameter; of objective the best first.  [default: number]")
@click.option("--reverse", is_flag=True, help="Turn the order round.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES),
    metavar="STATE",
    help="Only trials in this state, such as complete, pruned or failed (again for more).",
)
@click.option("--failed", is_flag=True, help="Only trials that did not work out, with the reason.")
@click.option("--where", metavar="RULE", help="Only trials for which this holds, such as 'learning_rate < 0.01 and epochs > 5'.")
@click.option("--top", metavar="N", type=click.IntRange(1), help="Only the first N; the best ones where no --sort is given.")
@click.option("--yaml", "as_yaml", is_flag=True, help="With NUMBER: only its configuration, for `automl run --config`.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def trials(
    study: str,
    number: int | None,
    sort: str | None,
    reverse: bool,
    states: tuple[str, ...],
    failed: bool,
    where: str | None,
    top: int | None,
    as_yaml: bool,
    as_json: bool,
) -> None:
    """The trials of STUDY, or all there is to know of the one with this NUMBER.

    \b
    automl trials my_study --top 10
    automl trials my_study --state pruned --where 'learning_rate < 0.01' --sort epochs
    automl trials my_study 17
    """
    reading = read_study(study)
    if number is not None:
        if sort or reverse or states or failed or where or top:
            raise UsageError("automl trials: must be given a number or ways to choose among trials, but both were given. Leave one out.")
        _show_one(reading, number, as_yaml, as_json)
        return
    if as_yaml:
        raise UsageError("--yaml: must be given with the number of a trial, but there is none. Try `automl trials STUDY 17 --yaml`.")
    found = reading.study
    wanted = selected(found, sort=sort, reverse=reverse, states=states, failed=failed, where=where, top=top)
    if as_json:
        click.echo(json.dumps([trial_record(trial, found.spec) for trial in wanted], indent=2))
    elif not wanted:
        what = "no trial yet" if not found.trials else "no trial has failed" if failed else "no such trial"
        click.echo(f"{reading.folder.name}: {what}.")
    else:
        _print_trials(found, wanted, failed, sort)
        if failed:
            from automl.cli.status import shown_name

            whole = shlex.join(["automl", "trials", shown_name(reading), str(wanted[0].number)])
            click.echo(f"\nOne of them whole, with the end of its log:\n  {whole}")


def _show_one(reading: Reading, number: int, as_yaml: bool, as_json: bool) -> None:
    from automl.cli.trial import print_trial, whole_record
    from automl.configurations import configuration_yaml, stated

    study, last = reading.study, len(reading.study.trials) - 1
    if not 0 <= number <= last:
        there = f"trials 0 to {last}" if last >= 0 else "no trial yet"
        raise UsageError(f"{reading.folder.name}: must be given the number of a trial that it has, but {number} was given; it has {there}.")
    if as_json:
        click.echo(json.dumps(whole_record(reading, study.trials[number]), indent=2))
    elif as_yaml:
        click.echo(configuration_yaml(stated(study.spec, study.trials[number].configuration)), nl=False)
    else:
        print_trial(reading, study.trials[number])


def _print_trials(study: Study, wanted: Sequence[Trial], reasons: bool, sort: str | None) -> None:
    """A column for each parameter where the terminal has room for them, else one for all, and none on a narrow one; whole rows where
    there is no terminal. What they are sorted by is there in any case."""
    from rich.console import Console

    from automl.cli.rows import print_rows

    console = Console(highlight=False)
    key = _metric_column(study, wanted, sort)
    rows = _rows(study, wanted, key | (_reasons(wanted) if reasons else _parameter_columns(study, wanted)))
    if console.is_terminal and console.width < _NARROW:
        rows = _rows(study, wanted, key | (_reasons(wanted) if reasons else {}), is_narrow=True)
    elif console.is_terminal and not reasons and rows.width > console.width:
        rows = _rows(study, wanted, key | _parameter_words(wanted))
    print_rows(console, rows)


def _rows(study: Study, wanted: Sequence[Trial], columns: dict[str, list[str]], is_narrow: bool = False) -> Rows:
    from automl.cli.rows import Rows

    metrics = [objective.metric for objective in study.objectives]
    names = ["trial", "state", *metrics, "epochs", *(() if is_narrow else ("seconds",))]
    best = study.winner.number if study.winner is not None else None
    cells = []
    for row, trial in enumerate(wanted):
        seconds = [] if is_narrow else [f"{trial.seconds:.1f}"]
        number = f"{'*' if trial.number == best else ''}{trial.number}"
        reached = map(number_text, study.reached(trial).values())
        parameters = (values[row] for values in columns.values())
        cells.append([number, trial.state.replace("_", " "), *reached, str(trial.epochs_trained), *seconds, *parameters])
    bold = next((row for row, trial in enumerate(wanted) if trial.number == best), None)
    return Rows([*names, *columns], cells, [0, *range(2, len(names))], bold, gap=2 if is_narrow else 3)


def _metric_column(study: Study, wanted: Sequence[Trial], name: str | None) -> dict[str, list[str]]:
    """That of a metric which is no objective: what is one has its column, as has whatever else trials are sorted by."""
    if name is None or name in (objective.metric for objective in study.objectives) or not any(name in t.metrics for t in wanted):
        return {}
    return {name: [number_text(trial.metrics[name]) if name in trial.metrics else "" for trial in wanted]}


def _parameter_columns(study: Study, wanted: Sequence[Trial]) -> dict[str, list[str]]:
    """Of what differs: where a baseline has another value, also what is fixed for all others."""
    names = dict.fromkeys(name for trial in wanted for name in trial.configuration)
    whole = [study.space.whole(trial.configuration) for trial in wanted]
    return {name: [value_text(values[name]) if name in values else "" for values in whole] for name in names}


def _parameter_words(wanted: Sequence[Trial]) -> dict[str, list[str]]:
    return {"parameters": [", ".join(f"{name} {value_text(value)}" for name, value in t.configuration.items()) for t in wanted]}


def _reasons(wanted: Sequence[Trial]) -> dict[str, list[str]]:
    return {"reason": [why_text(trial) for trial in wanted]}
