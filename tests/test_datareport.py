"""What a person is told of the data: facts, warnings, notes; as a run says it and from a study's folder."""

from __future__ import annotations

import json
from pathlib import Path

from automl.datareport import DataReport, read_report, report_of

INFO = {
    "classes": ("no", "yes"),
    "class_counts": (3000, 1000),
    "sizes": {"train": 4000, "validation": 1000, "test": 1},
    "column_kinds": {"number": 2, "category": 1, "given": 1},
    "warnings": ("Leak? a",),
    "notes": ("Left out: b",),
}


def test_rows_columns_and_classes() -> None:
    assert report_of(INFO).lines == (
        "warning: Leak? a",
        "data: 4,000 for train, 1,000 for validation, 1 for test.",
        "data: Columns: 2 numbers, 1 category, 1 key that is sometimes missing.",
        "data: Classes in training: no 3,000 (75.0%), yes 1,000 (25.0%).",
        "data: Left out: b",
    )


def test_of_many_classes_the_largest_are_named() -> None:
    info = {"classes": tuple("abcdefghijkl"), "class_counts": tuple(range(1, 13)), "sizes": {"train": 78}}
    assert report_of(info).facts[-1] == (
        "Classes in training: l 12 (15.4%), k 11 (14.1%), j 10 (12.8%), i 9 (11.5%), h 8 (10.3%), g 7 (9.0%), f 6 (7.7%), e 5 (6.4%), "
        "d 4 (5.1%), c 3 (3.8%), and 2 more, the rarest 1."
    )


def test_it_is_read_from_a_study_that_has_data(tmp_path: Path) -> None:
    assert read_report(tmp_path) is None
    (tmp_path / "data").mkdir()
    for text, found in ((json.dumps(INFO), report_of(INFO)), ("{", None), ('{"sizes": {}}', None), ("[]", None)):
        (tmp_path / "data" / "info.json").write_text(text)
        assert read_report(tmp_path) == found


def test_old_data_have_no_warnings() -> None:
    assert report_of({"classes": (), "sizes": {"train": 2}}) == DataReport(("2 for train.",), (), ())
