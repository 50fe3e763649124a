"""Pictures from files: decoded, turned upright, and brought to one size and number of channels."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

    from automl.data import DataInfo

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
LONGEST_SIDE = 64  # of prepared pictures where nobody says otherwise: what a CPU trains in seconds
_GREY = ("1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B")
_IN_MEMORY = 2**30  # bytes; more lie in a file without a name while they are prepared


@dataclass(frozen=True, slots=True)
class Form:
    """What all pictures are brought to. ``channels`` is 1 (grey) or 3 (red, green, blue)."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True, slots=True)
class Looks:
    """What a file says of its picture without being decoded: its size as it stands upright, and whether it has colours."""

    height: int
    width: int
    is_grey: bool


def look(file: Path) -> Looks:
    """Raises ``DataError`` naming the file where it is no picture, or too large a one."""
    with _opened(file) as picture:
        width, height = picture.size
        if _lies(picture):
            width, height = height, width
        return Looks(height, width, picture.mode in _GREY)


def _lies(picture: Image) -> bool:
    """Whether a camera has noted that it was held upright."""
    try:
        return picture.format != "PNG" and bool(picture.getexif().get(0x0112, 1) >= 5)  # of PNG files all pixels would be read for that
    except Exception:  # a broken note is none
        return False


def form_of(looks: Sequence[Looks], size: int | None) -> tuple[Form, str]:
    """The size and channels for pictures that look so, and a note of what is done to them.

    The longer side gets ``size`` pixels, else that of the median picture but at most ``LONGEST_SIDE``; the other one follows the median
    ratio of the sides. Pictures that are all alike and small enough stay as they are.
    """
    channels = 1 if all(each.is_grey for each in looks) else 3
    kind = "grey" if channels == 1 else "in colour"
    sizes = Counter((each.height, each.width) for each in looks)
    (height, width), _ = sizes.most_common(1)[0]
    if len(sizes) == 1 and (max(height, width) <= LONGEST_SIDE if size is None else max(height, width) == size):
        return Form(height, width, channels), f"Pictures: {kind}, {height} x {width} pixels as they are."
    longer = size or min(int(np.median([max(each.height, each.width) for each in looks])), LONGEST_SIDE)
    ratio = float(np.median([each.height / each.width for each in looks]))
    height, width = (longer, max(1, round(longer / ratio))) if ratio >= 1 else (max(1, round(longer * ratio)), longer)
    small, large = min(sizes, key=lambda pair: pair[0] * pair[1]), max(sizes, key=lambda pair: pair[0] * pair[1])
    were = f"of {small[0]} x {small[1]}" + (f" to {large[0]} x {large[1]}" if small != large else "")
    hint = "" if size is not None else " Another size: --size."
    note = f"Pictures: {kind}, {were} pixels, brought to {height} x {width}; what stands over at the longer side is cut off.{hint}"
    return Form(height, width, channels), note


def read_pictures(files: Sequence[Path], form: Form) -> NDArray[np.uint8]:
    """All pictures in this form, ``[n, channels, height, width]``. Raises ``DataError`` naming the files that cannot be decoded."""
    pixels = _room((len(files), form.channels, form.height, form.width))
    broken: list[tuple[Path, str]] = []

    def place(number: int) -> None:
        try:
            with _opened(files[number]) as picture:
                pixels[number] = as_pixels(picture, form)
        except DataError as error:
            broken.append((files[number], str(error)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(place, range(len(files))):
            pass
    if broken:
        broken.sort()
        others = f" {len(broken) - 1} more cannot be read either." if len(broken) > 1 else ""
        raise DataError(f"{broken[0][1]}{others}")
    return pixels


def as_pixels(picture: Image, form: Form) -> NDArray[np.uint8]:
    """One picture ``[channels, height, width]``: upright, on white where it is transparent, scaled to cover the form and cut around its
    middle."""
    from PIL import Image, ImageOps

    mode = "L" if form.channels == 1 else "RGB"
    try:
        picture.draft(mode, (form.width * 2, form.height * 2))  # JPEG files are decoded small where that will do
        upright = ImageOps.exif_transpose(picture)
        fitted = _converted(upright, mode)
        if fitted.size != (form.width, form.height):
            fitted = ImageOps.fit(fitted, (form.width, form.height), Image.Resampling.BILINEAR)
    except Exception as error:  # decoders raise what they like for broken files
        raise _unreadable(Path(getattr(picture, "filename", "") or "a picture"), error) from error
    pixels = np.asarray(fitted, np.uint8)
    return pixels[None] if form.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _converted(picture: Image, mode: str) -> Image:
    from PIL import Image

    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture, np.float64)
        largest = 65535.0 if picture.mode != "F" else max(1.0, float(values.max(initial=0.0)))
        picture = Image.fromarray((values * (255 / largest)).clip(0, 255).astype(np.uint8))
    if picture.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in picture.info:
        shown = picture.convert("RGBA")
        ground = Image.new("RGBA", shown.size, "white")
        picture = Image.alpha_composite(ground, shown)
    return picture if picture.mode == mode else picture.convert(mode)


def encode(folder: Path, info: DataInfo, plan: Mapping[str, Any], rows: Any) -> NDArray[np.float32]:
    """New pictures as a network's input: paths, Pillow images, arrays ``[height, width]`` or ``[height, width, channels]``; or an array
    of pictures that have the form already, ``[rows, channels, height, width]``."""
    form = Form(plan["height"], plan["width"], plan["channels"])
    shape = (form.channels, form.height, form.width)
    if isinstance(rows, np.ndarray) and rows.shape[1:] == shape:
        return rows.astype(np.float32) * np.float32(info.input_scale)
    if isinstance(rows, str | Path) or not hasattr(rows, "__iter__"):
        raise DataError(f"{folder}: rows must be a list of pictures (paths, images or arrays), but are {type(rows).__name__}. Give a list.")
    pixels = [_one(folder, row, form) for row in rows]
    return np.asarray(pixels, np.float32).reshape(-1, *shape) * np.float32(info.input_scale)


def _one(folder: Path, row: Any, form: Form) -> NDArray[np.uint8]:
    from PIL import Image

    if isinstance(row, str | Path):
        with _opened(Path(row)) as picture:
            return as_pixels(picture, form)
    if isinstance(row, Image.Image):
        return as_pixels(row, form)
    array = np.asarray(row)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise DataError(
            f"{folder}: a picture must be a path, an image, or an array of bytes (height, width) or (height, width, channels), but is "
            f"{array.dtype} of the shape {array.shape}. Convert it."
        )
    return as_pixels(Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array), form)


def _opened(file: Path) -> Image:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(file)
    except Image.DecompressionBombError:
        most = f"{2 * (Image.MAX_IMAGE_PIXELS or 0):,}"
        raise DataError(f"{file}: a picture must have at most {most} pixels, but has more. Make it smaller, or remove it.") from None
    except Exception as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> DataError:
    from PIL import UnidentifiedImageError

    why = "no format that is known" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
    return DataError(f"{file}: must be a picture, but cannot be read ({why}). Repair it, or remove it.")


def _room(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array in memory or, where it would be large, in a file that is gone with it."""
    if int(np.prod(shape)) <= _IN_MEMORY:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
