"""What a layer's inputs and wanted outputs look like: moments of sampled positions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tf2.compression.rows import at_positions, gather, positions
from tf2.numerics.integer_ops import Window

CHUNK_BYTES = 1 << 27
"""Rows are gathered and multiplied in chunks of about this size."""

WIDE = 6144
"""Rows of more columns than this are kept themselves: their moments would fill the memory."""

WIDE_BYTES = 1 << 30
"""Such rows, as float32, take no more than this; beyond it fewer positions are sampled."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Centred moments of input rows x (quantized network) and outputs t (float network).

    Attributes:
        covariance: cov(x, x), float64 (groups, K, K).
        target: cov(t, x), float64 (groups, O / groups, K).
        mean: Of x, (groups, K).
        target_mean: Of t, (O,).
    """

    covariance: np.ndarray
    target: np.ndarray
    mean: np.ndarray
    target_mean: np.ndarray


@dataclass(frozen=True, kw_only=True)
class WideRows:
    """The same of a layer too wide for a covariance matrix, ungrouped: the centred rows themselves.

    Attributes:
        rows: x, float32 (N, K).
        targets: t, float32 (N, O).
        mean: Of x, (1, K).
        target_mean: Of t, (O,).
    """

    rows: np.ndarray
    targets: np.ndarray
    mean: np.ndarray
    target_mean: np.ndarray


Statistics = Moments | WideRows


def statistics(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    batches: int,
    window: Window,
    groups: int,
    rows: int,
    rng: np.random.Generator,
) -> Statistics:
    """Return the statistics of about ``rows`` positions spread evenly over the batches.

    Args:
        pairs: For each batch the layer's input in the quantized network (N, C, *spatial) and its
            output in the float network, before any activation (N, O, *output spatial).
        batches: How many pairs there are.
        window: Of the layer; no spatial axis for fully connected.
        groups: Of the convolution.
        rows: Positions in all.
        rng: Source of the choice of positions.
    """
    sums: _Sums | None = None
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for x, t in pairs:
        width = x.shape[1] // groups * int(np.prod(window.kernel, dtype=int))
        wide = groups == 1 and width > WIDE
        count = min(rows, WIDE_BYTES // (4 * width)) if wide else rows
        where = positions(t.shape, max(1, -(-count // batches)), rng)
        if wide:
            kept.append((gather(x, window, where, 1)[0], at_positions(t, where)))
            continue
        sums = sums or _Sums(groups, width, t.shape[1])
        step = max(64, CHUNK_BYTES // (4 * groups * width))
        for start in range(0, len(where[0]), step):
            part = tuple(axis[start : start + step] for axis in where)
            sums.add(gather(x, window, part, groups), at_positions(t, part))
    if kept:
        return _centred(kept)
    assert sums is not None, "calibration has at least one batch"
    return sums.finished()


def _centred(kept: list[tuple[np.ndarray, np.ndarray]]) -> WideRows:
    rows, targets = (np.concatenate(part) for part in zip(*kept, strict=True))
    mean, target_mean = (r.mean(axis=0, dtype=np.float64) for r in (rows, targets))
    return WideRows(
        rows=rows - mean.astype(np.float32),
        targets=targets - target_mean.astype(np.float32),
        mean=mean[None],
        target_mean=target_mean,
    )


class _Sums:
    """Running sums of products; values are shifted by the first chunk's mean to keep digits."""

    def __init__(self, groups: int, width: int, outputs: int) -> None:
        self._groups = groups
        self._xx = np.zeros((groups, width, width))
        self._tx = np.zeros((groups, outputs // groups, width))
        self._x = np.zeros((groups, width))
        self._t = np.zeros(outputs)
        self._shift: tuple[np.ndarray, np.ndarray] | None = None
        self._rows = 0

    def add(self, x: np.ndarray, t: np.ndarray) -> None:
        """Add rows x (groups, rows, K), changed in place, and outputs t (rows, O)."""
        if self._shift is None:
            self._shift = x.mean(axis=1, keepdims=True), t.mean(axis=0)
        x -= self._shift[0]
        t = t - self._shift[1]
        grouped = t.T.reshape(self._groups, -1, len(t))
        self._xx += x.transpose(0, 2, 1) @ x
        self._tx += grouped @ x
        self._x += x.sum(axis=1, dtype=np.float64)
        self._t += t.sum(axis=0, dtype=np.float64)
        self._rows += len(t)

    def finished(self) -> Moments:
        assert self._shift is not None
        mean, target_mean = self._x / self._rows, self._t / self._rows
        grouped = target_mean.reshape(self._groups, -1)
        return Moments(
            covariance=self._xx / self._rows - mean[:, :, None] * mean[:, None, :],
            target=self._tx / self._rows - grouped[:, :, None] * mean[:, None, :],
            mean=mean + self._shift[0][:, 0],
            target_mean=target_mean + self._shift[1],
        )
