"""From a model's output to ranks: which classes score best, and where the true class stands.

Equal scores (integers have many) are broken by the lowest class index, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tf2.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """What accuracy needs of every sample.

    Attributes:
        rank: Place of the true class, 0 the best; int64 (N,).
        best: The class of the best score; int64 (N,).
        tied: The best score is that of several classes; bool (N,).
    """

    rank: NDArray[np.int64]
    best: NDArray[np.int64]
    tied: NDArray[np.bool_]


def class_scores(output: np.ndarray, *, name: str) -> NDArray[np.float64]:
    """Return an output as scores (N, classes); axes of size 1 (N, C, 1, 1) are dropped.

    Raises:
        DataError: It is no row of scores a sample, or has NaN.
    """
    sizes = [size for size in output.shape[1:] if size != 1]
    if output.ndim < 2 or len(sizes) != 1 or output.dtype.kind not in "fiu":
        raise DataError(
            f"output {name!r} has shape {output.shape}: a classifier returns one score for each "
            f"class, (N, classes)"
        )
    scores = output.reshape(output.shape[0], -1).astype(np.float64)
    if np.isnan(scores).any():
        raise DataError(f"output {name!r} has NaN among its scores: no class can be told")
    return scores


def top_classes(scores: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the ``count`` best classes of each sample, best first; int64 (N, count)."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def ranks(scores: NDArray[np.float64], classes: NDArray[np.int64]) -> Ranks:
    """Return where the true class of each sample stands.

    Args:
        scores: (N, classes), without NaN.
        classes: The true classes, (N,).

    Raises:
        DataError: A class index is beyond the model's classes.
    """
    if classes.size and int(classes.max()) >= scores.shape[1]:
        raise DataError(
            f"class index {int(classes.max())} in the labels, but the model has "
            f"{scores.shape[1]} classes (0..{scores.shape[1] - 1})"
        )
    own = np.take_along_axis(scores, classes[:, None], axis=1)
    lower_index = np.arange(scores.shape[1]) < classes[:, None]
    better = (scores > own) | ((scores == own) & lower_index)
    best = scores.max(axis=1, keepdims=True)
    return Ranks(
        rank=better.sum(axis=1),
        best=scores.argmax(axis=1),
        tied=(scores == best).sum(axis=1) > 1,
    )
