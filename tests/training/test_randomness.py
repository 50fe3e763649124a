"""Draws by position: what they look like, and what they do not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from automl.training.randomness import Dropout, hashed, keep_masks, key_at, permutation, places, row_bits, threshold, uniform, unit_bits

KEYS = st.integers(0, 2**63 - 1)
SHARES = st.one_of(st.just(0.0), st.floats(0.02, 0.95))


GOLDEN_PERMUTATION = [9, 8, 7, 1, 4, 5, 3, 2, 6, 0]
GOLDEN_UNIFORM = [
    [0.05996893899970246, 0.13732856773827207, 0.4584725173484431],
    [0.9155382683878205, 0.8029291293419168, 0.9415555952824081],
]
GOLDEN_MASK = [1, 0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0]


def masks(key: int, first: int = 0, steps: int = 1, rows: int = 64, units: int = 64, share: float = 0.5) -> torch.Tensor:
    where = places(torch.arange(first, first + steps)[:, None], torch.arange(rows))
    like = torch.empty(0, dtype=torch.float64)
    return keep_masks(row_bits(where, key) + unit_bits(key, units), threshold(share), 1 / (1 - share), like)


def unlikely(p_value: float) -> bool:
    """Far enough out that a good generator with these fixed seeds never gets there."""
    return p_value < 1e-6


# what was drawn once is drawn for ever: a change of these changes every study's numbers


def test_hashes_are_those_of_splitmix64() -> None:
    """The published sequence of SplitMix64 with the seed 1234567."""
    answers = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [value % 2**64 for value in hashed(torch.arange(1, 6), 1234567).tolist()] == answers


def test_golden_draws() -> None:
    key = key_at(17, "dropout", 0)
    assert key == 5139261219976734196
    assert permutation(key, 10).tolist() == GOLDEN_PERMUTATION
    assert uniform(key, 2, 3).tolist() == GOLDEN_UNIFORM
    assert masks(key, first=5, rows=2, units=12).bool().int().flatten().tolist() == GOLDEN_MASK


# padding, batching and order do not matter


@given(KEYS, st.integers(1, 20), st.integers(1, 20), st.integers(0, 9), st.integers(0, 9))
@settings(deadline=None)
def test_a_wider_tensor_has_the_same_numbers_at_the_same_places(key: int, rows: int, units: int, more_rows: int, more_units: int) -> None:
    wide = uniform(key, rows + more_rows, units + more_units)
    assert torch.equal(uniform(key, rows, units), wide[:rows, :units])
    wide = masks(key, 3, 1, rows + more_rows, units + more_units)
    assert torch.equal(masks(key, 3, 1, rows, units), wide[:, :rows, :units])


@given(KEYS, st.integers(0, 10**9), st.integers(1, 8))
@settings(deadline=None)
def test_masks_of_several_steps_are_those_of_each(key: int, first: int, steps: int) -> None:
    together = masks(key, first, steps, 3, 5)
    assert torch.equal(together, torch.cat([masks(key, first + step, 1, 3, 5) for step in range(steps)]))


def test_keys_can_differ_along_an_axis() -> None:
    """As many lanes need it: one key each."""
    keys = [key_at(seed, "shuffle") for seed in range(3)]
    together = hashed(torch.arange(50), torch.tensor(keys)[:, None])
    assert torch.equal(together, torch.stack([hashed(torch.arange(50), key) for key in keys]))


def test_lanes_have_masks_by_their_own_keys_and_steps() -> None:
    keys, steps = [key_at(seed, "dropout", 0) for seed in range(3)], [7, 0, 1000]
    shares = [0.3, 0.0, 0.9]
    where = torch.stack([places(torch.arange(step, step + 4)[:, None], torch.arange(5)) for step in steps], dim=1)
    key = torch.tensor(keys)[:, None, None]
    threshold_of = torch.tensor([threshold(share) for share in shares], dtype=torch.int32)[:, None, None]
    scale = torch.tensor([1 / (1 - share) for share in shares], dtype=torch.float64)[:, None, None]
    together = keep_masks(row_bits(where, key) + unit_bits(key, 6), threshold_of, scale, torch.empty(0, dtype=torch.float64))
    alone = [masks(key, step, 4, 5, 6, share) for key, step, share in zip(keys, steps, shares, strict=True)]
    assert torch.equal(together, torch.stack(alone, dim=1))


@given(st.permutations(range(12)))
@settings(deadline=None)
def test_dropout_does_not_depend_on_the_order_of_the_steps(order: list[int]) -> None:
    dropout, hidden = Dropout(7, 0.3, rows=4), torch.ones(4, 6)
    drawn = {}
    for step in order:
        dropout.step = step
        drawn[step] = dropout(hidden, 1)
    for step, mask in drawn.items():
        assert torch.equal(mask, masks(key_at(7, "dropout", 1), step, 1, 4, 6, 0.3)[0].float())


def test_dropout_of_a_short_batch_is_that_of_its_rows() -> None:
    whole, part = Dropout(7, 0.3, rows=8), Dropout(7, 0.3, rows=8)
    assert torch.equal(whole(torch.ones(8, 6), 0)[:3], part(torch.ones(3, 6), 0))


def test_layers_and_seeds_drop_other_units() -> None:
    hidden = torch.ones(16, 16)
    drawn = [Dropout(seed, 0.5, 16)(hidden, layer) for seed in (1, 2) for layer in (0, 1)]
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


# they look random


@given(KEYS, st.integers(1, 300))
@settings(deadline=None)
def test_a_permutation_has_every_number_once(key: int, count: int) -> None:
    assert sorted(permutation(key, count).tolist()) == list(range(count))


def test_permutations_put_every_sample_everywhere() -> None:
    """Chi-square over (sample, place), and neighbours in the data are no neighbours in the order more often than chance."""
    places = torch.stack([permutation(key_at(3, "shuffle", epoch), 16) for epoch in range(4000)])
    table = torch.stack([torch.bincount(places[:, place], minlength=16) for place in range(16)])
    assert not unlikely(stats.chisquare(table.flatten().numpy()).pvalue)
    steps = (places[:, 1:] - places[:, :-1]).abs() == 1
    assert float(steps.double().mean()) == pytest.approx(2 / 16, abs=0.01)


def test_uniform_numbers_are_uniform_and_independent() -> None:
    numbers = uniform(key_at(1, "initial", "hidden.0", "weight"), 1000, 1000).numpy()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert not unlikely(stats.kstest(numbers.ravel()[::10], "uniform").pvalue)
    for shift in ((0, 1), (1, 0), (1, 1), (0, 7), (64, 0)):
        other = np.roll(numbers, shift, (0, 1))
        assert abs(np.corrcoef(numbers.ravel(), other.ravel())[0, 1]) < 5e-3, shift


@given(KEYS, SHARES)
@settings(deadline=None)
def test_dropout_keeps_the_mean(key: int, share: float) -> None:
    """Within six standard errors."""
    drawn = masks(key, share=share, steps=4)
    error = (share / (1 - share) / drawn.numel()) ** 0.5
    assert float(drawn.mean()) == pytest.approx(1, abs=6 * error + 1e-12)
    assert set(drawn.unique().tolist()) <= {0.0, 1 / (1 - share)}


def bits(steps: int = 64, rows: int = 64, units: int = 128) -> torch.Tensor:
    """Centred coin tosses ``[step, row, unit]``."""
    return masks(key_at(5, "dropout", 0), steps=steps, rows=rows, units=units) - 1


@pytest.mark.parametrize("shift", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 1, 0), (1, 0, 1), (0, 2, 0), (0, 0, 32), (3, 5, 7)])
def test_dropped_units_say_nothing_of_their_neighbours(shift: tuple[int, int, int]) -> None:
    drawn = bits()
    correlation = float((drawn * drawn.roll(shift, (0, 1, 2))).mean())
    assert abs(correlation) < 6 / drawn.numel() ** 0.5


@pytest.mark.parametrize(("rows", "units"), [(1, 1), (2, 3), (7, 16), (31, 64)])
def test_four_corners_of_a_rectangle_are_independent(rows: int, units: int) -> None:
    """What is made of one number a row and one a unit could betray itself here."""
    drawn = bits()
    corners = drawn * drawn.roll(rows, 1) * drawn.roll(units, 2) * drawn.roll((rows, units), (1, 2))
    assert abs(float(corners.mean())) < 6 / drawn.numel() ** 0.5


def test_every_row_unit_and_step_is_kept_as_often() -> None:
    """Chi-square over the sums along each axis and along pairs of them."""
    kept = (bits() + 1) / 2
    for axes in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)):
        counts = kept.sum(axes)
        each = kept.numel() / counts.numel()
        chi_square = float(((counts - each / 2) ** 2 / (each / 4)).sum())
        p_value = stats.chi2.sf(chi_square, counts.numel())
        assert not unlikely(min(p_value, 1 - p_value)), axes


def test_eight_neighbours_show_every_pattern_as_often() -> None:
    """Chi-square over the 256 patterns of eight bits along units, rows and steps."""
    kept = ((bits() + 1) / 2).long()
    for axis in range(3):
        groups = kept.movedim(axis, -1).reshape(-1, 8)
        patterns = (groups * 2 ** torch.arange(8)).sum(1)
        assert not unlikely(stats.chisquare(torch.bincount(patterns, minlength=256).numpy()).pvalue), axis


def test_seeds_next_to_each_other_drop_independently() -> None:
    drawn = torch.stack([masks(key_at(seed, "dropout", 0), rows=64, units=128)[0] - 1 for seed in range(65)])
    pairs = (drawn[1:] * drawn[:-1]).mean()
    assert abs(float(pairs)) < 6 / drawn[1:].numel() ** 0.5


def test_no_global_random_state_is_used() -> None:
    before = torch.random.get_rng_state()
    uniform(1, 4, 4)
    permutation(1, 9)
    Dropout(1, 0.5, 4)(torch.ones(4, 4), 0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_layer_may_drop_another_share_than_the_trial() -> None:
    dropout, hidden = Dropout(7, 0.0, rows=8), torch.ones(8, 500)
    assert torch.equal(dropout(hidden, 0), hidden)
    assert float((dropout(hidden, 1, 0.3) == 0).float().mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.equal(dropout(hidden, 2, 0.0), hidden)
