"""What each study of a comparison came to, and the course that it took: plain values made from a study's events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from automl.compare.arms import Arm
from automl.spec import Objective
from automl.study import Study

VALIDATION = "validation data (the code says nothing of test data)"


@dataclass(frozen=True, slots=True)
class Course:
    """How a study went, trial by trial in the order in which they ended: sums so far, and the best validation value so far.

    ``best`` is that of complete trials alone, since only they can be picked; None before the first of them. ``seconds`` are device
    seconds; ``ask_seconds`` those that the strategy took to think, which are not among them.
    """

    epochs: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    ask_seconds: tuple[float, ...] = ()
    best: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One study of a comparison at its end.

    ``validation`` is the objective of the trial that it picked, ``test`` the same metric of that trial, measured once on data by which
    nothing was chosen (None also where a person's own code has not); both are None where no trial is complete. ``epochs`` and seconds are
    those of all trials.
    """

    arm: Arm
    repeat: int
    seed: int
    study: str
    pick: int | None
    validation: float | None
    test: float | None
    split: str
    trials: int
    epochs: int
    seconds: float
    ask_seconds: float
    counts: Mapping[str, int] = field(default_factory=dict)
    course: Course = field(default_factory=Course)


def result_of(study: Study, arm: Arm, repeat: int, name: str) -> Result:
    """The result of a study whose winner was tested."""
    winner = study.winner
    tested = study.test if winner is not None and study.test is not None and study.test.trial == winner.number else None
    return Result(
        arm=arm,
        repeat=repeat,
        seed=study.seed,
        study=name,
        pick=None if winner is None else winner.number,
        validation=None if winner is None else winner.objective,
        test=None if tested is None else tested.metrics.get(study.objective.metric),
        split="test" if tested is None else tested.split,
        trials=study.ended,
        epochs=sum(trial.epochs_trained for trial in study.trials),
        seconds=sum(trial.seconds for trial in study.trials),
        ask_seconds=sum(trial.ask_seconds for trial in study.trials),
        counts={state: count for state, count in sorted(study.counts.items()) if count},
        course=course_of(study),
    )


def as_measured(results: Sequence[Result]) -> Sequence[Result]:
    """With the validation values in place of test values where no study has one: code of a person's own that says nothing of test data."""
    if any(result.test is not None for result in results):
        return results
    return [result if result.pick is None else replace(result, test=result.validation, split=VALIDATION) for result in results]


def course_of(study: Study) -> Course:
    """The course of a study so far."""
    ended = [study.trials[number] for number in study.ended_order]
    best: list[float | None] = []
    for trial in ended:
        before, value = (best[-1] if best else None), trial.objective
        is_better = trial.state == "complete" and value is not None and (before is None or study.objective.better(value, before))
        best.append(value if is_better else before)
    return Course(
        tuple(accumulate(trial.epochs_trained for trial in ended)),
        tuple(accumulate(trial.seconds for trial in ended)),
        tuple(accumulate(trial.ask_seconds for trial in ended)),
        tuple(best),
    )


def goodness(value: float | None, objective: Objective) -> float:
    """The value with its sign turned, where needed, so that more is better; what is missing is worse than everything."""
    return -math.inf if value is None or not math.isfinite(value) else -objective.loss(value)


def by_arm(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of each arm, its repeats in order; arms in the order in which they come first."""
    arms: dict[str, list[Result]] = {result.arm.name: [] for result in results}
    for result in sorted(results, key=lambda result: result.repeat):
        arms[result.arm.name].append(result)
    return arms
