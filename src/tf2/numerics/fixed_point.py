"""Feature bytes, rounding and rescaling: the one contract of every level of TF2.

A feature is a signed byte b in -128..127; its value is ``(b - zero_point) * 2**-frac_bits`` with
one ``frac_bits`` (Q in the papers) and one ``zero_point`` in {0, -128} for the whole tensor. Zero
point -128 holds values that cannot be negative: ReLU is then the saturation itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

BYTE_MIN, BYTE_MAX = -128, 127
SIGNED, UNSIGNED = 0, -128
"""The two zero points: values of either sign, and values that cannot be negative."""

MAX_MULTIPLIER = 255
"""Multipliers are unsigned and at most 8 bits."""

MAX_SHIFT = {SIGNED: 17, UNSIGNED: 16}
"""Largest right shift of a rescaling, by the zero point of its result.

Up to here float32 (ONNX Runtime's QLinearConv: one float32 product, then round half even)
computes the same integers: every product that does not saturate is an integer multiple of
2**-shift below 2**24 of them, so it is exact. One more bit and near-ties round wrongly.
"""

MAX_ADD_SPREAD = 14
"""Largest difference of any two frac_bits among the operands and the result of an addition.

Every intermediate is then below 2**24 steps of the finest scale, so float32 (ONNX Runtime's
QLinearAdd) is exact in any order of its terms. An operand whose steps are finer than that says
nothing beside a coarser one: lower its frac_bits.
"""

MAX_FRAC_BITS = 60
"""Largest magnitude of frac_bits: float32 holds any ratio of two scales times M / 2**s."""

ACC_MIN, ACC_MAX = -(2**31), 2**31 - 1


def round_half_even_shift(value: NDArray[np.integer], shift: ArrayLike) -> NDArray[np.int64]:
    """Return ``value / 2**shift`` rounded to the nearest integer, ties to even; exact.

    Args:
        value: Integers below 2**62 in magnitude.
        shift: 0..62, broadcast against value.

    Example:
        Shift 1 takes ``[1, 3, 5, -1, -3]`` (0.5, 1.5, 2.5, -0.5, -1.5) to ``[0, 2, 2, 0, -2]``.
    """
    value = np.asarray(value, dtype=np.int64)
    shift = np.asarray(shift, dtype=np.int64)
    floor = value >> shift
    rest = value - (floor << shift)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), np.int64(1))
    up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
    return floor + (up & (shift > 0))


def saturate(
    value: NDArray[np.integer], low: int = BYTE_MIN, high: int = BYTE_MAX
) -> NDArray[np.int8]:
    """Return the values clipped to ``low..high`` (within -128..127), as bytes."""
    return np.clip(value, low, high).astype(np.int8)


def rescale(
    acc: NDArray[np.integer],
    multiplier: ArrayLike,
    shift: ArrayLike,
    *,
    zero_point: int,
    low: int = BYTE_MIN,
    high: int = BYTE_MAX,
) -> NDArray[np.int8]:
    """Return ``saturate(round_half_even(acc * multiplier / 2**shift) + zero_point)``.

    Args:
        acc: Accumulators within int32.
        multiplier: 1..255 (0 gives the zero point), broadcast against acc.
        shift: 0..17, broadcast against acc.
        zero_point: 0 or -128.
        low: Smallest byte of the result (an activation's lower bound).
        high: Largest byte of the result (ReLU6's upper bound).
    """
    product = np.asarray(acc, dtype=np.int64) * np.asarray(multiplier, dtype=np.int64)
    return saturate(round_half_even_shift(product, shift) + zero_point, low, high)


def quantize(values: NDArray[np.float32], frac_bits: int, zero_point: int) -> NDArray[np.int8]:
    """Return ``saturate(round_half_even(values * 2**frac_bits) + zero_point)``; exact.

    Infinities saturate; NaN gives byte -128, as in ONNX Runtime on x86.
    """
    scaled = np.ldexp(np.asarray(values, dtype=np.float64), frac_bits)
    bounded = np.clip(np.nan_to_num(scaled, nan=-np.inf), -1024.0, 1024.0)
    return saturate(np.rint(bounded).astype(np.int64) + zero_point)


def dequantize(features: NDArray[np.int8], frac_bits: int, zero_point: int) -> NDArray[np.float32]:
    """Return ``(features - zero_point) * 2**-frac_bits``, exact in float32."""
    integers = np.asarray(features, dtype=np.int32) - zero_point
    return np.ldexp(integers.astype(np.float32), -frac_bits).astype(np.float32)


def nearest_multiplier(
    scale: NDArray[np.floating], *, zero_point: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (multiplier, shift) of the representable ``multiplier / 2**shift`` nearest to scale.

    Multiplier 1..255 and shift 0..`MAX_SHIFT`; a scale too small for the largest shift loses
    multiplier bits and ends at 1; one above 255 saturates at 255. Powers of two are exact with
    multiplier 1 where they are in range.

    Args:
        scale: Positive and finite, any shape.
        zero_point: Of the tensor that the rescaling produces.
    """
    scale = np.asarray(scale, dtype=np.float64)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("scales must be positive and finite")
    largest = MAX_SHIFT[zero_point]
    scale = np.minimum(scale, float(MAX_MULTIPLIER))
    shift = np.clip(7 - np.floor(np.log2(scale)).astype(np.int64), 0, largest)
    multiplier = np.maximum(np.rint(np.ldexp(scale, shift)).astype(np.int64), 1)
    # Drop common factors of two: the pure shift of the original is then multiplier 1, and what was
    # rounded up to 256 (127.9 * 2) becomes 128 or less.
    lowest_bit = multiplier & -multiplier
    trailing = np.log2(lowest_bit.astype(np.float64)).astype(np.int64)
    drop = np.minimum(trailing, shift)
    return (multiplier >> drop).astype(np.int64), (shift - drop).astype(np.int64)
