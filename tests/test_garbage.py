"""Looking for garbage is put off and taken up again, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from automl.garbage import without_collections


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    was_enabled = gc.isenabled()
    yield
    (gc.enable if was_enabled else gc.disable)()


def test_nothing_is_looked_for_within_and_it_is_again_afterwards_also_after_an_error() -> None:
    gc.enable()
    with contextlib.suppress(KeyError), without_collections():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_it_stays_off_within_another_and_where_somebody_else_has_switched_it_off() -> None:
    gc.disable()
    with without_collections(), without_collections():
        pass
    assert not gc.isenabled()


def test_two_threads_that_overlap_leave_it_on() -> None:
    gc.enable()
    first, second = without_collections(), without_collections()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_what_was_made_counts_as_old_unless_somebody_has_frozen_objects() -> None:
    """In a process of its own: pytest's has frozen objects."""
    script = """
import gc
from automl.garbage import without_collections
def made():
    with without_collections():
        things = [[number] for number in range(1000)]
    return sum(any(one is thing for one in gc.get_objects(generation=2)) for thing in things[:5])
assert made() == 5 and gc.get_freeze_count() == 0
gc.freeze()
frozen = gc.get_freeze_count()
assert made() == 0 and gc.get_freeze_count() == frozen
"""
    subprocess.run([sys.executable, "-c", script], check=True)
