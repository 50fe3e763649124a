"""What is compiled agrees with torch: to rounding in float64, and, where float32 has formulas of its own, nearly so."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numba import njit

from automl.models.layers import ACTIVATIONS
from automl.training.lanes import compiled, kernels
from automl.training.lanes.kernels import Rule, State
from automl.training.losses import loss_of
from automl.training.metrics import measure
from automl.training.optimisers import Optimiser
from automl.training.randomness import keep_masks, key_at, places, row_bits, threshold, unit_bits
from automl.training.samples import StudySamples
from contracts.training import folded_job

KEEPING = """
import resource, sys
import numpy as np
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from automl.training.lanes import kernels
found = kernels.hashes(3, np.uint64(7)).tolist()
print(found, sum(kernels.hashes.stats.cache_hits.values()))
"""


def test_what_is_compiled_is_compiled_again_where_it_cannot_be_written_or_was_cut(tmp_path: Path) -> None:
    """A disk that is full, a quota, a power cut: no study ends of it."""

    def compiled_with(most_bytes: int) -> str:
        command = [sys.executable, "-c", KEEPING, str(most_bytes)]
        done = subprocess.run(command, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True, check=True)
        told = re.fullmatch(r"what is compiled cannot be kept in \S+ \(File too large\): each study compiles it again\n", done.stderr)
        assert done.stderr == "" if most_bytes > 100 else told, done.stderr
        return done.stdout

    full, new, kept = (compiled_with(most) for most in (100, 2**30, 2**30))
    assert full == new
    assert (new[-3:], kept[-3:]) == (" 0\n", " 1\n")
    for kind in ("*.nbc", "*.nbi"):
        for file in tmp_path.rglob(kind):
            os.truncate(file, file.stat().st_size // 2)
        assert compiled_with(2**30) == new, kind
        assert compiled_with(2**30) == kept, kind


WIDE = np.concatenate([np.linspace(-100, 100, 4001), np.linspace(-1, 1, 4001), [-1e30, 1e30]])


@njit
def _many(x: Any, exponentials: Any, tangents: Any, errors: Any) -> None:
    for k in range(x.size):
        exponentials[k], tangents[k], errors[k] = kernels._exp(x[k]), kernels._tanh(x[k]), kernels._erf(x[k])


def test_the_functions_of_float32_are_as_exact_as_it_can_tell() -> None:
    x = WIDE.astype(np.float32)
    found = [np.empty_like(x) for _ in range(3)]
    _many(x, *found)
    exact = torch.from_numpy(x).double()
    inside = (x > -87) & (x < 88)
    np.testing.assert_allclose(found[0][inside], exact.exp().numpy()[inside], rtol=3e-7)
    assert found[0][x <= -87].max() < 1e-37
    assert found[0][x >= 88].min() > 1e38
    np.testing.assert_allclose(found[1], exact.tanh().numpy(), rtol=3e-7)
    np.testing.assert_allclose(found[2], exact.erf().numpy(), rtol=4e-7)


@pytest.mark.parametrize("small", [0, 1_000_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_are_whole_however_they_are_cut(dtype: torch.dtype, small: int) -> None:
    """Of sizes on both sides of those from which on they are made of several."""
    blas, random, tolerance = (
        compiled.blas_of(dtype)._replace(small=small),
        np.random.default_rng(0),
        1e-3 if dtype == torch.float32 else 1e-9,
    )
    sizes = ((1, 1), (64, 10), (97, 32), (97, 300), (300, 77), (1200, 900))
    for samples, (inputs, units) in itertools.product((1, 32, 33, 64, 65, 130), sizes):
        shapes = (samples, inputs), (inputs, units), (samples, units)
        x, w, d = (torch.from_numpy(random.standard_normal(shape)).to(dtype).numpy() for shape in shapes)
        y, gradient, before = (np.full_like(matrix, np.nan) for matrix in (d, w, x))
        kernels._outputs(blas, x, w, y)
        kernels._weight_gradients(blas, x, d, gradient)
        kernels._input_gradients(blas, d, w, before, np.empty(w.size, w.dtype))
        for found, expected in ((y, x @ w), (gradient, x.T @ d), (before, d @ w.T)):
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=f"{samples} {inputs} {units}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_is_not_made_so(value: float, dtype: type[np.floating[Any]]) -> None:
    """A trial that diverges must be seen to."""
    x = np.full(5, value, dtype)
    for kind in range(len(kernels.ACTIVATIONS)):
        y = x.copy()
        kernels._activate(kind, x, y)
        if np.isnan(value):
            assert np.isnan(y).all(), kernels.ACTIVATIONS[kind]
    plain = np.full((1, 5), value, dtype)
    kernels._rectify(plain, np.zeros(5, dtype), np.zeros(5, np.uint32), np.uint64(0), 0, 0, dtype(1), False)
    assert np.isnan(plain).all() == np.isnan(value)
    outputs, d = np.full((2, 3), value, dtype), np.empty((2, 3), dtype)
    assert not np.isfinite(kernels._lose(2, outputs, np.zeros((2, 3), dtype), 0.0, d))
    if np.isnan(value):
        assert np.isnan(kernels._lose(0, outputs, np.zeros((2, 1), dtype), 0.0, d))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", kernels.ACTIVATIONS)
def test_activations_and_their_derivatives_are_those_of_torch(name: str, dtype: torch.dtype, tolerance: float) -> None:
    x = torch.linspace(-12, 12, 1001, dtype=dtype).requires_grad_()
    expected = ACTIVATIONS[name](x)
    d = torch.sin(torch.arange(1001, dtype=dtype))
    expected.backward(d)
    kind, y, back = kernels.ACTIVATIONS.index(name), np.empty(1001, x.detach().numpy().dtype), d.numpy().copy()
    kernels._activate(kind, x.detach().numpy(), y)
    kernels._deactivate(kind, x.detach().numpy(), back)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    assert x.grad is not None
    np.testing.assert_allclose(back, x.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("share", [0.0, 0.4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_rectifier_in_one_pass_is_the_same_to_the_last_bit(dtype: type[np.floating[Any]], share: float) -> None:
    random, key, relu = np.random.default_rng(0), np.uint64(7), kernels.ACTIVATIONS.index("relu")
    x, d = (random.standard_normal((9, 37)).astype(dtype) for _ in range(2))
    bias, sums, expected_sums = random.standard_normal(37).astype(dtype), np.empty(37, dtype), np.empty(37, dtype)
    units, cut, scale = random.integers(2**32, size=37, dtype=np.uint32) | 1, threshold(share), dtype(1 / (1 - share))
    before, back, expected = x + bias, d.copy(), np.empty_like(x)
    kernels._activate(relu, before.reshape(-1), expected.reshape(-1))
    expected_back = d.copy()
    if share:
        for numbers in (expected, expected_back):
            kernels._drop(numbers, units, key, 3, cut, scale)
    kernels._deactivate(relu, before.reshape(-1), expected_back.reshape(-1))
    kernels._add_up(expected_back, expected_sums)
    kernels._rectify(x, bias, units, key, 3, cut, scale, share > 0)
    kernels._rectify_back(x, back, scale, sums)
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(back, expected_back)
    np.testing.assert_allclose(sums, expected_sums, rtol=1e-5)


@pytest.mark.parametrize("task", kernels.TASKS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_losses_and_their_derivatives_are_those_of_torch(task: str, smoothing: float, scale: float) -> None:
    torch.manual_seed(1)
    width = 1 if task == "binary" else 4
    outputs = (scale * torch.randn(9, width, dtype=torch.float64)).requires_grad_()
    targets = torch.randn(9, width, dtype=torch.float64) if task == "regression" else torch.randint(0, width + (width == 1), (9,))
    loss = loss_of(task, outputs, targets if task == "multiclass" else targets.double(), 0.0 if task == "regression" else smoothing)
    loss.backward()
    d = np.empty((9, width))
    found = kernels._lose(kernels.TASKS.index(task), outputs.detach().numpy(), targets.double().view(9, -1).numpy(), smoothing, d)
    assert found / 9 == pytest.approx(loss.item(), rel=1e-12)
    assert outputs.grad is not None
    np.testing.assert_allclose(d, outputs.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("name", kernels.OPTIMIZERS)
def test_weights_move_as_by_torch(name: str, l2: float, nesterov: bool, momentum: float) -> None:
    torch.manual_seed(2)
    weights, target = torch.randn(33, dtype=torch.float64), torch.randn(33, dtype=torch.float64)
    settings = {"optimizer": name, "momentum": momentum, "nesterov": nesterov, "beta1": 0.8, "beta2": 0.95, "l2": l2}
    optimiser = Optimiser(settings, weights)
    own, empty = weights.clone(), np.empty(0)
    kept = {key: own.new_zeros(33).numpy() for key in optimiser.state if key != "steps"}
    state = State(own.numpy(), np.zeros(33), empty, *(kept.get(key, empty) for key in ("first", "second", "velocity")))
    rule = Rule(kernels.OPTIMIZERS.index(name), momentum, nesterov and momentum > 0 and name == "sgd", 0.8, 0.95, l2, l1=0.0, clip_norm=0.0)
    for step in range(1, 8):
        optimiser.step((weights - target) * 3, 0.1 / step)
        state.gradients[:] = ((own - target) * 3).numpy()
        kernels._step(rule, state, 0.1 / step, step)
        np.testing.assert_allclose(own.numpy(), weights.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_units_are_dropped_where_all_devices_drop_them(share: float) -> None:
    key, rows, units, step = key_at(5, "dropout", 1), 13, 37, 1_000_003
    bits = row_bits(places(torch.tensor(step), torch.arange(rows)), key) + unit_bits(key, units)
    expected = keep_masks(bits, threshold(share), 1 / (1 - share), torch.empty(0, dtype=torch.float64))
    x = np.ones((rows, units))
    kernels._drop(x, (unit_bits(key, units).numpy()).view(np.uint32), np.uint64(key), step, threshold(share), 1 / (1 - share))
    np.testing.assert_array_equal(x, expected.numpy())
    assert 0 < (x == 0).sum() < x.size


def test_what_is_kept_of_samples_is_bounded_and_never_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_MOST_FEEDS", 2)
    study = folded_job(tmp_path, "multiclass", "apart")
    folds, feeds = StudySamples(study.data, torch.device("cpu")), compiled.Feeds(torch.float32)
    for fold in (0, 1, 2, 0, 2, 1, 1):
        samples = folds.of(fold)
        feed = feeds.of(samples)
        assert feed.samples is samples
        x, rows, chosen = next(iter(feed.runs(np.array([2, 0]), 2)))
        np.testing.assert_array_equal(x[rows], samples.train.inputs[[2, 0]].numpy())
        np.testing.assert_array_equal(feed.targets[chosen, 0], samples.train.targets[[2, 0]].float().numpy())
    assert len(feeds._feeds) <= 2


def test_where_nothing_can_be_kept_each_process_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(kernels, "njit", refusing)
    double = kernels._compiled(lambda x: 2 * x)
    assert double(21) == 42


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_judgements_are_those_of_the_metrics(scale: float) -> None:
    random = np.random.default_rng(2)
    outputs, targets = scale * random.standard_normal((50, 7)), random.integers(0, 7, 50)
    outputs[:5] = outputs[:5, :1]  # of equals the first one counts
    expected = measure("multiclass", ("loss", "accuracy"), torch.from_numpy(outputs), torch.from_numpy(targets))
    loss, hits = kernels.judge(outputs, targets[:, None].astype(float))
    assert loss / 50 == pytest.approx(expected["loss"], rel=1e-12)
    assert hits / 50 == expected["accuracy"]
