"""One trial at a time keeps the laws of every trainer."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from automl.events import Failed, Finished
from automl.training import Trainer, make_trainer
from automl.training.solo import SoloTrainer
from contracts.trainer import TrainerContract
from contracts.training import PLAIN, curve, finish, job, trial


class TestSoloTrainer(TrainerContract):
    tolerance = 0.0

    def make(self, lanes: int = 1, checkpoint_seconds: float = math.inf) -> Trainer:
        return SoloTrainer("cpu", "worker", lanes, dtype=torch.float64, checkpoint_seconds=checkpoint_seconds)


def test_the_usual_trainer_can_be_had_by_device_and_name(tmp_path: Path) -> None:
    trainer = make_trainer("cpu", "worker 1", 1)
    trainer.start(trial(job(tmp_path), PLAIN))
    started = trainer.advance()[0]
    assert (started.device, started.worker) == ("cpu", "worker 1")  # type: ignore[union-attr]


def test_short_trials_write_no_checkpoint(tmp_path: Path) -> None:
    """A checkpoint comes after seconds of training, so that trials of milliseconds cost no disk."""
    trainer, spec = make_trainer("cpu", "worker", 1), trial(job(tmp_path), PLAIN)
    trainer.start(spec)
    for _ in range(3):
        trainer.advance()
    assert not Path(spec.job.folder).exists()


def test_memory_that_runs_out_is_its_own_reason_and_the_next_trial_trains(tmp_path: Path) -> None:
    study = job(tmp_path)
    trainer = make_trainer("cpu", "worker", 2)
    greedy = trial(study, {**PLAIN, "layers": 8, "units": 65536 * 64}, 0)
    trainer.start(greedy)
    trainer.start(trial(study, PLAIN, 1))
    events = finish(trainer)
    failed = next(event for event in events if isinstance(event, Failed))
    assert failed.key == greedy.key
    assert failed.reason == "out_of_memory"
    assert "memory" in failed.detail
    assert isinstance(events[-1], Finished)


def test_bfloat16_on_a_cpu_trains_in_float32_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once, not with every trial."""
    trainer = make_trainer("cpu", "worker", 1)
    specs = [
        replace(trial(job(tmp_path), {**PLAIN, "precision": precision}, number), seed=1)
        for number, precision in enumerate(("float32", "bfloat16", "bfloat16"))
    ]
    for spec in specs:
        trainer.start(spec)
    events = finish(trainer)
    assert curve(events, specs[0]) == curve(events, specs[1]) == curve(events, specs[2])
    assert caplog.messages == ["precision: bfloat16 is for GPUs, so trials train in float32 on cpu."]


def test_pictures_are_asked_for_by_name(tmp_path: Path) -> None:
    trainer = make_trainer("cpu", "worker", 1)
    trainer.start(replace(trial(job(tmp_path), {}), job=replace(job(tmp_path), model="cnn")))
    failed = finish(trainer)[-1]
    assert isinstance(failed, Failed)
    sentence = "model: cnn takes pictures, but the data are a table of 5 features. Use model: mlp or tabular_resnet."
    assert re.fullmatch(re.escape(sentence), failed.detail)
