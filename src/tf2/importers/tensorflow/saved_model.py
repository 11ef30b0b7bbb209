"""SavedModel folders -> ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from tf2.errors import ImportModelError
from tf2.importers.tensorflow.extra import quiet, require_tensorflow
from tf2.importers.tensorflow.graph import Shapes, TensorFlowGraph, cut_graph, to_onnx

SERVING = "serving_default"
TAG = "serve"


def read_saved_model(
    path: Path, *, signature: str = SERVING, input_shapes: Shapes = None
) -> onnx.ModelProto:
    """Return one signature of a SavedModel as ONNX, with the names the signature gives.

    Security: a SavedModel is a program; loading it runs its initialisation.

    Args:
        path: The folder that holds ``saved_model.pb``.
        signature: The name of the signature.
        input_shapes: Sizes for axes that the model leaves free, inputs in alphabetical order, batch
            axis included (it stays free).

    Raises:
        UnsupportedOpError: An operator has no ONNX form.
        ImportModelError: The folder holds no SavedModel, or not this signature.
        MissingExtraError: TensorFlow or tf2onnx is not installed.
    """
    return to_onnx(load_saved_model(path, signature=signature, input_shapes=input_shapes))


def load_saved_model(
    path: Path, *, signature: str = SERVING, input_shapes: Shapes = None
) -> TensorFlowGraph:
    """Return one signature of a SavedModel as a frozen graph. See read_saved_model."""
    require_tensorflow()
    if not (path / "saved_model.pb").is_file():
        raise ImportModelError(f"{path} is not a SavedModel: it has no saved_model.pb.")
    with quiet():
        definition, chosen = _load(path, signature)
        return cut_graph(
            definition,
            source=path.name,
            inputs={name: chosen.inputs[name].name for name in sorted(chosen.inputs)},
            outputs={name: chosen.outputs[name].name for name in sorted(chosen.outputs)},
            input_shapes=input_shapes,
        )


def _load(path: Path, signature: str) -> tuple[Any, Any]:
    """The frozen graph and the signature.

    TensorFlow 1's loader is used on purpose: the one of TensorFlow 2 also revives the Python
    objects of training and fails on the optimizers of other Keras versions.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        try:
            meta = v1.saved_model.load(session, [TAG], str(path))
        except Exception as error:
            raise ImportModelError(f"{path}: TensorFlow cannot load it: {error}") from error
        if signature not in meta.signature_def:
            allowed = ", ".join(sorted(n for n in meta.signature_def if not n.startswith("__")))
            raise ImportModelError(f"{path} has no signature {signature!r}; it has {allowed}.")
        chosen = meta.signature_def[signature]
        for values in (chosen.inputs, chosen.outputs):
            if any(not value.name for value in values.values()):
                raise ImportModelError(f"{path}: signature {signature!r} has sparse tensors.")
        if not chosen.inputs:
            raise ImportModelError(f"{path}: signature {signature!r} has no inputs.")
        ends = [value.name.split(":")[0] for value in chosen.outputs.values()]
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ends)
    return frozen, chosen
