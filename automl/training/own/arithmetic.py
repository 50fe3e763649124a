"""How many multiplications a network of a person's own takes, counted while it runs: nothing is run for it that would not run anyway."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# Of torch's own operations: those that take more than some arithmetic for each number that they read, beside what is counted below.
_UNCOUNTED = re.compile(r"mm(_|$)|conv|rnn|attention|transformer|linalg|cholesky|triangular|svd|geqrf|ormqr|dist|trilinear|sparse|mkldnn")


def _recurrent(x: Tensor, of_inputs: Tensor, of_state: Tensor, *_: Any, **__: Any) -> int:
    """An LSTM over ``[steps, samples, features]``: each step of each sample meets each weight."""
    return x.shape[0] * x.shape[1] * (of_inputs.numel() + of_state.numel())


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    """Each query meets each key, and each answer each value; ``[samples, heads, positions, features]``."""
    return query[..., 0].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])


_FORMULAS: Mapping[Any, Callable[..., int]] = {  # of multiplications, where torch has none of its own; these are for CPUs
    torch.ops.aten.mkldnn_rnn_layer: _recurrent,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}


class _Dispatched:
    """Told of each operation. Apart from the mode itself, whose subclasses import torch._dynamo where they have this method: a second."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.is_known = 0, True

    def __torch_dispatch__(self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        found = operation(*args, **(kwargs or {}))
        try:
            self.total += _multiplications(operation, args, kwargs or {}, found)
        except Exception:  # what is not known must not keep a network from running
            self.is_known = False
        return found


class Multiplications(_Dispatched, TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within, the multiplications of matrix products, convolutions, recurrent layers and attention are counted.

    ``counted`` is None where none are, or where something ran of whose arithmetic nothing is known. The backward pass takes twice as many.
    """

    supports_higher_order_operators = True

    @property
    def counted(self) -> int | None:
        """All so far."""
        return self.total if self.is_known and self.total else None


@contextmanager
def counting() -> Iterator[Multiplications]:
    """Count within, attention as it is in training: elsewhere torch runs a layer as one operation, of which nothing is known."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with Multiplications() as found:
            yield found
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _multiplications(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], found: Any) -> int:
    """Of one operation; none for one that does little for each number that it reads. Raises LookupError where that cannot be said."""
    packet = operation._overloadpacket
    if packet in _FORMULAS:
        return _FORMULAS[packet](*args, **kwargs)
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=found)) // 2
    if operation.namespace != "aten" or _UNCOUNTED.search(packet.__name__):
        raise LookupError(str(operation))
    return 0
