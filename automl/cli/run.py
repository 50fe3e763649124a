"""``automl run``: search a space."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from automl.cli.completion import pruners, spaces, strategies
from automl.cli.dataflags import data_flags
from automl.errors import StudyError
from automl.folders import STUDIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automl.datareport import DataReport
    from automl.driver import Follower
    from automl.events import Slot
    from automl.launch import Outcome
    from automl.plan import Plan
    from automl.study import Study


@click.command()
@click.argument("space", required=False, shell_complete=spaces)
@click.option("--optuna", metavar="M:F", help="Instead of SPACE: an Optuna objective, such as my_module:objective.")
@click.option("--direction", type=click.Choice(["maximize", "minimize"]), help="Of --optuna.  [default: as its create_study says]")
@data_flags
@click.option("--study", metavar="NAME", help="Name under studies/, or a folder.  [default: SPACE-STRATEGY]")
@click.option(
    "--strategy",
    metavar="S",
    shell_complete=strategies,
    help="grid, random, sobol, bayesian, gp, cmaes or evolution; options as bayesian:n_startup=10.",
)
@click.option(
    "--pruner",
    metavar="P",
    shell_complete=pruners,
    help="none, median, percentile, asha, hyperband, patient or wilcoxon; options as asha:min_epochs=2.",
)
@click.option("--trials", type=int, help="Total of trials for the study, the baseline included.")
@click.option("--time", metavar="30m", help="Total of time for the study: 90s, 30m, 2h.")
@click.option("--trial-time", metavar="5m", help="The most time that one training of a trial may take.")
@click.option("--epochs", type=int, help="The most epochs that a trial trains.")
@click.option("--folds", type=int, metavar="N", help="Cross-validation: train each trial on N folds of the data.")
@click.option("--replicates", type=int, metavar="N", help="Train each trial N times, with other draws each time.")
@click.option("--confirm", metavar="K", help="Train the K best again on fresh seeds (0: none).  [default: what 15 % of the budget allows]")
@click.option("--seed", type=int, help="Seed of the study.  [default: 0]")
@click.option("--split-seed", type=int, metavar="N", help="Seed of the splits of the data: other rows are for test.  [default: 0]")
@click.option("--devices", default="auto", show_default=True, metavar="D", help="auto, cpu, or GPUs such as cuda:0,cuda:1.")
@click.option("--workers", default="auto", show_default=True, metavar="N", help="Worker processes for each GPU, or in all on a CPU.")
@click.option("--lanes", default="auto", show_default=True, metavar="N", help="Trials side by side in each worker (auto: as it measures).")
@click.option(
    "--engine", type=click.Choice(["local", "inline"]), default="local", show_default=True, help="Workers in processes, or in this one."
)
@click.option("--enqueue", metavar="FILE", help="Your own configurations to train first (YAML or JSON).")
@click.option("--config", metavar="FILE", help="Train this one configuration and nothing else, such as `automl best` prints.")
@click.option(
    "--mlflow", metavar="URI", help="Tracking store or server, or off.  [default: $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db]"
)
@click.option("--experiment", metavar="NAME", help="MLflow experiment.  [default: the space's name]")
@click.option("--detach", is_flag=True, help="Run in the background, whatever becomes of this terminal; returns once the study has begun.")
@click.option("--dry-run", is_flag=True, help="Check files and options, say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.pass_context
def run(ctx: click.Context, /, detach: bool, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Search SPACE: a search-space file, or the name of a shipped one.

    Without SPACE, --data picks a shipped space for that kind of data, and --optuna searches what an Optuna objective asks
    for. The same command again continues the study to the same total.
    """
    from automl.plan import RunOptions, plan

    if options["data"] and options["space"] is None:
        click.echo(f"reading {options['data']} to choose a space ...", err=True)
    if options["optuna"]:
        click.echo(f"calling {options['optuna']} to see what it asks for ...", err=True)
    planned = plan(RunOptions(**options))
    if dry_run:
        rehearsed, report = _rehearsed(planned)
        _print_plan(rehearsed, report, as_json)
        return
    if detach:
        _detach(ctx, planned, as_json)
        return
    try:
        outcome = _launched(planned)
    except KeyboardInterrupt:
        _say_how_to_continue()
        ctx.exit(130)
    if as_json:
        from automl.cli.outcome import outcome_record

        click.echo(json.dumps(outcome_record(outcome), indent=2))
    else:
        from automl.cli.outcome import print_outcome

        print_outcome(outcome)
    if outcome.why == "interrupted":
        _say_how_to_continue()
        ctx.exit(130)
    if outcome.study.best is None:
        ctx.exit(1)


def _launched(planned: Plan) -> Outcome:
    from automl.cli.background import in_background
    from automl.cli.display import Display
    from automl.launch import run as launch

    with in_background() as tell_begun, Display(planned) as display:

        def watch(study: Study, slots: Sequence[Slot]) -> Follower:
            tell_begun()
            return display.watch(study, slots)

        return launch(planned, watch, display.say)


def _detach(ctx: click.Context, planned: Plan, as_json: bool) -> None:
    from automl.cli.background import start
    from automl.store import driver_of, is_being_driven

    folder = planned.folder
    if is_being_driven(folder):
        process = driver_of(folder) or "?"
        raise StudyError(f"{folder}: another automl (process {process}) is at work on this study. `automl watch` shows it.")
    run = start(folder, [argument for argument in sys.argv[1:] if argument != "--detach"])
    if run.exit_code is not None:
        click.echo(run.said, err=run.exit_code != 0, nl=False)
        ctx.exit(run.exit_code)
    if as_json:
        click.echo(json.dumps({"study": folder.name, "folder": str(folder), "process": run.process, "log": str(run.log)}, indent=2))
        return
    name = folder.name if folder.parent == STUDIES else str(folder)
    click.echo(f"{folder} runs in the background (process {run.process}); what it says is in {run.log}.")
    click.echo(f"Watch it:  {shlex.join(['automl', 'watch', name])}")
    click.echo(f"Stop it:   {shlex.join(['automl', 'stop', name])}")
    click.echo(f"Continue:  {_command()}")


def _say_how_to_continue() -> None:
    click.echo(f"Interrupted. Everything so far is kept; to continue:\n  {_command()}", err=True)


def _rehearsed(planned: Plan) -> tuple[Plan, DataReport | None]:
    """The plan after what a run finds out before it trains: whether the devices are there, and the data fit; and what is known of these."""
    from automl import data
    from automl.datareport import read_report, report_of
    from automl.engines.devices import place, read_machine
    from automl.plan import settle

    place(read_machine(), planned.options.devices, planned.options.workers, planned.lanes)
    if planned.continues:
        from automl.launch import refuse_another

        refuse_another(planned, data.fingerprint(planned.spec.data))
    elif not data.is_built_in(planned.spec.data.source):  # those fit, and may have to be fetched
        info = data.inspect(planned.spec.data)
        return replace(planned, spec=settle(planned.spec, info)), report_of(asdict(info)) if info.sizes else None
    return planned, read_report(planned.folder)


def _command() -> str:
    from automl.tracking import redacted

    return redacted(shlex.join(["automl", *sys.argv[1:]]))  # what is on the terminal is in somebody's log


def _print_plan(planned: Plan, report: DataReport | None, as_json: bool) -> None:
    spec, settings = planned.spec, planned.spec.settings
    record = {
        "study": str(planned.folder),
        "continues": planned.continues,
        "space": spec.source,
        "data": spec.data.source,
        "model": spec.model,
        "objective": spec.objective.metric if spec.objective else None,
        **({"further_objectives": [each.metric for each in spec.further]} if spec.further else {}),
        "epochs": spec.epochs,
        "folds": spec.data.folds,
        "replicates": spec.replicates,
        "strategy": settings.strategy,
        "pruner": settings.pruner,
        "trials": settings.trials,
        "time_seconds": settings.time_seconds,
        "trial_seconds": settings.trial_seconds,
        "seed": settings.seed,
        "enqueued": len(planned.enqueued),
        "mlflow": planned.shown_uri,
    }
    if as_json:
        about = {} if report is None else {"data_report": asdict(report)}
        click.echo(json.dumps(record | about, indent=2))
        return
    width = max(map(len, record))
    for name, value in record.items():
        text = ", ".join(value) if isinstance(value, list) else "-" if value is None else value
        click.echo(f"{name:<{width}}  {text}")
    from automl.cli.wrapping import print_sentence
    from automl.summary import grid_text

    for line in report.lines if report is not None else ():
        print_sentence(line)

    grid = grid_text(spec, settings.trials)
    if grid:
        print_sentence(grid)
    click.echo("Nothing was started (--dry-run).")
