"""Code of a person's own: what it is called, where it lies, and what can be known of it before anything trains.

Modules are imported in a process of their own (``python -m automl.owncode``), so that whatever they do at their import happens neither to
the driver nor twice, and a study without such code pays nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from automl.errors import UsageError, suggestion

# what names each kind of code in a space file
KEYS = {"factory": "model", "function": "train", "command": "command", "objective": "optuna"}
SHAPES = ("input_shape", "outputs", "vocabulary")  # what a factory is told of the data where it names them
PROVIDED = ("seed", "device", "epochs", "folder", "trial", "data")  # what a command is told of its trial where it names them
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SECONDS = 300.0  # for an import


@dataclass(frozen=True, slots=True)
class Known:
    """What an import has shown of a function or class: the names that it ``takes`` (None: any), those that it ``needs``, and its file."""

    takes: tuple[str, ...] | None
    needs: tuple[str, ...]
    positional: int
    file: str


class CodeError(UsageError):
    """Code that is not there, or that cannot be called as it must be. The message says what must hold of ``module:name``."""


# -- modules ----------------------------------------------------------------------------------------------------------


def looked_at(target: str, folders: Sequence[str]) -> Known:
    """Import ``module:name`` in a process of its own. Raises CodeError where it is not there or cannot be called."""
    request = json.dumps({"target": target, "folders": list(folders)})
    command = [sys.executable, "-m", "automl.owncode"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
    try:
        answer = subprocess.run(
            command, input=request, capture_output=True, text=True, check=False, timeout=_SECONDS, env=environment, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise CodeError(
            f"{target!r} must be importable, but its import took more than {_SECONDS:g} s. Train inside the function."
        ) from None
    try:
        found = json.loads(answer.stdout.rpartition("\n")[2])
    except ValueError:
        words = answer.stderr.strip().splitlines()[-1:] or [f"exit code {answer.returncode}"]
        raise CodeError(f"{target!r} must be importable, but its import ended the process ({words[0]}).") from None
    if "problem" in found:
        raise CodeError(found["problem"])
    takes = None if found["takes"] is None else tuple(found["takes"])
    return Known(takes, tuple(found["needs"]), found["positional"], found["file"])


def imported(target: str, folders: Sequence[str]) -> Callable[..., Any]:
    """The function or class called ``module:name``, with its module's folder on the path from now on.

    Raises CodeError where it is not there or cannot be called.
    """
    for folder in reversed(folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    module_name, _, name = target.partition(":")
    module = _module(module_name, folders)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [each for each in dir(found) if callable(getattr(found, each, None)) and not each.startswith("_")]
            raise CodeError(f"{module_name!r} must have {part!r}, but has not.{suggestion(part, known)}")
        found = getattr(found, part)
    if not callable(found):
        raise CodeError(f"{target!r} must be a function or class, but is {_article(type(found).__name__)}.")
    if inspect.isgeneratorfunction(found) or inspect.iscoroutinefunction(found):
        kind, word = ("a generator", "yield") if inspect.isgeneratorfunction(found) else ("a coroutine", "async")
        raise CodeError(f"{target!r} must do its work when it is called, but is {kind}. Take {word!r} out of it.")
    function: Callable[..., Any] = found
    return function


def _module(name: str, folders: Sequence[str]) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            near = suggestion(name, _modules(folders, name))
            raise CodeError(f"there must be a module {name!r}, but none is in {' or '.join(folders)}.{near}") from None
        raise CodeError(f"module {name!r} must be importable, but {_raised(error, folders)}") from None
    except BaseException as error:  # a module may do anything, sys.exit included
        raise CodeError(f"module {name!r} must be importable, but {_raised(error, folders)}") from None


def _modules(folders: Sequence[str], like: str) -> Iterator[str]:
    """Modules of these folders, as deep as the name that was given."""
    *packages, _ = like.split(".")
    for folder in folders:
        for path in sorted(Path(folder, *packages).glob("*")):
            if path.suffix == ".py" or (path / "__init__.py").is_file():
                yield ".".join([*packages, path.stem])


def _raised(error: BaseException, folders: Sequence[str]) -> str:
    """``raises ValueError: no such thing (net.py:12).``"""
    text = (str(error) or "no message").splitlines()[0]
    if isinstance(error, SyntaxError):
        return f"has a mistake: {error.msg} ({shortest(error.filename or '?', folders)}:{error.lineno})."
    place = place_of(error, folders)
    return f"raises {type(error).__name__}: {text}{f' ({place})' if place else ''}."


def place_of(error: BaseException, folders: Sequence[str]) -> str:
    """The innermost line of the person's own files that an error came through: ``net.py:12``; empty where it came through none."""
    roots = [os.path.realpath(folder) + os.sep for folder in folders]
    lines = traceback.extract_tb(error.__traceback__)
    own = [line for line in lines if _is_own(os.path.realpath(line.filename), roots)]
    return f"{shortest(own[-1].filename, folders)}:{own[-1].lineno}" if own else ""


def defined_at(target: str, folders: Sequence[str]) -> str:
    """Where ``module:name`` is written: ``net.py:12``; empty where that cannot be told."""
    try:
        function = inspect.unwrap(imported(target, folders))
        return f"{shortest(inspect.getsourcefile(function) or '', folders)}:{inspect.getsourcelines(function)[1]}"
    except (CodeError, OSError, TypeError):
        return ""


def place_in_dump(dump: str, folders: Sequence[str]) -> str:
    """The same of a dump of all threads by ``faulthandler``, in which the innermost line comes first."""
    roots = [os.path.realpath(folder) + os.sep for folder in folders]
    for file, line in re.findall(r'File "([^"]+)", line (\d+)', dump):
        if _is_own(os.path.realpath(file), roots):
            return f"{shortest(file, folders)}:{line}"
    return ""


def _is_own(file: str, roots: Sequence[str]) -> bool:
    package = os.path.realpath(Path(__file__).parent) + os.sep
    return file.startswith(tuple(roots)) and "site-packages" not in file and not file.startswith(package)


def shortest(file: str, folders: Sequence[str]) -> str:
    """A path relative to the first of these folders that it lies in."""
    real = os.path.realpath(file)
    for folder in folders:
        root = os.path.realpath(folder) + os.sep
        if real.startswith(root):
            return real[len(root) :]
    return file


def described(function: Callable[..., Any]) -> Known:
    """What a function or class can be called with."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some of those written in C do not say
        return Known(None, (), 1, "")
    named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    is_open = any(each.kind is each.VAR_KEYWORD for each in parameters)
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    many = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    without_default = [each for each in parameters if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, *_NAMED)]
    takes_one = (many or bool(positional)) and len(without_default) <= 1 and all(each in positional for each in without_default)
    return Known(
        takes=None if is_open else tuple(each.name for each in named),
        needs=tuple(each.name for each in without_default),
        positional=1 if takes_one else 0,
        file=_file_of(function),
    )


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _file_of(function: Callable[..., Any]) -> str:
    module = sys.modules.get(getattr(function, "__module__", "") or "")
    return getattr(module, "__file__", None) or ""


def digest(files: Sequence[str]) -> str:
    """A hash of what these files hold; of those that are there."""
    total = hashlib.sha256()
    for file in files:
        if file and (path := Path(file)).is_file():
            total.update(path.read_bytes())
    return total.hexdigest()


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


# -- commands ---------------------------------------------------------------------------------------------------------


def words_of(command: str) -> list[str]:
    """A command as a shell would split it; nothing else of it is the shell's. Raises CodeError where a quote is not closed."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CodeError(f"must be a command as a shell splits it, but is not ({str(error).lower()}).") from None
    if not words:
        raise CodeError("must be a command, but is empty.")
    return words


def places(text: str) -> list[str]:
    """The names in braces, each once. ``{{`` and ``}}`` stand for braces. Raises CodeError where one is not closed."""
    names: dict[str, None] = {}
    for match in _PLACE.finditer(text):
        if match[0] in ("{", "}"):
            alone = match[0]
            raise CodeError(f"must have names in braces such as {{learning_rate}}, but a {alone!r} stands alone. Double it: {alone * 2}.")
        if match[0] not in ("{{", "}}"):
            names.setdefault(match[1].strip())
    return list(names)


def filled(text: str, values: Mapping[str, object]) -> str:
    """The text with values in place of names; a name without one stays empty."""

    def value(match: re.Match[str]) -> str:
        return match[0][0] if match[0] in ("{{", "}}") else _written(values.get(match[1].strip()))

    return _PLACE.sub(value, text)


def command_line(command: str, values: Mapping[str, object]) -> list[str]:
    """The words of a command with values in place of names.

    A word that speaks of a parameter without a value (one that does not exist with these others) is left out, and with it the option
    before it: of ``--momentum {momentum}`` nothing stays.
    """
    line: list[str] = []
    for word in words_of(command):
        if all(values.get(name) is not None for name in places(word)):
            line.append(filled(word, values))
        elif line and line[-1].startswith("-") and not word.startswith("-"):
            line.pop()
    return line


def _written(value: object) -> str:
    """As most programs read it: true and false in small letters, nothing for nothing."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def files_of(words: Sequence[str], folder: str) -> list[str]:
    """The words that are files, seen from the folder."""
    return [str(path) for word in words if "{" not in word and (path := Path(folder, word)).is_file()]


# -- the process of its own -------------------------------------------------------------------------------------------


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return asdict(described(imported(request["target"], request["folders"])))
    except CodeError as error:
        return {"problem": str(error)}


def answer_a_request(answered: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Answer one request on stdin with one line on stdout, and end. Whatever the module prints goes to stderr."""
    out = os.dup(1)
    os.dup2(2, 1)
    answer = answered(json.loads(sys.stdin.read()))
    sys.stdout.flush()
    os.write(out, f"\n{json.dumps(answer)}".encode())
    os._exit(0)  # whatever threads the module has started


if __name__ == "__main__":
    answer_a_request(_answer)
