"""Networks of a person's own in lanes: the numbers are those of each alone, and what cannot ride trains alone without anybody noticing."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from automl import events as ev
from automl.events import Code, Failed, Finished, Measure, Reported, TrialSpec
from automl.training.lanes.own import kind_of
from automl.training.lanes.trainer import LaneTrainer
from automl.training.own.dropout import AloneDropout, positioned
from automl.training.solo import SoloTrainer
from contracts.owncode import module
from contracts.training import curve, finish, job, trial

NET = """
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Net(nn.Module):
        def __init__(self, features, outputs, width, dropout, activation, scale):
            super().__init__()
            self.up, self.out = nn.Linear(features, width), nn.Linear(4 * width, outputs)
            self.norm, self.drop, self.last = nn.LayerNorm(width), nn.Dropout(dropout), nn.Dropout(dropout / 2)
            self.batch = nn.BatchNorm1d(4)
            self.conv = nn.Conv1d(1, 4, 3, padding=1, bias=False)
            self.activation, self.scale = getattr(F, activation), scale

        def forward(self, x):
            h = self.drop(self.activation(self.norm(self.up(x)))) * self.scale
            return self.out(self.last(torch.relu(self.batch(self.conv(h[:, None])))).flatten(1))

    def build(width=8, dropout=0.0, activation="gelu", scale=1.0, *, input_shape, outputs):
        return Net(input_shape[0], outputs, width, dropout, activation, scale)
"""
BASE = {"learning_rate": 0.01, "batch_size": 16}


def own_trials(folder: Path, code: str, configurations: list[Mapping[str, Any]], **more: Any) -> list[TrialSpec]:
    study = replace(job(folder), model=f"{module(folder, code)}:build", code=Code("factory", (str(folder),)))
    return [trial(study, {**BASE, **values}, number, **more) for number, values in enumerate(configurations)]


def in_lanes(specs: list[TrialSpec], together: bool = False) -> tuple[list[Any], tuple[int, int]]:
    """All events, and how many trials rode in how many groups."""
    trainer = LaneTrainer("cpu", "worker-0", len(specs), dtype=torch.float64, together=together)
    for spec in specs:
        trainer.start(spec)
    events = trainer.advance()
    riding = len(trainer._rides), len(trainer._groups)
    return [*events, *finish(trainer)], riding


@pytest.mark.parametrize("kind", [LaneTrainer, SoloTrainer])
def test_a_checkpoint_of_a_network_that_was_edited_is_not_used(tmp_path: Path, kind: type[LaneTrainer | SoloTrainer]) -> None:
    """Its weights may have the same length and mean something else."""
    begins = []
    for digest in ("as it was", "edited"):
        (spec,) = own_trials(tmp_path / digest, NET, [{"width": 8}], epochs=6)
        code = spec.job.code or Code("factory")
        before, after = (replace(spec, job=replace(spec.job, code=replace(code, digest=now))) for now in ("as it was", digest))
        first, second = (kind("cpu", "worker", 2, dtype=torch.float64, checkpoint_seconds=0) for _ in range(2))
        first.start(before)
        while not any(isinstance(event, Reported) and event.epoch == 4 for event in first.advance()):
            pass
        second.start(after)
        begins.append(min(curve(finish(second), after)))
    assert begins[0] > 1
    assert begins[1] == 1


def alone(spec: TrialSpec) -> list[Any]:
    trainer = SoloTrainer("cpu", "worker-1", dtype=torch.float64)
    trainer.start(replace(spec, job=replace(spec.job, folder=f"{spec.job.folder}-alone")))
    return finish(trainer)


def assert_same_as_alone(specs: list[TrialSpec], riding: tuple[int, int], together: bool = False) -> None:
    events, found = in_lanes(specs, together)
    assert found == riding
    for spec in specs:
        own, expected = curve(events, spec), curve(alone(spec), spec)
        assert list(own) == list(expected) != []
        for epoch, values in expected.items():
            assert own[epoch] == pytest.approx(values, abs=1e-9)


MIXED: list[Mapping[str, Any]] = [
    {"learning_rate": 0.03, "dropout": 0.0},
    {"learning_rate": 0.003, "dropout": 0.3, "optimizer": "sgd", "momentum": 0.9, "clip_norm": 0.5},
    {"dropout": 0.6, "l1": 0.001, "l2": 0.01, "schedule": "cosine", "label_smoothing": 0.1},
]


def test_numbers_are_those_of_each_alone(tmp_path: Path) -> None:
    """With convolution, layer and batch normalisation and dropout of torch's own; a last batch that is not full (48 in batches of 13)."""
    assert_same_as_alone(own_trials(tmp_path, NET, [{**values, "batch_size": 13} for values in MIXED], epochs=4), (3, 1))


def test_one_update_moves_those_of_one_optimiser(tmp_path: Path) -> None:
    """As on a GPU: the group of the second trial is another."""
    assert_same_as_alone(own_trials(tmp_path, NET, MIXED, epochs=3), (3, 2), together=True)


def test_a_batch_of_one_sample_is_normalised_by_the_past(tmp_path: Path) -> None:
    samples = 48
    assert_same_as_alone(own_trials(tmp_path, NET, [{"batch_size": samples - 1}, {"batch_size": samples - 1}]), (2, 1))


DIFFERENT: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
    ({"width": 8}, {"width": 16}),
    ({"batch_size": 16}, {"batch_size": 24}),
    ({"activation": "gelu"}, {"activation": "silu"}),
    ({"scale": 1.0}, {"scale": 0.5}),
]


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_what_differs_in_shape_or_code_does_not_share(tmp_path: Path, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    assert_same_as_alone(own_trials(tmp_path, NET, [first, second, first, second], epochs=2), (4, 2))


ALONE = [
    # a random function that nobody can draw for
    NET.replace("self.activation(self.norm(self.up(x)))", "F.dropout(self.norm(self.up(x)), 0.1, self.training)"),
    # random layers of other kinds
    NET.replace("nn.Dropout(dropout / 2)", "nn.AlphaDropout(0.1)"),
    # dropout that is called twice
    NET.replace("* self.scale", "* self.drop(self.up(x))"),
    # dropout of something without an axis of samples in front
    NET.replace(
        "self.last(torch.relu(self.batch(self.conv(h[:, None]))))", "self.last(self.conv(h[:, None]).transpose(0, 1)).transpose(0, 1)"
    ),
    # control flow that depends on values
    NET.replace("h = self.drop", "assert x.abs().sum() >= 0; h = self.drop"),
    # state that forward changes
    NET.replace("h = self.drop", "self.calls = getattr(self, 'calls', 0) + 1; h = self.drop"),
    # attributes of which nothing is known
    NET.replace("self.scale = getattr(F, activation), scale", "self.scale = (lambda x, k=scale: x * k), scale * torch.ones(())"),
    # frozen weights
    NET.replace("self.batch =", "self.norm.requires_grad_(False); self.batch ="),
    # what vmap has no rule for
    NET.replace("self.norm, self.drop", "self.rnn = nn.GRU(width, width); self.norm, self.drop").replace(
        "(self.up(x))", "(self.rnn(self.up(x))[0])"
    ),
]


@pytest.mark.parametrize("code", ALONE)
def test_what_cannot_ride_trains_alone(tmp_path: Path, code: str) -> None:
    assert code != NET
    assert_same_as_alone(own_trials(tmp_path, code, [{"dropout": 0.2}] * 2, epochs=2), (0, 0))


def test_those_that_ride_and_those_that_do_not_are_in_one_study(tmp_path: Path) -> None:
    layer = "self.extra = nn.AlphaDropout(0.1) if width == 16 else nn.Identity(); self.activation, self.scale"
    code = NET.replace("self.activation, self.scale", layer).replace("self.up(x)", "self.extra(self.up(x))")
    assert_same_as_alone(own_trials(tmp_path, code, [{"width": 8}, {"width": 16}, {"width": 8}], epochs=2), (2, 1))


def test_a_trial_goes_on_alone_from_the_checkpoint_of_its_lane_and_back(tmp_path: Path) -> None:
    specs = own_trials(tmp_path, NET, MIXED, epochs=6)
    expected = [curve(alone(spec), spec) for spec in specs]
    left = LaneTrainer("cpu", "worker-0", 3, dtype=torch.float64, checkpoint_seconds=0.0)
    for spec in specs:
        left.start(spec)
    for _ in range(3):
        left.advance()
    solo = SoloTrainer("cpu", "worker-1", dtype=torch.float64, checkpoint_seconds=0.0)
    solo.start(specs[1])
    for _ in range(3):
        events = solo.advance()
    assert min(curve(events, specs[1])) > 2
    again = LaneTrainer("cpu", "worker-2", 3, dtype=torch.float64)
    for spec in specs:
        again.start(spec)
    events = finish(again)
    for spec, whole in zip(specs, expected, strict=True):
        found = curve(events, spec)
        assert min(found) > 1
        for epoch, values in found.items():
            assert values == pytest.approx(whole[epoch], abs=1e-9)


def test_the_weights_of_the_best_epoch_are_those_of_the_trial_alone(tmp_path: Path) -> None:
    specs = own_trials(tmp_path, NET, MIXED, epochs=4)
    events, _ = in_lanes([specs[0], replace(specs[1], tested=True), specs[2]])
    assert all(event.saved for event in events if isinstance(event, Finished))
    (tested,) = [event for event in events if isinstance(event, ev.Tested)]
    for spec in specs:
        alone(spec)
        mine, theirs = (
            torch.load(Path(folder, f"trials/{spec.key.trial}/weights.pt"), weights_only=True)
            for folder in (spec.job.folder, f"{spec.job.folder}-alone")
        )
        assert [(name, value.dtype) for name, value in mine.items()] == [(name, value.dtype) for name, value in theirs.items()]
        for name, value in mine.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-9, atol=1e-9)
    apart = replace(specs[1], job=replace(specs[1].job, folder=f"{specs[1].job.folder}-alone"))
    measured = SoloTrainer("cpu", "worker-1", dtype=torch.float64).test(apart)
    assert isinstance(measured, ev.Tested)
    assert dict(tested.metrics) == pytest.approx(dict(measured.metrics))


def test_one_that_fails_fails_alone(tmp_path: Path) -> None:
    """At its end it is told like any other, with what its factory says."""
    code = NET.replace("return Net(", "assert width != 9, 'no odd widths'\n        return Net(")
    specs = own_trials(tmp_path, code, [{"width": 8}, {"width": 9}, {"width": 8}], epochs=2)
    events, riding = in_lanes(specs)
    assert riding == (2, 1)
    assert [event.key.trial for event in events if isinstance(event, Failed)] == [1]
    assert "no odd widths" in next(event.detail for event in events if isinstance(event, Failed))
    assert sorted(event.key.trial for event in events if isinstance(event, Finished)) == [0, 2]


def test_lanes_are_measured_like_those_of_families(tmp_path: Path) -> None:
    together, alone = (Measure(tuple(own_trials(tmp_path, net, [{}] * 4)), 4, epochs=math.inf) for net in (NET, ALONE[0]))
    assert 1 in LaneTrainer("cpu", "worker-0", 4).measure(together).rates
    assert LaneTrainer("cpu", "worker-0", 4).measure(alone).rates == {}


# -- what is alike ----------------------------------------------------------------------------------------------------


def _net(change: Callable[[nn.Sequential], object] = lambda net: None) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.1), nn.Linear(4, 2))
    change(net)
    return net


def test_kinds_are_told_apart_by_everything_but_values() -> None:
    assert kind_of(_net()) == kind_of(_net())
    changes: list[Callable[[nn.Sequential], object]] = [
        lambda net: setattr(net[1], "negative_slope", 0.2),
        lambda net: setattr(net, "scale", 2),
        lambda net: setattr(net, "options", {"a": [1, {2}]}),
        lambda net: setattr(net, "function", functools.partial(torch.relu, inplace=True)),
        lambda net: net.append(nn.Identity()),
        lambda net: setattr(net[2], "weight", nn.Parameter(torch.zeros(2, 4, 1)[..., 0])) or setattr(net[2], "bias", None),
    ]
    kinds = [kind_of(_net()), *(kind_of(_net(change)) for change in changes)]
    assert None not in kinds
    assert len(set(kinds)) == len(kinds)
    unknown: list[Callable[[nn.Sequential], object]] = [
        lambda net: setattr(net, "table", torch.zeros(2)),
        lambda net: setattr(net, "hidden", [nn.Linear(1, 1)]),
        lambda net: net.register_forward_hook(lambda *_: None),
        lambda net: net.register_buffer("order", torch.arange(3)),
        lambda net: net[0].requires_grad_(False),
    ]
    assert [kind_of(_net(change)) for change in unknown] == [None] * len(unknown)


def test_dropout_is_drawn_by_position_also_where_it_is_called_twice() -> None:
    """Each call draws anew, each step as well, and the same again; shared layers stay shared."""
    drop = nn.Dropout(0.5)
    net = nn.Sequential(drop, nn.Sequential(drop), nn.Dropout(0.0))
    drops = positioned(net)
    assert [(one.share, one.layer) for one in drops] == [(0.5, 0), (0.0, 1)]
    source = AloneDropout(drops, seed=3, rows=8)

    def called(step: int, first: int, samples: int) -> torch.Tensor:
        source.begin(step, first, samples)
        once = net[0](torch.ones(samples, 5))
        assert not torch.equal(once, net[1](torch.ones(samples, 5)))
        return once

    whole = called(0, 0, 8)
    assert torch.equal(whole, called(0, 0, 8))
    assert not torch.equal(whole, called(1, 0, 8))
    assert torch.equal(whole[4:], called(0, 4, 4))
    assert set(whole.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(net.eval()(torch.ones(8, 5)), torch.ones(8, 5))
