"""What the modules that read and prepare data make: everything that is to lie in a folder of prepared data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from automl.data import DataInfo
from automl.data.splits import Rows

Array = NDArray[Any]
SplitArrays = dict[str, tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Prepared data in memory. ``plan`` and ``preprocessing`` say how raw rows become inputs: under ``reader`` the plan names the
    module of this package whose ``encode`` does it; both are empty for pictures that need nothing.

    With folds: a table has ``others``, the folds after this one; of pictures there is a pool in place of training and validation data, and
    ``fold`` says of each row in which fold it is for validation.
    """

    info: DataInfo
    arrays: SplitArrays
    plan: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: bytes = b""
    others: tuple[Prepared, ...] = ()
    fold: Rows | None = None
