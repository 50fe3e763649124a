"""``automl sync``: bring MLflow level with what a study holds."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from automl.cli.completion import studies
from automl.folders import existing_study


@click.command()
@click.argument("study", shell_complete=studies)
@click.option("--mlflow", metavar="URI", help="Tracking store or server.  [default: $MLFLOW_TRACKING_URI, else where it was tracked last]")
@click.option("--experiment", metavar="NAME", help="MLflow experiment.  [default: that of before, else the space's name]")
@click.option("--check", "only_check", is_flag=True, help="Only say whether MLflow is level, and what it lacks.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def sync(ctx: click.Context, /, study: str, mlflow: str | None, experiment: str | None, only_check: bool, as_json: bool) -> None:
    """Write what MLflow lacks of STUDY, into the store it was tracked in or into another one.

    Nothing is written twice. While the study is being run, its driver does this by itself. With --check nothing is written, and the exit
    code is 0 where MLflow is level, 1 where it is not, and 2 where it does not answer.
    """
    from automl import mirroring, tracking

    folder = existing_study(study)
    uri = tracking.resolve_uri(mirroring.place_of(mirroring.read_receipt(folder), mlflow, os.environ), {})
    if only_check:
        _check(ctx, folder, uri, experiment, as_json)
        return
    report = mirroring.sync(folder, uri, experiment)
    if as_json:
        click.echo(json.dumps({"study": folder.name, "is_level": report.is_level, "mlflow": report.url, "problems": report.problems}))
    else:
        click.echo(f"{folder.name}: MLflow is {'level' if report.is_level else 'not level'} with the study. {report.url}")
        for problem in report.problems:
            click.echo(problem, err=True)
    if not report.is_level:
        ctx.exit(1)


def _check(ctx: click.Context, folder: Path, uri: str, experiment: str | None, as_json: bool) -> None:
    from automl import mirroring, tracking

    level = mirroring.check(folder, uri, experiment)
    if as_json:
        missing = {name: value for name, value in asdict(level).items() if name not in ("trials", "has_study")}
        record = {"study": folder.name, "is_level": level.is_level, "mlflow": tracking.redacted(uri), "has_study": level.has_study}
        click.echo(json.dumps({**record, "missing": missing}))
    elif level.is_level:
        click.echo(f"{folder.name}: MLflow ({tracking.redacted(uri)}) is level with the study, with all of its {level.trials} trials.")
    else:
        click.echo(f"{folder.name}: MLflow ({tracking.redacted(uri)}) is not level with the study: {level.words}.")
        again = f"`{mirroring.sync_command(folder, uri, experiment)}` brings it level."
        deleted = level.deleted_experiment
        click.echo(again if deleted is None else f"Restore it with `{tracking.restore_command(uri, deleted)}`; then {again}")
    if not level.is_level:
        ctx.exit(1)
