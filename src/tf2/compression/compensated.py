"""Error-compensated rounding: keeps a layer's outputs, on either weight grid, without training.

For each layer, in forward order: the target is the float layer's output, the inputs are those of
the network quantized so far, so that each layer also makes good the errors of those before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tf2.compression import quadratic
from tf2.compression.grid import LARGEST, ROUND, Gains, WeightKind


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
    kept: int = 2
    rounds: int = 3
    sweeps: int = 3


INT8_SEARCH = Search(starts=1, octaves=(0.0, 0.0), kept=1, rounds=1, sweeps=1)
"""Eight bits need no search: the grid reaches max|w| and is fine everywhere."""


def compensated(
    weight: np.ndarray,
    covariance: np.ndarray,
    cross: np.ndarray,
    *,
    gains: Gains,
    kind: WeightKind = "pot4",
    damping: float = 0.01,
    search: Search | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (q, alpha), weights alpha * q that keep the outputs of a layer.

    Args:
        weight: Float weights (O, K).
        covariance: H = cov(x, x), (K, K), of the quantized network's input rows.
        cross: cov(x, y), (K, K), with y the float network's.
        gains: The gains that can be expressed; every alpha is one of them.
        kind: Of the grid.
        damping: Added to the diagonal of H, as a share of its mean: draws the solution towards the
            float weights where the samples say little.
        search: Default by kind.

    Returns:
        q int8 (O, K) on the grid, alpha float64 (O,), positive.
    """
    search = search or (Search() if kind == "pot4" else INT8_SEARCH)
    order = np.argsort(-np.diag(covariance), kind="stable")  # the strongest inputs first
    wide = weight[:, order].astype(np.float64)
    h, d = _damped(covariance[np.ix_(order, order)], cross[np.ix_(order, order)], wide, damping)
    target = np.linalg.solve(h, d.T).T
    upper = np.linalg.cholesky(np.linalg.inv(h)).T.astype(np.float32)
    h32 = h.astype(np.float32)
    problem = _Problem(h=h32, d=d, target=target, upper=upper, kind=kind, search=search)
    q, alpha = problem.solve()
    alpha = gains.rounded(np.where(alpha > 0, alpha, np.abs(wide).max(axis=1) / LARGEST[kind]))
    q = quadratic.descend(q, alpha, h32, d, ROUND[kind], sweeps=search.sweeps)
    restored = np.empty_like(q)
    restored[:, order] = q
    return restored.astype(np.int8), alpha


def _damped(
    covariance: np.ndarray, cross: np.ndarray, weight: np.ndarray, damping: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (H, d) of the quadratic form with damping; inputs that never vary get a unit pull."""
    diagonal = np.diag(covariance)
    alive = diagonal > 1e-12 * max(diagonal.max(initial=0.0), 1e-30)
    level = damping * diagonal[alive].mean() if alive.any() else 1.0
    h = covariance + level * np.eye(len(covariance))
    return h, weight @ cross.T + level * weight


@dataclass(frozen=True, kw_only=True)
class _Problem:
    h: np.ndarray
    d: np.ndarray
    target: np.ndarray
    upper: np.ndarray
    kind: WeightKind
    search: Search

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the best (q, alpha) found for each row, alpha still any real number."""
        q, alpha, errors = self._rounded_from_all_starts()
        kept = np.argsort(errors, axis=0, kind="stable")[: self.search.kept]
        rows = np.arange(self.d.shape[0])
        candidates = [self._improved(q[k, rows], alpha[k, rows]) for k in kept]
        best = np.argmin([error for _, _, error in candidates], axis=0)
        return (
            np.stack([c[0] for c in candidates])[best, rows],
            np.stack([c[1] for c in candidates])[best, rows],
        )

    def _rounded_from_all_starts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        largest = np.maximum(np.abs(self.target).max(axis=1), 1e-30)
        results = []
        for octave in np.linspace(*self.search.octaves, self.search.starts):
            start = largest / LARGEST[self.kind] * 2.0**octave
            scaled = self.target / start[:, None]
            q = quadratic.round_compensated(scaled, self.upper, ROUND[self.kind])
            alpha, error = quadratic.best_gain(q, self.h, self.d)
            results.append((q, np.where(alpha > 0, alpha, start), error))
        q, alpha, errors = (np.stack(part) for part in zip(*results, strict=True))
        return q, alpha, errors

    def _improved(
        self, q: np.ndarray, alpha: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        round_to = ROUND[self.kind]
        for _ in range(self.search.rounds):
            q = quadratic.descend(q, alpha, self.h, self.d, round_to, sweeps=self.search.sweeps)
            refit, _ = quadratic.best_gain(q, self.h, self.d)
            alpha = np.where(refit > 0, refit, alpha)
        _, error = quadratic.best_gain(q, self.h, self.d)
        return q, alpha, error
