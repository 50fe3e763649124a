"""Search-space files: YAML to StudySpec and back, every mistake with its file and line.

``load`` reads and checks a file; ``dump`` writes a specification out with every default, as YAML that ``load`` reads back to the
same specification. What works on specifications alone (``dump``, ``to_dict``, ``from_dict``, ``sha256``, ``difference``) is in
``automl.specrecord``, and can be had from here too.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from automl import families
from automl.dataoptions import DATA_OPTIONS
from automl.errors import SpaceError, UsageError, nearest, suggestion
from automl.events import Value
from automl.expressions import Expression, ExpressionError
from automl.families import Family
from automl.folders import home_expanded, shipped_file, shipped_spaces
from automl.metrics import MEASURES, METRICS, OBJECTIVES, Metric
from automl.shorthand import parse_choice, parse_duration
from automl.space import Categorical, Parameter, SearchSpace
from automl.spacecheckpoint import read_checkpoint
from automl.spacecode import check_use, is_own, read_trained, trains_itself
from automl.spaceparameters import Section, is_admitted, read_section, unknown_name
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.specrecord import difference, dump, from_dict, sha256, to_dict
from automl.yamlfile import ListNode, Node, Place, Problems, Scalar, is_empty, parse, read_text, relative_to, shown
from automl.yamlfile import Mapping as MappingNode

__all__ = ["difference", "dump", "examine", "from_dict", "load", "parse_choice", "parse_duration", "sha256", "to_dict"]

KEYS = (
    *("name", "data", "model", "checkpoint", "train", "command", "optuna", "metrics", "code_folder", "objective", "epochs", "replicates"),
    *("space", "forbid", "require", "baseline", "study", "extends"),
)
DATA_KEYS = ("source", "target", "drop", "test", "validation", "positive", "split_seed", *DATA_OPTIONS)
STUDY_KEYS = ("strategy", "pruner", "trials", "time", "trial_time", "seed", "confirm")
# A test holds these equal to the strategies and pruners that there are.
STRATEGIES = ("grid", "random", "sobol", "bayesian", "gp", "cmaes", "evolution")
PRUNERS = ("none", "median", "percentile", "asha", "hyperband", "patient", "wilcoxon")
MOST_OBJECTIVES = 4
DEFAULT_EPOCHS = 20
FEWEST_FOLDS = 2

_NAME = re.compile(r"\w[\w.-]{0,99}")
_LONGEST_CHAIN = 10
_TRIES = 5_000
_MOST_TRIED = 200_000


def load(path: str | Path) -> StudySpec:
    """Read and check a search-space file.

    Raises:
        SpaceError: with all mistakes of the file (and of those that it extends) at once, in the order of the file.
    """
    spec, problems = _read(Path(path))
    problems.settle()
    assert spec is not None
    return spec


def load_text(text: str, name: str) -> StudySpec:
    """The same for a text that is no file; ``name`` stands for one in what is said of its mistakes."""
    problems = Problems()
    root = _extended(Path(name), text, (), problems)
    spec = _Reader(Path(name), root, problems).spec() if root is not None else None
    problems.settle()
    assert spec is not None
    return replace(spec, text=text)


def examine(path: str | Path) -> tuple[StudySpec | None, tuple[str, ...]]:
    """What ``load`` finds wrong with a file, and its specification as far as the rest can be checked; None where it cannot.

    A misspelt model is taken for the family that was probably meant, and other sections with mistakes for their defaults.
    """
    spec, problems = _read(Path(path))
    try:
        problems.settle()
    except SpaceError as error:
        return spec, error.problems
    return spec, ()


def _read(path: Path) -> tuple[StudySpec | None, Problems]:
    problems = Problems()
    text = read_text(path, problems)
    root = _extended(path, text, (), problems) if text is not None else None
    spec = _Reader(path, root, problems).spec() if root is not None else None
    return (replace(spec, source=str(path), text=text or "") if spec is not None else None), problems


# -- extends ----------------------------------------------------------------------------------------------------------


def _extended(path: Path, text: str, chain: tuple[Path, ...], problems: Problems) -> MappingNode | None:
    """The file's content over that of the file which it extends."""
    before = len(problems)
    root = parse(text, str(path), problems)
    if root is None or (isinstance(root, Scalar) and root.value is None):
        if len(problems) == before:
            problems.add(
                Place(str(path), 0), "must say what is searched, but is empty. 'automl space new DATA' writes a file to start from."
            )
        return None
    if not isinstance(root, MappingNode):
        problems.add(root.place, f"must be a mapping with keys such as model and space, but is {shown(root)}.")
        return None
    extends = root.get("extends")
    if is_empty(extends):
        return _without_nulls(root)
    base = _base(path, extends, (*chain, path), problems)
    return _merged(base, root, problems) if base is not None else None


def _base(path: Path, extends: Node | None, chain: tuple[Path, ...], problems: Problems) -> MappingNode | None:
    assert extends is not None
    if not isinstance(extends, Scalar) or not isinstance(extends.value, str):
        problems.add(extends.place, f"extends must be the path or the name of a search-space file, but is {shown(extends)}.")
        return None
    base = relative_to(str(path), extends.value)
    if not base.is_file():
        base = shipped_file(extends.value) or base
    if os.path.realpath(base) in [os.path.realpath(link) for link in chain]:
        circle = " extends ".join(str(link) for link in (*chain, base))
        problems.add(extends.place, f"extends must not go in a circle, but {circle}.")
        return None
    if len(chain) > _LONGEST_CHAIN:
        problems.add(extends.place, f"extends may lead over at most {_LONGEST_CHAIN} files, but this is one more.")
        return None
    if not base.is_file():
        near = suggestion(extends.value, shipped_spaces())
        problems.add(
            extends.place, f"extends must name a file (relative to this one) or a shipped space, but there is no {str(base)!r}.{near}"
        )
        return None
    text = read_text(base, problems)
    return _extended(base, text, chain, problems) if text is not None else None


def _without_nulls(root: MappingNode) -> MappingNode:
    """Sections without content count as left out."""
    return replace(root, entries=tuple((key, value) for key, value in root.entries if not is_empty(value)))


def _merged(base: MappingNode, own: MappingNode, problems: Problems) -> MappingNode:
    """Keys given here win: whole sections, but ``space``, ``baseline``, ``data`` and ``study`` key by key; ``null`` removes.

    The name stays behind, for two files are two spaces.
    """
    entries = {key.text: (key, value) for key, value in base.entries if key.text != "name"}
    for key, value in own.entries:
        there = entries.get(key.text, (None, None))[1]
        if key.text == "data" and isinstance(there, Scalar) and isinstance(value, MappingNode):
            there = MappingNode(((Scalar("source", "source", there.place), there),), there.place)
        if is_empty(value):
            entries.pop(key.text, None)
        elif key.text in ("space", "baseline", "data", "study") and isinstance(there, MappingNode) and isinstance(value, MappingNode):
            entries[key.text] = (key, _merged_section(key.text, there, value, problems))
        else:
            entries[key.text] = (key, value)
    return MappingNode(tuple(entries.values()), own.place)


def _some_values(parameter: Parameter) -> Sequence[Value]:
    """Of every kind that it has."""
    return parameter.choices if isinstance(parameter, Categorical) else (parameter.low,)


def _merged_section(section: str, base: MappingNode, own: MappingNode, problems: Problems) -> MappingNode:
    entries = {key.text: (key, value) for key, value in base.entries}
    for key, value in own.entries:
        if not is_empty(value):
            entries[key.text] = (key, value)
        elif entries.pop(key.text, None) is None:
            near = suggestion(key.text, base.keys)
            text = f"null removes what the extended file says, but it says nothing of {key.text!r}.{near}"
            problems.add(key.place, f"{section}: {text}")
    return MappingNode(tuple(entries.values()), own.place)


# -- sections ---------------------------------------------------------------------------------------------------------


@dataclass
class _Reader:
    """Reads the sections of one file (extended ones merged into it), and notes what is wrong with them."""

    path: Path
    root: MappingNode
    problems: Problems

    def spec(self) -> StudySpec | None:
        """The specification; None where its space cannot be known. Where other problems were noted it has defaults in their place."""
        self._check_keys(self.root, "", KEYS)
        trained = read_trained(self.root, self.path, self.problems)
        model = trained.family if trained is not None else self._probable_family()
        data = self._data()
        name, epochs, objectives = self._name(), self._epochs(), self._objectives()
        replicates = self._whole(self.root.get("replicates"), "replicates", 1, least=1)
        settings = self._settings()
        before = len(self.problems)
        section = self._section(model)
        forbid, require = self._rules("forbid", section, model), self._rules("require", section, model)
        baseline = self._baseline(model)
        if model is None or len(self.problems) > before:
            return None
        space = SearchSpace(section.parameters, section.fixed, forbid, require)
        notes = check_use(trained, space, section.places, self.problems) if trained is not None else ()
        self._check_baseline(model, space, baseline)
        self._check_not_empty(space)
        first, further = (objectives[0], objectives[1:]) if objectives else (None, ())
        found = data or DataSpec("")
        spec = StudySpec(name, found, model.name, first, epochs, space, baseline, settings, replicates=replicates, further=further)
        checkpoint = read_checkpoint(self.root, self.path, self.problems)
        return replace(spec, code=trained.code if trained is not None else None, checkpoint=checkpoint, notes=notes)

    def _add(self, node: Node | None, text: str) -> None:
        self.problems.add(node.place if node is not None else Place(str(self.path), 0), text)

    def _check_keys(self, node: MappingNode, prefix: str, known: tuple[str, ...], hints: Mapping[str, str] = MappingProxyType({})) -> None:
        """``hints``: what to do about keys that stand elsewhere."""
        for key, _ in node.entries:
            if key.text not in known:
                hint = hints.get(key.text) or suggestion(key.text, known) or f" Keys: {', '.join(known)}."
                self._add(key, f"{prefix}unknown key {key.text!r}.{hint}")

    def _name(self) -> str:
        node = self.root.get("name")
        if node is None:
            return re.sub(r"[^\w.-]", "_", self.path.stem).lstrip(".-")[:100] or "space"
        if isinstance(node, Scalar) and _NAME.fullmatch(node.text) and not isinstance(node.value, bool):
            return node.text
        self._add(node, f"name must be a word of letters, digits, '_', '-' and '.', but is {shown(node)}.")
        return ""

    def _probable_family(self) -> Family | None:
        """The family for which the rest is checked where none is named: the nearest, else that which knows most names."""
        if is_own(self.root):
            return None  # with parameters of its own
        node = self.root.get("model")
        text = node.text if isinstance(node, Scalar) else ""
        sections = (self.root.get("space"), self.root.get("baseline"))
        names = [key.text for section in sections if isinstance(section, MappingNode) for key, _ in section.entries]

        def known(model: str) -> int:
            return sum(families.find_setting(model, name) is not None for name in names)

        return families.FAMILIES[nearest(text, families.FAMILIES) or max(families.FAMILIES, key=known)]

    def _epochs(self) -> int:
        return self._whole(self.root.get("epochs"), "epochs", DEFAULT_EPOCHS, least=1)

    def _whole(self, node: Node | None, label: str, default: int, *, least: int) -> int:
        if node is None:
            return default
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        self._add(node, f"{label} must be a whole number of at least {least}, but is {shown(node)}.")
        return default

    def _objectives(self) -> tuple[Objective, ...]:
        node = self.root.get("objective")
        if node is None and self._trains_itself:
            self._add(None, "objective is missing. Say which of the metrics that your code reports counts, such as {maximize: accuracy}.")
        if node is None:
            return ()
        nodes = node.items if isinstance(node, ListNode) else (node,)
        if not 1 <= len(nodes) <= MOST_OBJECTIVES:
            self._add(node, f"objective may list 1 to {MOST_OBJECTIVES} objectives, but lists {len(nodes)}.")
            return ()
        found: list[Objective] = []
        for item in nodes:
            objective = self._objective(item, OBJECTIVES if isinstance(node, ListNode) else METRICS)
            if objective is None:
                continue
            if any(objective.metric == other.metric for other in found):
                self._add(item, f"objective: the objectives must differ from each other, but {objective.metric} is there twice.")
            elif item is nodes[0] and objective.metric in MEASURES and not self._trains_itself:
                name = objective.metric
                self._add(
                    item,
                    f"objective: the first one must be measured after every epoch, since it chooses the epoch of a trial, but {name} is "
                    f"known before training. Put it second: [{{maximize: METRIC}}, {{minimize: {name}}}].",
                )
            found.append(objective)
        return tuple(found)

    def _objective(self, node: Node, known: Mapping[str, Metric]) -> Objective | None:
        if isinstance(node, MappingNode) and len(node.entries) > 1:
            listed = ", ".join(f"{{{key.text}: {value.text if isinstance(value, Scalar) else 'METRIC'}}}" for key, value in node.entries)
            self._add(node, f"objective: each of several objectives must be an entry of a list. Write [{listed}].")
            return None
        key, value = node.entries[0] if isinstance(node, MappingNode) and node.entries else (None, None)
        if key is None or key.text not in ("maximize", "minimize") or not isinstance(value, Scalar):
            near = suggestion(key.text, ("maximize", "minimize")) if key else ""
            given = repr(key.text) if key is not None and isinstance(value, Scalar) else shown(node)
            self._add(node, f"objective must be {{maximize: METRIC}} or {{minimize: METRIC}}, but is {given}.{near}")
            return None
        if self._trains_itself:
            return Objective(value.text, key.text == "maximize")
        metric = OBJECTIVES.get(value.text)
        if metric is not None and metric.name in MEASURES and is_own(self.root):
            self._add(value, f"objective: {metric.name}, a measure of the network, is known of built-in families only. Leave it out.")
            return None
        if metric is None:
            near = suggestion(value.text, known)
            self._add(value, f"objective must be a metric, but is {shown(value)}. Metrics: {', '.join(known)}.{near}")
            return None
        maximize = key.text == "maximize"
        if maximize != metric.maximize:
            better, right = ("more", "maximize") if metric.maximize else ("less", "minimize")
            self._add(key, f"objective: {better} {metric.name} is better, but it is to be {key.text}d. Write {{{right}: {metric.name}}}.")
        return Objective(metric.name, metric.maximize)

    # -- data -----------------------------------------------------------------------------------------------------------

    @property
    def _trains_itself(self) -> bool:
        return trains_itself(self.root)

    def _data(self) -> DataSpec | None:
        node = self.root.get("data")
        if node is None and self._trains_itself:
            return None
        if node is None:
            self._add(None, "data is missing. Give a built-in name (such as digits), or a file or folder.")
            return None
        if isinstance(node, Scalar):
            source = self._text(node, "data")
            return DataSpec(self._path(node, source)) if source else None
        if isinstance(node, ListNode):
            self._add(node, "data must be a name, a path or a mapping with the key 'source', but is a list.")
            return None
        self._check_keys(node, "data: ", DATA_KEYS, {"folds": " Write validation: {folds: N}."})
        source_node = node.get("source")
        if source_node is None:
            self._add(node, "data: source is missing. Give a built-in name (such as digits), or a file or folder.")
        source = self._text(source_node, "data: source")
        validation, folds = self._validation(node.get("validation"))
        return DataSpec(
            source=self._path(source_node, source),
            target=self._text(node.get("target"), "data: target") or None,
            drop=self._texts(node.get("drop"), "data: drop"),
            test=self._test(node.get("test")),
            validation=validation,
            positive=self._positive(node.get("positive")),
            split_seed=self._whole(node.get("split_seed"), "data: split_seed", 0, least=0),
            folds=folds,
            **self._data_options(node),
        )

    def _data_options(self, node: MappingNode) -> dict[str, Any]:
        """What is given of ``DATA_OPTIONS``."""
        found: dict[str, Any] = {}
        for name, option in DATA_OPTIONS.items():
            value = node.get(name)
            if is_empty(value):
                continue
            label = f"data: {name}"
            least = option.low
            found[name] = self._text(value, label) or None if least is None else self._whole(value, label, least, least=least)
            if option.choices and found[name] and found[name] not in option.choices:
                near = suggestion(found[name], option.choices)
                self._add(value, f"{label} must be one of {', '.join(option.choices)}, but is {found[name]!r}.{near}")
        return found

    def _text(self, node: Node | None, label: str) -> str:
        if node is None:
            return ""
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip() and "\0" not in node.value:
            return node.value
        hint = " Put it in quotes." if isinstance(node, Scalar) and not isinstance(node.value, str | None) else ""
        self._add(node, f"{label} must be a text, but is {shown(node)}.{hint}")
        return ""

    def _texts(self, node: Node | None, label: str) -> tuple[str, ...]:
        if node is None:
            return ()
        if not isinstance(node, ListNode):
            self._add(node, f"{label} must be a list of texts, but is {shown(node)}. Put it in brackets.")
            return ()
        return tuple(self._text(item, f"{label}: an entry") for item in node.items)

    def _path(self, node: Node | None, path: str) -> str:
        """A path in an extended file is relative to that file; here it is made relative to the file that extends it."""
        if node is None or node.place.file == str(self.path) or not path:
            return path
        beside = relative_to(node.place.file, path)
        if not beside.exists() or home_expanded(path).is_absolute():
            return path
        return os.path.relpath(beside, self.path.parent)

    def _share(self, node: Node, label: str, also: str = "") -> float | None:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1:
            return float(value)
        self._add(node, f"{label} must be a share above 0 and below 1{also}, but is {shown(node)}.")
        return None

    def _test(self, node: Node | None) -> str | float | None:
        if node is None:
            return None
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip():
            return self._path(node, self._text(node, "data: test"))
        return self._share(node, "data: test", " or a file")

    def _validation(self, node: Node | None) -> tuple[float | None, int | None]:
        """The share, or the number of folds."""
        if node is None:
            return None, None
        if not isinstance(node, MappingNode) or not node.entries:
            return self._share(node, "data: validation", " or {folds: N}"), None
        self._check_keys(node, "data: validation: ", ("folds",))
        folds = node.get("folds")
        return None, None if folds is None else self._whole(folds, "data: validation: folds", FEWEST_FOLDS, least=FEWEST_FOLDS)

    def _positive(self, node: Node | None) -> tuple[str | int | float | bool, ...]:
        if node is None:
            return ()
        if not isinstance(node, ListNode) or not node.items:
            given = "an empty list" if isinstance(node, ListNode) else shown(node)
            self._add(node, f"data: positive must be a list of classes, but is {given}. Put it in brackets.")
            return ()
        classes: list[str | int | float | bool] = []
        for item in node.items:
            if not isinstance(item, Scalar) or item.value is None or (isinstance(item.value, float) and not math.isfinite(item.value)):
                self._add(item, f"data: positive: a class must be a text or a number, but is {shown(item)}.")
            elif any(str(item.value) == str(other) for other in classes):
                self._add(item, f"data: positive: classes must differ from each other, but {shown(item)} is there twice.")
            else:
                classes.append(item.value)
        return tuple(classes)

    # -- study ----------------------------------------------------------------------------------------------------------

    def _settings(self) -> StudySettings:
        node = self.root.get("study")
        defaults = StudySettings()
        if node is None:
            return defaults
        if not isinstance(node, MappingNode):
            self._add(node, f"study must be a mapping with keys such as strategy and trials, but is {shown(node)}.")
            return defaults
        self._check_keys(node, "study: ", STUDY_KEYS)
        strategy, strategy_options = self._choice(node.get("strategy"), "strategy", defaults.strategy, STRATEGIES)
        pruner, pruner_options = self._choice(node.get("pruner"), "pruner", defaults.pruner, PRUNERS)
        return StudySettings(
            strategy=strategy,
            strategy_options=strategy_options,
            pruner=pruner,
            pruner_options=pruner_options,
            trials=self._whole(node.get("trials"), "study: trials", defaults.trials, least=1),
            time_seconds=self._time(node.get("time"), "time"),
            trial_seconds=self._time(node.get("trial_time"), "trial_time"),
            seed=self._whole(node.get("seed"), "study: seed", defaults.seed, least=0),
            confirm=self._confirm(node.get("confirm")),
        )

    def _confirm(self, node: Node | None) -> int | None:
        if node is None or is_empty(node) or (isinstance(node, Scalar) and node.value == "auto"):
            return None
        if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool) and node.value >= 0:
            return node.value
        self._add(node, f"study: confirm must be auto or a whole number of at least 0, but is {shown(node)}.")
        return None

    def _choice(self, node: Node | None, label: str, default: str, known: tuple[str, ...]) -> tuple[str, Mapping[str, Value]]:
        if is_empty(node):
            return default, {}
        name = node.get("name") if isinstance(node, MappingNode) else node
        if not isinstance(name, Scalar) or name.value not in known:
            given = "a mapping without a name" if name is None else shown(name)
            near = suggestion(name.text, known) if isinstance(name, Scalar) else ""
            if isinstance(name, Scalar) and name.text.partition(":")[0] in known:
                near = f" Write {{name: {name.text.partition(':')[0]}, OPTION: VALUE}} for options."
            self._add(node, f"study: {label} must be one of {', '.join(known)}, but is {given}.{near}")
            return default, {}
        options: dict[str, Value] = {}
        for key, value in node.entries if isinstance(node, MappingNode) else ():
            if not isinstance(value, Scalar) or (isinstance(value.value, float) and not math.isfinite(value.value)):
                self._add(value, f"study: {label}: {key.text} must be a plain value, but is {shown(value)}.")
            elif key.text != "name":
                options[key.text] = value.value
        return name.text, options

    def _time(self, node: Node | None, key: str) -> float | None:
        if node is None or is_empty(node):
            return None
        if isinstance(node, Scalar) and not isinstance(node.value, bool):
            try:
                return parse_duration(node.text)
            except UsageError:
                pass
        self._add(node, f"study: {key} must be a duration above 0, such as 30m, 2h, 1h30m or seconds, but is {shown(node)}.")
        return None

    # -- space ----------------------------------------------------------------------------------------------------------

    def _section(self, model: Family | None) -> Section:
        node = self.root.get("space")
        if node is None:
            self._add(None, "space is missing. Give the parameters that are searched.")
        elif not isinstance(node, MappingNode):
            self._add(node, f"space must be a mapping of parameters, but is {shown(node)}.")
        else:
            section = read_section(node, model, self.problems)
            if not any(isinstance(value, MappingNode) for _, value in node.entries):
                self._add(
                    node,
                    "space must have a parameter to search, but has none. Give one a range, such as {type: float, low: 0.0, high: 0.5}.",
                )
            return section
        return Section((), {}, {})

    def _rules(self, label: str, section: Section, model: Family | None) -> tuple[Expression, ...]:
        node = self.root.get(label)
        if node is None:
            return ()
        if not isinstance(node, ListNode):
            self._add(node, f"{label} must be a list of expressions, but is {shown(node)}. Begin each with '- '.")
            return ()
        rules = [self._rule(label, item, section, model) for item in node.items]
        return tuple(rule for rule in rules if rule is not None)

    def _rule(self, label: str, node: Node, section: Section, model: Family | None) -> Expression | None:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self._add(node, f"{label} must hold expressions such as 'layers >= 2', but one is {shown(node)}.")
            return None
        try:
            rule = Expression.parse(node.value)
        except ExpressionError as error:
            self._add(node, f"{label}: {error}.")
            return None
        if not rule.names:
            self._add(node, f"{label}: an expression must speak of a parameter, but {shown(node)} speaks of none.")
        for name in rule.names:
            if name not in section.places and (name not in MEASURES or model is None or model.name not in families.FAMILIES):
                self._add(node, f"{label}: {self._unknown_in_rule(name, section, model)}")
        fixed = {name: [value] for name, value in section.fixed.items()}
        wrong = rule.mismatch({**fixed, **{parameter.name: _some_values(parameter) for parameter in section.parameters}})
        if wrong:
            self._add(node, f"{label}: {wrong}.")
        return rule

    def _unknown_in_rule(self, name: str, section: Section, model: Family | None) -> str:
        if name in MEASURES:
            return f"{name!r}, a measure of the network, is known of built-in families only. Leave the rule out."
        choices = {str(choice) for parameter in section.parameters for choice in getattr(parameter, "choices", ())}
        if name in choices:
            return f"{name!r} is not a parameter of the space. Put texts in quotes: '{name}'."
        near = suggestion(name, section.places)
        if not near and model is not None and families.takes(model, name):
            near = " Add it to the space: a plain value fixes it."
        return f"{name!r} is not a parameter of the space.{near}"

    # -- the whole ------------------------------------------------------------------------------------------------------

    def _baseline(self, model: Family | None) -> dict[str, Value] | None:
        node = self.root.get("baseline")
        if node is None:
            return None
        if not isinstance(node, MappingNode):
            self._add(node, f"baseline must be a mapping of parameters to values, but is {shown(node)}.")
            return None
        values: dict[str, Value] = {}
        for key, value in node.entries:
            setting = families.find_setting(model, key.text) if model else None
            if model and not families.takes(model, key.text):
                self._add(key, f"baseline: {unknown_name(model, key.text)}")
            elif not isinstance(value, Scalar):
                self._add(value, f"baseline: {key.text} must be a plain value, but is {shown(value)}.")
            elif is_admitted(f"baseline: {key.text} must", "", value, setting, self.problems):
                values[key.text] = value.value
        return values

    def _check_layers(self, model: Family, space: SearchSpace, baseline: Mapping[str, Value], node: MappingNode) -> None:
        """A width of a layer that the baseline does not have would say nothing."""
        completed = families.complete(model, {**space.fixed, **baseline})
        for key, _ in node.entries:
            layer = families.layer_of(model, key.text)
            layers = completed[layer[0]] if layer else None
            if layer is not None and isinstance(layers, int) and layers < layer[1]:
                self._add(key, f"baseline: {key.text} exists only where {layer[0]} >= {layer[1]}, but {layer[0]} is {layers}.")

    def _check_baseline(self, model: Family, space: SearchSpace, baseline: Mapping[str, Value] | None) -> None:
        if baseline is None:
            return
        node = self.root.get("baseline")
        assert isinstance(node, MappingNode)
        self._check_layers(model, space, baseline, node)
        broken = space.broken_rule(baseline)
        if broken is not None:
            self._add(node, f"baseline must be allowed, but breaks {broken!r}. Change the baseline or the rule.")

    def _check_not_empty(self, space: SearchSpace) -> None:
        """Notes a space in which no configuration is allowed: exactly where it is small, by many samples where it is not."""
        if not space.forbid and not space.require:
            return
        if any(space.allows(space.sample("spacefile", index)) for index in range(_TRIES)):
            return
        combinations = math.prod(parameter.size for parameter in space.parameters)
        if combinations <= _MOST_TRIED:
            if next(space.every(), None) is not None:
                return
            found = f"all {combinations:.0f} combinations are excluded" if combinations > 1 else "its only combination is excluded"
        else:
            found = f"none of {_TRIES} random ones is allowed"
        rules = self.root.get("forbid") or self.root.get("require")
        self._add(rules, f"forbid and require must leave a configuration, but {found}. Loosen a rule or widen a range.")
