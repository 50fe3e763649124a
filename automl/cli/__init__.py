"""The command line: parse, call, print. Every command lives in a module of its own that is imported when it is called."""

from __future__ import annotations

import atexit
import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import click

from automl import __version__
from automl.errors import OF_THE_DISK, AutomlError, suggestion

# name: (module that holds a click command of that name, its line in --help)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("automl.cli.run", "Search a space: train, prune, track; the same command again continues."),
    "watch": ("automl.cli.watch", "The live screen of a study that runs elsewhere."),
    "compare": ("automl.cli.compare", "Which strategy is better here, by how much, and how sure that is."),
    "stop": ("automl.cli.stop", "Stop the run of a study that runs elsewhere."),
    "status": ("automl.cli.status", "Where a study stands."),
    "trials": ("automl.cli.trials", "The table of a study's trials."),
    "best": ("automl.cli.best", "The winner of a study, and how to use it."),
    "page": ("automl.cli.page", "Write the study page: one HTML file, to look at and to mail."),
    "dashboard": ("automl.cli.dashboard", "Open MLflow's UI on a study."),
    "sync": ("automl.cli.sync", "Bring MLflow level with a study."),
    "space": ("automl.cli.space", "Check, show and make search-space files."),
    "devices": ("automl.cli.devices", "What can be trained on, and what would be used."),
}


_OF_THE_MACHINE = (*OF_THE_DISK, errno.EACCES, errno.EPERM)  # errors that are nobody's bug


class _UnreadError(Exception):
    """Whoever read our answer has gone (`automl trials x | head`)."""


@contextlib.contextmanager
def _unread() -> Iterator[None]:
    """That is no failure, as which click and rich take it."""
    try:
        yield
    except BrokenPipeError:
        raise _UnreadError from None
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise _UnreadError from None
        raise


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """As click does, help included."""
        with _unread():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does."""
        with _unread():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for, or an error with the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"{args[0]!r} is not a command. Commands: {', '.join(COMMANDS)}.{suggestion(args[0], COMMANDS)}", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            from automl.cli.mistakes import check_values

            check_values(command, rest, ctx)
        return name, command, rest


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="automl")
def automl() -> None:
    """Hyperparameter search for PyTorch: one search-space file, one command, an honest answer.

    \b
    automl run digits_mlp            search a shipped space
    automl run my_space.yaml         search your own
    automl run --data my.csv --target price
    """


def program() -> NoReturn:
    """The entry point of the ``automl`` command: ``main``, and away at once, since taking MLflow apart in memory takes seconds."""
    _open_what_is_closed()
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _open_what_is_closed() -> None:
    """Whoever closes stdin, stdout or stderr (``>&-``) wants to hear nothing. No file of ours may take their place, where others write."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            os.set_inheritable(opened, True)
            setattr(sys, name, open(opened, "r" if descriptor == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def main() -> NoReturn:
    """The ``automl`` command. Answers go to stdout, everything else to stderr.

    Exit codes: 0 done, 1 failed, 2 usage or a bad file, 130 interrupted.
    """
    from automl.cli.wrapping import help_width

    try:
        code = automl.main(prog_name="automl", standalone_mode=False, terminal_width=help_width())
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.UsageError as error:
        from automl.cli.mistakes import sentence

        _complain(sentence(error))
        code = 2
    except click.ClickException as error:
        _complain(f"Error: {error.format_message()}")
        code = error.exit_code
    except AutomlError as error:
        _complain(f"{error}")
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("Interrupted.")
        code = 130
    except _UnreadError:  # nothing is left to say, also not at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        reason = os.strerror(error.errno).lower()
        where = error.filename2 or error.filename or "automl"
        _complain(f"{where}: must be readable and writable, but {reason}. The same command goes on after that.")
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _complain(sentence: str) -> None:
    """On stderr. Where that is closed, the exit code says it."""
    with contextlib.suppress(OSError):
        click.echo(sentence, err=True)
