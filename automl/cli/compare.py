"""``automl compare``: strategies side by side."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl.cli.completion import several_pruners, several_strategies, spaces
from automl.cli.dataflags import data_flags
from automl.errors import UsageError

if TYPE_CHECKING:
    from automl.compare.plan import ComparePlan
    from automl.compare.report import Report

_OF_COMPARE = ("strategies", "pruners", "repeats", "epochs_budget")


@click.command()
@click.argument("names", metavar="SPACE", nargs=-1, shell_complete=spaces)
@click.option(
    "--strategies",
    metavar="S,S,...",
    shell_complete=several_strategies,
    help="Strategies; options as bayesian:n_startup=5.  [default: grid,random,bayesian]",
)
@click.option(
    "--pruners",
    metavar="P,P,...",
    shell_complete=several_pruners,
    help="Pruners, each with every strategy.  [default: the space's own]",
)
@click.option("--repeats", type=int, help="Studies of each arm, with seeds of their own.  [default: 7, or what a verdict needs]")
@click.option("--trials", type=int, help="Budget of each study: trials, the baseline included.")
@click.option("--epochs-budget", type=int, metavar="N", help="Budget of each study: epochs of all its trials together.")
@click.option("--time", metavar="10m", help="Budget of each study: seconds of training and asking.")
@data_flags
@click.option("--study", metavar="NAME", help="Name under studies/, or a folder.  [default: SPACE-compare]")
@click.option("--epochs", type=int, help="The most epochs that a trial trains.")
@click.option("--seed", type=int, help="Seed of the first repeat; the others count on from it.  [default: 0]")
@click.option("--devices", default="auto", show_default=True, metavar="D", help="auto, cpu, or GPUs such as cuda:0,cuda:1.")
@click.option("--workers", default="auto", show_default=True, metavar="N", help="Worker processes for each GPU, or in all on a CPU.")
@click.option("--lanes", default="auto", show_default=True, metavar="N", help="Trials side by side in each worker (auto: as it measures).")
@click.option(
    "--engine", type=click.Choice(["local", "inline"]), default="local", show_default=True, help="Workers in processes, or in this one."
)
@click.option(
    "--mlflow", metavar="URI", help="Tracking store or server, or off.  [default: $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db]"
)
@click.option("--experiment", metavar="NAME", help="MLflow experiment.  [default: the space's name]")
@click.option("--replay", is_flag=True, help="Compare studies that are there already: give their names, or those of comparisons.")
@click.option("--csv", "csv_file", metavar="FILE", help="Also write a table with a row for each study.")
@click.option("--dry-run", is_flag=True, help="Check files and options, say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.pass_context
def compare(
    ctx: click.Context, /, names: tuple[str, ...], replay: bool, csv_file: str | None, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Which strategy is better on SPACE, by how much, and how sure that is.

    Every strategy gets the same budget, data and start in each of several repeats; all of them train in turns. The same
    command again goes on where it stopped, with more repeats as well.
    """
    _check_csv(csv_file)
    if replay:
        _replay(ctx, names, csv_file, as_json, options)
        return
    planned = _planned(names, options)
    if dry_run:
        _print_plan(_rehearsed(planned), as_json)
        return
    from automl.cli.comparing import Comparing, print_report
    from automl.compare.concluding import compare as carry_out

    with Comparing(planned) as display:
        outcome = carry_out(planned, display.watch, display.say)
    if outcome.report is not None:
        _write_csv(outcome.report, csv_file)
        if as_json:
            more = {"why": outcome.why, "page": str(outcome.folder / "page.html"), "mlflow": outcome.tracking}
            click.echo(json.dumps({**outcome.report.as_json(), **more}, indent=2))
        else:
            print_report(outcome.report, outcome.folder / "page.html", outcome.tracking)
    if outcome.why == "interrupted":
        click.echo(f"Interrupted. Everything so far is kept; to continue:\n  {_command()}", err=True)
        ctx.exit(130)


def _planned(names: tuple[str, ...], options: dict[str, Any]) -> ComparePlan:
    from automl.compare.plan import CompareOptions, plan
    from automl.plan import RunOptions

    if len(names) > 1:
        raise UsageError(
            f"compare: must be given one search space, but has {len(names)}: {', '.join(names)}. "
            "Strategies go after --strategies, with commas between them; --replay compares studies."
        )
    wanted = CompareOptions(**{name: options[name] for name in _OF_COMPARE})
    shared = {name: value for name, value in options.items() if name not in _OF_COMPARE}
    return plan(RunOptions(space=names[0] if names else None, **shared), wanted)


def _replay(ctx: click.Context, names: tuple[str, ...], csv_file: str | None, as_json: bool, options: dict[str, Any]) -> None:
    from automl.cli.comparing import print_report
    from automl.compare.replay import replayed

    given = [name for name, value in options.items() if value and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if given:
        flag = f"--{given[0].replace('_', '-')}"
        raise UsageError(f"{flag}: must not be given with --replay, which trains nothing, but is. Leave it out.")
    report = replayed(names)
    _write_csv(report, csv_file)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        print_report(report)


def _check_csv(name: str | None) -> None:
    if name is None:
        return
    path = Path(name).expanduser()
    if path.is_dir():
        raise UsageError(f"--csv: must be a file, but {name} is a folder. Give another name.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--csv: must be in a folder that is there, but {path.parent} is not. Make it first.")


def _write_csv(report: Report, name: str | None) -> None:
    if name is not None:
        from automl.compare.report import write_csv

        write_csv(report.results, Path(name).expanduser())


def _rehearsed(planned: ComparePlan) -> ComparePlan:
    """The plan after what a comparison finds out before it trains: whether the devices are there, and the data fit."""
    from dataclasses import replace

    from automl import data
    from automl.compare.running import refuse_others
    from automl.engines.devices import place, read_machine
    from automl.plan import settle

    place(read_machine(), planned.options.devices, planned.options.workers, planned.lanes)
    refuse_others(planned)
    if not data.is_built_in(planned.spec.data.source):  # those fit, and may have to be fetched
        return replace(planned, spec=settle(planned.spec, data.inspect(planned.spec.data)))
    return planned


def _command() -> str:
    from automl.tracking import redacted

    return redacted(shlex.join(["automl", *sys.argv[1:]]))


def _print_plan(planned: ComparePlan, as_json: bool) -> None:
    members = planned.members()
    most_trials = None if planned.budget.trials is None else len(members) * planned.budget.trials
    record = {
        "comparison": str(planned.folder),
        "continues": sum(member.plan.continues for member in members),
        "space": planned.spec.source,
        "data": planned.spec.data.source,
        "objective": planned.spec.objective.metric if planned.spec.objective else None,
        "arms": [arm.name for arm in planned.arms],
        "repeats": planned.repeats,
        "seeds": list(planned.seeds),
        "budget": planned.budget.words,
        "studies": len(members),
        "trials": most_trials,
        "most_epochs": None if most_trials is None else most_trials * planned.spec.epochs * planned.spec.trainings,
        "mlflow": planned.shown_uri,
        "notes": list(planned.notes),
    }
    if as_json:
        click.echo(json.dumps(record, indent=2))
        return
    width = max(map(len, record))
    for name, value in record.items():
        words = ", ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"{name:<{width}}  {'-' if words in (None, '') else words}")
    click.echo("Nothing was started (--dry-run).")
