"""IDX files: the format in which MNIST and its relatives are published.

Source: the description on the MNIST page of LeCun, Cortes and Burges. Two zero bytes, a byte for the type of the values (8: unsigned
bytes), a byte for the number of dimensions, a big-endian 32-bit size for each of them, then the values.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl.errors import DataError

UNSIGNED_BYTES = 8


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, gzipped or not, with this many dimensions.

    Raises ``DataError`` naming the file when it is unreadable, another kind of file, or shorter or longer than its header says.
    """
    content = _content(path)
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, UNSIGNED_BYTES, dimensions))
    if len(content) < header or content[:4] != magic:
        raise DataError(
            f"{path}: an IDX file of {dimensions} dimension(s) must begin with {magic.hex()}, but this begins with "
            f"{content[:4].hex() or 'nothing'}. Put the original file there, or remove it to have it fetched."
        )
    shape = tuple(int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(dimensions))
    expected = math.prod(shape)
    if len(content) - header != expected:
        raise DataError(
            f"{path}: the header promises {expected} values, but {len(content) - header} are there. "
            "Put the original file there, or remove it to have it fetched."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: the file must be readable, but is not ({error}). Put the original file there, or remove it to have it fetched."
        ) from error
