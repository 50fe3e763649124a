"""Many trials at once keep the laws of every trainer, and each has the numbers that it has alone."""

from __future__ import annotations

import importlib
import itertools
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from automl import events as ev
from automl.data import Task, prepare
from automl.events import Configuration, Diverged, Failed, Finished, Job, Measure, Reported, Started, TrialSpec, WorkerEvent
from automl.spec import DataSpec
from automl.training import Trainer
from automl.training.lanes.compiled import CompiledGroup
from automl.training.lanes.group import Group, Lane
from automl.training.lanes.placement import Pace
from automl.training.lanes.replay import Capture, Recorder
from automl.training.lanes.stacked import StackedGroup
from automl.training.lanes.trainer import LaneTrainer
from automl.training.solo import SoloTrainer
from contracts.trainer import TrainerContract
from contracts.training import FOLDS, PICTURES, VARIETY, curve, finish, folded_job, job, kinds, of, trial

SHARING = Pace(call_seconds=1.0, flops=1e12)  # calls are so dear that every trial shares where it may

OPTIMISATION: Sequence[Configuration] = (
    {"optimizer": "adam", "learning_rate": 0.01, "label_smoothing": 0.1},
    {"optimizer": "adamw", "learning_rate": 0.003, "l2": 0.1, "schedule": "one_cycle", "beta1": 0.8, "beta2": 0.99},
    {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "schedule": "step", "clip_norm": 0.3, "l2": 0.01},
    {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": True, "schedule": "cosine", "warmup_epochs": 1.5},
    {"optimizer": "rmsprop", "learning_rate": 0.003, "momentum": 0.5, "l1": 0.001},
    {"optimizer": "sgd", "learning_rate": 0.1, "l1": 0.0001, "clip_norm": 0.1},
    {"optimizer": "rmsprop", "learning_rate": 0.002, "l2": 0.001, "dropout": 0.5},
    {"optimizer": "adam", "learning_rate": 0.02, "schedule": "cosine", "dropout": 0.2, "l2": 0.01},
)
WIDTHS = ({"units": 16}, {"units_1": 9, "units_2": 16}, {"units_1": 12, "units_2": 13}, {"units_1": 16, "units_2": 12})
CHANNELS = ({"channels_1": 6, "channels_2": 8}, {"channels_1": 8, "channels_2": 6}, {"channels": 7}, {"channels": 8})


class TestLaneTrainer(TrainerContract):
    def make(self, lanes: int = 1, checkpoint_seconds: float = math.inf) -> Trainer:
        return LaneTrainer("cpu", "worker", lanes, dtype=torch.float64, checkpoint_seconds=checkpoint_seconds)


class TestLaneTrainerThatShares(TrainerContract):
    """Trials meet in groups wherever they may."""

    def make(self, lanes: int = 1, checkpoint_seconds: float = math.inf) -> Trainer:
        return LaneTrainer("cpu", "worker", lanes, dtype=torch.float64, checkpoint_seconds=checkpoint_seconds, pace=SHARING)


class TestLaneTrainerThatStepsTogether(TrainerContract):
    """As on a GPU: one update moves all lanes of a group."""

    def make(self, lanes: int = 1, checkpoint_seconds: float = math.inf) -> Trainer:
        return LaneTrainer("cpu", "worker", lanes, dtype=torch.float64, checkpoint_seconds=checkpoint_seconds, pace=SHARING, together=True)


class TestLaneTrainerThatRecords(TrainerContract):
    """As on a GPU, with steps that are recorded and launched; here what was recorded is called."""

    def make(self, lanes: int = 1, checkpoint_seconds: float = math.inf) -> Trainer:
        return recording(lanes, checkpoint_seconds=checkpoint_seconds)


class Always(Recorder):
    """Records whatever may be recorded, and counts what is launched."""

    def __init__(self) -> None:
        super().__init__(self._counted, time.perf_counter)
        self.launches = 0

    def _counted(self, calls: Callable[[], object]) -> Callable[[], object]:
        def launch() -> None:
            self.launches += 1
            calls()

        return launch

    def pays(self, repetitions: int) -> bool:
        return True


def refused(calls: Callable[[], object]) -> Callable[[], object]:
    raise RuntimeError("operation not permitted when stream is capturing")


def recording(lanes: int, recorder: Recorder | None = None, checkpoint_seconds: float = math.inf) -> LaneTrainer:
    return LaneTrainer(
        *("cpu", "worker", lanes),
        dtype=torch.float64,
        checkpoint_seconds=checkpoint_seconds,
        pace=SHARING,
        together=True,
        recorder=recorder or Always(),
    )


def lanes_of(count: int, dtype: torch.dtype = torch.float64) -> LaneTrainer:
    return LaneTrainer("cpu", "worker", count, dtype=dtype, checkpoint_seconds=math.inf, pace=SHARING)


@pytest.fixture(params=["compiled", "stacked"])
def standing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How fully connected networks train side by side: as on a CPU, and in a stack, as on a GPU."""
    if request.param == "stacked":
        monkeypatch.setattr("automl.training.lanes.trainer.is_compiled", lambda *_: False)


either_way = pytest.mark.usefixtures("standing")


def alone(spec: TrialSpec, dtype: torch.dtype = torch.float64) -> dict[int, dict[str, float]]:
    solo = SoloTrainer("cpu", "reference", dtype=dtype, checkpoint_seconds=math.inf)
    solo.start(replace(spec, job=replace(spec.job, folder=f"{spec.job.folder}-alone")))
    return curve(finish(solo), spec)


def same(left: Mapping[int, Mapping[str, float]], right: Mapping[int, Mapping[str, float]], tolerance: float = 1e-9) -> None:
    assert left.keys() == right.keys()
    for epoch, values in left.items():
        assert values == pytest.approx(right[epoch], rel=tolerance, abs=tolerance), epoch


def assert_as_alone(trainer: LaneTrainer, specs: Sequence[TrialSpec], groups: list[int] | None = None) -> None:
    """Trained at once, in groups of these sizes, each trial has the curve that it has alone."""
    for spec in specs:
        trainer.start(spec)
    events = trainer.advance()
    assert groups is None or group_sizes(trainer) == groups
    events += finish(trainer)
    for spec in specs:
        same(curve(events, spec), alone(spec))


def group_sizes(trainer: LaneTrainer) -> list[int]:
    return sorted(len(group.lanes) for _, group in trainer._groups)


def train_all(trainer: Trainer, specs: Sequence[TrialSpec]) -> list[WorkerEvent]:
    for spec in specs:
        trainer.start(spec)
    return finish(trainer)


def hidden(normalization: str, activation: str = "relu") -> Configuration:
    return {"layers": 2, "normalization": normalization, "activation": activation, "batch_size": 16}


# the law


@either_way
@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_eight_trials_of_one_group_have_their_own_numbers(tmp_path: Path, task: Task, normalization: str) -> None:
    """Other widths, optimisers, schedules, penalties, dropout: one group, and each the curve that it has alone."""
    study = job(tmp_path, task)
    common = hidden(normalization)
    specs = [trial(study, {**common, **WIDTHS[n % 4], **other}, n) for n, other in enumerate(OPTIMISATION)]
    assert_as_alone(lanes_of(8), specs, [8])


@either_way
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_forecasts_of_several_steps_ride(tmp_path: Path, normalization: str) -> None:
    study = job(tmp_path, "regression", steps=3)
    specs = [trial(study, {**hidden(normalization), **WIDTHS[n % 4], **other}, n) for n, other in enumerate(OPTIMISATION[:4])]
    assert_as_alone(lanes_of(4), specs, [4])


@pytest.mark.parametrize("instance_norm", ["none", "last"])
def test_sequences_on_a_scale_of_their_own_train_alone(tmp_path: Path, instance_norm: str) -> None:
    study = job(tmp_path, "regression", steps=3)
    trainer = lanes_of(2)
    for number in range(2):
        trainer.start(trial(study, {**hidden("none"), "instance_norm": instance_norm}, number))
    trainer.advance()
    assert group_sizes(trainer) == ([2] if instance_norm == "none" else [])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_one_update_moves_all_lanes_as_calls_of_their_own_do(tmp_path: Path, optimizer: str, momentum: float) -> None:
    """Also where batches end at different times."""
    study = job(tmp_path)
    common = {**hidden("none"), "optimizer": optimizer, "momentum": momentum, "learning_rate": 0.01}
    variety: Sequence[Configuration] = (
        {"l2": 0.1, "nesterov": True, "schedule": "cosine"},
        {"l1": 0.001, "clip_norm": 0.1, "units": 13, "batch_size": 32, "beta1": 0.8, "dropout": 0.3},
        {"batch_size": 64, "warmup_epochs": 1, "beta2": 0.99, "clip_norm": 0.5},
        {"batch_size": 40, "l2": 0.01},
    )
    specs = [trial(study, {**common, **WIDTHS[0], **other}, n) for n, other in enumerate(variety)]
    assert_as_alone(LaneTrainer("cpu", "worker", 4, dtype=torch.float64, pace=SHARING, together=True), specs, [4])


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_recorded_steps_give_the_numbers_of_called_ones(tmp_path: Path, model: str, normalization: str) -> None:
    """Also where batches end at different times, where an epoch ends with less than a batch, and after lanes have come and gone."""
    study = job(tmp_path, model=model)
    shape = hidden(normalization) if model == "mlp" else {**PICTURES["cnn"], "normalization": normalization}
    if model == "cnn" and normalization == "batch":
        shape["dense_units"] = 0  # a channel that is always active, before another batch normalisation: see docs/lanes.md
    common = {**shape, "optimizer": "adam", "learning_rate": 0.01}
    variety: Sequence[Configuration] = ({"l2": 0.1, "dropout": 0.4}, {"clip_norm": 0.1}, {"l1": 0.01, "dropout": 0.2}, {"beta1": 0.8})
    sizes = (16, 32, 64, 16) if normalization != "batch" else (16,) * 4
    specs = [trial(study, {**common, **other, "batch_size": size}, n) for n, (other, size) in enumerate(zip(variety, sizes, strict=True))]
    recorder = Always()
    assert_as_alone(recording(3, recorder), specs)
    assert recorder.launches > 0


@pytest.mark.parametrize(("called", "recorded", "launched", "least"), [(1.0, 9.0, 0.5, 21), (1.0, 9.0, 1.0, None), (1.0, 0.0, 2.0, None)])
def test_steps_are_recorded_where_that_saves_more_than_it_costs(called: float, recorded: float, launched: float, least: int | None) -> None:
    times = iter([0.0, called, 10.0, 10.0 + recorded, 10.0 + recorded + launched])
    recorder = Recorder(lambda calls: calls, lambda: next(times))
    weights = torch.zeros(3)
    assert [recorder.pays(repetitions) for repetitions in (15, 16)] == [False, True]
    _, replay = recorder.record(lambda x: weights.add_(x).sum(), [torch.ones(3)], [weights])
    assert replay is not None
    assert weights.tolist() == [1.0] * 3
    assert next((repetitions for repetitions in range(100) if recorder.pays(repetitions)), None) == least
    assert replay(torch.full((3,), 2.0)).tolist() == 9.0
    assert weights.tolist() == [3.0] * 3


@pytest.mark.parametrize(
    ("capture", "why"),
    [
        (lambda calls: lambda: None, "they gave other numbers"),
        (refused, "they cannot be recorded here (RuntimeError('operation not permitted when stream is capturing'))"),
    ],
)
def test_steps_that_cannot_be_recorded_are_called(tmp_path: Path, caplog: pytest.LogCaptureFixture, capture: Capture, why: str) -> None:
    study = job(tmp_path)
    specs = [trial(study, {**hidden("batch"), **WIDTHS[n]}, n) for n in range(3)]
    recorder = Recorder(capture, time.perf_counter)
    recorder.pays = lambda repetitions: not recorder.is_off  # type: ignore[method-assign]
    assert_as_alone(recording(3, recorder), specs)
    assert [record.getMessage() for record in caplog.records] == [f"Steps are launched call by call, not as CUDA graphs: {why}."]


@either_way
@pytest.mark.parametrize("activation", ["gelu", "tanh", "sigmoid", "silu", "leaky_relu", "elu"])
@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_padding_is_silent_for_every_activation_and_none_is_needed(tmp_path: Path, activation: str, normalization: str) -> None:
    study = job(tmp_path)
    specs = [trial(study, {**hidden(normalization, activation), **widths, "dropout": 0.3}, n) for n, widths in enumerate(WIDTHS)]
    assert_as_alone(lanes_of(4), specs, [4])


@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_lanes_share_a_group_whatever_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Also where some train side by side, and the products of others take several threads."""
    monkeypatch.setattr("automl.training.threads._FLOPS_A_THREAD", 20_000.0)
    study = job(tmp_path)
    shapes = ({"layers": 0}, {"layers": 1, "units": 40}, {"layers": 3, "units": 7}, {"layers": 2, "units_1": 5, "units_2": 30})
    kinds_of = itertools.product(["none", "batch", "layer"], ["relu", "tanh", "gelu"])
    specs = [
        trial(study, {**hidden(*kind), **shapes[n % 4], **OPTIMISATION[n % 8], "batch_size": 7 + 9 * n, "dropout": 0.1 * (n % 3)}, n)
        for n, kind in enumerate(kinds_of)
    ]
    torch.set_num_threads(threads)
    try:
        assert_as_alone(lanes_of(9), specs, [9])
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("pooling", ["max", "average", "none"])
@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("kernel", [2, 3])
def test_pictures_ride_together(tmp_path: Path, pooling: str, normalization: str, kernel: int) -> None:
    study = job(tmp_path, model="cnn")
    common = {"normalization": normalization, "pooling": pooling, "kernel_size": kernel, "batch_size": 16, "dropout": 0.2}
    specs = [
        trial(study, {**common, **channels, "dense_units": 5 + n, **OPTIMISATION[n]}, n, epochs=2) for n, channels in enumerate(CHANNELS)
    ]
    assert_as_alone(lanes_of(4), specs[::-1], [4])


@either_way
@pytest.mark.parametrize("sizes", [(16, 32, 16, 64), (32, 32, 20, 30), (7, 14, 21, 65), (16, 24, 40, 1000)])
def test_batches_of_several_sizes_have_their_own_numbers(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """In a stack, larger batches are taken in pieces whose gradients add up; the last batch of 65 samples may be a single one."""
    study = job(tmp_path)
    specs = [trial(study, {"units": 12, "batch_size": size, **OPTIMISATION[n]}, n) for n, size in enumerate(sizes)]
    assert_as_alone(lanes_of(4), specs)


@given(data=st.data())
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_rides_along_whenever_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    """Trials come, are stopped and end at any time; every curve is a beginning of the one that the trial has alone."""
    study = job(tmp_path)
    widths, depths = st.integers(9, 16), st.integers(1, 3)
    waiting = [
        trial(study, {**hidden("none"), "layers": data.draw(depths), "units_1": data.draw(widths), "units": data.draw(widths), **other}, n)
        for n, other in enumerate(data.draw(st.permutations(OPTIMISATION))[:6])
    ]
    everyone, trainer = list(waiting), lanes_of(data.draw(st.integers(1, 4)))
    events: list[WorkerEvent] = []
    stopped = set()
    for _ in range(30):
        match data.draw(st.sampled_from(["start", "advance", "advance", "stop"])):
            case "start" if waiting:
                trainer.start(waiting.pop())
            case "stop":
                key = data.draw(st.sampled_from(everyone)).key
                trainer.stop(key)
                stopped.add(key)
            case _:
                events += trainer.advance()
    events += finish(trainer)
    for spec in everyone:
        mine = curve(events, spec)
        whole = alone(spec)
        same(mine, {epoch: whole[epoch] for epoch in mine})
        if spec not in waiting and spec.key not in stopped:
            assert mine.keys() == whole.keys()


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_in_float32_the_first_epoch_agrees_to_a_ten_thousandth(tmp_path: Path, model: str) -> None:
    study = job(tmp_path, model=model)
    variety = VARIETY if model == "mlp" else PICTURES
    specs = [trial(study, {**values, "learning_rate": 1e-3}, n, epochs=1) for n, values in enumerate(variety.values())]
    events = train_all(lanes_of(len(specs), torch.float32), specs)
    for spec in specs:
        same(curve(events, spec), alone(spec, torch.float32), tolerance=1e-4)


@pytest.mark.long
def test_over_a_study_accuracies_alone_and_in_lanes_are_of_one_distribution(tmp_path: Path) -> None:
    """60 trials on digits in float32, where rounding makes curves drift apart, but to no better or worse ends."""
    prepare(DataSpec("digits"), tmp_path / "digits")
    study = Job("study", "mlp", str(tmp_path / "digits"), str(tmp_path / "study"), "accuracy", True, ("loss", "accuracy"))
    draw = random.Random(0)
    specs = []
    for number in range(60):
        configuration = {
            **{"layers": draw.randint(1, 3), "units": draw.randint(16, 64), "dropout": draw.uniform(0, 0.5)},
            **{"learning_rate": 10 ** draw.uniform(-4, -1), "l2": 10 ** draw.uniform(-7, -2), "batch_size": draw.choice([32, 64, 128])},
        }
        specs.append(replace(trial(study, configuration, number, epochs=10), save_if_beats=2.0))
    finals = []
    for trainer in (SoloTrainer("cpu", "alone"), LaneTrainer("cpu", "lanes", 12, pace=SHARING)):
        events = train_all(trainer, specs)
        finals.append([curve(events, spec)[10]["accuracy"] for spec in specs])
    assert stats.ks_2samp(*finals, method="asymp").pvalue > 0.01
    assert abs(np.mean(finals[0]) - np.mean(finals[1])) < 0.01


# lanes come and go


def test_a_free_lane_is_refilled_before_the_next_epoch(tmp_path: Path) -> None:
    study, trainer = job(tmp_path), lanes_of(2)
    specs = [trial(study, VARIETY["plain"], number, epochs=1 + number) for number in range(3)]
    for spec in specs:
        trainer.start(spec)
    assert kinds(trainer.advance()) == [Started, Started]
    first = trainer.advance()
    assert {type(event) for event in of(first, specs[0])} == {Reported, Finished}
    assert kinds(trainer.advance()) == [Started]
    assert group_sizes(trainer) == [2]
    assert {event.key.trial for event in trainer.advance()} == {1, 2}


@pytest.mark.parametrize(
    ("layout", "normalization", "sizes"),
    [("pool", "none", [6]), ("apart", "none", [6]), ("wider", "none", [2, 4]), ("pool", "batch", [2, 4])],
)
def test_folds_share_a_stack_where_their_inputs_and_batches_are_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, normalization: str, sizes: Sequence[int]
) -> None:
    """Two trials of three folds, the last of which has a sample more to train on. Batch normalisation wants equal batches."""
    monkeypatch.setattr("automl.training.lanes.trainer.is_compiled", lambda *_: False)
    study, trainer = folded_job(tmp_path, "multiclass", layout), lanes_of(6)
    for number in range(2):
        for fold in range(FOLDS):
            spec = trial(study, {**VARIETY["plain"], "normalization": normalization}, number)
            trainer.start(replace(spec, key=replace(spec.key, replicate=fold)))
    trainer.advance()
    assert group_sizes(trainer) == sizes


def test_nothing_is_spent_on_lanes_that_nobody_has(tmp_path: Path) -> None:
    """After two thirds are pruned a step takes only the lanes that are left."""
    study, trainer = job(tmp_path), lanes_of(9)
    specs = [trial(study, VARIETY["plain"], number) for number in range(9)]
    for spec in specs:
        trainer.start(spec)
    trainer.advance()
    for spec in specs[:6]:
        trainer.stop(spec.key)
    events = trainer.advance()
    assert group_sizes(trainer) == [3]
    (group,) = (group for _, group in trainer._groups)
    assert len(group.predict()) == 3
    assert {event.key.trial for event in events} == {6, 7, 8}


def test_what_cannot_ride_trains_alone_between_the_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, trainer = job(tmp_path), lanes_of(4)
    monkeypatch.setattr(LaneTrainer, "_can_ride", lambda self, spec: spec.key.trial % 2 == 0)
    specs = [trial(study, VARIETY["dropout"], number) for number in range(4)]
    for spec in specs:
        trainer.start(spec)
    answers = []
    while answer := trainer.advance():
        answers.append([event.key for event in answer if isinstance(event, Reported)])
        assert len(set(answers[-1])) == len(answers[-1]), "a trial goes on only after its report was answered"
    trainer = lanes_of(4)
    events = train_all(trainer, [replace(spec, job=replace(study, folder=str(tmp_path / "again"))) for spec in specs])
    for spec in specs:
        assert kinds(of(events, spec)) == [Started, *[Reported] * 4, Finished]
        same(curve(events, spec), alone(spec))


def test_a_trial_goes_on_alone_where_it_was_in_a_lane_and_the_other_way_round(tmp_path: Path) -> None:
    """The checkpoints are the same."""
    study = job(tmp_path)
    spec = trial(study, {**hidden("batch"), **WIDTHS[1], **OPTIMISATION[4], "dropout": 0.2})
    wider = trial(study, {**hidden("batch"), "units": 16}, 1)
    for begin, go_on in ((True, False), (False, True)):
        trainers = {
            True: LaneTrainer("cpu", "lanes", 2, dtype=torch.float64, checkpoint_seconds=0, pace=SHARING),
            False: SoloTrainer("cpu", "alone", 2, dtype=torch.float64, checkpoint_seconds=0),
        }
        first, second = trainers[begin], trainers[go_on]
        if begin:
            first.start(wider)
        first.start(spec)
        before = [event for _ in range(4) for event in first.advance()]
        second.start(spec)
        after = finish(second)
        assert 1 < min(curve(after, spec)) <= 3
        same({**curve(before, spec), **curve(after, spec)}, alone(spec))


# what goes wrong


class _Unlucky(CompiledGroup):
    """Breaks down in its third epoch unless it has few enough lanes."""

    def train_epoch(self) -> list[float]:
        if len(self.lanes) > self.most and self.lanes[0].course.epoch >= 2:
            raise self.error
        return super().train_epoch()

    most = 1
    error: Exception = RuntimeError("the cable is loose")


@pytest.mark.parametrize("error", [RuntimeError("the cable is loose"), torch.OutOfMemoryError("out of memory")])
def test_a_group_that_breaks_down_goes_on_in_smaller_ones_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """No epoch is told twice, and the numbers are those of the trials alone."""
    monkeypatch.setattr("automl.training.lanes.trainer.CompiledGroup", _Unlucky)
    monkeypatch.setattr(_Unlucky, "error", error)
    monkeypatch.setattr(_Unlucky, "most", 2 if isinstance(error, torch.OutOfMemoryError) else 1)
    study = job(tmp_path)
    specs = [trial(study, VARIETY["dropout"], number) for number in range(5)]
    trainer = lanes_of(5)
    events = train_all(trainer, specs)
    for spec in specs:
        assert kinds(of(events, spec)) == [Started, *[Reported] * 4, Finished]
        same(curve(events, spec), alone(spec))


@pytest.mark.parametrize(("model", "kind"), [("mlp", CompiledGroup), ("cnn", StackedGroup)])
@pytest.mark.parametrize("room", [0, 2])
def test_a_trial_for_which_there_is_no_memory_beside_others_comes_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, kind: type[Group], room: int
) -> None:
    """Where there is none for a single lane, each trains by itself."""
    admit, most = kind.admit, [0]

    def admit_few(group: Group, *given: Any) -> Lane:
        if len(group.lanes) >= room:
            raise torch.OutOfMemoryError("out of memory")
        most[0] = max(most[0], len(group.lanes) + 1)
        return admit(group, *given)

    monkeypatch.setattr(kind, "admit", admit_few)
    study, variety = job(tmp_path, model=model), VARIETY["dropout"] if model == "mlp" else PICTURES["cnn"]
    specs = [trial(study, variety, number) for number in range(5)]
    events = train_all(lanes_of(4), specs)
    for spec in specs:
        assert kinds(of(events, spec)) == [Started, *[Reported] * 4, Finished]
        same(curve(events, spec), alone(spec))
    assert most == [room]


@pytest.mark.parametrize(("model", "part"), [("mlp", "group.Optimiser"), ("cnn", "group.Optimiser"), ("mlp", "compiled._run")])
def test_an_admission_that_fails_halfway_leaves_the_others_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, part: str
) -> None:
    """The rows of lanes that came before and come after are their own: what is measured on the test split are each trial's weights."""
    module, name = f"automl.training.lanes.{part}".rsplit(".", 1)
    real, calls = getattr(importlib.import_module(module), name), itertools.count(1)

    def third_time(*given: Any, **more: Any) -> Any:
        if next(calls) == 3:
            raise torch.OutOfMemoryError("out of memory")
        return real(*given, **more)

    monkeypatch.setattr(f"{module}.{name}", third_time)
    study, variety = job(tmp_path, model=model), VARIETY["dropout"] if model == "mlp" else PICTURES["cnn"]
    specs = [replace(trial(study, variety, number, epochs=1 if number == 0 else 4), tested=True) for number in range(4)]
    events = train_all(lanes_of(4), specs)
    for spec in specs:
        (tested,) = [event for event in of(events, spec) if isinstance(event, ev.Tested)]
        solo = SoloTrainer("cpu", "reference", dtype=torch.float64, checkpoint_seconds=math.inf)
        solo.start(replace(spec, job=replace(spec.job, folder=f"{spec.job.folder}-alone")))
        (expected,) = [event for event in finish(solo) if isinstance(event, ev.Tested)]
        assert tested.metrics == pytest.approx(expected.metrics, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("samples", [64, 65, 33])
def test_batch_normalisation_of_one_unit_stays_within_its_lane(tmp_path: Path, samples: int) -> None:
    """Also where the last batch has one sample."""
    study = job(tmp_path, model="cnn", samples=samples)
    shape = {"conv_layers": 1, "channels": 4, "dense_units": 1, "normalization": "batch", "activation": "silu", "batch_size": 32}
    assert_as_alone(lanes_of(3), [trial(study, {**shape, "optimizer": "sgd", "learning_rate": 0.01}, n, epochs=2) for n in range(3)], [3])


def test_the_trial_that_breaks_its_group_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl.training.lanes.trainer.CompiledGroup", _Unlucky)
    monkeypatch.setattr(_Unlucky, "most", 0)
    study = job(tmp_path)
    specs = [trial(study, VARIETY["plain"], number, epochs=2 + 2 * (number == 1)) for number in range(3)]
    events = train_all(lanes_of(3), specs)
    assert [type(of(events, spec)[-1]) for spec in specs] == [Finished, Failed, Finished]


def test_a_lane_that_diverges_touches_no_other_of_its_group(tmp_path: Path) -> None:
    study = job(tmp_path, model="cnn")
    calm = {"channels": 3, "dense_units": 6, "normalization": "batch", "batch_size": 16, "optimizer": "sgd", "learning_rate": 0.01}
    specs = [trial(study, calm, 0), trial(study, {**calm, "learning_rate": 1e200}, 1), trial(study, calm, 2)]
    trainer = lanes_of(3)
    for spec in specs:
        trainer.start(spec)
    events = trainer.advance()
    assert group_sizes(trainer) == [3]
    events += finish(trainer)
    assert kinds(of(events, specs[1])) == [Started, Diverged]
    for spec in (specs[0], specs[2]):
        same(curve(events, spec), alone(spec))


@pytest.mark.parametrize(("pace", "is_measured"), [(SHARING, True), (Pace(call_seconds=1e-12, flops=1.0), False)])
def test_lanes_are_measured_only_where_the_calls_of_a_step_take_long_enough(tmp_path: Path, pace: Pace, is_measured: bool) -> None:
    order = Measure((trial(job(tmp_path, model="cnn"), PICTURES["cnn"]),), 4, epochs=math.inf)
    assert bool(LaneTrainer("cpu", "worker", 4, pace=pace).measure(order).rates) == is_measured


@pytest.mark.parametrize(("units", "is_measured"), [(8, True), (4096, False)])
def test_lanes_of_compiled_networks_are_measured_only_where_a_step_is_short(tmp_path: Path, units: int, is_measured: bool) -> None:
    configuration = {**VARIETY["plain"], "layers": 3, "units": units, "batch_size": 128}
    order = Measure((trial(job(tmp_path), configuration),), 4, epochs=math.inf)
    assert bool(LaneTrainer("cpu", "worker", 4).measure(order).rates) == is_measured
