"""Error-compensated rounding: keeps a layer's outputs, on either weight grid, without training.

For each layer, in forward order: the target is the float layer's output, the inputs are those of
the network quantized so far, so that each layer also makes good the errors of those before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tf2.compression import quadratic
from tf2.compression.exact import pruned
from tf2.compression.grid import LARGEST, ROUND, TOLERANCE, Gains, RealGains, WeightKind

STACK_BYTES = 1 << 28
"""Rows of several starts are rounded together as long as they take no more than this."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How hard to look; more of each costs time in proportion.

    Attributes:
        starts: Gains tried for each row, over `octaves` around max|w| on the largest grid point.
        octaves: Lowest and highest start, log2.
        kept: How many of them go on to coordinate descent.
        rounds: Of descent and refitting the gain in turn.
        sweeps: Of descent a round.
    """

    starts: int = 16
    octaves: tuple[float, float] = (-1.2, 0.6)
    kept: int = 1
    rounds: int = 2
    sweeps: int = 3


SEARCH = {
    "pot4": Search(),
    # Eight bits need no search: the grid reaches max|w| and is fine everywhere.
    "int8": Search(starts=1, octaves=(0.0, 0.0), kept=1, rounds=1, sweeps=1),
}


def compensated(
    weight: np.ndarray,
    covariance: np.ndarray,
    target: np.ndarray,
    *,
    gains: Gains | RealGains,
    kind: WeightKind = "pot4",
    damping: float = 0.01,
    alpha: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (q, alpha), weights alpha * q that keep the outputs of a layer.

    The zeros of a pruned layer (see `exact.pruned`) stay zero.

    Args:
        weight: Float weights (O, K).
        covariance: cov(x, x), (K, K), of the quantized network's input rows.
        target: cov(t, x), (O, K), of the wanted outputs t with those inputs.
        gains: The gains that can be expressed; every alpha is one of them.
        kind: Of the grid.
        damping: Added to the covariance's diagonal, as a share of its mean: draws the solution
            towards the float weights where the samples say little.
        alpha: Gains to keep, (O,); default: the best found.

    Returns:
        q int8 (O, K) on the grid, alpha float64 (O,), positive.
    """
    order = np.argsort(-np.diag(covariance), kind="stable")  # the strongest inputs first
    ordered = np.ix_(order, order)
    wide = weight[:, order].astype(np.float64)
    problem = _Problem(covariance[ordered], target[:, order], wide, kind=kind, damping=damping)
    if alpha is None:
        found = problem.best_gains()
        largest = np.maximum(np.abs(wide).max(axis=1), 1e-30)
        alpha = gains.rounded(np.where(found > 0, found, largest / LARGEST[kind]))
    q = problem.codes(alpha)
    restored = np.empty_like(q)
    restored[:, order] = q
    return restored.astype(np.int8), alpha


class _Problem:
    """One layer's quadratic form (see `quadratic`) with damping, and its solution."""

    def __init__(
        self,
        covariance: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray,
        *,
        kind: WeightKind,
        damping: float,
    ) -> None:
        self._zeros = pruned(weight)
        diagonal = np.diag(covariance)
        alive = diagonal > 1e-12 * max(diagonal.max(initial=0.0), 1e-30)
        # Where no input ever varies, the samples say nothing: stay at the float weights.
        level = max(damping, 1e-9) if alive.any() else 1.0
        unit = diagonal[alive].mean() if alive.any() else 1.0  # float32 holds h whatever the scale
        h = covariance / unit + level * np.eye(len(covariance))
        self._round = ROUND[kind]
        self._largest = LARGEST[kind]
        self._search = SEARCH[kind]
        self._d = target / unit + level * weight
        self._optimum = np.linalg.solve(h, self._d.T).T
        self._upper = quadratic.inverse_factor(h).astype(np.float32)
        self._h = h.astype(np.float32)
        self._found: tuple[np.ndarray, np.ndarray] | None = None

    def best_gains(self) -> np.ndarray:
        """Return the best real gain found for each row, 0 where only zero weights serve."""
        search = self._search
        rows = np.arange(len(self._d))
        alpha, errors = self._rounded_from_all_starts()
        kept = np.argsort(errors, axis=0, kind="stable")[: search.kept]
        starts = np.take_along_axis(alpha, kept, axis=0)
        q, gains, error = self._improved(starts.reshape(-1), np.tile(rows, len(kept)))
        best = error.reshape(len(kept), -1).argmin(axis=0)
        picked = best * len(rows) + rows
        self._found = q[picked], gains[picked]
        return np.where(self._found[0].any(axis=1), gains[picked], 0.0)

    def codes(self, alpha: np.ndarray) -> np.ndarray:
        """Return the codes of these gains, starting from the best found where those are its."""
        rows = np.arange(len(alpha))
        if self._found is None:
            q = self._rounded(alpha, rows)
        else:
            q, gains = self._found
            other = np.flatnonzero(np.abs(gains - alpha) > TOLERANCE * alpha)
            if other.size:
                q[other] = self._rounded(alpha[other], other)
        sweeps = self._search.sweeps
        zeros = self._zeros
        q = quadratic.descend(q, alpha, self._h, self._d, self._round, sweeps=sweeps, zeros=zeros)
        # A gain far too large for its row may leave nothing better than zeros.
        q[quadratic.error(q, alpha, self._h, self._d) > 0] = 0
        return q

    def _rounded(self, alpha: np.ndarray, rows: np.ndarray) -> np.ndarray:
        scaled = self._optimum[rows] / alpha[:, None]
        zeros = None if self._zeros is None else self._zeros[rows]
        return quadratic.round_compensated(scaled, self._upper, self._round, zeros)

    def _rounded_from_all_starts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the refitted gain and the error of each start and row, (starts, O) each."""
        count, width = self._d.shape
        largest = np.maximum(np.abs(self._optimum).max(axis=1), 1e-30) / self._largest
        octaves = np.linspace(*self._search.octaves, self._search.starts)
        together = max(1, STACK_BYTES // (4 * count * width))
        gains, errors = [], []
        for begin in range(0, len(octaves), together):
            some = octaves[begin : begin + together]
            start = (largest[None, :] * np.exp2(some)[:, None]).reshape(-1)
            rows = np.tile(np.arange(count), len(some))
            q = self._rounded(start, rows)
            alpha, error = quadratic.best_gain(q, self._h, self._d[rows])
            gains.append(np.where(alpha > 0, alpha, start))
            errors.append(error)
        return np.concatenate(gains).reshape(-1, count), np.concatenate(errors).reshape(-1, count)

    def _improved(
        self, alpha: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (q, alpha, error) after descent and refitting the gain in turn."""
        q, d = self._rounded(alpha, rows), self._d[rows]
        zeros, sweeps = None if self._zeros is None else self._zeros[rows], self._search.sweeps
        for _ in range(self._search.rounds):
            q = quadratic.descend(q, alpha, self._h, d, self._round, sweeps=sweeps, zeros=zeros)
            refit, _ = quadratic.best_gain(q, self._h, d)
            alpha = np.where(refit > 0, refit, alpha)
        _, error = quadratic.best_gain(q, self._h, d)
        return q, alpha, error
