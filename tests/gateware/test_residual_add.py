from __future__ import annotations

import numpy as np
import pytest
from bench import run_fixed

from tf2.gateware.residual_add import ResidualAdd
from tf2.numerics import fixed_point, integer_ops


def added(y, r, *, shift_y, shift_r, **settings):
    settings |= {"factor_y": 1 << shift_y, "factor_r": 0 if shift_r is None else 1 << shift_r}
    zero_point = -128 * settings["zero_point_low"]
    settings["lowest"] = settings.pop("low") - zero_point
    settings["highest"] = settings.pop("high") - zero_point
    inputs = [{"y": a, "r": b} | settings for a, b in zip(y.tolist(), r.tolist(), strict=True)]
    inputs += [settings] * ResidualAdd.LATENCY
    record = run_fixed(ResidualAdd(), inputs, ["byte"])
    return [cycle["byte"] for cycle in record[ResidualAdd.LATENCY :]]


@pytest.mark.parametrize("seed", range(12))
def test_sums_are_those_of_the_instruction(seed):
    rng = np.random.default_rng(seed)
    y, r = rng.integers(-128, 128, (2, 300))
    y[:4], r[:4] = (-128, -128, 127, 127), (-128, 127, -128, 127)
    shift_y, shift_r, shift_out = rng.integers(0, 15, 3).tolist()
    y_zero, r_zero, zero = (-128 * rng.integers(0, 2, 3)).tolist()
    low, high = sorted(rng.integers(-128, 128, 2).tolist())
    total = ((y - y_zero) << shift_y) + ((r - r_zero) << shift_r)
    rounded = fixed_point.round_half_even_shift(total, shift_out)
    expected = fixed_point.saturate(rounded + zero, low, high).tolist()
    assert expected == added(
        y, r, y_unsigned=y_zero != 0, r_unsigned=r_zero != 0, shift_y=shift_y,
        shift_r=shift_r, shift_out=shift_out, zero_point_low=zero != 0, low=low, high=high,
    )  # fmt: skip


def test_a_sum_of_two_formats_is_that_of_the_integer_operator(rng):
    y, r = rng.integers(-128, 128, (2, 300)).astype(np.int8)
    expected = integer_ops.add(y, r, a_format=(5, 0), b_format=(3, -128), out_format=(2, -128))
    assert expected.tolist() == added(
        y, r, y_unsigned=0, r_unsigned=1, shift_y=0, shift_r=2, shift_out=3,
        zero_point_low=1, low=-128, high=127,
    )  # fmt: skip


def test_without_a_residual_the_byte_goes_through(rng):
    y = np.arange(-128, 128)
    settings = dict.fromkeys(("y_unsigned", "r_unsigned", "zero_point_low", "shift_out"), 0)
    settings |= {"shift_y": 0, "shift_r": None, "low": -128, "high": 127}
    assert added(y, rng.integers(-128, 128, 256), **settings) == y.tolist()
