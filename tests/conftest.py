"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.browser import WHY_NONE, Browser, opened, programs


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
