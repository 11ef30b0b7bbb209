"""Samples that calibrate, in batches that a network takes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tf2.data import Preprocessing, Samples
from tf2.errors import DataError
from tf2.flow.places import open_samples
from tf2.ir import Graph
from tf2.model_file import CompressionSettings

logger = logging.getLogger(__name__)

BATCH = 16
"""Calibration samples run at a time."""


def calibration_samples(
    calibration: str | Path | Samples,
    recipe: Preprocessing | None,
    graph: Graph,
    settings: CompressionSettings,
    *,
    crops: int = 0,
    skip_bad: bool = False,
) -> Samples:
    """Return the samples that calibrate: as many as the settings say, drawn by their seed.

    Args:
        calibration: A folder or zip of images, an array file, or samples.
        recipe: From an image to the input.
        graph: Whose inputs they are.
        settings: Number and seed.
        crops: Random views added for each photograph.
        skip_bad: Leave out samples that cannot be used, instead of refusing all.

    Raises:
        DataError: Fewer than two samples, or some cannot be used.
    """
    samples = calibration
    if not isinstance(samples, Samples):
        samples = open_samples(samples, recipe, graph, skip_bad=False)
    if settings.calibration_samples is not None:
        samples = samples.take(settings.calibration_samples, settings.seed)
    if skip_bad:  # after the draw: only what is used is read
        samples = samples.without_bad()
    if samples.skipped:
        first = samples.skipped[0]
        logger.warning("%d samples skipped, the first: %s", len(samples.skipped), first.reason)
    if crops:
        samples = samples.crops(crops, settings.seed)
    if len(samples) < 2:
        raise DataError(
            f"the calibration set has {len(samples)} sample{'s'[: len(samples) != 1]}: give 2 at "
            "the very least, best 128 to 512 (random views of few photographs: --crops)"
        )
    return samples


def batches_of(samples: Samples, graph: Graph) -> list[Mapping[str, np.ndarray]]:
    """Return the samples as batches that the graph takes, in memory."""
    size = BATCH if graph.batch_is_free else 1
    return [batch.feed(graph.inputs) for batch in samples.batches(size)]
