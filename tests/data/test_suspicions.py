"""Samples that are for training and for a test at once, whatever they are of."""

from __future__ import annotations

import numpy as np

from automl.data.prepared import Chosen
from automl.data.suspicions import class_counts, imbalance, twins

DRAWS = np.random.default_rng(0)
PICTURES = DRAWS.integers(0, 256, (100, 1, 4, 4), dtype=np.uint8)
Y = np.zeros(100, np.int64)


def test_copies_of_training_samples_are_counted_by_split() -> None:
    train, test = Chosen(PICTURES, np.arange(60)), PICTURES[50:80].copy()
    assert list(twins({"train": (train, Y[:60]), "validation": (PICTURES[60:80], Y[:20]), "test": (test, Y[:30])})) == [
        "Duplicates: 33.3% of the test samples are training samples as well, alike in every number. What is measured on them says nothing "
        "of new samples: remove the copies before the data are split."
    ]


def test_a_few_copies_are_no_suspicion() -> None:
    assert list(twins({"train": (PICTURES[:60], Y[:60]), "test": (PICTURES[58:70], Y[:12])})) == []


def test_a_pool_of_folds_has_no_training_split_to_compare_with() -> None:
    assert list(twins({"pool": (PICTURES, Y), "test": (PICTURES, Y)})) == []


def test_classes_are_counted_and_a_large_one_is_told() -> None:
    assert class_counts(np.array([0, 2, 2]), ("a", "b", "c")) == (1, 0, 2)
    assert class_counts(np.array([0.5, 2.5]), ()) == ()
    assert list(imbalance((89, 11), ("a", "b"))) == []
    assert list(imbalance((9, 91), ("a", "b"))) == [
        "Imbalance: 91.0% of the training samples are of class 'b', so that always saying so reaches that accuracy; the others have 9. "
        "Search for another objective, such as {maximize: balanced_accuracy} or {maximize: roc_auc}, and let rare classes count for more: "
        "class_weights: balanced."
    ]
