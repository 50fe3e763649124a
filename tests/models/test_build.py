"""The networks of the families: their size, their shapes, their names, and what they calculate."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)
from torch.utils.flop_counter import FlopCounterMode

from automl import families
from automl.errors import UsageError
from automl.events import Configuration
from automl.models import build
from automl.models.layers import BatchNorm
from automl.training.weights import initialised

LAYERS = {
    "activation": st.sampled_from(families.ACTIVATIONS),
    "normalization": st.sampled_from(families.NORMALIZATIONS),
    "dropout": st.floats(0, 0.9),
}
MLPS = st.fixed_dictionaries(
    {"layers": st.integers(0, 4), "units": st.integers(1, 20), **LAYERS},
    optional={f"units_{layer}": st.integers(1, 20) for layer in range(1, 5)},
)
CNNS = st.fixed_dictionaries(
    {
        "conv_layers": st.integers(1, 4),
        "channels": st.integers(1, 8),
        "kernel_size": st.integers(1, 6),
        "pooling": st.sampled_from(["max", "average", "none"]),
        "dense_units": st.integers(0, 9),
        **LAYERS,
    },
    optional={f"channels_{layer}": st.integers(1, 8) for layer in range(1, 5)},
)
RESNETS = st.fixed_dictionaries(
    {
        "stages": st.integers(1, 4),
        "blocks": st.integers(1, 2),
        "channels": st.integers(1, 6),
        "widening": st.sampled_from([1, 1.5, 2.0]),
        "kernel_size": st.integers(1, 5),
        "stem_stride": st.integers(1, 4),
        **LAYERS,
    },
    optional={f"blocks_{stage}": st.integers(1, 3) for stage in range(1, 5)},
)
TABULAR_RESNETS = st.fixed_dictionaries(
    {"layers": st.integers(0, 3), "units": st.integers(1, 12), "hidden_factor": st.floats(0.25, 4), **LAYERS}
)
PICTURES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
MODELS = st.one_of(
    st.tuples(st.just("mlp"), MLPS, st.one_of(st.tuples(st.integers(1, 9)), PICTURES)),
    st.tuples(st.just("cnn"), CNNS, PICTURES),
    st.tuples(st.just("resnet"), RESNETS, PICTURES),
    st.tuples(st.just("tabular_resnet"), TABULAR_RESNETS, st.tuples(st.integers(1, 9))),
)


def network(model: str, configuration: Configuration, inputs: tuple[int, ...], outputs: int, seed: int = 1) -> nn.Module:
    module = build(model, configuration, inputs, outputs)
    initialised(module, seed, dtype=torch.float64)
    return module


@given(MODELS, st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_the_count_of_weights_is_known_without_building(case: tuple[str, Configuration, tuple[int, ...]], outputs: int) -> None:
    model, configuration, inputs = case
    module = build(model, configuration, inputs, outputs)
    assert sum(weight.numel() for weight in module.parameters()) == families.parameter_count(model, configuration, inputs, outputs)


@given(MODELS, st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_products_of_a_forward_pass_are_known_without_building(case: tuple[str, Configuration, tuple[int, ...]], outputs: int) -> None:
    """torch counts a multiplication and an addition as two operations, of matrix products and convolutions alone."""
    model, configuration, inputs = case
    module = build(model, configuration, inputs, outputs).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, *inputs, device="meta"))
    assert counter.get_total_flops() == 2 * families.multiply_adds(model, configuration, inputs, outputs)


@given(MODELS, st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_every_network_takes_batches_of_any_size_and_has_gradients(
    case: tuple[str, Configuration, tuple[int, ...]], outputs: int, samples: int
) -> None:
    model, configuration, inputs = case
    module = network(model, configuration, inputs, outputs)
    answer = module(torch.randn(samples, *inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    assert answer.shape == (samples, outputs)
    assert answer.isfinite().all()
    answer.sum().backward()
    assert all(weight.grad is not None for weight in module.parameters())


def test_building_draws_nothing_random() -> None:
    before = torch.random.get_rng_state()
    build("cnn", {}, (1, 8, 8), 10)
    assert torch.equal(before, torch.random.get_rng_state())


def test_names_of_the_weights_are_stable() -> None:
    """They are in every ``weights.pt``."""
    mlp = build("mlp", {"layers": 2, "normalization": "batch"}, (4,), 3)
    assert list(mlp.state_dict()) == [
        *("hidden.0.weight", "hidden.1.weight"),
        *("norm.0.weight", "norm.0.bias", "norm.0.running_mean", "norm.0.running_var"),
        *("norm.1.weight", "norm.1.bias", "norm.1.running_mean", "norm.1.running_var"),
        *("output.weight", "output.bias"),
    ]
    cnn = build("cnn", {"conv_layers": 1, "normalization": "layer"}, (1, 4, 4), 3)
    assert list(cnn.state_dict()) == [
        *("conv.0.weight", "conv.0.bias", "norm.0.weight", "norm.0.bias"),
        *("hidden.weight", "hidden.bias", "hidden_norm.weight", "hidden_norm.bias", "output.weight", "output.bias"),
    ]
    resnet = build("resnet", {"stages": 2, "normalization": "none"}, (1, 4, 4), 3)
    assert list(resnet.state_dict()) == [
        *("stem.weight", "stem.bias"),
        *("stages.0.0.conv_1.weight", "stages.0.0.conv_1.bias", "stages.0.0.conv_2.weight", "stages.0.0.conv_2.bias"),
        *("stages.1.0.conv_1.weight", "stages.1.0.conv_1.bias", "stages.1.0.conv_2.weight", "stages.1.0.conv_2.bias"),
        *("stages.1.0.shortcut.weight", "stages.1.0.shortcut.bias", "output.weight", "output.bias"),
    ]
    tabular = build("tabular_resnet", {"layers": 1, "normalization": "layer"}, (4,), 3)
    assert list(tabular.state_dict()) == [
        *("first.weight", "first.bias", "blocks.0.norm.weight", "blocks.0.norm.bias", "blocks.0.inner.weight", "blocks.0.inner.bias"),
        *("blocks.0.outer.weight", "blocks.0.outer.bias", "norm.weight", "norm.bias", "output.weight", "output.bias"),
    ]


def test_an_mlp_is_linear_activation_linear() -> None:
    module = network("mlp", {"layers": 1, "units": 7, "activation": "tanh"}, (2, 3), 4)
    weights, x = module.state_dict(), torch.rand(5, 2, 3, dtype=torch.float64)
    hidden = torch.tanh(x.flatten(1) @ weights["hidden.0.weight"].T + weights["hidden.0.bias"])
    assert torch.allclose(module(x), hidden @ weights["output.weight"].T + weights["output.bias"], rtol=1e-12)


def test_a_block_of_a_tabular_resnet_adds_two_layers_to_its_input() -> None:
    """ResNet(x) = Prediction(Block(Linear(x))) of arXiv 2106.11959, section 3.2, written out."""
    configuration = {"layers": 1, "units": 4, "hidden_factor": 1.6, "activation": "tanh", "normalization": "layer"}
    module = network("tabular_resnet", configuration, (3,), 2)
    w, x = module.state_dict(), torch.rand(5, 3, dtype=torch.float64)
    stream = F.linear(x, w["first.weight"], w["first.bias"])
    inner = torch.tanh(F.linear(F.layer_norm(stream, (4,)), w["blocks.0.inner.weight"], w["blocks.0.inner.bias"]))
    assert inner.shape == (5, 6)
    stream = stream + F.linear(inner, w["blocks.0.outer.weight"], w["blocks.0.outer.bias"])
    expected = F.linear(torch.tanh(F.layer_norm(stream, (4,))), w["output.weight"], w["output.bias"])
    assert torch.allclose(module(x), expected, rtol=1e-12)


def test_a_cnn_is_convolution_norm_activation_pooling_then_dense() -> None:
    configuration = {"conv_layers": 1, "channels": 3, "dense_units": 4, "normalization": "layer", "activation": "elu", "pooling": "average"}
    module = network("cnn", configuration, (2, 5, 6), 3)
    w, x = module.state_dict(), torch.rand(4, 2, 5, 6, dtype=torch.float64)
    maps = F.group_norm(F.conv2d(x, w["conv.0.weight"], w["conv.0.bias"], padding=1), 1, w["norm.0.weight"], w["norm.0.bias"])
    hidden = F.linear(F.avg_pool2d(F.elu(maps), 2).flatten(1), w["hidden.weight"], w["hidden.bias"])
    hidden = F.elu(F.layer_norm(hidden, (4,), w["hidden_norm.weight"], w["hidden_norm.bias"]))
    assert torch.allclose(module(x), F.linear(hidden, w["output.weight"], w["output.bias"]), rtol=1e-12)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 8])
def test_convolutions_keep_the_size_of_the_map(kernel_size: int) -> None:
    """As padding 'same' of torch does, even kernels included."""
    configuration = {"conv_layers": 1, "channels": 2, "kernel_size": kernel_size, "pooling": "none", "dense_units": 0}
    module = network("cnn", configuration, (1, 4, 3), 2)
    w, x = module.state_dict(), torch.rand(2, 1, 4, 3, dtype=torch.float64)
    before, after = (kernel_size - 1) // 2, kernel_size // 2
    maps = F.relu(F.conv2d(F.pad(x, (before, after, before, after)), w["conv.0.weight"], w["conv.0.bias"]))
    assert maps.shape == (2, 2, 4, 3)
    assert torch.allclose(module(x), F.linear(maps.flatten(1), w["output.weight"], w["output.bias"]), rtol=1e-12)


@pytest.mark.parametrize("normalization", families.NORMALIZATIONS)
def test_a_new_block_is_its_shortcut(normalization: str) -> None:
    """Whatever their number: blocks that do not change the map's shape give what they take, which after the stem is not negative."""
    shallow, deep = (
        network("resnet", {"stages": 1, "blocks": blocks, "channels": 4, "normalization": normalization}, (2, 6, 5), 3).eval()
        for blocks in (1, 5)
    )
    x = torch.rand(3, 2, 6, 5, dtype=torch.float64)
    assert torch.equal(shallow(x), deep(x))


@pytest.mark.parametrize("normalization", families.NORMALIZATIONS)
def test_a_residual_block_adds_two_convolutions_to_its_shortcut(normalization: str) -> None:
    """A stage after the first: the shortcut is the means of 2x2 pixels, with channels by a 1x1 convolution, uneven borders included."""
    module = network("resnet", {"stages": 2, "channels": 3, "activation": "elu", "normalization": normalization}, (2, 7, 5), 3).eval()
    random = torch.Generator().manual_seed(0)
    for weight in module.parameters():
        weight.data.copy_(torch.randn(weight.shape, generator=random, dtype=torch.float64))
    w, x = module.state_dict(), torch.rand(4, 3, 7, 5, dtype=torch.float64)

    def layer(name: str, norm: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = w[f"{name}.weight"]
        x = F.conv2d(x, weight, w.get(f"{name}.bias"), stride, padding=weight.shape[2] // 2)
        match normalization:
            case "batch":
                return F.batch_norm(x, w[f"{norm}.running_mean"], w[f"{norm}.running_var"], w[f"{norm}.weight"], w[f"{norm}.bias"])
            case "layer":
                return F.group_norm(x, 1, w[f"{norm}.weight"], w[f"{norm}.bias"])
            case _:
                return x

    block = "stages.1.0"
    added = layer(f"{block}.conv_2", f"{block}.norm_2", F.elu(layer(f"{block}.conv_1", f"{block}.norm_1", x, 2)))
    means = (
        F.avg_pool2d(F.pad(x, (0, 1, 0, 1)), 2) * torch.tensor([[1, 1, 2]]) * torch.tensor([[1], [1], [1], [2]])
    )  # of those that there are
    expected = F.elu(layer(f"{block}.shortcut", f"{block}.shortcut_norm", means) + added)
    assert torch.allclose(module.get_submodule(block)(x), expected, rtol=1e-10)


def test_a_stem_that_strides_makes_the_map_smaller_at_once() -> None:
    maps: list[tuple[int, ...]] = []
    module = network("resnet", {"stages": 3, "channels": 2, "stem_stride": 4}, (3, 64, 30), 2)
    for part in (module.stem, *module.stages):  # type: ignore[misc,union-attr]
        part.register_forward_hook(lambda _part, _inputs, output: maps.append(tuple(output.shape)))  # type: ignore[union-attr]
    module(torch.rand(1, 3, 64, 30, dtype=torch.float64))
    assert maps == [(1, 2, 16, 8), (1, 2, 16, 8), (1, 4, 8, 4), (1, 8, 4, 2)]


def test_dropout_is_asked_for_every_hidden_layer() -> None:
    asked = []

    def note(hidden: torch.Tensor, layer: int) -> torch.Tensor:
        asked.append((layer, tuple(hidden.shape)))
        return hidden

    network("mlp", {"layers": 2, "units_1": 5, "units_2": 6}, (3,), 2)(torch.ones(4, 3, dtype=torch.float64), note)
    network("cnn", {"dense_units": 7}, (1, 8, 8), 2)(torch.ones(4, 1, 8, 8, dtype=torch.float64), note)
    network("cnn", {"dense_units": 0, "channels": 3}, (1, 8, 8), 2)(torch.ones(4, 1, 8, 8, dtype=torch.float64), note)
    network("resnet", {"stages": 2, "channels": 3}, (1, 8, 8), 2)(torch.ones(4, 1, 8, 8, dtype=torch.float64), note)
    network("tabular_resnet", {"layers": 2, "units": 4, "hidden_factor": 3.0}, (3,), 2)(torch.ones(4, 3, dtype=torch.float64), note)
    assert asked == [(0, (4, 5)), (1, (4, 6)), (0, (4, 7)), (0, (4, 3 * 2 * 2)), (0, (4, 6)), (0, (4, 12)), (1, (4, 12))]


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 5)])
def test_batch_normalisation_is_that_of_torch(shape: tuple[int, ...]) -> None:
    ours = BatchNorm(3)
    theirs = nn.BatchNorm1d(3) if len(shape) == 2 else nn.BatchNorm2d(3)
    ours.load_state_dict(theirs.state_dict(), strict=False)
    for step in range(3):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(step))
        assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_a_batch_of_one_sample_is_normalised_with_the_running_statistics() -> None:
    norm = BatchNorm(3)
    norm.load_state_dict(nn.BatchNorm1d(3).state_dict(), strict=False)
    norm(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    one = torch.ones(1, 3)
    assert torch.equal(norm.train()(one), norm.eval()(one))
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_a_cnn_wants_pictures() -> None:
    message = "model: cnn takes pictures, but the data are a table of 30 features. Use model: mlp or tabular_resnet."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        build("cnn", {}, (30,), 2)


def test_an_unknown_family_is_answered() -> None:
    message = f"model: must be one of {', '.join(families.FAMILIES)}, but is 'mpl'. Did you mean 'mlp'?"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        build("mpl", {}, (30,), 2)
