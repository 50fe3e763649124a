"""Classes that are left out, and groups of classes: which ones count as positive."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from automl.errors import DataError, listed, suggestion

Label = str | int | float | bool
Files = TypeVar("Files")


def without(where: str, found: Mapping[str, Files], drop: Collection[str], beside: Collection[str] = ()) -> dict[str, Files]:
    """Classes and their files without the classes that ``drop`` names. Each of these must be among them, or be a folder ``beside`` them."""
    for name in drop:
        if name not in found and name not in beside:
            near = suggestion(name, found) or " Take it from drop."
            raise DataError(f"{where}: drop must name folders or files of classes ({listed(list(found), 10)}), but {name!r} is none.{near}")
    return {name: files for name, files in found.items() if name not in drop}


def group_classes(classes: Sequence[str], positive: Sequence[Label], where: str) -> tuple[NDArray[np.int64], tuple[str, str]]:
    """The classes as two groups: for each class number 1 where ``positive`` lists it, else 0; and the labels of both groups."""
    chosen = [_find_class(value, classes, where) for value in positive]
    flags = np.zeros(len(classes), np.int64)
    flags[chosen] = 1
    if flags.all():
        raise DataError(f"{where}: positive must leave at least one class out, but lists all of them: {', '.join(classes)}. Take one away.")
    labels = ["/".join(label for label, flag in zip(classes, flags, strict=True) if flag == group) for group in (0, 1)]
    return flags, (labels[0], labels[1])


def _find_class(value: Label, classes: Sequence[str], where: str) -> int:
    for number, label in enumerate(classes):
        if _same(value, label):
            return number
    raise DataError(f"{where}: positive: class {value!r} is not there. Classes: {', '.join(classes)}.{suggestion(str(value), classes)}")


def _same(value: Label, label: str) -> bool:
    """Whether a value of a space file means this label: 1 and 1.0 are the same, and true is the label True, true or 1."""
    if isinstance(value, bool):
        return label.lower() in (("true", "1", "yes") if value else ("false", "0", "no"))
    if str(value) == label:
        return True
    try:
        return float(value) == float(label)
    except ValueError:
        return False
