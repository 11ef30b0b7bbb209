"""From a trained model and some samples to a compressed model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tf2.compression import auto_keep
from tf2.compression import compress as compress_graph
from tf2.data import Preprocessing, Samples
from tf2.flow.accuracy_target import AccuracyLoss, AccuracyTarget
from tf2.flow.calibration import batches_of, calibration_samples
from tf2.flow.manifest import compressed_model
from tf2.flow.network import network_of
from tf2.importers import InputShapes
from tf2.model_file import CompressedModel, CompressionSettings

logger = logging.getLogger(__name__)

Progress = Callable[[str, float], None]

FEW = 32
"""Fewer calibration samples than this make weights that fit the samples and not the task."""


def compress(
    model: Any,
    calibration: str | Path | Samples,
    *,
    weights: str | Path | None = None,
    input_shapes: InputShapes | None = None,
    outputs: Sequence[str] | None = None,
    preprocessing: Preprocessing | str | Path | None = None,
    labels: Sequence[str] | str | Path | None = None,
    settings: CompressionSettings | None = None,
    target: AccuracyTarget | None = None,
    crops: int = 0,
    skip_bad: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> CompressedModel:
    """Return the model with 4-bit power-of-two weights and 8-bit features.

    The same model, samples and settings give the same compressed model.

    Args:
        model: What `tf2.importers.load_model` takes (a path, a torch module), or a graph.
        calibration: A folder or zip of images, an array file, or samples; no labels needed, 128
            to 512 are plenty.
        weights: Of a Caffe net or a torch module.
        input_shapes: Where the model leaves sizes open.
        outputs: Values to return instead of the model's own.
        preprocessing: From an image to the input: a preset's name (fitted to the model's input
            size), a JSON file, or a recipe. Stored in the result.
        labels: Class names, or a file with one a line. Stored in the result.
        settings: Method, layers to keep at 8 bits, seed, ...
        target: Keep the fewest layers at 8 bits so that no more accuracy is lost.
        crops: Random views added for each photograph.
        skip_bad: Leave out samples that cannot be used, instead of refusing all.
        progress: Told what is being done and how much of it is done, 0..1.
        clock: Seconds.

    Raises:
        ImportModelError: The model cannot be read.
        DataError: Samples, preprocessing or labels cannot be used.
        CompressionError: Weights or settings cannot be compressed.
    """
    start = clock()
    settings = settings or CompressionSettings()
    network = network_of(model, weights, input_shapes, outputs, preprocessing, labels)
    graph, recipe = network.graph, network.preprocessing
    samples = calibration_samples(
        calibration, recipe, graph, settings, crops=crops, skip_bad=skip_bad
    )
    batches = batches_of(samples, graph)
    if len(samples) < FEW:  # told once all of them could be read
        logger.warning(
            "only %d calibration samples: 128 to 512 give better weights (--crops adds random "
            "views of photographs)",
            len(samples),
        )
    figures: dict[str, float] = {"calibration_samples": len(samples)}
    if target is None:
        compressed = compress_graph(
            graph, batches, settings, pixel_affine=network.pixel_affine, progress=progress
        )
    else:
        loss = AccuracyLoss(target, graph, recipe, network.class_names)
        compressed, settings = auto_keep(
            graph,
            batches,
            settings,
            loss=loss,
            target=target.points,
            pixel_affine=network.pixel_affine,
            progress=progress,
        )
        figures |= loss.figures(compressed)
    return compressed_model(network, compressed, settings, figures=figures, seconds=clock() - start)
