"""Files of arrays that a stranger made: answered with a sentence; nothing is run, written, or unpacked beyond the memory that is free."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from automl.data import inspect, npzarchive
from automl.errors import DataError
from automl.spec import DataSpec

X, Y = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
UNREADABLE = "must be an npz file of arrays, but cannot be read ({}). Save plain arrays with numpy.savez."


class Payload:
    """Whoever unpickles this makes the folder."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, ("mark",)


def packed(array: Any) -> bytes:
    out = io.BytesIO()
    npy.write_array(out, np.asanyarray(array), allow_pickle=True)
    return out.getvalue()


def claimed(shape: object, descr: str = "<f8", content: bytes = bytes(640)) -> bytes:
    """A head that says anything, before some bytes."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def archive(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = Path("some.npz")
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        inspect(DataSpec(str(path)))
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["x.npy", "y.npy", "X_train.npy"])
def test_python_objects_are_not_read(name: str) -> None:
    members = {"x.npy": packed(X), "y.npy": packed(Y), name: packed(np.array([Payload()] * 40, object))}
    assert refusal(archive(members)) == UNREADABLE.format("it holds Python objects")
    assert list(Path().iterdir()) == [Path("some.npz")]


def test_a_pickle_in_place_of_an_array_is_not_read() -> None:
    import pickle

    assert refusal(archive({"x.npy": pickle.dumps(Payload()), "y.npy": packed(Y)})) == UNREADABLE.format("x is no array")
    Path("some.npz").write_bytes(pickle.dumps(Payload()))
    assert refusal(Path("some.npz")) == UNREADABLE.format("File is not a zip file")
    assert list(Path().iterdir()) == [Path("some.npz")]


def test_members_that_nobody_asked_for_are_not_read() -> None:
    members = {"x.npy": packed(X), "y.npy": packed(Y), "more.npy": packed(np.array([Payload()], object)), "huge.npy": claimed((10**15,))}
    assert inspect(DataSpec(str(archive(members)))).sizes == {"train": 26, "validation": 6, "test": 8}
    assert list(Path().iterdir()) == [Path("some.npz")]


def test_names_that_lead_out_of_the_folder_or_hold_control_characters_are_names() -> None:
    """Nothing is unpacked to a disk, so that they lead nowhere; on a screen they do nothing."""
    path = archive({"../x.npy": packed(X), "/tmp/y.npy": packed(Y), "\x1b[2Jz.npy": b"", **{f"a{n}": b"" for n in range(10)}})
    assert refusal(path) == (
        "must have samples called x and targets called y (or x_train, y_train, x_test, y_test), but has ../x (40, 2), /tmp/y (40,), "
        "'\\x1b[2Jz', a0, a1, a2, a3, a4, a5, a6 and 3 more. Save them with numpy.savez(file, x=..., y=...)."
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (claimed((10**12,)), "x must have the 8,000,000,000,000 bytes of its shape (1000000000000,), but has 640. Save it again."),
        (claimed((10**30, 10**30)), f"x must have the {8 * 10**60:,} bytes of its shape ({10**30}, {10**30}), but has 640. Save it again."),
        (claimed((-40, 2)), "x must have the -640 bytes of its shape (-40, 2), but has 640. Save it again."),
        (claimed((-4, -20)), UNREADABLE.format("can only specify one unknown dimension")),
        (claimed((40, 10**12), "|S0"), "x must hold values, but is empty (shape (40, 1000000000000)). Save it again."),
        (claimed((40, 0), content=b""), "x must hold values, but is empty (shape (40, 0)). Save it again."),
        (claimed("__import__('os').mkdir('mark')"), UNREADABLE.format("x is no array")),
        (claimed((40, 2), "|O", b"cos\nmkdir\n(S'mark'\ntR."), UNREADABLE.format("it holds Python objects")),
        (claimed((40, 2), "nonsense"), UNREADABLE.format("x is no array")),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, UNREADABLE.format("x is no array")),
        (b"\x93NUMPY\x09\x00", UNREADABLE.format("x is no array")),
        (b"", UNREADABLE.format("x is no array")),
        (packed(X * 1j), "x must hold numbers or texts, but is of type complex128. Convert it."),
        (packed(X.astype("M8[s]")), "x must hold numbers or texts, but is of type datetime64[s]. Convert it."),
        (packed(np.zeros(40, [("a", "f8")])), "x must hold numbers or texts, but is of type [('a', '<f8')]. Convert it."),
    ],
)
def test_a_head_that_lies_and_types_that_are_no_numbers_are_refused(content: bytes, sentence: str) -> None:
    assert refusal(archive({"x.npy": content, "y.npy": packed(Y)})) == sentence
    assert list(Path().iterdir()) == [Path("some.npz")]


def test_an_array_that_is_there_twice_is_refused() -> None:
    path = archive({"x.npy": packed(X), "X.npy": packed(X), "y.npy": packed(Y)})
    assert refusal(path) == "must have each array once, but has x twice. Save them again with numpy.savez."


def test_arrays_are_not_unpacked_where_they_do_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb of a thousandth of its size, and a table of the archive that tells of more than there is, alike."""
    monkeypatch.setattr(npzarchive, "available_bytes", lambda: 2**26)
    path = archive({"x.npy": packed(np.zeros((40, 2**18))), "y.npy": packed(Y)})
    assert path.stat().st_size < 2**17
    assert refusal(path) == (
        "its arrays must fit into half of the free memory, 0.0 GiB, but unpacked they take 0.1 GiB. Save fewer samples, or smaller ones."
    )
    assert inspect(DataSpec(str(archive({"x.npy": packed(X), "y.npy": packed(Y)})))).task == "binary"


def test_an_archive_whose_table_says_less_than_there_is_is_read_no_further_than_it_says() -> None:
    """32 MiB of zeros behind a table that says less than a thousand bytes, read by a process that may not grow by 16 MiB."""
    member, size = claimed((40, 2**20 // 10), content=bytes(2**25)), len(packed(X))
    path = archive({"x.npy": member, "y.npy": packed(Y)})
    content = path.read_bytes()
    for full, less in ((len(member), size), (zlib.crc32(member), zlib.crc32(member[:size]))):
        assert content.count(full.to_bytes(4, "little")) == 2
        content = content.replace(full.to_bytes(4, "little"), less.to_bytes(4, "little"))
    path.write_bytes(content)
    code = f"""
import resource
from automl.data.npzarchive import read_arrays
from automl.errors import DataError
import numpy.lib.format
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + 2**24
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    read_arrays({str(path)!r}, ["x", "y"])
except DataError as error:
    print(error)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("some.npz: x must have the 33,554,240 bytes of its shape (40, 104857), but has 694. Save it again.")


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (46, b"\xff" * 40, "Error -3 while decompressing data: invalid bit length repeat"),
        (-1, b"", "File is not a zip file"),
        (6, b"\x01", "it is encrypted"),
        (8, b"\x63", "That compression method is not supported"),
    ],
    ids=["damaged", "cut", "encrypted", "method"],
)
def test_a_damaged_or_encrypted_archive_is_refused(place: int, value: bytes, why: str) -> None:
    """What is said of a member stands before it, and again, two bytes later, in the archive's table."""
    path = archive({"x.npy": packed(X), "y.npy": packed(Y)})
    content = bytearray(path.read_bytes())
    if value:
        content[place : place + len(value)] = value
        listed = content.index(b"PK\x01\x02") + 2 + place
        content[listed : listed + len(value)] = value if len(value) == 1 else content[listed : listed + len(value)]
    path.write_bytes(content if value else content[:place])
    assert refusal(path) == UNREADABLE.format(why)


@pytest.mark.parametrize("kind", [">f8", "<f2", np.longdouble, ">i4", "?", "u1"])
def test_numbers_of_every_kind_are_read(kind: Any) -> None:
    assert inspect(DataSpec(str(archive({"x.npy": packed((X % 5).astype(kind)), "y.npy": packed(Y)})))).task == "binary"
