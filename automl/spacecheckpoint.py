"""The section ``checkpoint`` of a search-space file: what the family ``finetune`` begins from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from automl import families, owncode
from automl.best import CONFIG, FOLDER, WEIGHTS, read_config
from automl.errors import suggestion
from automl.events import Checkpoint, Value
from automl.families.finetune import LIBRARIES, TRUNKS
from automl.folders import home_expanded
from automl.owncode import CodeError
from automl.yamlfile import ListNode, Node, Place, Problems, Scalar, is_empty, relative_to, shown
from automl.yamlfile import Mapping as MappingNode

KEYS = ("file", "model", "parameters", "shape", "outputs")
SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
_WHAT = "the folder of a study, a library's network such as timm/resnet18, or a mapping with file and model"


def read_checkpoint(root: MappingNode, path: Path, problems: Problems) -> Checkpoint | None:
    """What the file says; None where it says nothing, or something wrong, which is noted."""
    node, model = root.get("checkpoint"), root.get("model")
    wants = isinstance(model, Scalar) and model.value == families.FINETUNE.name
    if is_empty(node):
        if wants:
            problems.add(model.place if model else Place(str(path), 0), f"checkpoint is missing: finetune begins from one. Give {_WHAT}.")
        return None
    assert node is not None
    if not wants:
        problems.add(node.place, "checkpoint is what the family finetune begins from, but the model is another. Write model: finetune.")
        return None
    return _Reader(node, path, problems).checkpoint()


def digest_of(file: Path) -> str:
    """sha256 of a file of weights."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@dataclass(slots=True)
class _Reader:
    node: Node
    path: Path
    problems: Problems

    def _add(self, node: Node | None, text: str) -> None:
        self.problems.add((node or self.node).place, f"checkpoint{text}")

    def checkpoint(self) -> Checkpoint | None:
        if isinstance(self.node, MappingNode):
            return self._mapping(self.node)
        if not isinstance(self.node, Scalar) or not isinstance(self.node.value, str) or not self.node.value.strip():
            self._add(None, f" must be {_WHAT}, but is {shown(self.node)}.")
            return None
        text = self.node.value
        if text.partition("/")[0] in LIBRARIES and text.partition("/")[2] and not self._place(text).exists():
            return Checkpoint(text)
        return self._folder(text)

    def _place(self, text: str) -> Path:
        """A path relative to the file that says it; where there is none, to the current folder."""
        beside = relative_to(self.node.place.file, str(home_expanded(text)))
        return beside if beside.exists() else home_expanded(text)

    def _folder(self, text: str) -> Checkpoint | None:
        """A study that automl has made, or its folder best."""
        place = self._place(text)
        if place.is_file():
            self._add(None, f" must say what network {text} is of. Write {{file: {text}, model: MODULE:NAME or a family}}.")
            return None
        folder = place if (place / CONFIG).is_file() else place / FOLDER
        if not place.exists() or not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
            missing = "is not there" if not place.exists() else "is no study with a winner"
            self._add(None, f" must be {_WHAT}, but {text!r} {missing}.")
            return None
        try:
            config, info = read_config(folder), json.loads((folder / "info.json").read_text(encoding="utf-8"))
            return self._of_study(text, folder, config, info)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._add(None, f": {folder} must hold a network of automl, but cannot be read ({error}).")
            return None

    def _of_study(self, text: str, folder: Path, config: dict[str, Any], info: dict[str, Any]) -> Checkpoint | None:
        model, kind = str(config["model"]), info.get("kind")
        is_own = config.get("code", {}).get("kind") == "factory"
        if (model not in TRUNKS and not is_own) or kind != "pictures":
            given = f"{model} for {kind}" if model in TRUNKS or is_own else model
            self._add(None, f" must hold a network for pictures, of {' or '.join(TRUNKS)} or of your own, but {text!r} holds {given}.")
            return None
        file = (folder / WEIGHTS).resolve()
        folders = (str(config["code"]["folder"]),) if is_own else ()
        shape, parameters = tuple(info["input_shape"]), dict(config["parameters"])
        return Checkpoint(model, str(file), parameters, shape, int(info["outputs"]), folders, digest_of(file))

    def _mapping(self, node: MappingNode) -> Checkpoint | None:
        before = len(self.problems)
        for key, _ in node.entries:
            if key.text not in KEYS:
                self._add(key, f": unknown key {key.text!r}.{suggestion(key.text, KEYS) or f' Keys: {chr(44).join(KEYS)}.'}")
        file, found = self._file(node.get("file")), self._model(node.get("model"))
        parameters = self._parameters(node.get("parameters"), found)
        shape = self._shape(node.get("shape"))
        outputs = node.get("outputs")
        count = outputs.value if isinstance(outputs, Scalar) else 0
        if outputs is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            self._add(outputs, f": outputs must be a whole number of at least 1, but is {shown(outputs)}.")
        if len(self.problems) > before or file is None or found is None:
            return None
        return replace(found, file=str(file), parameters=parameters, shape=shape, outputs=int(count or 0), digest=digest_of(file))

    def _file(self, node: Node | None) -> Path | None:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            given = "is missing" if node is None else f"must be a path, but is {shown(node)}"
            self._add(node, f": file {given}. Give one that ends in {', '.join(SUFFIXES)}.")
            return None
        place = self._place(node.value)
        if not place.is_file():
            self._add(node, f": file must be there, but {node.value!r} is not.")
            return None
        if place.suffix not in SUFFIXES:
            self._add(node, f": file must end in {', '.join(SUFFIXES)}, but is {node.value!r}.")
            return None
        return place.resolve()

    def _model(self, node: Node | None) -> Checkpoint | None:
        wanted = f"{', '.join(TRUNKS)} or a function of yours, as MODULE:NAME"
        text = node.value if isinstance(node, Scalar) else None
        if isinstance(text, str) and text in TRUNKS:
            return Checkpoint(text)
        if not isinstance(text, str) or not owncode.TARGET.fullmatch(text):
            given = "is missing" if node is None else f"is {shown(node)}"
            self._add(node, f": model must be {wanted}, but {given}.{suggestion(str(text), TRUNKS)}")
            return None
        assert node is not None
        folders = tuple(dict.fromkeys((str(Path(node.place.file).parent.resolve()), str(Path.cwd()))))
        try:
            owncode.looked_at(text, folders)
        except CodeError as error:
            self._add(node, f": model: {error}")
            return None
        return Checkpoint(text, folders=folders)

    def _parameters(self, node: Node | None, found: Checkpoint | None) -> dict[str, Value]:
        if node is None:
            return {}
        if not isinstance(node, MappingNode):
            self._add(node, f": parameters must be a mapping of parameters to values, but is {shown(node)}.")
            return {}
        values: dict[str, Value] = {}
        for key, value in node.entries:
            if not isinstance(value, Scalar):
                self._add(value, f": parameters: {key.text} must be a plain value, but is {shown(value)}.")
                continue
            values[key.text] = value.value
            if found is None or found.model not in families.FAMILIES:
                continue
            setting = families.find_setting(found.model, key.text)
            if setting is None:
                near = suggestion(key.text, families.setting_names(found.model))
                self._add(key, f": parameters: {key.text!r} is not a parameter of {found.model}.{near}")
            elif not setting.admits(value.value):
                self._add(value, f": parameters: {key.text} must be {setting.domain}, but is {shown(value)}.")
        return values

    def _shape(self, node: Node | None) -> tuple[int, ...]:
        if node is None:
            return ()
        sides = [item.value if isinstance(item, Scalar) else None for item in node.items] if isinstance(node, ListNode) else []
        found = [side for side in sides if isinstance(side, int) and not isinstance(side, bool) and side > 0]
        if len(found) != 3 or len(sides) != 3:
            self._add(node, f": shape must be [channels, height, width] of the pictures it was trained on, but is {shown(node)}.")
        return tuple(found)
