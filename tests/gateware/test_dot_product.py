from __future__ import annotations

import numpy as np
import pytest
from bench import pack, run_fixed

from tf2.gateware.dot_product import DotProduct
from tf2.numerics import pot4


def lane_value(byte, code):
    """What a "sac" lane gives, written plainly."""
    if code % 8 == 7:
        return 0
    return int(byte) << (code - 8) if code > 7 else ~(int(byte) << code)


def decoded(weights, kind):
    if kind == "mac":
        return pack(weights, 8)
    keep = [w % 8 != 7 for w in weights]
    return pack(
        [w % 8 | k << 3 | (k and w < 8) << 4 for w, k in zip(weights, keep, strict=True)], 5
    )


def sums_of(kind, features, weights):
    """Run a DotProduct on rows of features and weights; check its latency, return the sums."""
    inputs = features.shape[1]
    dut = DotProduct(kind, inputs)
    record = run_fixed(
        dut,
        [
            {"features": pack(f, 8), "weights": decoded(w.tolist(), kind)}
            for f, w in zip(features, weights, strict=True)
        ],
        ["sum"],
        drain=dut.latency(inputs),
    )
    return [cycle["sum"] for cycle in record[dut.latency(inputs) :]]


def test_every_byte_with_every_code_is_shifted_or_complemented():
    codes, bytes_ = np.meshgrid(np.arange(16), np.arange(-128, 128))
    codes, bytes_ = codes.reshape(-1, 1), bytes_.reshape(-1, 1)
    expected = [lane_value(b, c) for b, c in zip(bytes_[:, 0], codes[:, 0], strict=True)]
    assert sums_of("sac", bytes_, codes) == expected


@pytest.mark.parametrize("inputs", [1, 2, 4, 8, 16, 32])
def test_dot_products_are_exact_at_the_declared_latency(rng, inputs):
    features = rng.integers(-128, 128, (50, inputs))
    codes = rng.integers(0, 15, (50, inputs))
    features[0], codes[0] = -128, 14
    features[1], codes[1] = -128, 6
    features[2], codes[2] = 127, 6
    expected = [
        sum(lane_value(b, c) for b, c in zip(f, w, strict=True))
        for f, w in zip(features.tolist(), codes.tolist(), strict=True)
    ]
    assert sums_of("sac", features, codes) == expected


@pytest.mark.parametrize("inputs", [1, 4, 16])
def test_mac_lanes_multiply(rng, inputs):
    features, weights = rng.integers(-128, 128, (2, 50, inputs))
    features[0] = weights[0] = -128
    features[1], weights[1] = -128, 127
    assert sums_of("mac", features, weights) == (features * weights).sum(axis=1).tolist()


def test_a_shift_accumulate_is_the_product_less_one_for_each_negative_code():
    for code in range(15):
        for byte in (-128, -1, 0, 1, 127):
            weight = int(pot4.decode(np.array([code], dtype=np.uint8))[0])
            assert lane_value(byte, code) == byte * weight - (weight < 0)
