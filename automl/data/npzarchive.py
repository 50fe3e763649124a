"""The arrays in a ``.npz`` file, read as what a stranger may have made: no code is run, no file written, and no more memory is taken than
is free.

Of an archive nothing counts but the members with the wanted names. What each unpacks to is known from its own head and the archive's table
before it is read, and both must say the same.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from automl.errors import DataError
from automl.folders import home_expanded
from automl.memory import available_bytes

_NPY = ".npy"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_SHARE_OF_MEMORY = 0.5  # of what is free: arrays are copied when they are prepared
_TEXT_BYTES = 64  # that a text takes in memory beside its letters
_NAMED = 10  # so many members are named where none is wanted
_LONGEST_NAME = 60
_ENCRYPTED = 1  # a bit of a member's flags
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class _Head:
    """What a member says of itself: the type and shape of its array, and behind how many bytes it begins."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begins: int

    @property
    def size(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def read_arrays(where: str, wanted: Collection[str]) -> dict[str, NDArray[Any]]:
    """The arrays with these names (in small letters), as numbers of this machine's kind or as texts.

    Raises ``DataError`` where the file is no such archive, or an array is damaged, of Python objects, empty, or larger than the memory.
    """
    found: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(home_expanded(where)) as archive:
            members = [(_name(member).lower(), member) for member in archive.infolist()]
            members = [(name, member) for name, member in members if name in wanted]
            _check(where, archive, members)
            for name, member in members:
                with archive.open(member) as file:
                    found[name] = _native(npy.read_array(file, allow_pickle=False))
    except DataError:
        raise
    except Exception as error:  # zipfile, its decompressors and numpy raise nearly anything for a file that is not theirs
        raise _unreadable(where, str(error) or type(error).__name__) from error
    return found


def described(where: str) -> str:
    """The names and shapes of the first few members, for a person who looks for theirs."""
    said = []
    with zipfile.ZipFile(home_expanded(where)) as archive:
        members = archive.infolist()
        for member in members[:_NAMED]:
            try:
                said.append(f"{_shown(member)} {_head(where, archive, member).shape}")
            except Exception:  # nobody asked for this one
                said.append(_shown(member))
    more = f" and {len(members) - _NAMED} more" if len(members) > _NAMED else ""
    return ", ".join(said) + more or "nothing"


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(_NPY)


def _shown(member: zipfile.ZipInfo) -> str:
    name = _name(member)[:_LONGEST_NAME]
    return name if name.isprintable() else repr(name)


def _check(where: str, archive: zipfile.ZipFile, members: list[tuple[str, zipfile.ZipInfo]]) -> None:
    total, names = 0, [name for name, _ in members]
    for name, member in members:
        if names.count(name) > 1:
            raise DataError(f"{where}: must have each array once, but has {name} twice. Save them again with numpy.savez.")
        if member.flag_bits & _ENCRYPTED:
            raise _unreadable(where, "it is encrypted")
        head = _head(where, archive, member)
        if head.dtype.hasobject:
            raise _unreadable(where, "it holds Python objects")
        if head.dtype.kind not in "biufSU":
            raise DataError(f"{where}: {name} must hold numbers or texts, but is of type {str(head.dtype)[:60]}. Convert it.")
        if not head.size:
            raise DataError(f"{where}: {name} must hold values, but is empty (shape {head.shape}). Save it again.")
        if head.begins + head.size != member.file_size:
            raise DataError(
                f"{where}: {name} must have the {head.size:,} bytes of its shape {head.shape}, but has {member.file_size - head.begins:,}. "
                "Save it again."
            )
        total += head.size + (prod(head.shape) * _TEXT_BYTES if head.dtype.kind in "SU" else 0)
    room = int(available_bytes() * _SHARE_OF_MEMORY)
    if total > room:
        raise DataError(
            f"{where}: its arrays must fit into half of the free memory, {room / _GIB:.1f} GiB, but unpacked they take {total / _GIB:.1f} "
            "GiB. Save fewer samples, or smaller ones."
        )


def _head(where: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Head:
    with archive.open(member) as file:
        try:
            shape, _, dtype = _HEADERS[npy.read_magic(_bytes_of(file))](_bytes_of(file))
        except (ValueError, KeyError) as error:
            raise _unreadable(where, f"{_shown(member)} is no array") from error
        return _Head(dtype, shape, file.tell())


def _bytes_of(file: IO[bytes]) -> Any:
    """As numpy's functions want a file, whose types know of no other."""
    return file


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """In this machine's order of bytes, and of a size that pandas knows."""
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _unreadable(where: str, why: str) -> DataError:
    return DataError(f"{where}: must be an npz file of arrays, but cannot be read ({why}). Save plain arrays with numpy.savez.")
