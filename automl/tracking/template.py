"""The empty database that MLflow's migrations made, kept for the next store: they take a second, a copy takes milliseconds.

It lies in the user's cache folder, compressed, under the version of MLflow and its migrations. Whatever is odd about it (damaged, not
to be read or written) means that there is none.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import uuid
import zlib
from pathlib import Path

from automl.folders import cache_folder

_HEADER = b"SQLite format 3\0"
_JOURNAL = slice(18, 20)  # of the header: how the file is written, 1 by a journal beside it
_BY_JOURNAL = b"\x01\x01"  # every file system can


def kept() -> bytes | None:
    """The database as the migrations of this MLflow leave it; None where there is none that is whole."""
    try:
        content = gzip.decompress(_place().read_bytes())
    except (ImportError, OSError, EOFError, zlib.error):  # also an MLflow whose migrations lie elsewhere, and another checksum
        return None
    return content if content.startswith(_HEADER) and content[_JOURNAL] == _BY_JOURNAL else None


def keep(database: Path) -> None:
    """Keep this database, which must have come from the migrations just now. Best effort."""
    try:
        place = _place()
    except (ImportError, OSError):
        return
    if not place.is_absolute():  # nobody's home
        return
    unfinished = place.with_name(f"{place.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(gzip.compress(database.read_bytes(), mtime=0))
        unfinished.replace(place)
    except OSError:  # a full disk, another's folder
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _place() -> Path:
    from mlflow.store import db_migrations
    from mlflow.version import VERSION

    migrations = sorted(os.scandir(Path(db_migrations.__path__[0]) / "versions"), key=lambda file: file.name)
    names = "\n".join(f"{file.name} {file.stat().st_size}" for file in migrations if file.name.endswith(".py"))
    return cache_folder() / "mlflow" / f"{VERSION}-{hashlib.sha256(names.encode()).hexdigest()[:16]}.db.gz"
