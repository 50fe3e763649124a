"""The JSON Schema of search-space files, made from the model families and the grammar, so that editors complete and check them.

What needs more than one value to judge (``low`` below ``high``, conditions, rules) is for ``automl space check``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from automl import families, spacefile
from automl.dataoptions import DATA_OPTIONS, DataOption
from automl.families import Family, Setting
from automl.metrics import METRICS, OBJECTIVES, Metric
from automl.owncode import TARGET
from automl.spacecode import METRICS_KEYS, TRAINS_ITSELF
from automl.spaceparameters import COMPARISON, KEYS, MOST_GRID_POINTS, TYPES_FOR
from automl.spec import StudySettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_VALUE: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_TARGET: dict[str, Any] = {"type": "string", "pattern": f"^{TARGET.pattern}$"}
_DIRECTIONS = ("maximize", "minimize")
_SHARE: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) that every valid search-space file fulfils."""
    every, names = _definitions()
    return {
        "$schema": DIALECT,
        "title": "automl search space",
        "type": "object",
        "properties": {
            "name": _described({"type": "string", "pattern": r"^\w[\w.-]*$"}, "name of the space; the file's own name where left out"),
            "data": {"$ref": "#/$defs/data"},
            "model": _described(
                {"anyOf": [{"enum": list(families.FAMILIES)}, _TARGET]},
                "a built-in family of models, or a function of yours that makes one",
            ),
            "checkpoint": {"type": ["string", "object", "null"], "description": "what the family finetune begins from"},
            "train": _described(_TARGET, "a function of yours that trains"),
            "optuna": _described(_TARGET, "an Optuna objective of yours"),
            "command": _described(
                {"anyOf": [_TEXT, {"type": "array", "items": _VALUE, "minItems": 1}]}, "a program that trains, with {names} of parameters"
            ),
            "metrics": _metrics(),
            "code_folder": _described(_TEXT, "where your own code lies; the file's own folder where left out"),
            "objective": _described({"type": ["object", "array", "null"]}, "the validation metric that is searched for"),
            "epochs": _described({"type": "integer", "minimum": 1, "default": spacefile.DEFAULT_EPOCHS}, "the most that a trial trains"),
            "replicates": _described(
                {"type": "integer", "minimum": 1, "default": 1}, "how often each trial is trained, with other draws each time"
            ),
            "space": _described({"type": "object", "minProperties": 1}, "what is searched, and what is fixed"),
            "forbid": {"$ref": "#/$defs/rules", "description": "expressions, of which none may hold"},
            "require": {"$ref": "#/$defs/rules", "description": "expressions, of which each must hold"},
            "baseline": {"type": ["object", "null"], "description": "the configuration of trial 0, which need not lie in the space"},
            "study": {"$ref": "#/$defs/study"},
            "extends": _described(
                _TEXT, "a search-space file, relative to this one, or the name of a shipped one, whose sections this file takes over"
            ),
        },
        "additionalProperties": False,
        "anyOf": [
            {"required": ["extends"]},
            {"required": ["data", "model", "space"]},
            *({"required": [key, "objective", "space"]} for key in TRAINS_ITSELF),
        ],
        "allOf": [
            _for_model({"enum": [name]}, {each: (key,) for each, key in names[name].items()}, family.per_layer, with_model=True)
            for name, family in families.FAMILIES.items()
        ]
        + [
            _for_model(
                False, _of_any(names), [base for family in families.FAMILIES.values() for base in family.per_layer], with_model=False
            ),
            {
                "if": _has_own_training(),
                "then": {"properties": {"objective": {"$ref": "#/$defs/own_objective"}}},
                "else": {"properties": {"objective": {"$ref": "#/$defs/objective"}, "metrics": False}},
            },
        ],
        "$defs": {
            **{f"parameter_{name}": _parameter(setting) for name, setting in every.items()},
            **{f"value_{name}": _described(_or_null(_value(setting)), setting.about) for name, setting in every.items()},
            "data": _data(),
            "objective": _objective(),
            "own_objective": _own_objective(),
            "rules": {"type": ["array", "null"], "items": _TEXT},
            "study": _study(),
            "when": _when(),
        },
    }


def _described(schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {**schema, "description": about}


def _settings(family: Family) -> dict[str, Setting]:
    return {**family.settings, **families.TRAINING}


def _definitions() -> tuple[dict[str, Setting], dict[str, dict[str, str]]]:
    """Each different setting under a name of its own, and by family which of these its parameters are: ``channels`` of two families may
    have different defaults."""
    every: dict[str, Setting] = {}
    names: dict[str, dict[str, str]] = {}
    for family in families.FAMILIES.values():
        for name, setting in _settings(family).items():
            key = name if every.setdefault(name, setting) == setting else f"{name}_of_{family.name}"
            every[key] = setting
            names.setdefault(family.name, {})[name] = key
    return every, names


def _of_any(names: dict[str, dict[str, str]]) -> dict[str, tuple[str, ...]]:
    """By parameter all its definitions."""
    found: dict[str, dict[str, None]] = {}
    for keys in names.values():
        for name, key in keys.items():
            found.setdefault(name, {})[key] = None
    return {name: tuple(keys) for name, keys in found.items()}


def _for_model(model: Any, names: Mapping[str, Sequence[str]], per_layer: Iterable[str], *, with_model: bool) -> dict[str, Any]:
    """What ``space`` and ``baseline`` may hold for a model; where the extended file says the model, any family's parameters.

    ``names``: by parameter its definitions, of which one must fit.
    """
    condition: dict[str, Any] = {"properties": {"model": model}, "required": ["model"]}
    if not with_model:
        condition = {"properties": {"model": model}, "not": _has_own_training()}

    def one_of(kind: str, name: str) -> dict[str, Any]:
        refs = [{"$ref": f"#/$defs/{kind}_{key}"} for key in names[name]]
        return refs[0] if len(refs) == 1 else {"anyOf": refs}

    def section(kind: str) -> dict[str, Any]:
        return {
            "properties": {name: one_of(kind, name) for name in names},
            "patternProperties": {f"^{base}_[1-9][0-9]?$": one_of(kind, base) for base in per_layer},
            "additionalProperties": {"type": "null"},  # takes away what an extended file says for another model
        }

    return {"if": condition, "then": {"properties": {"space": section("parameter"), "baseline": section("value")}}}


def _value(setting: Setting) -> dict[str, Any]:
    """The values that a model can be built or trained with."""
    match setting.kind:
        case "bool":
            return {"type": "boolean", "default": setting.default}
        case "categorical":
            return {"enum": list(setting.choices), "default": setting.default}
        case kind:
            schema: dict[str, Any] = {"type": "integer" if kind == "int" else "number", "default": setting.default}
            if setting.low is not None:
                schema["exclusiveMinimum" if setting.low_open else "minimum"] = setting.low
            if setting.high is not None:
                schema["exclusiveMaximum" if setting.high_open else "maximum"] = setting.high
            return schema


def _parameter(setting: Setting) -> dict[str, Any]:
    """A range, choices, or a value that fixes the parameter; null takes an extended file's parameter away."""
    searched = [_searched(kind, setting) for kind in TYPES_FOR[setting.kind]]
    return {"description": setting.about, "anyOf": [_value(setting), *searched, {"type": "null"}]}


def _searched(kind: Any, setting: Setting) -> dict[str, Any]:
    value = {key: entry for key, entry in _value(setting).items() if key != "default"}
    number = {**value, "type": "integer"} if kind == "int" else value
    known: dict[str, Any] = {
        "type": {"const": kind},
        "low": number,
        "high": number,
        "log": {"type": "boolean", "default": False},
        "step": {"type": "integer", "minimum": 1, "default": 1},
        "choices": {"type": "array", "items": value, "minItems": 1, "uniqueItems": True},
        "grid": {
            "description": "how many points a grid visits, or which",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_GRID_POINTS},
                {"type": "array", "items": number, "minItems": 1, "uniqueItems": True},
            ],
        },
        "when": {"$ref": "#/$defs/when"},
    }
    return {
        "type": "object",
        "properties": {key: known[key] for key in KEYS[kind]},
        "required": ["type", "choices"] if kind == "categorical" else ["type", "low", "high"],
        "additionalProperties": False,
    }


def _when() -> dict[str, Any]:
    comparison = {"type": "string", "pattern": f"^{COMPARISON.pattern}$"}
    return {
        "type": "object",
        "description": "when the parameter exists: values of other parameters, or comparisons such as '>= 2'; all of them must hold",
        "additionalProperties": {"anyOf": [_VALUE, comparison, {"type": "array", "items": _VALUE, "minItems": 1}]},
    }


def _data() -> dict[str, Any]:
    known: dict[str, Any] = {
        "source": _described(_TEXT, "a built-in name, or a file or folder"),
        "target": _described(_TEXT, "the column to predict"),
        "drop": {"type": "array", "items": _TEXT, "description": "columns, or classes of pictures or texts, to leave out"},
        "test": {"anyOf": [_SHARE, _TEXT], "description": "a share of the data, or a file"},
        "validation": {"anyOf": [_SHARE, _folds()], "description": "a share of the data that is left for training, or folds"},
        "positive": {"type": "array", "items": _VALUE, "minItems": 1, "description": "the classes that count as positive"},
        "split_seed": {"type": "integer", "minimum": 0, "default": 0},
        **{name: _data_option(option) for name, option in DATA_OPTIONS.items()},
    }
    mapping = {
        "type": "object",
        "properties": {key: known[key] if key == "source" else _or_null(known[key]) for key in spacefile.DATA_KEYS},
        "additionalProperties": False,
    }
    return {"description": "what is learned from; --data overrides it", "anyOf": [_TEXT, mapping]}


def _data_option(option: DataOption) -> dict[str, Any]:
    if option.choices:
        return _described({"enum": list(option.choices)}, option.about)
    return _described(_TEXT if option.low is None else {"type": "integer", "minimum": option.low}, option.about)


def _duration() -> dict[str, Any]:
    """Seconds, or a text such as ``1h30m``."""
    return _or_null({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": "^[0-9.hmsHMS ]+$"}]})


def _folds() -> dict[str, Any]:
    folds = {"type": "integer", "minimum": spacefile.FEWEST_FOLDS, "description": "cross-validation: in so many parts"}
    return {"type": "object", "properties": {"folds": folds}, "required": ["folds"], "additionalProperties": False}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """In a file that extends another, null takes away what that says."""
    return {"anyOf": [schema, {"type": "null"}]}


def _has_own_training() -> dict[str, Any]:
    return {"anyOf": [{"required": [key]} for key in TRAINS_ITSELF]}


def _metrics() -> dict[str, Any]:
    known = {"pattern": _described(_TEXT, "a regular expression with a named group for each metric"), "file": _described(_TEXT, "a file")}
    return {
        "description": "where the metrics of a command are read; lines of JSON that it prints where left out",
        "type": "object",
        "properties": {key: known[key] for key in METRICS_KEYS},
        "additionalProperties": False,
    }


def _own_objective() -> dict[str, Any]:
    names = [{"type": "object", "properties": {key: _TEXT}, "required": [key], "additionalProperties": False} for key in _DIRECTIONS]
    several = {"type": "array", "items": {"anyOf": names}, "minItems": 1, "maxItems": spacefile.MOST_OBJECTIVES, "uniqueItems": True}
    return {"description": "a metric that your code reports, or several", "anyOf": [*names, several]}


def _objective() -> dict[str, Any]:
    def direction(key: str, known: Mapping[str, Metric], *, maximize: bool) -> dict[str, Any]:
        metrics = [metric.name for metric in known.values() if metric.maximize == maximize]
        return {"type": "object", "properties": {key: {"enum": metrics}}, "required": [key], "additionalProperties": False}

    one = [direction("maximize", METRICS, maximize=True), direction("minimize", METRICS, maximize=False)]
    further = [direction("maximize", OBJECTIVES, maximize=True), direction("minimize", OBJECTIVES, maximize=False)]
    several = {
        "type": "array",
        "description": "the first one chooses the epoch of a trial and the winner; together they have a Pareto front",
        "prefixItems": [{"anyOf": one}],
        "items": {"anyOf": further},
        "minItems": 1,
        "maxItems": spacefile.MOST_OBJECTIVES,
        "uniqueItems": True,
    }
    return {"description": "the validation metric that is searched for, or several objectives", "anyOf": [*one, several, {"type": "null"}]}


def _study() -> dict[str, Any]:
    defaults = StudySettings()

    def choice(names: tuple[str, ...], default: str) -> dict[str, Any]:
        mapping = {
            "type": "object",
            "properties": {"name": {"enum": list(names)}},
            "required": ["name"],
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        }
        return {"anyOf": [{"enum": list(names)}, mapping, {"type": "null"}], "default": default}

    known: dict[str, Any] = {
        "strategy": choice(spacefile.STRATEGIES, defaults.strategy),
        "pruner": choice(spacefile.PRUNERS, defaults.pruner),
        "trials": _or_null({"type": "integer", "minimum": 1, "default": defaults.trials}),
        "time": _duration(),
        "trial_time": _duration(),
        "seed": _or_null({"type": "integer", "minimum": 0, "default": defaults.seed}),
        "confirm": {"anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["auto", None]}], "default": "auto"},
    }
    return {
        "description": "how the space is searched; every one has a flag",
        "type": ["object", "null"],
        "properties": {key: known[key] for key in spacefile.STUDY_KEYS},
        "additionalProperties": False,
    }
