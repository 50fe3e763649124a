"""The options of a command that say what data are read, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from automl.dataoptions import DATA_OPTIONS, DataOption

Command = Callable[..., Any]


def data_flags(command: Command) -> Command:
    """``--data``, ``--target``, ``--drop``, ``--test``, and those of ``DATA_OPTIONS`` that have a flag."""
    data = click.option("--data", help="Built-in name, file or folder to train on instead of the space's own data.")
    test = click.option("--test", metavar="FILE", help="A file with the test split.")
    return data(table_flags(test(reading_flags(command))))


def table_flags(command: Command) -> Command:
    """What is predicted, and what is left out."""
    target = click.option("--target", metavar="COLUMN", help="The column to predict.")
    drop = click.option(
        "--drop", multiple=True, metavar="NAME", help="A column, or a class of pictures or texts, to leave out (again for more)."
    )
    return target(drop(command))


def reading_flags(command: Command) -> Command:
    """How data that are no plain table are read."""
    for option in reversed(list(DATA_OPTIONS.values())):
        if option.flag:
            about = f"{option.about[0].upper()}{option.about[1:]}."
            word = None if option.choices else option.flag
            command = click.option(f"--{option.name}", type=_type(option), metavar=word, help=about)(command)
    return command


def _type(option: DataOption) -> Any:
    if option.choices:
        return click.Choice(option.choices)
    return str if option.low is None else int
