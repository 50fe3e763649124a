"""Figures as pictures: PNG or SVG files, drawn by the Chromium or Chrome of this machine from the same data as on the page."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Literal

from automl.errors import AutomlError, MissingExtraError
from automl.page.document import Figure, asset, in_script
from automl.page.figures import titled

WIDTH = 900  # pixels, of which PNG files have two for each
_SECONDS = 120
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_DRAW = """
const figures = JSON.parse(document.getElementById("figures").textContent);
(async () => {
  const pictures = [];
  for (const {name, figure, width, height} of figures) {
    const format = document.title, scale = format === "png" ? 2 : 1;
    try {
      pictures.push([name, await Plotly.toImage(figure, {format, width, height, scale})]);
    } catch (error) {
      pictures.push([name, "failed: " + error]);
    }
  }
  const element = ([id, textContent]) => Object.assign(document.createElement("pre"), {id, textContent});
  document.body.replaceChildren(...pictures.map(element));
})();
"""


def browser() -> str | None:
    """The Chromium or Chrome of this machine; None where there is none. ``AUTOML_CHROMIUM`` names another."""
    named = os.environ.get("AUTOML_CHROMIUM")
    found = next(filter(None, map(shutil.which, (named,) if named else _NAMES)), None)
    return found or (str(_MAC) if sys.platform == "darwin" and _MAC.exists() else None)


def write_pictures(figures: Sequence[Figure], folder: Path, form: Literal["png", "svg"]) -> list[Path]:
    """Write each figure to ``folder/NAME.png`` (or ``.svg``). Returns the files.

    Raises MissingExtraError where this machine has no browser to draw with, AutomlError where it fails to.
    """
    program = browser()
    if program is None:
        raise MissingExtraError(
            f"--{form}: pictures are drawn by Chromium or Chrome, but none is installed here. Install one "
            "(Debian: apt-get install chromium), or open the page and press Save beside a figure."
        )
    folder.mkdir(parents=True, exist_ok=True)
    drawn = _drawn(program, figures, form)
    files = []
    for figure in figures:
        content = drawn.get(figure.name)
        if content is None:
            raise AutomlError(f"--{form}: {program} must draw the figure {figure.name}, but did not. Name another in AUTOML_CHROMIUM.")
        file = folder / f"{figure.name}.{form}"
        file.write_bytes(content)
        files.append(file)
    return files


def _drawn(program: str, figures: Sequence[Figure], form: str) -> dict[str, bytes]:
    """What the browser makes of the figures, by their names; those that it failed to draw are missing."""
    records = ",".join(
        f'{{"name":{json.dumps(figure.name)},"width":{max(WIDTH, figure.least_width)},'
        f'"height":{figure.figure.layout.height or 400},"figure":{titled(figure).to_json()}}}'
        for figure in figures
    )
    page = (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{form}</title></head><body>'
        f'<script type="application/json" id="figures">{in_script(f"[{records}]")}</script>'
        f"<script>{asset('plotly-cartesian.min.js')}</script><script>{_DRAW}</script></body></html>"
    )
    with tempfile.TemporaryDirectory(prefix="automl-pictures-") as place:
        file = Path(place) / "figures.html"
        file.write_text(page, encoding="utf-8")
        command = [program, "--headless=new", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars"]
        command += ["--no-sandbox"] if os.geteuid() == 0 else []  # there is none for root, and the page is our own
        command += [f"--user-data-dir={place}/profile", f"--virtual-time-budget={_SECONDS * 1000}", "--dump-dom", file.as_uri()]
        try:
            said = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False).stdout.decode(errors="replace")
        except (OSError, subprocess.TimeoutExpired):
            return {}
    found = re.findall(r'<pre id="([^"]+)">data:image/(?:png|svg\+xml)(;base64)?,([^<]*)</pre>', said)
    return {name: base64.b64decode(data) if coded else urllib.parse.unquote_to_bytes(unescape(data)) for name, coded, data in found}
