"""A TensorFlow graph without variables: what every TensorFlow format becomes before ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.importers._exported import OPSET, finish_export
from tf2.importers.tensorflow.extra import quiet
from tf2.importers.tensorflow.names import SCOPE, number_anew

Runner = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
Shapes = Sequence[Sequence[int]] | None


@dataclass(frozen=True, kw_only=True)
class TensorFlowGraph:
    """A frozen GraphDef cut down to what leads from its inputs to its outputs.

    Attributes:
        source: The model as the user named it, for messages.
        definition: The GraphDef; every input is a Placeholder of it.
        inputs: The tensor of each input, by the name it gets in ONNX.
        outputs: The tensor of each output, by the name it gets in ONNX.
    """

    source: str
    definition: Any = field(repr=False)
    inputs: dict[str, str]
    outputs: dict[str, str]


def cut_graph(
    definition: Any,
    *,
    source: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    input_shapes: Shapes = None,
    constants: Mapping[str, Any] | None = None,
) -> TensorFlowGraph:
    """Return the part of a frozen GraphDef between ``inputs`` and ``outputs``.

    Args:
        definition: A GraphDef without variables.
        source: The model as the user named it.
        inputs: Tensor name (``image:0``) of each input, by the name it shall have.
        outputs: Tensor name of each output, by the name it shall have.
        input_shapes: Sizes that take the place of the graph's own, batch axis included; a batch
            that the graph leaves free stays free.
        constants: Values fed to other tensors, such as ``{"training:0": False}``.

    Raises:
        ImportModelError: A tensor is not in the graph, or a shape contradicts it.
    """
    import tensorflow as tf

    constants = constants or {}
    if input_shapes is not None and len(input_shapes) != len(inputs):
        raise ImportModelError(
            f"{source}: {len(input_shapes)} input shapes for {len(inputs)} inputs "
            f"({', '.join(inputs)})."
        )
    try:
        definition = _without_calls(definition, list(outputs.values()))
        with tf.Graph().as_default() as whole:
            tf.import_graph_def(definition, name="")
        fed = {name: whole.get_tensor_by_name(name) for name in (*inputs.values(), *constants)}
        with tf.Graph().as_default() as cut:
            replaced: dict[str, Any] = {
                name: tf.constant(value, fed[name].dtype, name=f"constant_{i}")
                for i, (name, value) in enumerate(constants.items())
            }
            for i, name in enumerate(inputs.values()):
                shape = _shape(fed[name].shape, input_shapes[i] if input_shapes else None)
                replaced[name] = tf.compat.v1.placeholder(fed[name].dtype, shape, name=f"input_{i}")
            ends = tf.import_graph_def(definition, replaced, list(outputs.values()), name=SCOPE)
            assert ends is not None  # return_elements were given
            for i, end in enumerate(ends):
                tf.identity(end, name=f"output_{i}")
        nodes = [f"output_{i}" for i in range(len(outputs))]
        part = tf.compat.v1.graph_util.extract_sub_graph(cut.as_graph_def(), nodes)
    except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        raise ImportModelError(f"{source}: {error}") from error
    reached = {node.name for node in part.node}
    for i, name in enumerate(inputs):
        if f"input_{i}" not in reached:
            raise ImportModelError(
                f"{source}: no output depends on the input {name!r}; leave it out."
            )
    return TensorFlowGraph(
        source=source,
        definition=part,
        inputs={name: f"input_{i}:0" for i, name in enumerate(inputs)},
        outputs={
            f"{name}_output" if name in inputs else name: f"output_{i}:0"
            for i, name in enumerate(outputs)
        },
    )


def _without_calls(definition: Any, outputs: list[str]) -> Any:
    """The graph with every function call replaced by the function's nodes.

    TensorFlow inlines a call for certain only when its result is fetched, hence all are.
    """
    import tensorflow as tf
    from tf2onnx import tf_loader

    calls = [f"{node.name}:0" for node in definition.node if node.op in CALLS]
    if not calls:
        return definition
    with tf.Graph().as_default():
        flat = tf_loader.tf_optimize([], list(dict.fromkeys([*outputs, *calls])), definition)
    if not any(node.op in CALLS for node in flat.node):
        flat.library.Clear()  # what is left there may refer to functions that freezing removed
    return flat


def _shape(own: Any, given: Sequence[int] | None) -> Any:
    if given is None:
        return own
    batch = own[0] if own.rank else None
    return own.merge_with([batch, *given[1:]])


def to_onnx(graph: TensorFlowGraph) -> onnx.ModelProto:
    """Return the graph as ONNX under its public names.

    Raises:
        UnsupportedOpError: tf2onnx has no ONNX form of an operator.
        ImportModelError: The conversion fails, or an axis other than the batch is free.
    """
    import tf2onnx.convert

    names = {tensor: name for name, tensor in (graph.inputs | graph.outputs).items()}
    with quiet():
        try:
            model, _ = tf2onnx.convert.from_graph_def(
                graph.definition,
                input_names=list(graph.inputs.values()),
                output_names=list(graph.outputs.values()),
                opset=OPSET,
                tensors_to_rename=names,
            )
        except Exception as error:
            raise ImportModelError(
                f"{graph.source} cannot be converted to ONNX by tf2onnx: {error}."
            ) from error
    for node in model.graph.node:
        # tf2onnx leaves an operator that it does not know in the graph as it is.
        if not onnx.defs.has(node.op_type, OPSET, node.domain):
            raise UnsupportedOpError(
                node=node.name,
                op=node.op_type,
                reason="tf2onnx has no ONNX form of it",
                hint="Replace it in the model, or cut the graph before it.",
            )
    used = {node.domain for node in model.graph.node} | {""}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    finish_export(model, source=graph.source)
    number_anew(model.graph)
    return model


def reference_runner(graph: TensorFlowGraph) -> Runner:
    """Return a function that runs the graph in TensorFlow under the names its export has."""
    import tensorflow as tf

    with tf.Graph().as_default() as executable:
        tf.import_graph_def(graph.definition, name="")
    session = tf.compat.v1.Session(graph=executable)

    def run(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = {graph.inputs[name]: value for name, value in feeds.items()}
        results = session.run(list(graph.outputs.values()), tensors)
        return dict(zip(graph.outputs, results, strict=True))

    return run
