"""Networks of a person's own, trained by the house's loop: they are trained as they are, repeatably, and their mistakes are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from automl import events as ev
from automl.events import Code, Failed, Finished, TrialSpec
from automl.training import make_trainer
from automl.training.own.factory import adopted, made
from automl.training.solo import SoloTrainer
from contracts.owncode import module
from contracts.training import curve, finish, job, trial

NOISY = """
    from torch import nn

    def build(width, dropout=0.5, *, input_shape, outputs):
        features = 1
        for size in input_shape:
            features *= size
        return nn.Sequential(
            nn.Flatten(), nn.Linear(features, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs)
        )
"""
VALUES = {"width": 8, "learning_rate": 0.01, "batch_size": 16}


def factory_trial(folder: Path, code: str = NOISY, number: int = 0, configuration: Mapping[str, Any] = VALUES, **more: Any) -> TrialSpec:
    study = replace(job(folder), model=f"{module(folder, code)}:build", code=Code("factory", (str(folder),)))
    return trial(study, configuration, number, **more)


def failure(folder: Path, code: str) -> str:
    spec = factory_trial(folder, code)
    trainer = make_trainer("cpu", "worker-0")
    trainer.start(spec)
    last = finish(trainer)[-1]
    assert isinstance(last, Failed)
    return last.detail.partition(spec.job.model)[2]


CHANGING = """
    import os
    import torch
    from torch import nn

    def build(width, folder, *, input_shape, outputs):
        assert torch.get_default_dtype() == torch.float32
        os.chdir(folder)
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        if width > 8:
            raise ValueError("too wide")
        return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], width), nn.ReLU(), nn.Linear(width, outputs)).float()
"""


def test_what_a_factory_changes_for_the_whole_process_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it fails, and for the next trial of the same worker."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    values = {**VALUES, "folder": str(tmp_path / "elsewhere")}
    trainer = make_trainer("cpu", "worker-0", 1)
    for number, width in enumerate((8, 8, 9, 8)):
        trainer.start(factory_trial(tmp_path, CHANGING, number, {**values, "width": width}))
    ends: list[object] = []
    while news := trainer.advance():
        ends += [type(event) for event in news if isinstance(event, Finished | Failed)]
        assert (Path.cwd(), torch.get_default_dtype()) == (tmp_path, torch.float32)
        assert not torch.are_deterministic_algorithms_enabled()
    assert ends == [Finished, Finished, Failed, Finished]


def test_numbers_do_not_depend_on_neighbours_or_on_what_was_drawn_before(tmp_path: Path) -> None:
    """With dropout and batch normalisation of torch's own, by one worker; what lanes are to each other is in test_own_lanes.py."""
    first = factory_trial(tmp_path)
    specs = [replace(first, key=replace(first.key, trial=number), seed=first.seed + number % 2) for number in range(4)]
    trainer = SoloTrainer("cpu", "worker-0", 4)
    for spec in specs:
        trainer.start(spec)
    events = finish(trainer)
    torch.manual_seed(123)
    alone = SoloTrainer("cpu", "worker-1")
    alone.start(first)
    again = curve(finish(alone), first)
    assert curve(events, specs[0]) == curve(events, specs[2]) == again
    assert curve(events, specs[1]) == curve(events, specs[3]) != again


def test_an_interrupted_trial_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    spec = factory_trial(tmp_path, epochs=5)
    whole = SoloTrainer("cpu", "worker-0")
    whole.start(replace(spec, job=replace(spec.job, folder=str(tmp_path / "other"))))
    expected = curve(finish(whole), spec)
    left = SoloTrainer("cpu", "worker-0", checkpoint_seconds=0.0)
    left.start(spec)
    for _ in range(4):
        left.advance()
    resumed = SoloTrainer("cpu", "worker-0", checkpoint_seconds=0.0)
    resumed.start(spec)
    found = curve(finish(resumed), spec)
    assert min(found) == 3
    assert found == {epoch: values for epoch, values in expected.items() if epoch in found}


def test_the_weights_of_the_best_epoch_are_saved_and_tested(tmp_path: Path) -> None:
    spec = factory_trial(tmp_path)
    trainer = make_trainer("cpu", "worker-0")
    trainer.start(spec)
    finished = finish(trainer)[-1]
    assert isinstance(finished, Finished)
    assert finished.saved
    saved = torch.load(Path(spec.job.folder, "trials/0/weights.pt"), weights_only=True)
    assert set(saved) == set(made(spec.job.model, spec.job.code or Code("factory"), VALUES, *shapes(spec), 0).state_dict())
    tested = trainer.test(spec)
    assert isinstance(tested, ev.Tested)
    assert 0 <= tested.metrics["accuracy"] <= 1


def shapes(spec: TrialSpec) -> tuple[tuple[int, ...], int]:
    from automl.data import read_info

    info = read_info(Path(spec.job.data))
    return info.input_shape, info.outputs


def test_a_factory_is_given_what_it_names(tmp_path: Path) -> None:
    """Of the trainer's parameters those that it names; with ``**`` the space's own alone."""
    code = """
        from torch import nn
        seen = []
        def build(width, batch_size, input_shape, outputs):
            seen.append((width, batch_size, input_shape, outputs))
            return nn.Linear(input_shape[0], outputs)
        def anything(input_shape, outputs, **more):
            seen.append(more)
            return nn.Linear(input_shape[0], outputs)
    """
    name, own = module(tmp_path, code), Code("factory", (str(tmp_path),))
    made(f"{name}:build", own, VALUES, (4,), 3, 0)
    made(f"{name}:anything", own, VALUES, (4,), 3, 0)
    assert __import__(name).seen == [(8, 16, (4,), 3), {"width": 8}]


def test_initial_weights_are_a_function_of_the_seed_and_leave_the_generator_alone(tmp_path: Path) -> None:
    name, own = f"{module(tmp_path, NOISY)}:build", Code("factory", (str(tmp_path),))
    torch.manual_seed(1)
    expected = torch.rand(())
    torch.manual_seed(1)
    first, same, other = [made(name, own, VALUES, (4,), 3, seed).state_dict() for seed in (5, 5, 6)]
    assert torch.rand(()) == expected
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(first["1.weight"], other["1.weight"])


def test_adopted_networks_compute_what_they_did(tmp_path: Path) -> None:
    """Shared, frozen and recurrent weights and integer buffers: the same outputs, and a step moves what is to move and nothing else."""

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.LSTM(4, 5, batch_first=True)
            self.a, self.b = torch.nn.Linear(5, 5), torch.nn.Linear(5, 5)
            self.b.weight = self.a.weight
            self.frozen = torch.nn.Linear(5, 3).requires_grad_(False)
            self.norm = torch.nn.BatchNorm1d(5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.frozen(self.norm(self.b(self.a(self.rnn(x[:, None].repeat(1, 2, 1))[0][:, -1]))))
            return found

    net = Net().eval()
    x = torch.randn(6, 4)
    before, state = net(x).detach(), {name: value.clone() for name, value in net.state_dict().items()}
    values, gradients = adopted(net, torch.device("cpu"), torch.float32)
    assert torch.equal(net(x), before)
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    assert net.a.weight is net.b.weight
    net(x).sum().backward()  # type: ignore[no-untyped-call]
    assert gradients.norm() > 0
    with torch.no_grad():
        values.sub_(gradients)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(state[name], value)}
    assert moved == {name for name, value in net.named_parameters(remove_duplicate=False) if value.requires_grad}


def test_mistakes_are_placed(tmp_path: Path) -> None:
    """What it raises where it does, what its network raises as well, and what it returns where it is written."""
    net = "    return type('Net', (nn.Module,), {'forward': forward})()"
    places = {
        "def build():\n    return 1 / 0": "2: ZeroDivisionError: division by zero\nTraceback (most recent call last):\n",
        "\n\ndef build():\n    return 3": "3: {model}: must return a torch.nn.Module, but returned of type int. Return the network.",
        f"from torch import nn\ndef forward(self, x):\n    return x.nothing\ndef build():\n{net}": "3: {model}: must take inputs of",
    }
    for code, said in places.items():
        spec = factory_trial(tmp_path, code)
        trainer = make_trainer("cpu", "worker-0")
        trainer.start(spec)
        last = finish(trainer)[-1]
        assert isinstance(last, Failed)
        assert last.detail.startswith(f"{spec.job.model.partition(':')[0]}.py:{said.format(model=spec.job.model)}")
        assert "training/own/factory.py" not in last.detail


MISTAKES = [
    ("def build(): return 3", ": must return a torch.nn.Module, but returned of type int. Return the network."),
    ("def build(): raise SystemExit(3)", ": must return a torch.nn.Module, but called sys.exit(3). Return the network."),
    ("def build(): pass", ": must return a torch.nn.Module, but returned nothing. Return the network."),
    (
        "from torch import nn\ndef build(): return nn.LazyLinear(7)",
        ": must give outputs of the shape (2, 3) for inputs of the shape (2, 5), but they are of the shape (2, 7). Name outputs in its "
        "signature to be told their number.",
    ),
    (
        "from torch import nn\ndef build(): return nn.LSTM(5, 3)",
        ": must give outputs of the shape (2, 3) for inputs of the shape (2, 5), but they are of type tuple. Name outputs in its "
        "signature to be told their number.",
    ),
    (
        "from torch import nn\ndef build(): return nn.Linear(4, 3)",
        ": must take inputs of the shape (2, 5), but raises RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x5 and 4x3)",
    ),
]


@pytest.mark.parametrize(("code", "said"), MISTAKES)
def test_what_a_factory_makes_is_looked_at(tmp_path: Path, code: str, said: str) -> None:
    assert failure(tmp_path, code) == said
