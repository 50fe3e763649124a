"""Prepared data in folds: every fold is what one split would be, learns from its own training rows alone, and nothing lies there twice
that need not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from automl.data import fingerprint, inspect, load, load_parts, prepare, prepare_apart
from automl.data.preparation import read_info
from automl.data.splits import fold_rows
from automl.errors import DataError
from automl.spec import DataSpec
from automl.training.samples import StudySamples

ROWS, FOLDS = 90, 3


def flats(seed: int = 0) -> pd.DataFrame:
    draws = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "area": np.exp(draws.normal(4, 1, ROWS)).round(2).astype(object),
            "town": draws.choice(["Rome", "Oslo", "Bonn"], ROWS),
            "kind": draws.choice(["old", "new"], ROWS),
            "price": draws.normal(300, 90, ROWS).round(1),
        }
    )


def write(frame: pd.DataFrame, path: Path) -> str:
    frame.to_csv(path, index=False)
    return str(path)


def folds_of(frame: pd.DataFrame, target: str) -> list[np.ndarray]:
    """The rows that each fold validates, and last those for test."""
    groups = None if target == "price" else np.unique(frame[target], return_inverse=True)[1]
    found = fold_rows(ROWS, groups, 0.2, FOLDS, 0)
    return [*(found.splits(fold).validation for fold in range(FOLDS)), found.test]


@pytest.mark.parametrize("target", ["kind", "price"])
@pytest.mark.parametrize("fold", range(FOLDS))
def test_nothing_of_a_fold_is_learnt_from_its_validation_and_test_rows(tmp_path: Path, target: str, fold: int) -> None:
    """Garbage in these rows changes no training number of the fold and nothing that was fitted for it; it does change the other folds."""
    frame = flats()
    rows = folds_of(frame, target)
    spec = DataSpec(write(frame, tmp_path / "flats.csv"), target, folds=FOLDS)
    prepare(spec, tmp_path / "before")
    others = np.concatenate([rows[fold], rows[-1]])
    frame["price"] = frame["price"].astype(object)
    for name, cell in (("area", "1e99"), ("town", "Atlantis"), ("price", 1e9)):
        frame.loc[others, name] = cell
    write(frame, tmp_path / "flats.csv")
    prepare(spec, tmp_path / "after")
    for number in range(FOLDS):
        own = f"fold_{number}" if number else "."
        files = [
            (tmp_path / when / own / name).read_bytes()
            for name in ("x_train.npy", "y_train.npy", "preprocessing.skops")
            for when in ("before", "after")
        ]
        unchanged = [before == after for before, after in zip(files[::2], files[1::2], strict=True)]
        assert unchanged == [True, True, True] if number == fold else not unchanged[0]


@pytest.mark.parametrize("target", ["kind", "price"])
def test_every_row_of_a_table_is_validated_once_and_none_for_test(tmp_path: Path, target: str) -> None:
    frame = flats()
    spec = DataSpec(write(frame, tmp_path / "flats.csv"), target, folds=FOLDS)
    info = prepare(spec, tmp_path / "out")
    assert info.folds == FOLDS
    assert info == inspect(spec)
    rows = folds_of(frame, target)
    for fold in range(FOLDS):
        own, arrays = load(tmp_path / "out", fold)
        assert own.sizes == {split: len(y) for split, (_, y) in arrays.items()} == {"train": 48, "validation": 24, "test": 18}
        assert own.fingerprint == info.fingerprint
        for split, chosen in (("validation", rows[fold]), ("test", rows[-1])):
            y = arrays[split][1] * own.target_scale + own.target_mean
            values = frame[target].iloc[chosen]
            assert y == pytest.approx(values if target == "price" else (values == "old").to_numpy(float), rel=1e-6)


def test_pictures_lie_there_once_and_folds_say_which_are_theirs(tmp_path: Path) -> None:
    info = prepare(DataSpec("digits", folds=5), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "fold.npy", "info.json", "x_pool.npy", "x_test.npy", "y_pool.npy", "y_test.npy",
    ]  # fmt: skip
    assert info.sizes == {"train": 1150, "validation": 288, "test": 359}
    assert info.notes == ("5 folds: each trial is trained 5 times, and measured on 287 or 288 other rows each time.",)
    assert info == inspect(DataSpec("digits", folds=5)) == read_info(tmp_path / "out")
    plain = prepare(DataSpec("digits"), tmp_path / "plain")
    assert plain.sizes["test"] == info.sizes["test"]
    assert (load(tmp_path / "plain")[1]["test"][0] == load(tmp_path / "out")[1]["test"][0]).all()
    seen = np.concatenate([load_parts(tmp_path / "out", fold)[1]["validation"].rows for fold in range(5)])
    assert sorted(seen) == list(range(1438))
    for fold in range(5):
        own, arrays = load(tmp_path / "out", fold)
        assert own.sizes == {split: len(y) for split, (_, y) in arrays.items()}
        assert np.bincount(arrays["validation"][1]).min() >= 27


def test_on_the_device_folds_share_what_they_have_in_common(tmp_path: Path) -> None:
    prepare(DataSpec("digits", folds=5), tmp_path / "out")
    samples = StudySamples(tmp_path / "out", torch.device("cpu"))
    pools = {id(split.inputs) for fold in range(5) for split in (samples.of(fold).train, samples.of(fold).validation)}
    assert len(pools) == 1
    assert samples.of(7) is samples.of(2)


def test_a_finished_folder_is_left_as_it_is_and_one_that_lacks_a_fold_is_made_again(tmp_path: Path) -> None:
    spec = DataSpec(write(flats(), tmp_path / "flats.csv"), "kind", folds=FOLDS)
    prepare(spec, tmp_path / "out")
    inode = (tmp_path / "out").stat().st_ino
    assert prepare_apart(spec, tmp_path / "out").folds == FOLDS
    assert (tmp_path / "out").stat().st_ino == inode
    (tmp_path / "out/fold_2/preprocessing.skops").unlink()
    prepare(spec, tmp_path / "out")
    assert (tmp_path / "out").stat().st_ino != inode
    assert (tmp_path / "out/fold_2/preprocessing.skops").exists()
    prepare(replace(spec, folds=2), tmp_path / "out")
    assert not (tmp_path / "out/fold_2").exists()


def test_folds_change_the_fingerprint_and_data_without_any_keep_theirs() -> None:
    spec = DataSpec("iris")
    assert fingerprint(spec) != fingerprint(replace(spec, folds=5)) != fingerprint(replace(spec, folds=4))


def rare(counts: dict[str, int]) -> pd.DataFrame:
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    return pd.DataFrame({"x": np.arange(len(kinds)) / 7, "kind": kinds})


MISTAKES = [
    (rare({"old": 30, "new": 4}), 5, "each class must have a row for each of 5 folds beside the test rows, but class 'new' has 3. "
     "Give at most 3 folds, or leave the rows of such classes out."),
    (rare({"old": 6, "new": 2}), 2, "each class must have a row for each of 2 folds beside the test rows, but class 'new' has 1. "
     "Give a share in place of folds (validation: 0.2), or leave the rows of such classes out."),
    (pd.DataFrame({"x": np.arange(6) / 7, "kind": np.arange(6) / 3}), 10,
     "must have a row for each of 10 folds beside the test rows, but has 5. Give fewer folds."),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "folds", "sentence"), MISTAKES)
def test_data_that_are_too_small_for_their_folds(tmp_path: Path, frame: pd.DataFrame, folds: int, sentence: str) -> None:
    path = write(frame, tmp_path / "x.csv")
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {sentence}')}$"):
        prepare(DataSpec(path, "kind", folds=folds), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (DataSpec("iris", folds=1), "iris: folds must be a whole number of at least 2, but is 1. Give, say, 5."),
        (DataSpec("xor", folds=2), "xor: uses the same rows in every split, but 2 folds are asked for. Leave folds out."),
        (
            DataSpec("digits", folds=500),
            "digits: each class must have a row for each of 500 folds beside the test rows, but class '8' has 139. "
            "Give at most 139 folds, or leave the rows of such classes out.",
        ),
    ],
)
def test_folds_that_built_in_data_cannot_have(tmp_path: Path, spec: DataSpec, sentence: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        prepare(spec, tmp_path / "out")
