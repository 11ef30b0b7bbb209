"""One node at a time: run it on arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from tf2.errors import EngineError
from tf2.execution.onnx_writer import IR_VERSION, node_proto, to_onnx
from tf2.execution.runner import ort_session
from tf2.ir import OPSET, Graph, Node


def run_single(node: Node, operands: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
    """Return the outputs of one node in ONNX Runtime; an operand is None where an input is absent.

    Raises:
        EngineError: ONNX Runtime has no such operator, or it fails on these operands.
    """
    proto = node_proto(node)
    feeds = {f"x{i}": value for i, value in enumerate(operands) if value is not None}
    del proto.input[:]
    proto.input.extend("" if value is None else f"x{i}" for i, value in enumerate(operands))
    graph = helper.make_graph(
        [proto],
        node.name,
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in feeds.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in node.outputs if name],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets)
    session = ort_session(model, threads=1, optimize=False)
    names = [name for name in node.outputs if name]
    try:
        results = session.run(names, feeds)
    except Exception as error:  # ONNX Runtime's exceptions share no public base
        raise EngineError(f"{node.kind} node {node.name!r} cannot run: {error}") from error
    return {name: np.asarray(value) for name, value in zip(names, results, strict=True)}


def refusal(node: Node, graph: Graph) -> str | None:
    """Return why ONNX Runtime takes no model with this node alone, None when it takes it."""
    names = {name for name in (*node.inputs, *node.outputs) if name}
    alone = Graph(
        name=node.name,
        inputs=tuple(dict.fromkeys(n for n in node.inputs if n and n not in graph.constants)),
        outputs=tuple(name for name in node.outputs if name),
        nodes=(node,),
        types={name: graph.types[name] for name in names},
        constants={name: graph.constants[name] for name in names if name in graph.constants},
        batch_is_free=False,
    )
    try:
        ort_session(to_onnx(alone), threads=1, optimize=False)
    except EngineError as error:
        return str(error)
    return None
