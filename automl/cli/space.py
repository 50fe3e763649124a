"""``automl space``: check, show and make search-space files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl.cli.completion import spaces
from automl.cli.dataflags import reading_flags, table_flags
from automl.errors import UsageError, suggestion
from automl.folders import home_expanded

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from automl.events import Configuration, Value
    from automl.families import Setting
    from automl.space import Parameter, SearchSpace
    from automl.spec import StudySpec

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_UNBOUNDED = 10_000  # columns: to ask how wide a table would like to be
_MOST_SAMPLES = 10_000
_TRIES_PER_SAMPLE = 200


class _Group(click.Group):
    """A group whose list of commands has the whole first sentence of each."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands."""
        sentences = [(name, (self.commands[name].help or "").partition("\n")[0].partition(". ")[0]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, f"{sentence.rstrip('.')}.") for name, sentence in sentences])


@click.group(cls=_Group)
def space() -> None:
    """Check, show and make search-space files.

    FILE is a path, or the name of a shipped space such as digits_mlp.
    """


# -- check ------------------------------------------------------------------------------------------------------------


@space.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_AS_JSON
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Check search-space files: every mistake of every file, with its line. Exit code 2 when there is one."""
    answers = {file: _problems(file) for file in files}
    if as_json:
        records = [{"file": file, "ok": not problems, "problems": problems} for file, problems in answers.items()]
        click.echo(json.dumps(records, indent=2, ensure_ascii=False))
    else:
        for file, problems in answers.items():
            for problem in problems:
                click.echo(problem, err=True)
            if not problems:
                click.echo(f"{file}: ok")
    if any(answers.values()):
        ctx.exit(2)


def _problems(file: str) -> list[str]:
    from automl.folders import space_file
    from automl.spacefile import examine

    try:
        spec, problems = examine(space_file(file))
    except UsageError as error:
        return [str(error)]
    return [*problems, *(_method_problems(spec) if spec is not None else [])]


def _method_problems(spec: StudySpec) -> list[str]:
    """What the strategy and the pruner say to their options and to the space."""
    from automl.pruners import check_pruner
    from automl.strategies import check_strategy

    problems = []
    settings = spec.settings
    try:
        check_strategy(settings.strategy, settings.strategy_options, spec.space, len(spec.objectives))
    except UsageError as error:
        problems.append(f"{spec.source}: study: {str(error).removeprefix('--')}")
    try:
        check_pruner(settings.pruner, settings.pruner_options, spec.epochs, spec.trainings)
    except UsageError as error:
        problems.append(f"{spec.source}: study: {str(error).removeprefix('--')}")
    return problems


def _load(file: str) -> StudySpec:
    from automl.folders import space_file
    from automl.spacefile import load

    return load(space_file(file))


# -- show -------------------------------------------------------------------------------------------------------------


@space.command()
@click.argument("file", required=False, shell_complete=spaces)
@click.option("--family", metavar="FAMILY", help="Instead of a file: the parameters that a family of models takes, such as cnn.")
@_AS_JSON
def show(file: str | None, family: str | None, as_json: bool) -> None:
    """Show what a search-space file says: parameters, conditions, grid, baseline and size.

    With --family, list everything that may stand under `space` for a family of models, with its default.
    """
    if (file is None) == (family is None):
        raise UsageError("automl space show: needs either FILE or --family FAMILY. Example: automl space show digits_mlp")
    if family is not None:
        _show_family(family, as_json)
        return
    assert file is not None
    spec = _load(file)
    if as_json:
        from automl.spacefile import to_dict

        record = {key: value for key, value in to_dict(spec).items() if key != "text"}
        click.echo(json.dumps({**record, **_size_record(spec.space), "defaults": _left_out(spec)}, indent=2, ensure_ascii=False))
        return
    console = _console()
    _print(console, f"{_headline(spec)}\n", _parameter_table(console, spec), "", _facts(_spec_facts(spec)))


def _show_family(name: str, as_json: bool) -> None:
    from automl.families import FAMILIES, TRAINING

    if name not in FAMILIES:
        raise UsageError(f"--family: {name!r} is not a family. Families: {', '.join(FAMILIES)}.{suggestion(name, FAMILIES)}")
    family = FAMILIES[name]
    settings = {**family.settings, **TRAINING}
    if as_json:
        records = [
            {"name": key, "kind": setting.kind, "default": setting.default, "domain": setting.domain, "about": setting.about}
            for key, setting in settings.items()
        ]
        click.echo(json.dumps(records, indent=2, ensure_ascii=False))
        return
    console = _console()
    rows = [(key, _shown(setting.default), _domain(setting), setting.about) for key, setting in settings.items()]
    table = _fitting(console, ("parameter", "default", "takes", "meaning"), rows, section=len(family.settings))
    layers = [
        f"{base}_1, {base}_2, ... give each layer a width of its own; {base}_2 exists only where {count} >= 2."
        for base, count in family.per_layer.items()
    ]
    _print(console, f"[bold]{name}[/]: {family.about}\n", table, "", *layers)


def _domain(setting: Setting) -> str:
    """What a setting takes, as short as can be: ``0 to 64``, ``> 0``, ``>= 0, < 1``."""
    if setting.kind == "bool":
        return "true, false"
    if setting.kind == "categorical":
        return ", ".join(setting.choices)
    low = "" if setting.low is None else f"{'>' if setting.low_open else '>='} {setting.low:g}"
    high = "" if setting.high is None else f"{'<' if setting.high_open else '<='} {setting.high:g}"
    if setting.kind == "int" and setting.low is not None and setting.high is not None:
        return f"{setting.low:g} to {setting.high:g}"
    return ", ".join(bound for bound in (low, high) if bound)


def _headline(spec: StudySpec) -> str:
    aim = ", ".join(map(str, spec.objectives)) or "the task's default objective"
    counts = {"folds": spec.data.folds, "replicates": spec.replicates if spec.replicates > 1 else None}
    trainings = "".join(f", {count} {what}" for what, count in counts.items() if count)
    return f"[bold]{_plain(spec.name)}[/]: {_plain(spec.subject)}, {aim}, at most {spec.epochs} epochs{trainings}"


def _parameter_table(console: Console, spec: StudySpec) -> Table:
    parameters = spec.space.parameters
    columns = {
        "parameter": [parameter.name for parameter in parameters],
        "type": [_type_words(parameter) for parameter in parameters],
        "values": [_value_words(parameter) for parameter in parameters],
        "grid": [_grid_words(parameter) for parameter in parameters],
        "baseline": [_shown(spec.baseline.get(p.name, "")) if spec.baseline is not None else "" for p in parameters],
        "exists where": ["\n".join(map(str, parameter.when)) for parameter in parameters],
    }
    used = {title: cells for title, cells in columns.items() if any(cells)}
    return _fitting(console, tuple(used), list(zip(*used.values(), strict=True)))


def _type_words(parameter: Parameter) -> str:
    from automl.space import Categorical, Int

    if isinstance(parameter, Categorical):
        return "categorical"
    kind = "int" if isinstance(parameter, Int) else "float"
    return f"{kind}, log" if parameter.log else kind


def _value_words(parameter: Parameter) -> str:
    from automl.space import Categorical, Int

    match parameter:
        case Categorical(choices=choices):
            return ", ".join(map(_shown, choices))
        case Int(low=low, high=high, step=step) if step > 1:
            return f"{low} to {high}, step {step}"
        case _:
            return f"{_shown(parameter.low)} to {_shown(parameter.high)}"


def _grid_words(parameter: Parameter) -> str:
    if parameter.grid is not None:
        return ", ".join(map(_shown, parameter.grid))
    return "none" if math.isinf(parameter.size) else "all"


def _spec_facts(spec: StudySpec) -> list[tuple[str, str]]:
    """The lines below the table: what is fixed, ruled out, how large it is, and how it is searched."""
    from automl.shorthand import format_duration

    found, settings = spec.space, spec.settings
    data = spec.data
    source = data.source if any((data.target, data.drop, data.test, data.validation, data.positive)) else ""
    splits = {"source": source, "target": data.target, "drop": ", ".join(data.drop), "test": data.test, "validation": data.validation}
    splits |= {"positive": ", ".join(map(str, data.positive))}
    outside = {name: value for name, value in (spec.baseline or {}).items() if name not in found.by_name}
    study = [_method(settings.strategy, settings.strategy_options), f"pruner {_method(settings.pruner, settings.pruner_options)}"]
    time = [format_duration(settings.time_seconds)] if settings.time_seconds else []
    study += [f"{settings.trials} trials", *time, f"seed {settings.seed}"]
    facts = [
        ("data", _pairs({name: value for name, value in splits.items() if value not in (None, "")})),
        ("fixed", _pairs(found.fixed)),
        ("forbid", "\n".join(rule.text for rule in found.forbid)),
        ("require", "\n".join(rule.text for rule in found.require)),
        ("baseline also", _pairs(outside)),
        ("by default", _pairs(_left_out(spec))),
        ("configurations", _configurations_words(found)),
        ("grid", _grid_size_words(found)),
        ("study", ", ".join(study)),
    ]
    return [(label, text) for label, text in facts if text]


def _method(name: str, options: Configuration) -> str:
    return f"{name} ({_pairs(options)})" if options else name


def _pairs(values: Any) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())


def _left_out(spec: StudySpec) -> dict[str, Value]:
    """What the file leaves to the family and the trainer, with the values that these take."""
    family = spec.family
    named = {*spec.space.by_name, *spec.space.fixed}
    numbered = {base for base in family.per_layer if any(name.startswith(f"{base}_") for name in named)}
    settings = {name: setting for name, setting in family.known.items() if setting.kind != "any"}
    return {name: setting.default for name, setting in settings.items() if name not in named and name not in numbered}


# -- size -------------------------------------------------------------------------------------------------------------


@space.command()
@click.argument("file", shell_complete=spaces)
@_AS_JSON
def size(file: str, as_json: bool) -> None:
    """Count the configurations of a space, and the points of its grid."""
    found = _load(file).space
    if as_json:
        click.echo(json.dumps(_size_record(found)))
        return
    _print(_console(), _facts([("configurations", _configurations_words(found)), ("grid", _grid_size_words(found))]))


def _size_record(found: SearchSpace) -> dict[str, int | None]:
    """``configurations`` is null where they are infinitely many, ``grid`` where it has no points, both where nobody could count them."""
    count = found.count()
    return {"configurations": None if count is None or math.isinf(count) else int(count), "grid": found.count_grid()}


def _configurations_words(found: SearchSpace) -> str:
    continuous = [parameter.name for parameter in found.parameters if math.isinf(parameter.size)]
    if continuous:
        return f"infinitely many ({_and(continuous)} {'is' if len(continuous) == 1 else 'are'} continuous)"
    return _count_words(found.count(), found)


def _grid_size_words(found: SearchSpace) -> str:
    missing = found.without_grid()
    if missing:
        return f"none: {_and(missing)} {'has' if len(missing) == 1 else 'have'} no points (add grid: 5, or a list of values)"
    return _count_words(found.count_grid(), found)


def _count_words(count: float | None, found: SearchSpace) -> str:
    from automl.metrics import MEASURES
    from automl.space import MOST_WALKED

    if count is None:
        return f"too many to count (the rules would have to be tried on more than {MOST_WALKED:,} combinations)"
    names = {name for rule in (*found.forbid, *found.require) for name in rule.names}
    open_rules = sorted(names & set(MEASURES))
    return f"{count:,.0f}" + (f", before the rules on {_and(open_rules)}, which need the data" if open_rules else "")


def _and(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


# -- sample -----------------------------------------------------------------------------------------------------------


@space.command()
@click.argument("file", shell_complete=spaces)
@click.option("--limit", type=click.IntRange(1, _MOST_SAMPLES), default=5, show_default=True, help="How many configurations.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed gives other configurations.")
@_AS_JSON
def sample(file: str, limit: int, seed: int, as_json: bool) -> None:
    """Draw random configurations that the rules of the space allow, each different."""
    found = _load(file).space
    samples = _samples(found, limit, seed)
    if as_json:
        click.echo(json.dumps(samples, indent=2, ensure_ascii=False))
    else:
        console = _console()
        for index, block in enumerate(_blocks(found, samples, console.width)):
            _print(console, *([""] if index else []), block)
    if len(samples) < limit:
        click.echo(f"Only {len(samples)} different configurations were found in {limit * _TRIES_PER_SAMPLE:,} draws.", err=True)


def _samples(found: SearchSpace, limit: int, seed: int) -> list[Configuration]:
    distinct: dict[Any, Configuration] = {}
    for index in range(limit * _TRIES_PER_SAMPLE):
        configuration = found.sample("space sample", seed, index)
        if found.allows(configuration):
            distinct.setdefault(found.key(configuration), configuration)
        if len(distinct) == limit:
            break
    return list(distinct.values())


def _blocks(found: SearchSpace, samples: Sequence[Configuration], width: int) -> list[RenderableType]:
    """Parameters down, configurations across; as many side by side as the terminal has room for."""
    names = [parameter.name for parameter in found.parameters]
    cells = [[_shown(configuration[name]) if name in configuration else "-" for name in names] for configuration in samples]
    room = width - max(map(len, names)) - 2
    widest = max((len(cell) for column in cells for cell in column), default=1)
    side_by_side = max(1, room // (widest + 3))
    blocks: list[RenderableType] = []
    for first in range(0, len(samples), side_by_side):
        columns = cells[first : first + side_by_side]
        table = _table("parameter", *(str(first + index + 1) for index in range(len(columns))), numbers=True)
        for name, *row in zip(names, *columns, strict=True):
            table.add_row(name, *map(_plain, row))
        blocks.append(table)
    return blocks


# -- schema and new ---------------------------------------------------------------------------------------------------


@space.command()
def schema() -> None:
    """Print the JSON Schema of search-space files, for editors that complete and check them.

    \b
    automl space schema > automl.schema.json
    # and as first line of a space file, for editors with a YAML language server:
    # yaml-language-server: $schema=automl.schema.json
    """
    from automl.spaceschema import schema as make

    click.echo(json.dumps(make(), indent=2))


@space.command()
@click.argument("data", required=False)
@click.option("--optuna", metavar="M:F", help="Instead of DATA: what an Optuna objective asks for, such as my_module:objective.")
@click.option("--direction", type=click.Choice(["maximize", "minimize"]), help="Of --optuna.  [default: as its create_study says]")
@table_flags
@reading_flags
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write to this new file.")
def new(data: str | None, optuna: str | None, direction: str | None, output: Path | None, **reading: Any) -> None:
    """Write a starter file for DATA: a built-in name, a file or a folder. The task is guessed from the data."""
    from dataclasses import replace

    if output is not None and output.exists():
        raise UsageError(f"{output}: must be a new file, but is there already. Give another name, or remove it first.")
    if optuna is not None:
        _new_for_objective(optuna, direction, output, data is not None)
        return
    if data is None:
        raise UsageError("space new: must be given data or --optuna, but was given neither. Try 'automl space new iris'.")
    from automl.data import inspect
    from automl.spec import DataSpec
    from automl.starter import model_for, starter

    spec = DataSpec(data, **reading)
    info = inspect(spec)
    name = _space_name(output.stem if output else Path(data).name.partition(".")[0])
    if output is None:
        click.echo(starter(spec, info, name), nl=False)
        return
    if home_expanded(data).exists() and not home_expanded(data).is_absolute():
        spec = replace(spec, source=os.path.relpath(data, output.parent))
    _write(output, starter(spec, info, name))
    click.echo(f"{output}: {info.task} with model {model_for(info)}. To search it: automl run {output}")


def _new_for_objective(target: str, direction: str | None, output: Path | None, has_data: bool) -> None:
    from automl.objectives import found

    if has_data:
        raise UsageError("--optuna: must stand alone, since an objective reads its own data, but DATA was given. Leave it out.")
    made = found(target, direction, None, Path.cwd())
    for note in made.notes:
        click.echo(note, err=True)
    if output is None:
        click.echo(made.text, nl=False)
        return
    _write(output, made.text)
    click.echo(f"{output}: what {target} asks for. To search it: automl run {output}")


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output}: must be a file that can be written, but is not ({error.strerror}). Give another place.") from None


def _space_name(stem: str) -> str:
    import re

    return re.sub(r"[^\w.-]", "_", stem).lstrip(".-")[:100] or "space"


# -- printing ---------------------------------------------------------------------------------------------------------


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def _print(console: Console, *parts: RenderableType) -> None:
    """Print without the blanks with which tables fill their lines."""
    with console.capture() as capture:
        console.print(*parts, sep="\n")
    for line in capture.get().splitlines():
        click.echo(line.rstrip(" "), color=True)  # whether there are colours was rich's decision


def _table(*titles: str, numbers: bool = False) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for index, title in enumerate(titles):
        justify: Any = "right" if numbers and index else "left"
        table.add_column(title, justify=justify, no_wrap=index == 0, style="cyan" if index == 0 else "", overflow="fold")
    return table


def _fitting(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]], section: int | None = None) -> Table:
    """A table, with a line before row ``section``; where the terminal is narrower than its words, each row as a paragraph."""
    table = _table(*titles)
    for index, row in enumerate(rows):
        if index == section:
            table.add_section()
        table.add_row(*map(_plain, row))
    if console.measure(table, options=console.options.update(width=_UNBOUNDED)).minimum <= console.width:
        return table
    paragraphs = ("; ".join(f"{title} {cell}" for title, cell in zip(titles[1:], row[1:], strict=True) if cell) for row in rows)
    return _facts([(row[0], paragraph) for row, paragraph in zip(rows, paragraphs, strict=True)])


def _facts(facts: Sequence[tuple[str, str]]) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in facts:
        table.add_row(label, _plain(text))
    return table


def _plain(text: str) -> str:
    """Text in which rich finds no markup."""
    from rich.markup import escape

    return escape(text)


def _shown(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
