"""Python's search for garbage, put off where much is made and none of it is garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_somebody_froze = False  # objects, so that they are not looked through


@contextmanager
def without_collections() -> Iterator[None]:
    """Within, Python looks for no garbage: reading a study or importing MLflow makes none, and looking again and again takes a fourth of
    the time.

    Afterwards what there is counts as old, as if it had been looked through; looking takes a tenth. Where somebody has frozen objects,
    they stay so and nothing is moved; that is asked no more once it was so, since the answer counts them all.
    """
    global _somebody_froze
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _somebody_froze = _somebody_froze or gc.get_freeze_count() > 0
        if not _somebody_froze:
            gc.freeze()
            gc.unfreeze()
        if was_enabled:
            gc.enable()
