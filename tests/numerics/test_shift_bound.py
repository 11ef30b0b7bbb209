"""MAX_SHIFT: up to it, one float32 product rounded half to even gives the exact bytes."""

import numpy as np
import pytest

from tf2.numerics import fixed_point
from tf2.numerics.fixed_point import MAX_SHIFT, SIGNED, UNSIGNED

BOUNDS = [(SIGNED, 17), (UNSIGNED, 16)]


def float32_rescale(acc: np.ndarray, multiplier: int, shift: int, zero_point: int) -> np.ndarray:
    """The arithmetic of ONNX Runtime's QLinearConv on x86."""
    product = acc.astype(np.float32) * np.float32(multiplier * 2.0**-shift)
    return np.clip(np.rint(product) + np.float32(zero_point), -128, 127).astype(np.int8)


def near_ties(multiplier: int, shift: int) -> np.ndarray:
    """Accumulators within 2 of every tie between two bytes, and beyond where they saturate."""
    ties = (2 * np.arange(-260, 520) + 1) << (shift - 1)
    acc = (ties[:, None] // multiplier + np.arange(-2, 4)).reshape(-1)
    return acc[np.abs(acc) < 2**31]


def mismatches(multiplier: int, shift: int, zero_point: int) -> int:
    acc = near_ties(multiplier, shift)
    exact = fixed_point.rescale(acc, multiplier, shift, zero_point=zero_point)
    return int((exact != float32_rescale(acc, multiplier, shift, zero_point)).sum())


@pytest.mark.parametrize(("zero_point", "bound"), BOUNDS)
def test_the_bound_is_the_documented_one(zero_point: int, bound: int):
    assert MAX_SHIFT[zero_point] == bound


@pytest.mark.parametrize(
    ("zero_point", "shift"),
    [(zero_point, shift) for zero_point, bound in BOUNDS for shift in range(1, bound + 1)],
)
def test_float32_is_exact_up_to_the_bound_for_every_multiplier(zero_point: int, shift: int):
    assert [m for m in range(1, 256) if mismatches(m, shift, zero_point)] == []


@pytest.mark.parametrize(("zero_point", "bound"), BOUNDS)
def test_float32_is_wrong_one_bit_beyond(zero_point: int, bound: int):
    assert mismatches(1, bound + 1, zero_point) > 0


@pytest.mark.parametrize("zero_point", [SIGNED, UNSIGNED])
def test_float32_saturates_as_the_exact_result_on_the_largest_accumulators(zero_point: int, rng):
    acc = rng.integers(2**24, 2**31, 10_000) * rng.choice([-1, 1], 10_000)
    for multiplier in (1, 3, 255):
        shift = MAX_SHIFT[zero_point]
        np.testing.assert_array_equal(
            float32_rescale(acc, multiplier, shift, zero_point),
            fixed_point.rescale(acc, multiplier, shift, zero_point=zero_point),
        )
