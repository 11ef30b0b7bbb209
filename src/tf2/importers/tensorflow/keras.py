"""Whole Keras models (.keras, .h5) -> ONNX."""

from __future__ import annotations

import json
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx

from tf2.errors import ImportModelError
from tf2.importers.tensorflow.extra import quiet, require_tensorflow
from tf2.importers.tensorflow.graph import Shapes, TensorFlowGraph, cut_graph, to_onnx

CODE = ("Lambda", "__lambda__", "TorchModuleWrapper")  # classes whose configuration holds code


def read_keras(path: Path, *, input_shapes: Shapes = None) -> onnx.ModelProto:
    """Return a Keras model in inference mode as ONNX; no code of the file runs.

    Args:
        path: A ``.keras`` or ``.h5`` file with the whole model.
        input_shapes: Sizes for axes that the model leaves free, in the order of its inputs, batch
            axis included (it stays free).

    Raises:
        UnsupportedOpError: An operator has no ONNX form.
        ImportModelError: The file is damaged, holds code or only weights, or was written by a Keras
            that this one cannot read.
        MissingExtraError: TensorFlow or tf2onnx is not installed.
    """
    return to_onnx(load_keras(path, input_shapes=input_shapes))


def load_keras(path: Path, *, input_shapes: Shapes = None) -> TensorFlowGraph:
    """Return a Keras model as a frozen graph under the names of its layers. See read_keras."""
    require_tensorflow()
    if not path.is_file():
        raise ImportModelError(f"{path}: no such Keras file.")
    _refuse_code(path, _configuration(path))
    with quiet():
        return _freeze(path, _load(path), input_shapes)


def _configuration(path: Path) -> Any:
    """The layers as JSON, read without Keras: not every version refuses code in an .h5 file."""
    import h5py

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        with h5py.File(path, "r") as file:
            text: Any = file.attrs.get("model_config")
    except (OSError, KeyError, ValueError) as error:
        raise ImportModelError(f"{path}: not a Keras model file, or damaged: {error}") from error
    if text is None:
        raise ImportModelError(
            f"{path} holds weights without a model. Save the whole model by model.save('x.keras')."
        )
    return json.loads(text)


def _refuse_code(path: Path, part: Any) -> None:
    if isinstance(part, list):
        for item in part:
            _refuse_code(path, item)
    if not isinstance(part, dict):
        return
    if part.get("class_name") in CODE:
        name = part.get("name") or (part.get("config") or {}).get("name")
        raise ImportModelError(
            f"{path}: layer {name!r} is a {part['class_name']}, which holds Python code; TF2 does "
            f"not run code from model files. Replace it by layers of Keras, or export the model "
            f"yourself: model.export('folder') makes a SavedModel."
        )
    for item in part.values():
        _refuse_code(path, item)


def _load(path: Path) -> Any:
    # By name: type checkers take ``import keras`` for this file.
    keras: Any = import_module("keras")
    if keras.backend.backend() != "tensorflow":
        raise ImportModelError(
            f"{path}: Keras runs on {keras.backend.backend()}, the importer needs TensorFlow. Set "
            f"the environment variable KERAS_BACKEND=tensorflow."
        )
    try:
        model: Any = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ImportModelError(
            f"{path}: Keras {keras.__version__} cannot read it: {reason}. A file of Keras 2 may "
            f"need tf_keras: load it there and give the SavedModel that model.export makes."
        ) from error
    if not getattr(model, "inputs", None):
        raise ImportModelError(
            f"{path}: the model does not say what its inputs are. Save one that was built: a "
            f"functional model, or a Sequential that begins with an Input."
        )
    return model


def _freeze(path: Path, model: Any, input_shapes: Shapes) -> TensorFlowGraph:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    names: list[str] = []

    def call(*tensors: Any) -> list[Any]:
        result = model(tensors[0] if len(tensors) == 1 else list(tensors), training=False)
        if isinstance(result, dict):
            names[:] = sorted(result)
            return [result[name] for name in names]
        flat = tf.nest.flatten(result)
        names[:] = model.output_names if len(model.output_names) == len(flat) else []
        names.extend(f"output_{i}" for i in range(len(names), len(flat)))
        return flat

    specs = [tf.TensorSpec(value.shape, value.dtype) for value in model.inputs]
    if input_shapes is not None and len(input_shapes) == len(specs):
        # Layers such as Flatten look at sizes while they are traced.
        specs = [
            tf.TensorSpec((spec.shape[0], *shape[1:]), spec.dtype)
            for spec, shape in zip(specs, input_shapes, strict=True)
        ]
    try:
        traced = tf.function(call).get_concrete_function(*specs)
        frozen = convert_variables_to_constants_v2(traced)
    except Exception as error:
        raise ImportModelError(f"{path}: the model cannot be traced: {error}") from error
    return cut_graph(
        frozen.graph.as_graph_def(),
        source=path.name,
        inputs={a.name: b.name for a, b in zip(model.inputs, frozen.inputs, strict=True)},
        outputs={name: value.name for name, value in zip(names, frozen.outputs, strict=True)},
        input_shapes=input_shapes,
    )
