"""The original's rule: each weight to the nearest power of two in the layer's window. Reference."""

from __future__ import annotations

import numpy as np

from tf2.compression.grid import round_pot4


def nearest(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (q, alpha) by the original's rule (INQ, without retraining).

    The window is 2**(n1-6)..2**n1 with n1 = floor(log2(4/3 * max|w|)) over the whole layer; a
    magnitude in [0.75, 1.5) * 2**e becomes 2**e, below the window 0. Source: Zhou et al. 2017,
    arXiv:1702.03044, section 2.1; TF2 sets to 0 what the paper rounds up to the smallest power.

    Args:
        weight: (O, K).

    Returns:
        q int8 (O, K), and alpha (O,), the same power of two for every row (0 if all weights are).
    """
    largest = float(np.abs(weight).max(initial=0.0))
    if largest == 0.0:
        return np.zeros(weight.shape, np.int8), np.zeros(len(weight))
    top = np.floor(np.log2(4.0 / 3.0 * largest))
    alpha = 2.0 ** (top - 6)
    scaled = weight.astype(np.float64) / alpha
    # The lowest border is 0.75 here, not round_pot4's 0.5.
    q = np.where(np.abs(scaled) < 0.75, 0.0, round_pot4(scaled))
    return q.astype(np.int8), np.full(len(weight), alpha)
