"""The golden model: convolution, pooling and addition on feature bytes, exact and plain.

Written to be read and trusted, not to be fast. Features are int8 ``(N, C, *spatial)`` with any
number of spatial axes; none is a fully connected layer. Products are summed in float64, which is
exact here: every partial sum is an integer below 2**53.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tf2.numerics import fixed_point
from tf2.numerics.fixed_point import BYTE_MAX, BYTE_MIN


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a kernel walks over the spatial axes; all tuples have one entry an axis.

    Attributes:
        kernel: Taps an axis.
        strides: Step an axis.
        pads_begin: Positions inserted before the first.
        pads_end: Positions inserted after the last, as many as the last window needs; negative
            where it leaves some of the input unread.
        dilations: Distance of two taps.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads_begin: tuple[int, ...]
    pads_end: tuple[int, ...]
    dilations: tuple[int, ...]

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the number of window positions an axis: floor((padded - span) / stride) + 1."""
        return tuple(
            (n + before + after - (dilation * (taps - 1) + 1)) // stride + 1
            for n, taps, stride, before, after, dilation in zip(
                size,
                self.kernel,
                self.strides,
                self.pads_begin,
                self.pads_end,
                self.dilations,
                strict=True,
            )
        )

    def taps(
        self, features: NDArray[np.integer], fill: int
    ) -> Iterator[tuple[tuple[int, ...], NDArray[np.integer]]]:
        """Yield (tap, the input each output position sees at that tap) with ``fill`` as padding."""
        size = features.shape[2:]
        ends = (max(end, 0) for end in self.pads_end)  # negative: positions no window reaches
        pads = [(0, 0), (0, 0), *zip(self.pads_begin, ends, strict=True)]
        padded = np.pad(features, pads, constant_values=fill)
        out = self.output_size(size)
        for tap in product(*(range(k) for k in self.kernel)):
            where = tuple(
                slice(t * d, t * d + (o - 1) * s + 1, s)
                for t, d, o, s in zip(tap, self.dilations, out, self.strides, strict=True)
            )
            yield tap, padded[(slice(None), slice(None), *where)]


def accumulate(
    features: NDArray[np.int8],
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    *,
    window: Window,
    groups: int,
    zero_point: int,
) -> NDArray[np.int64]:
    """Return ``bias[o] + sum((b - zero_point) * w)`` over taps and the group's input channels.

    Padding holds the zero point, so it adds nothing. The hardware sums b * w and carries
    ``-zero_point * sum(w)`` in its bias: the same integer.

    Args:
        features: (N, C, *spatial).
        weights: (O, C / groups, *kernel), integers of either lane kind.
        bias: (O,).
        window: Of the spatial axes.
        groups: Divides C and O.
        zero_point: Of the features.

    Returns:
        (N, O, *output spatial).
    """
    n, channels = features.shape[:2]
    out_channels = weights.shape[0]
    size = window.output_size(features.shape[2:])
    acc = np.zeros((groups, out_channels // groups, n * int(np.prod(size, dtype=int))))
    grouped = weights.reshape(groups, out_channels // groups, channels // groups, *window.kernel)
    for tap, seen in window.taps(features, zero_point):
        values = seen.astype(np.float64) - zero_point
        columns = np.moveaxis(values, 1, 0).reshape(groups, channels // groups, -1)
        acc += grouped[(..., *tap)].astype(np.float64) @ columns
    sums = np.moveaxis(acc.reshape(out_channels, n, *size), 0, 1).astype(np.int64)
    return sums + bias.astype(np.int64).reshape(1, -1, *[1] * len(size))


def conv(
    features: NDArray[np.int8],
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multiplier: NDArray[np.integer],
    shift: NDArray[np.integer],
    *,
    window: Window,
    groups: int = 1,
    input_zero_point: int,
    output_zero_point: int,
    negative_multiplier: NDArray[np.integer] | None = None,
    negative_shift: NDArray[np.integer] | None = None,
    low: int = BYTE_MIN,
    high: int = BYTE_MAX,
) -> NDArray[np.int8]:
    """Return the output bytes of a convolution or fully connected layer (design, section 3).

    ``y = saturate(round_half_even(acc * M[o] / 2**s[o]) + z_out)``, clipped to ``low..high``. Where
    ``acc < 0`` the second multiplier and shift apply, when given (PReLU, leaky ReLU).

    Raises:
        OverflowError: An accumulator leaves int32.
    """
    acc = accumulate(
        features, weights, bias, window=window, groups=groups, zero_point=input_zero_point
    )
    if acc.size and (acc.min() < fixed_point.ACC_MIN or acc.max() > fixed_point.ACC_MAX):
        raise OverflowError(f"accumulators {acc.min()}..{acc.max()} leave int32")
    per_channel = (1, -1, *[1] * (acc.ndim - 2))
    m, s = multiplier.reshape(per_channel), shift.reshape(per_channel)
    if negative_multiplier is not None and negative_shift is not None:
        m = np.where(acc < 0, negative_multiplier.reshape(per_channel), m)
        s = np.where(acc < 0, negative_shift.reshape(per_channel), s)
    return fixed_point.rescale(acc, m, s, zero_point=output_zero_point, low=low, high=high)


def add(
    a: NDArray[np.int8],
    b: NDArray[np.int8],
    *,
    a_format: tuple[int, int],
    b_format: tuple[int, int],
    out_format: tuple[int, int],
    low: int = BYTE_MIN,
    high: int = BYTE_MAX,
) -> NDArray[np.int8]:
    """Return a + b: both shifted to the finer scale, one sum, one rounding, saturation.

    Each format is (frac_bits, zero_point). ``y = rhe(sum * 2**(Q_out - max(Q_a, Q_b))) + z_out``.
    Shapes broadcast as in NumPy.
    """
    (qa, za), (qb, zb), (qo, zo) = a_format, b_format, out_format
    finest = max(qa, qb)
    total = ((a.astype(np.int64) - za) << (finest - qa)) + (
        (b.astype(np.int64) - zb) << (finest - qb)
    )
    if qo >= finest:
        return fixed_point.saturate((total << (qo - finest)) + np.int64(zo), low, high)
    rounded = fixed_point.round_half_even_shift(total, finest - qo)
    return fixed_point.saturate(rounded + zo, low, high)


def max_pool(features: NDArray[np.int8], *, window: Window) -> NDArray[np.int8]:
    """Return the largest byte of each window; padding never wins."""
    size = window.output_size(features.shape[2:])
    best = np.full((*features.shape[:2], *size), BYTE_MIN, dtype=np.int8)
    for _, seen in window.taps(features, BYTE_MIN):
        best = np.maximum(best, seen)
    return best


def average_pool(
    features: NDArray[np.int8],
    *,
    window: Window,
    multiplier: int,
    shift: int,
    input_zero_point: int,
    output_zero_point: int,
) -> NDArray[np.int8]:
    """Return ``saturate(rhe(sum(b - z_in) * multiplier / 2**shift) + z_out)`` of each window.

    One multiplier for all windows: padding counts as values of zero.
    """
    size = window.output_size(features.shape[2:])
    acc = np.zeros((*features.shape[:2], *size), dtype=np.int64)
    for _, seen in window.taps(features, input_zero_point):
        acc += seen.astype(np.int64) - input_zero_point
    return fixed_point.rescale(acc, multiplier, shift, zero_point=output_zero_point)
