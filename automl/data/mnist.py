"""MNIST and Fashion-MNIST: the original IDX files in the data folder, fetched from their public mirrors when they are absent."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl.data.idx import read_idx
from automl.errors import DataError
from automl.folders import cache_folder

CONNECT_SECONDS = 10.0
CHUNK_BYTES = 1 << 18

log = logging.getLogger("automl.data")


@dataclass(frozen=True, slots=True)
class Published:
    """A data set of IDX files: its folder, its files with their sha256 sums, the addresses they lie under, its classes."""

    folder: str
    sums: dict[str, str]
    mirrors: tuple[str, ...]
    classes: tuple[str, ...]


TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"

PUBLISHED = {
    "mnist": Published(
        "mnist",
        {
            TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        tuple("0123456789"),
    ),
    "fashion_mnist": Published(
        "fashion-mnist",
        {
            TRAIN_IMAGES: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            TRAIN_LABELS: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            TEST_IMAGES: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            TEST_LABELS: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}

Images = NDArray[np.uint8]


def data_folder() -> Path:
    """Where published data sets are kept: ``$AUTOML_DATA``, else ``automl/data`` in the user's cache directory."""
    if own := os.environ.get("AUTOML_DATA"):
        return Path(own).expanduser()
    return cache_folder() / "data"


def read_published(name: str) -> tuple[Images, Images, Images, Images]:
    """Training pictures ``[n, 28, 28]`` and labels, then test pictures and labels, of ``mnist`` or ``fashion_mnist``.

    Files that are absent are fetched first. Raises ``DataError`` where that fails or a file is not what it should be.
    """
    published = PUBLISHED[name]
    paths = {file: find_or_fetch(name, file) for file in published.sums}
    train = _pair(paths[TRAIN_IMAGES], paths[TRAIN_LABELS], len(published.classes))
    test = _pair(paths[TEST_IMAGES], paths[TEST_LABELS], len(published.classes))
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"{paths[TEST_IMAGES]}: the pictures must be as large as those for training, {train[0].shape[1:]}, but are "
            f"{test[0].shape[1:]}. Put the original files there, or remove them to have them fetched."
        )
    return *train, *test


def _pair(images_path: Path, labels_path: Path, classes: int) -> tuple[Images, Images]:
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels) or not len(images):
        raise DataError(
            f"{labels_path}: every picture must have a label, but there are {len(labels)} labels for {len(images)} pictures. "
            "Put the original files there, or remove them to have them fetched."
        )
    if labels.max() >= classes:
        raise DataError(
            f"{labels_path}: labels must be 0 to {classes - 1}, but one is {labels.max()}. "
            "Put the original file there, or remove it to have it fetched."
        )
    return images, labels


def find_or_fetch(name: str, file: str) -> Path:
    """The path of one file of a published data set: as it is named, or without ``.gz``, or fetched just now."""
    folder = data_folder() / PUBLISHED[name].folder
    for path in (folder / file, folder / file.removesuffix(".gz")):
        if path.is_file():
            return path
    _fetch(name, file, folder)
    return folder / file


def _fetch(name: str, file: str, folder: Path) -> None:
    """Fetch from the first mirror that has the right bytes; they appear under their name complete and checked, or not at all."""
    published = PUBLISHED[name]
    failures = []
    for mirror in published.mirrors:
        log.info("Fetching %s%s", mirror, file)
        try:
            _download(mirror + file, folder / file, published.sums[file])
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            failures.append(f"{mirror} ({reason})")
        else:
            return
    raise DataError(
        f"{name}: {file} is not in {folder}, and could not be fetched from {' or '.join(failures)}. "
        f"Put {', '.join(published.sums)} into {folder}, or point AUTOML_DATA at a folder that has {published.folder}/ with them."
    )


def _download(url: str, path: Path, sha256: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    digest = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as out, urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as response:
            while chunk := response.read(CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != sha256:
            raise ValueError(f"its sha256 is {digest.hexdigest()[:12]}..., not {sha256[:12]}...")
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
