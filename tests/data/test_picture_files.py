"""Pictures in files of their own: what is found, what form they get, what is refused, and new ones at prediction."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl.data import encode, fingerprint, inspect, load, prepare
from automl.errors import DataError
from automl.spec import DataSpec

SIGNS = Path(__file__).parents[3] / "shared" / "data" / "image_folder" / "sign-language-digits"


def picture(file: Path, value: object = 128, size: tuple[int, int] = (12, 8), mode: str = "RGB") -> Path:
    """A picture of one colour; ``size`` is (width, height)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode in ("L", "I;16") or not isinstance(value, int) else (value,) * len(mode)).save(file)  # type: ignore[arg-type]
    return file


def folder(root: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 10, **options: object) -> Path:
    for number, name in enumerate(classes):
        for index in range(each):
            picture(root / name / f"{index}.png", 40 * number + index, **options)  # type: ignore[arg-type]
    return root


def refused(spec: DataSpec, sentence: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        inspect(spec)


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    info = prepare(DataSpec(str(folder(tmp_path / "pets", ("10", "9", "b"), 20))), tmp_path / "out")
    assert (info.name, info.kind, info.task, info.classes) == ("pets", "pictures", "multiclass", ("9", "10", "b"))
    assert (info.input_shape, info.input_scale) == ((3, 8, 12), 1 / 255)
    assert info.notes == ("Pictures: in colour, 8 x 12 pixels as they are.",)
    _, arrays = load(tmp_path / "out")
    for x, y in arrays.values():
        colours = x[:, 0, 0, 0]
        assert [colour // 40 for colour in colours] == [{0: 1, 1: 0, 2: 2}[int(label)] for label in y]  # made in the order 10, 9, b


def test_grey_pictures_have_one_channel(tmp_path: Path) -> None:
    info = inspect(DataSpec(str(folder(tmp_path / "x", mode="L"))))
    assert info.input_shape == (1, 8, 12)
    picture(tmp_path / "x" / "cat" / "colour.png")
    assert inspect(DataSpec(str(tmp_path / "x"))).input_shape == (3, 8, 12)


def test_sizes_are_mixed_and_one_huge_picture_does_not_matter(tmp_path: Path) -> None:
    root = folder(tmp_path / "x", size=(100, 80))
    picture(root / "cat" / "huge.jpg", size=(3024, 3024))
    info = inspect(DataSpec(str(root)))
    assert info.input_shape == (3, 51, 64)
    assert info.notes == (
        "Pictures: in colour, of 80 x 100 to 3024 x 3024 pixels, brought to 51 x 64; what stands over at the longer side is cut off. "
        "Another size: --size.",
    )
    assert inspect(DataSpec(str(root), size=20)).input_shape == (3, 16, 20)


def test_official_splits_are_folders(tmp_path: Path) -> None:
    for split, each in (("train", 10), ("val", 4), ("test", 3)):
        folder(tmp_path / "x" / split, each=each)
    info = prepare(DataSpec(str(tmp_path / "x")), tmp_path / "out")
    assert info.sizes == {"train": 20, "validation": 8, "test": 6}
    assert info.notes[1:] == ("Validation: the official 8 samples.", "Test: the official 6 samples.")
    assert inspect(DataSpec(str(tmp_path / "x"), validation=0.25)).sizes == {"train": 21, "validation": 7, "test": 6}
    assert inspect(DataSpec(str(tmp_path / "x"), folds=4)).sizes == {"train": 21, "validation": 7, "test": 6}


def test_a_test_folder_may_be_given(tmp_path: Path) -> None:
    root, test = folder(tmp_path / "x"), folder(tmp_path / "y", ("dog",), 3)
    assert inspect(DataSpec(str(root), test=str(test))).sizes == {"train": 16, "validation": 4, "test": 3}
    folder(test, ("dok",), 1)
    sentence = f"{test}: the classes must be those of the training pictures (cat, dog), but 'dok' is not among them. Did you mean 'dog'?"
    refused(DataSpec(str(root), test=str(test)), sentence)
    sentence = f"{tmp_path / 'z'}: must be a folder with a folder of test pictures for each class, but is none. Check the path."
    refused(DataSpec(str(root), test=str(tmp_path / "z")), sentence)


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    root = folder(tmp_path / "x")
    (root / "cat" / "notes.txt").write_text("a cat")
    (root / "cat" / ".hidden").write_text("")
    (root / "empty").mkdir()
    picture(root / "title.png")
    assert inspect(DataSpec(str(root))).notes[1:] == (
        "Left out: 1 pictures in no class's folder, such as title.png.",
        "Left out: folders without pictures (empty).",
        "Left out: 1 files that are no pictures by their names (.txt).",
    )


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "x")
    broken = root / "cat" / "broken.png"
    broken.write_bytes(b"no picture")
    refused(DataSpec(str(root)), f"{broken}: must be a picture, but cannot be read (no format that is known). Repair it, or remove it.")
    content = picture(tmp_path / "whole.png", size=(60, 60)).read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"^{re.escape(str(broken))}: must be a picture, but cannot be read "):
        inspect(DataSpec(str(root)))


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "x")
    bomb = root / "cat" / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(bomb)
    refused(DataSpec(str(root)), f"{bomb}: a picture must have at most 178,956,970 pixels, but has more. Make it smaller, or remove it.")


def test_one_class_or_none_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "x", ("cat",))
    words = "must have a folder of pictures for each of at least two classes, but"
    refused(DataSpec(str(root)), f"{root}: {words} has pictures of one class only, 'cat'. Add folders with pictures.")
    folder(root)
    refused(DataSpec(str(root), horizon=3), "x: horizon must be left out, since it means nothing for such data, but is 3.")
    refused(DataSpec(str(root), target="y"), "x: has no columns, but target is 'y'. Leave target out.")


def test_a_table_of_paths(tmp_path: Path) -> None:
    root = folder(tmp_path / "x")
    rows = [f"{name}/{index}.png,{name},{index}.5" for name in ("cat", "dog") for index in range(10)]
    table = root / "labels.csv"
    table.write_text("\n".join(["file,animal,weight", *rows, "cat/0.png,,1"]))
    info = inspect(DataSpec(str(table), target="animal", image="file"))
    assert (info.kind, info.task, info.classes, info.input_shape) == ("pictures", "binary", ("cat", "dog"), (3, 8, 12))
    assert "Left out: 1 of 21 rows, because their target is missing." in info.notes
    weights = inspect(DataSpec(str(table), target="weight", image="file"))
    assert (weights.task, weights.outputs, sum(weights.sizes.values())) == ("regression", 1, 21)
    table.write_text("\n".join(["file,animal", *(row.rpartition(",")[0] for row in rows[:15]), "cat/99.png,cat"]))
    sentence = f"{table}: row 16 must name a picture, but there is no file 'cat/99.png'. Paths are relative to the table."
    refused(DataSpec(str(table), target="animal", image="file"), sentence)
    refused(
        DataSpec(str(table), image="file"),
        f"{table}: a table of pictures needs a target, the column to be predicted, but none is given. Columns: animal. "
        "Give --target, maybe 'animal'.",
    )


def test_the_fingerprint_is_that_of_names_and_contents(tmp_path: Path) -> None:
    spec = DataSpec(str(folder(tmp_path / "x")))
    before = fingerprint(spec)
    assert fingerprint(spec) == before == inspect(spec).fingerprint
    picture(tmp_path / "x" / "cat" / "0.png", 99)
    assert fingerprint(spec) != before


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_pictures_of_every_mode_are_read(tmp_path: Path, mode: str) -> None:
    root = folder(tmp_path / "x", size=(10, 10))
    kind = "tif" if mode in ("CMYK", "F", "I") else "png"
    Image.fromarray(np.full((10, 10), 200, np.uint8)).convert("RGB").convert(mode if mode != "I;16" else "I").convert(mode).save(
        root / "cat" / f"other.{kind}"
    )
    info = prepare(DataSpec(str(root)), tmp_path / "out")
    assert info.input_shape == (3, 10, 10)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    root = folder(tmp_path / "x")
    prepare(DataSpec(str(root)), tmp_path / "out")
    clear = Image.new("RGBA", (12, 8), (0, 0, 0, 0))
    assert (encode(tmp_path / "out", [clear]) == 1).all()


def test_a_picture_lies_as_its_camera_says(tmp_path: Path) -> None:
    """Exif orientation 6: turned by a quarter."""
    root = folder(tmp_path / "x", size=(8, 12))
    lying = Image.new("RGB", (12, 8))
    lying.putpixel((0, 0), (255, 255, 255))  # the lower left corner of what stands upright: the upper right one
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(root / "cat" / "lying.tif", exif=exif)
    info = prepare(DataSpec(str(root)), tmp_path / "out")
    assert info.input_shape == (3, 12, 8)
    upright = encode(tmp_path / "out", [root / "cat" / "lying.tif"])
    assert [tuple(int(axis) for axis in place) for place in np.argwhere(upright[0, 0] == 1)] == [(0, 7)]


def test_new_pictures_are_read_like_those_of_the_training(tmp_path: Path) -> None:
    root = folder(tmp_path / "x", size=(100, 80))
    info = prepare(DataSpec(str(root)), tmp_path / "out")
    file = root / "dog" / "3.png"
    as_file = encode(tmp_path / "out", [file, str(file)])
    assert as_file.shape == (2, *info.input_shape)
    assert np.array_equal(as_file[0], as_file[1])
    with Image.open(file) as image:
        assert np.array_equal(encode(tmp_path / "out", [image])[0], as_file[0])
        assert np.array_equal(encode(tmp_path / "out", [np.asarray(image)])[0], as_file[0])
    ready = np.full((2, *info.input_shape), 51, np.uint8)
    assert np.allclose(encode(tmp_path / "out", ready), 0.2)
    assert encode(tmp_path / "out", []).shape == (0, *info.input_shape)
    with pytest.raises(DataError, match=r"must be a list of pictures \(paths, images or arrays\), but are str\. Give a list\.$"):
        encode(tmp_path / "out", str(file))
    with pytest.raises(DataError, match=r"a picture must be a path, an image, or an array of bytes .* is float64 of the shape \(3,\)\."):
        encode(tmp_path / "out", [np.zeros(3)])


@pytest.mark.skipif(not SIGNS.exists(), reason="the published pictures are not here")
def test_published_pictures(tmp_path: Path) -> None:
    info = prepare(DataSpec(str(SIGNS)), tmp_path / "out")
    assert (info.input_shape, info.classes) == ((3, 64, 64), tuple("0123456789"))
    assert sum(info.sizes.values()) == 2062


def test_a_folder_that_is_no_class_is_left_out_by_its_name(tmp_path: Path) -> None:
    """It does not hide that train and test lie apart, wherever it is; folders of programs are never looked into."""
    for part in ("train", "test"):
        folder(tmp_path / "x" / part)
        picture(tmp_path / "x" / "__MACOSX" / part / "cat" / "0.png")
    picture(tmp_path / "x" / "unlabelled" / "deep" / "0.png")
    picture(tmp_path / "x" / "train" / "unsure" / "0.png")
    picture(tmp_path / "x" / "test" / "unsure" / "0.png")
    picture(tmp_path / "x" / "train" / ".ipynb_checkpoints" / "0.png")
    info = inspect(DataSpec(str(tmp_path / "x"), drop=("unlabelled", "unsure")))
    assert (info.classes, info.sizes) == (("cat", "dog"), {"train": 16, "validation": 4, "test": 20})
    assert info.notes[1:2] == ("Left out: unlabelled, unsure, because of drop.",)
    refused(
        DataSpec(str(tmp_path / "x" / "train"), drop=("unsre",)),
        f"{tmp_path}/x/train: drop must name folders or files of classes (cat, dog, unsure), but 'unsre' is none. Did you mean 'unsure'?",
    )


def test_a_folder_too_far_up_and_a_picture_in_place_of_a_folder_are_told_of(tmp_path: Path) -> None:
    root = folder(tmp_path / "x" / "pets").parent
    refused(
        DataSpec(str(root)),
        f"{root}: must have a folder of pictures for each of at least two classes, but has pictures of one class only, 'pets'. "
        f"Give {root}/pets, if the folders in it are the classes.",
    )
    one = root / "pets" / "cat" / "0.png"
    refused(
        DataSpec(str(one)),
        f"{one}: must be a folder of pictures, in a folder for each class, but is one picture. Give that folder.",
    )


def test_a_table_of_paths_without_their_column_is_told_of_it(tmp_path: Path) -> None:
    table = tmp_path / "pets.csv"
    table.write_text("the file,kind\n" + "".join(f"{n}.JPG,{'ab'[n % 2]}\n" for n in range(20)))
    refused(
        DataSpec(str(table), "kind"),
        f"{table}: must have columns to learn from, but has none (the file: it is an id or key (13 of 13 values differ)). "
        "If the file holds the paths of pictures: --image 'the file'.",
    )
