"""From a trained model and some samples to a compressed model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf2.compression import Compressed, auto_keep
from tf2.compression import compress as compress_graph
from tf2.data import PRESETS, Preprocessing, Samples, read_class_names
from tf2.errors import CompressionError, DataError
from tf2.flow.accuracy_target import AccuracyLoss, AccuracyTarget
from tf2.flow.importing import float_weights, source_of
from tf2.flow.places import open_samples
from tf2.importers import InputShapes, load_model
from tf2.ir import Graph
from tf2.model_file import (
    CompressedModel,
    CompressionSettings,
    Manifest,
    Source,
    TensorInfo,
)

logger = logging.getLogger(__name__)

Progress = Callable[[str, float], None]

BATCH = 16
"""Calibration samples run at a time."""

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
    graph, source = _graph_of(model, weights, input_shapes, outputs)
    recipe = fitted_preprocessing(preprocessing, graph)
    names = class_names(labels, graph)
    samples = _calibration_samples(calibration, recipe, graph, settings, crops, skip_bad)
    batches = batches_of(samples, graph)
    if len(samples) < FEW:  # told once all of them could be read
        logger.warning(
            "only %d calibration samples: 128 to 512 give better weights (--crops adds random "
            "views of photographs)",
            len(samples),
        )
    figures: dict[str, float] = {"calibration_samples": len(samples)}
    pixels = _pixel_affine(recipe)
    if target is None:
        compressed = compress_graph(
            graph, batches, settings, pixel_affine=pixels, progress=progress
        )
    else:
        loss = AccuracyLoss(target, graph, recipe, names)
        compressed, settings = auto_keep(
            graph,
            batches,
            settings,
            loss=loss,
            target=target.points,
            pixel_affine=pixels,
            progress=progress,
        )
        figures |= loss.figures(compressed)
    manifest = Manifest(
        source=source,
        settings=settings,
        preprocessing=recipe,
        labels=names,
        inputs=_tensor_infos(compressed.graph, compressed.graph.inputs),
        outputs=_tensor_infos(compressed.graph, compressed.graph.outputs),
        support=compressed.support,
        layers=compressed.layers,
        figures=figures | _worst_layer(compressed),
        seconds=round(clock() - start, 2),
        float_weight_bytes=4 * float_weights(graph),
    )
    return CompressedModel(graph=compressed.graph, manifest=manifest)


def fitted_preprocessing(
    preprocessing: Preprocessing | str | Path | None, graph: Graph
) -> Preprocessing | None:
    """Return the recipe; one named as a preset is fitted to the image size the model reads.

    Raises:
        DataError: There is no such preset or file.
    """
    if preprocessing is None or isinstance(preprocessing, Preprocessing):
        return preprocessing
    recipe = Preprocessing.load(preprocessing)
    shape = graph.shape(graph.inputs[0])[1:] if len(graph.inputs) == 1 else ()
    if str(preprocessing) not in PRESETS or len(shape) != 3 or recipe.output_shape == shape:
        return recipe
    size = shape[1:] if recipe.layout == "NCHW" else shape[:2]
    upright = (size[1], size[0]) if recipe.swap_hw else (size[0], size[1])
    return recipe.with_output_size(upright) if recipe.output_size != upright else recipe


def class_names(labels: Sequence[str] | str | Path | None, graph: Graph) -> tuple[str, ...] | None:
    """Return the class names, as many as the first output has classes.

    Raises:
        DataError: The file cannot be read, or names another number of classes.
    """
    if labels is None:
        return None
    names = read_class_names(labels) if isinstance(labels, str | Path) else labels
    sizes = [size for size in graph.shape(graph.outputs[0])[1:] if size != 1]
    if sizes != [len(names)]:
        raise DataError(
            f"{len(names)} class names, but output {graph.outputs[0]!r} has shape "
            f"{graph.shape(graph.outputs[0])}: one name for each class is needed"
        )
    return tuple(names)


def batches_of(samples: Samples, graph: Graph) -> list[Mapping[str, np.ndarray]]:
    """Return the samples as batches that the graph takes, in memory."""
    size = BATCH if graph.batch_is_free else 1
    return [batch.feed(graph.inputs) for batch in samples.batches(size)]


def _graph_of(
    model: Any,
    weights: str | Path | None,
    input_shapes: InputShapes | None,
    outputs: Sequence[str] | None,
) -> tuple[Graph, Source]:
    if isinstance(model, Graph):
        given: dict[str, Any] = {"weights": weights, "input_shapes": input_shapes}
        if any(value is not None for value in (*given.values(), outputs)):
            raise CompressionError(
                "a graph has its weights, shapes and outputs: none can be given beside it"
            )
        return model, Source(name=model.name, format="graph", model=model.name)
    imported = load_model(model, weights=weights, input_shapes=input_shapes, outputs=outputs)
    return imported.graph, source_of(imported)


def _calibration_samples(
    calibration: str | Path | Samples,
    recipe: Preprocessing | None,
    graph: Graph,
    settings: CompressionSettings,
    crops: int,
    skip_bad: bool,
) -> Samples:
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


def _pixel_affine(recipe: Preprocessing | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (gain, offset) of x = pixel*gain + offset, for inputs made from images."""
    return recipe.affine() if recipe is not None else None


def _tensor_infos(graph: Graph, names: Sequence[str]) -> tuple[TensorInfo, ...]:
    types = graph.types
    return tuple(
        TensorInfo(name=name, dtype=str(types[name].dtype), shape=types[name].shape)
        for name in names
    )


def _worst_layer(compressed: Compressed) -> dict[str, float]:
    measured = [r.output_sqnr_db for r in compressed.layers if r.output_sqnr_db is not None]
    return {"worst_layer_sqnr_db": min(measured)} if measured else {}
