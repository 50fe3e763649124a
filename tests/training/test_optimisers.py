"""One flat vector moves as torch's own optimisers move the weights of a model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from automl.families import TRAINING
from automl.training.optimisers import Optimiser

DEFAULTS = {name: setting.default for name, setting in TRAINING.items()}
CASES = {
    "sgd": ({"optimizer": "sgd"}, torch.optim.SGD, {}),
    "sgd with decay": ({"optimizer": "sgd", "l2": 0.1}, torch.optim.SGD, {"weight_decay": 0.1}),
    "momentum": ({"optimizer": "sgd", "momentum": 0.9, "l2": 0.1}, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    "nesterov": ({"optimizer": "sgd", "momentum": 0.9, "nesterov": True}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "nesterov without momentum": ({"optimizer": "sgd", "nesterov": True}, torch.optim.SGD, {}),
    "adam": ({"optimizer": "adam", "beta1": 0.7, "beta2": 0.9}, torch.optim.Adam, {"betas": (0.7, 0.9)}),
    "adam with decay": ({"optimizer": "adam", "l2": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
    "adamw": ({"optimizer": "adamw", "l2": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}),
    "adamw without decay": ({"optimizer": "adamw"}, torch.optim.AdamW, {"weight_decay": 0.0}),
    "rmsprop": ({"optimizer": "rmsprop", "l2": 0.1}, torch.optim.RMSprop, {"weight_decay": 0.1}),
    "rmsprop with momentum": ({"optimizer": "rmsprop", "momentum": 0.5}, torch.optim.RMSprop, {"momentum": 0.5}),
}


def gradients(steps: int = 6) -> torch.Tensor:
    return torch.randn(steps, 37, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", CASES)
def test_every_rule_is_that_of_torch(name: str) -> None:
    settings, theirs, options = CASES[name]
    weights = torch.linspace(-1, 1, 37, dtype=torch.float64)
    parameter = nn.Parameter(weights.clone())
    ours, reference = Optimiser({**DEFAULTS, **settings}, weights), theirs([parameter], lr=0.1, **options)
    for step, gradient in enumerate(gradients()):
        learning_rate = 0.1 / (1 + step)
        ours.step(gradient, learning_rate)
        parameter.grad = gradient.clone()
        reference.param_groups[0]["lr"] = learning_rate
        reference.step()
        assert torch.allclose(weights, parameter.detach(), rtol=1e-12, atol=1e-14), step


@pytest.mark.parametrize("name", CASES)
def test_multipliers_are_learning_rates_of_each_weight(name: str) -> None:
    """As parameter groups of torch have."""
    settings, theirs, options = CASES[name]
    weights = torch.linspace(-1, 1, 37, dtype=torch.float64)
    rates = [0.1, 0.05, 0.0]
    groups = [nn.Parameter(part.clone()) for part in weights.split([10, 20, 7])]
    multipliers = torch.cat([torch.full((size,), rate / 0.1, dtype=torch.float64) for size, rate in zip((10, 20, 7), rates, strict=True)])
    reference = theirs([{"params": [part], "lr": rate} for part, rate in zip(groups, rates, strict=True)], **options)
    ours = Optimiser({**DEFAULTS, **settings}, weights, multipliers)
    for gradient in gradients():
        ours.step(gradient, 0.1)
        for part, own in zip(groups, gradient.split([10, 20, 7]), strict=True):
            part.grad = own.clone()
        reference.step()
    assert torch.allclose(weights, torch.cat([part.detach() for part in groups]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_the_state_is_all_that_a_continuation_needs(name: str) -> None:
    settings = {**DEFAULTS, **CASES[name][0]}
    whole = torch.ones(37, dtype=torch.float64)
    optimiser = Optimiser(settings, whole)
    for gradient in gradients():
        optimiser.step(gradient, 0.1)
    part = torch.ones(37, dtype=torch.float64)
    first = Optimiser(settings, part)
    for gradient in gradients()[:3]:
        first.step(gradient, 0.1)
    second = Optimiser(settings, part)
    for key, value in first.state.items():
        second.state[key].copy_(value)
    for gradient in gradients()[3:]:
        second.step(gradient, 0.1)
    assert torch.equal(whole, part)


def test_zeros_between_the_weights_stay_zeros() -> None:
    """A flat vector has gaps; no optimiser may fill them."""
    for settings, _, _ in CASES.values():
        weights = torch.zeros(5)
        optimiser = Optimiser({**DEFAULTS, **settings}, weights)
        for _ in range(3):
            optimiser.step(torch.zeros(5), 0.1)
        assert torch.equal(weights, torch.zeros(5))
