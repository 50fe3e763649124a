"""IDX files: what is read, and the sentences for what cannot be."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from automl.data.idx import read_idx
from automl.errors import DataError

REMEDY = "Put the original file there, or remove it to have it fetched."


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reading_gives_what_was_written(tmp_path: Path, pack: type) -> None:
    array = np.arange(24).reshape(2, 3, 4)
    path = tmp_path / "pictures"
    path.write_bytes(pack(idx(array)))
    assert read_idx(path, 3).tolist() == array.tolist()


def test_another_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "pictures"
    path.write_bytes(b"<html>not found</html>")
    message = f"{path}: an IDX file of 3 dimension(s) must begin with 00000803, but this begins with 3c68746d. {REMEDY}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_idx(path, 3)


def test_labels_in_place_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "pictures"
    path.write_bytes(idx(np.arange(20)))
    message = f"{path}: an IDX file of 3 dimension(s) must begin with 00000803, but this begins with 00000801. {REMEDY}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_idx(path, 3)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(b"")
    message = f"{path}: an IDX file of 1 dimension(s) must begin with 00000801, but this begins with nothing. {REMEDY}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_idx(path, 1)


@pytest.mark.parametrize(("content", "there"), [(idx(np.arange(20))[:-3], 17), (idx(np.arange(20)) + b"xx", 22)])
def test_fewer_or_more_values_than_the_header_promises(tmp_path: Path, content: bytes, there: int) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content)
    message = f"{path}: the header promises 20 values, but {there} are there. {REMEDY}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_idx(path, 1)


def test_a_gzip_file_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(idx(np.arange(200) % 256))[:-12])
    message = f"{path}: the file must be readable, but is not (Compressed file ended before the end-of-stream marker was reached). {REMEDY}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_idx(path, 1)


def test_a_gzip_file_with_flipped_bits(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(idx(np.arange(200) % 256)))
    content[len(content) // 2] ^= 255
    path = tmp_path / "labels.gz"
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: the file must be readable, but is not \(.+\)\. {re.escape(REMEDY)}$"):
        read_idx(path, 1)
