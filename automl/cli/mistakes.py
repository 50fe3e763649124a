"""Mistakes on the command line, in the words of all other errors: click's own sentences are rewritten."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any

import click

from automl.errors import suggestion


def sentence(error: click.UsageError) -> str:
    """What is wrong with what was typed: where, what must hold, what was given, what to do."""
    command = error.ctx.command_path if error.ctx is not None else "automl"
    see = f"`{command} --help` shows how."
    match error:
        case click.MissingParameter(param=click.Parameter() as param):
            return f"{command}: must be given {param.human_readable_name.strip('[]').upper()}, but is not. {see}"
        case click.NoSuchOption(option_name=name):
            return f"{command}: {name!r} is not an option.{suggestion(name, error.possibilities or ())} `{command} --help` lists them."
        case click.BadOptionUsage(option_name=name):
            if "does not take a value" in error.message:
                return f"{name}: must be given without a value, but has one. Leave it out."
            return f"{name}: must be followed by a value, but is not. Give one."
        case click.BadParameter(param=click.Parameter() as param):
            return _of_a_value(param, error.message, see)
    return _of_a_word(error, command, see)


def check_values(command: click.Command, words: Sequence[str], ctx: click.Context) -> None:
    """Raises where an option is followed by another one in place of its value, which click would take for the value."""
    options = {name: param for param in command.params if isinstance(param, click.Option) for name in param.opts}
    for name, value in pairwise(takewhile(lambda word: word != "--", words)):
        if name in options and not options[name].is_flag and value in options:
            raise click.BadOptionUsage(name, "must have a value", ctx)


def _of_a_value(param: click.Parameter, message: str, see: str) -> str:
    flag = max(param.opts, key=len)
    folder = re.fullmatch(r"\w+ (.+) is a directory\.", message)
    if folder:
        return f"{flag}: must be a file, but {folder[1]} is a folder. Give another name."
    value = re.match(r"('.*'|\S+) is not ", message, re.DOTALL)
    rule = _rule(param.type)
    return f"{flag}: must be {rule}, but is {value[1]}. {see}" if value and rule else f"{flag}: {message} {see}"


def _rule(kind: click.ParamType[Any]) -> str:
    match kind:
        case click.IntRange(min=low, max=None):
            return f"a whole number of at least {low}"
        case click.IntRange(min=low, max=high):
            return f"a whole number from {low} to {high}"
        case click.Choice(choices=choices):
            return f"one of {', '.join(map(str, choices))}"
    return "a whole number" if kind is click.INT else ""


def _of_a_word(error: click.UsageError, command: str, see: str) -> str:
    unknown = re.match(r"No such command '(.*?)'\.", error.message)
    if unknown and error.ctx is not None and isinstance(error.ctx.command, click.Group):
        names = error.ctx.command.list_commands(error.ctx)
        return f"{command}: {unknown[1]!r} is not a command. Commands: {', '.join(names)}.{suggestion(unknown[1], names)}"
    more = re.fullmatch(r"Got unexpected extra arguments? \((.*)\)", error.message, re.DOTALL)
    if more:
        return f"{command}: must be given no further arguments, but has {more[1]!r}. Put quotes around names with blanks. {see}"
    return f"{command}: {error.message}"
