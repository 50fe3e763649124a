"""Networks that factories of a person's own make: which of them can share tensors, and one stage that runs them all by ``torch.func``.

Two networks may share a group where they are built alike: the same modules with the same plain attributes, and weights of the same shapes.
Whether ``vmap`` can run such a network is tried out once for each kind, on a few random samples, against the network itself. What cannot
be known to be safe (attributes that are no plain values, random layers other than dropout, state that ``forward`` changes) trains alone.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import types
import warnings
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from automl.data import DataInfo
from automl.events import TrialSpec
from automl.inputs import Inputs
from automl.training.fit import network
from automl.training.lanes.layout import Layout, Rows, shapes_of
from automl.training.lanes.making import Made
from automl.training.lanes.networks import Network
from automl.training.lanes.stack import Stack
from automl.training.lanes.stages import Dropout, Stage
from automl.training.own.dropout import PositionedDropout, positioned
from automl.training.own.factory import normalised_by_the_past

_MOST_NUMBERS = 2**24  # of the weights of networks that wait for their lane
_GIVES_UP = 3  # so many networks of a factory that cannot ride, and none that can: the next ones are not looked at
_INTERNAL = frozenset(nn.Module().__dict__)
_HOOKS = tuple(name for name in _INTERNAL if name.endswith("hooks"))
_PLAIN = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device)
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType)
_COUNTER = "num_batches_tracked"  # of batch normalisation: a whole number that may stand among floats
_ROWS = 3  # samples of a trial run
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}


class _NotPlainError(Exception):
    """An attribute of which it is not known whether two are the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """The network of a trial with its initial weights: as modules, and flat. ``kind`` is what must be equal to share tensors."""

    module: nn.Module
    flat: Tensor
    drops: Sequence[PositionedDropout]
    units: tuple[tuple[int, ...], ...]  # what each dropout gets, without the axis of samples
    kind: Hashable
    multiply_adds: float | None  # of the forward pass of one sample, where it is known

    @property
    def shares(self) -> tuple[float, ...]:
        return tuple(drop.share for drop in self.drops)


class OwnNetworks:
    """Builds the networks of factories, and knows which of them can ride."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._built: OrderedDict[Hashable, Built] = OrderedDict()
        self._can: dict[Hashable, bool] = {}
        self._misses: dict[Hashable, int] = {}  # by factory; since one of its networks could ride none are counted

    def can_ride(self, trial: TrialSpec, info: DataInfo) -> bool:
        """Whether the trial's network can share tensors with others. One that cannot even be built is for its trial to tell."""
        factory = trial.job.model, trial.job.code
        if self._misses.get(factory, 0) >= _GIVES_UP:
            return False
        try:
            can = self._of(trial, info) is not None
        except Exception:
            can = False
        self._misses[factory] = -1 if can else self._misses.get(factory, 0) + (self._misses.get(factory, 0) >= 0)
        return can

    def built(self, trial: TrialSpec, info: DataInfo) -> Built:
        """That of a trial which can ride."""
        found = self._of(trial, info)
        assert found is not None
        return found

    def forget(self, trial: TrialSpec | None = None) -> None:
        """The trial has its lane; None: nobody waits."""
        if trial is None:
            self._built.clear()
        else:
            self._built.pop(_identity(trial), None)

    def _of(self, trial: TrialSpec, info: DataInfo) -> Built | None:
        identity = _identity(trial)
        if identity in self._built:
            return self._built[identity]
        module, flat, _, arithmetic = network(trial, info, self._device, self._dtype)
        drops = positioned(module)
        kind = kind_of(module)
        if kind is None:
            return None
        kind = (trial.job.model, trial.job.code, info.inputs, kind)
        found = Built(module, flat, drops, _units_of(module, drops, info.inputs, self._dtype), kind, arithmetic)
        if kind not in self._can:
            self._can[kind] = vectorises(found, info.inputs, info.outputs)
        if not self._can[kind]:
            return None
        self._built[identity] = found
        while len(self._built) > 1 and sum(len(each.flat) for each in self._built.values()) > _MOST_NUMBERS:
            self._built.popitem(last=False)
        return found


def _identity(trial: TrialSpec) -> Hashable:
    """What the initial weights depend on."""
    return trial.job.model, trial.job.data, trial.seed, tuple(sorted(trial.configuration.items()))


# -- what is alike ----------------------------------------------------------------------------------------------------


def kind_of(module: nn.Module) -> Hashable | None:
    """Everything of a network but the values of its weights, buffers and shares of dropout; None where that cannot be told."""
    try:
        return tuple(_parts(module))
    except _NotPlainError:
        return None


def _parts(module: nn.Module) -> Iterator[Hashable]:
    for name, part in module.named_modules(remove_duplicate=False):
        if any(getattr(part, hooks) for hooks in _HOOKS):
            raise _NotPlainError
        yield name, type(part), part.layer if isinstance(part, PositionedDropout) else _plain(_attributes(part))
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if not parameter.requires_grad:
            raise _NotPlainError  # frozen weights have no place in a row
        yield name, tuple(parameter.shape)
    weights = dict(module.named_parameters())
    yield tuple(weights)  # which of them are shared
    for name, buffer in module.named_buffers():
        if not buffer.is_floating_point() and not name.endswith(_COUNTER):
            raise _NotPlainError
        yield name, tuple(buffer.shape)


def _attributes(part: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in part.__dict__.items() if name not in _INTERNAL}


def _plain(value: Any) -> Hashable:
    match value:
        case Tensor() | nn.Module():
            raise _NotPlainError
        case Mapping():
            return (type(value), *((_plain(key), _plain(entry)) for key, entry in value.items()))
        case list() | tuple():
            return (type(value), *(_plain(entry) for entry in value))
        case set() | frozenset():
            return type(value), frozenset(_plain(entry) for entry in value)
        case functools.partial():
            return functools.partial, _plain(value.func), _plain(value.args), _plain(value.keywords)
        case _ if isinstance(value, _PLAIN):
            return type(value), value
        case _ if isinstance(value, _NAMED) and not getattr(value, "__closure__", None):
            return value
        case _:
            raise _NotPlainError


# -- what can be run --------------------------------------------------------------------------------------------------


def _units_of(module: nn.Module, drops: Sequence[PositionedDropout], inputs: Inputs, dtype: torch.dtype) -> tuple[tuple[int, ...], ...]:
    """The shape of a sample in each dropout. Raises _NotPlainError where one is called more than once, or on something else."""
    seen: dict[int, list[tuple[int, ...]]] = {}

    def note(drop: PositionedDropout, x: Tensor) -> Tensor:
        seen.setdefault(drop.layer, []).append(tuple(x.shape))
        return x

    for drop in drops:
        drop.source = note
    twin, rows = copy.deepcopy(module).train(), _ROWS
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        twin(_random_inputs(inputs, (rows,), dtype, next(iter(module.parameters())).device))
    for drop in drops:
        drop.source = None
    if any(len(shapes) != 1 or shapes[0][:1] != (rows,) for shapes in seen.values()) or len(seen) < len(drops):
        return ()
    return tuple(seen[drop.layer][0][1:] for drop in drops)


def _random_inputs(inputs: Inputs, leading: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    if inputs.kind == "tokens":
        return torch.randint(max(1, inputs.vocabulary), (*leading, *inputs.shape), device=device)
    return torch.randn(*leading, *inputs.shape, dtype=dtype, device=device)


def vectorises(built: Built, inputs: Inputs, outputs: int) -> bool:
    """Whether two such networks, run as one, give what each gives alone: outputs, gradients and buffers, in training and after it."""
    if len(built.units) != len(built.drops):
        return False
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.enable_grad():
            warnings.filterwarnings("error", message=".*performance drop.*")  # it would go lane by lane
            return _agree(copy.deepcopy(built.module), built, inputs, outputs)
    except Exception:
        return False


def _agree(module: nn.Module, built: Built, inputs: Inputs, outputs: int) -> bool:
    torch.manual_seed(0)
    weights = dict(module.named_parameters())
    device, dtype = next(iter(weights.values())).device, next(iter(weights.values())).dtype
    before = kind_of(module)
    stacked = {name: torch.stack([w, w + 0.1 * torch.randn_like(w)]).detach().requires_grad_() for name, w in weights.items()}
    buffers = {name: torch.stack([b, b]).to(dtype) for name, b in module.named_buffers()}
    masks = [torch.randint(2, (2, _ROWS, *units), device=device).to(dtype) for units in built.units]
    x, d = _random_inputs(inputs, (2, _ROWS), dtype, device), torch.randn(2, _ROWS, outputs, dtype=dtype, device=device)
    run = Vectorised(module, inputs)
    together = run.outputs(stacked, buffers, masks, x.flatten(2), training=True)
    torch.autograd.backward([together], [d])
    for lane in range(2):
        own = {name: w[lane].detach().clone().requires_grad_() for name, w in stacked.items()}
        state = {name: torch.stack([b, b])[0].to(dtype).clone() for name, b in module.named_buffers()}
        run.mask([mask[lane] for mask in masks])
        alone = functional_call(module.train(), (own, state), (x[lane],))
        torch.autograd.backward([alone], [d[lane]])
        found = [together[lane], *(stacked[name].grad[lane] for name in own), *(buffers[name][lane] for name in state)]  # type: ignore[index]
        wanted = [alone, *(w.grad for w in own.values()), *state.values()]
        if not _are_near(found, wanted):
            return False
        with torch.no_grad():
            later = run.outputs(stacked, buffers, [], x[0].flatten(1), training=False)[lane]
            if not _are_near([later], [functional_call(module.eval(), (own, state), (x[0],))]):
                return False
    return kind_of(module) == before


def _are_near(found: Sequence[Tensor], wanted: Sequence[Tensor | None]) -> bool:
    """Whether all differ by no more than rounding does, which is a share of the largest: what is zero in theory is noise."""
    if any(b is None or a.shape != b.shape for a, b in zip(found, wanted, strict=True)):
        return False
    pairs = [(a.detach(), b.detach()) for a, b in zip(found, wanted, strict=True) if b is not None and b.numel()]
    scale = max([1.0, *(float(b.abs().max()) for _, b in pairs)])
    return all(bool(((a - b).abs() <= _TOLERANCE[a.dtype] * scale).all()) for a, b in pairs)


# -- all lanes at once ------------------------------------------------------------------------------------------------


class Vectorised(Stage):
    """The whole network of every lane, by ``vmap`` over weights, buffers, masks and inputs; its gradients by torch's own graph.

    ``masks`` are the dropouts that a group draws for, one for each of ``drops`` of the module.
    """

    def __init__(self, module: nn.Module, inputs: Inputs, drops: Sequence[Masks] = ()) -> None:
        self._module, self._shape, self._draws = module, inputs.shape, drops
        self._drops = [part for part in module.modules() if isinstance(part, PositionedDropout)]
        self._masks: Sequence[Tensor] = ()
        for drop in self._drops:
            drop.source = self._dropped

    def bind(self, rows: Rows) -> None:
        self._weights = {name: rows.weight(name).detach().requires_grad_() for name in rows.layout.parts}
        self._gradients = [rows.gradient(name) for name in rows.layout.parts]
        self._buffers = {name: rows.statistic(name) for name in rows.statistics_layout.parts}

    def forward(self, x: Tensor, training: bool) -> Tensor:
        masks = [draw.masks.view(*draw.masks.shape[:2], *draw.shape) for draw in self._draws if draw.masks is not None] if training else []
        state = {name: buffer.clone() for name, buffer in self._buffers.items()}  # vmap writes to tensors without gaps, not to rows
        with torch.set_grad_enabled(training):
            y = self.outputs(self._weights, state, masks, x, training)
        if training:
            self._outputs = y
            for name, buffer in self._buffers.items():
                buffer.copy_(state[name])
        return y.detach()

    def backward(self, d: Tensor, adds: bool) -> Tensor:
        found = torch.autograd.grad([self._outputs], list(self._weights.values()), [d], allow_unused=True)
        for gradient, new in zip(self._gradients, found, strict=True):
            if new is not None and adds:
                gradient += new
            elif new is not None:
                gradient.copy_(new)
        del self._outputs
        return d

    def outputs(
        self, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], masks: Sequence[Tensor], x: Tensor, training: bool
    ) -> Tensor:
        """``[lanes, samples, outputs]`` for flattened inputs ``[lanes, samples, numbers]``, or ``[samples, numbers]`` that all share."""
        leading = x.shape[:-1]
        samples, are_shared = x.reshape(*leading, *self._shape), len(leading) == 1
        self._module.train(training)
        with normalised_by_the_past(self._module) if leading[-1] == 1 else contextlib.nullcontext():
            if len(next(iter(weights.values()))) == 1:
                return self._of_one(weights, buffers, masks, samples if are_shared else samples[0])
            y: Tensor = vmap(self._call, in_dims=(0, 0, 0, None if are_shared else 0))(weights, buffers, list(masks), samples)
            return y

    def _of_one(self, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], masks: Sequence[Tensor], x: Tensor) -> Tensor:
        """One lane is the network itself."""
        own, state = {name: w.squeeze(0) for name, w in weights.items()}, {name: b.squeeze(0) for name, b in buffers.items()}
        return self._call(own, state, [mask.squeeze(0) for mask in masks], x).unsqueeze(0)

    def _call(self, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], masks: Sequence[Tensor], x: Tensor) -> Tensor:
        self.mask(masks)
        y: Tensor = functional_call(self._module, (dict(weights), dict(buffers)), (x,))
        return y

    def mask(self, masks: Sequence[Tensor]) -> None:
        """What dropout multiplies with in the next call; nothing where there are none."""
        self._masks = masks

    def _dropped(self, drop: PositionedDropout, x: Tensor) -> Tensor:
        return x * self._masks[drop.layer] if self._masks else x


class Masks(Dropout):
    """A dropout of a network of a person's own: what it drops is drawn for it, in the shape that it gets."""

    def __init__(self, layer: int, shape: tuple[int, ...]) -> None:
        super().__init__(layer, before="")
        self.shape, self.units = shape, math.prod(shape)

    def bind(self, rows: Rows) -> None:
        """Its units do not depend on weights."""


class OwnLanes:
    """What a group must know of the networks of a factory that are alike (``making.StackedNetworks``)."""

    def __init__(self, built: Built, own: OwnNetworks, inputs: Inputs) -> None:
        self._own = own
        drops = [Masks(drop.layer, units) for drop, units in zip(built.drops, built.units, strict=True)]
        network = Network([Vectorised(copy.deepcopy(built.module), inputs, drops)], takes_pictures=False, own_dropouts=drops)
        layouts = Layout.of(built.module.named_parameters()), Layout.of(built.module.named_buffers())
        self.stack = Stack(network, *layouts, built.flat.device, built.flat.dtype)

    def made(self, trial: TrialSpec, info: DataInfo) -> Made:
        """The trial's network at its beginning."""
        built = self._own.built(trial, info)
        return Made(*shapes_of(built.module), built.flat.clone(), list(built.module.named_buffers()), built.shares)

    def module(self, trial: TrialSpec, info: DataInfo) -> nn.Module:
        """The trial's network, for its best weights to be put into."""
        return copy.deepcopy(self._own.built(trial, info).module)
