"""The float network that a flow begins with: its graph, its preprocessing, its class names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf2.data import PRESETS, Preprocessing, read_class_names
from tf2.errors import CompressionError, DataError
from tf2.flow.importing import source_of
from tf2.importers import InputShapes, load_model
from tf2.ir import Graph
from tf2.model_file import Source


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A float network with all that a user says about it.

    Attributes:
        graph: Imported, float.
        source: Where it came from.
        preprocessing: From an image to its input.
        class_names: By index.
    """

    graph: Graph
    source: Source
    preprocessing: Preprocessing | None
    class_names: tuple[str, ...] | None

    @property
    def pixel_affine(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(gain, offset) per channel of an image's bytes; None for inputs that are no images."""
        return self.preprocessing.affine() if self.preprocessing is not None else None


def network_of(
    model: Any,
    weights: str | Path | None,
    input_shapes: InputShapes | None,
    outputs: Sequence[str] | None,
    preprocessing: Preprocessing | str | Path | None,
    labels: Sequence[str] | str | Path | None,
) -> Network:
    """Return the network that a user's words name.

    Args:
        model: What `tf2.importers.load_model` takes (a path, a torch module), or a graph.
        weights: Of a Caffe net or a torch module.
        input_shapes: Where the model leaves sizes open.
        outputs: Values to return instead of the model's own.
        preprocessing: A preset's name (fitted to the model's input size), a file, or a recipe.
        labels: Class names, or a file with one a line.

    Raises:
        ImportModelError: The model cannot be read.
        DataError: Preprocessing or labels cannot be used.
        CompressionError: A graph is given, and more beside it.
    """
    graph, source = _graph_of(model, weights, input_shapes, outputs)
    return Network(
        graph=graph,
        source=source,
        preprocessing=fitted_preprocessing(preprocessing, graph),
        class_names=class_names(labels, graph),
    )


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
