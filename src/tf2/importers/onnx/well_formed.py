"""Is a model whole enough to be given to code that trusts it?

ONNX's converter and ONNX Runtime are C++ that takes a model's structure on faith; a damaged file
must be caught here, not by a crash.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx
from google.protobuf.message import Message
from onnx import checker

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.importers.onnx.opset import DOMAINS, opset_version

MAX_NODES = 200_000

MAX_INPUT_ELEMENTS = 2**28

MAX_DEPTH = 50
"""Of messages within messages, such as branches in branches."""


def check_well_formed(model: onnx.ModelProto) -> None:
    """Return when a model is complete and consistent; mends what exporters are known to forget.

    Raises:
        UnsupportedOpError: A node of an unknown domain.
        ImportModelError: Anything else; says what is broken.
    """
    if not model.HasField("graph") or not model.opset_import:
        raise ImportModelError("this is no ONNX model: it has no graph or no opset. Check the file")
    for text in _texts(model, depth=0):
        if not isinstance(text, str):  # protobuf gives the bytes where they are no text
            raise ImportModelError(f"the model is damaged: {text[:40]!r} is no text")
    if len(model.graph.node) > MAX_NODES:
        raise ImportModelError(f"the model has more than {MAX_NODES} nodes")
    opset_version(model)
    _check_domains(model)
    _check_wiring(model.graph)
    _open_odd_sizes(model.graph)
    for value in model.graph.input:
        _check_input_size(value)
    try:
        checker.check_model(_skeleton(model))
        for tensor in model.graph.initializer:
            checker.check_tensor(tensor)
        for sparse in model.graph.sparse_initializer:
            checker.check_sparse_tensor(sparse)
    except Exception as error:  # the checker's C++ errors share no public base
        raise ImportModelError(f"the model is malformed: {error}. Export it again.") from error


def _skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without weights, and with the shapes that only the checker asks for."""
    skeleton = onnx.ModelProto(ir_version=model.ir_version)
    skeleton.opset_import.extend(model.opset_import)
    skeleton.graph.name = model.graph.name or "graph"
    skeleton.graph.node.extend(model.graph.node)
    names = {t.name for t in model.graph.initializer}
    for name in names | {t.values.name for t in model.graph.sparse_initializer}:
        skeleton.graph.initializer.add(name=name, dims=[0], data_type=onnx.TensorProto.FLOAT)
    skeleton.graph.input.extend(model.graph.input)
    skeleton.graph.output.extend(model.graph.output)
    for value in skeleton.graph.input:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    for value in skeleton.graph.output:
        value.type.Clear()
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        value.type.tensor_type.shape.SetInParent()
    return skeleton


def _texts(message: Message, *, depth: int) -> Iterator[str | bytes]:
    if depth > MAX_DEPTH:
        raise ImportModelError(f"the model nests more than {MAX_DEPTH} messages")
    for field, value in message.ListFields():
        values = value if field.is_repeated else (value,)
        if field.type == field.TYPE_STRING:
            yield from values
        elif field.type == field.TYPE_MESSAGE:
            for inner in values:
                yield from _texts(inner, depth=depth + 1)


def _check_domains(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.domain not in DOMAINS:
            raise UnsupportedOpError(
                node=node.name,
                op=f"{node.domain}.{node.op_type}",
                reason=f"domain {node.domain!r} is unknown; known are 'ai.onnx', 'com.microsoft'",
                hint="Export the model with standard operators only.",
            )
    if not any(opset.domain == "com.microsoft" for opset in model.opset_import):
        model.opset_import.add(domain="com.microsoft", version=1)  # often forgotten


def _open_odd_sizes(graph: onnx.GraphProto) -> None:
    """Leave axes open that exporters mark with 0 or -1; ONNX's C++ code would compute with them."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim if value.type.HasField("tensor_type") else ():
            if dim.dim_value < 1 and not dim.dim_param:
                dim.Clear()


def _check_input_size(value: onnx.ValueInfoProto) -> None:
    dims = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    if math.prod(dims) > MAX_INPUT_ELEMENTS:
        raise ImportModelError(
            f"input {value.name!r} of shape {dims} has more than {MAX_INPUT_ELEMENTS} elements"
        )


def _check_wiring(graph: onnx.GraphProto) -> None:
    known = {value.name for value in graph.input} | {t.name for t in graph.initializer}
    known |= {t.values.name for t in graph.sparse_initializer}
    for node in graph.node:
        _check_reads(node, known)
        for name in filter(None, node.output):
            if name in known:
                raise ImportModelError(f"{_named(node)} writes {name!r}, which exists already")
            known.add(name)
    outputs = [value.name for value in graph.output]
    for name in outputs:
        if not name or name not in known:
            raise ImportModelError(f"graph output {name!r} is written by no node")
    if not outputs or len(set(outputs)) != len(outputs):
        raise ImportModelError(f"graph outputs must be one or more, each once; found {outputs}")
    if "" in known:
        raise ImportModelError("an input or initializer has no name")


def _check_reads(node: onnx.NodeProto, known: set[str]) -> None:
    for name in filter(None, node.input):
        if name not in known:
            raise ImportModelError(f"{_named(node)} reads {name!r}, which nothing before it writes")


def _named(node: onnx.NodeProto) -> str:
    return f"{node.op_type} node {node.name!r}"
