"""Training on from a checkpoint: what is frozen stays, what frozen stages make is computed once, and mistakes are named."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from automl.checkpoint import looked_at
from automl.data import read_info
from automl.errors import UsageError
from automl.events import Checkpoint, Job, TrialSpec
from automl.inputs import Inputs
from automl.models import build
from automl.models.finetune import Finetuned
from automl.training import features
from automl.training.fit import Fit
from automl.training.lanes.trainer import LaneTrainer
from automl.training.pretrained import finetuned, unweighted
from automl.training.samples import read_samples
from automl.training.solo import SoloTrainer
from automl.training.weights import initialised
from contracts.owncode import module
from contracts.training import curve, finish, job, trial

CPU = torch.device("cpu")
SHAPE = (1, 6, 6)
INPUTS = Inputs("pictures", SHAPE)
CNN = {"conv_layers": 2, "channels": 3, "dense_units": 5, "normalization": "batch"}
RESNET = {"stages": 2, "channels": 3}
BASE = {"batch_size": 16, "learning_rate": 0.01}

FOREIGN = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.conv = nn.Conv2d(1, width, 3, padding=1)
            self.norm = nn.BatchNorm2d(width)
            self.act = nn.ReLU()
            self.pool = nn.AdaptiveAvgPool2d(2)
            self.fc = nn.Linear(4 * width, 7)

        def forward(self, x):
            return self.fc(self.pool(self.act(self.norm(self.conv(x)))).flatten(1))

    class Twice(Net):
        def forward(self, x):
            x = self.act(self.norm(self.conv(x)))
            return self.fc(self.pool(x + 1).flatten(1))

    def build(width=4):
        return Net(width)

    def twice(width=4):
        return Twice(width)

    def headless():
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
"""


def weights_of(model: str, parameters: Mapping[str, Any], shape: tuple[int, ...] = SHAPE, outputs: int = 4) -> dict[str, torch.Tensor]:
    network = build(model, parameters, shape, outputs)
    initialised(network, 7)
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def checkpoint(folder: Path, model: str = "cnn", parameters: Mapping[str, Any] = CNN, shape: tuple[int, ...] = SHAPE) -> Checkpoint:
    file = folder / f"{model}.pt"
    torch.save(weights_of(model, parameters, shape), file)
    return Checkpoint(model, str(file), parameters, shape, 4, digest=f"of {model}")


def foreign(folder: Path, name: str = "build") -> Checkpoint:
    target, file = f"{module(folder, FOREIGN)}:{name}", folder / "foreign.safetensors"
    sys.path.insert(0, str(folder))
    torch.manual_seed(0)
    network = getattr(__import__(target.partition(":")[0]), name)()
    save_file(network.state_dict(), file)
    return Checkpoint(target, str(file), folders=(str(folder),), digest="of a network")


def study(folder: Path, begins: Checkpoint) -> Job:
    return replace(job(folder, model="cnn"), model="finetune", checkpoint=begins)


def begin(folder: Path, begins: Checkpoint, dtype: torch.dtype = torch.float64, **settings: Any) -> Fit:
    spec = trial(study(folder, begins), {**BASE, **settings})
    return Fit(spec, read_samples(spec.job.data, CPU, dtype), CPU, dtype)


def written(folder: Path) -> list[Path]:
    return sorted(folder.glob("data-*/features/*.npy"))


# -- networks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "parameters", "stages"), [("cnn", CNN, 3), ("cnn", {**CNN, "dense_units": 0}, 2), ("resnet", RESNET, 3)])
def test_a_trunk_is_the_network_without_its_last_layer(tmp_path: Path, model: str, parameters: Mapping[str, Any], stages: int) -> None:
    """However it is cut; with the old head on top it is the old network."""
    begins = checkpoint(tmp_path, model, parameters)
    x, old = torch.rand(5, *SHAPE), build(model, parameters, SHAPE, 4)
    old.load_state_dict(torch.load(begins.file, weights_only=True), assign=True)
    for frozen in (0.0, 0.5, 1.0):
        network = finetuned(begins, {"frozen": frozen}, INPUTS, 4, 1).eval()
        assert len(network.trunk.stages) == stages
        network.output.load_state_dict({"weight": old.state_dict()["output.weight"], "bias": old.state_dict()["output.bias"]})
        assert torch.allclose(network(x), old.eval()(x), atol=1e-6)


@pytest.mark.parametrize(("name", "is_chain"), [("build", True), ("twice", False)])
def test_networks_of_others_are_cut_where_they_are_chains(tmp_path: Path, name: str, is_chain: bool) -> None:
    begins, x = foreign(tmp_path, name), torch.rand(3, *SHAPE)
    network = finetuned(begins, {"frozen": 1.0}, INPUTS, 2, 1).eval()
    old = getattr(__import__(begins.model.partition(":")[0]), name)()
    trunk = finetuned(begins, {"frozen": 0.0}, INPUTS, 2, 1).eval()
    assert network.trunk.is_chain is is_chain
    assert network.trunk.features == 16
    assert network.cut == len(network.trunk.stages)
    assert trunk.cut == 0
    assert network(x).shape == (3, 2)
    old.fc = nn.Identity()
    old.load_state_dict(network.trunk.network.state_dict())
    assert torch.allclose(network.trunk.run(x, 0, len(network.trunk.stages)), old.eval()(x), atol=1e-6)


def test_pictures_are_adapted_to_what_the_network_takes(tmp_path: Path) -> None:
    """Colour to a network of grey pictures, grey to one of colour; other sizes to one whose weights fit one size alone."""
    grey, colour = checkpoint(tmp_path), checkpoint(tmp_path, "resnet", RESNET, (3, 9, 9))
    assert finetuned(grey, {}, Inputs("pictures", (3, 12, 10)), 2, 1)(torch.rand(2, 3, 12, 10)).shape == (2, 2)
    network = finetuned(colour, {}, INPUTS, 2, 1).eval()
    x = torch.rand(2, *SHAPE)
    assert torch.equal(network(x), network(x.expand(-1, 3, -1, -1)))


def test_a_new_head_is_drawn_by_the_seed(tmp_path: Path) -> None:
    begins = checkpoint(tmp_path)
    first, same, other = (finetuned(begins, {"head": "mlp", "head_units": 6}, INPUTS, 2, seed) for seed in (1, 1, 2))
    assert first.hidden is not None
    assert first.hidden.weight.shape == (6, 5)
    assert torch.equal(first.output.weight, same.output.weight)
    assert not torch.equal(first.output.weight, other.output.weight)


def test_a_network_without_weights_takes_those_of_a_trained_one(tmp_path: Path) -> None:
    """As ``best/`` is read, where the checkpoint's file may be gone."""
    begins = checkpoint(tmp_path)
    trained = finetuned(begins, {"head": "mlp"}, INPUTS, 3, 1)
    Path(begins.file).unlink()
    empty = unweighted(begins, {"head": "mlp"}, INPUTS, 3)
    empty.load_state_dict(trained.state_dict(), assign=True)
    x = torch.rand(4, *SHAPE)
    assert torch.equal(empty.eval()(x), trained.eval()(x))


# -- training -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [0.0, 0.34, 0.67, 1.0])
def test_frozen_stages_keep_their_weights_and_statistics_and_others_do_not(tmp_path: Path, frozen: float) -> None:
    fit = begin(tmp_path, checkpoint(tmp_path), frozen=frozen)
    assert isinstance(fit.module, Finetuned)
    assert fit.module.frozen == round(3 * frozen)
    before = [
        {name: value.clone() for part in stage.parts for name, value in part.state_dict().items()} for stage in fit.module.trunk.stages
    ]
    fit.train_epoch()
    for number, (stage, states) in enumerate(zip(fit.module.trunk.stages, before, strict=True)):
        after = {name: value for part in stage.parts for name, value in part.state_dict().items()}
        assert all(torch.equal(after[name], value) == (number < fit.module.frozen) for name, value in states.items()), number


@pytest.mark.parametrize("frozen", [0.34, 0.67, 1.0])
def test_features_that_were_computed_once_give_the_numbers_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen: float
) -> None:
    begins = checkpoint(tmp_path)
    settings = {"frozen": frozen, "head": "mlp", "dropout": 0.2}
    quick = begin(tmp_path, begins, **settings)
    monkeypatch.setattr(features, "MOST_BYTES", 0)
    slow = begin(tmp_path, begins, **settings)
    assert quick.samples.train.inputs.shape != slow.samples.train.inputs.shape
    for _ in range(2):
        assert quick.train_epoch() == pytest.approx(slow.train_epoch(), rel=1e-9)
    names = ("loss", "accuracy")
    assert quick.measure(quick.samples.validation, names) == pytest.approx(slow.measure(slow.samples.validation, names), rel=1e-9)
    x = slow.samples.test.inputs[:4].double()
    assert torch.allclose(quick.best_module()(x), slow.best_module()(x))


def test_frozen_stages_are_run_once_for_all_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once a trial: of four trials at two depths, in two workers, the pictures go through each depth once."""
    seen: list[tuple[int, int]] = []
    run = Finetuned.frozen_features

    def counted(module: Finetuned, x: torch.Tensor) -> torch.Tensor:
        if module.cut:
            seen.append((module.cut, len(x)))
        return run(module, x)

    begins = checkpoint(tmp_path)
    specs = [trial(study(tmp_path, begins), {**BASE, "frozen": share}, number) for number, share in enumerate([1.0, 0.67, 1.0, 0.67])]
    sizes = read_info(Path(specs[0].job.data)).sizes
    monkeypatch.setattr(Finetuned, "frozen_features", counted)
    for worker in range(2):
        trainer = SoloTrainer("cpu", f"worker-{worker}")
        for spec in specs[2 * worker : 2 * worker + 2]:
            trainer.start(spec)
        assert len(finish(trainer)) == 2 * (4 + 2)
    by_depth = {cut: sum(count for each, count in seen if each == cut and count > 1) for cut in (2, 3)}
    assert by_depth == dict.fromkeys((2, 3), sizes["train"] + sizes["validation"])
    assert len(written(tmp_path)) == 4


def test_features_are_of_one_checkpoint(tmp_path: Path) -> None:
    begins = checkpoint(tmp_path)
    begin(tmp_path, begins)
    begin(tmp_path, begins)
    assert len(written(tmp_path)) == 2
    begin(tmp_path, replace(begins, digest="of other weights"))
    assert len(written(tmp_path)) == 4


def test_augmented_pictures_have_no_features(tmp_path: Path) -> None:
    fit = begin(tmp_path, checkpoint(tmp_path), crop=1)
    assert fit.samples.train.inputs.shape[1:] == SHAPE
    assert np.isfinite(fit.train_epoch())
    assert written(tmp_path) == []


def test_the_learning_rate_falls_by_depth(tmp_path: Path) -> None:
    """A step of plain gradient descent moves each stage by its own share of the learning rate."""
    begins, moved = checkpoint(tmp_path), []
    for decay in (1.0, 0.5):
        fit = begin(tmp_path, begins, optimizer="sgd", frozen=0.34, layer_decay=decay, batch_size=1000)
        assert isinstance(fit.module, Finetuned)
        before = {name: weight.clone() for name, weight in fit.module.named_parameters()}
        fit.train_epoch()
        moved.append({name: weight - before[name] for name, weight in fit.module.named_parameters()})
    for name, share in {"output": 1.0, "trunk.network.hidden": 0.5, "trunk.network.conv.1": 0.25}.items():
        assert torch.allclose(moved[1][f"{name}.weight"], share * moved[0][f"{name}.weight"], atol=1e-15), name
        assert moved[0][f"{name}.weight"].abs().max() > 0
    assert moved[0]["trunk.network.conv.0.weight"].abs().max() == 0


def finish_twice(spec: TrialSpec, folder: Path) -> tuple[Mapping[int, Any], Mapping[int, Any]]:
    """Its curve without a break, and with one."""
    whole = SoloTrainer("cpu", "a")
    whole.start(replace(spec, job=replace(spec.job, folder=str(folder / "other"))))
    expected = curve(finish(whole), spec)
    left = LaneTrainer("cpu", "b", 2, checkpoint_seconds=0.0)
    left.start(spec)
    for _ in range(3):
        left.advance()
    resumed = LaneTrainer("cpu", "b", 2, checkpoint_seconds=0.0)
    resumed.start(spec)
    return expected, curve(finish(resumed), spec)


@pytest.mark.parametrize("frozen", [0.0, 1.0])
def test_an_interrupted_trial_goes_on_and_is_tested_with_the_whole_network(tmp_path: Path, frozen: float) -> None:
    spec = trial(study(tmp_path, foreign(tmp_path)), {**BASE, "frozen": frozen, "layer_decay": 0.7, "optimizer": "adamw"})
    expected, found = finish_twice(spec, tmp_path)
    assert min(found) == 2
    assert found == {epoch: values for epoch, values in expected.items() if epoch in found}
    tested = SoloTrainer("cpu", "c").test(spec)
    assert 0 <= tested.metrics["accuracy"] <= 1  # type: ignore[union-attr]


# -- mistakes -----------------------------------------------------------------------------------------------------------


def problem(begins: Checkpoint) -> str:
    with pytest.raises(UsageError) as caught:
        finetuned(begins, {}, INPUTS, 2, 1)
    return str(caught.value).replace(begins.file, "FILE").replace(begins.model, "MODEL")


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    begins = checkpoint(tmp_path)
    state = weights_of("cnn", CNN)
    hint = "Say under checkpoint with which parameters MODEL was built."
    bare = replace(begins, shape=())
    torch.save({name: value for name, value in state.items() if not name.startswith("norm.1")}, begins.file)
    lacks = "norm.1.weight, norm.1.bias, norm.1.running_mean and 1 more"
    assert problem(bare) == f"checkpoint: FILE: must hold the weights of MODEL, but lacks {lacks}. {hint}"
    torch.save({**state, "more": torch.zeros(1)}, begins.file)
    assert problem(begins) == "checkpoint: FILE: must hold the weights of MODEL, but has more beside."
    torch.save(weights_of("cnn", {**CNN, "channels": 4}), begins.file)
    sizes = "conv.0.weight of MODEL must be of the shape (3, 1, 3, 3), but is of (4, 1, 3, 3)."
    assert problem(bare) == f"checkpoint: FILE: {sizes} {hint}"
    state["conv.0.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, begins.file)
    assert problem(begins) == ("checkpoint: FILE: weights must be finite, but conv.0.weight are not all. Take a checkpoint from before.")


@pytest.mark.parametrize("strange", [torch.empty(3, device="meta"), torch.eye(3).to_sparse()], ids=["meta", "sparse"])
def test_weights_that_are_no_plain_numbers_are_named(tmp_path: Path, strange: torch.Tensor) -> None:
    begins = checkpoint(tmp_path)
    torch.save({**weights_of("cnn", CNN), "conv.0.bias": strange}, begins.file)
    assert problem(begins) == (
        "checkpoint: FILE: weights must be plain numbers, but conv.0.bias are sparse, quantised or without values. "
        "Save the weights of a plain network."
    )


class Gadget:
    """What no file of weights holds."""


def test_files_that_hold_no_weights_are_named(tmp_path: Path) -> None:
    begins = checkpoint(tmp_path)
    torch.save({"net": Gadget()}, begins.file)
    assert problem(begins) == (
        "checkpoint: FILE: must hold nothing but weights, but holds objects that only code can read, which is never run. "
        "Save model.state_dict()."
    )
    torch.save({"epoch": 3}, begins.file)
    assert problem(begins) == "checkpoint: FILE: must hold weights by their names (a state dict), but holds none. Save model.state_dict()."
    Path(begins.file).write_bytes(b"no such thing")
    assert problem(begins).startswith("checkpoint: FILE: must ")
    Path(begins.file).write_bytes(b"hello")
    assert problem(begins) == "checkpoint: FILE: must be a file that torch.save has written, but cannot be read (KeyError)."
    strange = replace(begins, file=str(tmp_path / "net.safetensors"))
    Path(strange.file).write_bytes(b"no such thing")
    assert problem(strange).startswith("checkpoint: FILE: must be a safetensors file, but cannot be read (")


@pytest.mark.parametrize(
    "wrap", [lambda state: {"epoch": 2, "state_dict": state}, lambda state: {f"module.{k}": v for k, v in state.items()}]
)
def test_weights_are_found_where_programs_put_them(tmp_path: Path, wrap: Any) -> None:
    begins = checkpoint(tmp_path)
    torch.save(wrap(weights_of("cnn", CNN)), begins.file)
    assert finetuned(begins, {}, INPUTS, 2, 1).trunk.features == 5


def test_a_network_without_a_last_layer_is_refused(tmp_path: Path) -> None:
    name = f"{module(tmp_path, FOREIGN)}:headless"
    begins = Checkpoint(name, str(tmp_path / "x.pt"), folders=(str(tmp_path),))
    assert problem(begins) == "checkpoint: FILE: the network must end in a torch.nn.Linear, which is replaced, but has none."


def test_safetensors_and_libraries_are_asked_for_where_they_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    begins = replace(checkpoint(tmp_path), file="net.safetensors")
    assert problem(begins) == ("checkpoint: FILE needs safetensors, which is not installed: pip install 'automl-lanes[safetensors]'")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError) as caught:
        finetuned(Checkpoint("timm/resnet18"), {}, INPUTS, 2, 1)
    assert str(caught.value) == "checkpoint: timm/resnet18 needs timm, which is not installed. Install it beside this torch."


def test_a_network_of_a_library_is_standardised_and_built_without_weights_to_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for timm, which cannot be installed beside every torch."""
    (tmp_path / "timm.py").write_text(
        "from torch import nn\n"
        "def create_model(name, pretrained):\n"
        "    if name != 'tiny':\n"
        "        raise RuntimeError('Unknown model')\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 36, 4), nn.ReLU(), nn.Linear(4, 9))\n"
        "    net.default_cfg = {'mean': (0.5, 0.5, 0.5), 'std': (0.25, 0.25, 0.25)}\n"
        "    return net\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    network = finetuned(Checkpoint("timm/tiny"), {}, INPUTS, 2, 1)
    assert network.trunk.adaptation(torch.full((1, 1, 6, 6), 0.75)).tolist() == torch.ones(1, 3, 6, 6).tolist()
    with pytest.raises(UsageError) as caught:
        finetuned(Checkpoint("timm/large"), {}, INPUTS, 2, 1)
    assert str(caught.value) == "checkpoint: timm must give a network called 'large', but raises RuntimeError: Unknown model"
    sys.modules.pop("timm", None)


def test_a_look_at_a_checkpoint_says_what_it_costs(tmp_path: Path) -> None:
    found = looked_at(checkpoint(tmp_path), INPUTS)
    whole = build("cnn", CNN, SHAPE, 2)
    assert (found.stages, found.features) == (3, 5)
    assert found.measures(2, {})["parameters"] == sum(weight.numel() for weight in whole.parameters())
    with pytest.raises(UsageError, match="but lacks"):
        looked_at(replace(checkpoint(tmp_path), parameters={**CNN, "conv_layers": 3}), INPUTS)
