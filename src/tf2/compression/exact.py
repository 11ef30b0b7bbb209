"""Weights to be taken over to the bit: powers of two, as INQ leaves them, and zeros of pruning."""

from __future__ import annotations

import numpy as np

TOLERANCE = 2.0**-18
"""Relative distance from a power of two that folding a scale in float32 may leave (a few ulp)."""


PRUNED = 0.1
"""Share of zeros from which on a layer's zeros are taken for pruned weights, and kept."""


def pruned(weight: np.ndarray) -> np.ndarray | None:
    """Return which weights of a layer were pruned, bool of its shape; None if it was not."""
    zeros = weight == 0
    return zeros if zeros.mean() >= PRUNED else None


def power_of_two_rows(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (q, alpha) with weight = alpha * q to the bit, or within float32 rounding of it.

    q is 0 or +-2**k, k = 0..6, one alpha a row; None unless every row of ``weight`` (O, K) is of
    that form. A layer of plain powers of two gets one alpha, a power of two. A row scaled by a
    folded BatchNormalization gets its own. Rows of zeros get alpha 0.
    """
    magnitude = np.abs(weight.astype(np.float64))
    if not np.isfinite(magnitude).all():
        return None
    largest = magnitude.max(axis=1)
    if not largest.any():
        return np.zeros(weight.shape, np.int8), np.zeros(len(weight))
    mantissa, _ = np.frexp(magnitude[magnitude > 0])
    if (mantissa == 0.5).all():  # plain powers of two: one window for the whole layer if it fits
        alpha = np.full(len(weight), largest.max() / 64)
        if magnitude[magnitude > 0].min() >= alpha[0]:
            q = (weight / alpha[:, None]).astype(np.int8)
            return q, np.where(largest > 0, alpha, 0.0)
    alpha = np.where(largest > 0, largest, 64.0) / 64
    ratio = magnitude / alpha[:, None]
    rounded = np.where(ratio > 0, np.exp2(np.rint(np.log2(np.maximum(ratio, 1e-30)))), 0.0)
    fits = (rounded == 0) | ((rounded >= 1) & (np.abs(ratio - rounded) <= TOLERANCE * rounded))
    if not fits.all():
        return None
    return (np.sign(weight) * rounded).astype(np.int8), np.where(largest > 0, alpha, 0.0)
