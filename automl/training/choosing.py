"""The trainer of a worker: hands each trial to the trainer of its kind of code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from automl.events import Job, Measure, Measured, TrialKey, TrialSpec, WorkerEvent

if TYPE_CHECKING:
    from automl.training import Trainer
    from automl.training.samples import Samples

_Kind = Literal["model", "function", "command", "objective"]


class ChoosingTrainer:
    """Models are trained in lanes, functions and commands train by themselves; each kind's trainer is made when a trial needs it."""

    def __init__(self, device: str, worker: str, lanes: int) -> None:
        self.lanes = lanes
        self._device, self._worker = device, worker
        self._trainers: dict[_Kind, Trainer] = {}

    def start(self, trial: TrialSpec) -> None:
        self._for(trial.job).start(trial)

    def stop(self, key: TrialKey) -> None:
        for trainer in self._trainers.values():
            trainer.stop(key)

    def advance(self) -> list[WorkerEvent]:
        return [event for trainer in self._trainers.values() for event in trainer.advance()]

    def test(self, trial: TrialSpec) -> WorkerEvent:
        return self._for(trial.job).test(trial)

    def measure(self, order: Measure) -> Measured:
        return self._for(order.examples[0].job).measure(order)

    def _for(self, job: Job) -> Trainer:
        kind: _Kind = "model" if job.code is None or job.code.kind == "factory" else job.code.kind
        if kind not in self._trainers:
            self._trainers[kind] = self._made(kind)
        return self._trainers[kind]

    def _made(self, kind: _Kind) -> Trainer:
        match kind:
            case "function" | "objective":
                from automl.training.own.function import FunctionTrainer

                return FunctionTrainer(self._device, self._worker, self.lanes, self._samples)
            case "command":
                from automl.training.own.command import CommandTrainer

                return CommandTrainer(self._device, self._worker, self.lanes)
            case "model":
                from automl.training.lanes.trainer import LaneTrainer

                return LaneTrainer(self._device, self._worker, self.lanes)

    def _samples(self, trial: TrialSpec) -> Samples:
        import torch

        from automl.training.samples import StudySamples, apart

        return apart(StudySamples(trial.job.data, torch.device(self._device)).of(trial.key.replicate))
