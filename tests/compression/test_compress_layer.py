import numpy as np
import pytest

from tf2.compression.grid import Gains
from tf2.compression.layer import BIAS_LIMIT, FloatLayer, IntegerLayer, compress_layer
from tf2.compression.statistics import Moments
from tf2.ir import Feature
from tf2.numerics import fixed_point, pot4
from tf2.passes.activation import Activation

Rng = np.random.Generator
INPUT, OUTPUT = Feature(5, 0), Feature(3, 0)


def layer(weight: np.ndarray, bias=0.0, *, groups: int = 1, slope=None) -> FloatLayer:
    return FloatLayer(
        weight=weight.astype(np.float32),
        bias=np.broadcast_to(np.asarray(bias, float), len(weight)),
        groups=groups,
        activation=Activation(slope=None if slope is None else np.asarray(slope, float)),
    )


def moments(
    given: FloatLayer, rng: Rng, *, mean: float = 0.0, target_shift: float = 0.0
) -> Moments:
    """Return the moments of 2000 random rows that are the same in both networks."""
    groups = given.groups
    per_group = given.rows.reshape(groups, -1, given.rows.shape[1])
    x = rng.normal(size=(groups, 2000, given.rows.shape[1])) + mean
    t = np.einsum("gnk,gok->gno", x, per_group) + given.bias.reshape(groups, 1, -1) + target_shift
    centred, wanted = x - x.mean(axis=1, keepdims=True), t - t.mean(axis=1, keepdims=True)
    return Moments(
        covariance=np.einsum("gnk,gnl->gkl", centred, centred) / 2000,
        target=np.einsum("gno,gnk->gok", wanted, centred) / 2000,
        mean=x.mean(axis=1),
        target_mean=t.mean(axis=1).reshape(-1),
    )


def compressed(
    given: FloatLayer,
    *,
    x: Feature = INPUT,
    y: Feature = OUTPUT,
    method: str = "nearest",
    kind="pot4",
    statistics: Moments | None = None,
) -> IntegerLayer:
    return compress_layer(
        given, Gains(x, y), kind=kind, method=method, statistics=statistics, damping=0.01
    )


def gain(done: IntegerLayer, x: Feature = INPUT, y: Feature = OUTPUT) -> np.ndarray:
    p = done.parameters
    return p.multiplier * 2.0 ** (x.frac_bits - y.frac_bits - p.shift)


SHAPES = [(6, 3, 3, 3), (6, 5), (6, 1, 3, 3), (6, 3, 5), (6, 2, 2, 2, 3)]


@pytest.mark.parametrize("method", ["nearest", "compensated"])
@pytest.mark.parametrize("shape", SHAPES)
def test_plain_powers_of_two_are_taken_over_to_the_bit(shape, method: str, rng: Rng):
    plain = rng.choice(np.array(pot4.VALUES, float), shape) / 256
    plain.flat[0] = 0.25
    done = compressed(layer(plain), method=method)
    assert done.exact
    weight = done.parameters.weight * gain(done).reshape(-1, *[1] * (len(shape) - 1))
    np.testing.assert_array_equal(weight, plain)


def test_plain_powers_of_two_are_met_at_every_scale_of_the_features(rng: Rng):
    """Down to a rescaling of 2**-17, which the lowest admissible multiplier 16 would not reach."""
    plain = rng.choice(np.array(pot4.VALUES, float), (4, 9))
    plain[:, 0] = 64
    for exponent in range(-17, 8):
        x, y = Feature(0, 0), Feature(exponent, 0)
        done = compressed(layer(plain), x=x, y=y)
        assert done.exact
        np.testing.assert_array_equal(done.parameters.weight * gain(done, x, y)[:, None], plain)


def test_rows_scaled_by_a_folded_norm_keep_their_codes(rng: Rng):
    plain = rng.choice(np.array(pot4.VALUES, float), (8, 9))
    plain[:, 0] = 64
    scale = rng.uniform(0.02, 0.2, 8)
    done = compressed(layer(plain * scale[:, None]), method="compensated")
    assert done.exact
    np.testing.assert_array_equal(done.parameters.weight, plain)
    np.testing.assert_allclose(gain(done), scale, rtol=1 / 256)  # multipliers of 8 bits


def test_rows_whose_gain_cannot_be_met_are_rounded_anew_to_one_that_can():
    """Smallest gain 16 / 2**17: 2**-13. A row 3 * 2**-18 * (64, 32, 1) becomes (1, 1, 0) of that:
    0.0878, 0.0439 of 1 lose, and 64 times that would be far too large."""
    row = 3 * 2.0**-18 * np.array([64.0, 32, 1])
    done = compressed(layer(np.stack([row, [1.0, 0.5, 0.25]])), x=Feature(0, 0), y=Feature(0, 0))
    assert not done.exact
    assert gain(done, Feature(0, 0), Feature(0, 0))[0] == 2.0**-13
    np.testing.assert_allclose(done.effective_weight[0, :2], row[:2], rtol=0.34)
    assert done.effective_weight[1].tolist() == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("method", ["nearest", "compensated"])
@pytest.mark.parametrize("weight", [np.zeros((3, 4)), np.array([[0.0] * 4, [1.0] * 4, [0.3] * 4])])
def test_constant_channels_keep_their_bias_to_half_a_step(method, weight, rng: Rng):
    bias = np.array([3.3, -2.7, 0.04])
    given = layer(weight, bias)
    done = compressed(given, method=method, statistics=moments(given, rng))
    step = gain(done) * INPUT.scale  # of the accumulator
    dead = ~weight.any(axis=1)
    found = done.parameters.bias * step
    np.testing.assert_allclose(found[dead], bias[dead], rtol=0, atol=OUTPUT.scale / 2)


def test_biases_are_whole_accumulator_steps(rng: Rng):
    given = layer(np.array([[1.0, -0.5], [0.25, 0.125]]), [0.3, -7.7])
    done = compressed(given)
    expected = np.rint(given.bias / (gain(done) / 32))
    np.testing.assert_array_equal(done.parameters.bias, expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_biases_beyond_the_accumulator_saturate_where_the_byte_does_anyway(sign: int):
    given = layer(np.array([[1.0, -0.5]]), sign * 1e12)
    done = compressed(given)
    assert done.parameters.bias.tolist() == [sign * BIAS_LIMIT]
    p = done.parameters
    y = fixed_point.rescale(p.bias, p.multiplier, p.shift, zero_point=0)
    assert y.tolist() == [127 if sign > 0 else -128]


@pytest.mark.parametrize("kind", ["pot4", "int8"])
def test_the_bias_keeps_the_mean_of_each_output(kind, rng: Rng):
    """Inputs far from 0, and targets 0.7 higher than the weights explain."""
    given = layer(rng.normal(size=(6, 10)), rng.normal(size=6))
    seen = moments(given, rng, mean=2.0, target_shift=0.7)
    done = compressed(given, method="compensated", kind=kind, statistics=seen)
    step = gain(done) / 32
    reached = done.effective_weight @ seen.mean[0] + done.parameters.bias * step
    assert (np.abs(reached - seen.target_mean) <= step / 2 + 1e-9).all()


def test_without_statistics_the_nearest_rule_leaves_the_bias(rng: Rng):
    given = layer(rng.normal(size=(6, 10)), rng.normal(size=6))
    done = compressed(given)
    step = gain(done) / 32
    assert (np.abs(done.parameters.bias * step - given.bias) <= step / 2).all()


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_each_group_is_solved_with_the_moments_of_its_own_inputs(groups: int, rng: Rng):
    """The same as each group compressed as a layer of its own."""
    given = layer(rng.normal(size=(6, 4, 2)), rng.normal(size=6), groups=groups)
    seen = moments(given, rng)
    done = compressed(given, method="compensated", statistics=seen).parameters
    for g in range(groups):
        rows = slice(g * 6 // groups, (g + 1) * 6 // groups)
        part = Moments(
            covariance=seen.covariance[g : g + 1],
            target=seen.target[g : g + 1],
            mean=seen.mean[g : g + 1],
            target_mean=seen.target_mean[rows],
        )
        alone = compressed(
            layer(given.weight[rows], given.bias[rows]), method="compensated", statistics=part
        ).parameters
        for name in ("weight", "bias", "multiplier", "shift"):
            np.testing.assert_array_equal(getattr(done, name)[rows], getattr(alone, name), name)


def slopes_of(done: IntegerLayer) -> np.ndarray:
    assert done.parameters.negative is not None
    multiplier, shift = done.parameters.negative
    p = done.parameters
    return (multiplier * 2.0**-shift) / (p.multiplier * 2.0**-p.shift)


def test_slopes_become_second_multipliers(rng: Rng):
    slope = [0.0, 0.25, 0.1, 1.0, 1.7]
    done = compressed(layer(rng.normal(size=(5, 9)), slope=slope))
    np.testing.assert_allclose(slopes_of(done), slope, rtol=1 / 128)
    assert done.parameters.negative[0][0] == 0


def test_one_slope_serves_all_channels(rng: Rng):
    done = compressed(layer(rng.normal(size=(5, 9)), slope=[0.125]))
    np.testing.assert_allclose(slopes_of(done), np.full(5, 0.125), rtol=1 / 128)


def test_slopes_too_small_for_a_shift_are_0(rng: Rng):
    done = compressed(layer(rng.normal(size=(5, 9)), slope=[1e-9]))
    assert not slopes_of(done).any()


@pytest.mark.parametrize("method", ["nearest", "compensated"])
def test_a_layer_kept_at_8_bits_has_weights_of_8_bits(method: str, rng: Rng):
    given = layer(rng.normal(size=(6, 10)))
    done = compressed(given, method=method, kind="int8", statistics=moments(given, rng))
    assert done.parameters.weight_kind == "int8"
    assert np.abs(done.parameters.weight).max() > 100
    # Steps of 1/127 of the largest weight; the compensation moves some by a few of them.
    limit = np.abs(given.rows).max(axis=1) / 30
    assert (np.abs(done.effective_weight - given.rows).max(axis=1) < limit).all()
