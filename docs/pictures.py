"""Make the picture of the study page that the README shows: ``python docs/pictures.py``.

It searches digits_mlp in a folder that is thrown away and photographs the page in a headless Chromium. Debian's chromium and
chromium-driver are needed, and Pillow, which comes with MLflow's matplotlib.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from contracts.browser import opened  # noqa: E402  (the tests' own browser)

WIDTH, HEIGHT, MARGIN = 1280, 1000, 24  # pixels; it ends below the first large figure
COLOURS = 128  # a picture of a page needs no more, and weighs a third


def main() -> None:
    """Write docs/study-page.png."""
    picture = ROOT / "docs" / "study-page.png"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ["run", "digits_mlp", "--trials", "60", "--seed", "0", "--mlflow", "off"]
        subprocess.run([sys.executable, "-m", "automl", *command], cwd=folder, check=True)
        (folder / "browser").mkdir()
        with opened(folder / "browser", WIDTH, HEIGHT) as browser:
            browser.prefer("light")
            browser.open((folder / "studies" / "digits_mlp-bayesian" / "page.html").as_uri())
            browser.wait("return document.documentElement.dataset.ready")
            bottom = "return Math.ceil(document.querySelector('#figure-best-by-trials').closest('figure').getBoundingClientRect().bottom)"
            browser.resize(WIDTH, browser.run(bottom) + MARGIN)
            browser.screenshot(picture)
    with Image.open(picture) as photograph:
        photograph.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT).save(picture, optimize=True)
    print(f"{picture}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
