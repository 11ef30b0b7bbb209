import numpy as np
import pytest

from tf2.compression import quadratic
from tf2.compression.grid import ROUND, round_int8, round_pot4
from tf2.numerics import pot4

Rng = np.random.Generator
KINDS = pytest.mark.parametrize("kind", ["pot4", "int8"])
WIDTHS = pytest.mark.parametrize("width", [1, 5, quadratic.BLOCK, quadratic.BLOCK + 17])


def problem(rng: Rng, rows: int, width: int):
    """Return (H, d, target): a covariance with strong correlation, float64."""
    mix = rng.normal(size=(width, width)) / np.sqrt(width) + 0.7 * np.eye(width)
    h = mix @ mix.T + 0.02 * np.eye(width)
    target = 20 * rng.normal(size=(rows, width))
    return h, target @ h, target


def error(q, alpha, h, d) -> np.ndarray:
    """Return f(q, alpha) of each row, in float64, term by term."""
    q, alpha = q.astype(float), np.asarray(alpha, float)
    return alpha**2 * np.einsum("rk,kl,rl->r", q, h, q) - 2 * alpha * np.einsum("rk,rk->r", q, d)


def grid_points(kind: str) -> np.ndarray:
    return np.array(pot4.VALUES if kind == "pot4" else range(-127, 128), float)


@WIDTHS
def test_no_other_gain_is_better_than_the_best(width: int, rng: Rng):
    h, d, target = problem(rng, 8, width)
    q = round_pot4(target)
    q[:, 0] = 1  # no row of zeros
    alpha, found = quadratic.best_gain(q, h.astype(np.float32), d)
    lasting = alpha > 0
    assert lasting.any()
    # float32 products: f is right to about 1e-5 of itself.
    np.testing.assert_allclose(found[lasting], error(q, alpha, h, d)[lasting], rtol=1e-4)
    for factor in (0.97, 1.03):
        assert (error(q, factor * alpha, h, d)[lasting] > error(q, alpha, h, d)[lasting]).all()


def test_the_error_is_that_of_the_definition(rng: Rng):
    h, d, target = problem(rng, 8, 30)
    q, alpha = round_pot4(target), rng.uniform(0.5, 2.0, 8)
    found = quadratic.error(q, alpha, h.astype(np.float32), d)
    np.testing.assert_allclose(found, error(q, alpha, h, d), rtol=1e-4)


def test_rows_that_only_zero_serves_get_gain_0(rng: Rng):
    h, d, _ = problem(rng, 3, 4)
    against = -np.sign(d).astype(np.float32)  # every product with d is negative
    against[0] = 0
    alpha, found = quadratic.best_gain(against, h.astype(np.float32), d)
    assert alpha.tolist() == [0, 0, 0]
    assert found.tolist() == [0, 0, 0]


@KINDS
@WIDTHS
def test_descent_never_raises_the_error_and_ends_where_no_single_step_helps(width, kind, rng: Rng):
    h, d, target = problem(rng, 6, width)
    alpha = rng.uniform(0.4, 2.0, 6)
    h32 = h.astype(np.float32)
    q = ROUND[kind](target / alpha[:, None])
    errors = [error(q, alpha, h, d)]
    for _ in range(40):
        q = quadratic.descend(q, alpha, h32, d, ROUND[kind], sweeps=1)
        errors.append(error(q, alpha, h, d))
    magnitude = np.abs(errors[-1]).max()
    assert np.isin(q, grid_points(kind)).all()
    # Tolerance: the gradient is float32, so that steps of no gain may be taken either way.
    assert (np.diff(errors, axis=0) <= 1e-5 * magnitude).all()
    points = grid_points(kind)
    for column in range(0, width, 1 + width // 16):
        for value in points[:: 1 + len(points) // 32]:
            other = q.copy()
            other[:, column] = value
            assert (error(other, alpha, h, d) >= errors[-1] - 1e-5 * magnitude).all()


@KINDS
def test_descent_in_one_call_is_descent_sweep_by_sweep(kind: str, rng: Rng):
    h, d, target = problem(rng, 4, 90)
    alpha, h32, start = np.ones(4), h.astype(np.float32), ROUND[kind](target)
    stepwise = start
    for _ in range(3):
        stepwise = quadratic.descend(stepwise, alpha, h32, d, ROUND[kind], sweeps=1)
    at_once = quadratic.descend(start, alpha, h32, d, ROUND[kind], sweeps=3)
    np.testing.assert_array_equal(at_once, stepwise)


def test_descent_leaves_what_it_starts_from(rng: Rng):
    h, d, target = problem(rng, 2, 5)
    start = round_pot4(target)
    kept = start.copy()
    quadratic.descend(start, np.ones(2), h.astype(np.float32), d, round_pot4, sweeps=2)
    np.testing.assert_array_equal(start, kept)


def upper(h: np.ndarray) -> np.ndarray:
    return quadratic.inverse_factor(h).astype(np.float32)


@WIDTHS
def test_the_factor_of_the_inverse_is_upper_triangular(width: int, rng: Rng):
    h, _, _ = problem(rng, 1, width)
    factor = quadratic.inverse_factor(h)
    np.testing.assert_array_equal(factor, np.triu(factor))
    np.testing.assert_allclose(factor.T @ factor @ h, np.eye(width), rtol=0, atol=1e-9)


def test_the_factor_stands_matrices_whose_inverse_is_no_longer_positive(rng: Rng):
    rows = rng.normal(size=(5, 60))
    h = rows.T @ rows / 5 + 1e-9 * np.eye(60)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(np.linalg.inv(h))
    assert np.isfinite(quadratic.inverse_factor(h)).all()


@KINDS
@WIDTHS
def test_without_correlation_compensation_is_plain_rounding(width: int, kind: str, rng: Rng):
    target = (20 * rng.normal(size=(7, width))).astype(np.float32)
    factor = upper(np.diag(rng.uniform(0.1, 10.0, width)))
    rounded = quadratic.round_compensated(target, factor, ROUND[kind])
    np.testing.assert_array_equal(rounded, ROUND[kind](target))


@WIDTHS
def test_compensation_is_gptq_column_by_column(width: int, rng: Rng):
    """Frantar 2022: after rounding column i, the rest takes up error * H^-1[i, i:] / H^-1[i, i]."""
    h, _, target = problem(rng, 5, width)
    rest, inverse = target.copy(), np.linalg.inv(h)
    expected = np.zeros_like(rest)
    for i in range(width):
        expected[:, i] = round_int8(rest[:, i])
        step = (rest[:, i] - expected[:, i]) / inverse[0, 0]
        rest[:, i + 1 :] -= step[:, None] * inverse[0, 1:]
        inverse = inverse[1:, 1:] - np.outer(inverse[1:, 0], inverse[0, 1:]) / inverse[0, 0]
    found = quadratic.round_compensated(target.astype(np.float32), upper(h), round_int8)
    # float32 against float64: a value beside a border may fall to the other side, and what follows
    # in its row with it.
    assert (found == expected).mean() > 0.98


@KINDS
def test_compensation_beats_plain_rounding_on_correlated_inputs(kind: str, rng: Rng):
    h, d, target = problem(rng, 64, 48)
    plain = error(ROUND[kind](target), 1.0, h, d)
    made_good = error(
        quadratic.round_compensated(target.astype(np.float32), upper(h), ROUND[kind]), 1.0, h, d
    )
    assert (made_good < plain).mean() > 0.9
