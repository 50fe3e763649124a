"""The networks of ``cnn1d`` and ``transformer``, for sequences and texts: their size, and what they calculate."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)
from torch.utils.flop_counter import FlopCounterMode

from automl import families
from automl.events import Configuration
from automl.inputs import Inputs
from automl.models import build
from automl.training.weights import initialised

WORDS = {"embedding": st.integers(1, 6), "word_dropout": st.floats(0, 0.9)}
CNNS = st.fixed_dictionaries(
    {
        **WORDS,
        "conv_layers": st.integers(0, 3),
        "channels": st.integers(1, 6),
        "kernel_size": st.integers(1, 5),
        "kernels": st.integers(1, 3),
        "residual": st.booleans(),
        "most_steps": st.integers(0, 4),
        "pooling": st.sampled_from(["max", "mean"]),
        "dense_units": st.integers(0, 5),
        "activation": st.sampled_from(families.ACTIVATIONS),
        "normalization": st.sampled_from(families.NORMALIZATIONS),
    }
)
TRANSFORMERS = st.fixed_dictionaries(
    {
        **WORDS,
        "layers": st.integers(0, 3),
        "units": st.integers(1, 9),
        "heads": st.integers(1, 4),
        "feed_forward": st.integers(1, 3),
        "patch": st.integers(1, 4),
        "stride": st.integers(0, 5),
        "positional": st.sampled_from(["learned", "sinusoidal", "none"]),
        "pooling": st.sampled_from(["mean", "max", "first", "all"]),
        "activation": st.sampled_from(families.ACTIVATIONS),
    }
)
INPUTS = st.one_of(
    st.builds(lambda steps: Inputs("tokens", (steps,), vocabulary=7), st.integers(1, 9)),
    st.builds(lambda steps: Inputs("tokens", (3, steps), vocabulary=7), st.integers(1, 9)),
    st.builds(
        lambda channels, steps, mask: Inputs("sequences", (channels, steps), has_mask=mask),
        st.integers(2, 4),
        st.integers(1, 9),
        st.booleans(),
    ),
)
MODELS = st.one_of(st.tuples(st.just("cnn1d"), CNNS, INPUTS), st.tuples(st.just("transformer"), TRANSFORMERS, INPUTS))
Case = tuple[str, Configuration, Inputs]


def network(case: Case, outputs: int, seed: int = 1) -> nn.Module:
    module = build(*case, outputs)
    initialised(module, seed, dtype=torch.float64)
    return module


def some(inputs: Inputs, samples: int, steps: int | None = None) -> Tensor:
    """Samples that have so many steps, and nothing after them."""
    draws = torch.Generator().manual_seed(0)
    shape = (samples, *inputs.shape)
    if inputs.kind == "tokens":
        x = torch.randint(1, inputs.vocabulary, shape, generator=draws, dtype=torch.int32)
    else:
        x = torch.randn(shape, generator=draws, dtype=torch.float64)
        if inputs.has_mask:
            x[:, -1] = 1
    x[..., inputs.shape[-1] if steps is None else steps :] = 0
    return x


@given(MODELS, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_the_cost_is_known_without_building(case: Case, outputs: int) -> None:
    model, configuration, inputs = case
    module = build(model, configuration, inputs, outputs).eval()
    cost = families.cost_of(model, configuration, inputs, outputs)
    assert sum(weight.numel() for weight in module.parameters()) == cost.parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(some(inputs, 1).to("meta", torch.int32 if inputs.kind == "tokens" else torch.float32))
    assert counter.get_total_flops() == 2 * cost.multiply_adds


@given(MODELS, st.integers(1, 3), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_every_network_takes_samples_of_any_length_and_has_gradients(case: Case, samples: int, steps: int) -> None:
    module = network(case, 2)
    answer = module(some(case[2], samples, min(steps, case[2].shape[-1])))
    assert answer.shape == (samples, 2)
    assert answer.isfinite().all()
    answer.sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in module.parameters())


@pytest.mark.parametrize(
    ("model", "configuration"),
    [
        ("cnn1d", {"conv_layers": 2, "normalization": "layer"}),
        ("cnn1d", {"conv_layers": 2, "normalization": "batch", "residual": True}),
        ("transformer", {"positional": "sinusoidal"}),
        ("transformer", {"positional": "sinusoidal", "patch": 3, "stride": 2}),
    ],
)
@pytest.mark.parametrize("inputs", [Inputs("tokens", (2, 6), vocabulary=9), Inputs("sequences", (3, 6), has_mask=True)])
def test_what_is_behind_the_end_changes_nothing(model: str, configuration: Configuration, inputs: Inputs) -> None:
    """Not even in training, where batch normalisation looks at other samples."""
    longer = replace(inputs, shape=(inputs.shape[0], 11))
    module = network((model, configuration, inputs), 2)
    wider = build(model, configuration, longer, 2)
    wider.load_state_dict(module.state_dict(), assign=True)
    x = some(inputs, 3, 4)
    assert torch.allclose(wider(F.pad(x, (0, 5))), module(x), rtol=1e-10)


def test_a_convolution_of_several_kernels_is_that_of_each() -> None:
    inputs = Inputs("sequences", (2, 5))
    module = network(("cnn1d", {"channels": 3, "kernel_size": 2, "kernels": 2, "activation": "tanh"}, inputs), 4)
    w, x = module.state_dict(), some(inputs, 6)
    found = [F.conv1d(F.pad(x, pad), w[f"conv.0.{n}.weight"], w[f"conv.0.{n}.bias"]) for n, pad in enumerate([(0, 1), (1, 1)])]
    pooled = torch.tanh(torch.cat(found, 1)).amax(2)
    assert torch.allclose(module(x), F.linear(pooled, w["output.weight"], w["output.bias"]), rtol=1e-12)


def test_a_residual_layer_adds_to_what_it_is_given() -> None:
    inputs = Inputs("sequences", (2, 5))
    module = network(("cnn1d", {"conv_layers": 2, "channels_1": 3, "channels_2": 3, "residual": True, "pooling": "mean"}, inputs), 1)
    w, x = module.state_dict(), some(inputs, 6)
    first = F.relu(F.conv1d(x, w["conv.0.0.weight"], w["conv.0.0.bias"], padding=1))
    second = F.relu(first + F.conv1d(first, w["conv.1.0.weight"], w["conv.1.0.bias"], padding=1))
    assert torch.allclose(module(x), F.linear(second.mean(2), w["output.weight"], w["output.bias"]), rtol=1e-12)


def test_the_first_convolution_strides_over_long_sequences_and_skips_no_step() -> None:
    module = network(("cnn1d", {"kernel_size": 3, "most_steps": 4}, Inputs("sequences", (1, 18))), 1)
    assert module.get_parameter("conv.0.0.weight").shape[2] == 5
    x = some(Inputs("sequences", (1, 18)), 1).requires_grad_()
    pooled: list[Tensor] = []
    module.get_submodule("conv.0").register_forward_hook(lambda *parts: pooled.append(parts[2]))
    module(x)
    assert pooled[0].shape[2] == 4
    pooled[0].square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


def test_without_convolutions_a_text_is_the_mean_of_its_words() -> None:
    inputs = Inputs("tokens", (4,), vocabulary=9)
    module = network(("cnn1d", {"conv_layers": 0, "pooling": "mean", "embedding": 3}, inputs), 1)
    w = module.state_dict()
    mean = w["read.embedding.weight"][[5, 2, 2]].mean(0)
    assert torch.allclose(module(torch.tensor([[5, 2, 2, 0]])), F.linear(mean, w["output.weight"], w["output.bias"])[None])


def test_an_encoder_is_that_of_torch() -> None:
    inputs = Inputs("sequences", (6, 5))
    configuration: Configuration = {"layers": 1, "units": 6, "heads": 2, "feed_forward": 3, "positional": "none", "activation": "relu"}
    module = network(("transformer", configuration, inputs), 4)
    theirs = nn.TransformerEncoderLayer(6, 2, 18, 0.0, "relu", batch_first=True, norm_first=True, dtype=torch.float64).eval()
    names = {
        "self_attn.in_proj_weight": "queries_keys_values.weight",
        "self_attn.in_proj_bias": "queries_keys_values.bias",
        "self_attn.out_proj.weight": "attended.weight",
        "self_attn.out_proj.bias": "attended.bias",
        **{
            f"{a}.{part}": f"{b}.{part}"
            for a, b in (("linear1", "hidden"), ("linear2", "output"), ("norm1", "attention_norm"), ("norm2", "hidden_norm"))
            for part in ("weight", "bias")
        },
    }
    w = module.state_dict()
    theirs.load_state_dict({name: w[f"encoders.0.{mine}"] for name, mine in names.items()})
    x = some(inputs, 3)
    read = F.linear(x.transpose(1, 2), w["input.weight"], w["input.bias"])
    mean = F.layer_norm(theirs(read), (6,), w["norm.weight"], w["norm.bias"]).mean(1)
    assert torch.allclose(module(x), F.linear(mean, w["output.weight"], w["output.bias"]), rtol=1e-9)


def test_positions_matter_where_they_are_known() -> None:
    inputs = Inputs("sequences", (2, 4))
    x = some(inputs, 1)
    for positional, knows in (("learned", True), ("sinusoidal", True), ("none", False)):
        module = network(("transformer", {"positional": positional}, inputs), 1)
        assert torch.allclose(module(x), module(x.flip(2))) is not knows


def test_patches_hold_several_steps() -> None:
    module = network(("transformer", {"patch": 4, "units": 8}, Inputs("sequences", (2, 10))), 1)
    assert module.get_parameter("input.weight").shape == (8, 8)
    assert module.get_parameter("positions.weight").shape == (3, 8)


def test_patches_that_overlap_begin_every_stride_steps() -> None:
    inputs = Inputs("sequences", (1, 5))
    module = network(("transformer", {"patch": 3, "stride": 2, "units": 4, "layers": 0, "positional": "none"}, inputs), 1)
    w, x = module.state_dict(), some(inputs, 2)
    windows = torch.stack([F.pad(x[:, 0], (0, 2))[:, begin : begin + 3] for begin in (0, 2, 4)], 1)
    read = F.layer_norm(F.linear(windows, w["input.weight"], w["input.bias"]), (4,), w["norm.weight"], w["norm.bias"])
    assert torch.allclose(module(x), F.linear(read.mean(1), w["output.weight"], w["output.bias"]), rtol=1e-12)
