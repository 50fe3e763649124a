"""From what a person asked for to a plan: everything that can be checked is checked here, before anything starts."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from automl import data, families, metrics, objectives, spacefile
from automl.best import CONFIG, FOLDER
from automl.checkpoint import looked_at
from automl.configurations import check_configurations, read_configurations
from automl.data import DataInfo
from automl.data.dataset import beside
from automl.dataoptions import DATA_OPTIONS
from automl.errors import DataError, UsageError
from automl.events import Configuration, Value
from automl.folders import check_new_study, home_expanded, space_file, study_folder
from automl.inputs import KINDS, Inputs
from automl.pruners import check_pruner
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.specrecord import from_dict
from automl.starter import epochs_for, is_short
from automl.store import Store
from automl.strategies import check_strategy
from automl.tracking import OFF, redacted, resolve_uri
from automl.yamlfile import relative_to

FEW_SEQUENCES = 200  # beside those for test, below which trials without a space are trained in folds
_FOLDS = 5
SMALL_PICTURE = 16  # pixels a side, up to which the space for small pictures fits


MOST_LANES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a person can ask of ``run``; None: as the space file or the study says. Named like the flags.

    ``enqueue`` and ``config`` are paths, or from a program configurations as they are.
    """

    space: str | None = None
    optuna: str | None = None
    direction: str | None = None
    data: str | None = None
    target: str | None = None
    drop: tuple[str, ...] = ()
    test: str | None = None
    text: str | None = None
    image: str | None = None
    size: int | None = None
    series: str | None = None
    timestamp: str | None = None
    task: str | None = None
    horizon: int | None = None
    window: int | None = None
    rows: int | None = None
    length: int | None = None
    study: str | None = None
    strategy: str | None = None
    pruner: str | None = None
    trials: int | None = None
    time: str | None = None
    trial_time: str | None = None
    epochs: int | None = None
    folds: int | None = None
    replicates: int | None = None
    confirm: str | None = None
    seed: int | None = None
    split_seed: int | None = None
    devices: str = "auto"
    workers: str = "auto"
    lanes: str = "auto"
    engine: str = "local"
    enqueue: str | Sequence[Configuration] | None = None
    config: str | Configuration | None = None
    mlflow: str | None = None
    experiment: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked request.

    ``enqueued`` are a person's own configurations; ``tracking_uri`` is None when tracking is off, ``lanes`` where they are measured.
    """

    spec: StudySpec
    folder: Path
    options: RunOptions
    enqueued: tuple[Configuration, ...]
    tracking_uri: str | None
    continues: bool
    lanes: int | None = None

    @property
    def shown_uri(self) -> str:
        """The tracking URI as it may be shown: without credentials."""
        return redacted(self.tracking_uri) if self.tracking_uri else "off"


def plan(options: RunOptions) -> Plan:
    """Check everything that can be checked before anything starts. Raises the errors of ``automl.errors``."""
    spec = specify(options)
    if options.config is not None:
        _refuse_search(options)
        spec = _single(spec, options)
    folder = study_folder(default_name(spec, options) if options.study is None else options.study)
    check_strategy(spec.settings.strategy, spec.settings.strategy_options, spec.space, len(spec.objectives))
    check_pruner(spec.settings.pruner, spec.settings.pruner_options, spec.epochs, spec.trainings)
    _check_folds(spec)
    enqueued = _configurations(options, spec)
    lanes = lanes_asked(options.lanes)
    uri = resolve_uri(options.mlflow, os.environ)
    continues = (folder / "study.db").is_file()
    if not continues:
        check_new_study(folder)
    if not continues and len(enqueued) + (spec.baseline is not None) > spec.settings.trials:
        raise UsageError(
            f"--trials: must leave room for the {len(enqueued)} enqueued configurations and the baseline, but is "
            f"{spec.settings.trials}. Give at least --trials {len(enqueued) + (spec.baseline is not None)}."
        )
    return Plan(spec, folder, options, enqueued, None if uri == OFF else uri, continues, lanes)


def _check_folds(spec: StudySpec) -> None:
    """Only data that automl prepares, for code that it hands them to, can be divided."""
    if spec.data.folds is None:
        return
    if not spec.data.source:
        raise UsageError(f"{_where(spec)}: folds must divide data that automl prepares, but there are none. Add data, or take replicates.")
    if spec.code is not None and spec.code.kind == "command":
        raise UsageError(f"{_where(spec)}: folds must be known to what is trained, but a command knows of none. Take replicates.")


def _refuse_search(options: RunOptions) -> None:
    """``--config`` trains one configuration as it is, so nothing can be asked of a search."""
    for flag in ("strategy", "pruner", "trials", "enqueue"):
        if getattr(options, flag) is not None:
            raise UsageError(f"--{flag}: must be left out with --config, which trains one configuration as it is, but was given.")


def _single(spec: StudySpec, options: RunOptions) -> StudySpec:
    """The study of one configuration: no baseline and no search; confirmed where that is asked for."""
    confirm = spec.settings.confirm if options.confirm is not None else 0
    alone = replace(spec.settings, strategy="random", strategy_options={}, pruner="none", pruner_options={}, trials=1, confirm=confirm)
    return replace(spec, baseline=None, settings=alone)


def _configurations(options: RunOptions, spec: StudySpec) -> tuple[Configuration, ...]:
    if options.config is None:
        return () if options.enqueue is None else _given(options.enqueue, spec, "--enqueue")
    found = _given(options.config, spec, "--config")
    if len(found) != 1:
        where = options.config if isinstance(options.config, str) else "what was given"
        raise UsageError(
            f"--config: must hold one configuration, but {where} holds {len(found)}. To train several: --enqueue and --trials."
        )
    return found


def _given(entries: str | Sequence[Configuration] | Configuration, spec: StudySpec, flag: str) -> tuple[Configuration, ...]:
    if isinstance(entries, str):
        return read_configurations(Path(entries), spec, flag)
    return check_configurations(
        dict(entries) if isinstance(entries, Mapping) else [dict(entry) for entry in entries], spec, flag, "what was given"
    )


def lanes_asked(lanes: str) -> int | None:
    """The number that ``--lanes`` gives; None for ``auto``."""
    text = lanes.strip()
    number = int(text) if text.isdecimal() else 0
    if text != "auto" and not 1 <= number <= MOST_LANES:
        raise UsageError(f"--lanes: must be 'auto' or a whole number from 1 to {MOST_LANES}, but {lanes!r} was given. Leave it out.")
    return number or None


def specify(options: RunOptions) -> StudySpec:
    """The specification that the space file and the flags give together. Flags win."""
    if options.data == "":
        raise UsageError("--data: must be a built-in name or a file, but is empty. Give one, such as --data iris.")
    spec = _of_objective(options) if options.optuna is not None else _of_file(options)
    settings = spec.settings
    if options.strategy is not None:
        strategy, strategy_options = spacefile.parse_choice(options.strategy)
        settings = replace(settings, strategy=strategy, strategy_options=strategy_options)
    if options.pruner is not None:
        pruner, pruner_options = spacefile.parse_choice(options.pruner)
        settings = replace(settings, pruner=pruner, pruner_options=pruner_options)
    if options.trials is not None:
        settings = replace(settings, trials=at_least_one("--trials", options.trials))
    if options.time is not None:
        settings = replace(settings, time_seconds=duration(options.time))
    if options.trial_time is not None:
        settings = replace(settings, trial_seconds=duration(options.trial_time, "--trial-time"))
    if options.seed is not None:
        if options.seed < 0:
            raise UsageError(f"--seed: must be a whole number of at least 0, but is {options.seed}.")
        settings = replace(settings, seed=options.seed)
    if options.confirm is not None:
        settings = replace(settings, confirm=_finalists(options.confirm))
    epochs = spec.epochs if options.epochs is None else at_least_one("--epochs", options.epochs)
    replicates = spec.replicates if options.replicates is None else at_least_one("--replicates", options.replicates)
    return replace(spec, data=_data_spec(spec, options), settings=settings, epochs=epochs, replicates=replicates)


def _of_file(options: RunOptions) -> StudySpec:
    if options.direction is not None:
        raise UsageError("--direction: must go with --optuna, but was given without it. A space file says it as objective.")
    if options.space:
        return spacefile.load(space_file(_space_named(options.space)))
    given, info = _data_alone(options)
    spec = spacefile.load(space_file(_space_for(info)))
    if info.kind != "sequences" or info.continues:
        return spec
    spec = replace(spec, epochs=epochs_for(info, spec.epochs))
    is_few = info.sizes["train"] + info.sizes["validation"] < FEW_SEQUENCES
    return replace(spec, data=replace(spec.data, validation=None, folds=_FOLDS)) if is_few and _can_be_folded(given) else spec


def _of_objective(options: RunOptions) -> StudySpec:
    """The space of an Optuna objective: that of the study that is to go on, else what the objective asks for."""
    assert options.optuna is not None
    for flag in ("space", "data", "target", "drop", "test", *(name for name, option in DATA_OPTIONS.items() if option.flag)):
        if getattr(options, flag):
            what = "SPACE" if flag == "space" else f"--{flag}"
            raise UsageError(f"--optuna: must stand alone, since its objective says what is searched, but {what} was given. Leave it out.")
    name = objectives.study_name(options.optuna)
    folder = study_folder(options.study or _study_name(name, _strategy(options) or StudySettings().strategy, options))
    before = _text_of_before(folder, options)
    if before is not None:
        return spacefile.load_text(before, f"{name}.yaml")
    epochs = None if options.epochs is None else at_least_one("--epochs", options.epochs)
    found = objectives.found(options.optuna, options.direction, epochs, Path.cwd())
    spec = spacefile.load_text(found.text, f"{name}.yaml")
    return replace(spec, notes=(*spec.notes, *found.notes))


def _strategy(options: RunOptions) -> str | None:
    return None if options.strategy is None else spacefile.parse_choice(options.strategy)[0]


def _text_of_before(folder: Path, options: RunOptions) -> str | None:
    """The text that a study of this objective has begun with: the same command again goes on with it, whatever is found by now."""
    if not (folder / "study.db").is_file():
        return None
    with Store.read_only(folder) as store:
        before = from_dict(dict(store.created().spec))
    is_same = before.model == options.optuna and before.code is not None and before.code.kind == "objective"
    if is_same and before.objective is not None and options.direction not in (None, str(before.objective).partition(" ")[0]):
        raise UsageError(
            f"--direction: {folder} is to {before.objective}, but {options.direction} was given. Use --study NAME for a new one."
        )
    return before.text if is_same else None


def _space_named(name: str) -> str:
    """The name as it is, unless data were given in the place of a space."""
    from automl.data.sources import SUFFIXES

    if name.lower().endswith(SUFFIXES) and home_expanded(name).exists():
        raise UsageError(f"{name}: must be a search space, but is a table. Use --data {shlex.quote(name)} --target COLUMN.")
    if data.is_built_in(name) and not home_expanded(name).exists():
        raise UsageError(f"{name}: must be a search space, but is a data set. Use --data {name}.")
    return name


def duration(text: str, flag: str = "--time") -> float:
    try:
        return spacefile.parse_duration(text)
    except UsageError as error:
        raise UsageError(f"{flag}{str(error).removeprefix('time')}") from None


def _finalists(text: str) -> int | None:
    """The number that ``--confirm`` gives; None for ``auto``."""
    if text.strip() == "auto":
        return None
    if not text.strip().isdecimal():
        raise UsageError(f"--confirm: must be 'auto' or a whole number of at least 0, but {text!r} was given. Leave it out.")
    return int(text)


def at_least_one(flag: str, number: int) -> int:
    if number < 1:
        raise UsageError(f"{flag}: must be a whole number of at least 1, but is {number}.")
    return number


def _data_alone(options: RunOptions) -> tuple[DataSpec, DataInfo]:
    """Data without a space, looked at."""
    if options.data is None:
        raise UsageError(
            "run: needs a search space or data, but neither was given. Try `automl run digits_mlp`, or --data FILE --target COLUMN."
        )
    spec = DataSpec(options.data, options.target, options.drop, options.test, **_reading(options))
    return spec, data.inspect(spec)


def _space_for(info: DataInfo) -> str:
    """The shipped space for such data."""
    if info.continues:
        return "forecast_short" if is_short(info) else "forecast_mlp"
    if info.kind == "sequences":
        return "sequence_cnn"
    if info.kind == "tokens":
        return "text_bag"
    if info.kind != "pictures":
        return "tabular_mlp"
    return "digits_cnn" if max(info.input_shape[1:]) <= SMALL_PICTURE else "image_cnn"


def _can_be_folded(spec: DataSpec) -> bool:
    """Whether each class has enough rows for that."""
    try:
        data.inspect(replace(spec, folds=_FOLDS))
    except DataError:
        return False
    return True


def _data_spec(spec: StudySpec, options: RunOptions) -> DataSpec:
    if options.data is not None:
        source = DataSpec(options.data, validation=spec.data.validation, folds=spec.data.folds)
    else:
        source = replace(spec.data, source=_beside(spec, spec.data.source))
        if isinstance(source.test, str):
            source = replace(source, test=_beside(spec, source.test))
    if options.target is not None:
        source = replace(source, target=options.target)
    if options.drop:
        source = replace(source, drop=options.drop)
    if options.test is not None:
        source = replace(source, test=options.test)
    source = replace(source, **_reading(options))
    if options.split_seed is not None:
        if options.split_seed < 0:
            raise UsageError(f"--split-seed: must be a whole number of at least 0, but is {options.split_seed}.")
        source = replace(source, split_seed=options.split_seed)
    if options.folds is not None:
        if options.folds < spacefile.FEWEST_FOLDS:
            raise UsageError(
                f"--folds: must be a whole number of at least {spacefile.FEWEST_FOLDS}, but is {options.folds}. "
                "Leave it out for a validation split in place of folds."
            )
        source = replace(source, folds=options.folds, validation=None)
    return source


def _reading(options: RunOptions) -> dict[str, Any]:
    """How the data are to be read, as far as the flags say it."""
    given = {name: getattr(options, name) for name, option in DATA_OPTIONS.items() if option.flag}
    for name, value in given.items():
        low = DATA_OPTIONS[name].low
        if value is not None and low is not None and value < low:
            raise UsageError(f"--{name}: must be a whole number of at least {low}, but is {value}.")
    return {name: value for name, value in given.items() if value is not None}


def _beside(spec: StudySpec, source: str) -> str:
    """A path in a space file is relative to that file; built-in names and absolute paths stay."""
    own = beside(source, Path(spec.source).parent) if spec.source else source
    if own != source:
        return own
    near = Path(spec.source).parent / source
    is_there = relative_to(spec.source, source).exists() or (
        bool(re.search(r"[*?\[]", source)) and near.parent.is_dir()
    )  # a pattern of files
    return str(near) if spec.source and source and is_there and not Path(source).is_absolute() else source


def _data_name(data: str) -> str:
    """What a study of these data is called: ``films`` for ``films.csv`` and for ``films.*``, ``films`` as well for ``films/*.txt``."""
    from automl.data.sources import data_name

    return data_name(data)


def default_name(spec: StudySpec, options: RunOptions) -> str:
    """What a study is called that nobody named: its space and its strategy or configuration, and the data where they are not its own."""
    return _study_name(spec.name, spec.settings.strategy, options)


def _study_name(space: str, strategy: str, options: RunOptions) -> str:
    how = strategy
    if options.config is not None:
        path = Path(options.config if isinstance(options.config, str) else "config").absolute()
        if (path.name, path.parent.name) == (CONFIG, FOLDER):
            return f"{path.parent.parent.name}-again"
        how = path.stem
    parts = [space, *([_data_name(options.data)] if options.data and options.space else []), how]
    if options.data and not options.space:
        parts[0] = _data_name(options.data)
    return "-".join(parts)


def settle(spec: StudySpec, info: DataInfo) -> StudySpec:
    """The specification with what the data decide: the objective where none was given, and the measures of ``require``.

    Raises UsageError where model, objective or rules do not fit the data. Code that trains by itself says itself what it needs.
    """
    if spec.trains_itself:
        return spec
    _check_kind(spec, info)
    _check_training(spec, info)
    default = metrics.default_objective(info.task)
    objective = spec.objective or Objective(default, metrics.METRICS[default].maximize)
    known = metrics.metrics_of(info.task, forecasts=info.continues)
    for each in (objective, *spec.further):
        if each.metric not in (*known, *metrics.MEASURES):
            what = "forecasts" if info.continues else f"{info.task} tasks"
            raise UsageError(f"{_where(spec)}: objective must be a metric of {what}, but is {each.metric!r}. Metrics: {', '.join(known)}.")
    measures = None if spec.code else partial(_measures, spec.model, info.inputs, info.outputs)
    if spec.checkpoint is not None:
        measures = partial(looked_at(spec.checkpoint, info.inputs).measures, info.outputs)
    space = replace(spec.space, measures=measures)
    settled = replace(spec, objective=objective, space=space)
    if _measures_in_rules(spec) and not any(space.allows(space.sample("settle", attempt)) for attempt in range(10_000)):
        rules = ", ".join(rule.text for rule in (*space.forbid, *space.require))
        raise UsageError(
            f"{_where(spec)}: the space must hold a valid configuration for {info.name}, but none of 10,000 draws satisfies {rules}."
        )
    broken = space.broken_rule(spec.baseline) if spec.baseline is not None else None
    if broken is not None:
        raise UsageError(f"{_where(spec)}: baseline must keep every rule on {info.name}, but breaks {broken}. Change one of them.")
    return settled


def _measures_in_rules(spec: StudySpec) -> bool:
    return any(name in metrics.MEASURES for rule in (*spec.space.forbid, *spec.space.require) for name in rule.names)


def _check_kind(spec: StudySpec, info: DataInfo) -> None:
    """A built-in family takes certain kinds of samples."""
    if spec.code is not None or info.kind in families.FAMILIES[spec.model].kinds:
        return
    fitting = " or ".join(name for name, family in families.FAMILIES.items() if info.kind in family.kinds)
    raise UsageError(
        f"{_where(spec)}: model {spec.model} takes {families.wanted(spec.model)}, but the data are {info.inputs}. Use model: {fitting}."
    )


def _check_training(spec: StudySpec, info: DataInfo) -> None:
    """Some parameters are for some data only, unless they stay at their default."""
    for name, setting in families.family_of(spec.model).known.items():
        is_for_kind = not setting.kinds or info.kind in setting.kinds
        if (is_for_kind and (not setting.tasks or info.task in setting.tasks)) or not _departs(spec, name, setting.default):
            continue
        if is_for_kind:
            wanted, found = " and ".join(setting.tasks), f"the task is {info.task}"
        else:
            wanted, found = " and ".join(KINDS[kind] for kind in setting.kinds), f"the data are {info.inputs}"
        raise UsageError(f"{_where(spec)}: {name} is for {wanted}, but {found}. Take {name} out of the space.")


def _departs(spec: StudySpec, name: str, default: Value) -> bool:
    """Whether some configuration may have another value than the default."""
    values = [values[name] for values in (spec.space.fixed, spec.baseline or {}) if name in values]
    return name in spec.space.by_name or any(value != default for value in values)


def _measures(model: str, inputs: Inputs, outputs: int, values: Configuration) -> Mapping[str, float]:
    cost = families.cost_of(model, values, inputs, outputs)
    return {"parameters": cost.parameters, "multiply_adds": cost.multiply_adds}


def _where(spec: StudySpec) -> str:
    return spec.source or spec.name
