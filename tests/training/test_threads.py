"""How many threads a step is worth."""

from __future__ import annotations

import pytest
import torch

from automl.training.threads import threads_for


@pytest.mark.parametrize(
    ("flops", "most", "expected"),
    [(1e5, 8, 1), (49e6, 8, 1), (51e6, 8, 2), (130e6, 8, 5), (1e12, 8, 8), (1e12, 2, 2), (None, 8, 8), (1e12, 1, 1), (0.0, 8, 1)],
)
def test_a_step_gets_as_many_threads_as_it_is_worth(flops: float | None, most: int, expected: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(most)
    try:
        with threads_for(flops, torch.device("cpu")):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == most
    finally:
        torch.set_num_threads(before)
