"""The integer operators once more, element by element in Python integers and fractions.

Shares nothing with `tf2.numerics` but the meaning: padding is "no value", not a byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np

from tf2.numerics.integer_ops import Window


def clip(value: int, low: int = -128, high: int = 127) -> int:
    return max(low, min(high, value))


def positions(window: Window, size: tuple[int, ...]) -> tuple[int, ...]:
    """Count window positions an axis by walking until the last tap leaves the padded input."""
    counts = []
    for axis, n in enumerate(size):
        span = window.dilations[axis] * (window.kernel[axis] - 1)
        last = n + window.pads_end[axis] - 1
        start, count = -window.pads_begin[axis], 0
        while start + span <= last:
            start, count = start + window.strides[axis], count + 1
        counts.append(count)
    return tuple(counts)


def seen(
    window: Window, size: tuple[int, ...], position: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield (tap, input index) of a window position; padding is left out."""
    for tap in product(*(range(k) for k in window.kernel)):
        index = tuple(
            p * s - b + t * d
            for p, s, b, t, d in zip(
                position, window.strides, window.pads_begin, tap, window.dilations, strict=True
            )
        )
        if all(0 <= i < n for i, n in zip(index, size, strict=True)):
            yield tap, index


def conv(
    features: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    factors: list[tuple[Fraction, Fraction]],
    window: Window,
    groups: int,
    zero_points: tuple[int, int],
    bounds: tuple[int, int],
) -> np.ndarray:
    """Factors are (for acc >= 0, for acc < 0) of each output channel."""
    batch, channels, *size = features.shape
    z_in, z_out = zero_points
    per_group = channels // groups
    out_per_group = len(weights) // groups
    shape = (batch, len(weights), *positions(window, tuple(size)))
    out = np.zeros(shape, dtype=int)
    for n, o, *position in np.ndindex(shape):
        acc = int(bias[o])
        for tap, index in seen(window, tuple(size), tuple(position)):
            for i in range(per_group):
                channel = o // out_per_group * per_group + i
                acc += (int(features[(n, channel, *index)]) - z_in) * int(weights[(o, i, *tap)])
        scaled = round(acc * factors[o][acc < 0])
        out[(n, o, *position)] = clip(clip(scaled + z_out), *bounds)
    return out


def pool(features: np.ndarray, window: Window, combine) -> np.ndarray:
    """Combine the bytes that each window sees, padding left out, into one."""
    batch, channels, *size = features.shape
    shape = (batch, channels, *positions(window, tuple(size)))
    out = np.zeros(shape, dtype=int)
    for n, c, *position in np.ndindex(shape):
        taps = seen(window, tuple(size), tuple(position))
        out[(n, c, *position)] = combine([int(features[(n, c, *index)]) for _, index in taps])
    return out
