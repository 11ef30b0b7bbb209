from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import slow_reference
from slow_reference import clip

import random_layers
from tf2.numerics import integer_ops
from tf2.numerics.integer_ops import Window

Rng = np.random.Generator


def fractions(multiplier: np.ndarray, shift: np.ndarray) -> list[Fraction]:
    return [Fraction(int(m), 2 ** int(s)) for m, s in zip(multiplier, shift, strict=True)]


def window_of(kernel: tuple[int, ...], **given) -> Window:
    axes = len(kernel)
    plain = {
        "strides": (1,) * axes,
        "pads_begin": (0,) * axes,
        "pads_end": (0,) * axes,
        "dilations": (1,) * axes,
    }
    return Window(kernel=kernel, **{**plain, **given})


SIZES = {0: (), 1: (9,), 2: (5, 6), 3: (3, 4, 3)}


@pytest.mark.parametrize("with_second_multiplier", [False, True])
@pytest.mark.parametrize("zero_points", list(product([0, -128], repeat=2)))
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("axes", SIZES)
def test_conv_equals_the_slow_reference(
    axes: int, groups: int, zero_points: tuple[int, int], with_second_multiplier: bool, rng: Rng
):
    size = SIZES[axes]
    for _ in range(2):
        win = random_layers.window(rng, size)
        features = random_layers.feature_bytes(rng, (2, 4, *size))
        weights = random_layers.integer_weights(rng, (4, 4 // groups, *win.kernel), "int8")
        bias = rng.integers(-3000, 3000, 4).astype(np.int32)
        positive = rng.integers(0, 256, 4), rng.integers(0, 17, 4)
        negative = rng.integers(0, 256, 4), rng.integers(0, 17, 4)
        second = {"negative_multiplier": negative[0], "negative_shift": negative[1]}
        low, high = sorted(rng.integers(-128, 128, 2).tolist())
        found = integer_ops.conv(
            features, weights, bias, *positive,
            window=win, groups=groups, low=low, high=high,
            input_zero_point=zero_points[0], output_zero_point=zero_points[1],
            **(second if with_second_multiplier else {}),
        )  # fmt: skip
        below = negative if with_second_multiplier else positive
        factors = list(zip(fractions(*positive), fractions(*below), strict=True))
        expected = slow_reference.conv(
            features, weights, bias, factors, win, groups, zero_points, (low, high)
        )
        assert found.dtype == np.int8
        np.testing.assert_array_equal(found, expected)


def test_conv_by_hand():
    features = np.array([[[-128, 10, 127]]], np.int8)  # unsigned: 0, 138, 255
    found = integer_ops.conv(
        features,
        np.array([[[1, -2]]], np.int8),
        np.array([5], np.int32),
        np.array([3]),
        np.array([2]),
        window=window_of((2,), pads_end=(1,)),
        input_zero_point=-128,
        output_zero_point=0,
    )
    # acc = 0 - 276 + 5, 138 - 510 + 5, 255 - 2 * 0 + 5; times 3 / 4: -203.25, -275.25, 195
    assert found.tolist() == [[[-128, -128, 127]]]


def test_the_folded_bias_of_the_hardware_gives_the_same_accumulators(rng: Rng):
    features = random_layers.feature_bytes(rng, (1, 3, 7, 7))
    weights = random_layers.integer_weights(rng, (4, 3, 3, 3), "pot4")
    bias = rng.integers(-1000, 1000, 4).astype(np.int32)
    win = window_of((3, 3))
    folded = bias + 128 * weights.astype(np.int32).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(
        integer_ops.accumulate(features, weights, bias, window=win, groups=1, zero_point=-128),
        integer_ops.accumulate(features, weights, folded, window=win, groups=1, zero_point=0),
    )


def test_conv_refuses_accumulators_beyond_int32():
    with pytest.raises(OverflowError, match=r"accumulators 2147483648\.\.2147483648 leave int32"):
        integer_ops.conv(
            np.array([[1]], np.int8),
            np.array([[1]], np.int8),
            np.array([2**31 - 1], np.int32),
            np.array([1]),
            np.array([17]),
            window=window_of(()),
            input_zero_point=0,
            output_zero_point=0,
        )


FORMATS = [
    ((3, 0), (3, 0), (3, 0)),
    ((4, -128), (4, -128), (3, -128)),
    ((5, 0), (2, -128), (3, 0)),
    ((1, -128), (7, 0), (4, -128)),
    ((0, 0), (0, 0), (5, -128)),
    ((6, 0), (-8, 0), (-8, 0)),
    ((-3, -128), (-1, 0), (-6, 0)),
]


@pytest.mark.parametrize(("a_format", "b_format", "out_format"), FORMATS)
def test_add_is_the_rounded_sum_of_the_values_for_every_pair(a_format, b_format, out_format):
    a, b = (side.reshape(-1).astype(np.int8) for side in np.mgrid[-128:128, -128:128])
    found = integer_ops.add(a, b, a_format=a_format, b_format=b_format, out_format=out_format)
    scale = Fraction(2) ** out_format[0]

    def in_steps(byte: int, form: tuple[int, int]) -> Fraction:
        return (byte - form[1]) * scale / Fraction(2) ** form[0]

    terms_a = {byte: in_steps(byte, a_format) for byte in range(-128, 128)}
    terms_b = {byte: in_steps(byte, b_format) for byte in range(-128, 128)}
    expected = [
        clip(round(terms_a[x] + terms_b[y]) + out_format[1])
        for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert found.tolist() == expected


def test_add_broadcasts_and_clips():
    a = np.array([[-100], [100]], np.int8)
    found = integer_ops.add(
        a, np.array([0, 20], np.int8),
        a_format=(0, 0), b_format=(0, 0), out_format=(0, 0), low=-90, high=110,
    )  # fmt: skip
    assert found.tolist() == [[-90, -80], [100, 110]]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_max_pool_equals_the_slow_reference(axes: int, rng: Rng):
    for _ in range(8):
        win = random_layers.window(rng, SIZES[axes], pool=True)
        features = random_layers.feature_bytes(rng, (2, 3, *SIZES[axes]))
        expected = slow_reference.pool(features, win, max)
        np.testing.assert_array_equal(integer_ops.max_pool(features, window=win), expected)


@pytest.mark.parametrize("zero_points", list(product([0, -128], repeat=2)))
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_average_pool_equals_the_slow_reference(axes: int, zero_points, rng: Rng):
    z_in, z_out = zero_points
    for _ in range(8):
        win = random_layers.window(rng, SIZES[axes], pool=True)
        features = random_layers.feature_bytes(rng, (2, 3, *SIZES[axes]))
        multiplier, shift = int(rng.integers(1, 256)), int(rng.integers(4, 17))

        def average(taps: list[int], factor: Fraction = Fraction(multiplier, 2**shift)) -> int:
            return clip(round(sum(b - z_in for b in taps) * factor) + z_out)

        found = integer_ops.average_pool(
            features, window=win, multiplier=multiplier, shift=shift,
            input_zero_point=z_in, output_zero_point=z_out,
        )  # fmt: skip
        np.testing.assert_array_equal(found, slow_reference.pool(features, win, average))


def test_a_window_leaves_positions_unread_where_its_end_pad_is_negative(rng: Rng):
    features = random_layers.feature_bytes(rng, (1, 1, 8))
    win = window_of((3,), strides=(4,), pads_end=(-1,))  # reads 0..2 and 4..6 of 0..7
    assert win.output_size((8,)) == (2,)
    expected = [features[0, 0, :3].max(), features[0, 0, 4:7].max()]
    assert integer_ops.max_pool(features, window=win)[0, 0].tolist() == expected
