"""The inputs a layer's weights are multiplied with: sampled rows of its im2col matrix."""

from __future__ import annotations

from itertools import product

import numpy as np

from tf2.numerics.integer_ops import Window


def positions(
    shape: tuple[int, ...], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Return ``count`` positions (sample, *spatial) of a layer's output, in order, none twice.

    All of them when there are no more than ``count``.

    Args:
        shape: Of the output, (N, O, *spatial).
        count: How many.
        rng: Source of the choice.
    """
    grid = (shape[0], *shape[2:])
    total = int(np.prod(grid))
    flat = np.arange(total) if total <= count else np.sort(rng.choice(total, count, replace=False))
    return np.unravel_index(flat, grid)


def at_positions(values: np.ndarray, where: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the channels of ``values`` (N, C, *spatial) at positions: (rows, C)."""
    return values[(where[0], slice(None), *where[1:])]


def gather(
    features: np.ndarray, window: Window, where: tuple[np.ndarray, ...], groups: int
) -> np.ndarray:
    """Return the rows seen from the positions ``where``: float32 (groups, rows, C / groups * taps).

    Column order is that of a weight (O, C / groups, *kernel) flattened behind its first axis.
    Positions outside the input are 0.
    """
    n, *centre = where
    channels = features.shape[1]
    taps = list(product(*(range(k) for k in window.kernel)))
    rows = np.empty((len(n), channels, len(taps)), np.float32)
    for t, tap in enumerate(taps):
        index: list[np.ndarray] = [n]
        inside = np.ones(len(n), bool)
        for axis, (c, offset) in enumerate(zip(centre, tap, strict=True)):
            size = features.shape[2 + axis]
            at = c * window.strides[axis] - window.pads_begin[axis]
            at = at + offset * window.dilations[axis]
            inside &= (at >= 0) & (at < size)
            index.append(np.clip(at, 0, size - 1))
        seen = features[(index[0], slice(None), *index[1:])]
        rows[:, :, t] = seen if inside.all() else np.where(inside[:, None], seen, 0)
    split = rows.reshape(len(n), groups, -1)
    return np.ascontiguousarray(split.transpose(1, 0, 2))
