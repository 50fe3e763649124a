"""``automl page``: the study page, written anew, and its figures as pictures."""

from __future__ import annotations

from pathlib import Path

import click

from automl.cli.completion import studies


@click.command()
@click.argument("study", shell_complete=studies)
@click.option("-o", "--out", metavar="FILE", type=click.Path(path_type=Path), help="Where to.  [default: page.html in the study's folder]")
@click.option("--open", "is_opened", is_flag=True, help="Show it in the web browser.")
@click.option("--png", metavar="DIR", type=click.Path(path_type=Path), help="Write the figures there as PNG files instead.")
@click.option("--svg", metavar="DIR", type=click.Path(path_type=Path), help="Write the figures there as SVG files instead.")
def page(study: str, out: Path | None, is_opened: bool, png: Path | None, svg: Path | None) -> None:
    """Write the page of STUDY: one HTML file that needs nothing else, to look at, to print and to mail.

    Every run ends with one; this makes it anew, also while a run is at work or after it was interrupted. STUDY is a folder under
    studies/, or a path. Pictures are drawn by the Chromium or Chrome of this machine.
    """
    from automl.folders import existing_study
    from automl.page import studypage

    folder = existing_study(study)
    if png is not None or svg is not None:
        _write_pictures(folder, {"png": png, "svg": svg})
        if out is None and not is_opened:
            return
    file = studypage.write_page(folder, out)
    click.echo(str(file))
    if is_opened:
        click.launch(file.absolute().as_uri())


def _write_pictures(folder: Path, wanted: dict[str, Path | None]) -> None:
    from automl.page import pictures, studypage

    shown = studypage.figures_of(studypage.read(folder))
    if not shown:
        click.echo("There is no figure yet: no trial has begun.", err=True)
    for form, place in wanted.items():
        for file in pictures.write_pictures(shown, place, form) if place is not None and shown else []:  # type: ignore[arg-type]
            click.echo(str(file))
