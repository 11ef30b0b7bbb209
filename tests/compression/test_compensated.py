import numpy as np
import pytest

from tf2.compression import wide as wide_module
from tf2.compression.compensated import compensated
from tf2.compression.grid import LARGEST, ROUND, Gains
from tf2.compression.nearest import nearest
from tf2.compression.statistics import WideRows
from tf2.compression.wide import compensated_wide
from tf2.ir import Feature
from tf2.numerics import pot4

Rng = np.random.Generator
GAINS = Gains(Feature(5, 0), Feature(3, 0))
KINDS = pytest.mark.parametrize("kind", ["pot4", "int8"])


def correlated_inputs(rng: Rng, samples: int, width: int) -> np.ndarray:
    """Return centred rows whose neighbours vary together, as those of an image do."""
    rows = rng.normal(size=(samples, width)).cumsum(axis=1) * 0.3 + rng.normal(
        size=(samples, width)
    )
    rows *= rng.uniform(0.2, 2.0, width)
    return rows - rows.mean(axis=0)


def moments(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.T @ x / len(x), t.T @ x / len(x)


def output_error(x, t, q, alpha) -> np.ndarray:
    """Return the mean squared error of each output, on rows."""
    return np.square(t - x @ (q * alpha[:, None]).T).mean(axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_beats_the_nearest_powers_of_two_on_inputs_not_seen(seed: int):
    """On every layer, by 3 dB at the least (measured: 5 to 8)."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(24, 36)).astype(np.float32)
    x = correlated_inputs(rng, 8000, 36)
    seen, unseen = x[:4000], x[4000:]
    q, alpha = compensated(weight, *moments(seen, seen @ weight.T), gains=GAINS)
    target = unseen @ weight.T
    ours = output_error(unseen, target, q, alpha).sum()
    theirs = output_error(unseen, target, *nearest(weight)).sum()
    assert ours < 0.5 * theirs


@KINDS
@pytest.mark.parametrize(("outputs", "width"), [(1, 1), (5, 1), (1, 7), (6, 9), (3, 130)])
def test_codes_are_of_the_grid_and_gains_can_be_expressed(outputs, width, kind, rng: Rng):
    weight = rng.normal(size=(outputs, width)).astype(np.float32)
    x = correlated_inputs(rng, 400, width)
    q, alpha = compensated(weight, *moments(x, x @ weight.T), gains=GAINS, kind=kind)
    assert (q.shape, q.dtype) == (weight.shape, np.int8)
    assert alpha.shape == (outputs,)
    np.testing.assert_array_equal(GAINS.rounded(alpha), alpha)
    grid = pot4.VALUES if kind == "pot4" else range(-127, 128)
    assert np.isin(q, list(grid)).all()


@KINDS
def test_no_code_could_be_better_alone(kind: str, rng: Rng):
    """A coordinate-wise minimum of the error on the very rows it was given (no damping)."""
    weight = rng.normal(size=(4, 12)).astype(np.float32)
    x = correlated_inputs(rng, 500, 12)
    t = x @ weight.T
    q, alpha = compensated(weight, *moments(x, t), gains=GAINS, kind=kind, damping=0.0)
    best = output_error(x, t, q, alpha)
    points = pot4.VALUES if kind == "pot4" else np.arange(-127, 128)
    # int8 takes few sweeps, so neighbours along the grid may still be better by a little.
    slack = 1e-6 if kind == "pot4" else 0.02
    for column in range(12):
        for value in points:
            other = q.astype(int)
            other[:, column] = value
            assert (output_error(x, t, other, alpha) >= best * (1 - slack) - 1e-9).all()


def test_eight_bits_lose_almost_nothing(rng: Rng):
    weight = rng.normal(size=(8, 20)).astype(np.float32)
    x = correlated_inputs(rng, 500, 20)
    t = x @ weight.T
    q, alpha = compensated(weight, *moments(x, t), gains=GAINS, kind="int8")
    # Rounding to 1/127 of the largest: 45 dB and more.
    assert output_error(x, t, q, alpha).sum() < 10**-4 * t.var(axis=0).sum()


def test_the_target_may_be_of_other_inputs(rng: Rng):
    """Rows of the quantized network at 80 % of the float one's: the gains make it good."""
    weight = rng.normal(size=(8, 20)).astype(np.float32)
    y = correlated_inputs(rng, 2000, 20)
    t, x = y @ weight.T, 0.8 * y
    q, alpha = compensated(weight, *moments(x, t), gains=GAINS, damping=0.0)
    share = (x @ (q * alpha[:, None]).T * t).mean(axis=0) / np.square(t).mean(axis=0)
    np.testing.assert_allclose(share, 1.0, atol=0.05)  # gains have 5 bits at the least


@KINDS
def test_inputs_that_never_vary_keep_their_weights(kind: str, rng: Rng):
    """They say nothing, so their weights are those of the grid nearest to the float ones."""
    weight = rng.normal(size=(6, 10)).astype(np.float32)
    x = correlated_inputs(rng, 400, 10)
    x[:, [2, 7]] = 0
    q, alpha = compensated(weight, *moments(x, x @ weight.T), gains=GAINS, kind=kind)
    nearest_codes = ROUND[kind](weight / alpha[:, None])
    np.testing.assert_array_equal(q[:, [2, 7]], nearest_codes[:, [2, 7]])


@KINDS
@pytest.mark.parametrize("damping", [0.0, 0.01])
def test_inputs_that_are_all_constant_give_plain_rounding(damping: float, kind: str, rng: Rng):
    """One sample has no covariance either."""
    weight = rng.normal(size=(6, 10)).astype(np.float32)
    nothing = np.zeros((10, 10)), np.zeros((6, 10))
    q, alpha = compensated(weight, *nothing, gains=GAINS, kind=kind, damping=damping)
    np.testing.assert_array_equal(q, ROUND[kind](weight / alpha[:, None]))
    error = np.square(weight - q * alpha[:, None]).sum(axis=1)
    assert (error < (0.06 if kind == "pot4" else 1e-3) * np.square(weight).sum(axis=1)).all()


@KINDS
def test_fewer_samples_than_inputs_are_no_obstacle(kind: str, rng: Rng):
    weight = rng.normal(size=(6, 60)).astype(np.float32)
    x = correlated_inputs(rng, 5, 60)
    t = x @ weight.T
    for damping in (0.0, 0.01):
        q, alpha = compensated(weight, *moments(x, t), gains=GAINS, kind=kind, damping=damping)
        assert output_error(x, t, q, alpha).sum() < 0.01 * t.var(axis=0).sum()


@KINDS
def test_rows_of_zeros_stay_zero(kind: str, rng: Rng):
    weight = rng.normal(size=(4, 10)).astype(np.float32)
    weight[1] = 0
    x = correlated_inputs(rng, 400, 10)
    q, alpha = compensated(weight, *moments(x, x @ weight.T), gains=GAINS, kind=kind)
    assert not q[1].any()
    assert (alpha > 0).all()


@KINDS
def test_rows_of_any_size_are_met_down_to_the_smallest_gain(kind: str, rng: Rng):
    """Rows from 1 down to 1e-6 beside each other: each is right to its own share, until the
    smallest gain rounds it to fewer codes and at last to 0 - never to something larger."""
    scale = 10.0 ** -np.arange(7)
    weight = (rng.normal(size=(7, 30)) * scale[:, None]).astype(np.float32)
    x = correlated_inputs(rng, 3000, 30)
    t = x @ weight.T
    q, alpha = compensated(weight, *moments(x, t), gains=GAINS, kind=kind)
    share = output_error(x, t, q, alpha) / t.var(axis=0)
    met = np.abs(weight).max(axis=1) / LARGEST[kind] >= 2.0 * GAINS.rounded(np.zeros(1))
    assert met.sum() >= 2
    assert (share[met] < 0.1).all()
    assert (share <= 1.001).all()
    assert not q[-1].any()


@pytest.mark.parametrize("octaves", [1, 2, 3, 4])
def test_rows_below_the_smallest_gain_use_the_codes_that_are_left(octaves: int, rng: Rng):
    """Gains raised by 2**octaves leave 7 - octaves of the 7 powers: 17 dB still, with enough
    inputs to compensate by (from the codes of the gain not raised it would be 0 to 7)."""
    floor = GAINS.rounded(np.zeros(1))[0]
    weight = rng.uniform(0.3, 1.0, (12, 40)) * rng.choice([-1, 1], (12, 40))
    weight = (weight * 64 * floor / 2**octaves).astype(np.float32)
    x = correlated_inputs(rng, 2000, 40)
    t = x @ weight.T
    q, alpha = compensated(weight, *moments(x, t), gains=GAINS)
    assert (alpha <= floor).all()
    share = output_error(x, t, q, alpha) / t.var(axis=0)
    assert share.mean() < 0.04


@KINDS
@pytest.mark.parametrize("exponent", [-40, -17, 15, 40])
def test_the_scale_of_features_changes_nothing(exponent: int, kind: str, rng: Rng):
    """Powers of two are exact, so codes are the same when inputs and gains are scaled alike."""
    weight = rng.normal(size=(6, 12)).astype(np.float32)
    x = correlated_inputs(rng, 300, 12)
    covariance, target = moments(x, x @ weight.T)
    q, alpha = compensated(weight, covariance, target, gains=GAINS, kind=kind)
    factor = 4.0**exponent
    scaled = compensated(weight, covariance * factor, target * factor, gains=GAINS, kind=kind)
    np.testing.assert_array_equal(scaled[0], q)
    np.testing.assert_array_equal(scaled[1], alpha)


def test_gains_that_are_given_are_kept(rng: Rng):
    weight = rng.normal(size=(6, 12)).astype(np.float32)
    x = correlated_inputs(rng, 300, 12)
    given = GAINS.rounded(np.full(6, 0.05))
    _, alpha = compensated(weight, *moments(x, x @ weight.T), gains=GAINS, alpha=given)
    np.testing.assert_array_equal(alpha, given)


@KINDS
def test_the_order_of_inputs_does_not_matter(kind: str, rng: Rng):
    weight = rng.normal(size=(5, 15)).astype(np.float32)
    x = correlated_inputs(rng, 300, 15)
    t = x @ weight.T
    q, alpha = compensated(weight, *moments(x, t), gains=GAINS, kind=kind)
    order = rng.permutation(15)
    other, gain = compensated(weight[:, order], *moments(x[:, order], t), gains=GAINS, kind=kind)
    np.testing.assert_array_equal(gain, alpha)
    # float32 sums in another order; a code beside a border may fall to its other side.
    assert (other == q[:, order]).mean() > 0.97


@pytest.mark.parametrize("block", [7, 40])
def test_wide_layers_are_solved_in_blocks_that_make_good_for_one_another(block, rng, monkeypatch):
    monkeypatch.setattr(wide_module, "BLOCK", block)
    weight = rng.normal(size=(8, 40)).astype(np.float32)
    x = correlated_inputs(rng, 1000, 40).astype(np.float32)
    t = (x @ weight.T).astype(np.float32)
    rows = WideRows(rows=x, targets=t, mean=np.zeros((1, 40)), target_mean=np.zeros(8))
    q, alpha = compensated_wide(weight, rows, gains=GAINS, kind="pot4", damping=0.01)
    np.testing.assert_array_equal(GAINS.rounded(alpha), alpha)
    ours, theirs = output_error(x, t, q, alpha).sum(), output_error(x, t, *nearest(weight)).sum()
    assert ours < 0.7 * theirs
