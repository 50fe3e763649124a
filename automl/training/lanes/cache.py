"""What numba compiles, kept on disk for the next process, and for the next study."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any

from numba.core.caching import FunctionCache


class Cache(FunctionCache):
    """What cannot be read, such as a file that was cut, is compiled again. What cannot be written, on a full disk, is compiled again by
    every study: its log says so, since the study itself needs nothing of it."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What was kept for these types of numbers; None where nothing is that can be used."""
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:
            with suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was just compiled for these types of numbers."""
        try:
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        except OSError as error:
            _tell(f"what is compiled cannot be kept in {self.cache_path} ({error.strerror}): each study compiles it again")


@lru_cache(maxsize=1)
def _tell(words: str) -> None:
    """Once, and not for each of the functions."""
    print(words, file=sys.stderr)
