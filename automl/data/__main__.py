"""``python -m automl.data``: ``prepare`` in a process of its own, for ``prepare_apart``.

Reads ``{"spec": {...}, "folder": "..."}`` from standard input. Exit code 0: the data are prepared; 2: a DataError, whose sentence
is on standard output.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from automl.data.preparation import prepare
from automl.errors import DataError
from automl.spec import DataSpec


def main() -> int:
    """Prepare what standard input says."""
    request = json.load(sys.stdin)
    spec: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in request["spec"].items()}
    try:
        with contextlib.redirect_stdout(sys.stderr):  # code of a person's own may print
            prepare(DataSpec(**spec), Path(request["folder"]))
    except DataError as error:
        print(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
