"""The winner of a study in a folder of its own, ``best/``: everything that is needed to use it, to look at it, and to train it again.

It holds ``weights.pt`` (a plain state dict), ``config.yaml`` (model, parameters, what it reached), and ``info.json`` and, for tables,
``preprocessing.skops`` of the data that it was trained on.
"""

from __future__ import annotations

import os
import shlex
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.errors import StudyError
from automl.events import Configuration
from automl.folders import home_expanded

if TYPE_CHECKING:
    from automl.study import Study
    from automl.training.predictor import Predictor

FOLDER = "best"
CONFIG = "config.yaml"
WEIGHTS = "weights.pt"
_OF_THE_DATA = ("info.json", "preprocessing.skops")
_HEADER = """\
# {what}
# Use it:           from automl import load_best; model = load_best({path!r}); model.predict(rows)
# Train it again:   {again}
"""


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
    header = _HEADER.format(what="The winner of the study.", path=str(study_folder), again=again)
    return write_model(study_folder / FOLDER, trial_folder, model, configuration, data_folder, extra, header)


def front_header(folder: Path, again: str) -> str:
    """The comment at the head of ``config.yaml`` of a trial of the front."""
    return _HEADER.format(what="A trial of the study's Pareto front.", path=str(folder), again=again)


def write_model(
    folder: Path, trial_folder: Path, model: str, configuration: Configuration, data_folder: Path, extra: Mapping[str, Any], header: str
) -> Path:
    """What ``load_best`` reads, in a folder of its own that is replaced as a whole; ``header`` are comments at the head of its config."""
    unfinished, old = (folder.parent / f".{folder.name}-{state}-{os.getpid()}" for state in ("new", "old"))
    for leftover in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(leftover)
    unfinished.mkdir(parents=True)
    shutil.copyfile(trial_folder / WEIGHTS, unfinished / WEIGHTS)
    for name in _OF_THE_DATA:
        if (data_folder / name).exists():
            shutil.copyfile(data_folder / name, unfinished / name)
    config = _config(model, configuration, extra)
    _write_config(unfinished / CONFIG, config, header)
    if folder.exists():
        folder.rename(old)
    unfinished.rename(folder)
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
    return is_same and are_whole(folder / WEIGHTS) and all(_content(folder / name) == _content(data_folder / name) for name in _OF_THE_DATA)


def are_whole(weights: Path) -> bool:
    """Whether a file of weights is there and holds, to the checksum, what was written. Needs no torch."""
    try:
        with zipfile.ZipFile(weights) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile):
        return False


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _config(model: str, configuration: Configuration, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {**extra, "model": model, "parameters": dict(configuration)}


def read_config(folder: Path) -> dict[str, Any]:
    """``config.yaml`` of a ``best`` folder."""
    from ruamel.yaml import YAML

    config: dict[str, Any] = YAML(typ="safe").load((folder / CONFIG).read_text(encoding="utf-8"))
    return config


def load_best(study: str | Path, device: str = "cpu") -> Predictor:
    """The winner of a study, ready to predict: ``load_best("studies/mnist_cnn").predict(rows)``.

    Args:
        study: the study's folder, or its ``best`` folder, or one under ``front``; these may have been moved elsewhere.
        device: where to calculate, as torch calls it.
    """
    path = home_expanded(str(study))
    folder = path if (path / CONFIG).is_file() else path / FOLDER
    for name in (CONFIG, WEIGHTS, _OF_THE_DATA[0]):
        if not (folder / name).is_file():
            raise StudyError(f"{path}: must be a study with a winner, but {folder / name} is not there. `automl run` makes it at its end.")
    from automl.training.predictor import read_predictor

    return read_predictor(folder, device)


def _write_config(file: Path, config: Mapping[str, Any], header: str) -> None:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 140
    with file.open("w", encoding="utf-8") as out:
        out.write(header)
        yaml.dump(dict(config), out)
