"""Data sets that a person's own code makes: ``my_package.data:make`` gives PyTorch datasets or arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.errors import AutomlError, DataError
from automl.inputs import SampleKind
from automl.owncode import imported
from automl.spec import DataSpec
from automl.surroundings import Own, Surroundings

if TYPE_CHECKING:
    from automl.data.arrays import Arrays

Array = NDArray[Any]

_TARGET = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*|.*[\\/.][^:]*\.py|[^:]+\.py):(?P<name>[A-Za-z_]\w*)")
_SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


def is_dataset(source: str) -> bool:
    """Whether this names a function that makes a data set: ``module:name`` or ``path/file.py:name``."""
    return _TARGET.fullmatch(source) is not None


def open_dataset(spec: DataSpec) -> Arrays:
    """What the function makes: a dataset of (sample, target) pairs, a pair of arrays (x, y), or a mapping from ``train``, ``validation``
    and ``test`` to such.

    Samples keep their numbers: floats are taken as they are, bytes are divided by 255, whole numbers of one axis are tokens. What the
    function changes for the whole process, such as the current folder, is undone. Raises ``DataError`` where the function is not there,
    raises an error, or gives anything else.
    """
    from automl.data.arrays import Arrays
    from automl.data.labels import channels_first, labelled

    where = spec.source
    with Own(Surroundings.found()).around():
        made = _made(where)
        parts = _parts(where, made)
    x, y = parts["train"]
    held = None
    if "validation" in parts:
        more, shown = parts["validation"]
        held = np.arange(len(x), len(x) + len(more), dtype=np.int64)
        x, y = _joined(where, x, more), np.concatenate([y, shown])
    x_test, y_test = parts.get("test", (None, None))
    names = getattr(made["train"] if isinstance(made, Mapping) else made, "classes", ())
    values, classes, test_values = labelled(where, y, y_test, names if isinstance(names, list | tuple) else ())
    kind = _kind(where, x)
    if kind == "pictures":
        x, x_test = channels_first(x), None if x_test is None else channels_first(x_test)
    official = None if x_test is None or test_values is None else (_as(x, x_test), test_values)
    vocabulary = 1 + max(int(part.max()) for part in (x, x_test) if part is not None) if kind == "tokens" else 0
    name = where.rpartition(":")[2]
    scale = 1 / 255 if x.dtype == np.uint8 else 1.0
    return Arrays(name, x, values, classes, scale, official, kind=kind, validation=held, vocabulary=vocabulary)


def _made(where: str) -> Any:
    found = _TARGET.fullmatch(where)
    assert found is not None
    module, folder = found["module"], str(Path.cwd())
    if module.endswith(".py"):
        file = Path(module).expanduser()
        if not file.is_file():
            raise DataError(f"{where}: must name a function in a file, but there is no file {module!r}. Check the path.")
        module, folder = file.stem, str(file.resolve().parent)
    try:
        function = imported(f"{module}:{found['name']}", (folder,))
    except AutomlError as error:
        raise DataError(f"{where}: {error}") from error
    try:
        return function()
    except Exception as error:
        said = (str(error) or "no message").splitlines()[0]
        raise DataError(f"{where}: must make a data set, but raises {type(error).__name__}: {said}") from error


def _parts(where: str, made: Any) -> dict[str, tuple[Array, Array]]:
    if not isinstance(made, Mapping):
        return {"train": _pair(where, made)}
    unknown = [str(name) for name in made if name not in _SPLITS]
    if unknown or "train" not in made:
        given = ", ".join(map(str, made)) or "nothing"
        raise DataError(f"{where}: a mapping of splits must have train, and may have validation and test, but has {given}.")
    return {_SPLITS[name]: _pair(f"{where}: {name}", part) for name, part in made.items()}


def _pair(where: str, part: Any) -> tuple[Array, Array]:
    """Samples and targets, each in one array."""
    if isinstance(part, tuple | list) and len(part) == 2 and all(hasattr(each, "shape") for each in part):
        x, y = np.asarray(part[0]), np.asarray(part[1])
    elif isinstance(part, Iterable) or (hasattr(part, "__getitem__") and hasattr(part, "__len__")):
        x, y = _read(where, part)
    else:
        raise DataError(f"{where}: must be a dataset of (sample, target) pairs or a pair of arrays, but is {type(part).__name__}.")
    if len(x) != len(y):
        raise DataError(f"{where}: there must be a target for each sample, but there are {len(x)} samples and {len(y)} targets.")
    if x.ndim < 2 or not len(x):
        raise DataError(f"{where}: samples must have at least one axis and there must be some, but they have the shape {x.shape}.")
    return _numbers(where, x), y


def _read(where: str, dataset: Any) -> tuple[Array, Array]:
    """A dataset item by item."""
    samples: list[Array] = []
    targets: list[Any] = []
    items = (dataset[index] for index in range(len(dataset))) if hasattr(dataset, "__len__") else dataset
    try:
        for item in items:
            _check_item(where, item, samples)
            samples.append(np.asarray(item[0]))
            targets.append(item[1].item() if hasattr(item[1], "item") else item[1])
    except DataError:
        raise
    except Exception as error:
        said = (str(error) or "no message").splitlines()[0]
        raise DataError(f"{where}: must give every item, but item {len(samples)} raises {type(error).__name__}: {said}") from error
    if not samples:
        raise DataError(f"{where}: must have samples, but is empty.")
    return np.stack(samples), np.asarray(targets)


def _check_item(where: str, item: Any, before: list[Array]) -> None:
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise DataError(f"{where}: items must be (sample, target) pairs, but item {len(before)} is of type {type(item).__name__}.")
    shape = np.shape(item[0])
    if before and shape != before[0].shape:
        raise DataError(
            f"{where}: samples must have the same shape, but item 0 has {before[0].shape} and item {len(before)} has {shape}. "
            "Resize or pad them."
        )


def _numbers(where: str, x: Array) -> Array:
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind == "f":
        values = x.astype(np.float32)
        if not np.isfinite(values).all():
            raise DataError(
                f"{where}: samples must be finite numbers, but {int((~np.isfinite(values)).sum())} values are not. Replace them."
            )
        return values
    if x.dtype.kind in "iu" and x.ndim == 2 and x.min(initial=0) >= 0:
        return x.astype(np.int32)
    if x.dtype.kind in "biu":
        return x.astype(np.float32)
    raise DataError(f"{where}: samples must be numbers, but are of type {x.dtype}. Convert them.")


def _kind(where: str, x: Array) -> SampleKind:
    match x.ndim:
        case 2:
            return "tokens" if x.dtype == np.int32 else "features"
        case 3:
            return "pictures" if x.dtype == np.uint8 else "sequences"
        case 4:
            return "pictures"
        case _:
            raise DataError(f"{where}: samples must have one to three axes, but have the shape {x.shape[1:]}. Reshape them.")


def _joined(where: str, x: Array, more: Array) -> Array:
    if x.shape[1:] != more.shape[1:]:
        raise DataError(f"{where}: all splits must have samples of one shape, but train has {x.shape[1:]} and validation {more.shape[1:]}.")
    return np.concatenate([x, _as(x, more)])


def _as(x: Array, other: Array) -> Array:
    return other.astype(x.dtype)


def beside(source: str, folder: Path) -> str:
    """``module:name`` of a space file with the module's file where that lies beside it; packages are imported by their names."""
    found = _TARGET.fullmatch(source)
    if found is None:
        return source
    module: str = found["module"]
    file = folder / (module if module.endswith(".py") else f"{module}.py")
    return f"{file}:{found['name']}" if file.is_file() else source
