"""What a comparison says: the sentences, the numbers for other programs, and that they agree."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from automl.compare.arms import Arm
from automl.compare.concluding import notes_of
from automl.compare.curves import curves
from automl.compare.report import Report, write_csv
from automl.compare.results import Course, Result
from automl.compare.statistics import LEVEL
from automl.compare.verdict import judge, sentences
from automl.spec import Objective

ACCURACY, LOSS = Objective("accuracy", True), Objective("loss", False)


def results(
    name: str, values: Sequence[float | None], seconds: float = 10.0, validation: Sequence[float] | None = None, trials: int = 4
) -> list[Result]:
    """Studies of an arm whose picks reach these test values; the validation value is reached in the second half of the trials."""
    made = []
    for index, value in enumerate(values):
        best = 0.5 if validation is None else validation[index]
        course = Course(
            tuple(range(20, 20 * trials + 1, 20)),
            tuple(seconds / trials * number for number in range(1, trials + 1)),
            tuple(0.1 * number for number in range(1, trials + 1)),
            tuple(None if number == 0 else best - 0.1 * (number < trials // 2) for number in range(trials)),
        )
        pick = None if value is None else 1
        made.append(
            Result(
                Arm(name, name),
                index + 1,
                index,
                f"{name}-{index + 1}",
                pick,
                best,
                value,
                "test",
                trials,
                20 * trials,
                seconds,
                0.4,
                {},
                course,
            )
        )
    return made


BASE = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96]


def _plus(by: Sequence[float]) -> list[float]:
    return [round(value + more, 4) for value, more in zip(BASE, by, strict=True)]


BETTER = _plus([0.01, 0.02, 0.01, 0.015, 0.02, 0.01, 0.03])
MUCH_BETTER = _plus([0.05, 0.06, 0.05, 0.055, 0.06, 0.05, 0.07])
MIXED = _plus([0.01, -0.01, 0.02, 0.01, -0.005, 0.015, 0.01])


def test_one_that_beats_all_is_to_be_used() -> None:
    judged = judge([*results("grid", BASE), *results("random", BETTER), *results("bayesian", MUCH_BETTER)], ACCURACY)
    assert sentences(judged, "40 trials") == [
        "Use bayesian: with 40 trials a study it is better here than random and grid.",
        "On the test split the pick of bayesian was better than that of random in 7 of 7 repeats, by 0.04 accuracy in the median "
        "(98.4 % interval 0.04 to 0.04); p = 0.047 after correction for 3 pairs.",
        "On the test split the pick of bayesian was better than that of grid in 7 of 7 repeats, by 0.055 accuracy in the median "
        "(98.4 % interval 0.05 to 0.07); p = 0.047 after correction for 3 pairs.",
        "On the test split the pick of random was better than that of grid in 7 of 7 repeats, by 0.015 accuracy in the median "
        "(98.4 % interval 0.01 to 0.03); p = 0.047 after correction for 3 pairs.",
    ]
    assert [standing.mean_rank for standing in judged.standings] == [1.0, 2.0, 3.0]
    assert judged.unbeaten == ["bayesian"]


def test_where_nothing_is_clear_it_says_what_it_would_take_and_what_to_do_until_then() -> None:
    judged = judge([*results("grid", BASE, seconds=20.0), *results("random", MIXED)], ACCURACY)
    said = sentences(judged, "40 trials")
    assert said[0] == "Cannot tell random from grid with 7 repeats of 40 trials."
    assert said[1] == (
        "On the test split the pick of random was better than that of grid in 5 of 7 repeats, by 0.01 accuracy in the median "
        "(98.4 % interval -0.01 to 0.02); p = 0.16."
    )
    outlook = judged.pairs[0].outlook
    assert outlook is not None
    assert said[2] == (
        f"If further repeats are like these, about {outlook.repeats} would be needed to tell "
        f"(anything between {outlook.fewest} and {outlook.most} is possible)."
    )
    assert 7 < outlook.repeats < 40  # type: ignore[operator]
    assert said[3] == "Until then use random, which costs least: 10.4 s a study (training and asking) against 20.4 s of grid."


def test_one_that_is_better_more_often_by_less_is_not_called_better_and_the_other_is_not_either() -> None:
    by = [0.001 * (place + 1) * (1 if place < 16 else -1) for place in range(30)]
    judged = judge([*results("grid", [0.8] * 30), *results("random", [0.8 + more for more in by])], ACCURACY)
    (pair,) = judged.pairs
    assert pair.p_adjusted < LEVEL
    assert pair.call == "cannot tell"
    assert set(judged.unbeaten) == {"grid", "random"}
    said = sentences(judged, "40 trials")
    assert said[0].startswith("Cannot tell")
    assert (
        said[2]
        == "The test speaks for grid, which was better by more, while random was better at least as often: neither is called better."
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-30, 30), min_size=2, max_size=40))
def test_whoever_is_called_better_is_better_more_often_and_by_the_test(by: list[int]) -> None:
    judged = judge([*results("grid", [0.5] * len(by)), *results("random", [0.5 + 0.001 * more for more in by])], ACCURACY)
    (pair,) = judged.pairs
    ranks = stats.rankdata(np.abs(by)) * np.sign(by) * (1 if pair.a == "random" else -1)
    won, _, lost = pair.wins or (0, 0, 0)
    assert pair.lean == pytest.approx(ranks.sum() / max(1e-9, np.abs(ranks).sum()))
    if pair.call != "cannot tell":
        assert pair.p_adjusted <= LEVEL
        assert (pair.call == "a better") == (won > lost) == (pair.lean > 0)
        assert judged.unbeaten == [pair.ordered[0]]


def test_what_is_beaten_is_named_while_the_rest_stays_open() -> None:
    judged = judge([*results("grid", BASE), *results("random", MUCH_BETTER), *results("bayesian", [v + 0.045 for v in MIXED])], ACCURACY)
    said = sentences(judged, "10m")
    assert set(judged.unbeaten) == {"random", "bayesian"}
    assert {said[0], said[1]} == {
        "With 10m a study random is better here than grid.",
        "With 10m a study bayesian is better here than grid.",
    }
    assert "Cannot tell random from bayesian with 7 repeats of 10m." in said
    assert said[-1] == "Until then any of them will do: they cost about the same."


def test_equal_differences_are_ties_whatever_their_last_digits() -> None:
    """0.91 - 0.90 and 0.95 - 0.94 are not the same float."""
    even = judge(
        [*results("a", BASE), *results("b", [round(v + by, 4) for v, by in zip(BASE, [0.01, -0.01] * 3 + [0.0], strict=True)])], ACCURACY
    )
    assert even.pairs[0].p_value == 1.0


def test_less_is_better_where_the_objective_says_so() -> None:
    judged = judge([*results("grid", BETTER), *results("random", BASE)], LOSS)
    assert judged.standings[0].name == "random"
    assert judged.pairs[0].difference.value == pytest.approx(0.015)
    assert sentences(judged, "9 trials")[1].startswith(
        "On the test split the pick of random was better than that of grid in 7 of 7 repeats, by 0.015 loss"
    )
    test = judged.standings[0].test
    assert (test.value, test.low, test.high) == (0.93, 0.90, 0.96)


def test_data_without_a_test_split_are_told_of() -> None:
    """Exclusive or: its four rows are training, validation and test at once."""
    told = [replace(result, split="training data (there is no other)") for result in (*results("a", BASE), *results("b", BETTER))]
    judged = judge(told, ACCURACY)
    assert sentences(judged, "9 trials")[1].startswith("On the training data the pick of b was better than that of a in 7 of 7 repeats")
    assert notes_of(judged, 4) == [
        "These data have no test split of their own: picks were measured on the training data, by which they were chosen."
    ]


def test_code_that_says_nothing_of_test_data_is_judged_by_validation_data() -> None:
    """A study without a pick stays worse than all others. One test value, and the others are taken as missing."""
    mine = [replace(result, test=None, validation=value) for value, result in zip(BASE, results("a", BASE), strict=True)]
    theirs = [replace(result, test=None, validation=value) for value, result in zip(BETTER, results("b", BETTER), strict=True)]
    judged = judge([*mine, *theirs], ACCURACY)
    assert judged.split == "validation data"
    assert sentences(judged, "9 trials")[1].startswith("On the validation data the pick of b was better than that of a in 7 of 7 repeats")
    assert notes_of(judged, 4) == [
        "The code says nothing of test data: picks were measured on the validation data, by which they were chosen."
    ]
    judged = judge([*mine[1:], replace(mine[0], pick=None, validation=None), *theirs], ACCURACY)
    assert notes_of(judged, 4)[0] == "a: no pick could be tested in a-1; that counts as worse than every other value."
    assert judge([*mine, *results("b", BETTER)], ACCURACY).split == "test"


def test_equal_results_are_called_equal() -> None:
    judged = judge([*results("random", BASE), *results("bayesian", BASE)], ACCURACY)
    assert sentences(judged, "8 trials")[:3] == [
        "Cannot tell random from bayesian with 7 repeats of 8 trials.",
        "random and bayesian came to the same value in each of the 7 repeats.",
        "If there is a difference it is so small that 1,000 repeats would not find it.",
    ]


def test_too_few_repeats_are_told_how_many_are_needed() -> None:
    judged = judge([*results("a", [1.0, 2.0, 3.0]), *results("b", [2.0, 3.0, 4.0])], ACCURACY)
    assert "So few can lead to no verdict: at least 6 repeats are needed." in sentences(judged, "9 trials")
    unpaired = judge([*results("a", [1.0, 2.0]), *results("b", [2.0, 3.0, 4.0])], ACCURACY, is_paired=False)
    assert "So few studies can lead to no verdict: run more of each." in sentences(unpaired, "9 trials")


def test_studies_without_pairs_are_compared_as_they_are() -> None:
    judged = judge([*results("a", BASE), *results("b", MUCH_BETTER[:5])], ACCURACY, is_paired=False)
    assert sentences(judged, "9 trials")[1] == (
        "On the test split a pick of b beats one of a with probability 0.96, by 0.045 accuracy in the median "
        "(95.2 % interval 0.02 to 0.07); p = 0.0076."
    )
    assert judged.standings[0].name == "b"
    assert judged.standings[0].mean_rank == pytest.approx(1 + 1 - 33.5 / 35)


def test_a_study_without_a_pick_is_worse_than_all_others() -> None:
    judged = judge([*results("a", [None, *BASE[1:]]), *results("b", BASE)], ACCURACY)
    pair = judged.pairs[0]
    assert pair.wins == (1, 6, 0)
    assert pair.a == "b"
    json.dumps(Report("x", "s", "d", "9 trials", judged).as_json(), allow_nan=False)


def test_the_sentences_agree_with_the_numbers() -> None:
    """Of many comparisons drawn at random: an arm is called better just where its corrected p-value says so."""
    random = np.random.default_rng(5)
    for _ in range(60):
        shift = random.choice([0.0, 0.01, 0.05], size=3)
        arms = [results(name, np.round(random.normal(0.9 + by, 0.01, 8), 3).tolist()) for name, by in zip("abc", shift, strict=True)]
        judged = judge([each for arm in arms for each in arm], ACCURACY)
        said = " ".join(sentences(judged, "9 trials"))
        for pair in judged.pairs:
            is_told = pair.p_adjusted <= LEVEL
            assert (pair.call != "cannot tell") == is_told
            if is_told:
                assert pair.ordered[0] in said
                assert f"the pick of {pair.ordered[0]} was better than that of {pair.ordered[1]}" in said
        assert ("Cannot tell" in said) == (len(judged.unbeaten) > 1)


def test_how_much_sooner_the_best_is_there_is_told() -> None:
    validation = [0.7] * 7
    good = results("bayesian", MUCH_BETTER, validation=[0.85] * 7)
    report = Report("x", "s", "d", "4 trials", judge([*results("grid", BASE, validation=validation), *good], ACCURACY))
    assert report.speed == ["bayesian is where grid ends (validation accuracy 0.7) after 2 of 4 trials, in the median."]
    even = Report("x", "s", "d", "4 trials", judge([*results("a", BASE), *results("b", MIXED)], ACCURACY))
    assert even.speed == []  # nothing is made of what cannot be told


def test_json_has_what_was_promised_and_csv_a_row_for_each_study(tmp_path: Path) -> None:
    judged = judge([*results("grid", BASE), *results("random", BETTER)], ACCURACY)
    report = Report("first", "small", "iris", "40 trials", judged, notes=("a note",))
    record = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert {"strategies", "pairs", "verdict"} <= record.keys()
    assert {"name", "repeats", "mean_rank", "test"} <= record["strategies"][0].keys()
    pair = record["pairs"][0]
    assert (pair["a"], pair["b"], pair["probability_a_better"], pair["verdict"]) == ("random", "grid", 1.0, "a better")
    assert pair["p_value"] == 2 / 2**7
    write_csv(report.results, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["study"] for row in rows] == [f"{arm}-{n}" for arm in ("random", "grid") for n in range(1, 8)]
    assert [float(row["test"]) for row in rows[7:]] == BASE


def test_curves_are_medians_on_one_grid_and_begin_with_the_first_complete_trial() -> None:
    found = curves(results("a", BASE, validation=BASE), "trials", True)["a"]
    assert found.x == (1, 2, 3, 4)
    assert found.median == (None, pytest.approx(0.83), 0.93, 0.93)
    assert (found.low[-1], found.high[-1]) == (0.90, 0.96)
    assert found.reaches(0.93, True) == 3
    assert found.reaches(0.99, True) is None
    assert found.confidence == 1 - 2 / 2**7


def test_curves_end_where_every_repeat_has_spent_as_much() -> None:
    fast, slow = results("a", BASE, seconds=4.0), results("a", BASE, seconds=8.0)
    found = curves([*fast[:3], *slow[3:]], "seconds", True)["a"]
    assert found.x[-1] == 4.0
    assert all(math.isfinite(value) for value in found.median if value is not None)
    with_asking = curves(fast, "seconds_asking", True)["a"]
    assert with_asking.x[-1] == pytest.approx(4.4)


def test_curves_of_a_loss_have_their_better_end_below() -> None:
    found = curves(results("a", BASE, validation=BASE), "epochs", False)["a"]
    assert found.x[-1] == 80
    assert (found.low[-1], found.median[-1], found.high[-1]) == (0.90, 0.93, 0.96)
