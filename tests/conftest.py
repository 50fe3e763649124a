"""Fixtures for all tests."""

from __future__ import annotations

import compileall
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import automl
from automl import data
from automl.spec import DataSpec
from contracts.browser import WHY_NONE, Browser, opened, programs

_kept = (Path(), 0)  # for which file what there is was last kept, and how many modules that were
_WRITES_NO_BYTECODE, sys.dont_write_bytecode = sys.dont_write_bytecode, False  # while tests are collected


def pytest_configure(config: pytest.Config) -> None:
    """Tests start hundreds of processes, which would all compile the package where the environment keeps them from writing bytecode."""
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(automl.__file__).parent, quiet=2)


def pytest_collection_finish() -> None:
    sys.dont_write_bytecode = _WRITES_NO_BYTECODE


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What there is when a file begins, and what a test has loaded, stays to the end.

    Trainers and others collect garbage again and again, and need not look through all of it.
    """
    global _kept
    file, modules = _kept
    if item.path != file or len(sys.modules) > modules + 100:
        _kept = (item.path, len(sys.modules))
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def the_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of a session, which starts in seconds."""
    if programs() is None:
        pytest.skip(WHY_NONE)
    with opened(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(the_browser: Browser) -> Browser:
    """A real headless Chromium, showing an empty page of 1280x900 in light colours; the test is skipped where there is none."""
    the_browser.resize(1280, 900)
    the_browser.prefer("light")
    return the_browser


@pytest.fixture
def prepares_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies of this process prepare their data in it, where the libraries are loaded already.

    tests/data/test_prepare_apart.py says that this makes no difference.
    """
    apart = data.prepare_apart

    def prepare(spec: DataSpec, folder: Path) -> data.DataInfo:
        return data.prepare(spec, folder) if spec.source else apart(spec, folder)

    monkeypatch.setattr(data, "prepare_apart", prepare)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch has one thread, as in a worker that has one core."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
