"""Configurations as files: what a person gives to ``run``, and what ``best`` and ``trials`` print for it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from automl import families
from automl.errors import SpaceError, UsageError, suggestion
from automl.events import Configuration, Value
from automl.space import Parameter
from automl.spec import StudySpec

LARGEST_BYTES = 10_000_000
_DEEPEST = 10
_LONGEST_SHOWN = 60


def configuration_yaml(configuration: Configuration) -> str:
    """A line for each parameter, which ``read_configurations`` reads as the same values."""
    from ruamel.yaml import YAML

    yaml, out = YAML(), io.StringIO()
    yaml.width = 1000
    yaml.dump(dict(configuration), out)
    return out.getvalue()


def stated(spec: StudySpec, configuration: Configuration) -> dict[str, Value]:
    """All that a file must say of a configuration of this space: what is fixed, and searched parameters that a baseline leaves out too."""
    given = {**spec.space.fixed, **configuration}
    defaults = families.complete(spec.family, given)
    return {**given, **{name: defaults[name] for name in _active(spec, given) if name not in given and name in defaults}}


def read_configurations(path: Path, spec: StudySpec, flag: str = "--enqueue") -> tuple[Configuration, ...]:
    """A person's own configurations: a YAML or JSON file with one configuration or a list of them. ``flag`` is what asked for them.

    Raises UsageError for what is no such file, SpaceError with a line for everything that the model or the space does not take.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = _text(path, flag)
        _refuse_bombs(text, path, flag)
        content = YAML(typ="safe", pure=True).load(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{flag}: must be a file with configurations, but {path} cannot be read ({reason}). Check the path.") from None
    except (UnicodeDecodeError, YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # ruamel answers some broken input with an error of its own inside instead of a YAML error.
        raise UsageError(f"{flag}: must be YAML or JSON in UTF-8, but {path} is not{_place(error)}. Correct the file.") from None
    return check_configurations(content, spec, flag, str(path))


def _text(path: Path, flag: str) -> str:
    with path.open("rb") as stream:
        content = stream.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise UsageError(f"{flag}: must be a file of at most 10 MB, but {path} is larger. Is this the right file?")
    return content.decode("utf-8")


def _refuse_bombs(text: str, path: Path, flag: str) -> None:
    """What grows large in memory from a small file, or is nested deeper than a configuration can be."""
    from ruamel.yaml import YAML

    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if kind == "AliasEvent" or depth > _DEEPEST:
            what = "an alias (*x)" if kind == "AliasEvent" else "too many brackets in each other"
            raise UsageError(
                f"{flag}: must hold plain values, but {path} has {what} on line {event.start_mark.line + 1}. Write the values out."
            )


def check_configurations(content: Any, spec: StudySpec, flag: str, where: str) -> tuple[Configuration, ...]:
    """The same for what a file held, or what a program gives as it is. ``where`` names it."""
    if isinstance(content, dict) and isinstance(content.get("parameters"), dict):
        content = content["parameters"]  # as in `best/config.yaml` and in what `automl best --json` prints
    entries = content if isinstance(content, list) else [content]
    if not entries or not all(isinstance(entry, dict) and entry for entry in entries):
        raise UsageError(
            f"{flag}: must hold a configuration or a list of them, but {where} holds {_kind(content)}. "
            "Write them like [{learning_rate: 0.01}, {learning_rate: 0.1}]."
        )
    problems = [
        problem for number, entry in enumerate(entries, 1) for problem in _problems(f"{where}: configuration {number}", entry, spec)
    ]
    if problems:
        raise SpaceError(problems)
    fixed = spec.space.fixed
    return tuple({name: value for name, value in entry.items() if name not in fixed or fixed[name] != value} for entry in entries)


def _problems(where: str, configuration: Mapping[str, Value], spec: StudySpec) -> Iterator[str]:
    for name, value in configuration.items():
        setting = families.find_setting(spec.family, str(name))
        known = [*spec.space.by_name, *spec.space.fixed, *families.setting_names(spec.family)]
        is_known = name in known if spec.trains_itself else families.takes(spec.family, str(name))
        if not is_known:
            yield f"{where}: {name!r} is not a parameter of {spec.model}.{suggestion(str(name), known)}"
        elif setting is not None and not setting.admits(value):
            yield f"{where}: {name} must be {setting.domain}, but is {_shown(value)}."
    missing = [name for name in _active(spec, configuration) if name not in configuration]
    if missing:
        yield f"{where}: must give every searched parameter, but lacks {', '.join(missing)}."


def _active(spec: StudySpec, configuration: Mapping[str, Value]) -> list[str]:
    """The searched parameters that are active with these values (a missing one counts as its default)."""
    defaults = families.complete(spec.family, {})

    def choose(parameter: Parameter) -> Value:
        return configuration.get(parameter.name, defaults.get(parameter.name))

    return list(spec.space.configure(choose))


def _shown(value: object) -> str:
    words = repr(value) if not isinstance(value, list | dict) else "a list" if isinstance(value, list) else "a mapping"
    return words if len(words) <= _LONGEST_SHOWN else f"{words[: _LONGEST_SHOWN - 3]}..."


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", from line {mark.line + 1} on" if mark is not None else ""


def _kind(content: object) -> str:
    if content is None or content == [] or content == {}:
        return "nothing"
    return "a list of other things" if isinstance(content, list) else "something else"
