from __future__ import annotations

import numpy as np
import pytest
from bench import run_fixed

from tf2.gateware.requantize import Requantize
from tf2.numerics import fixed_point


def requantized(cases, *, zero_point, low, high):
    """Give a case a cycle; return the bytes at the declared latency."""
    settings = {
        "zero_point_low": zero_point != 0, "lowest": low - zero_point, "highest": high - zero_point,
    }  # fmt: skip
    names = ("acc", "multiplier", "shift", "negative_multiplier", "negative_shift")
    inputs = [dict(zip(names, case, strict=True)) | settings for case in cases.tolist()]
    inputs += [settings] * Requantize.LATENCY
    record = run_fixed(Requantize(), inputs, ["byte"])
    return [cycle["byte"] for cycle in record[Requantize.LATENCY :]]


def expected(cases, *, zero_point, low, high):
    acc, multiplier, shift, negative_multiplier, negative_shift = cases.T
    return fixed_point.rescale(
        acc,
        np.where(acc < 0, negative_multiplier, multiplier),
        np.where(acc < 0, negative_shift, shift),
        zero_point=zero_point, low=low, high=high,
    ).tolist()  # fmt: skip


def random_cases(rng, count, magnitude):
    acc = rng.integers(-magnitude, magnitude, count)
    pairs = [rng.integers(*bounds, count) for bounds in ((0, 256), (0, 18), (-255, 256), (0, 18))]
    return np.stack([acc, *pairs], axis=1)


@pytest.mark.parametrize("zero_point", [0, -128])
@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-100, 90), (0, 0), (-128, -100)])
def test_bytes_are_those_of_rescale(rng, zero_point, low, high):
    settings = {"zero_point": zero_point, "low": low, "high": high}
    cases = np.concatenate([random_cases(rng, 150, 2**bits) for bits in (4, 9, 16, 24, 31)])
    assert requantized(cases, **settings) == expected(cases, **settings)


def test_ties_go_to_even_at_every_shift():
    settings = {"zero_point": 0, "low": -128, "high": 127}
    cases = np.array([
        (half + nudge, 1, shift, 1, shift)
        for shift in range(18)
        for steps in (-5, -4, -3, -2, -1, 0, 1, 2, 3, 4)
        for half in [(2 * steps + 1) << shift >> 1]
        for nudge in (-1, 0, 1)
    ])  # fmt: skip
    assert requantized(cases, **settings) == expected(cases, **settings)


def test_extreme_accumulators_and_multipliers_saturate():
    settings = {"zero_point": 0, "low": -128, "high": 127}
    cases = np.array([
        (acc, m, s, n, s)
        for acc in (-(2**31), 2**31 - 1, -1, 0, 1)
        for m in (0, 1, 255)
        for n in (-255, -1, 0, 255)
        for s in (0, 1, 17)
    ])  # fmt: skip
    assert requantized(cases, **settings) == expected(cases, **settings)


def test_a_raw_byte_comes_out_whatever_lies_above_it(rng):
    settings = {"raw": 1, "multiplier": 1, "negative_multiplier": 1, "lowest": -256, "highest": 255}
    acc = rng.integers(-(2**31), 2**31, 100)
    record = run_fixed(
        Requantize(), [settings | {"acc": a} for a in acc.tolist()] + [settings] * 6, ["byte"]
    )
    assert [c["byte"] for c in record[Requantize.LATENCY :]] == acc.astype(np.int8).tolist()
