"""Prepared data as workers and a restarted driver meet them: complete or absent, shared, the same in every process, without leaks."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl.data import decode, encode, fingerprint, inspect, load, prepare
from automl.data.splits import split_rows
from automl.errors import DataError
from automl.spec import DataSpec

ROWS = 300


def people(seed: int = 0) -> pd.DataFrame:
    """A table with everything: numbers (one skewed, one with holes), categories, truths, dates, an id, prose; two targets."""
    draws = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "person_id": draws.permutation(10 * ROWS)[:ROWS],
            "age": draws.integers(18, 90, ROWS).astype(object),
            "income": np.exp(draws.normal(10, 1, ROWS)).round(2),
            "town": draws.choice(["Rome", "Oslo", "Bonn", ""], ROWS),
            "married": draws.choice(["yes", "no"], ROWS),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(draws.integers(0, 900, ROWS), unit="D"),
            "remark": [f"remark number {number} on this person" for number in range(ROWS)],
            "score": draws.normal(50, 20, ROWS).round(3),
            "choice": draws.choice(["left", "right", "neither"], ROWS, p=[0.5, 0.3, 0.2]),
        }
    )
    frame.loc[draws.random(ROWS) < 0.1, "age"] = "?"
    return frame


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    people().to_csv(path, index=False)
    return path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def spec_of(path: Path, target: str = "choice", **options: object) -> DataSpec:
    return DataSpec(str(path), target=target, **options)  # type: ignore[arg-type]


def test_what_was_prepared_is_loaded(table: Path, tmp_path: Path) -> None:
    info = prepare(spec_of(table), tmp_path / "out")
    loaded, arrays = load(tmp_path / "out")
    assert loaded == info == inspect(spec_of(table))
    assert info.fingerprint == fingerprint(spec_of(table))
    assert (info.task, info.classes, info.sizes) == (
        "multiclass",
        ("left", "neither", "right"),
        {"train": 192, "validation": 48, "test": 60},
    )
    for split, (x, y) in arrays.items():
        assert (x.shape, x.dtype) == ((info.sizes[split], *info.input_shape), np.float32)
        assert (y.shape, y.dtype) == ((info.sizes[split],), np.int64)
    assert info.notes == (
        "Left out: person_id, because it is an id.",
        "Left out: remark, because it is free text.",
        "Date: since (from 2020-01-03) becomes year, month, day, weekday and days.",
        f"Missing in the training part: age {count_missing(table, 'age')} (median, and a flag), "
        f"town {count_missing(table, 'town')} (a category of its own).",
    )


def count_missing(table: Path, name: str) -> int:
    frame = people()
    rows = split_rows(ROWS, np.unique(frame["choice"], return_inverse=True)[1], 0.2, 0.2, 0).train
    return int(frame[name].iloc[rows].isin(["?", ""]).sum())


def test_workers_share_one_read_only_copy(table: Path, tmp_path: Path) -> None:
    prepare(spec_of(table), tmp_path / "out")
    for x, y in load(tmp_path / "out")[1].values():
        for array in (x, y):
            assert isinstance(array, np.memmap)
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


@pytest.mark.parametrize("target", ["choice", "score"])
def test_the_raw_training_rows_are_encoded_to_the_prepared_ones(table: Path, tmp_path: Path, target: str) -> None:
    """Read as texts or with pandas' own types: the same numbers."""
    prepare(spec_of(table, target), tmp_path / "out")
    frame = people()
    groups = None if target == "score" else np.unique(frame["choice"], return_inverse=True)[1]
    splits = split_rows(ROWS, groups, 0.2, 0.2, 0)
    arrays = load(tmp_path / "out")[1]
    for options in ({"dtype": str, "keep_default_na": False}, {}):
        raw = pd.read_csv(table, **options).drop(columns=target)
        for split in ("train", "validation", "test"):
            assert (encode(tmp_path / "out", raw.iloc[getattr(splits, split)]) == arrays[split][0]).all()


def test_nothing_is_learnt_from_validation_and_test_rows(table: Path, tmp_path: Path) -> None:
    """Garbage in the other rows changes no training number and nothing that was fitted."""
    prepare(spec_of(table), tmp_path / "before")
    frame = people().astype(object)
    splits = split_rows(ROWS, np.unique(frame["choice"], return_inverse=True)[1], 0.2, 0.2, 0)
    others = np.concatenate([splits.validation, splits.test])
    for name, cell in (("age", "old"), ("income", "1e99"), ("town", "Atlantis"), ("married", "maybe"), ("since", "long ago")):
        frame.loc[others, name] = cell
    frame.to_csv(table, index=False)
    prepare(spec_of(table), tmp_path / "after")
    before, after = contents(tmp_path / "before"), contents(tmp_path / "after")
    assert before["x_validation.npy"] != after["x_validation.npy"]
    for name in ("x_train.npy", "y_train.npy", "preprocessing.skops"):
        assert before[name] == after[name]
    assert np.isfinite(load(tmp_path / "after")[1]["test"][0]).all()


def test_another_process_writes_the_same_bytes(table: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from automl.data import prepare; from automl.spec import DataSpec;"
        "[prepare(DataSpec(sys.argv[1], target=target), Path(sys.argv[2], target)) for target in ('choice', 'score')]"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, str(table), str(tmp_path / "there")], check=True, env=environment)
    for target in ("choice", "score"):
        prepare(spec_of(table, target), tmp_path / "here" / target)
        assert contents(tmp_path / "here" / target) == contents(tmp_path / "there" / target)


def test_regression_targets_are_standardised_on_the_training_part(table: Path, tmp_path: Path) -> None:
    info = prepare(spec_of(table, "score"), tmp_path / "out")
    y = load(tmp_path / "out")[1]["train"][1]
    splits = split_rows(ROWS, None, 0.2, 0.2, 0)
    raw = people()["score"].to_numpy()
    assert (info.task, info.outputs, info.classes, y.dtype) == ("regression", 1, (), np.float32)
    assert abs(y.mean()) < 1e-6
    assert abs(y.std() - 1) < 1e-6
    np.testing.assert_allclose(decode(info, y), raw[splits.train], rtol=1e-5)
    np.testing.assert_allclose(decode(info, load(tmp_path / "out")[1]["test"][1]), raw[splits.test], rtol=1e-5)


def test_outputs_are_decoded_to_labels(table: Path) -> None:
    info = inspect(spec_of(table))
    assert decode(info, [[0.1, 3, 2], [9, 0, 1]]).tolist() == ["neither", "left"]
    binary = inspect(spec_of(table, positive=("left", "right")))
    assert decode(binary, [[-0.1], [0.1]]).tolist() == ["neither", "left/right"]
    assert decode(binary, [-0.1, 0.1]).tolist() == ["neither", "left/right"]


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (("0", "1"), [0, 1]),
        (("-1", "7"), [-1, 7]),
        (("0.5", "2"), [0.5, 2.0]),
        (("False", "True"), [False, True]),
        (("no", "yes"), ["no", "yes"]),
        (("inf", "nan"), ["inf", "nan"]),
        (("1", "yes"), ["1", "yes"]),
        (("0/2", "1/3"), ["0/2", "1/3"]),
    ],
)
def test_labels_compare_with_the_column_that_pandas_reads(classes: tuple[str, str], labels: list[object]) -> None:
    info = replace(inspect(DataSpec("breast_cancer")), classes=classes)
    decoded = decode(info, [[-1.0], [1.0]]).tolist()
    assert decoded == labels
    assert [type(label) for label in decoded] == [type(label) for label in labels]


def test_no_rows_give_no_inputs(table: Path, tmp_path: Path) -> None:
    info = prepare(spec_of(table), tmp_path / "out")
    assert encode(tmp_path / "out", people().head(0)).shape == (0, *info.input_shape)


def test_pictures_are_encoded_with_their_scale(tmp_path: Path) -> None:
    prepare(DataSpec("digits"), tmp_path / "out")
    raw = np.full((2, 8, 8), 8)
    assert encode(tmp_path / "out", raw).tolist() == encode(tmp_path / "out", raw[:, None]).tolist() == [[[[0.5] * 8] * 8]] * 2
    assert (encode(tmp_path / "out", raw.reshape(2, 64)) == encode(tmp_path / "out", raw)).all()
    message = "digits: rows must have the shape (rows, 1, 8, 8), but have (2, 7, 7). Reshape them."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encode(tmp_path / "out", np.zeros((2, 7, 7)))


def test_rows_without_a_needed_column_are_refused(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(spec_of(table), out)
    rows = people().rename(columns={"income": "incom"})[["age", "incom", "town"]]
    message = f"{out}: column 'income' is not there. Columns: age, incom, town. Did you mean 'incom'?"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encode(out, rows)
    (out / "preprocessing.skops").unlink()
    message = (
        f"{out}/preprocessing.skops: must be stored preprocessing, but cannot be read (No such file or directory). Prepare the data again."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encode(out, people())
    message = f"{out}: rows must be a pandas DataFrame, but are list. Give them as a table with named columns."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encode(out, [[1, 2]])


def misfit(out: Path, name: str, cells: list[object]) -> str:
    rows = people().head(len(cells)).astype(object)
    rows[name] = cells
    with pytest.raises(DataError) as caught:
        encode(out, rows)
    return str(caught.value)


def test_a_word_among_new_numbers_is_refused_with_its_place(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(spec_of(table), out)
    end = "Correct it, or leave it empty to have it taken for missing."
    assert misfit(out, "age", [30, None, "old"]) == f"{out}: column 'age' must hold numbers as in training, but row 3 has 'old'. {end}"
    assert misfit(out, "married", ["yes", "maybe"]) == (
        f"{out}: column 'married' must hold true or false as in training, but row 2 has 'maybe'. {end}"
    )
    assert misfit(out, "since", ["long ago"]) == f"{out}: column 'since' must hold dates as in training, but row 1 has 'long ago'. {end}"


def test_what_training_took_for_missing_new_rows_may_have_too(table: Path, tmp_path: Path) -> None:
    frame = people().astype(object)
    frame.loc[:20, "age"] = "unknown"
    frame.to_csv(table, index=False)
    prepare(spec_of(table), tmp_path / "out")
    rows = people().head(3).astype(object).assign(age=["unknown", "", float("inf")])
    first, second, third = encode(tmp_path / "out", rows.assign(**{name: rows[name].iloc[0] for name in rows if name != "age"}))
    assert (first == second).all()
    assert (second == third).all()
    assert "'old'" in misfit(tmp_path / "out", "age", ["unknown", "old"])


def test_words_in_the_rows_of_a_test_file_are_counted(table: Path, tmp_path: Path) -> None:
    rows = people(1).astype(object)
    rows.loc[:4, "age"] = "old"
    rows.loc[5, "income"] = "inf"
    rows.to_csv(tmp_path / "test.csv", index=False)
    notes = inspect(spec_of(table, test=str(tmp_path / "test.csv"))).notes
    assert "Not numbers: 5 test values of age are treated as missing." in notes
    assert "Infinite: 1 test values of income are treated as missing." in notes


def test_truths_may_be_written_as_numbers_in_new_rows(table: Path, tmp_path: Path) -> None:
    prepare(spec_of(table), tmp_path / "out")
    rows = people().head(2)
    one, zero = (encode(tmp_path / "out", rows.assign(married=cells)) for cells in ([1, 0], [True, False]))
    assert (one == zero).all()


def test_new_rows_must_not_have_a_column_twice(table: Path, tmp_path: Path) -> None:
    prepare(spec_of(table), tmp_path / "out")
    rows = people().head(2)
    message = f"{tmp_path / 'out'}: column names must differ, but 'age' is there more than once. Leave one of them out."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encode(tmp_path / "out", pd.concat([rows, rows[["age"]]], axis=1))


def test_huge_and_tiny_numbers_are_learnt_from(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    numbers = np.arange(1, 61)
    pd.DataFrame({"a": numbers * 1e306, "b": numbers[::-1] * 1e-300, "y": numbers % 2}).to_csv(path, index=False)
    prepare(spec_of(path, "y"), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    x = arrays["train"][0]
    assert x.shape[1] == 2
    assert np.allclose(x.std(axis=0), 1, atol=0.01)


def test_a_target_too_large_for_squares_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    pd.DataFrame({"a": range(30), "y": [0.5 * row for row in range(29)] + [1e200]}).to_csv(path, index=False)
    message = (
        f"{path}: target 'y' must be at most 1e+100 in size, so that errors can be squared, but is 1e+200 in row 30. "
        "Correct it, or write the target in a larger unit."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inspect(spec_of(path, "y"))


def test_a_tiny_target_is_standardised(tmp_path: Path) -> None:
    path = tmp_path / "tiny.csv"
    pd.DataFrame({"a": [row % 7 for row in range(60)], "y": [row * 1e-200 for row in range(60)]}).to_csv(path, index=False)
    prepare(spec_of(path, "y"), tmp_path / "out")
    _, arrays = load(tmp_path / "out")
    assert arrays["train"][1].std() == pytest.approx(1)


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_finished_folder_is_left_alone(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = prepare(spec_of(table), out)
    files = {path.name: path.stat().st_ino for path in out.iterdir()}
    assert prepare(spec_of(table), out) == first
    assert {path.name: path.stat().st_ino for path in out.iterdir()} == files


@pytest.mark.parametrize("name", ["info.json", "preprocessing.skops", "x_train.npy", "y_test.npy"])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_an_unfinished_folder_is_made_again(table: Path, tmp_path: Path, name: str, damage: str) -> None:
    out = tmp_path / "out"
    prepare(spec_of(table), out)
    whole = contents(out)
    content = (out / name).read_bytes()
    (out / name).unlink()
    if damage == "cut" and name != "preprocessing.skops":
        (out / name).write_bytes(content[: len(content) // 2])
    prepare(spec_of(table), out)
    assert contents(out) == whole


def test_other_data_replace_what_was_there(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(spec_of(table), out)
    assert prepare(DataSpec("xor"), out).name == "xor"
    assert sorted(contents(out)) == ["info.json", *(f"{axis}_{split}.npy" for axis in "xy" for split in ("test", "train", "validation"))]


def test_nothing_is_left_beside_the_folder(table: Path, tmp_path: Path) -> None:
    for source in (spec_of(table), DataSpec("xor"), spec_of(table)):
        prepare(source, tmp_path / "new" / "out")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_a_process_killed_in_the_middle_leaves_nothing_for_good(tmp_path: Path) -> None:
    """Killed when all but the last file is written: no folder then, and the next one that prepares it clears up."""
    code = (
        "import os, signal, sys; from pathlib import Path; from automl.data import preparation; from automl.spec import DataSpec;"
        "preparation._put_in_place = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "preparation.prepare(DataSpec('xor'), Path(sys.argv[1]))"
    )
    out = tmp_path / "new" / "out"
    killed = subprocess.run([sys.executable, "-c", code, str(out)], check=False)
    assert killed.returncode == -9
    assert [path.name.startswith(".out.") for path in out.parent.iterdir()] == [True]
    prepare(DataSpec("xor"), out)
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_two_processes_may_prepare_the_same_folder_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from automl.data import prepare; from automl.spec import DataSpec;"
        "sys.stdin.read(); prepare(DataSpec('xor'), Path(sys.argv[1]))"
    )
    out = tmp_path / "new" / "out"
    command = [sys.executable, "-c", code, str(out)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in both] == [0, 0]
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert load(out)[0] == inspect(DataSpec("xor"))


def test_a_folder_with_other_things_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    message = f"{out}: must be empty or hold prepared data, but has 'thesis.tex'. Move that away, or choose another folder."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        prepare(DataSpec("xor"), out)
    assert (out / "thesis.tex").read_text() == "years of work"
    message = f"{out / 'thesis.tex'}: must be a folder, but is a file. Move it away, or choose another folder."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        prepare(DataSpec("xor"), out / "thesis.tex")


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    message = f"{out}: must be a place to write prepared data to, but is not (File exists). Choose another folder."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        prepare(DataSpec("xor"), out)


def test_bad_data_write_nothing(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column 'chioce' is not there\. .* Did you mean 'choice'\?$"):
        prepare(spec_of(table, "chioce"), tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", ["", "{}", '{"task": "binary"}', "[]"])
def test_a_folder_that_cannot_be_loaded_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "info.json").write_text(content)
    sentence = r"must hold prepared data, but they cannot be read \(.+\)\. Remove the folder to have it made again\."
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}: {sentence}$"):
        load(tmp_path)


def test_the_fingerprint_follows_everything_that_shapes_the_data(table: Path, tmp_path: Path) -> None:
    spec = spec_of(table)
    test_file = tmp_path / "test.csv"
    people(1).to_csv(test_file, index=False)
    variants = [
        spec,
        replace(spec, target="married"),
        replace(spec, drop=("age",)),
        replace(spec, test=0.3),
        replace(spec, test=str(test_file)),
        replace(spec, validation=0.3),
        replace(spec, positive=("left",)),
        replace(spec, split_seed=1),
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)
    before = fingerprint(replace(spec, test=str(test_file)))
    people(2).to_csv(test_file, index=False)
    assert fingerprint(replace(spec, test=str(test_file))) != before
    before = fingerprint(spec)
    elsewhere = tmp_path / "elsewhere" / table.name
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(table.read_bytes())
    assert fingerprint(replace(spec, source=str(elsewhere))) == before
    people(3).to_csv(table, index=False)
    assert fingerprint(spec) != before


def test_the_order_of_dropped_columns_means_nothing(table: Path) -> None:
    assert fingerprint(spec_of(table, drop=("age", "town"))) == fingerprint(spec_of(table, drop=("town", "age")))


def test_what_is_stored_is_plain(table: Path, tmp_path: Path) -> None:
    prepare(spec_of(table), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "info.json").read_text())
    assert [column["name"] for column in content["columns"]] == ["age", "income", "town", "married", "since", "score"]
    assert content["target"] == "choice"
