"""Minimising the error of a layer's outputs over integer weights: a quadratic form, row by row.

A row of weights w acts on float inputs y; its integer row q with gain alpha acts on the quantized
network's inputs x. Up to a constant, the mean squared error of the (centred) outputs is

    f(q, alpha) = alpha**2 * q H q - 2 alpha * q d,     H = cov(x, x), d = cov(x, y) w.

The functions here work on many rows at once; all share H.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Round = Callable[[np.ndarray], np.ndarray]

BLOCK = 64
"""Columns treated one by one before the rest of the row is updated in one matrix product."""


def best_gain(q: np.ndarray, h: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (alpha, f): the gain of least error for each row, and that error.

    Rows whose best gain would not be positive (all zero, say) get alpha 0 and f 0.
    """
    qd = np.einsum("rk,rk->r", q, d, dtype=np.float64)
    qhq = np.einsum("rk,rk->r", q @ h, q, dtype=np.float64)
    usable = (qd > 0) & (qhq > 0)
    alpha = np.where(usable, qd, 0.0) / np.where(usable, qhq, 1.0)
    return alpha, -alpha * np.where(usable, qd, 0.0)


def error(q: np.ndarray, alpha: np.ndarray, h: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Return f(q, alpha) of each row."""
    qd = np.einsum("rk,rk->r", q, d, dtype=np.float64)
    qhq = np.einsum("rk,rk->r", q @ h, q, dtype=np.float64)
    return alpha**2 * qhq - 2 * alpha * qd


def inverse_factor(h: np.ndarray) -> np.ndarray:
    """Return the upper triangular U with ``inverse(h) = U.T @ U``, without inverting h.

    h = R R.T with R upper triangular, from the Cholesky factor of h with its axes reversed; U is
    the inverse of R. It stands conditions up to 1e15, the inverse of h only up to 1e8.
    """
    reversed_factor = np.linalg.cholesky(h[::-1, ::-1])[::-1, ::-1]
    return np.triu(np.linalg.inv(reversed_factor))


def round_compensated(
    target: np.ndarray, upper: np.ndarray, round_to: Round, zeros: np.ndarray | None = None
) -> np.ndarray:
    """Return the targets rounded column by column, each error made good by the columns after it.

    GPTQ (Frantar et al. 2022, arXiv:2210.17323, section 3) on any grid.

    Args:
        target: (R, K), in units of the grid.
        upper: Upper Cholesky factor of inverse(H), (K, K), float32.
        round_to: The grid.
        zeros: Where the result is 0 whatever the target, bool (R, K).
    """
    rest = target.astype(np.float32)
    result = np.empty_like(rest)
    width = rest.shape[1]
    for start in range(0, width, BLOCK):
        stop = min(start + BLOCK, width)
        factor = upper[start:stop, start:stop]
        columns = np.ascontiguousarray(rest[:, start:stop].T)
        errors = np.empty_like(columns)
        for t in range(stop - start):
            rounded = round_to(columns[t])
            if zeros is not None:
                rounded = np.where(zeros[:, start + t], 0.0, rounded)
            result[:, start + t] = rounded
            errors[t] = (columns[t] - rounded) / factor[t, t]
            columns[t + 1 :] -= np.outer(factor[t, t + 1 :], errors[t])
        rest[:, stop:] -= errors.T @ upper[start:stop, stop:]
    return result


def descend(
    q: np.ndarray,
    alpha: np.ndarray,
    h: np.ndarray,
    d: np.ndarray,
    round_to: Round,
    *,
    sweeps: int,
    zeros: np.ndarray | None = None,
) -> np.ndarray:
    """Return q after sweeps of coordinate descent: f falls or stays, never rises.

    Each column in turn takes the grid point of least error given all others (QuantEase, Behdin et
    al. 2023, arXiv:2309.01885, section 3). For a grid around the unconstrained minimum that is the
    nearest point, because f is a parabola in one column.

    Args:
        q: (R, K) on the grid.
        alpha: (R,), positive.
        h: (K, K) with a positive diagonal, float32.
        d: (R, K).
        round_to: The grid.
        sweeps: At most this many; fewer when a sweep changes nothing.
        zeros: Where q is 0 and stays so, bool (R, K).
    """
    q = q.astype(np.float32)
    gradient = q @ h - (d / alpha[:, None]).astype(np.float32)
    diagonal = np.diag(h)
    width = q.shape[1]
    for _ in range(sweeps):
        changed = False
        for start in range(0, width, BLOCK):
            stop = min(start + BLOCK, width)
            before = np.ascontiguousarray(q[:, start:stop].T)
            slope = np.ascontiguousarray(gradient[:, start:stop].T)
            after = before.copy()
            local = h[start:stop, start:stop]
            for t in range(stop - start):
                rounded = round_to(after[t] - slope[t] / diagonal[start + t])
                if zeros is not None:
                    rounded = np.where(zeros[:, start + t], 0.0, rounded)
                step = rounded - after[t]
                if step.any():
                    slope += np.outer(local[:, t], step)
                    after[t] = rounded
            delta = (after - before).T
            if delta.any():
                changed = True
                q[:, start:stop] = after.T
                gradient += delta @ h[start:stop]
        if not changed:
            break
    return q
