"""Weights as one flat vector, and their initial values."""

from __future__ import annotations

import math

import pytest
import torch

from automl.models import build
from automl.models.embedding import Embedding
from automl.training.weights import initialised

WIDE = {"layers": 2, "units_1": 300, "units_2": 200, "normalization": "batch"}


def test_the_vector_holds_all_weights_and_the_model_sees_every_change() -> None:
    module = build("mlp", WIDE, (50,), 10)
    values, gradients = initialised(module, seed=3)
    assert sum(float(weight.detach().abs().sum()) for weight in module.parameters()) == pytest.approx(float(values.abs().sum()), rel=1e-5)
    values.fill_(2)
    gradients.fill_(3)
    assert all(bool((weight == 2).all()) and bool((weight.grad == 3).all()) for weight in module.parameters())


def test_initial_weights_are_uniform_within_the_bound_of_glorot() -> None:
    module = build("cnn", {"channels_1": 64, "channels_2": 64, "kernel_size": 3}, (1, 8, 8), 10)
    initialised(module, seed=3)
    for name, inputs, outputs in (("conv.1", 64 * 9, 64 * 9), ("hidden", 64 * 4, 128), ("output", 128, 10)):
        weight, bias = module.get_parameter(f"{name}.weight").detach(), module.get_parameter(f"{name}.bias").detach()
        bound = math.sqrt(6 / (inputs + outputs))
        assert float(weight.abs().max()) <= bound
        assert float(weight.abs().max()) > 0.98 * bound
        assert not bias.any()
        assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert float(weight.mean()) == pytest.approx(0, abs=0.1 * bound)


def test_normalisation_begins_as_identity() -> None:
    module = build("mlp", WIDE, (50,), 10)
    initialised(module, seed=3)
    state = module.state_dict()
    assert set(state["norm.0.weight"].tolist()) == set(state["norm.1.running_var"].tolist()) == {1.0}
    assert set(state["norm.0.bias"].tolist()) == set(state["norm.1.running_mean"].tolist()) == {0.0}


def test_a_narrow_model_begins_with_the_numbers_of_a_wide_one() -> None:
    """Up to the bound, which follows the inputs and outputs: what a model that is padded to a greater width relies on."""
    narrow, wide = build("mlp", {"layers": 2, "units": 5}, (4,), 2), build("mlp", {"layers": 2, "units": 9}, (4,), 2)
    initialised(narrow, seed=3, dtype=torch.float64)
    initialised(wide, seed=3, dtype=torch.float64)
    a, b = narrow.state_dict(), wide.state_dict()
    for name, sizes, rows in (("hidden.0", (4 + 5, 4 + 9), b["hidden.0.weight"][:5]), ("hidden.1", (10, 18), b["hidden.1.weight"][:5, :5])):
        assert torch.allclose(a[f"{name}.weight"] * math.sqrt(sizes[0]), rows * math.sqrt(sizes[1]), rtol=1e-12)


def test_layers_and_seeds_begin_differently() -> None:
    states = []
    for seed in (1, 2):
        module = build("mlp", {"layers": 3, "units": 8}, (8,), 8)
        initialised(module, seed)
        states += [value for name, value in module.state_dict().items() if name.endswith("weight")]
    assert all(not torch.equal(a, b) for i, a in enumerate(states) for b in states[:i])


def test_words_begin_within_their_bound_by_their_numbers_and_padding_is_zero() -> None:
    few, many = Embedding(50, 8), Embedding(5000, 16)
    for embedding in (few, many):
        initialised(embedding, seed=3)
        embedding.requires_grad_(False)
    assert not many.weight[0].any()
    assert 0.249 < float(many.weight.abs().max()) <= 0.25
    assert torch.equal(few.weight, many.weight[:50, :8])
