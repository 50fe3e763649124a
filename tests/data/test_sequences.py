"""Sequences from .ts files, long tables and arrays: what is read, how they are prepared, and what is refused, word for word."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl.data import encode, inspect, load, prepare
from automl.errors import DataError
from automl.spec import DataSpec

SHARED = Path(os.environ.get("AUTOML_SHARED_DATA") or Path(__file__).resolve().parents[2].parent / "shared" / "data") / "sequence"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real sequences are not on this machine")

HEADER = (
    "# drawn\n@problemName Drawn\n@timeStamps false\n@missing false\n@univariate false\n@dimensions 2\n@classLabel true up down\n@data\n"
)


def cases(count: int = 40, seed: int = 0) -> tuple[list[np.ndarray[Any, Any]], list[str]]:
    """Two channels of 3 to 7 steps: the first goes up or down."""
    random = np.random.default_rng(seed)
    samples, labels = [], []
    for number in range(count):
        label = ("up", "down")[number % 2]
        steps = np.arange(random.integers(3, 8))
        slope = 1 if label == "up" else -1
        samples.append(np.stack([10 + slope * steps + random.normal(0, 0.1, len(steps)), random.normal(-3, 2, len(steps))]).round(4))
        labels.append(label)
    return samples, labels


def ts(samples: list[np.ndarray[Any, Any]], labels: list[str], header: str = HEADER) -> str:
    lines = (
        ":".join([*(",".join(map(repr, map(float, row))) for row in sample), label]) for sample, label in zip(samples, labels, strict=True)
    )
    return header + "\n".join(lines) + "\n"


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    path = tmp_path / "Drawn.ts"
    path.write_text(ts(*cases()))
    return path


# what is made of them


def test_channels_are_standardised_by_the_training_steps_and_padded_under_a_mask(drawn: Path, tmp_path: Path) -> None:
    info = prepare(DataSpec(str(drawn)), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    assert (info.name, info.task, info.classes, info.kind, info.input_shape, info.has_mask) == (
        *("Drawn", "binary", ("down", "up"), "sequences"),
        *((3, 7), True),
    )
    assert info.sizes == {"train": 26, "validation": 6, "test": 8}
    x, _ = arrays["train"]
    mask = x[:, 2] == 1
    steps = x[:, :2].transpose(1, 0, 2)[:, mask]
    assert np.allclose(steps.mean(axis=1), 0, atol=1e-5)
    assert np.allclose(steps.std(axis=1), 1, atol=1e-5)
    for part, _ in arrays.values():
        mask = part[:, 2]
        assert set(np.unique(mask)) <= {0, 1}
        assert (np.diff(mask, axis=1) <= 0).all()
        assert (part[:, :2] * (1 - mask[:, None]) == 0).all()
    assert info.notes == ("Sequences of 2 channels and 3 to 7 steps.",)


def test_new_sequences_are_prepared_as_those_of_training(drawn: Path, tmp_path: Path) -> None:
    prepare(DataSpec(str(drawn)), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    encoded = encode(tmp_path / "out", cases()[0])
    known = np.concatenate([x for x, _ in arrays.values()])
    assert sorted(map(bytes, encoded)) == sorted(map(bytes, known))
    assert encode(tmp_path / "out", np.zeros((4, 2, 9))).shape == (4, 3, 7)


def test_a_test_file_beside_the_training_file_is_found(tmp_path: Path) -> None:
    samples, labels = cases()
    (tmp_path / "D_TRAIN.ts").write_text(ts(samples, labels))
    (tmp_path / "D_TEST.ts").write_text(ts(samples[:9], labels[:9]))
    found = inspect(DataSpec(str(tmp_path / "D_TRAIN.ts")))
    assert found.sizes == {"train": 32, "validation": 8, "test": 9}
    assert found.notes[:2] == (
        "D_TEST.ts lies beside the file and is its test part; a share (test: 0.2) would leave it out.",
        "Test: 9 sequences of D_TEST.ts.",
    )
    assert inspect(DataSpec(str(tmp_path / "D_TRAIN.ts"), test=0.25)).sizes == {"train": 24, "validation": 6, "test": 10}
    given = inspect(DataSpec(str(tmp_path / "D_TRAIN.ts"), test=str(tmp_path / "D_TEST.ts")))
    assert (given.sizes, given.notes[0]) == (found.sizes, "Test: 9 sequences of D_TEST.ts.")


def test_a_folder_of_a_training_and_a_test_file_is_enough(tmp_path: Path) -> None:
    samples, labels = cases()
    (tmp_path / "D_TEST.ts").write_text(ts(samples[:9], labels[:9]))
    (tmp_path / "D_TRAIN.ts").write_text(ts(samples, labels))
    (tmp_path / "Drawn.txt").write_text("What the archive says of them.")
    assert inspect(DataSpec(str(tmp_path))) == inspect(DataSpec(str(tmp_path / "D_TRAIN.ts")))


def test_a_folder_of_one_ts_file_is_that_file(drawn: Path) -> None:
    assert inspect(DataSpec(str(drawn.parent))) == inspect(DataSpec(str(drawn)))


@pytest.mark.parametrize("names", [("A_TRAIN.ts", "B_TRAIN.ts"), ("a.ts", "b.ts"), ("a.ts", "b.ts", "c.ts", "d.ts", "e.ts")])
def test_a_folder_whose_training_file_is_not_clear(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text(ts(*cases()))
    held = "a.ts, b.ts, c.ts, d.ts and others" if len(names) > 4 else ", ".join(names)
    rule = "must hold one .ts file, or one that ends in _TRAIN.ts and one in _TEST.ts"
    message = f"{tmp_path}: {rule}, but holds {held}. Give the file that is meant."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(DataSpec(str(tmp_path)))


def test_folds_are_prepared_by_their_own_training_sequences(drawn: Path, tmp_path: Path) -> None:
    info = prepare(DataSpec(str(drawn), folds=4), tmp_path / "out")
    assert (info.folds, info.sizes) == (4, {"train": 24, "validation": 8, "test": 8})
    firsts = [load(tmp_path / "out", fold)[1]["validation"][0] for fold in range(4)]
    assert len({len(first) for first in firsts}) == 1
    assert not np.array_equal(firsts[0], firsts[1])


def test_missing_steps_lie_between_their_neighbours(tmp_path: Path) -> None:
    header = HEADER.replace("dimensions 2", "dimensions 1")
    lines = [f"{a},?,{a + 2},NaN:{'up' if a % 2 else 'down'}" for a in range(20)]
    (tmp_path / "gaps.ts").write_text(header + "\n".join(lines))
    info = prepare(DataSpec(str(tmp_path / "gaps.ts")), tmp_path / "out")
    assert info.notes == ("Sequences of 1 channel and 4 steps.", "Missing: 40 of 80 values, filled in between their neighbours.")
    x = encode(tmp_path / "out", [[0, np.nan, 2, np.nan], [0, 1, 2, 2]])
    assert np.array_equal(x[0], x[1])
    assert encode(tmp_path / "out", [[np.nan] * 4]).tolist() == [[[0.0] * 4]]


def test_length_cuts(drawn: Path) -> None:
    info = inspect(DataSpec(str(drawn), length=5))
    longer = sum(sample.shape[1] > 5 for sample in cases()[0])
    assert info.input_shape == (3, 5)
    assert info.notes == ("Sequences of 2 channels and 3 to 7 steps.", f"Cut: of {longer} sequences only the first 5 steps are read.")
    assert inspect(DataSpec(str(drawn), length=3)).has_mask is False


def test_a_ts_file_may_ask_for_numbers_or_for_many_classes(tmp_path: Path) -> None:
    samples, _ = cases(60)
    (tmp_path / "numbers.ts").write_text(
        ts(samples, [str(n / 7) for n in range(60)], HEADER.replace("@classLabel true up down", "@targetlabel true"))
    )
    info = inspect(DataSpec(str(tmp_path / "numbers.ts")))
    assert (info.task, info.outputs) == ("regression", 1)
    assert info.target_scale > 2
    (tmp_path / "classes.ts").write_text(ts(samples, [str(n % 30) for n in range(60)], HEADER.replace(" up down", "")))
    assert inspect(DataSpec(str(tmp_path / "classes.ts"))).task == "multiclass"


@real
def test_published_sequences() -> None:
    vowels = inspect(DataSpec(str(SHARED / "JapaneseVowels" / "JapaneseVowels_TRAIN.ts")))
    assert (vowels.input_shape, vowels.outputs, vowels.sizes) == ((13, 26), 9, {"train": 216, "validation": 54, "test": 370})
    power = inspect(DataSpec(str(SHARED / "ItalyPowerDemand" / "ItalyPowerDemand_TRAIN.ts"), folds=5))
    assert (power.input_shape, power.task, power.sizes) == ((1, 24), "binary", {"train": 53, "validation": 14, "test": 1029})


# long tables


def long_table(count: int = 30, seed: int = 1) -> pd.DataFrame:
    samples, labels = cases(count, seed)
    rows = []
    for number, (sample, label) in enumerate(zip(samples, labels, strict=True)):
        rows += [(f"s{number}", step, *sample[:, step], "grey", label) for step in range(sample.shape[1])]
    return pd.DataFrame(rows, columns=["id", "at", "a", "b", "colour", "y"])


def test_rows_of_a_series_are_one_sequence_in_the_order_of_their_time(tmp_path: Path) -> None:
    table = long_table()
    table.to_csv(tmp_path / "in_order.csv", index=False)
    table.sample(frac=1, random_state=0).sort_values("id", kind="stable").to_csv(tmp_path / "shuffled.csv", index=False)
    first = DataSpec(str(tmp_path / "in_order.csv"), target="y", series="id", timestamp="at")
    info = prepare(first, tmp_path / "a")
    assert (info.kind, info.input_shape, info.task, sum(info.sizes.values())) == ("sequences", (3, 7), "binary", 30)
    assert info.notes[0] == "Left out: colour, because it does not hold numbers."
    prepare(DataSpec(str(tmp_path / "shuffled.csv"), target="y", series="id", timestamp="at"), tmp_path / "b")
    rows = table.drop(columns=["y", "colour"])
    assert np.array_equal(encode(tmp_path / "a", rows), encode(tmp_path / "a", rows[::-1])[::-1])
    known = np.concatenate([x for x, _ in load(tmp_path / "a")[1].values()])
    assert sorted(map(bytes, encode(tmp_path / "a", rows))) == sorted(map(bytes, known))


def test_a_long_table_has_its_test_file(tmp_path: Path) -> None:
    long_table().to_csv(tmp_path / "train.csv", index=False)
    long_table(8, seed=2).to_csv(tmp_path / "test.csv", index=False)
    info = inspect(DataSpec(str(tmp_path / "train.csv"), target="y", series="id", timestamp="at", test=str(tmp_path / "test.csv")))
    assert info.sizes == {"train": 24, "validation": 6, "test": 8}


# arrays


def test_the_longer_axis_of_an_array_is_the_steps(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 9, 2)), np.arange(40) % 2
    np.savez(tmp_path / "steps_first.npz", x=x, y=y)
    np.savez(tmp_path / "channels_first.npz", x=x.transpose(0, 2, 1), y=y)
    for name, axes in (("steps_first", "(samples, steps, channels)"), ("channels_first", "(samples, channels, steps)")):
        info = prepare(DataSpec(str(tmp_path / f"{name}.npz")), tmp_path / name)
        assert (info.kind, info.input_shape, info.has_mask) == ("sequences", (2, 9), False)
        shape = (40, 9, 2) if name == "steps_first" else (40, 2, 9)
        assert info.notes[0] == f"An array of the shape {shape} is taken to be {axes}: there are mostly more steps than channels."
    a, b = encode(tmp_path / "steps_first", x), encode(tmp_path / "channels_first", x.transpose(0, 2, 1))
    assert np.array_equal(a, b)


def test_lengths_say_where_sequences_of_an_array_end(tmp_path: Path) -> None:
    y, lengths = np.arange(40) % 2, np.arange(40) % 6 + 1
    np.savez(tmp_path / "one.npz", x_train=np.ones((40, 6)), y_train=y, lengths_train=lengths, x_test=np.ones((5, 6)), y_test=y[:5])
    info = prepare(DataSpec(str(tmp_path / "one.npz")), tmp_path / "out")
    assert (info.input_shape, info.has_mask, info.sizes["test"]) == ((2, 6), True, 5)
    _, arrays = load(tmp_path / "out")
    ends = np.concatenate([arrays[split][0][:, 1].sum(axis=1) for split in ("train", "validation")])
    assert sorted(ends) == sorted(lengths)


def test_waves_are_a_built_in_set_of_four_shapes() -> None:
    info = inspect(DataSpec("waves"))
    assert (info.classes, info.input_shape, info.has_mask) == (("sawtooth", "sine", "square", "triangle"), (2, 40), True)
    assert info.sizes == {"train": 384, "validation": 96, "test": 120}


# what is wrong


def bad(old: str, new: str) -> str:
    return ts(*cases(4)).replace(old, new, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bad("timeStamps false", "timeStamps true"), "has time stamps"),
        (bad("@classLabel true up down", "@classLabel false"), "no label"),
        (bad("@classLabel true", "@classLabel perhaps"), "label"),
        (bad("@dimensions 2", "@dimensions two"), "dimensions"),
        (HEADER, "no cases"),
        (ts(*cases(4)).replace("@data\n", ""), "no data"),
        (HEADER + "1,2,3:up\n", "fewer dimensions"),
        (HEADER + "1,2,3:4,5:up\n", "lengths"),
        (HEADER + "1,2,3::up\n", "empty"),
        (HEADER + "1,2,3:4,five,6:up\n", "word"),
        (HEADER + "1,2,3:4,5,6:sideways\n", "class"),
        (HEADER.replace("@dimensions 2\n", "") + "1,2,3:" + "4.125," * 9 + "5\n", "no class"),
        (HEADER.replace("@classLabel true up down", "@targetLabel true") + "1,2,3:4,5,6:up\n", "no number"),
        (HEADER + "?,?,?:?,nan,?:up\n" * 9 + "?:?:down\n" * 9, "all missing"),
    ],
)
def test_what_is_wrong_with_a_ts_file(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.ts"
    path.write_text(content)
    sentences = {
        "has time stamps": ": its values have time stamps (@timeStamps true), which cannot be read. Write evenly spaced values alone.",
        "no label": ": each case must have a class or a target (@classLabel true or @targetLabel true), but has none. Get a labelled file.",
        "label": ":7: @classLabel must be true or false, but is perhaps up down.",
        "dimensions": ":6: @dimensions must be a whole number of at least 1, but is two.",
        "no cases": ": must have cases after @data, but has none. Give a file with data.",
        "no data": ": must have a line @data before its cases, as .ts files have, but has none. Get the file again.",
        "fewer dimensions": ":9: a case must have 2 dimension(s) and then its class or target, but has 1.",
        "lengths": ":9: the dimensions of a case must be of one length, but theirs are 3, 2. Write ? for missing values.",
        "empty": ":9: dimension 2 must have values, but is empty. Leave the case out, or write ? for missing values.",
        "class": ":9: a case must end with its class, one of up, down as @classLabel says, but ends with 'sideways'. "
        "Correct it, or name the class there.",
        "no class": ":8: a case must end with its class, one of up, down as @classLabel says, but ends with "
        "'4.125,4.125,4.125,4.125,4.125,4.125,4.12...'. Correct it, or name the class there.",
        "no number": ":9: a case must end with a number, its target, but ends with 'up'. Correct it, or write ?.",
        "all missing": ": sequences must have values, but all of them are missing. Give others.",
        "word": ":9: dimension 2 must hold numbers, but has 'five'.",
    }
    with pytest.raises(DataError, match=f"^{re.escape(str(path) + sentences[message])}$"):
        inspect(DataSpec(str(path)))


def test_bytes_are_no_ts_file(tmp_path: Path) -> None:
    (tmp_path / "bytes.ts").write_bytes(b"\xff\xfe\x00")
    message = f"{tmp_path}/bytes.ts: must be text in the .ts format, but holds other bytes. Get the file again."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(DataSpec(str(tmp_path / "bytes.ts")))


def test_test_cases_have_the_dimensions_of_the_training_cases(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "other.ts").write_text(HEADER.replace("dimensions 2", "dimensions 1") + "1,2:up\n")
    message = f"{tmp_path}/other.ts: test cases must have the 2 dimension(s) of the training cases, but have 1."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(DataSpec(str(drawn), test=str(tmp_path / "other.ts")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "up"}, "has no columns, but target is 'up'. Leave target out."),
        ({"drop": ("a",)}, "has no columns, but drop is 'a'. Leave drop out."),
        ({"horizon": 3}, "horizon must be left out, since it means nothing for such data, but is 3."),
        ({"folds": 50}, "must have a row for each of 50 folds beside the test rows, but has 32. Give fewer folds."),
    ],
)
def test_what_cannot_be_asked_of_sequences(drawn: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(f'{drawn}: {message}')}$"):
        inspect(DataSpec(str(drawn), **options))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([np.zeros((2, 0))], "sequence 1 must have at least one step, but has none. Leave it out."),
        ([np.zeros((2, 3)), np.zeros((3, 4))], "sequence 2 must have the shape (2, steps), but has (3, 4). Reshape it."),
        ([[["a", "b"], ["c", "d"]]], "sequence 1 must hold numbers, each channel as many, but does not."),
        (pd.DataFrame({"a": [1]}), "rows must be sequences in a list or an array, but are a table. Give arrays [channels, steps]."),
    ],
)
def test_new_sequences_of_another_form(drawn: Path, tmp_path: Path, rows: Any, message: str) -> None:
    prepare(DataSpec(str(drawn)), tmp_path / "out")
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}/out: {message}')}$"):
        encode(tmp_path / "out", rows)


def test_sequences_of_one_length_stay_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", x=np.ones((40, 2, 6)), y=np.arange(40) % 2)
    prepare(DataSpec(str(tmp_path / "one.npz")), tmp_path / "out")
    message = f"{tmp_path}/out: sequence 1 must have 6 steps, as all had in training, but has 5. Bring it to that length."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encode(tmp_path / "out", np.ones((1, 2, 5)))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"target": None}, "sequences need a target, the column to be predicted, but none is given. Give --target COLUMN."),
        ({}, {"series": "idd"}, "column 'idd' is not there. Columns: id, at, a, b, colour, y. Did you mean 'id'?"),
        ({"a": "x", "b": "x"}, {}, "sequences must have columns of numbers beside 'y' and 'id', but have none. Add some."),
        ({"at": 1}, {}, "a sequence must have one row at a time, but 's0' has two at '1'. Leave one of them out."),
        ({"at": "soon"}, {}, "timestamp 'at' must hold dates or numbers, but does not. Choose another column."),
        ({"id": ""}, {}, "column 'id' must say of every row which sequence it is of, but row 1 does not."),
    ],
)
def test_what_is_wrong_with_a_long_table(tmp_path: Path, change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    long_table().assign(**change).to_csv(tmp_path / "long.csv", index=False)
    spec = {"target": "y", "series": "id", "timestamp": "at", **options}
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}/long.csv: {message}')}$"):
        inspect(DataSpec(str(tmp_path / "long.csv"), **spec))


def test_a_target_is_the_same_in_all_rows_of_a_sequence(tmp_path: Path) -> None:
    table = long_table()
    table.loc[1, "y"] = "down"
    table.to_csv(tmp_path / "long.csv", index=False)
    message = (
        f"{tmp_path}/long.csv: target 'y' must be the same in all rows of a sequence, but id 's0' has 'up', 'down'. "
        "For a forecast give horizon."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(DataSpec(str(tmp_path / "long.csv"), target="y", series="id"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"lengths": np.arange(40)}, "each length must be from 1 to the 6 steps of the array, but that of sequence 1 is 0. "),
        ({"lengths": np.ones(3, int)}, "lengths must be a whole number for each of 40 sequences, but have the shape (3,)."),
        ({"x": np.array([["a", "b"]] * 40), "lengths": np.ones(40, int)}, "samples must be numbers, but are of type <U1. Convert them."),
        ({"x": np.ones((40, 2, 0))}, "x must hold values, but is empty (shape (40, 2, 0)). Save it again."),
        (
            {"x_test": np.ones((3, 3, 6)), "y_test": np.arange(3) % 2},
            "test sequences must have the 2 channels of those for training, but have 3.",
        ),
    ],
)
def test_what_is_wrong_with_arrays_of_sequences(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "some.npz", **{"x": np.ones((40, 2, 6)), "y": np.arange(40) % 2, **arrays})
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}/some.npz: {message}')}"):
        inspect(DataSpec(str(tmp_path / "some.npz")))
