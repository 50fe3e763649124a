"""Learning rates as functions of the step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.families import SCHEDULES
from automl.training.schedules import SHAPES, factor

STEPS, EPOCHS = 7, 6


def factors(schedule: str, warmup_epochs: float = 0.0, steps: int = STEPS, epochs: int = EPOCHS) -> list[float]:
    return [factor(schedule, number, steps, epochs, warmup_epochs) for number in range(steps * epochs)]


def of_torch(make: object, steps: int = STEPS * EPOCHS, learning_rate: float = 1.0) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate)
    scheduler = make(optimizer)  # type: ignore[operator]
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def test_every_schedule_of_the_families_is_there() -> None:
    assert set(SHAPES) == set(SCHEDULES)


def test_constant_is_one() -> None:
    assert set(factors("constant")) == {1.0}


def test_step_falls_to_a_tenth_after_each_third() -> None:
    assert factors("step") == pytest.approx([1.0] * 14 + [0.1] * 14 + [0.01] * 14)


def test_cosine_is_that_of_torch() -> None:
    theirs = of_torch(lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS * EPOCHS))
    assert factors("cosine") == pytest.approx(theirs)


def test_one_cycle_is_nearly_that_of_torch() -> None:
    """torch's lies on the last step, ours ends one step after it: the same curve, stretched by one step."""
    theirs = of_torch(lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=1001), 1001)
    assert factors("one_cycle", steps=1000, epochs=1) == pytest.approx(theirs[:1000], abs=0.006)


def test_one_cycle_begins_low_peaks_at_a_third_and_ends_at_nearly_nothing() -> None:
    values = factors("one_cycle", steps=10, epochs=10)
    assert values[0] == pytest.approx(1 / 25)
    assert values.index(max(values)) == 30
    assert values[30] == 1.0
    assert values[-1] < 0.001


def test_warm_up_rises_in_a_line_to_one() -> None:
    values = factors("constant", warmup_epochs=2)
    assert values == pytest.approx([step / 14 for step in range(1, 15)] + [1.0] * 28)


def test_warm_up_may_take_part_of_an_epoch() -> None:
    assert factors("constant", warmup_epochs=0.5, steps=4)[:4] == [0.5, 1.0, 1.0, 1.0]


@given(st.sampled_from(SCHEDULES), st.integers(1, 50), st.integers(1, 50), st.floats(0, 60))
@settings(deadline=None)
def test_no_schedule_ever_leaves_zero_to_one(schedule: str, steps: int, epochs: int, warmup_epochs: float) -> None:
    assert all(0 <= value <= 1 for value in factors(schedule, warmup_epochs, steps, epochs))


@given(st.sampled_from(SCHEDULES), st.integers(1, 20), st.floats(0, 5))
@settings(deadline=None)
def test_warm_up_multiplies_every_schedule(schedule: str, steps: int, warmup_epochs: float) -> None:
    warmed = factors(schedule, warmup_epochs, steps)
    line = factors("constant", warmup_epochs, steps)
    assert warmed == pytest.approx([a * b for a, b in zip(line, factors(schedule, 0, steps), strict=True)])
