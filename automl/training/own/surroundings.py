"""What code of a person's own may change for the whole process: it holds for the trial that has changed it, and for nobody else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The current folder (None where it was deleted), and what torch was told to do."""

    folder: Path | None
    dtype: torch.dtype
    determinism: int
    cudnn_searches: bool
    cudnn_repeats: bool

    @classmethod
    def found(cls) -> Surroundings:
        """Those of this moment."""
        folder = None
        with contextlib.suppress(OSError):
            folder = Path.cwd()
        cudnn = torch.backends.cudnn
        return cls(folder, torch.get_default_dtype(), torch.get_deterministic_debug_mode(), cudnn.benchmark, cudnn.deterministic)

    def restore(self) -> None:
        """Make them so again, as far as they are not."""
        if self == Surroundings.found():
            return
        if self.folder is not None:
            with contextlib.suppress(OSError):
                os.chdir(self.folder)
        torch.set_default_dtype(self.dtype)
        torch.set_deterministic_debug_mode(self.determinism)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = self.cudnn_searches, self.cudnn_repeats


class Own:
    """The surroundings of one trial, kept while it stands still. They begin as ``first``."""

    def __init__(self, first: Surroundings) -> None:
        self._theirs = first

    @contextmanager
    def around(self) -> Iterator[None]:
        """The trial goes on meanwhile, in what it has left; afterwards all is as it was before."""
        ours = Surroundings.found()
        self._theirs.restore()
        try:
            yield
        finally:
            self._theirs = Surroundings.found()
            ours.restore()
