"""The weights of a model as one flat vector: one tensor to update, to clip, to copy and to save."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from automl.models.embedding import PADDING, Embedding, Positions
from automl.models.layers import BatchNorm
from automl.training.randomness import key_at, uniform

EMBEDDING_BOUND = 0.25
ALIGNED = 16  # every weight tensor begins at a multiple of so many numbers; what lies between stays 0


def initialised(
    module: nn.Module, seed: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Give the weights of a model their initial values, on this device, and return all of them and all gradients as flat vectors.

    The model's own weights and gradients are views of the two. Linear and convolutional weights are uniform within
    sqrt(6 / (inputs + outputs)), each drawn by (name of the layer, unit, input), and biases begin as 0. A normalisation begins as
    identity. The vectors of words and positions are uniform within ``EMBEDDING_BOUND``, that of padding is 0. In recurrent layers each gate
    is like a linear layer, but the weights from step to step are orthogonal, and the forget gate of an LSTM begins open, with a bias of 1.
    What ``begins_at_zero`` has marked is 0.

    Sources: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010, equation 16; for words
    Kim, Convolutional neural networks for sentence classification (arXiv 1408.5882), section 3.2; for recurrent layers Saxe, McClelland
    and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear neural networks (arXiv 1312.6120), and Jozefowicz,
    Zaremba and Sutskever, An empirical exploration of recurrent network architectures, 2015 (the forget gate).
    """
    values, gradients = flattened(module, torch.device(device), dtype)
    with torch.no_grad():
        for name, part in module.named_modules():
            if getattr(part, "begins_at_zero", False):
                pass  # as all weights are at this point
            elif isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
                draw(part, seed, name)
            elif isinstance(part, Embedding | Positions):
                _draw_words(part, seed, name)
            elif isinstance(part, nn.RNNBase):
                _draw_recurrent(part, seed, name)
            elif isinstance(part, BatchNorm | nn.LayerNorm | nn.GroupNorm):
                part.weight.fill_(1)
                part.bias.fill_(0)
            if isinstance(part, BatchNorm):
                part.running_mean.fill_(0)
                part.running_var.fill_(1)
    return values, gradients


def flattened(module: nn.Module, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Put the weights of a model, and their gradients, into one zeroed vector each, and its buffers beside them."""
    shapes = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    values = torch.zeros(length(shapes), device=device, dtype=dtype)
    gradients = torch.zeros_like(values)
    places = dict(zip(module.parameters(), slices(shapes).values(), strict=True))
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            place = places[parameter]
            view = nn.Parameter(values[place].view(parameter.shape))
            view.grad = gradients[place].view(parameter.shape)
            setattr(part, name, view)
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, torch.zeros(buffer.shape, device=device, dtype=dtype))
    return values, gradients


def slices(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, slice]:
    """Where each weight tensor stands in the flat vector."""
    places, start = {}, 0
    for name, shape in shapes.items():
        places[name] = slice(start, start + math.prod(shape))
        start += _aligned(shape)
    return places


def length(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How long the flat vector is."""
    return sum(_aligned(shape) for shape in shapes.values())


def _aligned(shape: tuple[int, ...]) -> int:
    return math.ceil(math.prod(shape) / ALIGNED) * ALIGNED


def draw(part: nn.Linear | nn.Conv1d | nn.Conv2d, seed: int, name: str) -> None:
    """Inputs and outputs of a convolution count every pixel of its kernel."""
    units = part.weight.shape[0]
    inputs = part.weight[0].numel()
    pixels = part.weight[0, 0].numel()
    bound = math.sqrt(6 / (inputs + units * pixels))
    weight = uniform(key_at(seed, "initial", name, "weight"), units, inputs, part.weight.device)
    part.weight.copy_(weight.mul_(2 * bound).sub_(bound).view(part.weight.shape))


def _draw_words(part: Embedding | Positions, seed: int, name: str) -> None:
    words, units = part.weight.shape
    weight = uniform(key_at(seed, "initial", name, "weight"), words, units, part.weight.device)
    part.weight.copy_(weight.mul_(2 * EMBEDDING_BOUND).sub_(EMBEDDING_BOUND))
    if isinstance(part, Embedding):
        part.weight[PADDING].fill_(0)


def _draw_recurrent(part: nn.RNNBase, seed: int, name: str) -> None:
    """Of one layer in one direction; the gates stand one below the other."""
    from_inputs, from_steps = part.get_parameter("weight_ih_l0"), part.get_parameter("weight_hh_l0")
    units, (rows, inputs) = part.hidden_size, from_inputs.shape
    bound = math.sqrt(6 / (inputs + units))
    drawn = uniform(key_at(seed, "initial", name, "inputs"), rows, inputs, from_inputs.device)
    from_inputs.copy_(drawn.mul_(2 * bound).sub_(bound))
    drawn = uniform(key_at(seed, "initial", name, "steps"), rows, units).mul_(2).sub_(1)  # on a CPU, since devices factorise differently
    for gate in range(rows // units):
        place = slice(gate * units, (gate + 1) * units)
        from_steps[place].copy_(torch.linalg.qr(drawn[place]).Q)
    if isinstance(part, nn.LSTM):
        part.get_parameter("bias_ih_l0")[units : 2 * units].fill_(1)
