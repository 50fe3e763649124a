"""How far a trial of a person's own code has come: reports, the best of them, and what is kept on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from automl.errors import UsageError
from automl.events import TrialSpec
from automl.metrics import improves
from automl.training import files

_FORMAT = 2
_PLAIN = (str, bytes, bool, int, float, type(None), torch.dtype, torch.device, torch.Size)


class Standing:
    """``epoch`` counts the reports, ``best_epoch`` is where the objective was best (of equal ones, where the ``loss`` was smallest),
    ``best_tests`` are the test metrics of that epoch."""

    def __init__(self, spec: TrialSpec) -> None:
        self.spec = spec
        self.epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_loss: float | None = None
        self.best_tests: dict[str, float] = {}
        self._kept = 0  # the epoch whose state lies in the file of the best one

    def note(self, objective: float, tests: Mapping[str, float], loss: float | None = None) -> None:
        """An epoch was reported."""
        self.epoch += 1
        if improves(objective, self.best, loss, self.best_loss, maximize=self.spec.job.maximize):
            self.best, self.best_loss, self.best_epoch, self.best_tests = objective, loss, self.epoch, dict(tests)

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state, and once more where it is that of the best epoch and may be wanted. Raises UsageError for what cannot be
        read back."""
        if not isinstance(state, Mapping):
            raise UsageError(f"trial.checkpoint: must be given a dict, but was given {type(state).__name__}. Write {{'model': ...}}.")
        _check("state", state)
        state = dict(state)
        if self.epoch and self.epoch == self.best_epoch and self._may_be_saved:
            files.save(state, files.best_checkpoint_file(self.spec))
            self._kept = self.epoch
        best = {"best": self.best, "best_loss": self.best_loss, "best_epoch": self.best_epoch, "best_tests": self.best_tests}
        known = {"epoch": self.epoch, **best, "kept": self._kept}
        files.save({"format": _FORMAT, "meaning": self._meaning(), **known, "state": state}, files.checkpoint_file(self.spec))

    def restore(self, device: torch.device) -> dict[str, Any] | None:
        """The state of the last checkpoint, and stand where it was written; None where there is none of this very trial."""
        if self.epoch:
            raise UsageError("trial.resume: must be called before the first report, but one was made. Call it first of all.")
        file = files.checkpoint_file(self.spec)
        found = files.load_or_none(file, device) if file.exists() else None
        if found is None or found.get("format") != _FORMAT or found.get("meaning") != self._meaning():
            return None
        if self.spec.reported is not None and found["epoch"] > self.spec.reported:
            return None
        self.epoch, self.best, self.best_epoch, self.best_loss = found["epoch"], found["best"], found["best_epoch"], found["best_loss"]
        self.best_tests, self._kept = found["best_tests"], found["kept"]
        state: dict[str, Any] = found["state"]
        return state

    def keep_best(self) -> bool:
        """At the end: the state of the best epoch becomes the trial's weights, where there is one and the trial is among the best few."""
        file = files.best_checkpoint_file(self.spec)
        if not (self._kept and self._kept == self.best_epoch and self._may_be_saved and file.exists()):
            return False
        file.replace(files.weights_file(self.spec))
        return True

    def discard(self) -> None:
        """Delete the checkpoints."""
        files.discard(files.best_checkpoint_file(self.spec))
        files.discard(files.checkpoint_file(self.spec))

    @property
    def _may_be_saved(self) -> bool:
        bar = self.spec.save_if_beats
        return self.best is not None and (bar is None or self._is_better(self.best, bar))

    def _is_better(self, a: float, b: float) -> bool:
        return a > b if self.spec.job.maximize else a < b

    def _meaning(self) -> str:
        """Everything that the numbers of the trial depend on, as far as it is known here."""
        spec = self.spec
        return json.dumps([spec.job.model, spec.job.objective, spec.seed, spec.epochs, dict(spec.configuration)], sort_keys=True)


def _check(where: str, value: object) -> None:
    """Raises UsageError for what torch would not read back without the powers of pickle."""
    match value:
        case Tensor():
            return
        case Mapping() if type(value).__module__ in ("builtins", "collections"):
            for key, entry in value.items():
                _check(where, key)
                _check(f"{where}[{key!r}]", entry)
        case list() | tuple() | set() if type(value).__module__ == "builtins":
            for number, entry in enumerate(value):
                _check(f"{where}[{number}]", entry)
        case _ if type(value) in _PLAIN:
            return
        case _:
            kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
            raise UsageError(
                f"trial.checkpoint: {where} must be tensors, numbers, texts, or lists and dicts of them, but is of type {kind}. "
                "Give it as such, like model.state_dict()."
            )


def write_tested(spec: TrialSpec, metrics: Mapping[str, float]) -> None:
    """Keep what a trial reached on test data until somebody asks for it; nothing where there is nothing."""
    file = _tested_file(spec)
    if metrics:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.name}.unfinished")
        unfinished.write_text(json.dumps(dict(metrics)), encoding="utf-8")
        unfinished.replace(file)
    else:
        file.unlink(missing_ok=True)


def read_tested(spec: TrialSpec) -> dict[str, float]:
    """What ``write_tested`` wrote; empty where there is nothing to read."""
    try:
        content = json.loads(_tested_file(spec).read_text(encoding="utf-8"))
        return {str(name): float(value) for name, value in content.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _tested_file(spec: TrialSpec) -> Path:
    return files.trial_folder(spec) / f"tested{'-' + str(spec.key.replicate) if spec.key.replicate else ''}.json"
