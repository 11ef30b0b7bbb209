"""Second moments of a layer's inputs, in the float network and in the quantized one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tf2.compression.rows import gather, positions
from tf2.numerics.integer_ops import Window

CHUNK_BYTES = 1 << 27
"""Rows are gathered and multiplied in chunks of about this size."""


@dataclass(frozen=True, kw_only=True)
class InputStatistics:
    """Centred moments of input rows x (quantized network) and y (float network), per group.

    Attributes:
        covariance: cov(x, x), float64 (groups, K, K).
        cross: cov(x, y), float64 (groups, K, K); row index of x, column index of y.
        mean: Of x, (groups, K).
        float_mean: Of y, (groups, K).
        rows: How many rows were seen.
    """

    covariance: np.ndarray
    cross: np.ndarray
    mean: np.ndarray
    float_mean: np.ndarray
    rows: int


def input_statistics(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    batches: int,
    window: Window,
    groups: int,
    rows: int,
    rng: np.random.Generator,
) -> InputStatistics:
    """Return the moments over about ``rows`` positions spread evenly over the batches.

    Args:
        pairs: For each batch the layer's input in the quantized and in the float network, both
            real values (N, C, *spatial).
        batches: How many pairs there are.
        window: Of the layer; no spatial axis for fully connected.
        groups: Of the convolution.
        rows: Positions in all.
        rng: Source of the choice of positions.
    """
    sums: _Sums | None = None
    for x, y in pairs:
        where = positions(window, x.shape, max(1, -(-rows // batches)), rng)
        if sums is None:
            width = x.shape[1] // groups * int(np.prod(window.kernel, dtype=int))
            sums = _Sums(groups, width)
        step = max(64, CHUNK_BYTES // (4 * groups * sums.width))
        for start in range(0, len(where[0]), step):
            part = tuple(axis[start : start + step] for axis in where)
            sums.add(gather(x, window, part, groups), gather(y, window, part, groups))
    assert sums is not None, "calibration has at least one batch"
    return sums.finished()


class _Sums:
    """Running sums of products; rows are shifted by the first chunk's mean to keep digits."""

    def __init__(self, groups: int, width: int) -> None:
        self.width = width
        self._xx = np.zeros((groups, width, width))
        self._xy = np.zeros((groups, width, width))
        self._x = np.zeros((groups, width))
        self._y = np.zeros((groups, width))
        self._shift: tuple[np.ndarray, np.ndarray] | None = None
        self._rows = 0

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        if self._shift is None:
            self._shift = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
        x -= self._shift[0]
        y -= self._shift[1]
        transposed = x.transpose(0, 2, 1)
        self._xx += transposed @ x
        self._xy += transposed @ y
        self._x += x.sum(axis=1, dtype=np.float64)
        self._y += y.sum(axis=1, dtype=np.float64)
        self._rows += x.shape[1]

    def finished(self) -> InputStatistics:
        assert self._shift is not None
        n = self._rows
        mean, float_mean = self._x / n, self._y / n
        return InputStatistics(
            covariance=self._xx / n - mean[:, :, None] * mean[:, None, :],
            cross=self._xy / n - mean[:, :, None] * float_mean[:, None, :],
            mean=mean + self._shift[0][:, 0],
            float_mean=float_mean + self._shift[1][:, 0],
            rows=n,
        )
