"""What values the float network's tensors take on the calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf2.errors import CompressionError
from tf2.execution import Runner
from tf2.ir import FLOAT32, Graph

Batch = Mapping[str, np.ndarray]

SAMPLE = 1 << 17
"""Values kept of one tensor to choose its scale: the error of a scale varies by under 1 % then."""


@dataclass(frozen=True, kw_only=True)
class TensorRange:
    """Values of one tensor over all samples.

    Attributes:
        low: Smallest value.
        high: Largest value.
        channel_max: Largest magnitude of each channel (axis 1), or of the whole below rank 2.
        sample: Some of the values, evenly spread over samples and positions; float32.
    """

    low: float
    high: float
    channel_max: np.ndarray
    sample: np.ndarray


def measure(
    graph: Graph,
    batches: Sequence[Batch],
    names: Iterable[str],
    progress: Callable[[float], None] | None = None,
) -> dict[str, TensorRange]:
    """Return the range of each named float32 value over all batches.

    Raises:
        CompressionError: There is no batch, or a value is NaN or infinite; names it.
    """
    wanted = [name for name in names if graph.types[name].dtype == FLOAT32]
    if not batches:
        raise CompressionError("the calibration set is empty: give at least one sample")
    computed = [name for name in wanted if name in graph.producers]
    runner = Runner(graph, outputs=computed) if computed else None
    per_batch = max(1, SAMPLE // len(batches))
    parts: dict[str, list[TensorRange]] = {name: [] for name in wanted}
    for done, batch in enumerate(batches):
        values = {**batch, **(runner(batch) if runner else {})}
        for name in wanted:
            parts[name].append(_range_of(name, values[name], per_batch))
        if progress:
            progress((done + 1) / len(batches))
    return {name: _merged(ranges) for name, ranges in parts.items()}


def _range_of(name: str, array: np.ndarray, keep: int) -> TensorRange:
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise CompressionError(
            f"value {name!r} is NaN or infinite on the calibration samples ({low}..{high}). "
            "Check the preprocessing and the model's weights"
        )
    axes = tuple(i for i in range(array.ndim) if i != 1)
    channel_max = np.abs(array).max(axis=axes) if array.ndim > 1 else np.array([max(high, -low)])
    flat = array.reshape(-1)
    # A step that shares no factor with a power of two walks through all channels and positions.
    step = max(1, flat.size // keep) | 1
    return TensorRange(low=low, high=high, channel_max=channel_max, sample=flat[::step].copy())


def _merged(parts: Sequence[TensorRange]) -> TensorRange:
    return TensorRange(
        low=min(p.low for p in parts),
        high=max(p.high for p in parts),
        channel_max=np.max([p.channel_max for p in parts], axis=0),
        sample=np.concatenate([p.sample for p in parts]),
    )
