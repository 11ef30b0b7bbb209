"""Fully connected layers too wide for one covariance matrix: solved in blocks of columns.

There the samples are far fewer than the columns, so the rows themselves are kept. The gain of each
row is chosen by its diagonal alone; then each block of columns makes good what the blocks before it
left of the wanted output.
"""

from __future__ import annotations

import numpy as np

from tf2.compression.compensated import SEARCH, compensated
from tf2.compression.grid import LARGEST, ROUND, Gains, RealGains, WeightKind
from tf2.compression.statistics import WideRows

BLOCK = 4096
"""Columns solved together."""


def compensated_wide(
    weight: np.ndarray,
    statistics: WideRows,
    *,
    gains: Gains | RealGains,
    kind: WeightKind,
    damping: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (q, alpha) as `compensated` does, for any number of columns.

    Args:
        weight: Float weights (O, K).
        statistics: Input rows and wanted outputs.
        gains: The gains that can be expressed.
        kind: Of the grid.
        damping: See `compensated`.
    """
    rows = statistics.rows
    alpha = gains.rounded(_diagonal_gain(weight, np.square(rows).mean(axis=0), kind))
    left = statistics.targets - rows @ weight.T  # what float weights on these inputs leave over
    q = np.zeros(weight.shape, np.int8)
    for start in range(0, weight.shape[1], BLOCK):
        columns = slice(start, start + BLOCK)
        x = rows[:, columns]
        left = left + x @ weight[:, columns].T
        q[:, columns], _ = compensated(
            weight[:, columns],
            (x.T @ x / len(x)).astype(np.float64),
            left.T @ x / len(x),
            gains=gains,
            kind=kind,
            damping=damping,
            alpha=alpha,
        )
        left = left - x @ (q[:, columns] * alpha[:, None]).T.astype(np.float32)
    return q, alpha


def _diagonal_gain(weight: np.ndarray, power: np.ndarray, kind: WeightKind) -> np.ndarray:
    """Return for each row the start whose nearest rounding errs least, weighted by input power."""
    largest = np.maximum(np.abs(weight).max(axis=1), 1e-30) / LARGEST[kind]
    search = SEARCH[kind]
    best = np.full(len(weight), np.inf)
    gain = largest.copy()
    for octave in np.linspace(*search.octaves, search.starts):
        alpha = largest * 2.0**octave
        error = weight - ROUND[kind](weight / alpha[:, None]) * alpha[:, None]
        total = np.square(error) @ power
        gain = np.where(total < best, alpha, gain)
        best = np.minimum(total, best)
    return gain
