"""A specification as plain data, as YAML, as a hash, and what differs between two of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from automl import families
from automl.dataoptions import DATA_OPTIONS
from automl.events import Checkpoint, Code, Configuration, Value
from automl.expressions import Expression
from automl.owncode import KEYS
from automl.shorthand import format_duration
from automl.space import Categorical, Condition, Float, Int, Parameter, SearchSpace
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.yamlfile import written

# -- plain data -------------------------------------------------------------------------------------------------------


def to_dict(spec: StudySpec) -> dict[str, Any]:
    """The specification as JSON-able data; ``from_dict`` gives the same specification back."""
    return {
        "name": spec.name,
        "data": _data_record(spec.data),
        "model": spec.model,
        "objective": None if spec.objective is None else asdict(spec.objective),
        "epochs": spec.epochs,
        "space": _space_record(spec.space),
        "baseline": None if spec.baseline is None else dict(spec.baseline),
        "settings": asdict(spec.settings),
        "source": spec.source,
        "text": spec.text,
        **({"replicates": spec.replicates} if spec.replicates != 1 else {}),
        **({"further": [asdict(objective) for objective in spec.further]} if spec.further else {}),
        **({"code": _code_record(spec.code)} if spec.code is not None else {}),
        **({"checkpoint": checkpoint_record(spec.checkpoint)} if spec.checkpoint is not None else {}),
    }


def from_dict(record: Mapping[str, Any]) -> StudySpec:
    """The specification of such data."""
    data, space, objective = record["data"], record["space"], record["objective"]
    return StudySpec(
        name=record["name"],
        data=DataSpec(**{**data, "drop": tuple(data["drop"]), "positive": tuple(data["positive"])}),
        model=record["model"],
        objective=None if objective is None else Objective(**objective),
        epochs=record["epochs"],
        space=SearchSpace(
            tuple(_parameter(entry) for entry in space["parameters"]),
            dict(space["fixed"]),
            tuple(Expression.parse(text) for text in space["forbid"]),
            tuple(Expression.parse(text) for text in space["require"]),
        ),
        baseline=record["baseline"],
        settings=StudySettings(**record["settings"]),
        source=record["source"],
        text=record["text"],
        replicates=record.get("replicates", 1),
        further=tuple(Objective(**entry) for entry in record.get("further", ())),
        code=_code(record["code"]) if "code" in record else None,
        checkpoint=checkpoint_of(record["checkpoint"]) if "checkpoint" in record else None,
    )


def _data_record(data: DataSpec) -> dict[str, Any]:
    record = {**asdict(data), "drop": list(data.drop), "positive": list(data.positive)}
    unused = [name for name in ("folds", *DATA_OPTIONS) if record[name] is None]  # left out, so that studies without them keep their hash
    return {name: value for name, value in record.items() if name not in unused}


def _code_record(code: Code) -> dict[str, Any]:
    record = asdict(code)
    return {**record, "folders": list(code.folders), "takes": None if code.takes is None else list(code.takes), "needs": list(code.needs)}


def _code(record: Mapping[str, Any]) -> Code:
    takes = None if record["takes"] is None else tuple(record["takes"])
    return Code(**{**record, "folders": tuple(record["folders"]), "takes": takes, "needs": tuple(record["needs"])})


def checkpoint_record(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint as JSON-able data; ``checkpoint_of`` gives the same one back."""
    record = asdict(checkpoint)
    return {**record, "shape": list(checkpoint.shape), "folders": list(checkpoint.folders)}


def checkpoint_of(record: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint of such data."""
    return Checkpoint(**{**record, "shape": tuple(record["shape"]), "folders": tuple(record["folders"])})


def _space_record(space: SearchSpace) -> dict[str, Any]:
    return {
        "parameters": [_parameter_record(parameter) for parameter in space.parameters],
        "fixed": dict(space.fixed),
        "forbid": [rule.text for rule in space.forbid],
        "require": [rule.text for rule in space.require],
    }


def _parameter_record(parameter: Parameter) -> dict[str, Any]:
    record: dict[str, Any] = {"name": parameter.name}
    match parameter:
        case Float():
            record |= {"type": "float", "low": parameter.low, "high": parameter.high, "log": parameter.log}
        case Int():
            record |= {"type": "int", "low": parameter.low, "high": parameter.high, "log": parameter.log, "step": parameter.step}
        case Categorical():
            record |= {"type": "categorical", "choices": list(parameter.choices)}
    grid = None if parameter.grid is None else list(parameter.grid)
    return {**record, "grid": grid, "when": [[test.parent, test.operator, list(test.values)] for test in parameter.when]}


def _parameter(record: Mapping[str, Any]) -> Parameter:
    """Raises ValueError for what no reader of ours would have let through."""
    parameter = _unchecked_parameter(record)
    if not (isinstance(parameter.name, str) and _is_sound(parameter)):
        raise ValueError(f"no such parameter can be: {record}")
    return parameter


def _is_sound(parameter: Parameter) -> bool:
    if isinstance(parameter, Categorical):
        return bool(parameter.choices) and all(isinstance(choice, Value) for choice in parameter.choices)
    kinds = int if isinstance(parameter, Int) else (int, float)
    values = (parameter.low, parameter.high, *(parameter.grid or ()), getattr(parameter, "step", 1))
    if not all(isinstance(value, kinds) and not isinstance(value, bool) and abs(value) < math.inf for value in values):
        return False
    return parameter.low <= parameter.high and (not parameter.log or parameter.low > 0) and values[-1] >= 1


def _unchecked_parameter(record: Mapping[str, Any]) -> Parameter:
    when = tuple(Condition(parent, operator, tuple(values)) for parent, operator, values in record["when"])
    grid = None if record["grid"] is None else tuple(record["grid"])
    name = record["name"]
    match record["type"]:
        case "float":
            return Float(name, record["low"], record["high"], record["log"], grid, when)
        case "int":
            return Int(name, record["low"], record["high"], record["log"], record["step"], grid, when)
        case _:
            return Categorical(name, tuple(record["choices"]), grid, when)


# -- hash and difference ----------------------------------------------------------------------------------------------


def sha256(spec: StudySpec) -> str:
    """A hash of everything that changes what a configuration's training and objective are: data, model, objective, epochs, space, baseline.

    Two specifications that differ in their name, strategy, pruner, budget or seed have the same one, so that strategies can be compared.
    """
    record = to_dict(spec)
    sections = ("data", "model", "objective", "further", "epochs", "space", "baseline", "replicates")
    kept: dict[str, Any] = {key: record[key] for key in sections if key in record}
    if spec.code is not None:
        kept["code"] = dict(_code_meaning(spec.code))
    if spec.checkpoint is not None:
        kept["checkpoint"] = dict(_checkpoint_meaning(spec.checkpoint))
    return hashlib.sha256(json.dumps(kept, sort_keys=True, ensure_ascii=False, allow_nan=True).encode()).hexdigest()


_PLACES_OF_DATA = ("data.source", "data.test")


def difference(a: StudySpec, b: StudySpec, *, has_same_data: bool = False) -> list[str]:
    """What differs between a study's specification ``a`` and a new one ``b``, line by line: ``learning_rate.high was 0.1, now 1.0``.

    Everything counts that a study cannot change on the way. Its name and source and the limits of trials and time do not, nor where
    its data lie, if they are known to have the same content.
    """
    before, after = dict(_flat(a)), dict(_flat(b))
    lines = []
    for key in dict.fromkeys([*before, *after]):
        was, now = before.get(key), after.get(key)
        if has_same_data and key in _PLACES_OF_DATA:
            continue
        if was is None:
            lines.append(f"{key} was not there, now {now}")
        elif now is None:
            lines.append(f"{key} was {was}, now is not there")
        elif was != now:
            lines.append(f"{key} was {was}, now {now}")
    return lines


def _flat(spec: StudySpec) -> Iterator[tuple[str, str]]:
    record = to_dict(spec)
    for key in ("model", "epochs"):
        yield key, str(record[key])
    if spec.code is not None:
        yield from _code_meaning(spec.code)
    if spec.checkpoint is not None:
        yield from _checkpoint_meaning(spec.checkpoint)
    yield "replicates", str(spec.replicates)
    if spec.objective is not None:
        yield "objective", ", ".join(map(str, spec.objectives))
    yield from _entries("data.", {"validation.folds" if key == "folds" else key: value for key, value in record["data"].items()})
    for parameter in spec.space.parameters:
        yield from _parameter_lines(parameter)
    for name, value in spec.space.fixed.items():
        yield name, f"fixed to {_words(value)}"
    for label, rules in (("forbid", spec.space.forbid), ("require", spec.space.require)):
        if rules:
            yield label, "; ".join(rule.text for rule in rules)
    if spec.baseline is not None:
        yield "baseline", "a baseline"
        yield from _entries("baseline.", spec.baseline)
    settings = spec.settings
    yield "strategy", _choice_words(settings.strategy, settings.strategy_options)
    yield "pruner", _choice_words(settings.pruner, settings.pruner_options)
    yield "seed", str(settings.seed)


def _code_meaning(code: Code) -> Iterator[tuple[str, str]]:
    """What of own code changes what its trials mean. Its folder may have moved; that its files were edited is said elsewhere."""
    yield "kind of model", code.kind
    for key, value in (("metrics.pattern", code.pattern), ("metrics.file", code.file)):
        if value:
            yield key, value


def _checkpoint_meaning(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    """What of a checkpoint changes what its trials mean; its file may have moved."""
    yield "checkpoint.model", checkpoint.model
    yield "checkpoint.weights", checkpoint.digest[:12]
    yield from _entries("checkpoint.parameters.", checkpoint.parameters)


def _parameter_lines(parameter: Parameter) -> Iterator[tuple[str, str]]:
    record = _parameter_record(parameter)
    name = record.pop("name")
    yield name, "searched"
    for key, value in record.items():
        if key == "when":
            value = " and ".join(map(str, parameter.when)) or None
        if value is not None:
            yield f"{name}.{key}", _words(value)


def _entries(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((f"{prefix}{key}", _words(value)) for key, value in values.items() if value is not None and value not in ([], ()))


def _choice_words(name: str, options: Configuration) -> str:
    shown = ", ".join(f"{key}={_words(value)}" for key, value in sorted(options.items()))
    return f"{name} ({shown})" if shown else name


def _words(value: Value | Sequence[Value]) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_words, value))}]"
    return str(value) if isinstance(value, str) else written(value)  # type: ignore[arg-type]


# -- YAML -------------------------------------------------------------------------------------------------------------


def dump(spec: StudySpec) -> str:
    """The specification as a search-space file, complete: every default of its sections is written out, and the defaults of the
    parameters that it leaves to the family and the trainer stand in comments.

    ``load`` reads back a specification equal in all but ``source`` and ``text``.
    """
    return "\n".join(_lines(spec)) + "\n"


def _lines(spec: StudySpec) -> Iterator[str]:
    yield f"name: {written(spec.name)}"
    if spec.data.source:
        yield from _data_lines(spec.data)
    yield from _model_lines(spec)
    if spec.objective is not None:
        entries = [f"{{{'maximize' if each.maximize else 'minimize'}: {each.metric}}}" for each in spec.objectives]
        yield f"objective: {entries[0] if len(entries) == 1 else '[' + ', '.join(entries) + ']'}"
    else:
        yield "# objective: accuracy for classification, rmse for regression"
    yield f"epochs: {spec.epochs}"
    yield f"replicates: {spec.replicates}"
    yield ""
    yield "space:"
    for parameter in spec.space.parameters:
        yield f"  {written(parameter.name)}: {{{', '.join(_parameter_parts(parameter, spec))}}}"
    for name, value in spec.space.fixed.items():
        yield f"  {written(name)}: {written(value)}"
    yield from _default_lines(spec)
    for label, rules in (("forbid", spec.space.forbid), ("require", spec.space.require)):
        if rules:
            yield ""
            yield f"{label}:"
            yield from (f"  - {_quoted(rule.text)}" for rule in rules)
    if spec.baseline is not None:
        yield ""
        yield f"baseline: {{{', '.join(f'{written(name)}: {written(value)}' for name, value in spec.baseline.items())}}}"
    yield ""
    yield from _settings_lines(spec.settings)


def _model_lines(spec: StudySpec) -> Iterator[str]:
    code = spec.code
    if code is None:
        yield f"model: {written(spec.model)}"
        yield from _checkpoint_lines(spec.checkpoint)
        return
    yield f"{KEYS[code.kind]}: {written(spec.model)}"
    yield f"code_folder: {written(code.folders[0])}"
    where = {key: value for key, value in (("pattern", code.pattern), ("file", code.file)) if value}
    if where:
        yield f"metrics: {{{', '.join(f'{key}: {_quoted(value)}' for key, value in where.items())}}}"


def _checkpoint_lines(checkpoint: Checkpoint | None) -> Iterator[str]:
    if checkpoint is None:
        return
    if not checkpoint.file:
        yield f"checkpoint: {written(checkpoint.model)}"
        return
    yield "checkpoint:"
    yield f"  file: {written(checkpoint.file)}"
    yield f"  model: {written(checkpoint.model)}"
    if checkpoint.parameters:
        yield f"  parameters: {{{', '.join(f'{written(name)}: {written(value)}' for name, value in checkpoint.parameters.items())}}}"
    if checkpoint.shape:
        yield f"  shape: [{', '.join(map(str, checkpoint.shape))}]"
    if checkpoint.outputs:
        yield f"  outputs: {checkpoint.outputs}"


def _data_lines(data: DataSpec) -> Iterator[str]:
    yield "data:"
    yield f"  source: {written(data.source)}"
    if data.target is not None:
        yield f"  target: {written(data.target)}"
    if data.drop:
        yield f"  drop: {_list(data.drop)}"
    if data.test is not None:
        yield f"  test: {written(data.test)}"
    if data.validation is not None:
        yield f"  validation: {written(data.validation)}"
    if data.folds is not None:
        yield f"  validation: {{folds: {data.folds}}}"
    if data.positive:
        yield f"  positive: {_list(data.positive)}"
    for name in DATA_OPTIONS:
        if (value := getattr(data, name)) is not None:
            yield f"  {name}: {written(value)}"
    yield f"  split_seed: {data.split_seed}"


def _parameter_parts(parameter: Parameter, spec: StudySpec) -> Iterator[str]:
    record = _parameter_record(parameter)
    for key in ("type", "low", "high", "log", "step"):
        if key in record:
            yield f"{key}: {written(record[key])}"
    if "choices" in record:
        yield f"choices: {_list(record['choices'])}"
    if parameter.grid is not None:
        yield f"grid: {_list(parameter.grid)}"
    layer = families.layer_of(spec.family, parameter.name)
    implied = Condition(layer[0], ">=", (layer[1],)) if layer else None
    tests = [test for test in parameter.when if test != implied]
    if tests:
        yield f"when: {{{', '.join(f'{written(test.parent)}: {_test(test)}' for test in tests)}}}"


def _test(test: Condition) -> str:
    if test.operator != "in":
        return f'"{test.operator} {written(test.values[0])}"'
    return _list(test.values)


def _default_lines(spec: StudySpec) -> Iterator[str]:
    """What the file leaves to the family and the trainer, as comments."""
    named = {*spec.space.by_name, *spec.space.fixed}
    left = {name: setting.default for name, setting in spec.family.known.items() if name not in named and setting.kind != "any"}
    if left:
        yield "  # left at their defaults:"
        yield from (f"  # {name}: {written(value)}" for name, value in left.items())


def _settings_lines(settings: StudySettings) -> Iterator[str]:
    yield "study:"
    yield f"  strategy: {_choice(settings.strategy, settings.strategy_options)}"
    yield f"  pruner: {_choice(settings.pruner, settings.pruner_options)}"
    yield f"  trials: {settings.trials}"
    if settings.time_seconds is not None:
        yield f"  time: {format_duration(settings.time_seconds)}"
    if settings.trial_seconds is not None:
        yield f"  trial_time: {format_duration(settings.trial_seconds)}"
    yield f"  seed: {settings.seed}"
    yield f"  confirm: {'auto' if settings.confirm is None else settings.confirm}"


def _choice(name: str, options: Configuration) -> str:
    if not options:
        return written(name)
    return f"{{{', '.join([f'name: {written(name)}', *(f'{written(key)}: {written(value)}' for key, value in options.items())])}}}"


def _list(values: Sequence[Value]) -> str:
    return f"[{', '.join(map(written, values))}]"


def _quoted(text: str) -> str:
    """A text that is never anything else: in quotes even where plain YAML would do."""
    plain = written(text)
    return plain if plain.startswith('"') else f'"{plain}"'
