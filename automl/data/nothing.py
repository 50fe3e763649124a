"""The data of a study whose training code has its own: nothing to read, split or prepare."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from automl.data import DataInfo

NO_DATA = DataInfo(name="", task="none", input_shape=(), outputs=0, classes=(), sizes={})


def prepare_nothing(folder: Path) -> DataInfo:
    """Leave in ``folder`` what says so, for whoever reads a study."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "info.json").write_text(json.dumps(asdict(NO_DATA), indent=2) + "\n", encoding="utf-8")
    return NO_DATA
