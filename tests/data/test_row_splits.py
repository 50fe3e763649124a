"""Laws of the splits: seeded, complete, disjoint, stratified, the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.data.splits import Splits, fold_rows, split_rows

shares = st.floats(0.05, 0.6)
seeds = st.integers(0, 2**40)


def all_rows(splits: Splits) -> list[int]:
    return sorted([*splits.train, *splits.validation, *splits.test])


@settings(deadline=None)
@given(count=st.integers(3, 200), test=shares, validation=shares, seed=seeds)
def test_splits_are_disjoint_complete_ascending_and_never_empty(count: int, test: float, validation: float, seed: int) -> None:
    splits = split_rows(count, None, test, validation, seed)
    assert all_rows(splits) == list(range(count))
    for rows in (splits.train, splits.validation, splits.test):
        assert len(rows) >= 1
        assert (np.diff(rows) > 0).all()


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=6),
    test=shares,
    validation=shares,
    seed=seeds,
    order=st.randoms(use_true_random=False),
)
def test_every_class_stays_in_training_and_is_shared_out_within_one_sample(
    counts: list[int], test: float, validation: float, seed: int, order: object
) -> None:
    groups = np.repeat(np.arange(len(counts)), counts)
    order.shuffle(groups)  # type: ignore[attr-defined]
    splits = split_rows(len(groups), groups, test, validation, seed)
    assert all_rows(splits) == list(range(len(groups)))
    assert set(groups[splits.train]) == set(range(len(counts)))
    left = np.concatenate([splits.train, splits.validation])
    for rows, of, share, spare in ((splits.test, np.arange(len(groups)), test, 1), (splits.validation, left, validation, 0)):
        total = min(max(round(len(of) * share), 1), len(of) - len(counts) - spare)
        wanted = np.bincount(groups[of], minlength=len(counts)) * total / len(of)
        taken = np.bincount(groups[rows], minlength=len(counts))
        room = np.bincount(groups[of], minlength=len(counts)) - 1
        assert (taken < wanted + 1).all()
        assert (taken > np.minimum(wanted, room) - 1).all()


def test_large_classes_are_shared_out_exactly() -> None:
    groups = np.tile([0, 0, 0, 1], 250)
    splits = split_rows(1000, groups, 0.2, 0.25, 0)
    assert [len(rows) for rows in (splits.train, splits.validation, splits.test)] == [600, 200, 200]
    assert np.bincount(groups[splits.test]).tolist() == [150, 50]
    assert np.bincount(groups[splits.validation]).tolist() == [150, 50]


@settings(deadline=None)
@given(counts=st.lists(st.integers(3, 40), min_size=1, max_size=6), share=st.floats(0.3, 0.95), test=st.none() | shares, seed=seeds)
def test_of_a_part_of_the_rows_the_test_rows_stay_and_each_class_keeps_its_share(
    counts: list[int], share: float, test: float | None, seed: int
) -> None:
    groups = np.repeat(np.arange(len(counts)), counts) if len(counts) > 1 else None
    whole = split_rows(sum(counts), groups, test, 0.2, seed)
    others = np.sort(np.concatenate([whole.train, whole.validation]))
    most = max(round(len(others) * share), len(counts) + 2)
    part = split_rows(sum(counts), groups, test, 0.2, seed, most)
    used = np.sort(np.concatenate([part.train, part.validation]))
    assert np.array_equal(part.test, whole.test)
    assert len(used) == min(most, len(others))
    assert np.isin(used, others).all()
    assert np.array_equal(fold_rows(sum(counts), groups, test, 3, seed, most).rows, used)
    if groups is not None:
        wanted = np.bincount(groups[others]) * len(used) / len(others)
        assert (np.abs(np.bincount(groups[used], minlength=len(counts)) - wanted) < 1 + len(counts) * (wanted < 2).any()).all()
        assert set(groups[part.train]) == set(range(len(counts)))


def test_without_a_test_share_no_row_is_for_test() -> None:
    splits = split_rows(10, None, None, 0.2, 0)
    assert len(splits.test) == 0
    assert len(splits.validation) == 2


def test_the_seed_decides() -> None:
    one, same, other = (split_rows(100, None, 0.2, 0.2, seed) for seed in (1, 1, 2))
    assert (one.test == same.test).all()
    assert (one.validation == same.validation).all()
    assert one.test.tolist() != other.test.tolist()


def test_the_numbers_are_the_same_on_every_machine() -> None:
    """Pinned: a change here changes every study's splits and needs a new ``preparation.FORMAT``."""
    splits = split_rows(12, np.tile([0, 1, 2], 4), 0.25, 0.3, 7)
    assert (splits.test.tolist(), splits.validation.tolist()) == PINNED


PINNED = ([3, 7, 11], [0, 4, 5])


@pytest.mark.parametrize("groups", [[0, 0, 1, 1], [0, 0, 1]])
def test_the_smallest_data_can_be_split(groups: list[int]) -> None:
    splits = split_rows(len(groups), np.array(groups), 0.2, 0.2, 0)
    assert all_rows(splits) == list(range(len(groups)))
    assert len(splits.train) >= 1


# folds


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(5, 40), min_size=1, max_size=5),
    test=st.none() | shares,
    folds=st.integers(2, 6),
    seed=seeds,
    order=st.randoms(use_true_random=False),
    stratified=st.booleans(),
)
def test_every_row_that_is_not_for_test_validates_in_exactly_one_fold(
    counts: list[int], test: float | None, folds: int, seed: int, order: object, stratified: bool
) -> None:
    """Sizes, and the numbers of each class, differ by one row at most between folds."""
    groups = np.repeat(np.arange(len(counts)), counts)
    order.shuffle(groups)  # type: ignore[attr-defined]
    found = fold_rows(len(groups), groups if stratified else None, test, folds, seed)
    every = [found.splits(fold) for fold in range(folds)]
    assert all(all_rows(splits) == list(range(len(groups))) for splits in every)
    assert sorted(row for splits in every for row in splits.validation) == list(found.rows)
    sizes = [len(splits.validation) for splits in every]
    assert max(sizes) - min(sizes) <= 1
    if stratified:
        for number in range(len(counts)):
            of_class = [int((groups[splits.validation] == number).sum()) for splits in every]
            assert max(of_class) - min(of_class) <= 1


@settings(deadline=None)
@given(count=st.integers(5, 100), test=shares, validation=shares, folds=st.integers(2, 5), seed=seeds)
def test_the_test_rows_are_the_same_with_folds_and_without(count: int, test: float, validation: float, folds: int, seed: int) -> None:
    groups = np.arange(count) % 3
    assert (fold_rows(count, groups, test, folds, seed).test == split_rows(count, groups, test, validation, seed).test).all()


def test_another_seed_folds_otherwise() -> None:
    first, again, other = (fold_rows(50, None, 0.2, 5, seed).splits(0).validation for seed in (0, 0, 1))
    assert list(first) == list(again) != list(other)
