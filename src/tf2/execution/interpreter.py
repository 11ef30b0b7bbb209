"""The golden interpreter: a graph run node by node, integers by `tf2.numerics`.

Float operators are those of ONNX's own reference implementation, so that nothing here depends on
ONNX Runtime and the two can be compared.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from tf2.errors import EngineError
from tf2.execution.onnx_writer import IR_VERSION, node_proto
from tf2.ir import OPSET, Feature, Graph, Node
from tf2.ir.integer_ops import DOMAIN, window
from tf2.numerics import fixed_point, integer_ops
from tf2.numerics.fixed_point import BYTE_MAX, BYTE_MIN

Arrays = dict[str, np.ndarray]


def interpret(
    graph: Graph, feeds: Mapping[str, np.ndarray], outputs: Iterable[str] | None = None
) -> Arrays:
    """Return the named values (default: the graph's outputs); features as int8 bytes.

    Args:
        graph: Verified.
        feeds: One array for each graph input, batch axis free if the graph says so.
        outputs: Names of values to return.

    Raises:
        EngineError: An input is missing, or a float operator fails; names the node.
    """
    wanted = tuple(graph.outputs if outputs is None else outputs)
    missing = [name for name in graph.inputs if name not in feeds]
    if missing:
        raise EngineError(f"input {missing[0]!r} is missing; the graph reads {graph.inputs}")
    values: Arrays = {**graph.constants, **{name: feeds[name] for name in graph.inputs}}
    for node in graph.nodes:
        values.update(run_node(graph, node, values))
    return {name: values[name] for name in wanted}


def run_node(graph: Graph, node: Node, values: Mapping[str, np.ndarray]) -> Arrays:
    """Return the outputs of one node, given the values it reads."""
    operands = [values[name] if name else None for name in node.inputs]
    if node.domain == DOMAIN:
        return {node.output: _INTEGER_OPS[node.op](graph, node, *operands)}
    feature = graph.types[next(name for name in node.outputs if name)].dtype
    if node.op == "MaxPool" and isinstance(feature, Feature):
        features = values[node.inputs[0]]
        return {node.output: integer_ops.max_pool(features, window=window(graph, node))}
    if node.op == "MaxPool" and len(node.outputs) == 1 and "auto_pad" not in node.attrs:
        return {node.output: _plain_max_pool(graph, node, values[node.inputs[0]])}
    if node.op == "Pad" and isinstance(feature, Feature):
        fill = np.int8(feature.zero_point)
        operands = [*operands[:2], fill, *operands[3:]]
    return _run_reference(node, operands)


def _run_reference(node: Node, operands: list[np.ndarray | None]) -> Arrays:
    proto = node_proto(node)
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(operands)]
    del proto.input[:]
    proto.input.extend(names)
    outputs = [name for name in node.outputs if name]
    graph = helper.make_graph(
        [proto],
        node.name or node.op,
        # Typed: operators that ONNX defines as functions are expanded for their element type.
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype), np.shape(value)
            )
            for name, value in zip(names, operands, strict=True)
            if value is not None
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets)
    feeds = {n: v for n, v in zip(names, operands, strict=True) if n and v is not None}
    try:
        results: Any = ReferenceEvaluator(model).run(outputs, feeds)
    except Exception as error:  # the reference raises anything; the node's name is what helps
        raise EngineError(
            f"{node.kind} node {node.name!r} cannot be interpreted: {error}"
        ) from error
    return {name: np.asarray(value) for name, value in zip(outputs, results, strict=True)}


def _plain_max_pool(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """Return the largest element of each window; the reference misreads uneven pads (onnx 1.23)."""
    fill: Any = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    views = (seen for _, seen in window(graph, node).taps(x, fill))
    return functools.reduce(np.maximum, views)


def _format(graph: Graph, name: str) -> tuple[int, int]:
    dtype = graph.types[name].dtype
    assert isinstance(dtype, Feature)
    return dtype.frac_bits, dtype.zero_point


def _bounds(node: Node) -> dict[str, int]:
    return {"low": int(node.attr("low", BYTE_MIN)), "high": int(node.attr("high", BYTE_MAX))}


def _quantize(graph: Graph, node: Node, x: Any) -> np.ndarray:
    return fixed_point.quantize(x, *_format(graph, node.output))


def _dequantize(graph: Graph, node: Node, x: Any) -> np.ndarray:
    return fixed_point.dequantize(x, *_format(graph, node.inputs[0]))


def _conv(graph: Graph, node: Node, x: Any, w: Any, b: Any, *factors: Any) -> np.ndarray:
    zero_point = _format(graph, node.inputs[0])[1]
    groups, walk = int(node.attr("group", 1)), window(graph, node)
    if not factors:
        acc = integer_ops.accumulate(x, w, b, window=walk, groups=groups, zero_point=zero_point)
        return acc.astype(np.int32)
    m, s, *negative = factors
    return integer_ops.conv(
        x, w, b, m, s,
        window=walk,
        groups=groups,
        input_zero_point=zero_point,
        output_zero_point=_format(graph, node.output)[1],
        negative_multiplier=negative[0] if negative else None,
        negative_shift=negative[1] if negative else None,
        **_bounds(node),
    )  # fmt: skip


def _add(graph: Graph, node: Node, a: Any, b: Any) -> np.ndarray:
    return integer_ops.add(
        a,
        b,
        a_format=_format(graph, node.inputs[0]),
        b_format=_format(graph, node.inputs[1]),
        out_format=_format(graph, node.output),
        **_bounds(node),
    )


def _average_pool(graph: Graph, node: Node, x: Any) -> np.ndarray:
    if not isinstance(graph.types[node.output].dtype, Feature):
        values = x.astype(np.int32) - _format(graph, node.inputs[0])[1]
        return values.sum(axis=tuple(range(2, x.ndim)), keepdims=True, dtype=np.int32)
    return integer_ops.average_pool(
        x,
        window=window(graph, node),
        multiplier=node.attr("multiplier", None),
        shift=node.attr("shift", None),
        input_zero_point=_format(graph, node.inputs[0])[1],
        output_zero_point=_format(graph, node.output)[1],
    )


_INTEGER_OPS: Mapping[str, Callable[..., np.ndarray]] = {
    "Quantize": _quantize,
    "Dequantize": _dequantize,
    "Conv": _conv,
    "Add": _add,
    "AveragePool": _average_pool,
}
