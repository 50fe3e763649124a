"""``automl sync``: bring MLflow level with what a study holds."""

from __future__ import annotations

import json
import os

import click

from automl.cli.completion import studies
from automl.folders import existing_study


@click.command()
@click.argument("study", shell_complete=studies)
@click.option("--mlflow", metavar="URI", help="Tracking store or server.  [default: $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db]")
@click.option("--experiment", metavar="NAME", help="MLflow experiment.  [default: the space's name]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def sync(ctx: click.Context, /, study: str, mlflow: str | None, experiment: str | None, as_json: bool) -> None:
    """Write what MLflow lacks of STUDY, into the store it was tracked in or into another one.

    Nothing is written twice. While the study is being run, its driver does this by itself.
    """
    from automl import mirroring, tracking
    from automl.errors import UsageError

    folder = existing_study(study)
    uri = tracking.resolve_uri(mlflow, os.environ)
    if uri == tracking.OFF:
        raise UsageError("--mlflow: must be a tracking store or server, but is 'off'. Give one, such as sqlite:///mlflow.db.")
    report = mirroring.sync(folder, uri, experiment)
    if as_json:
        click.echo(json.dumps({"study": folder.name, "is_level": report.is_level, "mlflow": report.url, "problems": report.problems}))
    else:
        click.echo(f"{folder.name}: MLflow is {'level' if report.is_level else 'not level'} with the study. {report.url}")
        for problem in report.problems:
            click.echo(problem, err=True)
    if not report.is_level:
        ctx.exit(1)
