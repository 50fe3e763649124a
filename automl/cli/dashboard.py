"""``automl dashboard``: MLflow's UI, opened on a study."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

import click


@click.command()
@click.argument("study", required=False)
@click.option("--mlflow", metavar="URI", help="Tracking store or server.  [default: where the study was tracked last]")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Port on 127.0.0.1.  [default: any that is free]")
@click.option("--path-prefix", default="", metavar="/P", help="What the path of every address begins with, behind a proxy.")
@click.option("--no-open", is_flag=True, help="Open no browser, only print the link.")
def dashboard(study: str | None, mlflow: str | None, port: int | None, path_prefix: str, no_open: bool) -> None:
    """Open MLflow's UI on STUDY, in its finished view, until Ctrl-C.

    Without STUDY: on the newest one. It serves this machine alone, from the store that the study was tracked in. Where that is a
    server already, its link is printed and nothing is started.
    """
    from automl.dashboard import can_open_windows, look_up
    from automl.tracking.mirror import without_secrets
    from automl.tracking.server import check_prefix, serving

    prefix = check_prefix(path_prefix)
    shown = look_up(study, mlflow, os.environ)
    if shown.is_served:
        click.echo(shown.link(without_secrets(shown.uri)))
        return
    with _interrupted_by_signals(), contextlib.suppress(KeyboardInterrupt):
        click.echo(f"starting MLflow's server for {shown.study or 'all studies'} ...", err=True)
        with serving(shown.uri, port, prefix) as server:
            link = shown.link(server.address)
            click.echo(link)
            click.echo("Ctrl-C ends it.", err=True)
            if not no_open and can_open_windows(os.environ, sys.platform):
                import webbrowser

                webbrowser.open(link)
            server.wait()


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Within, what ends this command ends what it has started: also a closed terminal, and a scheduler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
