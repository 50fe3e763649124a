"""The part of a search-space file that says what trains: a family, a factory or training function of a person's own, or a command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from automl import families, owncode
from automl.errors import suggestion
from automl.events import Code
from automl.families import Family
from automl.folders import home_expanded
from automl.owncode import CodeError
from automl.space import SearchSpace
from automl.yamlfile import ListNode, Node, Place, Problems, Scalar, is_empty, relative_to, shown
from automl.yamlfile import Mapping as MappingNode

KEYS = ("model", "train", "command", "optuna")
TRAINS_ITSELF = KEYS[1:]
METRICS_KEYS = ("pattern", "file")


@dataclass(frozen=True, slots=True)
class Trained:
    """What trains: its name, the ``code`` where that is a person's own, the ``family`` of its parameters, and where the file says so."""

    model: str
    code: Code | None
    family: Family
    place: Place


def read_trained(root: MappingNode, path: Path, problems: Problems) -> Trained | None:
    """What the file trains; None where that has a mistake. Own modules are imported to see that they can be (in another process)."""
    given = [key for key in KEYS if not is_empty(root.get(key))]
    if len(given) > 1:
        second = root.get(given[1])
        assert second is not None
        text = f"{' and '.join(given)} cannot go together: each says what is trained. Leave all but one of them out."
        problems.add(second.place, text)
        return None
    if not given:
        built_in = ", ".join(families.FAMILIES)
        problems.add(
            Place(str(path), 0),
            f"model is missing. Built in: {built_in}. For code of your own: model: MODULE:NAME, train, command or optuna.",
        )
        return None
    reader = _Reader(given[0], root, path, problems)
    return reader.command() if given[0] == "command" else reader.module()


def is_own(root: MappingNode) -> bool:
    """Whether the file trains by code of a person's own, whatever is wrong with it."""
    model = root.get("model")
    has_target = isinstance(model, Scalar) and ":" in model.text
    return has_target or trains_itself(root)


def trains_itself(root: MappingNode) -> bool:
    """Whether the training is a person's own: it reports what it likes, and may have its own data."""
    return any(not is_empty(root.get(key)) for key in TRAINS_ITSELF)


@dataclass(slots=True)
class _Reader:
    key: str
    root: MappingNode
    path: Path
    problems: Problems

    def _add(self, node: Node | None, text: str) -> None:
        assert node is not None
        self.problems.add(node.place, text)

    @property
    def _node(self) -> Node:
        node = self.root.get(self.key)
        assert node is not None
        return node

    # -- modules --------------------------------------------------------------------------------------------------------

    def module(self) -> Trained | None:
        node, built_in = self._node, ", ".join(families.FAMILIES)
        self._refuse_metrics()
        wanted = "the name of a family" if self.key == "model" else "a function of yours, as MODULE:NAME"
        hint = f" Built in: {built_in}." if self.key == "model" else ""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self._add(node, f"{self.key} must be {wanted}, but is {shown(node)}.{hint}")
            return None
        if self.key == "model" and node.value in families.FAMILIES:
            return Trained(node.value, None, families.FAMILIES[node.value], node.place)
        if self.key == "model" and ":" not in node.value:
            near = suggestion(node.value, families.FAMILIES)
            if not near and "." in node.value:
                near = " Code of your own is named MODULE:NAME, such as model: my_module:build."
            self._add(node, f"model must be a built-in family, but is {shown(node)}. Built in: {built_in}.{near}")
            return None
        if self.key == "optuna":
            self._check_optuna()
        if not owncode.TARGET.fullmatch(node.value):
            self._add(node, f"{self.key} must be MODULE:NAME, such as my_package.net:build, but is {shown(node)}.")
            return None
        folders = self._folders()
        return None if folders is None else self._looked_at(node.value, folders)

    def _check_optuna(self) -> None:
        """An Optuna objective returns one number, and cannot be handed data."""
        if not is_empty(self.root.get("data")):
            self._add(self.root.get("data"), "data must be left out with optuna, since an objective reads its own. Leave data out.")
        if isinstance(self.root.get("objective"), ListNode):
            self._add(self.root.get("objective"), "objective must be one with optuna, but is a list. Write {maximize: value}.")

    def _looked_at(self, target: str, folders: tuple[str, ...]) -> Trained | None:
        try:
            known = owncode.looked_at(target, folders)
        except CodeError as error:
            self._add(self._node, f"{self.key}: {error}")
            return None
        mark = owncode.digest([known.file])
        if self.key in ("train", "optuna"):
            name = "run" if self.key == "train" else "objective"
            if not known.positional:
                given = ", ".join(known.needs) or "nothing"
                text = f"{target!r} must take the trial as its only argument, but takes {given}. Write def {name}(trial)."
                self._add(self._node, f"{self.key}: {text}")
                return None
            return self._trained(target, Code("function" if self.key == "train" else "objective", folders, digest=mark))
        needs = tuple(name for name in known.needs if name not in owncode.SHAPES)
        takes = None if known.takes is None else tuple(name for name in known.takes if name not in owncode.SHAPES)
        return self._trained(target, Code("factory", folders, takes, needs, digest=mark))

    def _trained(self, model: str, code: Code) -> Trained:
        family = families.own_family(model, code.takes, trains_itself=code.kind != "factory")
        return Trained(model, code, family, self._node.place)

    def _folders(self) -> tuple[str, ...] | None:
        """Where own code lies: ``code_folder``, else the folder of the file that names it; and the current folder."""
        node = self.root.get("code_folder")
        if node is None:
            first = Path(self._node.place.file).parent
        elif not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value.strip():
            self._add(node, f"code_folder must be a folder, but is {shown(node)}.")
            return None
        else:
            first = relative_to(node.place.file, str(home_expanded(node.value)))
            if not first.is_dir():
                self._add(node, f"code_folder must be a folder, but there is no {str(first)!r}.")
                return None
        return tuple(dict.fromkeys((str(first.resolve()), str(Path.cwd()))))

    # -- commands -------------------------------------------------------------------------------------------------------

    def command(self) -> Trained | None:
        folders, text = self._folders(), self._command_text()
        source = self._metrics_source()
        if folders is None or text is None or source is None:
            return None
        try:
            words = owncode.words_of(text)
            owncode.places(text)
        except CodeError as error:
            self._add(self._node, f"command {error}")
            return None
        folders = self._with_files(words, folders)
        if folders is None:
            return None
        code = Code("command", folders, pattern=source[0], file=source[1], digest=owncode.digest(owncode.files_of(words, folders[0])))
        return self._trained(text, code)

    def _command_text(self) -> str | None:
        node = self._node
        if isinstance(node, ListNode) and node.items and all(isinstance(item, Scalar) for item in node.items):
            return shlex.join(item.text for item in node.items if isinstance(item, Scalar))
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip():
            return node.value
        self._add(node, f"command must be a command line, such as python train.py --lr {{learning_rate}}, but is {shown(node)}.")
        return None

    def _with_files(self, words: Sequence[str], folders: tuple[str, ...]) -> tuple[str, ...] | None:
        """The folders, first the one that the command can run in: where its program and its script are."""
        script = next((word for word in words[1:] if re.fullmatch(r"[^-{][^{]*\.(py|sh|R|jl)", word)), None)
        home = next((folder for folder in folders if script is None or Path(folder, script).is_file()), None)
        if home is None:
            assert script is not None
            near = suggestion(script, [path.name for folder in folders for path in sorted(Path(folder).glob(f"*{Path(script).suffix}"))])
            self._add(
                self._node, f"command: there must be a file {script!r}, but none is in {' or '.join(folders)}.{near or ' Set code_folder.'}"
            )
            return None
        program = words[0]
        there = Path(home, program) if os.sep in program else shutil.which(program)
        if there is None or (isinstance(there, Path) and not os.access(there, os.X_OK)):
            self._add(self._node, f"command: must begin with a program, but {program!r} is none that can be found and run.")
            return None
        return (home, *(folder for folder in folders if folder != home))

    def _metrics_source(self) -> tuple[str, str] | None:
        """The pattern and the file of ``metrics``."""
        node = self.root.get("metrics")
        if node is None:
            return "", ""
        if not isinstance(node, MappingNode):
            self._add(node, f'metrics must be a mapping such as {{pattern: "acc=(?P<accuracy>[0-9.]+)"}}, but is {shown(node)}.')
            return None
        before = len(self.problems)
        for key, _ in node.entries:
            if key.text not in METRICS_KEYS:
                hint = suggestion(key.text, METRICS_KEYS) or f" Keys: {', '.join(METRICS_KEYS)}."
                self._add(key, f"metrics: unknown key {key.text!r}.{hint}")
        texts = {key: self._text(node.get(key), f"metrics: {key}") for key in METRICS_KEYS}
        if texts["pattern"]:
            self._check_pattern(node.get("pattern"), texts["pattern"])
        return (texts["pattern"], texts["file"]) if len(self.problems) == before else None

    def _text(self, node: Node | None, label: str) -> str:
        if node is None:
            return ""
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip():
            return node.value
        self._add(node, f"{label} must be a text, but is {shown(node)}.")
        return ""

    def _check_pattern(self, node: Node | None, pattern: str) -> None:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            self._add(node, f"metrics: pattern must be a regular expression, but is not ({error}).")
            return
        objective = _objective_named(self.root)
        if objective and objective not in groups:
            named = ", ".join(groups) or "none"
            hint = suggestion(objective, groups) or f" Write (?P<{objective}>[0-9.]+) for the number."
            self._add(node, f"metrics: pattern must have a group named {objective!r}, the objective, but its groups are: {named}.{hint}")

    def _refuse_metrics(self) -> None:
        node = self.root.get("metrics")
        if node is not None:
            self._add(node, "metrics says where those of a command are read, but there is no command. Leave metrics out.")
        node = self.root.get("code_folder")
        if node is not None and not is_own(self.root):
            self._add(node, "code_folder says where your own code lies, but the model is a built-in family. Leave code_folder out.")


def _objective_named(root: MappingNode) -> str:
    node = root.get("objective")
    value = node.entries[0][1] if isinstance(node, MappingNode) and node.entries else None
    return value.text if isinstance(value, Scalar) else ""


# -- what the code and the space say of each other ----------------------------------------------------------------------


def check_use(trained: Trained, space: SearchSpace, places: Mapping[str, Place], problems: Problems) -> tuple[str, ...]:
    """Notes what the code needs and the space lacks. Returns what a person should know without it being a mistake."""
    code = trained.code
    if code is None:
        return ()
    if code.kind == "command":
        return _check_command(trained, code, places, problems)
    for name in code.needs if code.kind == "factory" else ():
        parameter = space.by_name.get(name)
        if name not in places:
            near = suggestion(name, [each for each in places if code.takes is None or each not in code.takes])
            hint = near or " Add it to the space: a plain value fixes it."
            problems.add(trained.place, f"model: {trained.model!r} needs {name!r}, but the space has no such parameter.{hint}")
        elif parameter is not None and parameter.when:
            text = f"must always exist, since {trained.model!r} needs it, but has a condition. Give it a default in the code."
            problems.add(places[name], f"{name}: {text}")
    return ()


def _check_command(trained: Trained, code: Code, places: Mapping[str, Place], problems: Problems) -> tuple[str, ...]:
    named = [*owncode.places(trained.model), *_places_of_file(trained, code, problems)]
    for name in named:
        if name not in places and name not in owncode.PROVIDED:
            near = suggestion(name, [*places, *owncode.PROVIDED])
            hint = near or f" Names beside the space's own: {', '.join(owncode.PROVIDED)}."
            problems.add(trained.place, f"command: {{{name}}} must be a parameter of the space, but is none.{hint}")
    unused = [name for name in places if name not in named]
    if not unused:
        return ()
    verbs = ("is", "changes") if len(unused) == 1 else ("are", "change")
    which = f"{', '.join(unused)} {verbs[0]}"
    return (f"command: {which} not named in it, and {verbs[1]} nothing unless the program reads AUTOML_PARAMETERS.",)


def _places_of_file(trained: Trained, code: Code, problems: Problems) -> list[str]:
    try:
        return owncode.places(code.file)
    except CodeError as error:
        problems.add(trained.place, f"metrics: file {error}")
        return []
