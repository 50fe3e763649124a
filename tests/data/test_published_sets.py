"""MNIST and its like: found in the data folder, fetched with a checksum, or explained. The mirrors here are on this machine."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from automl.data import load, prepare
from automl.data import mnist as published_sets
from automl.data.mnist import PUBLISHED, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, data_folder, read_published
from automl.errors import DataError
from automl.spec import DataSpec

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "image"


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes(), mtime=0)


def small_files(train: int = 40, test: int = 20) -> dict[str, bytes]:
    pixels = np.arange((train + test) * 784).reshape(-1, 28, 28) % 251
    labels = np.arange(train + test) % 10
    parts = {TRAIN_IMAGES: pixels[:train], TRAIN_LABELS: labels[:train], TEST_IMAGES: pixels[train:], TEST_LABELS: labels[train:]}
    return {name: idx(array) for name, array in parts.items()}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUTOML_DATA", str(tmp_path / "cache"))


def publish(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], *mirrors: str) -> None:
    """From now on ``mnist`` is these files, under these addresses."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(PUBLISHED, "mnist", replace(PUBLISHED["mnist"], sums=sums, mirrors=mirrors))


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def test_absent_files_are_fetched_once_and_kept(mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    files = small_files()
    put(mirror[0], files)
    publish(monkeypatch, files, mirror[1])
    read_published("mnist")
    kept = data_folder() / "mnist"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == files
    for path in mirror[0].iterdir():
        path.unlink()
    assert read_published("mnist")[0].shape == (40, 28, 28)


def test_the_second_mirror_helps_where_the_first_fails(mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    files = small_files()
    put(mirror[0], files)
    publish(monkeypatch, files, mirror[1] + "gone/", mirror[1])
    assert read_published("mnist")[3].tolist() == list(range(10)) * 2


def test_wrong_bytes_are_refused_and_leave_nothing_behind(mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    files = small_files()
    put(mirror[0], dict.fromkeys(files, b"tampered"))
    publish(monkeypatch, files, mirror[1])
    kept = data_folder() / "mnist"
    right, wrong = hashlib.sha256(files[TRAIN_IMAGES]).hexdigest()[:12], hashlib.sha256(b"tampered").hexdigest()[:12]
    message = (
        f"mnist: {TRAIN_IMAGES} is not in {kept}, and could not be fetched from {mirror[1]} (its sha256 is {wrong}..., not {right}...). "
        f"Put {TRAIN_IMAGES}, {TRAIN_LABELS}, {TEST_IMAGES}, {TEST_LABELS} into {kept}, "
        "or point AUTOML_DATA at a folder that has mnist/ with them."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_published("mnist")
    assert list(kept.iterdir()) == []


def test_offline_says_which_files_go_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on port 9 of this machine."""
    publish(monkeypatch, small_files(), "http://127.0.0.1:9/a/", "http://127.0.0.1:9/b/")
    kept = data_folder() / "mnist"
    refused = "[Errno 111] Connection refused"
    message = (
        f"mnist: {TRAIN_IMAGES} is not in {kept}, and could not be fetched from http://127.0.0.1:9/a/ ({refused}) or "
        f"http://127.0.0.1:9/b/ ({refused}). Put {TRAIN_IMAGES}, {TRAIN_LABELS}, {TEST_IMAGES}, {TEST_LABELS} into {kept}, "
        "or point AUTOML_DATA at a folder that has mnist/ with them."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_published("mnist")


def test_files_that_were_unpacked_do_as_well() -> None:
    put(data_folder() / "mnist", {name.removesuffix(".gz"): gzip.decompress(content) for name, content in small_files().items()})
    assert read_published("mnist")[1].tolist() == list(range(10)) * 4


def test_labels_for_other_pictures() -> None:
    files = small_files() | {TEST_LABELS: idx(np.zeros(7))}
    put(data_folder() / "mnist", files)
    message = (
        f"{data_folder() / 'mnist' / TEST_LABELS}: every picture must have a label, but there are 7 labels for 20 pictures. "
        "Put the original files there, or remove them to have them fetched."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_published("mnist")


def test_labels_of_classes_that_do_not_exist() -> None:
    files = small_files() | {TEST_LABELS: idx(np.arange(20))}
    put(data_folder() / "mnist", files)
    message = (
        f"{data_folder() / 'mnist' / TEST_LABELS}: labels must be 0 to 9, but one is 19. "
        "Put the original file there, or remove it to have it fetched."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_published("mnist")


def test_test_pictures_of_another_size() -> None:
    files = small_files() | {TEST_IMAGES: idx(np.zeros((20, 5, 5)))}
    put(data_folder() / "mnist", files)
    message = (
        f"{data_folder() / 'mnist' / TEST_IMAGES}: the pictures must be as large as those for training, (28, 28), but are (5, 5). "
        "Put the original files there, or remove them to have them fetched."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_published("mnist")


def test_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_DATA", "/data")
    assert data_folder() == Path("/data")
    monkeypatch.delenv("AUTOML_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert data_folder() == Path("/caches/automl/data")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert data_folder() == Path("/home/someone/.cache/automl/data")


def test_the_connection_has_a_time_limit() -> None:
    assert published_sets.CONNECT_SECONDS <= 10


def test_the_official_test_pictures_stay_the_test_split(tmp_path: Path) -> None:
    put(data_folder() / "mnist", small_files())
    info = prepare(DataSpec("MNIST", positive=(1, 3, 5, 7, 9)), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    assert info.sizes == {"train": 32, "validation": 8, "test": 20}
    assert info.classes == ("0/2/4/6/8", "1/3/5/7/9")
    assert arrays["test"][1].tolist() == [0, 1] * 10
    assert arrays["test"][0].reshape(20, -1)[0, :3].tolist() == [40 * 784 % 251, 40 * 784 % 251 + 1, 40 * 784 % 251 + 2]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the original MNIST files are not on this machine")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_DATA", str(SHARED))
    known = PUBLISHED[name.replace("-", "_")]
    assert {path: hashlib.sha256((SHARED / known.folder / path).read_bytes()).hexdigest() for path in known.sums} == known.sums
    info = prepare(DataSpec(name), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    x, y = arrays["train"]
    assert info.name == name.replace("-", "_")
    assert (info.task, info.input_shape, info.outputs, info.input_scale) == ("multiclass", (1, 28, 28), 10, 1 / 255)
    assert info.sizes == {"train": 48000, "validation": 12000, "test": 10000}
    assert info.notes == ("Test: the official 10000 samples.",)
    assert x.dtype == np.uint8
    assert x.max() == 255
    histogram = np.bincount(arrays["validation"][1]) + np.bincount(y)
    assert np.abs(np.bincount(arrays["validation"][1]) - histogram * 0.2).max() < 1
