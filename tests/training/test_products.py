"""The products of linear layers: by whichever library, they are the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from automl.models import multiplication
from automl.models.multiplication import multiplying, numpy_multiplies
from automl.training.lanes.products import products_of

pytestmark = pytest.mark.usefixtures("one_thread")

LANES, INPUTS, UNITS = 3, 20, 7


@pytest.fixture(params=[True, False], ids=["numpy", "torch"])
def by_numpy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    monkeypatch.setattr(multiplication, "numpy_is_faster", lambda: request.param)
    with multiplying():
        assert numpy_multiplies(torch.device("cpu")) is request.param
        yield bool(request.param)


class Layer:
    """A linear layer of some lanes, whose weights and gradients are views of rows, as a group has them."""

    def __init__(self, dtype: torch.dtype, has_bias: bool = True) -> None:
        size = INPUTS * UNITS
        self.rows = torch.randn(LANES, size + UNITS + 5, dtype=dtype)
        self.gradients = torch.zeros_like(self.rows)
        self.weight, self.weight_gradient = (rows[:, :size].view(LANES, INPUTS, UNITS) for rows in (self.rows, self.gradients))
        self.bias, self.bias_gradient = (rows[:, size : size + UNITS][:, None] for rows in (self.rows, self.gradients))
        biases = (self.bias, self.bias_gradient) if has_bias else (None, None)
        self.products = products_of(self.weight, self.weight_gradient, *biases)

    def expected(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of weights, biases and inputs as autograd has them."""
        leaves = [tensor.clone().requires_grad_() for tensor in (self.weight, self.bias, x)]
        torch.einsum("lsi,liu->lsu", leaves[2], leaves[0]).add(leaves[1]).backward(d)
        gradients = [leaf.grad for leaf in leaves]
        assert all(gradient is not None for gradient in gradients)
        return gradients[0], gradients[1], gradients[2]  # type: ignore[return-value]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shared", [True, False], ids=["shared inputs", "own inputs"])
def test_a_layer_of_all_lanes_is_that_of_each(by_numpy: bool, shared: bool, dtype: torch.dtype) -> None:
    """For batches of several sizes, one after the other, with gradients written and added."""
    layer, tolerance = Layer(dtype), 1e-5 if dtype == torch.float32 else 1e-12
    for samples in (16, 5, 16):
        x = torch.randn(samples, INPUTS, dtype=dtype).expand(LANES, -1, -1) if shared else torch.randn(LANES, samples, INPUTS, dtype=dtype)
        d = torch.randn(LANES, samples, UNITS, dtype=dtype)
        y = layer.products.outputs(x, training=True)
        torch.testing.assert_close(y, torch.einsum("lsi,liu->lsu", x, layer.weight) + layer.bias, rtol=tolerance, atol=tolerance)
        weight, bias, inputs = layer.expected(x, d)
        for times, adds in ((1, False), (2, True)):
            layer.products.gradients(d, adds)
            torch.testing.assert_close(layer.weight_gradient, times * weight, rtol=tolerance, atol=tolerance)
            torch.testing.assert_close(layer.bias_gradient, times * bias, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(layer.products.inputs(d), inputs, rtol=tolerance, atol=tolerance)
        assert layer.gradients[:, -5:].eq(0).all()


def test_a_layer_may_have_no_bias(by_numpy: bool) -> None:
    layer, x, d = Layer(torch.float64, has_bias=False), torch.randn(LANES, 4, INPUTS).double(), torch.randn(LANES, 4, UNITS).double()
    torch.testing.assert_close(layer.products.outputs(x, training=True), torch.bmm(x, layer.weight))
    layer.products.gradients(d, adds=False)
    torch.testing.assert_close(layer.weight_gradient, layer.expected(x, d)[0])
    assert layer.bias_gradient.eq(0).all()


def test_what_is_measured_stays_as_it_is(by_numpy: bool) -> None:
    layer = Layer(torch.float32)
    first = layer.products.outputs(torch.randn(LANES, 4, INPUTS), training=False)
    before = first.clone()
    layer.products.outputs(torch.randn(LANES, 4, INPUTS), training=False)
    assert first.equal(before)


def test_numbers_that_are_not_finite_stay_in_their_lane_and_nobody_warns(by_numpy: bool) -> None:
    layer = Layer(torch.float32)
    x, d = torch.randn(LANES, 4, INPUTS), torch.randn(LANES, 4, UNITS)
    x[1] = torch.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = layer.products.outputs(x, training=True)
        layer.products.gradients(d, adds=False)
    for result in (y, layer.weight_gradient):
        assert [bool(lane.isfinite().all()) for lane in result] == [True, False, True]
