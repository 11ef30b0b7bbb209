"""A network in half or double precision -> the same network in float32.

The array's integers are made from float32 weights, and ONNX Runtime has no convolution in double on
a CPU. Only a network whose own weights are of another precision is changed: a float32 network that
computes a size in double goes on to do so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from tf2.errors import ImportModelError
from tf2.importers.onnx.tensors import tensor_array

OTHER_PRECISIONS: Mapping[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}

WEIGHT_OPS = frozenset(
    {"BatchNormalization", "Conv", "ConvTranspose", "GRU", "Gemm", "GroupNormalization",
     "InstanceNormalization", "LSTM", "LayerNormalization", "MatMul", "PRelu", "RNN"}
)  # fmt: skip
"""Operators whose constants are the weights of a network."""

KIND_ATTRIBUTES = frozenset(
    {"dtype", "output_datatype", "output_dtype", "precision", "softmax_precision", "stash_type",
     "to"}
)  # fmt: skip
"""Attributes that name an element type."""


def precisions(model: onnx.ModelProto) -> frozenset[str]:
    """Return the names of the element types other than float32 that the weights have."""
    return frozenset(OTHER_PRECISIONS[kind] for kind in _kinds(model))


def in_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with inputs, weights and arithmetic in float32, where it has another.

    Every number of float16 and bfloat16 is one of float32; one of float64 is rounded.

    Raises:
        ImportModelError: A finite number is too large for float32; names the tensor.
    """
    kinds = _kinds(model)
    if not kinds:
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    _convert(changed.graph, kinds)
    return changed


def _kinds(model: onnx.ModelProto) -> set[int]:
    """The element types of the constants that layers read, through a change of layout or not."""
    graph = model.graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    kinds |= {sparse.values.name: sparse.values.data_type for sparse in graph.sparse_initializer}
    found: set[int] = set()
    for node in graph.node:
        if node.op_type == "Constant":
            held = [tensor.data_type for a in node.attribute for tensor in _tensors(a)]
            kinds.update(zip(node.output, held, strict=False))
        elif node.op_type in ("Identity", "Reshape", "Transpose"):
            held = [kinds[name] for name in node.input[:1] if name in kinds]
            kinds.update(zip(node.output, held, strict=False))
        elif node.op_type in WEIGHT_OPS:
            found |= {kinds[name] for name in node.input if name in kinds}
    return found & OTHER_PRECISIONS.keys()


def _convert(graph: onnx.GraphProto, kinds: set[int]) -> None:
    for tensor in _constants(graph):
        if tensor.data_type in kinds:
            tensor.CopyFrom(_float32(tensor))
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in kinds:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in KIND_ATTRIBUTES and attribute.i in kinds:
                attribute.i = TensorProto.FLOAT
            for inner in _graphs(attribute):
                _convert(inner, kinds)


def _constants(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    yield from (sparse.values for sparse in graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            yield from _tensors(attribute)


def _tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.type == AttributeProto.TENSOR:
        yield attribute.t
    if attribute.type == AttributeProto.SPARSE_TENSOR:
        yield attribute.sparse_tensor.values


def _graphs(attribute: AttributeProto) -> Iterable[onnx.GraphProto]:
    return [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs


def _float32(tensor: TensorProto) -> TensorProto:
    what = f"tensor {tensor.name!r}" if tensor.name else "a constant"
    array = tensor_array(tensor, what=what)
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float32)
    if np.isinf(rounded).sum() > np.isinf(array.astype(np.float64)).sum():
        largest = np.abs(array[np.isfinite(array)]).max()
        raise ImportModelError(
            f"{what} holds {largest:.3g}, which float32 cannot. Export the model in float32."
        )
    return numpy_helper.from_array(rounded, tensor.name)
