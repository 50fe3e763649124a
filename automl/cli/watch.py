"""``automl watch``: the screen of a study that another process runs."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl.cli.completion import studies
from automl.cli.status import print_status
from automl.cli.wrapping import print_sentence
from automl.folders import existing_study, study_folder
from automl.reading import read_study
from automl.store import Store, driver_of, is_being_driven

if TYPE_CHECKING:
    from rich.console import Console

    from automl.study import Study
    from automl.trials import Event

_EVERY_SECONDS = 0.25


@click.command()
@click.argument("study", shell_complete=studies)
def watch(study: str) -> None:
    """Watch STUDY from another terminal while it runs, to the end of the run.

    Ctrl-C ends the watching, not the study. Without a terminal: a line for every trial that ends. Of a study that nobody runs: where it
    stands.
    """
    folder = study_folder(study)
    if not is_being_driven(folder):
        existing_study(study)
        print_sentence(f"{folder.name}: nobody runs it now, so there is nothing to watch. Where it stands:", err=True)
        print_status(read_study(study))
        return
    from automl.cli.live import PatientConsole, can_show_screen

    console = PatientConsole(stderr=True, highlight=False)
    source = _Source(folder)
    with _interrupts() as is_over, contextlib.closing(source):
        if can_show_screen(console):
            _on_screen(source, console, is_over)
        else:
            _in_lines(source, console, is_over)
    if is_over.is_set():
        click.echo(f"No longer watching; {folder.name} goes on.", err=True)
    elif (folder / "study.db").is_file():
        print_status(read_study(study))


class _Source:
    """What a driver writes, read without its lock and without writing. ``study`` is None while it prepares a new one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study: Study | None = None
        self._store: Store | None = None
        self._position = 0

    def is_over(self) -> bool:
        return not is_being_driven(self.folder)

    def new_events(self) -> list[tuple[int, Event]]:
        """What has happened since the last time; ``study`` is as it was before."""
        if self._store is None:
            if not (self.folder / "study.db").is_file():
                return []
            self._store = Store.read_only(self.folder)
            self.study = self._store.empty_study()
        events = list(self._store.events(self._position))
        if events:
            self._position = events[-1][0]
        return events

    def close(self) -> None:
        if self._store is not None:
            self._store.close()


def _on_screen(source: _Source, console: Console, is_over: threading.Event) -> None:
    from automl.cli.live import Feed, LiveScreen

    feed, has_begun = Feed(source.folder.name, driver_of(source.folder) or 0), False
    with feed, LiveScreen(console, feed.take):
        while not source.is_over() and not is_over.is_set():
            events = source.new_events()
            if source.study is not None and not has_begun:
                feed.begin(source.study)
                has_begun = True
            feed.put(events)
            is_over.wait(_EVERY_SECONDS)


def _in_lines(source: _Source, console: Console, is_over: threading.Event) -> None:
    from automl.cli.display import EndLines

    lines: EndLines | None = None
    is_last = False
    while not is_last and not is_over.is_set():
        is_last = source.is_over()  # before the last look, so that nothing is missed
        events = source.new_events()
        if source.study is not None:
            source.study.apply_all(event for _, event in events)
        if source.study is not None and lines is None:
            lines = EndLines(console, source.study)
            study = source.study
            print_sentence(f"watching {source.folder.name}: {study.ended} of {study.asked} trials have ended", err=True)
        if lines is not None:
            lines.print_new()
        if not is_last:
            is_over.wait(_EVERY_SECONDS)


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Within, SIGINT and SIGTERM are noted, so that the terminal is left as it was."""
    noted = threading.Event()
    before = {number: signal.signal(number, lambda *_: noted.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
