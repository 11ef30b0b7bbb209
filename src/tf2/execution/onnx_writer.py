"""Graph -> ONNX model that computes exactly the same, integers included.

Feature bytes b become uint8 ``b + 128`` (ONNX Runtime is more than ten times slower on int8
features), so zero points 0 and -128 become 128 and 0.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tf2.execution import faster_nodes, integer_nodes
from tf2.execution.emitter import Emitter
from tf2.ir import OPSET, Feature, Graph, Node, TensorType
from tf2.ir.dtypes import DType
from tf2.ir.integer_ops import DOMAIN

IR_VERSION = 10
"""Of the ONNX file: what opset 21 came with."""

BATCH = "N"


def to_onnx(
    graph: Graph, *, outputs: Iterable[str] | None = None, fragment: bool = False
) -> onnx.ModelProto:
    """Return an ONNX model with the graph's inputs and outputs, runnable by any ONNX runtime.

    Args:
        graph: Verified. Features may be inputs or outputs; they are then uint8.
        outputs: Names of values to return instead of the graph's outputs.
        fragment: The graph is cut out of a larger one, so the batch may sit in any axis of its
            inputs (a reshape may have merged it with channels): declare no sizes.
    """
    emitter = Emitter()
    for node in graph.nodes:
        if node.domain == DOMAIN:
            integer_nodes.emit(emitter, graph, node)
        else:
            _emit_plain(emitter, graph, node)
    names = graph.outputs if outputs is None else tuple(outputs)
    used = {name for node in emitter.nodes for name in node.input}
    initializers = [
        numpy_helper.from_array(_stored(data, graph.types[name].dtype), name)
        for name, data in graph.constants.items()
        if name in used or name in names
    ]
    proto = helper.make_graph(
        emitter.nodes,
        graph.name or "graph",
        [_value_info(graph, name, fragment=fragment) for name in graph.inputs],
        [_value_info(graph, name, fragment=fragment) for name in names],
        initializer=[*initializers, *emitter.initializers],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(
        proto, producer_name="tf2", ir_version=IR_VERSION, opset_imports=opsets
    )


def _stored(data: np.ndarray, dtype: DType) -> np.ndarray:
    if isinstance(dtype, Feature):
        return (data.astype(np.int16) + 128).astype(np.uint8)
    return data


def element_type(dtype: DType) -> int:
    """Return the ONNX element type that holds values of this type."""
    if isinstance(dtype, Feature):
        return TensorProto.UINT8
    return TensorProto.DataType.Value(
        {"float32": "FLOAT", "float64": "DOUBLE"}.get(dtype.name, dtype.name.upper())
    )


def _value_info(graph: Graph, name: str, *, fragment: bool) -> onnx.ValueInfoProto:
    value: TensorType = graph.types[name]
    shape: list[int | str] = list(value.shape)
    if fragment:
        shape = [f"{name}.{axis}" for axis in range(len(shape))]
    elif graph.batch_is_free and shape:
        shape[0] = BATCH
    return helper.make_tensor_value_info(name, element_type(value.dtype), shape)


def node_proto(node: Node) -> onnx.NodeProto:
    """Return a default-domain or com.microsoft node as ONNX writes it."""
    attrs = {
        key: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for key, value in node.attrs.items()
    }
    proto = helper.make_node(node.op, node.inputs, node.outputs, name=node.name, domain=node.domain)
    for key, value in attrs.items():
        empty = isinstance(value, tuple) and not value
        kind = onnx.AttributeProto.INTS if empty else None
        proto.attribute.append(helper.make_attribute(key, value, attr_type=kind))
    return proto


def _emit_plain(emitter: Emitter, graph: Graph, node: Node) -> None:
    if faster_nodes.emit(emitter, graph, node):
        return
    proto = node_proto(node)
    out = graph.types[next(name for name in node.outputs if name)].dtype
    if node.op == "Pad" and isinstance(out, Feature):
        # ONNX pads with 0 unless told otherwise; features are padded with their zero point.
        fill = emitter.constant(f"{node.name}.fill", np.uint8(out.zero_point + 128))
        axes = node.inputs[3:4]
        del proto.input[:]
        proto.input.extend([*node.inputs[:2], fill, *axes])
    emitter.nodes.append(proto)
