"""Methods that are chosen by name and tuned by options: strategies and pruners. Names and options are checked before anything is loaded."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from automl.errors import UsageError, suggestion
from automl.events import Value
from automl.families import Setting


@dataclass(frozen=True, slots=True)
class Method:
    """One strategy or pruner: its name, what it does, the options that it takes and where it is (``module:name``, loaded when needed).

    ``learns``: a strategy whose suggestions depend on results, so that it should not be asked far ahead of them.
    """

    name: str
    about: str
    path: str
    settings: tuple[Setting, ...] = ()
    learns: bool = False


def find(flag: str, kinds: str, name: str, methods: Mapping[str, Method]) -> Method:
    """The method of this name. An error speaks of ``flag`` (``--strategy``) and ``kinds`` (``Strategies``, ``Pruners``)."""
    if name not in methods:
        kind = flag.lstrip("-")
        raise UsageError(f"{flag}: {name!r} is not a {kind}. {kinds}: {', '.join(methods)}.{suggestion(name, methods)}")
    return methods[name]


def complete(flag: str, method: Method, options: Mapping[str, Value]) -> dict[str, Value]:
    """Every option of the method: as given, else its default. An option whose default is null may be given as null.

    Raises UsageError for names that the method does not know and values that it cannot use.
    """
    settings = {setting.name: setting for setting in method.settings}
    for name, value in options.items():
        if not settings:
            raise UsageError(f"{flag} {method.name}: {name!r} is not an option. {method.name} takes no options: leave it out.")
        if name not in settings:
            known = ", ".join(settings)
            raise UsageError(f"{flag} {method.name}: {name!r} is not an option. Options: {known}.{suggestion(name, settings)}")
        _check(flag, method, settings[name], value)
    return {name: options.get(name, setting.default) for name, setting in settings.items()}


def load(method: Method) -> Any:
    """The class of the method, imported now."""
    module, _, name = method.path.partition(":")
    return getattr(importlib.import_module(module), name)


def _check(flag: str, method: Method, setting: Setting, value: Value) -> None:
    if setting.admits(value) or (value is None and setting.default is None):
        return
    default = "the default" if setting.default is None else f"the default ({setting.default})"
    raise UsageError(f"{flag} {method.name}: {setting.name} must be {setting.domain}, but is {value!r}. Leave it out for {default}.")
