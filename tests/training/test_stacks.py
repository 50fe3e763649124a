"""In a stack, the network of each lane does what it does alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from automl.families import complete
from automl.inputs import Inputs
from automl.models import build
from automl.training.lanes.draws import Draws
from automl.training.lanes.layout import Layout, shapes_of, weights_of
from automl.training.lanes.networks import network
from automl.training.lanes.stack import Stack
from automl.training.randomness import Dropout, places
from automl.training.weights import initialised

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, DTYPE = torch.device("cpu"), torch.float64
INPUTS, OUTPUTS, ROWS = Inputs("features", (6,)), 3, 8
SHARES = (0.0, 0.5, 0.2, 0.0)
WIDTHS = ((5, 9), (12, 4), (7, 7), (12, 9))


class Lanes:
    """Networks of two hidden layers, each as a module and as a lane of a stack; ``numbers`` are those of the lanes that are there."""

    def __init__(self, **common: Any) -> None:
        settings = [complete("mlp", {"layers": 2, "units_1": a, "units_2": b, **common}) for a, b in WIDTHS]
        self.modules = [build("mlp", own, INPUTS, OUTPUTS) for own in settings]
        self.gradients = [initialised(module, seed, CPU, DTYPE)[1] for seed, module in enumerate(self.modules)]
        module, stages = build("mlp", settings[3], INPUTS, OUTPUTS), network("mlp", settings[3], INPUTS.shape)
        layouts = Layout.of(module.named_parameters(), stages.turned), Layout.of(module.named_buffers())
        self.stack = Stack(stages, *layouts, CPU, DTYPE)
        self.numbers: list[int] = []

    def admit(self, *numbers: int) -> None:
        for number in numbers:
            module, lane = self.modules[number], len(self.numbers)
            self.stack.admit(*shapes_of(module))
            self.stack.weights_layout.put(weights_of(module), self.stack.weights(lane))
            self.stack.statistics_layout.put(list(module.named_buffers()), self.stack.statistics(lane))
            self.numbers.append(number)

    def drop(self, lane: int) -> None:
        last = self.numbers.pop()
        if lane < len(self.numbers):
            self.numbers[lane] = last
        self.stack.drop(lane)

    @torch.no_grad()
    def step(self, x: Tensor, d: Tensor, number: int, drops: bool = True, adds: bool = False) -> Tensor:
        """Outputs of a step with this number; its gradients are in the stack."""
        shares = [[SHARES[lane] if drops else 0.0] * 2 for lane in self.numbers]
        draws = Draws(self.numbers, shares, self.stack.layers, CPU, DTYPE)
        self.stack.bind(draws)
        rows = draws.rows(places(torch.tensor(number), torch.arange(x.shape[1])).expand(1, len(x), -1))
        outputs = self.stack.forward(x, [mask[0] for mask in self.stack.masks(rows, 0, 1)]).clone()
        self.stack.backward(d.clone(), adds)
        return outputs

    def assert_step(self, x: Tensor, d: Tensor, number: int, drops: bool = True, times: int = 1) -> None:
        """A step of all lanes does what a step of each module does; ``times`` as often are its gradients there."""
        if times > 1:
            self.stack.clear_gradients()
        for _ in range(times):
            outputs = self.step(x, d, number, drops, adds=times > 1)
        for lane, of in enumerate(self.numbers):
            module, drop = self.modules[of], Dropout(of, SHARES[of] if drops else 0.0, x.shape[1])
            drop.step = number
            self.gradients[of].zero_()
            for _ in range(times):
                expected = module.train()(x[lane], drop)
                expected.backward(d[lane])
            close(outputs[lane], expected)
            shapes, buffers = shapes_of(module)
            gradients = self.stack.weights_layout.take(self.stack.gradient(lane), shapes)
            for name, parameter in module.named_parameters():
                close(gradients[name], parameter.grad)
            for name, buffer in self.stack.statistics_layout.take(self.stack.statistics(lane), buffers).items():
                close(buffer, module.get_buffer(name))


def close(found: Tensor, expected: Tensor | None) -> None:
    assert expected is not None
    torch.testing.assert_close(found, expected.detach(), rtol=1e-10, atol=1e-10)


def samples(lanes: int, rows: int = ROWS) -> tuple[Tensor, Tensor]:
    return torch.randn(lanes, rows, *INPUTS.shape, dtype=DTYPE), torch.randn(lanes, rows, OUTPUTS, dtype=DTYPE)


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "sigmoid", "silu", "leaky_relu", "elu"])
@pytest.mark.parametrize("drops", [True, False], ids=["dropout", "no dropout"])
def test_a_step_of_all_lanes_is_one_of_each(activation: str, normalization: str, drops: bool) -> None:
    """With one number of samples after another, a single one among them."""
    lanes = Lanes(activation=activation, normalization=normalization)
    lanes.admit(0, 1, 2, 3)
    for number, rows in enumerate((ROWS, 5, 1, ROWS)):
        lanes.assert_step(*samples(4, rows), number, drops)


@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_gradients_of_several_pieces_add_up(normalization: str) -> None:
    lanes = Lanes(normalization=normalization)
    lanes.admit(0, 1, 2, 3)
    lanes.assert_step(*samples(4), 7, times=3)


def test_lanes_come_and_go() -> None:
    lanes = Lanes(normalization="batch")
    lanes.admit(0, 1, 2)
    lanes.assert_step(*samples(3), 0)
    lanes.drop(0)
    lanes.assert_step(*samples(2), 1)
    lanes.admit(3)
    lanes.drop(2)
    lanes.admit(3, 0)
    assert lanes.numbers == [2, 1, 3, 0]
    lanes.assert_step(*samples(4), 2)


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("shared", [True, False], ids=["shared samples", "own samples"])
def test_what_is_measured_changes_nothing(shared: bool, normalization: str) -> None:
    lanes = Lanes(normalization=normalization)
    lanes.admit(0, 1, 2, 3)
    lanes.step(*samples(4), 0)
    before = [lanes.stack.statistics(lane).clone() for lane in range(4)]
    x = samples(4, 20)[0]
    with torch.no_grad():
        outputs = lanes.stack.forward(x[0] if shared else x, None)
    for lane, module in enumerate(lanes.modules):
        state = dict(module.named_buffers())
        for name, buffer in lanes.stack.statistics_layout.take(lanes.stack.statistics(lane), shapes_of(module)[1]).items():
            state[name].copy_(buffer)
        close(outputs[lane], module.eval()(x[0 if shared else lane]))
        close(lanes.stack.statistics(lane), before[lane])
