"""Recurrent networks and instance normalisation: size, cost, what they calculate; what follows the end of a sequence changes nothing."""

from __future__ import annotations

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
from automl.models.instancenorm import InstanceNorm
from automl.training.weights import initialised

FAMILIES = ("rnn", "lstm", "gru")
CONFIGURATIONS = st.fixed_dictionaries(
    {
        "layers": st.integers(1, 3),
        "units": st.integers(1, 6),
        "bidirectional": st.booleans(),
        "pooling": st.sampled_from(["last", "mean", "max"]),
        "normalization": st.sampled_from(["none", "layer"]),
        "instance_norm": st.sampled_from(["none", "last", "mean", "standard"]),
        "dropout": st.just(0.3),
    },
    optional={f"units_{layer}": st.integers(1, 6) for layer in range(1, 4)},
)
INPUTS = st.builds(
    lambda channels, steps, mask, continues: Inputs("sequences", (channels + mask, steps), has_mask=mask, continues=continues),
    *(st.integers(1, 3), st.integers(1, 6), st.booleans(), st.booleans()),
)


def network(model: str, configuration: Configuration, inputs: Inputs, outputs: int) -> nn.Module:
    module = build(model, configuration, inputs, outputs)
    initialised(module, seed=1, dtype=torch.float64)
    with torch.no_grad():  # which of a forecast begins at 0
        module.output.weight.copy_(torch.randn(module.output.weight.shape, generator=torch.Generator().manual_seed(1)))  # type: ignore[union-attr, operator, arg-type]
    return module


def draw(inputs: Inputs, samples: int, lengths: list[int] | None = None) -> Tensor:
    x = torch.randn(samples, *inputs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    if inputs.has_mask:
        ends = torch.tensor(lengths or [inputs.shape[1]] * samples)
        mask = (torch.arange(inputs.shape[1]) < ends[:, None]).double()
        x = torch.cat([x[:, :-1] * mask[:, None], mask[:, None]], dim=1)
    return x


def recurrence(part: nn.RNNBase, steps: list[Tensor]) -> list[Tensor]:
    """One direction of a layer, by the equations: ``steps`` are ``[inputs]`` each, one sample's."""
    w = {name.removesuffix("_l0"): value for name, value in part.named_parameters()}
    hidden = cell = torch.zeros(part.hidden_size, dtype=steps[0].dtype, device=steps[0].device)
    found = []
    for step in steps:
        from_step = F.linear(step[None], w["weight_ih"])[0] + w["bias_ih"]
        from_hidden = F.linear(hidden[None], w["weight_hh"])[0] + w["bias_hh"]
        match part:
            case nn.LSTM():
                i, f, g, o = (from_step + from_hidden).chunk(4)
                cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
                hidden = o.sigmoid() * cell.tanh()
            case nn.GRU():
                (r, z, n), (hr, hz, hn) = from_step.chunk(3), from_hidden.chunk(3)
                n = (n + (r + hr).sigmoid() * hn).tanh()
                z = (z + hz).sigmoid()
                hidden = (1 - z) * n + z * hidden
            case _:
                hidden = (from_step + from_hidden).tanh()
        found.append(hidden)
    return found


def by_hand(module: nn.Module, configuration: Configuration, x: Tensor) -> Tensor:
    """The outputs for one sample, ``[channels, steps]`` without a mask and normalised already."""
    steps = list(x.T)
    layers = len(module.forwards)  # type: ignore[arg-type]
    for layer in range(layers):
        ahead = recurrence(module.forwards[layer], steps)  # type: ignore[index]
        if configuration["bidirectional"]:
            back = recurrence(module.backwards[layer], steps[::-1])[::-1]  # type: ignore[index]
            ahead = [torch.cat(pair) for pair in zip(ahead, back, strict=True)]
        steps = [module.norm[layer](step) for step in ahead]  # type: ignore[index]
    match configuration["pooling"]:
        case "mean":
            pooled = torch.stack(steps).mean(0)
        case "max":
            pooled = torch.stack(steps).amax(0)
        case _:
            half = len(steps[0]) // 2
            pooled = torch.cat([steps[-1][:half], steps[0][half:]]) if configuration["bidirectional"] else steps[-1]
    return module.output(pooled[None])[0]  # type: ignore[operator, no-any-return]


@given(st.sampled_from(FAMILIES), CONFIGURATIONS, INPUTS, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_count_of_weights_is_known_without_building(model: str, configuration: Configuration, inputs: Inputs, outputs: int) -> None:
    module = build(model, configuration, inputs, outputs)
    assert sum(weight.numel() for weight in module.parameters()) == families.parameter_count(model, configuration, inputs, outputs)


@given(st.sampled_from(FAMILIES), CONFIGURATIONS, INPUTS, st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_the_products_of_a_forward_pass_are_known_without_building(
    model: str, configuration: Configuration, inputs: Inputs, outputs: int
) -> None:
    """torch does not count those of its recurrent kernels, so they are counted in the equations."""
    module = build(model, configuration, inputs, outputs)
    series = torch.zeros(inputs.shape[0] - inputs.has_mask, inputs.shape[1], device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        by_hand(module, {**configuration, "layers": configuration["layers"]}, series)
    assert counter.get_total_flops() == 2 * families.multiply_adds(model, configuration, inputs, outputs)


@given(st.sampled_from(FAMILIES), CONFIGURATIONS, INPUTS, st.data())
@settings(max_examples=60, deadline=None)
def test_each_sequence_is_read_to_its_own_end(model: str, configuration: Configuration, inputs: Inputs, data: st.DataObject) -> None:
    """The outputs of a batch are those that the equations give for each sequence alone, without what follows its end."""
    steps = inputs.shape[1]
    lengths = data.draw(st.lists(st.integers(1, steps), min_size=2, max_size=3)) if inputs.has_mask else [steps] * 2
    module, x = network(model, configuration, inputs, 2), draw(inputs, len(lengths), lengths)
    found = module(x)
    norm = InstanceNorm(str(configuration["instance_norm"]), inputs)
    for sample, length in enumerate(lengths):
        normalised, restore = norm(x[sample : sample + 1, :, :length])
        series = normalised[0, :-1] if inputs.has_mask else normalised[0]
        assert torch.allclose(found[sample], restore(by_hand(module, configuration, series)[None])[0], rtol=1e-9, atol=1e-12)


@given(st.sampled_from(FAMILIES), CONFIGURATIONS, INPUTS, st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_every_weight_has_a_gradient(model: str, configuration: Configuration, inputs: Inputs, samples: int) -> None:
    module = network(model, configuration, inputs, 2)
    answer = module(draw(inputs, samples))
    assert answer.shape == (samples, 2)
    assert answer.isfinite().all()
    answer.sum().backward()
    assert all(weight.grad is not None for weight in module.parameters())


def test_the_recurrence_may_be_relu() -> None:
    inputs = Inputs("sequences", (1, 4))
    module = network("rnn", {"activation": "relu", "units": 3}, inputs, 1)
    assert module.forwards[0].nonlinearity == "relu"  # type: ignore[index, union-attr]


def test_dropout_takes_the_same_units_at_every_step() -> None:
    asked = []

    def note(hidden: Tensor, layer: int) -> Tensor:
        asked.append((layer, tuple(hidden.shape), bool((hidden == 1).all())))
        return hidden

    network("gru", {"layers": 2, "units_1": 3, "units_2": 4, "bidirectional": True}, Inputs("sequences", (2, 5)), 1)(
        draw(Inputs("sequences", (2, 5)), 6), note
    )
    assert asked == [(0, (6, 6), True), (1, (6, 8), True)]


def test_names_of_the_weights_are_stable() -> None:
    """They are in every ``weights.pt``."""
    module = build("lstm", {"bidirectional": True, "normalization": "layer"}, Inputs("sequences", (2, 5)), 3)
    names = [f"{part}.0.{name}_l0" for part in ("forwards", "backwards") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    assert list(module.state_dict()) == [*names, "norm.0.weight", "norm.0.bias", "output.weight", "output.bias"]


@pytest.mark.parametrize("model", FAMILIES)
def test_recurrent_weights_begin_orthogonal_and_the_forget_gate_open(model: str) -> None:
    module = network(model, {"units": 8}, Inputs("sequences", (3, 5)), 1)
    weights = module.forwards[0]  # type: ignore[index]
    for gate in weights.weight_hh_l0.detach().split(8):  # type: ignore[union-attr, operator]
        assert torch.allclose(gate @ gate.T, torch.eye(8, dtype=torch.float64), atol=1e-12)
    assert float(weights.weight_ih_l0.detach().abs().max()) <= (6 / 11) ** 0.5  # type: ignore[union-attr, operator]
    biases = weights.bias_ih_l0.detach().view(-1, 8).mean(1).tolist()  # type: ignore[union-attr, operator]
    assert biases == ([0, 1, 0, 0] if model == "lstm" else [0] * families.recurrent.GATES[model])


def test_instance_norm_standardises_each_sequence_and_brings_a_forecast_back() -> None:
    inputs = Inputs("sequences", (2, 50), continues=True)
    x = 100 + 7 * torch.randn(3, 2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    normalised, restore = InstanceNorm("standard", inputs)(x)
    assert torch.allclose(normalised.mean(2), torch.zeros(3, 2, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(normalised.std(2, unbiased=False), torch.ones(3, 2, dtype=torch.float64), atol=1e-4)
    assert torch.allclose(restore(normalised[:, 0, -4:]), x[:, 0, -4:])


@pytest.mark.parametrize("model", ["mlp", *FAMILIES])
def test_a_forecast_begins_as_the_naive_one(model: str) -> None:
    """With ``last``, an untrained network repeats the last step of the first channel."""
    inputs = Inputs("sequences", (2, 6), continues=True)
    module = build(model, {"instance_norm": "last"}, inputs, 3)
    initialised(module, seed=1, dtype=torch.float64)
    x = draw(inputs, 4)
    assert torch.equal(module(x), x[:, :1, -1].expand(4, 3))


def test_a_class_is_not_brought_back() -> None:
    inputs = Inputs("sequences", (2, 6))
    module = network("mlp", {"layers": 0, "instance_norm": "mean"}, inputs, 3)
    x = draw(inputs, 4)
    assert torch.allclose(module(x), module(x + 5), atol=1e-12)


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_text_is_read_as_the_sequence_of_its_words(model: str, bidirectional: bool) -> None:
    configuration: Configuration = {"units": 4, "embedding": 3, "bidirectional": bidirectional, "instance_norm": "standard"}
    words = Inputs("tokens", (6,), vocabulary=9)
    module = network(model, configuration, words, 2)
    assert sum(weight.numel() for weight in module.parameters()) == families.parameter_count(model, configuration, words, 2)
    vectors = Inputs("sequences", (4, 6), has_mask=True)
    other = network(model, configuration | {"instance_norm": "none"}, vectors, 2)
    states = module.state_dict()
    embedding = states.pop("read.embedding.weight")
    other.load_state_dict(states)
    texts = torch.tensor([[5, 2, 7, 1, 0, 0], [3, 3, 8, 8, 4, 1]], dtype=torch.int32)
    there = (texts > 0).double()[..., None]
    same = torch.cat([embedding[texts.long()] * there, there], 2).transpose(1, 2)
    assert torch.allclose(module(texts), other(same), rtol=1e-10)
