"""PyTorch Lightning: a callback that reports each validation to the trial, prunes, and goes on from the trial's checkpoint."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from automl.errors import MissingExtraError
from automl.integrations.progress import Progress
from automl.training.own.trial import Trial

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:
    try:
        from pytorch_lightning import Callback
    except ModuleNotFoundError:
        raise MissingExtraError(
            "automl.integrations.lightning: needs PyTorch Lightning, which is not installed. pip install 'automl-lanes[lightning]'"
        ) from None


class TrialCallback(Callback):  # type: ignore[misc]
    """At the end of each validation: reports all metrics that were logged, and writes a checkpoint into the trial's folder.

    Give ``resume()`` to ``fit``, so that an interrupted trial goes on where it was::

        def run(trial):
            callback = TrialCallback(trial)
            trainer = Trainer(max_epochs=trial.epochs, callbacks=[callback], enable_checkpointing=False, logger=False)
            trainer.fit(Net(trial.parameters.units), data, ckpt_path=callback.resume())

    A trial that the study stops leaves ``fit`` by ``automl.TrialStopped``. ``checkpoint=False``: nothing is written, and an interrupted
    trial begins anew.
    """

    def __init__(self, trial: Trial, *, checkpoint: bool = True) -> None:
        self._progress, self._trial = Progress(trial), trial
        self._checkpoint = checkpoint
        self._written: Path | None = None

    def resume(self) -> str | None:
        """The checkpoint of this trial from before it was interrupted, for ``ckpt_path``; None where it begins anew."""
        self._written = self._progress.resume()
        return None if self._written is None else str(self._written)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._progress.report(trainer.callback_metrics)
        if not self._checkpoint or self._progress.is_silent:
            return
        before, self._written = self._written, self._trial.folder / f"epoch-{self._trial.epoch}.ckpt"
        trainer.save_checkpoint(self._written, weights_only=False)
        self._progress.keep(self._written, pl_module.state_dict())
        if before is not None and before != self._written:
            before.unlink(missing_ok=True)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self._clear()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        if self._trial.should_stop:
            self._clear()

    def _clear(self) -> None:
        """The trial is over: its checkpoint is not needed any more."""
        if self._written is not None:
            with contextlib.suppress(OSError):
                self._written.unlink(missing_ok=True)
                self._trial.folder.rmdir()  # only where nothing else is in it
