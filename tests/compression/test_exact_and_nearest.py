import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf2.compression.exact import power_of_two_rows
from tf2.compression.nearest import nearest
from tf2.numerics import pot4

Rng = np.random.Generator


def codes(rng: Rng, shape: tuple[int, int], *, top: bool = True) -> np.ndarray:
    """Return random grid points; ``top``: the largest is in every row, as after INQ."""
    q = rng.choice(np.array(pot4.VALUES, float), shape)
    if top:
        q[:, 0] = 64
    return q


@pytest.mark.parametrize("exponent", [-20, -7, 0, 3])
def test_plain_powers_of_two_share_one_gain_and_come_back_to_the_bit(exponent: int, rng: Rng):
    weight = (codes(rng, (9, 30), top=False) * 2.0**exponent).astype(np.float32)
    weight[0, 0] = 64 * 2.0**exponent  # the largest is in one row only
    found = power_of_two_rows(weight)
    assert found is not None
    q, alpha = found
    np.testing.assert_array_equal(q * alpha[:, None], weight)
    assert set(alpha.tolist()) == {2.0**exponent}


def test_rows_scaled_by_a_folded_norm_get_their_own_gain(rng: Rng):
    gain = rng.uniform(0.01, 3.0, 40).astype(np.float32)
    plain = codes(rng, (40, 30)).astype(np.float32)
    found = power_of_two_rows(plain * 2.0**-5 * gain[:, None])
    assert found is not None
    q, alpha = found
    np.testing.assert_array_equal(q, plain)
    np.testing.assert_allclose(alpha, 2.0**-5 * gain, rtol=1e-7)


def test_a_window_of_each_row_is_found_where_one_does_not_hold_all(rng: Rng):
    plain = codes(rng, (6, 10)) * 2.0 ** np.array([-9, -6, -3, 0, 3, 6])[:, None]
    found = power_of_two_rows(plain.astype(np.float32))
    assert found is not None
    np.testing.assert_array_equal(found[0] * found[1][:, None], plain)


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_rows_of_zeros_stay_zero_and_have_no_gain(scale: float, rng: Rng):
    weight = (codes(rng, (4, 6)) * scale).astype(np.float32)
    weight[2] = 0
    found = power_of_two_rows(weight)
    assert found is not None
    assert not found[0][2].any()
    assert found[1][2] == 0
    assert (found[1][[0, 1, 3]] > 0).all()
    nothing = power_of_two_rows(np.zeros((3, 5), np.float32))
    assert nothing is not None
    assert not nothing[0].any()


def test_one_weight_of_a_row_beside_a_power_of_two_refuses_the_layer(rng: Rng):
    weight = codes(rng, (5, 8))
    weight[3, 4] = 8 * (1 + 2.0**-16)
    assert power_of_two_rows(weight.astype(np.float32)) is None
    weight[3, 4] = 8 * (1 + 2.0**-20)  # float32 rounding of a folded scale
    assert power_of_two_rows(weight.astype(np.float32)) is not None


def test_a_row_over_more_than_seven_octaves_refuses_the_layer(rng: Rng):
    assert power_of_two_rows(np.float32([[64, 1]])) is not None
    assert power_of_two_rows(np.float32([[64, 0.5]])) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_on_no_grid(bad: float):
    assert power_of_two_rows(np.float32([[64, bad]])) is None


def test_one_weight_a_channel_always_is_on_a_grid(rng: Rng):
    """A depthwise 1x1 convolution is a gain: exact with weight 64."""
    weight = rng.normal(size=(7, 1)).astype(np.float32)
    found = power_of_two_rows(weight)
    assert found is not None
    np.testing.assert_array_equal(found[0] * found[1][:, None], weight)


def original_rule(weights: np.ndarray) -> list[float]:
    """Return the original's powers of two, weight by weight in a loop, as its Python does.

    n1 = floor(log2(4 max|w| / 3)); e = floor(log2(4 |w| / 3)); below n1 - 6 the weight is 0.
    """
    largest = max(abs(w) for w in weights)
    top = int(np.floor(np.log2(4 * largest / 3)))
    result = []
    for w in weights:
        exponent = int(np.floor(np.log2(4 * abs(w) / 3))) if w else top - 7
        result.append(float(np.sign(w)) * 2.0**exponent if exponent >= top - 6 else 0.0)
    return result


@given(st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=40).filter(any))
def test_nearest_is_the_rule_of_the_original(weights: list[float]):
    weight = np.array(weights, np.float32).astype(float)
    if np.abs(weight).max() < 1e-30:
        return
    q, alpha = nearest(weight[None].astype(np.float32))
    assert (q[0] * alpha[0]).tolist() == original_rule(weight)


def test_nearest_by_hand():
    """Largest 1.0: n1 = floor(log2(4/3)) = 0, the window is 1/64..1."""
    weight = np.float32([[1.0, 0.76, 0.74, -0.375, 0.0118, 0.0117, 0.008, 0.0]])
    q, alpha = nearest(weight)
    assert (q[0] * alpha[0]).tolist() == [1, 1, 0.5, -0.5, 1 / 64, 0, 0, 0]


def test_nearest_takes_one_window_for_the_whole_layer(rng: Rng):
    weight = rng.normal(size=(5, 20)).astype(np.float32)
    weight[2] *= 1e-4
    q, alpha = nearest(weight)
    assert len(set(alpha.tolist())) == 1
    assert not q[2].any()


def test_nearest_of_zeros_is_zeros():
    q, alpha = nearest(np.zeros((2, 3), np.float32))
    assert not q.any()
    assert not alpha.any()
