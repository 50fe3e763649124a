"""Hugging Face Transformers: a callback that reports each evaluation to the trial, prunes, and goes on from the trial's checkpoint."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl.errors import MissingExtraError
from automl.integrations.progress import Progress
from automl.training.own.trial import Trial

try:
    from transformers import TrainerCallback
except ModuleNotFoundError:
    raise MissingExtraError(
        "automl.integrations.huggingface: needs Transformers, which is not installed. pip install 'automl-lanes[huggingface]'"
    ) from None

_LEFT_OUT = ("runtime", "samples_per_second", "steps_per_second")  # of an evaluation: how fast it was
_CHECKPOINTS = "checkpoint-*"


class TrialCallback(TrainerCallback):  # type: ignore[misc]
    """At the end of each evaluation: reports its metrics, by the names that the trainer gives them (``eval_loss``, ``eval_accuracy``).

    Where the trainer saves checkpoints into the trial's folder, an interrupted trial goes on from the last one, and they are deleted
    when the trial is over::

        def run(trial):
            callback = TrialCallback(trial)
            arguments = TrainingArguments(
                output_dir=str(trial.folder), num_train_epochs=trial.epochs, eval_strategy="epoch", save_strategy="epoch",
                save_total_limit=1, learning_rate=trial.parameters.learning_rate, seed=trial.seed, report_to="none",
            )
            trainer = Trainer(model, arguments, train_dataset=..., eval_dataset=..., compute_metrics=..., callbacks=[callback])
            trainer.train(resume_from_checkpoint=callback.resume())

    A trial that the study stops leaves ``train`` by ``automl.TrialStopped``.
    """

    def __init__(self, trial: Trial) -> None:
        self._progress, self._trial = Progress(trial), trial
        self._is_training = False

    def resume(self) -> str | None:
        """The checkpoint of this trial from before it was interrupted, for ``resume_from_checkpoint``; None where it begins anew."""
        where = self._progress.resume()
        return None if where is None else str(where)

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._is_training = True

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float] | None = None, **more: Any) -> None:
        if not self._is_training:
            return  # a call of ``evaluate`` beside the training
        try:
            self._progress.report({name: value for name, value in (metrics or {}).items() if not name.endswith(_LEFT_OUT)})
        finally:
            if self._trial.should_stop:
                self._clear(Path(args.output_dir))

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
        where = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self._is_own(Path(args.output_dir)) and where.is_dir():
            self._progress.keep(where, {} if model is None else model.state_dict())

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._is_training = False
        self._clear(Path(args.output_dir))

    def _is_own(self, folder: Path) -> bool:
        return folder.resolve() == self._trial.folder.resolve()

    def _clear(self, folder: Path) -> None:
        """The trial is over: its checkpoints are not needed any more."""
        if not self._is_own(folder):
            return
        for checkpoint in folder.glob(_CHECKPOINTS):
            shutil.rmtree(checkpoint, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # only where nothing else is in it
