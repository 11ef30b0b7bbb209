"""How much accuracy a compressed network may lose, measured on labelled samples of the user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tf2.compression import Compressed
from tf2.data import Preprocessing, Samples
from tf2.engines import Session
from tf2.errors import CompressionError
from tf2.evaluation import accuracy
from tf2.flow.places import open_labels, open_samples
from tf2.ir import Graph


@dataclass(frozen=True, kw_only=True)
class AccuracyTarget:
    """What `compress` is to keep layers at 8 bits for.

    Attributes:
        points: Top-1 that may be lost against float, in points of a hundred.
        data: Labelled samples, best none that calibrate.
        labels: As `tf2.evaluate` takes them; None: each image's class is its folder.
    """

    points: float
    data: str | Path | Samples
    labels: str | Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.points <= 100:
            raise CompressionError(f"the points that may be lost are 0..100, not {self.points}")


class AccuracyLoss:
    """Measures what integer networks lose against one float network, in points of top-1.

    Args:
        target: Where the labelled samples are.
        graph: The float network.
        recipe: From an image to its input.
        class_names: By index, for classes by folder.
    """

    def __init__(
        self,
        target: AccuracyTarget,
        graph: Graph,
        recipe: Preprocessing | None,
        class_names: tuple[str, ...] | None,
    ) -> None:
        data = target.data
        self._samples = data if isinstance(data, Samples) else open_samples(data, recipe, graph)
        self._classes: NDArray[np.int64] = open_labels(target.labels, self._samples, class_names)
        self._float_top1 = self._top1(Session(graph, "float"))
        self._losses: list[tuple[Compressed, float]] = []

    def __call__(self, compressed: Compressed) -> float:
        """Return the points of top-1 that an integer network loses."""
        top1 = self._top1(Session(compressed.graph))
        self._losses.append((compressed, top1))
        return 100.0 * (self._float_top1 - top1)

    def figures(self, compressed: Compressed) -> dict[str, float]:
        """Return what was measured of a network, for the manifest."""
        top1 = next(value for known, value in self._losses if known is compressed)
        return {
            "top1_float": self._float_top1,
            "top1_int": top1,
            "evaluation_samples": float(len(self._samples)),
        }

    def _top1(self, session: Session) -> float:
        return accuracy(session, self._samples, self._classes).top1
