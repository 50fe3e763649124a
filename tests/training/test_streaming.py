"""Samples that do not fit in memory: read while a trial trains, with the numbers that they would have in memory."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from automl.training import samples as samples_module
from automl.training.lanes.trainer import LaneTrainer
from automl.training.samples import StudySamples
from automl.training.solo import SoloTrainer
from automl.training.streaming import Stream, room_of
from contracts.training import PICTURES, PLAIN, curve, finish, job, trial

CPU = torch.device("cpu")


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_batches_are_those_of_samples_in_memory(tmp_path: Path, model: str) -> None:
    study = job(tmp_path, model=model)
    held, streamed = (StudySamples(study.data, CPU, room=room).of(0) for room in (2**40, 0))
    assert held.train.stream is None
    assert streamed.train.stream is not None
    order = torch.randperm(len(held.train), generator=torch.Generator().manual_seed(0))
    for size in (1, 7, 1000):
        pairs = list(zip(held.train.batches(order, size), streamed.train.batches(order, size), strict=True))
        assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in pairs)
        assert all(torch.equal(a, b) for a, b in zip(held.test.in_order(size), streamed.test.in_order(size), strict=True))


@pytest.mark.parametrize("name", ["plain", "cnn"])
def test_a_trial_has_the_numbers_that_it_has_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Also where it would otherwise ride in a lane."""
    values = PICTURES.get(name, PLAIN)
    study = job(tmp_path, model="cnn" if name in PICTURES else "mlp")
    specs = [trial(study, values, number) for number in range(2)]

    def trained(trainer: SoloTrainer | LaneTrainer) -> list[object]:
        for spec in specs:
            trainer.start(spec)
        events = finish(trainer)
        return [curve(events, spec) for spec in specs]

    expected = trained(SoloTrainer("cpu", "worker", dtype=torch.float64))
    monkeypatch.setattr(samples_module, "room_of", lambda device: 0)
    assert trained(SoloTrainer("cpu", "worker", dtype=torch.float64)) == expected
    assert trained(LaneTrainer("cpu", "worker", 4, dtype=torch.float64)) == expected


def test_how_many_threads_read_is_measured_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    source, stream = torch.arange(4000.0).view(-1, 4), Stream(CPU, "some samples")
    pieces = torch.split(torch.arange(1000), 10)
    for _ in range(2):
        found = torch.cat(list(stream.gathered(source, pieces)))
        assert torch.equal(found, source)
    (said,) = caplog.messages
    assert said.startswith("some samples: read from the file while training, by ")
    assert "ahead (samples a second by threads: 1: " in said


def test_who_stops_taking_leaves_no_thread() -> None:
    before = threading.active_count()
    stream = Stream(CPU, "some samples")
    taken = stream.gathered(torch.zeros(100, 2), torch.split(torch.arange(100), 1))
    next(taken)
    taken.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_row_that_cannot_be_read_is_an_error_where_it_is_taken() -> None:
    stream = Stream(CPU, "some samples")
    with pytest.raises((IndexError, RuntimeError)):
        list(stream.gathered(torch.zeros(3, 2), [torch.tensor([1]), torch.tensor([5])]))


def test_the_room_is_a_share_of_what_is_free() -> None:
    assert 2**26 < room_of(CPU) < 2**50


def test_rows_of_folds_are_streamed(tmp_path: Path) -> None:
    study = job(tmp_path)
    split = StudySamples(study.data, CPU, room=0).of(0).train
    some = replace(split, rows=torch.tensor([3, 1, 2]), targets=split.targets[:3])
    found = [inputs for inputs, _ in some.batches(torch.tensor([0, 2]), 2)]
    assert torch.equal(found[0], split.prepared(split.inputs[[3, 2]]))
