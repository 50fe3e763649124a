"""The winner of a study in a folder of its own, ``best/``: everything that is needed to use it, to look at it, and to train it again.

It holds ``weights.pt`` (a plain state dict; of training code of a person's own what that kept, if anything), ``config.yaml`` (model,
parameters, what it reached), and ``info.json`` and, for tables, ``preprocessing.skops`` of the data that it was trained on.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.durable import are_whole, sync
from automl.errors import StudyError
from automl.events import Checkpoint, Code, Configuration
from automl.folders import existing_study, home_expanded

if TYPE_CHECKING:
    from automl.study import Study
    from automl.training.predictor import Predictor

FOLDER = "best"
CONFIG = "config.yaml"
WEIGHTS = "weights.pt"
_OF_THE_DATA = ("info.json", "preprocessing.skops")
_HEADER = """\
# {what}
# Use it:           {use}
# Train it again:   {again}
"""
_USE = "from automl import load_best; model = load_best({path!r}); model.predict(rows)"
_USE_OWN = "the parameters below, with your own code; weights.pt, where it is there, is what it gave to trial.checkpoint (torch.load)"


def command_again(study: Study, folder: Path) -> str:
    """The command that trains the winner of the study in ``folder`` once more, as a new study."""
    return command_for(folder, folder / FOLDER)


def command_for(folder: Path, kept: Path) -> str:
    """The same for what is kept in another folder."""
    return shlex.join(["automl", "run", str(folder / "study.yaml"), "--config", str(kept / CONFIG)])


def write_best(
    study_folder: Path,
    trial_folder: Path,
    *,
    model: str,
    configuration: Configuration,
    data_folder: Path,
    extra: Mapping[str, Any],
    again: str,
) -> Path:
    """Fill ``best/`` of a study from the folder of its winner and that of its data; what was there before is replaced as a whole.

    ``extra`` goes into ``config.yaml`` beside the model and its parameters; ``again`` is the command that trains it once more, for a
    comment at its head. Needs no torch.
    """
    header = _header("The winner of the study.", study_folder, again, extra)
    return write_model(study_folder / FOLDER, trial_folder, model, configuration, data_folder, extra, header)


def front_header(folder: Path, again: str, extra: Mapping[str, Any]) -> str:
    """The comment at the head of ``config.yaml`` of a trial of the front."""
    return _header("A trial of the study's Pareto front.", folder, again, extra)


def _header(what: str, folder: Path, again: str, extra: Mapping[str, Any]) -> str:
    use = _USE_OWN if _is_own_training(extra) else _USE.format(path=str(folder))
    return _HEADER.format(what=what, use=use, again=again)


def code_record(code: Code | None) -> dict[str, Any]:
    """What ``config.yaml`` says of code of a person's own; empty where there is none."""
    return {} if code is None else {"code": {"kind": code.kind, "folder": code.folders[0]}}


def checkpoint_record(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """What ``config.yaml`` says of what the network was made of; empty where it began from nothing."""
    if checkpoint is None:
        return {}
    record = {"model": checkpoint.model, "parameters": dict(checkpoint.parameters), "shape": list(checkpoint.shape)}
    return {"checkpoint": {**record, "outputs": checkpoint.outputs, "folders": list(checkpoint.folders)}}


def _is_own_training(config: Mapping[str, Any]) -> bool:
    """Whether the weights, if there are any, are a person's own to read."""
    kind: str = config.get("code", {}).get("kind", "factory")
    return kind != "factory"


def write_model(
    folder: Path, trial_folder: Path, model: str, configuration: Configuration, data_folder: Path, extra: Mapping[str, Any], header: str
) -> Path:
    """What ``load_best`` reads, in a folder of its own that is replaced as a whole; ``header`` are comments at the head of its config."""
    unfinished, old = (folder.parent / f".{folder.name}-{state}-{os.getpid()}" for state in ("new", "old"))
    for leftover in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(leftover)
    unfinished.mkdir(parents=True)
    if not _is_own_training(extra) or (trial_folder / WEIGHTS).exists():
        shutil.copyfile(trial_folder / WEIGHTS, unfinished / WEIGHTS)
    for name in _OF_THE_DATA:
        if (data_folder / name).exists():
            shutil.copyfile(data_folder / name, unfinished / name)
    config = _config(model, configuration, extra)
    _write_config(unfinished / CONFIG, config, header)
    for path in (*unfinished.iterdir(), unfinished):
        sync(path)
    if folder.exists():
        folder.rename(old)
    unfinished.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def holds_best(study_folder: Path, *, model: str, configuration: Configuration, data_folder: Path, extra: Mapping[str, Any]) -> bool:
    """Whether ``best/`` holds, whole, what ``write_best`` would write there. Needs no torch."""
    return holds_model(study_folder / FOLDER, model, configuration, data_folder, extra)


def holds_model(folder: Path, model: str, configuration: Configuration, data_folder: Path, extra: Mapping[str, Any]) -> bool:
    """Whether the folder holds, whole, what ``write_model`` would write there."""
    try:
        is_same = read_config(folder) == _config(model, configuration, extra)
    except Exception:  # a torn file can make the reader raise nearly anything
        return False
    has_weights = are_whole(folder / WEIGHTS) or (_is_own_training(extra) and not (folder / WEIGHTS).exists())
    return is_same and has_weights and all(_content(folder / name) == _content(data_folder / name) for name in _OF_THE_DATA)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _config(model: str, configuration: Configuration, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {**extra, "model": model, "parameters": dict(configuration)}


def read_config(folder: Path) -> dict[str, Any]:
    """``config.yaml`` of a ``best`` folder. Raises StudyError where it is none that we wrote."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        config = YAML(typ="safe", pure=True).load((folder / CONFIG).read_text(encoding="utf-8"))
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("model"), str) or not isinstance(config.get("parameters"), dict):
        raise StudyError(f"{folder / CONFIG}: must say the model and its parameters, but does not. Restore it from a copy.")
    return config


def load_best(study: str | Path, device: str = "cpu") -> Predictor:
    """The winner of a study, ready to predict: ``load_best("studies/mnist_cnn").predict(rows)``.

    Args:
        study: the study's name or folder, or its ``best`` folder, or one under ``front``; these may have been moved elsewhere.
        device: where to calculate, as torch calls it.
    """
    path = home_expanded(str(study))
    if not path.exists():
        path = existing_study(str(study))
    folder = path if (path / CONFIG).is_file() else path / FOLDER
    _refuse_own_training(folder)
    for name in (CONFIG, WEIGHTS, _OF_THE_DATA[0]):
        if not (folder / name).is_file():
            raise StudyError(f"{path}: must be a study with a winner, but {folder / name} is not there. `automl run` makes it at its end.")
    from automl.training.predictor import read_predictor

    return read_predictor(folder, device)


def _refuse_own_training(folder: Path) -> None:
    """The winner of training code of a person's own is theirs to build."""
    try:
        config = read_config(folder)
    except OSError:
        return  # said by the caller
    if _is_own_training(config):
        raise StudyError(
            f"{folder}: must hold a model that automl has built, but this one was trained by {config['model']}. "
            f"Build it with the parameters in {CONFIG}; {WEIGHTS}, where it is there, is what the code kept of it."
        )


def _write_config(file: Path, config: Mapping[str, Any], header: str) -> None:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 140
    with file.open("w", encoding="utf-8") as out:
        out.write(header)
        yaml.dump(dict(config), out)
