from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import accumulators, multipliers, zero_points
from tf2.numerics import fixed_point
from tf2.numerics.fixed_point import MAX_SHIFT, SIGNED, UNSIGNED


def clip(value: int, low: int = -128, high: int = 127) -> int:
    return max(low, min(high, value))


@pytest.mark.parametrize("shift", range(9))
def test_rounding_equals_that_of_fractions_on_every_small_value(shift: int):
    values = np.arange(-2048, 2049)
    expected = [round(Fraction(int(v), 2**shift)) for v in values]  # round() goes half to even
    assert fixed_point.round_half_even_shift(values, shift).tolist() == expected


@given(st.integers(-(2**62) + 1, 2**62 - 1), st.integers(0, 62))
def test_rounding_equals_that_of_fractions_on_large_values(value: int, shift: int):
    rounded = int(fixed_point.round_half_even_shift(np.array(value), shift))
    assert rounded == round(Fraction(value, 2**shift))


@given(st.integers(-1000, 1000), st.integers(1, 40))
def test_ties_go_to_the_even_neighbour(odd_half: int, shift: int):
    tie = (2 * odd_half + 1) << (shift - 1)  # (odd_half + 1/2) * 2**shift
    rounded = int(fixed_point.round_half_even_shift(np.array(tie), shift))
    assert rounded % 2 == 0
    assert rounded in (odd_half, odd_half + 1)


def test_shifts_broadcast_against_values():
    rounded = fixed_point.round_half_even_shift(np.array([[5], [7]]), np.array([0, 1, 2]))
    assert rounded.tolist() == [[5, 2, 1], [7, 4, 2]]


@given(accumulators, st.integers(0, 255), st.integers(0, 17), zero_points)
def test_rescaling_is_the_formula(acc: int, multiplier: int, shift: int, zero_point: int):
    found = fixed_point.rescale(np.array([acc]), multiplier, shift, zero_point=zero_point)
    assert found.dtype == np.int8
    assert found.tolist() == [clip(round(Fraction(acc * multiplier, 2**shift)) + zero_point)]


@given(accumulators, st.integers(-128, 127), st.integers(-128, 127))
def test_rescaling_clips_to_the_bounds_of_an_activation(acc: int, one: int, other: int):
    low, high = sorted((one, other))
    found = fixed_point.rescale(np.array([acc]), 1, 3, zero_point=-128, low=low, high=high)
    assert found.tolist() == [clip(round(Fraction(acc, 8)) - 128, low, high)]


def test_multiplier_zero_gives_the_zero_point():
    extremes = np.array([-(2**31), 0, 2**31 - 1])
    assert fixed_point.rescale(extremes, 0, 5, zero_point=-128).tolist() == [-128] * 3


@pytest.mark.parametrize("zero_point", [SIGNED, UNSIGNED])
@pytest.mark.parametrize("frac_bits", [-60, -3, 0, 7, 60])
def test_every_byte_survives_dequantizing_and_quantizing(frac_bits: int, zero_point: int):
    every = np.arange(-128, 128).astype(np.int8)
    values = fixed_point.dequantize(every, frac_bits, zero_point)
    assert values.dtype == np.float32
    assert values.tolist() == [(int(b) - zero_point) * 2.0**-frac_bits for b in every]
    np.testing.assert_array_equal(fixed_point.quantize(values, frac_bits, zero_point), every)


@given(st.floats(width=32, allow_nan=False), st.integers(-60, 60), zero_points)
def test_quantizing_is_exact_on_every_float32(value: float, frac_bits: int, zero_point: int):
    found = fixed_point.quantize(np.array([value], np.float32), frac_bits, zero_point)
    if value in (np.inf, -np.inf):
        assert found.tolist() == [127 if value > 0 else -128]
    else:
        exact = round(Fraction(value) * Fraction(2) ** frac_bits)
        assert found.tolist() == [clip(exact + zero_point)]


def test_quantizing_rounds_ties_to_even_before_the_zero_point_is_added():
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32)
    assert fixed_point.quantize(halves, 0, SIGNED).tolist() == [0, 2, 2, 0, -2]
    assert fixed_point.quantize(halves, 0, UNSIGNED).tolist() == [-128, -126, -126, -128, -128]


@pytest.mark.parametrize("zero_point", [SIGNED, UNSIGNED])
def test_quantizing_nan_gives_the_lowest_byte(zero_point: int):
    assert fixed_point.quantize(np.array([np.nan], np.float32), 3, zero_point).tolist() == [-128]


def representable(zero_point: int) -> np.ndarray:
    """Every multiplier / 2**shift, sorted; exact in float64."""
    shifts = np.arange(MAX_SHIFT[zero_point] + 1)
    return np.unique(np.arange(1, 256)[:, None] * 2.0**-shifts)


def scale_of(multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return multiplier * 2.0 ** -shift.astype(float)


def distance_to_nearest(scale: np.ndarray, grid: np.ndarray) -> np.ndarray:
    above = np.clip(np.searchsorted(grid, scale), 1, len(grid) - 1)
    return np.minimum(np.abs(scale - grid[above - 1]), np.abs(scale - grid[above]))


@pytest.mark.parametrize("zero_point", [SIGNED, UNSIGNED])
def test_nearest_multiplier_is_nearest_of_all_representables(zero_point: int, rng):
    grid = representable(zero_point)
    middles = (grid[1:] + grid[:-1]) / 2
    scale = np.concatenate(
        [
            2.0 ** rng.uniform(-24, 12, 200_000),
            middles,
            middles * (1 + 1e-12),
            middles * (1 - 1e-12),
        ]
    )
    multiplier, shift = fixed_point.nearest_multiplier(scale, zero_point=zero_point)
    assert multiplier.min() >= 1
    assert multiplier.max() <= 255
    assert shift.min() >= 0
    assert shift.max() <= MAX_SHIFT[zero_point]
    error = np.abs(scale - scale_of(multiplier, shift))
    np.testing.assert_array_equal(error, distance_to_nearest(scale, grid))


@pytest.mark.parametrize("zero_point", [SIGNED, UNSIGNED])
def test_every_representable_is_its_own_nearest_in_lowest_terms(zero_point: int):
    grid = representable(zero_point)
    multiplier, shift = fixed_point.nearest_multiplier(grid, zero_point=zero_point)
    np.testing.assert_array_equal(scale_of(multiplier, shift), grid)
    assert ((multiplier % 2 == 1) | (shift == 0)).all()


@pytest.mark.parametrize("zero_point", [SIGNED, UNSIGNED])
def test_powers_of_two_below_one_have_multiplier_1(zero_point: int):
    shifts = np.arange(MAX_SHIFT[zero_point] + 1)
    multiplier, shift = fixed_point.nearest_multiplier(2.0**-shifts, zero_point=zero_point)
    assert multiplier.tolist() == [1] * len(shifts)
    assert shift.tolist() == shifts.tolist()


def test_scales_out_of_range_go_to_the_ends():
    tiny_and_huge = np.array([1e-30, 1e30])
    multiplier, shift = fixed_point.nearest_multiplier(tiny_and_huge, zero_point=SIGNED)
    assert (multiplier.tolist(), shift.tolist()) == ([1, 255], [17, 0])


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
def test_nearest_multiplier_refuses_what_is_no_scale(scale: float):
    with pytest.raises(ValueError, match="scales must be positive and finite"):
        fixed_point.nearest_multiplier(np.array([1.0, scale]), zero_point=SIGNED)


@given(multipliers, st.integers(0, 16), zero_points)
def test_nearest_multiplier_takes_single_scales(multiplier: int, shift: int, zero_point: int):
    scale = np.array(multiplier * 2.0**-shift)
    m, s = fixed_point.nearest_multiplier(scale, zero_point=zero_point)
    assert scale_of(m, s) == scale
