"""``automl sync``: bring MLflow level with what a study holds."""

from __future__ import annotations

import json
import os

import click

from automl.cli.completion import studies
from automl.folders import existing_study


@click.command()
@click.argument("study", shell_complete=studies)
@click.option("--mlflow", metavar="URI", help="Tracking store or server.  [default: $MLFLOW_TRACKING_URI, else where it was tracked last]")
@click.option("--experiment", metavar="NAME", help="MLflow experiment.  [default: that of before, else the space's name]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def sync(ctx: click.Context, /, study: str, mlflow: str | None, experiment: str | None, as_json: bool) -> None:
    """Write what MLflow lacks of STUDY, into the store it was tracked in or into another one.

    Nothing is written twice. While the study is being run, its driver does this by itself.
    """
    from automl import mirroring, tracking

    folder = existing_study(study)
    uri = tracking.resolve_uri(mirroring.place_of(mirroring.read_receipt(folder), mlflow, os.environ), {})
    report = mirroring.sync(folder, uri, experiment)
    if as_json:
        click.echo(json.dumps({"study": folder.name, "is_level": report.is_level, "mlflow": report.url, "problems": report.problems}))
    else:
        click.echo(f"{folder.name}: MLflow is {'level' if report.is_level else 'not level'} with the study. {report.url}")
        for problem in report.problems:
            click.echo(problem, err=True)
    if not report.is_level:
        ctx.exit(1)
