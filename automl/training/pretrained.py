"""Trained networks as trunks: their weights are read, checked against the network that they are to be of, and put into it.

``python -m automl.training.pretrained`` does it once in a process of its own, before anything trains (``looked_at``), so that the driver
loads no torch and every mistake is answered there. Files are read without pickle's powers.
"""

from __future__ import annotations

import importlib
import json
import math
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from automl.errors import UsageError
from automl.events import Checkpoint, Code, Configuration
from automl.families import FAMILIES, complete
from automl.families.finetune import LIBRARIES
from automl.inputs import Inputs
from automl.models import build
from automl.models.finetune import Adaptation, Finetuned, Trunk, own_stages, stages_of
from automl.training.weights import draw

_NESTED = ("state_dict", "model_state_dict", "model")  # what programs call the weights among other things that they save
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_NAMES = 3  # so many are named of many
_TAKES_ONE_SIZE = ("cnn",)  # built-in families whose weights fit pictures of one size


@dataclass(frozen=True, slots=True)
class _Bare:
    """A network before its last layer is taken away. ``has_weights``: a library has given them."""

    network: nn.Module
    adaptation: Adaptation
    shape: tuple[int, ...]
    has_weights: bool = False


def finetuned(checkpoint: Checkpoint, configuration: Configuration, inputs: Inputs, outputs: int, seed: int) -> Finetuned:
    """The network of a trial: the checkpoint's trunk with its weights, on the CPU, and a head with initial ones."""
    module = Finetuned(trunk(checkpoint, inputs), complete("finetune", configuration), outputs)
    for name, part in (("head.hidden", module.hidden), ("head.output", module.output)):
        if part is not None:
            with torch.no_grad():
                draw(part, seed, name)
                part.bias.zero_()
    return module


def unweighted(checkpoint: Checkpoint, configuration: Configuration, inputs: Inputs, outputs: int) -> Finetuned:
    """The same network for weights that are loaded into it later: the checkpoint's file is not needed."""
    return Finetuned(_trunk(_bare(checkpoint, inputs, weights=False)), complete("finetune", configuration), outputs)


def trunk(checkpoint: Checkpoint, inputs: Inputs) -> Trunk:
    """The checkpoint's network with its weights, without its last layer. Raises UsageError for all that does not fit."""
    bare = _bare(checkpoint, inputs, weights=True)
    if not bare.has_weights:
        _load(bare.network, _head_name(bare.network, checkpoint), checkpoint)
    return _trunk(bare, checkpoint)


# -- networks -----------------------------------------------------------------------------------------------------------


def _bare(checkpoint: Checkpoint, inputs: Inputs, *, weights: bool) -> _Bare:
    library, _, name = checkpoint.model.partition("/")
    if library in LIBRARIES and name:
        return _of_library(library, name, inputs, weights=weights)
    shape = checkpoint.shape or inputs.shape
    outputs = checkpoint.outputs or 1
    if checkpoint.model in FAMILIES:
        size = (shape[1], shape[2]) if checkpoint.model in _TAKES_ONE_SIZE else None
        network = build(checkpoint.model, checkpoint.parameters, Inputs("pictures", shape), outputs)
        return _Bare(network, Adaptation(shape[0], size), shape)
    from automl.training.own.factory import own_network

    given = Inputs("pictures", shape)
    code = Code("factory", checkpoint.folders)
    network = own_network(checkpoint.model, code, checkpoint.parameters, given, outputs, 0, any_outputs=True).module
    return _Bare(network, Adaptation(shape[0]), shape)


def _of_library(library: str, name: str, inputs: Inputs, *, weights: bool) -> _Bare:
    try:
        module = importlib.import_module("timm" if library == "timm" else "torchvision.models")
    except Exception as error:  # torchvision beside a torch that it was not built for raises RuntimeError
        why = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be imported ({str(error).splitlines()[0]})"
        raise UsageError(f"checkpoint: {library}/{name} needs {library}, which {why}. Install it beside this torch.") from None
    try:
        if library == "timm":
            network: nn.Module = module.create_model(name, pretrained=weights)
            known: Mapping[str, Any] = getattr(network, "default_cfg", {})
            mean, std = tuple(known.get("mean", _IMAGENET[0])), tuple(known.get("std", _IMAGENET[1]))
        else:
            network = module.get_model(name, weights="DEFAULT" if weights else None)
            mean, std = _IMAGENET
    except Exception as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"checkpoint: {library} must give a network called {name!r}, but raises {type(error).__name__}: {text}") from None
    return _Bare(network, Adaptation(3, None, mean, std), (3, *inputs.shape[1:]), has_weights=True)


def _head_name(network: nn.Module, checkpoint: Checkpoint) -> str:
    """The last linear layer, which is replaced."""
    names = [name for name, part in network.named_modules() if isinstance(part, nn.Linear) and name]
    if not names:
        raise UsageError(f"checkpoint: {checkpoint.name}: the network must end in a torch.nn.Linear, which is replaced, but has none.")
    return str(names[-1])


def _trunk(bare: _Bare, checkpoint: Checkpoint | None = None) -> Trunk:
    network = bare.network
    name = _head_name(network, checkpoint or Checkpoint(type(network).__name__))
    head = network.get_submodule(name)
    assert isinstance(head, nn.Linear)
    own = own_stages(network)
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    network.eval()
    if own is not None:
        return Trunk(network, own, head.in_features, bare.adaptation)
    x = torch.rand(2, *bare.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = network(x).flatten(1)
    if found.shape[1] != head.in_features:
        raise UsageError(
            f"checkpoint: {(checkpoint or Checkpoint('')).name}: its last torch.nn.Linear, {name!r}, must come last, but without it the "
            f"network gives {found.shape[1]} numbers in place of the {head.in_features} that it takes."
        )
    return Trunk(network, stages_of(network, x), head.in_features, bare.adaptation)


# -- weights ------------------------------------------------------------------------------------------------------------


def _load(network: nn.Module, head: str, checkpoint: Checkpoint) -> None:
    """Give the network its weights; those of the last layer, ``head``, may be of any shape or missing."""
    file, wanted = checkpoint.file, {name: value for name, value in network.state_dict().items() if not _is_of(head, name)}
    found = {name: value for name, value in tensors(file).items() if not _is_of(head, name)}
    is_counter = [name for name in wanted if name not in found and name.endswith("num_batches_tracked")]
    missing = [name for name in wanted if name not in found and name not in is_counter]
    if missing:
        raise UsageError(
            f"checkpoint: {file}: must hold the weights of {checkpoint.model}, but lacks {_listed(missing)}.{_hint(checkpoint)}"
        )
    strange = [name for name in found if name not in wanted]
    if strange:
        raise UsageError(
            f"checkpoint: {file}: must hold the weights of {checkpoint.model}, but has {_listed(strange)} beside.{_hint(checkpoint)}"
        )
    for name, value in wanted.items():
        if name in found and found[name].shape != value.shape:
            shapes = tuple(value.shape), tuple(found[name].shape)
            text = f"{name} of {checkpoint.model} must be of the shape {shapes[0]}, but is of {shapes[1]}"
            raise UsageError(f"checkpoint: {file}: {text}.{_hint(checkpoint)}")
    state = {name: found[name].to(value.dtype) if name in found else torch.zeros_like(value) for name, value in wanted.items()}
    network.load_state_dict(state, strict=False, assign=True)


def _is_of(layer: str, name: str) -> bool:
    return name.startswith(f"{layer}.")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _hint(checkpoint: Checkpoint) -> str:
    return f" Say under checkpoint with which parameters {checkpoint.model} was built." if not checkpoint.shape else ""


def tensors(file: str) -> dict[str, Tensor]:
    """The weights in a file, by name. Raises UsageError where it holds none, or something that only code can read."""
    content = _safetensors(file) if file.endswith(".safetensors") else _pickled(file)
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    found = {name: value for name, value in content.items() if isinstance(value, Tensor)} if isinstance(content, Mapping) else {}
    if not found:
        raise UsageError(f"checkpoint: {file}: must hold weights by their names (a state dict), but holds none. Save model.state_dict().")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): value for name, value in found.items()}
    strange = [name for name, value in found.items() if value.is_meta or value.is_quantized or value.layout != torch.strided]
    if strange:
        raise UsageError(
            f"checkpoint: {file}: weights must be plain numbers, but {_listed(strange)} are sparse, quantised or without values. Save the "
            "weights of a plain network."
        )
    broken = [name for name, value in found.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        raise UsageError(f"checkpoint: {file}: weights must be finite, but {_listed(broken)} are not all. Take a checkpoint from before.")
    return found


def _safetensors(file: str) -> Any:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise UsageError(f"checkpoint: {file} needs safetensors, which is not installed: pip install 'automl-lanes[safetensors]'") from None
    try:
        return load_file(file)
    except Exception as error:  # of a library's own type
        raise UsageError(f"checkpoint: {file}: must be a safetensors file, but cannot be read ({str(error).splitlines()[0]}).") from None


def _pickled(file: str) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UsageError(
            f"checkpoint: {file}: must hold nothing but weights, but holds objects that only code can read, which is never run. "
            "Save model.state_dict()."
        ) from None
    except Exception as error:  # torch raises nearly anything for a file that is not one of its own
        text = str(error).splitlines()[0] if " " in str(error) else type(error).__name__
        raise UsageError(f"checkpoint: {file}: must be a file that torch.save has written, but cannot be read ({text}).") from None


# -- the process of its own ---------------------------------------------------------------------------------------------


def measured(checkpoint: Checkpoint, inputs: Inputs) -> dict[str, Any]:
    """What is known of the trunk: its stages, features, weights, and the products that one picture takes."""
    from torch.utils.flop_counter import FlopCounterMode

    found = trunk(checkpoint, inputs)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        x = found.eval().run(torch.zeros(1, *inputs.shape), 0, len(found.stages))
    if not math.isfinite(float(x.sum())):
        raise UsageError(f"checkpoint: {checkpoint.name}: must make finite numbers of a black picture, but does not.")
    weights = sum(weight.numel() for weight in found.parameters())
    return {"stages": len(found.stages), "features": found.features, "parameters": weights, "multiply_adds": counter.get_total_flops() // 2}


def main() -> None:
    """Answer one request on standard input with one line on standard output."""
    request = json.load(sys.stdin)
    record = request["checkpoint"]
    checkpoint = Checkpoint(**{**record, "shape": tuple(record["shape"]), "folders": tuple(record["folders"])})
    try:
        answer: dict[str, Any] = measured(checkpoint, Inputs("pictures", tuple(request["shape"])))
    except UsageError as error:
        answer = {"problem": str(error)}
    print(f"\n{json.dumps(answer)}")


if __name__ == "__main__":
    main()
