"""A trained model together with what turns raw rows into its inputs and its outputs into answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from automl.best import CONFIG, WEIGHTS, read_config
from automl.data import DataInfo, decode, encode
from automl.data.prediction import in_own_units
from automl.data.preparation import read_info
from automl.errors import StudyError, UsageError
from automl.events import Checkpoint, Code
from automl.models import build
from automl.training.files import load

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Predictor:
    """The winner of a study. Made by ``automl.load_best``.

    ``module`` is the network itself, in evaluation mode, for whoever wants to go on with torch; it takes ``[samples, *info.input_shape]``.
    ``config`` is what ``config.yaml`` says: model, parameters, what it reached.
    """

    module: nn.Module
    info: DataInfo
    config: dict[str, Any]
    folder: Path
    device: torch.device

    def predict(self, rows: Any) -> NDArray[Any]:
        """Labels as the data have them, or for regression values in the target's own units: ``[rows]``.

        ``rows`` is a pandas DataFrame with the columns of the training file, an array of raw pictures (flat ones will do), or a list of
        texts.
        """
        return in_own_units(self.folder, decode(self.info, self._outputs(rows).numpy()))

    def predict_proba(self, rows: Any) -> NDArray[np.float64]:
        """The probability of each class, in the order of ``info.classes``: ``[rows, classes]``."""
        if self.info.task == "regression":
            raise UsageError(f"{self.folder}: probabilities need classes, but this model predicts a number. Use predict.")
        outputs = self._outputs(rows).double()
        if self.info.task == "binary":
            positive = outputs.squeeze(1).sigmoid()
            return torch.stack([1 - positive, positive], dim=1).numpy()
        return outputs.softmax(1).numpy()

    def _outputs(self, rows: Any) -> Tensor:
        inputs = torch.from_numpy(encode(self.folder, rows))
        with torch.inference_mode():
            batches = [self.module(batch.to(self.device)).cpu() for batch in torch.split(inputs, _ROWS_AT_ONCE)]
        return torch.cat(batches)


def _network(config: Mapping[str, Any], info: DataInfo) -> nn.Module:
    """The network without its weights. Raises UsageError where the code of a person's own that makes it is not to be had."""
    if "checkpoint" in config:
        from automl.training.pretrained import unweighted

        record = config["checkpoint"]
        lists = {"shape": tuple(record["shape"]), "folders": (*record["folders"], str(Path.cwd()))}
        return unweighted(Checkpoint(**{**record, **lists}), config["parameters"], info.inputs, info.outputs)
    if "code" not in config:
        return build(config["model"], config["parameters"], info.inputs, info.outputs)
    from automl.training.own.factory import made

    code = Code("factory", (config["code"]["folder"], str(Path.cwd())))
    return made(config["model"], code, config["parameters"], info.inputs, info.outputs, 0)


def read_predictor(folder: Path, device: str = "cpu") -> Predictor:
    """The model of a ``best`` folder. Raises StudyError where its files do not belong together."""
    config, info = read_config(folder), read_info(folder)
    module = _network(config, info)
    try:
        module.load_state_dict(load(folder / WEIGHTS, device), assign=True)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise StudyError(f"{folder / WEIGHTS}: must hold the weights of the model in {CONFIG}, but cannot be read so ({reason}).") from None
    return Predictor(module.requires_grad_(False).eval(), info, config, folder, torch.device(device))
