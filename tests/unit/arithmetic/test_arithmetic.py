"""The rules, beside values that the emulator gave (sm8650, QAIRT 2.51), and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.arithmetic.agreement import compare
from snpe_tools.arithmetic.grid import Grid, NoRule
from snpe_tools.arithmetic.normalization import LayerNorm
from snpe_tools.arithmetic.products import FullyConnected, MatMul, Requantizer, effective_bias, exact_sums, multiplier
from snpe_tools.arithmetic.softmax import Softmax, powers
from snpe_tools.arithmetic.sums import Sum

_SX, _SO, _ZERO = 0.019999999552965164, 0.10000000149011612, 93
_CODES = (100, 101, 150, 151, 200)
_FIRST_SUMS = {
    0.0777023658156395: (416, 480, 3632, 3696, 6856),
    0.023831184953451157: (1360, 1568, 11856, 12064, 22336),
    0.011409812606871128: (2848, 3296, 24768, 25184, 46656),
    0.18878936767578125: (172, 198, 1496, 1522, 2820),
}
"""By weight scale: the smallest sums that give those codes."""


@pytest.mark.parametrize("weight_scale", _FIRST_SUMS)
def test_sums_become_codes_where_the_emulator_changes_them(weight_scale: float) -> None:
    requantize = Requantizer.of(multiplier(Grid(_SX, 0), np.array([weight_scale]), Grid(_SO, 0)), _ZERO)
    first = np.array(_FIRST_SUMS[weight_scale], np.int32)
    np.testing.assert_array_equal(requantize(first.copy()), _CODES)
    np.testing.assert_array_equal(requantize(first - 1), np.array(_CODES) - 1)


def test_a_bias_loses_what_it_loses_on_the_emulator() -> None:
    stored = [1, 2, 3, 4, 5, 8, -1, -2, -3, -4, 98, 131, 1958, 1934, 1810, 275, 821, 13157, 14526, 2342]
    change = [0, -1, 0, 0, -1, -1, 0, 1, 0, 0, 0, -1, -1, -1, 0, -1, -1, -1, 0, 0]
    found = effective_bias(np.array(stored, np.int32), 0.0312875472009182, np.array([0.01, 0.038072917610406876]))
    np.testing.assert_array_equal(found - stored, change)
    assert effective_bias(np.zeros(3, np.int32), 0.1, np.ones(1)).tolist() == [0, 0, 0]


def test_sums_and_differences_round_as_on_the_emulator() -> None:
    codes = np.arange(0, 256, 51, dtype=np.uint8)
    added = Sum(Grid(0.03873514384031296, 230), Grid(0.04687725380063057, 16), Grid(0.08262623846530914, 172))
    assert added(codes[:, None], codes)[5].tolist() == [175, 204, 232, 255, 255, 255]
    assert added(codes[:, None], codes)[2].tolist() == [103, 132, 161, 190, 219, 248]
    taken = Sum(Grid(0.2421477884054184, 78), Grid(0.22064104676246643, 4), Grid(0.23003479838371277, 199), sign=-1)
    assert taken(codes[:, None], codes)[1].tolist() == [174, 125, 77, 28, 0, 0]
    assert taken(codes[:, None], codes)[3].tolist() == [255, 233, 184, 135, 86, 37]


@given(st.integers(1, 1700), st.integers(0, 2**32 - 1))
def test_float32_products_are_exact(depth: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    left, right = random.integers(-255, 256, (2, depth)), random.integers(-128, 128, (depth, 3))
    found = exact_sums(left.astype(np.float32), right.astype(np.float32), 255 * 128)
    np.testing.assert_array_equal(found, left @ right)


@given(st.integers(0, 2**32 - 1))
def test_a_column_that_fits_is_not_divided(seed: int) -> None:
    random = np.random.default_rng(seed)
    left = random.integers(0, 256, (4, 16)).astype(np.uint8)
    right = random.integers(2, 250, (16, 5)).astype(np.uint8)
    grids = Grid(0.02, 100), Grid(0.01, 130), Grid(0.09, 128)
    as_weights = (right.T.astype(np.int16) - 130).astype(np.int8)
    product = FullyConnected(grids[0], grids[2], as_weights, np.zeros(1, np.int64), np.array([0.01]), None)
    np.testing.assert_array_equal(MatMul(*grids)(left, right), product(left))


def test_softmax_and_norm_are_within_a_code_of_real_numbers() -> None:
    random = np.random.default_rng(1)
    codes = random.integers(0, 256, (64, 96)).astype(np.uint8)
    real = np.exp(0.03 * codes.astype(np.float64))
    real /= real.sum(1, keepdims=True) / 255
    assert np.abs(Softmax(Grid(0.03, 5), Grid(1 / 255, 0))(codes) - real).max() < 1.6
    norm = LayerNorm(Grid(0.05, 9), Grid(0.03, 128), np.full(96, 200), 0.005, np.full(96, 0.3), 1e-12)
    centred = codes - codes.mean(1, keepdims=True)
    real = centred / codes.std(1, keepdims=True) / 0.03 + 10 + 128
    assert np.abs(norm(codes) - np.clip(real, 0, 255)).max() < 1
    assert powers(0.05)[0] == 1
    assert (np.diff(powers(0.05)) <= 0).all()


def test_a_row_that_is_constant_gives_the_offset() -> None:
    norm = LayerNorm(Grid(0.05, 9), Grid(0.03, 128), np.full(8, 200), 0.005, np.full(8, 0.3), 1e-12)
    assert norm(np.full((2, 8), 77, np.uint8)).tolist() == [[138] * 8] * 2


def test_what_was_not_measured_is_refused() -> None:
    grid = Grid(0.1, 0)
    with pytest.raises(NoRule, match="1/8 or more"):
        MatMul(grid, grid, Grid(0.01, 0))
    with pytest.raises(NoRule, match="not measured"):
        Softmax(grid, Grid(1 / 255, 3))
    with pytest.raises(NoRule, match="not measured"):
        Sum(Grid(1e5, 0), grid, grid)


def test_an_agreement_counts_equal_values_and_peaks() -> None:
    wanted = [{"y": np.array([1.0, 2.0, 3.0, 4.0])}, {"y": np.array([5.0, 2.0, 3.0, 4.0])}]
    got = [{"y": np.array([1.0, 2.0, 3.0, 4.0])}, {"y": np.array([4.0, 2.0, 3.0, 5.0])}]
    found = compare(wanted, got)
    assert (found.inferences, found.equal, found.peaks) == (2, 0.75, 0.5)
    assert found.sqnr_db == pytest.approx(10 * np.log10(84 / 2))
