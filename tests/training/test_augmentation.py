"""Augmentation: what it does to pictures, and that every draw is a function of seed, step and row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from automl.data import Task
from automl.events import Configuration
from automl.families import complete
from automl.training.augmentation import Augmentation
from automl.training.fit import Fit
from automl.training.lanes.trainer import LaneTrainer
from automl.training.losses import class_weights, loss_of
from automl.training.samples import read_samples
from automl.training.solo import SoloTrainer
from contracts.training import PLAIN, curve, finish, job, trial

CPU = torch.device("cpu")
NET: Configuration = {"channels": 2, "dense_units": 4, "batch_size": 16}
EVERYTHING: Configuration = {**NET, "flip": True, "crop": 1, "rotation": 20.0, "erase": 0.5, "mixup": 0.4}


def pictures(count: int = 400, channels: int = 2, height: int = 5, width: int = 7) -> torch.Tensor:
    return torch.rand(count, channels, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def changed(augmentation: Augmentation, inputs: torch.Tensor, step: int = 3) -> torch.Tensor:
    before = inputs.clone()
    found, mixture = augmentation(inputs, torch.zeros(len(inputs)), step)
    assert torch.equal(inputs, before)
    assert found.shape == inputs.shape
    assert mixture is None
    return found


def test_nothing_is_done_where_nothing_is_asked_for() -> None:
    assert Augmentation.of(1, complete("cnn", {})) is None
    assert Augmentation.of(1, complete("mlp", {"mixup": 0.2})) == Augmentation(1, mixup=0.2)
    assert Augmentation.of(1, complete("mlp", {"noise": 0.2})) == Augmentation(1, noise=0.2)


def test_noise_is_gaussian_and_drawn_by_step_row_and_feature() -> None:
    x = torch.ones(3000, 6, dtype=torch.float64)
    noisy = Augmentation(1, noise=0.5)
    found = changed(noisy, x) - x
    assert abs(found.mean()) < 0.01
    assert abs(found.std() - 0.5) < 0.01
    assert abs((found.abs() < 0.5).double().mean() - 0.683) < 0.01
    assert torch.corrcoef(found.T).fill_diagonal_(0).abs().max() < 0.06
    assert torch.equal(changed(noisy, x[:7]) - x[:7], found[:7])
    assert torch.equal(changed(noisy, x[:, :2]) - x[:, :2], found[:, :2])
    assert not torch.equal(changed(noisy, x, step=4) - x, found)
    assert not torch.equal(changed(Augmentation(2, noise=0.5), x) - x, found)


def test_half_of_the_pictures_are_mirrored_left_to_right() -> None:
    x = pictures()
    found = changed(Augmentation(1, flip=True), x)
    mirrored = (found == x.flip(3)).flatten(1).all(1)
    assert ((found == x).flatten(1).all(1) ^ mirrored).all()
    assert 0.4 < mirrored.double().mean() < 0.6


def test_a_crop_is_a_shift_that_repeats_the_border() -> None:
    x, most = pictures(channels=1), 2
    found = changed(Augmentation(1, crop=most), x)
    padded = F.pad(x, (most,) * 4, mode="replicate")
    seen = set()
    for before, after in zip(padded, found, strict=True):
        shifts = [(y, z) for y in range(5) for z in range(5) if torch.equal(before[:, y : y + 5, z : z + 7], after)]
        assert len(shifts) == 1
        seen.add(shifts[0])
    assert len(seen) == 25  # all of them occur


def test_a_rotation_turns_around_the_middle_of_pictures_that_are_not_square() -> None:
    """A plane turned is a plane: where no border comes in, in between pixels as well."""
    height, width = 9, 15
    y, x = torch.meshgrid(torch.arange(9.0) - 4, torch.arange(15.0) - 7, indexing="ij")
    planes = torch.stack([x, y]).double().expand(200, 2, height, width)
    found = changed(Augmentation(1, rotation=30.0), planes)[:, :, 3:6, 5:10]
    inner = planes[:, :, 3:6, 5:10]
    cosine, sine = found[:, 0, 1, 3] - found[:, 0, 1, 2], found[:, 1, 1, 3] - found[:, 1, 1, 2]
    assert torch.allclose(cosine**2 + sine**2, torch.ones(200, dtype=torch.float64))
    turned = torch.stack([cosine[:, None, None] * inner[:, 0] - sine[:, None, None] * inner[:, 1]], dim=1)
    assert torch.allclose(found[:, :1], turned)
    degrees = torch.rad2deg(torch.atan2(sine, cosine))
    assert degrees.abs().max() < 30.001
    assert degrees.min() < -25
    assert degrees.max() > 25


def test_erasing_takes_one_rectangle_of_some_pictures() -> None:
    x = pictures(height=20, width=16)
    found = changed(Augmentation(1, erase=0.3), x)
    is_erased = (found != x).flatten(1).any(1)
    assert 0.2 < is_erased.double().mean() < 0.4
    for before, after in zip(x[is_erased], found[is_erased], strict=True):
        differs = (before != after).any(0)
        rows, columns = differs.any(1).nonzero().flatten(), differs.any(0).nonzero().flatten()
        box = after[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert differs.sum() == box[0].numel() == len(rows) * len(columns)
        assert (box == box[:, :1, :1]).all()
        assert 0.01 < differs.double().mean() < 0.45
        assert 0 <= box.min() <= box.max() < 1


def test_a_mixture_is_of_two_samples_and_its_loss_that_of_the_mixed_target() -> None:
    x, targets = torch.rand(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    augmentation = Augmentation(5, mixup=0.5)
    found, mixture = augmentation(x, targets, 0)
    assert mixture is not None
    assert 0 < mixture.share < 1
    others = (found - x * mixture.share) / (1 - mixture.share)
    places = torch.cdist(others, x).argmin(1)
    assert torch.allclose(others, x[places])
    assert sorted(places.tolist()) == list(range(6))
    assert torch.equal(mixture.targets, targets[places])
    outputs = torch.randn(6, 3, dtype=torch.float64)
    mixed = F.one_hot(targets, 3) * mixture.share + F.one_hot(mixture.targets, 3) * (1 - mixture.share)
    two = loss_of("multiclass", outputs, targets) * mixture.share + loss_of("multiclass", outputs, mixture.targets) * (1 - mixture.share)
    assert torch.allclose(two, F.cross_entropy(outputs, mixed))
    drawn = [found[1].share for step in range(400) if (found := augmentation(x, targets, step))[1]]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.05)
    assert np.var(drawn) == pytest.approx(0.125, abs=0.02)  # of a beta distribution: 1 / (4 (2 alpha + 1))


def test_draws_are_of_the_seed_the_step_and_the_row() -> None:
    x = pictures(count=12, height=9, width=9)
    augmentation = Augmentation(1, flip=True, crop=2, rotation=15.0, erase=0.5)
    assert torch.equal(changed(augmentation, x), changed(augmentation, x))
    assert torch.equal(changed(augmentation, x)[:5], changed(augmentation, x[:5]))
    assert not torch.equal(changed(augmentation, x), changed(augmentation, x, step=4))
    assert not torch.equal(changed(augmentation, x), changed(replace(augmentation, seed=2), x))


def begin(folder: Path, configuration: Configuration, task: Task = "multiclass", rows: int | None = None) -> Fit:
    model = "cnn" if "channels" in configuration else "mlp"
    spec = trial(job(folder, task, model=model), configuration)
    return Fit(spec, read_samples(spec.job.data, CPU, torch.float64), CPU, torch.float64, rows)


def test_a_batch_in_pieces_is_augmented_as_a_whole(tmp_path: Path) -> None:
    whole, pieces = begin(tmp_path, {**EVERYTHING, "dropout": 0.2}), begin(tmp_path, {**EVERYTHING, "dropout": 0.2}, rows=5)
    assert whole.train_epoch() == pytest.approx(pieces.train_epoch(), rel=1e-12)
    assert torch.allclose(whole.weights, pieces.weights, rtol=1e-9, atol=1e-12)


def test_what_is_measured_is_not_augmented(tmp_path: Path) -> None:
    still = {"learning_rate": 1e-300}
    plain, augmented = begin(tmp_path, {**NET, **still}), begin(tmp_path, {**EVERYTHING, **still})
    assert plain.train_epoch() != augmented.train_epoch()
    for split in ("train", "validation", "test"):
        values = [fit.measure(getattr(fit.samples, split), ("loss", "accuracy")) for fit in (plain, augmented)]
        assert values[0] == values[1]


def test_an_augmented_trial_goes_on_to_the_same_numbers_and_needs_no_lane(tmp_path: Path) -> None:
    spec = trial(job(tmp_path, model="cnn"), {**EVERYTHING, "class_weights": "balanced"})
    alone, lanes = SoloTrainer("cpu", "a", dtype=torch.float64), LaneTrainer("cpu", "b", 4, dtype=torch.float64, checkpoint_seconds=0.0)
    alone.start(replace(spec, job=replace(spec.job, folder=str(tmp_path / "other"))))
    expected = curve(finish(alone), spec)
    lanes.start(spec)
    for _ in range(3):
        lanes.advance()
    resumed = LaneTrainer("cpu", "b", 4, dtype=torch.float64, checkpoint_seconds=0.0)
    resumed.start(spec)
    found = curve(finish(resumed), spec)
    assert min(found) == 2
    assert found == {epoch: values for epoch, values in expected.items() if epoch in found}


# -- class weights ------------------------------------------------------------------------------------------------------


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    targets = torch.tensor([0] * 50 + [1] * 7 + [2] * 3)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets.numpy())
    assert class_weights("balanced", targets, 3, torch.float64).numpy() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["balanced", "sqrt"])
def test_class_weights_leave_the_mean_of_the_samples_at_one(kind: str) -> None:
    """Classes that no sample has count nothing, and rare ones more: with sqrt by the root of the ratio."""
    targets = torch.tensor([0] * 64 + [2] * 4)
    weights = class_weights(kind, targets, 4, torch.float64)
    assert weights[targets].mean() == pytest.approx(1)
    assert weights[[1, 3]].tolist() == [0, 0]
    assert weights[2] / weights[0] == pytest.approx(16 if kind == "balanced" else 4)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_balanced_training_loss_is_the_mean_over_the_classes(tmp_path: Path, task: Task) -> None:
    """At a standstill, and the validation loss is what it was."""
    plain, weighted = (begin(tmp_path, {**PLAIN, "learning_rate": 1e-300, "class_weights": kind}, task) for kind in ("none", "balanced"))
    train = plain.samples.train
    outputs = plain.module(train.inputs.double())
    classes = [loss_of(task, outputs[train.targets == label], train.targets[train.targets == label]) for label in train.targets.unique()]
    assert weighted.train_epoch() == pytest.approx(torch.stack(classes).mean().item(), rel=1e-9)
    plain.train_epoch()
    assert weighted.measure(plain.samples.validation, ("loss",)) == plain.measure(plain.samples.validation, ("loss",))


def test_class_weights_find_the_rare_class(tmp_path: Path) -> None:
    study = job(tmp_path, "binary")
    x, y = (np.load(Path(study.data) / f"{axis}_train.npy") for axis in "xy")
    keep = np.flatnonzero((y == 0) | (np.cumsum(y) <= 4))
    np.save(Path(study.data) / "x_train.npy", x[keep])
    np.save(Path(study.data) / "y_train.npy", y[keep])
    info = json.loads((Path(study.data) / "info.json").read_text())
    (Path(study.data) / "info.json").write_text(json.dumps({**info, "sizes": {**info["sizes"], "train": len(keep)}}))
    recalls = []
    for kind in ("none", "sqrt", "balanced"):
        spec = trial(study, {"layers": 0, "batch_size": 16, "learning_rate": 0.02, "class_weights": kind})
        fit = Fit(spec, read_samples(study.data, CPU), CPU)
        for _ in range(20):
            fit.train_epoch()
        recalls.append(fit.measure(fit.samples.validation, ("recall",))["recall"])
    assert recalls == sorted(recalls)
    assert recalls[0] < recalls[-1]
