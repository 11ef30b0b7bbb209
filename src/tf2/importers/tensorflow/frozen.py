"""Frozen TensorFlow 1 graphs (.pb) -> ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from tf2.errors import ImportModelError
from tf2.importers.tensorflow.extra import quiet, require_tensorflow
from tf2.importers.tensorflow.graph import Shapes, TensorFlowGraph, cut_graph, to_onnx

IMPORT_SCOPE = "import/"  # where tf.import_graph_def puts a graph unless told otherwise
SHOWN = 8


def read_frozen_graph(
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    input_shapes: Shapes = None,
    constants: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """Return the part of a frozen graph between the tensors named as ONNX.

    Tensors are named as in TensorFlow, ``scope/node:0``; ``:0`` and a leading ``import/`` may be
    there or not. In ONNX they have neither.

    Args:
        path: A binary GraphDef without variables.
        inputs: The tensors to feed, in any place of the graph.
        outputs: The tensors to compute.
        input_shapes: Sizes for axes that the graph leaves free, in the order of ``inputs``, batch
            axis included (it stays free where the graph leaves it free).
        constants: Values of other tensors to fold into the graph, such as
            ``{"import/training:0": False}``.

    Raises:
        UnsupportedOpError: An operator has no ONNX form.
        ImportModelError: The file is no frozen graph, or lacks a tensor.
        MissingExtraError: TensorFlow or tf2onnx is not installed.
    """
    return to_onnx(
        load_frozen_graph(
            path, inputs=inputs, outputs=outputs, input_shapes=input_shapes, constants=constants
        )
    )


def load_frozen_graph(
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    input_shapes: Shapes = None,
    constants: Mapping[str, Any] | None = None,
) -> TensorFlowGraph:
    """Return the part of a frozen graph between the tensors named. See read_frozen_graph."""
    require_tensorflow()
    definition = _parse(path)
    if not inputs or not outputs:
        raise ImportModelError(
            f"{path}: a frozen graph does not say what its inputs and outputs are. Name them; "
            f"{_candidates(definition)}."
        )
    known = {node.name for node in definition.node}
    fed = {_tensor(path, known, name): value for name, value in (constants or {}).items()}
    with quiet():
        return cut_graph(
            definition,
            source=path.name,
            inputs=_named(path, known, inputs),
            outputs=_named(path, known, outputs),
            input_shapes=input_shapes,
            constants=fed,
        )


def _parse(path: Path) -> Any:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    if path.name == "saved_model.pb":
        raise ImportModelError(f"{path} belongs to a SavedModel: give its folder, {path.parent}.")
    if not path.is_file():
        raise ImportModelError(f"{path}: no such frozen graph.")
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ImportModelError(f"{path}: not a binary GraphDef, or damaged: {error}") from error
    variables = [n.name for n in definition.node if n.op in ("VariableV2", "VarHandleOp")]
    if variables:
        raise ImportModelError(
            f"{path} is not frozen: {len(variables)} variables, the first is {variables[0]!r}. "
            f"Freeze it, or give the SavedModel."
        )
    return definition


def _named(path: Path, known: set[str], names: Sequence[str]) -> dict[str, str]:
    tensors = [_tensor(path, known, name) for name in names]
    return {tensor.removesuffix(":0").replace(":", "_"): tensor for tensor in tensors}


def _tensor(path: Path, known: set[str], name: str) -> str:
    """The full name of a tensor of the graph, ``node:index``."""
    node, _, index = name.partition(":")
    if node not in known:
        node = node.removeprefix(IMPORT_SCOPE)
    if node not in known:
        raise ImportModelError(f"{path} has no tensor {name!r}. Nodes are named as in TensorFlow.")
    return f"{node}:{index or 0}"


def _candidates(definition: Any) -> str:
    starts = [n.name for n in definition.node if n.op.startswith("Placeholder")]
    used = {name.lstrip("^").partition(":")[0] for n in definition.node for name in n.input}
    ends = [n.name for n in definition.node if n.name not in used]
    return f"placeholders are {_listed(starts)}; nodes that no other uses are {_listed(ends)}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "") or "none"
