"""What the modules that read and prepare data make: everything that is to lie in a folder of prepared data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data import DataInfo
from automl.data.splits import Rows
from automl.data.windows import Windows
from automl.dataoptions import DATA_OPTIONS
from automl.errors import DataError
from automl.spec import DataSpec

Array = NDArray[Any]
_WRITTEN_AT_ONCE = 2**26  # bytes


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some rows of samples that may be more than memory holds: they are taken only when they are written."""

    samples: Array
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def write(self, file: Path) -> None:
        """The rows as an ``.npy`` file, a piece after another."""
        shape = (len(self.rows), *self.samples.shape[1:])
        several = max(1, _WRITTEN_AT_ONCE // max(1, self.samples[:1].nbytes))
        with file.open("wb") as out:
            header = {"descr": np.lib.format.dtype_to_descr(self.samples.dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(out, header)
            for first in range(0, len(self.rows), several):
                out.write(np.ascontiguousarray(self.samples[self.rows[first : first + several]]).data)


SplitArrays = dict[str, tuple[Array | Chosen, Array]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Prepared data. ``plan`` and ``preprocessing`` say how raw rows become inputs: under ``reader`` the plan names the module of this
    package whose ``encode`` does it; both are empty for pictures that need nothing.

    With folds: a table has ``others``, the folds after this one; of pictures there is a pool in place of training and validation data, and
    ``fold`` says of each row in which fold it is for validation. A forecast has ``windows`` in place of ``arrays``.
    """

    info: DataInfo
    arrays: Mapping[str, tuple[Array | Chosen, Array]]
    plan: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: bytes = b""
    others: tuple[Prepared, ...] = ()
    fold: Rows | None = None
    windows: Windows | None = None


def refuse_unused(spec: DataSpec, where: str, used: Sequence[str]) -> None:
    """Raises ``DataError`` where the specification says how to read these data in a way that has no meaning for them."""
    for name in DATA_OPTIONS:
        value = getattr(spec, name)
        if value is not None and name not in used:
            raise DataError(f"{where}: {name} must be left out, since it means nothing for such data, but is {value!r}.")
