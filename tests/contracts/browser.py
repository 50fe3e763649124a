"""A real headless Chromium for tests, driven over WebDriver's HTTP with nothing but the standard library.

Debian's packages ``chromium`` and ``chromium-driver`` are all that it takes; ``AUTOML_CHROMIUM`` and ``AUTOML_CHROMEDRIVER`` name others.
Tests ask for it with the fixture ``browser`` of tests/conftest.py and are skipped, with the reason, where there is none.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE = 60.0  # seconds; two busy cores start a browser in ten


class BrowserError(Exception):
    """What the driver answered instead of doing what was asked for."""


def programs() -> tuple[str, str] | None:
    """Where Chromium and its driver are; None where one of them is not."""
    chromium = os.environ.get("AUTOML_CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUM)), None)
    driver = os.environ.get("AUTOML_CHROMEDRIVER") or shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


WHY_NONE = "no Chromium with its driver on this machine (Debian: apt-get install chromium chromium-driver)"


class Browser:
    """A browser with one tab."""

    def __init__(self, address: str, session: str) -> None:
        self._session = f"{address}/session/{session}"

    # -- where to ---------------------------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Go to an address (``path.as_uri()`` for a file) and wait until it has loaded. What was logged before is forgotten."""
        self._post("url", {"url": "about:blank"})
        self.console(), self.requests()
        self._post("url", {"url": url})

    def resize(self, width: int, height: int, scale: float = 1.0, mobile: bool = False) -> None:
        """The size of the page in CSS pixels. ``mobile``: as a phone shows it."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
        self.devtools("Emulation.setTouchEmulationEnabled", {"enabled": mobile})

    def prefer(self, colours: str = "light", media: str = "") -> None:
        """What the person's system asks for: ``light`` or ``dark``; ``media`` is ``print`` or ``screen``."""
        features = [{"name": "prefers-color-scheme", "value": colours}]
        self.devtools("Emulation.setEmulatedMedia", {"media": media, "features": features})

    # -- what is there ------------------------------------------------------------------------------------------------

    def run(self, script: str, *arguments: Any) -> Any:
        """What this JavaScript returns (``return document.title``). Arguments are ``arguments[0]``, ..."""
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script: str, *arguments: Any, seconds: float = _PATIENCE) -> Any:
        """What the script returns, once that is true. Raises BrowserError when it is not in time."""
        until = time.monotonic() + seconds
        while True:
            found = self.run(script, *arguments)
            if found:
                return found
            if time.monotonic() > until:
                raise BrowserError(f"not true within {seconds:g} s: {script}\n{self.console()}")
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        """What a person reads in the first element that the selector finds."""
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def texts(self, selector: str) -> list[str]:
        """The same for all that it finds."""
        return list(self.run("return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText)", selector))

    def element(self, selector: str) -> str:
        """The driver's name of the first element that the selector finds."""
        return str(self._post("element", {"using": "css selector", "value": selector})[ELEMENT])

    def click(self, selector: str) -> None:
        """A click as by a mouse, on what is visible there."""
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center', behavior: 'instant'})", selector)
        self._post(f"element/{self.element(selector)}/click", {})

    def type(self, selector: str, keys: str) -> None:
        """Keys as by a keyboard; the special ones have codes, such as ``\\ue007`` for Enter."""
        self._post(f"element/{self.element(selector)}/value", {"text": keys})

    def console(self) -> list[str]:
        """What the console said of this page since this was last asked: errors and warnings."""
        entries = self._post("se/log", {"type": "browser"})
        return [f"{entry['level']}: {entry['message']}" for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """The addresses of all that the page asked for since this was last asked, without those that its policy forbade."""
        messages = [json.loads(entry["message"])["message"] for entry in self._post("se/log", {"type": "performance"})]
        asked = [each["params"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        failed = [each["params"] for each in messages if each["method"] == "Network.loadingFailed"]
        forbidden = {each["requestId"] for each in failed if each.get("blockedReason") == "csp"}
        return [each["request"]["url"] for each in asked if each["requestId"] not in forbidden]

    # -- pictures -----------------------------------------------------------------------------------------------------

    def screenshot(self, file: Path, whole: bool = False) -> Path:
        """A PNG of what the window shows, or of the ``whole`` page."""
        shot = self.devtools("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole, **self._clip(whole)})
        file.write_bytes(base64.b64decode(shot["data"]))
        return file

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.devtools("Page.getLayoutMetrics", {})["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16_000), "scale": 1}}

    def pdf(self, file: Path) -> Path:
        """The page as it would be printed."""
        printed = self.devtools("Page.printToPDF", {"printBackground": False, "preferCSSPageSize": True})
        file.write_bytes(base64.b64decode(printed["data"]))
        return file

    # -- WebDriver ----------------------------------------------------------------------------------------------------

    def devtools(self, command: str, parameters: Mapping[str, Any]) -> Any:
        """A command of Chromium's own protocol."""
        return self._post("goog/cdp/execute", {"cmd": command, "params": dict(parameters)})

    def close(self) -> None:
        """End the browser."""
        _ask("DELETE", self._session)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return _ask("POST", f"{self._session}/{path}", body)


@contextmanager
def opened(folder: Path, width: int = 1280, height: int = 900) -> Iterator[Browser]:
    """A browser, ended with all its processes at the end. ``folder`` takes its profile and log."""
    found = programs()
    assert found is not None, WHY_NONE
    chromium, driver = found
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        "--headless=new",
        "--no-sandbox",  # there is none for root in a container, and the pages are our own
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--force-color-profile=srgb",
        f"--window-size={width},{height}",
        f"--user-data-dir={folder / 'profile'}",
    ]
    capabilities = {
        "browserName": "chrome",
        "goog:chromeOptions": {"binary": chromium, "args": arguments},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    with (folder / "chromedriver.log").open("wb") as log:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=log, stderr=log)
    browser: Browser | None = None
    try:
        address = f"http://127.0.0.1:{port}"
        _until(lambda: _ask("GET", f"{address}/status")["ready"], process)
        session = _ask("POST", f"{address}/session", {"capabilities": {"alwaysMatch": capabilities}})
        browser = Browser(address, session["sessionId"])
        browser.resize(width, height)
        yield browser
    finally:
        if browser is not None:
            browser.close()
        process.terminate()
        process.wait()


def _until(is_true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < until:
        try:
            if is_true():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise BrowserError("chromedriver did not come up")


def _ask(method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_PATIENCE) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            raise BrowserError(json.load(error)["value"]["message"]) from None
