"""Networks that a factory of a person's own makes: called, looked at, and laid out so that the house's own loop can train them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl.draws import seed_at
from automl.errors import UsageError
from automl.events import Code, Configuration
from automl.families import TRAINING
from automl.inputs import Inputs, inputs_of
from automl.owncode import SHAPES, described, imported
from automl.surroundings import Own, Surroundings
from automl.training.own.arithmetic import counting
from automl.training.weights import length, slices

_ROWS = 2  # of the samples that a new network is tried with
_DTYPES = {"tokens": torch.int64}


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """A network that a factory has made. ``multiply_adds``: of the forward pass of one sample; None where that is not known."""

    module: nn.Module
    multiply_adds: float | None


def made(model: str, code: Code, configuration: Configuration, given: Inputs | Sequence[int], outputs: int, seed: int) -> nn.Module:
    """The network that the factory makes of this configuration, as ``own_network`` says."""
    return own_network(model, code, configuration, given, outputs, seed).module


def own_network(
    model: str,
    code: Code,
    configuration: Configuration,
    given: Inputs | Sequence[int],
    outputs: int,
    seed: int,
    *,
    any_outputs: bool = False,
) -> OwnNetwork:
    """The network that the factory makes of this configuration, with its own initial weights, on the CPU.

    It is called with the parameters that it names, and with ``input_shape`` (of one sample), ``outputs`` and ``vocabulary`` (of texts)
    where it names those; what torch draws meanwhile is a function of ``seed``, and what it changes for the whole process is undone. The
    names of the trainer (``learning_rate``, ...) are left out unless it names them.

    ``any_outputs``: it may give others than it is told, since its last layer is replaced.

    Raises UsageError where it returns no module, or one that does not give ``[samples, outputs]`` for ``[samples, *input_shape]``.
    """
    factory, inputs = imported(model, code.folders), inputs_of(given)
    takes = described(factory).takes
    known = dict(zip(SHAPES, (inputs.shape, outputs, inputs.vocabulary), strict=True))
    shapes = {name: value for name, value in known.items() if value or name != "vocabulary"}  # which only texts have
    arguments = {name: value for name, value in {**configuration, **shapes}.items() if _is_wanted(name, takes)}
    with torch.random.fork_rng(devices=[]), Own(Surroundings.found()).around():
        torch.manual_seed(seed_at(seed, "initial"))
        try:
            module = factory(**arguments)
        except SystemExit as end:  # no end of the worker
            raise UsageError(f"{model}: must return a torch.nn.Module, but called sys.exit({end.code!r}). Return the network.") from end
    if not isinstance(module, nn.Module):
        raise UsageError(f"{model}: must return a torch.nn.Module, but returned {_kind(module)}. Return the network.")
    return OwnNetwork(module, _try_out(model, module, inputs, None if any_outputs else outputs))


def _is_wanted(name: str, takes: tuple[str, ...] | None) -> bool:
    """A factory that takes any name gets those of the space, and none of the trainer's."""
    return name in takes if takes is not None else name not in TRAINING


def _try_out(model: str, module: nn.Module, inputs: Inputs, outputs: int | None) -> float | None:
    """See what comes out, which also gives lazy layers their shapes; returns the multiplications of one sample where they are known."""
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            found, multiplications = _run(module, torch.zeros(_ROWS, *inputs.shape, dtype=_DTYPES.get(inputs.kind, torch.float32)))
    except Exception as error:
        shape, text = (_ROWS, *inputs.shape), (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"{model}: must take inputs of the shape {shape}, but raises {type(error).__name__}: {text}") from error
    module.train(was_training)
    if outputs is None and isinstance(found, Tensor):
        outputs = found[0].numel()
        found = found.flatten(1)
    if not isinstance(found, Tensor) or tuple(found.shape) != (_ROWS, outputs):
        given = f"of the shape {tuple(found.shape)}" if isinstance(found, Tensor) else _kind(found)
        shape = (_ROWS, *inputs.shape)
        raise UsageError(
            f"{model}: must give outputs of the shape {(_ROWS, outputs)} for inputs of the shape {shape}, but they are {given}. "
            "Name outputs in its signature to be told their number."
        )
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            raise UsageError(f"{model}: weights must be of float32, but {name} is of {str(parameter.dtype).removeprefix('torch.')}.")
    return None if multiplications is None else multiplications / _ROWS


def _run(module: nn.Module, x: Tensor) -> tuple[object, int | None]:
    """What the module gives, and the multiplications that it takes; None for one that only runs uncounted."""
    try:
        with counting() as arithmetic:
            return module(x), arithmetic.counted
    except Exception:
        return module(x), None


def _kind(value: object) -> str:
    return "nothing" if value is None else f"of type {type(value).__name__}"


def adopted(module: nn.Module, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Put the weights that train, with their values, and their gradients into one vector each, as ``automl.training.weights`` has them.

    Everything else of the module (frozen weights, buffers) goes to the device as it is. Weights that several layers share stay shared.
    """
    module.to(device)
    if dtype != torch.float32:
        module.to(dtype)
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    shapes = {name: tuple(parameter.shape) for name, parameter in trained.items()}
    values = torch.zeros(length(shapes), device=device, dtype=dtype)
    gradients = torch.zeros_like(values)
    views: dict[int, nn.Parameter] = {}
    for parameter, place in zip(trained.values(), slices(shapes).values(), strict=True):
        values[place] = parameter.detach().reshape(-1)
        view = views[id(parameter)] = nn.Parameter(values[place].view(parameter.shape))
        view.grad = gradients[place].view(parameter.shape)
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False, remove_duplicate=False)):
            if id(parameter) in views:
                setattr(part, name, views[id(parameter)])
    return values, gradients


@contextmanager
def normalised_by_the_past(module: nn.Module) -> Iterator[None]:
    """For a batch of one sample, which has no variance: torch's batch normalisation takes its running statistics, and leaves them alone."""
    parts = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training]
    for part in parts:
        part.eval()
    try:
        yield
    finally:
        for part in parts:
            part.train()
