import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf2.compression.grid import MIN_MULTIPLIER, TOLERANCE, Gains, round_int8, round_pot4
from tf2.ir import Feature
from tf2.numerics import pot4
from tf2.numerics.fixed_point import MAX_MULTIPLIER, MAX_SHIFT

GRID = np.array(pot4.VALUES, float)


def nearest_by_search(values: np.ndarray) -> np.ndarray:
    """Return the grid point nearest to each, and of two as near the larger magnitude."""
    distance = np.abs(values[:, None].astype(float) - GRID[None, :])
    ties = distance == distance.min(axis=1, keepdims=True)
    return np.where(ties, np.abs(GRID), -1).argmax(axis=1)


@pytest.mark.parametrize("low", [0.0, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128])
def test_every_value_goes_to_the_nearest_grid_point(low: float):
    """2**15 steps of the octave above ``low`` (from 0: of the first quarter), both signs."""
    step = (low or 0.25) / 2**15
    values = (low + step * np.arange(2**15)).astype(np.float32)
    np.testing.assert_array_equal(round_pot4(values), GRID[nearest_by_search(values)])
    np.testing.assert_array_equal(round_pot4(-values), -round_pot4(values))


@pytest.mark.parametrize(("border", "below", "from_it"), [(0.5, 0, 1)] + [
    (1.5 * 2**k, 2**k, 2 ** (k + 1)) for k in range(6)
])  # fmt: skip
def test_borders_go_to_the_larger_magnitude_to_the_last_bit(border, below, from_it):
    one_less = np.nextafter(np.float32(border), np.float32(0))
    assert round_pot4(np.float32([border, one_less])).tolist() == [from_it, below]


def test_beyond_the_largest_point_it_stays_there():
    huge = np.float32([65, 96, 1e20, np.finfo(np.float32).max / 2])
    assert round_pot4(huge).tolist() == [64] * 4


def test_every_grid_point_is_kept_and_float64_is_taken_too():
    assert round_pot4(GRID).tolist() == GRID.tolist()
    assert round_pot4(GRID).dtype == np.float32


def test_non_contiguous_values_are_rounded_too(rng):
    values = rng.normal(size=(6, 8)) * 20
    np.testing.assert_array_equal(round_pot4(values.T), round_pot4(values).T)


def test_int8_rounds_to_the_nearest_integer_within_127():
    assert round_int8(np.float32([-300, -127.4, 0.49, 126.6, 127.5])).tolist() == [
        -127, -127, 0, 127, 127,
    ]  # fmt: skip


formats = st.builds(Feature, st.integers(-20, 20), st.sampled_from([0, -128]))


@given(formats, formats, st.integers(1, 255), st.data())
def test_every_multiplier_and_shift_comes_back(x, y, multiplier, data):
    shift = data.draw(st.integers(0, MAX_SHIFT[y.zero_point]))
    gains = Gains(x, y)
    gain = gains.from_integers(np.array([multiplier]), np.array([shift]))
    assert gains.rounded(gain) == gain


@given(formats, formats, st.floats(-30, 20))
def test_a_gain_is_met_within_tolerance_or_raised_or_the_largest(x, y, exponent: float):
    gains = Gains(x, y)
    alpha = 2.0 ** (exponent + x.frac_bits - y.frac_bits)
    (multiplier,), (shift,) = gains.to_integers(np.array([alpha]))
    assert 1 <= multiplier <= MAX_MULTIPLIER
    assert 0 <= shift <= MAX_SHIFT[y.zero_point]
    (met,) = gains.rounded(np.array([alpha]))
    smallest = 2.0 ** (x.frac_bits - y.frac_bits - MAX_SHIFT[y.zero_point])
    if abs(met - alpha) > TOLERANCE * alpha:
        too_large = alpha > met and multiplier == MAX_MULTIPLIER and shift == 0
        raised = alpha < met == MIN_MULTIPLIER * smallest
        assert too_large or raised


@pytest.mark.parametrize("zero_point", [0, -128])
def test_powers_of_two_are_met_exactly_down_to_the_largest_shift(zero_point: int):
    gains = Gains(Feature(0, 0), Feature(0, zero_point))
    powers = 2.0 ** -np.arange(MAX_SHIFT[zero_point] + 1)
    assert gains.rounded(powers).tolist() == powers.tolist()


def test_no_gain_at_all_is_the_smallest_that_keeps_its_digits():
    gains = Gains(Feature(3, 0), Feature(5, 0))
    assert gains.rounded(np.zeros(1)) == MIN_MULTIPLIER * 2.0 ** (3 - 5 - 17)
