"""Texts of a table's column and of files by their class: what is read, what is said, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl.data import encode, inspect, load, prepare
from automl.errors import DataError
from automl.spec import DataSpec

GOOD = ["A fine, moving film", "so good; so warm", "a moving and fine work", "good fun", "warm and fine"]
BAD = ["a dull film", "so dull and so bad", "bad, bad acting", "dull work", "a bad and dull bore"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write_classes(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "films.pos").write_text("\n".join(GOOD) + "\n\n", encoding="utf-8")
    (folder / "films.neg").write_text("\n".join(BAD) + "\n", encoding="utf-8")
    (folder / "LICENSE.txt").write_text("Everybody may use these.\n")
    (folder / "README.md").write_text("Films.\n")


def write_table(path: Path, more: str = "") -> str:
    rows = [f'"{text}",{label}{more}' for label, texts in (("pos", GOOD), ("neg", BAD)) for text in texts]
    path.write_text(f"review,mood{',stars' * bool(more)}\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def refused(spec: DataSpec, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(spec.source)}{re.escape(message)}$"):
        inspect(spec)


# -- tables


def test_a_column_of_texts_becomes_numbers_of_words(folder: Path) -> None:
    source = write_table(folder / "films.csv", ",3")
    info = prepare(DataSpec(source, target="mood", text="review"), folder / "made")
    assert (info.kind, info.task, info.classes, info.sizes) == (
        "tokens",
        "binary",
        ("neg", "pos"),
        {"train": 6, "validation": 2, "test": 2},
    )
    assert "Left out: stars, because only the texts of 'review' are read." in info.notes
    _, parts = load(folder / "made")
    x, y = parts["train"]
    assert x.dtype == np.int32
    assert x.shape == (6, *info.input_shape)
    assert x.max() < info.vocabulary
    assert set(y.tolist()) == {0, 1}


def test_a_table_that_has_nothing_else_is_read_as_texts(folder: Path) -> None:
    rows = [
        f"{number},{label},this is what text {number} says {'of good' if label == 'pos' else 'of bad'}"
        for number, label in enumerate(["pos", "neg"] * 10)
    ]
    (folder / "says.csv").write_text("id,label,says\n" + "\n".join(rows))
    info = inspect(DataSpec(str(folder / "says.csv"), target="label"))
    assert info.kind == "tokens"
    assert info.notes[0] == "Texts: those of 'says', since no other column has anything to learn from."


def test_texts_with_a_number_to_predict(folder: Path) -> None:
    rows = "\n".join(f"{text},{number + 0.5}" for number, text in enumerate(["good film", "bad film", "fine work"] * 7))
    (folder / "scores.csv").write_text(f"text,score\n{rows}\n")
    info = inspect(DataSpec(str(folder / "scores.csv"), target="score", text="text"))
    assert (info.task, info.outputs) == ("regression", 1)
    assert info.target_scale > 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_the_usual_encodings(folder: Path, encoding: str) -> None:
    rows = "\n".join(f"{text},{label}" for text, label in [("très bon café", "oui"), ("déjà vu", "non")] * 6)
    (folder / "avis.csv").write_bytes(f"avis,bon\n{rows}\n".encode(encoding))
    prepare(DataSpec(str(folder / "avis.csv"), target="bon", text="avis"), folder / "made")
    assert encode(folder / "made", ["café"])[0, 0, 0] > 1


def test_a_test_file_and_missing_texts(folder: Path) -> None:
    source = write_table(folder / "films.csv")
    (folder / "later.csv").write_text("mood,review\npos,good film\nneg,\n")
    info = inspect(DataSpec(source, target="mood", text="review", test=str(folder / "later.csv")))
    assert info.sizes["test"] == 2
    assert {"Test: 2 rows of later.csv.", "Empty: 1 test texts have no words."} <= set(info.notes)
    (folder / "later.csv").write_text("mood,reviews\npos,good film\nneg,\n")
    message = (
        "later.csv: a test file must have the columns of the training data, but 'review' is not "
        "there. Columns: mood, reviews. Did you mean 'reviews'?"
    )
    with pytest.raises(DataError, match=f"{re.escape(message)}$"):
        inspect(DataSpec(source, target="mood", text="review", test=str(folder / "later.csv")))


def test_tables_without_texts_are_refused(folder: Path) -> None:
    source = write_table(folder / "films.csv", ",3")
    refused(
        DataSpec(source, target="mood", text="reviews"),
        ": column 'reviews' is not there. Columns: review, mood, stars. Did you mean 'review'?",
    )
    refused(
        DataSpec(source, target="mood", text="mood"),
        ": text and target must be different columns, but both are 'mood'. Choose another target.",
    )
    refused(
        DataSpec(source, target="mood", text="stars"),
        ": text 'stars' must have different texts, but has one or none in 10 rows. Choose another.",
    )
    refused(
        DataSpec(source, target="mood", text="review", drop=("review",)),
        ": drop must leave the text 'review', but lists it. Take it from drop.",
    )
    refused(
        DataSpec(source, target="mood", text="review", drop=("mood",)),
        ": drop must leave the target 'mood', but lists it. Take it from drop.",
    )
    refused(
        DataSpec(source, text="review"),
        ": a table needs a target, the column to be predicted, but none is given. Columns: review, mood, "
        "stars. Give --target, maybe 'stars'.",
    )
    (folder / "none.csv").write_text("text,y\n" + "NA,1\n,2\n" * 6)
    refused(
        DataSpec(str(folder / "none.csv"), target="y", text="text"),
        ": text 'text' must have different texts, but has one or none in 12 rows. Choose another.",
    )


def test_a_column_of_numbers_is_no_text(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    source = str(folder / "n.parquet")
    pd.DataFrame({"n": range(10), "y": ["a", "b"] * 5}).to_parquet(source)
    refused(DataSpec(source, target="y", text="n"), ": text 'n' must be a column of texts, but holds numbers. Choose another.")


def test_vocabulary_and_length_are_taken_and_other_options_refused(folder: Path) -> None:
    source = write_table(folder / "films.csv")
    info = inspect(DataSpec(source, target="mood", text="review", vocabulary=2, length=3))
    assert info.input_shape[-1] == 3
    assert info.vocabulary <= 2 + 2 * 2
    assert any(
        note.startswith("Cut: ") and note.endswith(" training texts have more than 3 words, of which the first are read. More: --length.")
        for note in info.notes
    )
    with pytest.raises(DataError, match="size must be left out"):
        inspect(DataSpec(source, target="mood", text="review", size=3))


def test_the_vocabulary_is_that_of_the_training_rows_of_each_fold(folder: Path) -> None:
    source = write_table(folder / "films.csv")
    spec = DataSpec(source, target="mood", text="review", folds=2)
    info = prepare(spec, folder / "made")
    assert info.folds == 2
    assert prepare(spec, folder / "made") == info
    infos = [load(folder / "made", fold)[0] for fold in (0, 1)]
    assert infos[0].inputs == infos[1].inputs
    assert (folder / "made" / "info.json").read_text() != (folder / "made" / "fold_1" / "info.json").read_text()
    (folder / "made" / "fold_1" / "info.json").unlink()
    assert prepare(spec, folder / "made") == info
    assert (folder / "made" / "fold_1" / "info.json").exists()


# -- files


def test_a_file_for_each_class_by_their_endings(folder: Path) -> None:
    write_classes(folder / "films")
    info = inspect(DataSpec(str(folder / "films")))
    assert (info.name, info.classes, sum(info.sizes.values())) == ("films", ("neg", "pos"), 10)
    assert info.notes[0] == "Classes: the files films.neg, films.pos, a text in each line."


@pytest.mark.parametrize(
    ("names", "pattern", "classes"),
    [
        (("films.pos", "films.neg"), "films.*", ("neg", "pos")),
        (("pos.txt", "neg.txt"), "*.txt", ("neg", "pos")),
        (("train_pos.txt", "train_neg.txt"), "train_*.txt", ("neg", "pos")),
        (("positive.txt", "possible.txt"), "pos*", ("positive", "possible")),
        (("a_1.txt", "a_12.txt"), "a_*", ("1", "12")),
    ],
)
def test_a_pattern_names_classes_by_what_differs(folder: Path, names: tuple[str, str], pattern: str, classes: tuple[str, str]) -> None:
    for name, texts in zip(names, (GOOD, BAD), strict=True):
        (folder / name).write_text("\n".join(texts))
    (folder / "LICENSE.txt").write_text("Free.")
    assert inspect(DataSpec(str(folder / pattern))).classes == classes


def test_a_folder_of_files_for_each_class(folder: Path) -> None:
    for label, texts in (("pos", GOOD), ("neg", BAD)):
        (folder / "films" / label).mkdir(parents=True)
        for number, text in enumerate(texts):
            (folder / "films" / label / f"{number}.txt").write_text(text)
    (folder / "films" / "README.txt").write_text("Films.")
    info = inspect(DataSpec(str(folder / "films")))
    assert (info.classes, sum(info.sizes.values())) == (("neg", "pos"), 10)
    assert info.notes[0] == "Classes: the folders neg, pos, a text in each file."


def test_training_and_test_texts_in_folders_apart(folder: Path) -> None:
    for part in ("train", "test"):
        for label, texts in (("pos", GOOD), ("neg", BAD)):
            (folder / part / label).mkdir(parents=True)
            for number, text in enumerate(texts if part == "train" else texts[:2]):
                (folder / part / label / f"{number}.txt").write_text(text)
    info = inspect(DataSpec(str(folder)))
    assert info.sizes == {"train": 8, "validation": 2, "test": 4}
    assert inspect(DataSpec(str(folder / "train"), test=str(folder / "test"))).sizes == info.sizes
    (folder / "test" / "so_so").mkdir()
    (folder / "test" / "so_so" / "1.txt").write_text("well")
    message = (
        "the classes must be those of the training texts (neg, pos), but 'so_so' is not among "
        "them. Take it away, or add such texts to the training texts."
    )
    with pytest.raises(DataError, match=f": {re.escape(message)}$"):
        inspect(DataSpec(str(folder)))


def test_files_that_are_no_classes_of_texts(folder: Path) -> None:
    (folder / "films.pos").write_text("one\ntwo\nthree\n")
    refused(
        DataSpec(str(folder / "films.*")),
        ": a pattern must stand for a file of texts for each of at least two classes, but 1 file matches. Check the pattern.",
    )
    refused(
        DataSpec(str(folder / "book.*")),
        ": a pattern must stand for a file of texts for each of at least two classes, but 0 files match. Check the pattern.",
    )
    (folder / "films.neg").write_text("one\n")
    refused(DataSpec(str(folder / "films.*")), ": every class must have at least 2 texts, but 'neg' has 1. Add texts, or take it away.")
    (folder / "films.neg").write_text("\n")
    refused(DataSpec(str(folder)), ": must have texts of at least two classes, but has those of 1. Add texts.")
    (folder / "films.neg").write_text("four\nfive\nsix\n")
    refused(DataSpec(str(folder), target="y"), ": has folders or files for classes and no columns, but target is 'y'. Leave it out.")
    (folder / "films.neg").write_bytes(bytes(range(256)) * 4)
    message = f"{folder / 'films.neg'}: must be text, but holds binary data. Save it as text in UTF-8, or take it away."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(DataSpec(str(folder)))


def test_classes_that_count_as_positive(folder: Path) -> None:
    for label in ("a", "b", "c"):
        (folder / f"{label}.txt").write_text("one\ntwo\nthree\n")
    assert inspect(DataSpec(str(folder), positive=("a",))).classes == ("b/c", "a")


# -- new texts


def test_new_texts_are_read_as_the_training_texts_were(folder: Path) -> None:
    prepare(DataSpec(write_table(folder / "films.csv"), target="mood", text="review"), folder / "made")
    x = encode(folder / "made", ["dull FILM", "", "xyzzy"])
    for rows in (
        pd.Series(["dull FILM", None, "xyzzy"]),
        pd.DataFrame({"n": [1, 2, 3], "review": ["dull FILM", np.nan, "xyzzy"]}),
        np.array(["dull FILM", "", "xyzzy"]),
    ):
        assert np.array_equal(encode(folder / "made", rows), x)
    assert x[0, 0, 0] > 1
    assert not x[1].any()
    assert x[2, 0].tolist()[:2] == [1, 0]
    for rows, message in (
        ("dull", "rows must be a list of texts, but are one text. Give it in a list."),
        (pd.DataFrame({"reviews": ["a"]}), "column 'review' must be there once. Columns: reviews. Did you mean 'reviews'?"),
    ):
        with pytest.raises(DataError, match=f"^{re.escape(str(folder / 'made'))}: {re.escape(message)}$"):
            encode(folder / "made", rows)


def test_a_class_is_left_out_by_its_name(folder: Path) -> None:
    write_classes(folder)
    (folder / "films.unsure").write_text("a film\nanother\n")
    info = inspect(DataSpec(str(folder), drop=("unsure",)))
    assert info.classes == ("neg", "pos")
    assert "Left out: unsure, because of drop." in info.notes
    sentence = ": drop must name folders or files of classes (neg, pos, unsure), but 'unsre' is none. Did you mean 'unsure'?"
    refused(DataSpec(str(folder), drop=("unsre",)), sentence)
    for part in ("train", "test"):
        for label, texts in (("pos", GOOD), ("neg", BAD), ("unsure", GOOD)):
            (folder / "parts" / part / label).mkdir(parents=True)
            for number, text in enumerate(texts):
                (folder / "parts" / part / label / f"{number}.txt").write_text(text)
    assert inspect(DataSpec(str(folder / "parts"), drop=("unsure",))).sizes["test"] == 10


def test_copies_of_texts_are_told_of_in_words(folder: Path) -> None:
    table = folder / "reviews.csv"
    table.write_text("review,mood\n" + "".join(f"the same words of {n % 50},{'ab'[n % 2]}\n" for n in range(200)))
    (warning,) = (each for each in inspect(DataSpec(str(table), target="mood", text="review")).warnings if "validation" in each)
    assert "samples are training samples as well, alike in every word that is read. " in warning
