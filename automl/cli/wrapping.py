"""Sentences and help that fit the terminal they are read on."""

from __future__ import annotations

import shutil
import sys

import click

_HELP_FITS_FROM = 52  # columns: click wraps for no narrower terminal by itself


def print_sentence(sentence: str, err: bool = False) -> None:
    """Wrapped at words on a terminal; one line for whoever pipes it. Commands are never wrapped: they are there to be copied."""
    is_read_there = (sys.stderr if err else sys.stdout).isatty()
    click.echo(click.wrap_text(sentence, shutil.get_terminal_size().columns) if is_read_there else sentence, err=err)


def help_width() -> int | None:
    """The width for the help of commands on a narrow terminal; None where click's own choice fits."""
    columns = shutil.get_terminal_size().columns
    return max(columns - 2, 20) if columns < _HELP_FITS_FROM else None
