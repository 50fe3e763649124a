"""What code of a person's own may change for the whole process: it holds for the call that has changed it, and for nobody else.

torch is looked at where it is loaded, and never loaded here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The current folder (None where it was deleted), and what torch was told to do (None where it was not loaded)."""

    folder: Path | None
    torch: _Torch | None

    @classmethod
    def found(cls) -> Surroundings:
        """Those of this moment."""
        folder = None
        with contextlib.suppress(OSError):
            folder = Path.cwd()
        return cls(folder, _Torch.found())

    def restore(self) -> None:
        """Make them so again, as far as they are not."""
        now = Surroundings.found()
        if self.folder is not None and self.folder != now.folder:
            with contextlib.suppress(OSError):
                os.chdir(self.folder)
        if self.torch != now.torch:
            (self.torch or _Torch.at_first()).restore()


@dataclass(frozen=True, slots=True)
class _Torch:
    dtype: Any
    determinism: int
    cudnn_searches: bool
    cudnn_repeats: bool

    @classmethod
    def found(cls) -> _Torch | None:
        torch: Any = sys.modules.get("torch")
        if not hasattr(torch, "get_deterministic_debug_mode"):  # not loaded, or being loaded by another thread
            return None
        cudnn = torch.backends.cudnn
        return cls(torch.get_default_dtype(), torch.get_deterministic_debug_mode(), cudnn.benchmark, cudnn.deterministic)

    @classmethod
    def at_first(cls) -> _Torch:
        """As it is when it is loaded."""
        return cls(sys.modules["torch"].float32, 0, False, False)

    def restore(self) -> None:
        torch = sys.modules["torch"]
        torch.set_default_dtype(self.dtype)
        torch.set_deterministic_debug_mode(self.determinism)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = self.cudnn_searches, self.cudnn_repeats


class Own:
    """The surroundings of one piece of work, kept while it stands still. They begin as ``first``."""

    def __init__(self, first: Surroundings) -> None:
        self._theirs = first

    @contextmanager
    def around(self) -> Iterator[None]:
        """The work goes on meanwhile, in what it has left; afterwards all is as it was before."""
        ours = Surroundings.found()
        self._theirs.restore()
        try:
            yield
        finally:
            self._theirs = Surroundings.found()
            ours.restore()
