"""Readers of TensorFlow and Keras models; TensorFlow is imported when one is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tf2.errors import ImportModelError
from tf2.importers.origin import Format
from tf2.importers.request import Request, SourceModel, choose_outputs, only
from tf2.importers.runtimes import Runtime

if TYPE_CHECKING:
    from tf2.importers.tensorflow import TensorFlowGraph

Load = Callable[..., "TensorFlowGraph"]


def read_keras_file(request: Request) -> SourceModel:
    """Read a whole Keras model."""
    from tf2.importers.tensorflow import load_keras

    return _converted(request, load_keras, Path(request.model), "keras")


def read_saved(request: Request) -> SourceModel:
    """Read a SavedModel, named by its folder or by the ``saved_model.pb`` in it."""
    from tf2.importers.tensorflow import load_saved_model

    path = Path(request.model)
    return _converted(
        request, load_saved_model, path if path.is_dir() else path.parent, "tensorflow"
    )


def read_frozen(request: Request) -> SourceModel:
    """Read a frozen graph between the inputs and outputs that the user names."""
    from tf2.importers.tensorflow import load_frozen_graph, to_onnx

    path, shapes = Path(request.model), request.input_shapes
    if not isinstance(shapes, Mapping) or not request.outputs:
        raise ImportModelError(
            f"{path}: a frozen graph does not say what its inputs and outputs are. Give "
            f"--input-shape NAME=1,224,224,3 and --output NAME (input_shapes={{...}}, "
            f"outputs=[...])"
        )
    graph = load_frozen_graph(
        path, inputs=list(shapes), outputs=request.outputs, input_shapes=list(shapes.values())
    )
    return SourceModel(
        format="tensorflow",
        name=path.stem,
        proto=to_onnx(graph),
        files=(path,),
        onnx_shapes=dict(zip(graph.inputs, shapes.values(), strict=True)),
        runtime=partial(_runtime, graph, None),
    )


def _converted(request: Request, load: Load, path: Path, kind: Format) -> SourceModel:
    from tf2.importers.tensorflow import to_onnx

    graph = load(path, input_shapes=_in_order(request, load, path))
    model = to_onnx(graph)
    choose_outputs(model, request)
    return SourceModel(
        format=kind,
        name=path.stem,
        proto=model,
        files=(path,),
        onnx_shapes=request.shapes_by_name(list(graph.inputs)),
        runtime=partial(_runtime, graph, request.outputs),
    )


def _in_order(request: Request, load: Load, path: Path) -> list[Sequence[int]] | None:
    """Return the shapes in the order of the inputs; names cost one more look at the model."""
    if not request.input_shapes:
        return None
    if not isinstance(request.input_shapes, Mapping):
        return list(request.input_shapes)
    inputs = list(load(path).inputs)
    shapes = request.shapes_by_name(inputs)
    missing = [name for name in inputs if name not in shapes]
    if missing:
        raise ImportModelError(f"{request.model}: give the shape of input {missing[0]!r} as well")
    return [shapes[name] for name in inputs]


def _runtime(graph: TensorFlowGraph, outputs: tuple[str, ...] | None) -> Runtime:
    import tensorflow as tf

    from tf2.importers.tensorflow import reference_runner

    run = reference_runner(graph)
    name = f"TensorFlow {tf.__version__}"
    if outputs is None:
        return Runtime(name=name, run=run)
    return Runtime(name=name, run=lambda feeds: only(run(feeds), outputs))
