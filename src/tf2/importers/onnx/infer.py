"""Types of every value, and the values that no input data can change, for given input shapes.

One walk over the nodes: constants and shapes give more constants, constants give more shapes.
A node is computed only after its inferred output size has been found sane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper, shape_inference

from tf2.errors import EngineError, ImportModelError, UnsupportedOpError
from tf2.execution.onnx_writer import IR_VERSION, element_type, node_proto
from tf2.importers.onnx.draft import Draft
from tf2.importers.onnx.parse import plain_type
from tf2.importers.onnx.single import run_single
from tf2.importers.onnx.tensors import MAX_RANK
from tf2.ir import OPSET, Node, Plain, TensorType

MAX_VALUE_BYTES = 2**32
"""Of one value at batch 1; a larger one is a broken or hostile file."""

MAX_FOLDED_BYTES = 2**31
"""Of all computed constants together: more does not fit one ONNX message."""

MAX_SHOWN_ELEMENTS = 4096
"""Of a constant that shape inference may look into: shapes, axes, scales."""

POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})

POOLS_RIGHT_AT_OPSET = 22
"""Before, inference in ceil mode counts a last window that lies in the padding; nobody runs it."""

LEAST_RANK = {
    "AveragePool": 3, "BatchNormalization": 2, "Conv": 3, "ConvTranspose": 3, "DepthToSpace": 4,
    "GlobalAveragePool": 2, "GlobalMaxPool": 2, "InstanceNormalization": 3, "LRN": 2, "MaxPool": 3,
    "SpaceToDepth": 4,
}  # fmt: skip
"""Of the first input; inference does not check it everywhere, and later stages rely on it."""

RANDOM_OPS = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
     "RandomUniformLike"}
)  # fmt: skip

ITEM_BYTES = {"string": 16, "bool": 1, "bfloat16": 2}


@dataclass(eq=False)
class Walk:
    """What is known of each value; ``known`` holds those that do not depend on input data."""

    types: dict[str, TensorType] = field(default_factory=dict)
    known: dict[str, np.ndarray] = field(default_factory=dict)


def walk(draft: Draft, shapes: Mapping[str, tuple[int, ...]], earlier: Walk | None = None) -> Walk:
    """Return types and known values of a network for given input shapes.

    Args:
        draft: The network.
        shapes: Of each graph input.
        earlier: A walk with other shapes, whose computed constants are used again where possible.

    Raises:
        UnsupportedOpError: An operator that cannot run or whose output size depends on data.
        ImportModelError: Shapes that do not fit, or absurd sizes; names the node.
    """
    result = Walk()
    for name, value in draft.inputs.items():
        result.types[name] = TensorType(value.dtype, shapes[name])
        if _bytes(result.types[name]) > MAX_VALUE_BYTES:
            raise ImportModelError(f"input {name!r} would be {result.types[name]}; it is too large")
    for name, array in draft.constants.items():
        result.known[name] = array
        result.types[name] = array_type(array, what=f"constant {name!r}")
    folded_bytes = 0
    for node in draft.nodes:
        missing = [name for name in node.inputs if name and name not in result.types]
        if missing:
            raise ImportModelError(f"{node.kind} node {node.name!r} reads unknown {missing[0]!r}")
        again = _unchanged(node, result, earlier)
        if again is None:
            again = _step(node, result)
        result.known.update(again.known)
        result.types.update(again.types)
        folded_bytes += sum(_bytes(again.types[name]) for name in again.known)
        if folded_bytes > MAX_FOLDED_BYTES:
            raise ImportModelError(
                f"constants computed up to {node.kind} node {node.name!r} take more than "
                f"{MAX_FOLDED_BYTES} bytes"
            )
    return result


def array_type(array: np.ndarray, *, what: str) -> TensorType:
    """Return the type of a constant."""
    code = helper.np_dtype_to_tensor_dtype(array.dtype)
    return TensorType(plain_type(code, what=what), array.shape)


def _unchanged(node: Node, now: Walk, earlier: Walk | None) -> Walk | None:
    """Return an earlier result of the node if it was computed from the very same arrays."""
    if earlier is None or not all(name in earlier.known for name in node.outputs if name):
        return None
    if node.op in ("Shape", "Size") and not node.domain:
        return None
    if any(name and now.known.get(name) is not earlier.known.get(name) for name in node.inputs):
        return None
    names = [name for name in node.outputs if name]
    return Walk(
        {name: earlier.types[name] for name in names}, {name: earlier.known[name] for name in names}
    )


def _step(node: Node, now: Walk) -> Walk:
    if node.op in ("Shape", "Size") and not node.domain:
        return _shape_of(node, now.types[node.inputs[0]].shape)
    types = _inferred(node, now)
    computable = all(name in now.known for name in node.inputs if name) and (
        node.op not in RANDOM_OPS
    )
    if types is None and not computable:
        types = _observed(node, now)
    for name, found in (types or {}).items():
        _check_size(node, name, found)
    if not computable:
        assert types is not None
        return Walk(types)
    if types and sum(map(_bytes, types.values())) > MAX_FOLDED_BYTES:
        return Walk(types)
    operands = [now.known[name] if name else None for name in node.inputs]
    try:
        known = _computed(node, operands)
    except EngineError as error:
        raise _unsupported(node, str(error)) from error
    what = f"output of {node.kind} node {node.name!r}"
    return Walk({name: array_type(a, what=what) for name, a in known.items()}, known)


def _computed(node: Node, operands: list[np.ndarray | None]) -> dict[str, np.ndarray]:
    if node.op == "ConstantOfShape" and operands[0] is not None:
        fill = node.attr("value", np.zeros(1, np.float32))
        return {node.output: np.full(operands[0].tolist(), fill.reshape(-1)[0], fill.dtype)}
    return run_single(node, operands)


def _shape_of(node: Node, shape: tuple[int, ...]) -> Walk:
    if node.op == "Size":
        value = np.array(int(np.prod(shape, dtype=object)), np.int64)
    else:
        value = np.array(shape[slice(node.attr("start", 0), node.attr("end", None))], np.int64)
    return Walk({node.output: TensorType(Plain("int64"), value.shape)}, {node.output: value})


def _inferred(node: Node, now: Walk) -> dict[str, TensorType] | None:
    """Return the types that ONNX infers, None where it leaves one open."""
    if node.domain:
        return None
    least = LEAST_RANK.get(node.op, 0)
    if least and len(now.types[node.inputs[0]].shape) < least:
        raise ImportModelError(
            f"{node.kind} node {node.name!r} reads {now.types[node.inputs[0]]}; it needs "
            f"{least} axes or more"
        )
    opset = POOLS_RIGHT_AT_OPSET if node.op in POOLS else OPSET
    try:
        schema = defs.get_schema(node.op, opset, "")
    except defs.SchemaError as error:
        raise _unsupported(node, f"opset {OPSET} has no such operator") from error
    proto = node_proto(node)
    inputs = {name for name in node.inputs if name}
    types = {name: _type_proto(now.types[name]) for name in inputs}
    data = {
        name: numpy_helper.from_array(now.known[name], name)
        for name in inputs
        if name in now.known and now.known[name].size <= MAX_SHOWN_ELEMENTS
    }
    opsets = [helper.make_opsetid("", opset)]
    try:
        found = shape_inference.infer_node_outputs(
            schema, proto, types, data, None, opsets, IR_VERSION
        )
    except Exception as error:  # C++ errors of the checker and of inference share no base
        raise ImportModelError(
            f"the inputs of {node.kind} node {node.name!r} do not fit: "
            f"{', '.join(f'{n} {now.types[n]}' for n in node.inputs if n)}: {error}"
        ) from error
    return _complete(node, found)


def _complete(node: Node, found: Mapping[str, onnx.TypeProto]) -> dict[str, TensorType] | None:
    types: dict[str, TensorType] = {}
    for name in node.outputs:
        if not name:
            continue
        proto = found.get(name)
        if proto is None:
            return None
        if proto.WhichOneof("value") != "tensor_type":
            raise _unsupported(node, f"its output {name!r} is no tensor")
        tensor = proto.tensor_type
        dims = tensor.shape.dim
        if not tensor.HasField("shape") or any(not d.HasField("dim_value") for d in dims):
            return None
        dtype = plain_type(tensor.elem_type, what=f"output of {node.kind} node {node.name!r}")
        types[name] = TensorType(dtype, tuple(d.dim_value for d in dims))
    return types


def _type_proto(value: TensorType) -> onnx.TypeProto:
    return helper.make_tensor_type_proto(element_type(value.dtype), value.shape)


def _observed(node: Node, now: Walk) -> dict[str, TensorType]:
    """Return the types found by running the node twice, on zeros and on ones."""
    seen = []
    if node.op in DATA_DEPENDENT_OPS:
        raise _data_dependent(node)
    for fill in (0, 1):
        operands = [
            None if not name else now.known[name] if name in now.known else _filled(now, name, fill)
            for name in node.inputs
        ]
        try:
            seen.append(run_single(node, operands))
        except EngineError as error:
            raise _unsupported(node, str(error)) from error
    what = f"output of {node.kind} node {node.name!r}"
    first, second = ({n: array_type(a, what=what) for n, a in arrays.items()} for arrays in seen)
    if first != second:
        raise _data_dependent(node)
    return first


def _data_dependent(node: Node) -> UnsupportedOpError:
    return UnsupportedOpError(
        node=node.name,
        op=node.kind,
        reason="the shape of its output depends on the data",
        hint="Cut the model before this node (onnx.utils.extract_model) and do the rest after.",
    )


DATA_DEPENDENT_OPS = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})


def _filled(now: Walk, name: str, fill: int) -> np.ndarray:
    value = now.types[name]
    dtype = helper.tensor_dtype_to_np_dtype(element_type(value.dtype))
    return np.full(value.shape, str(fill) if dtype == np.object_ else fill, dtype)


def _check_size(node: Node, name: str, value: TensorType) -> None:
    if any(d < 0 for d in value.shape) or len(value.shape) > MAX_RANK:
        raise ImportModelError(
            f"output {name!r} of {node.kind} node {node.name!r} would have shape {value.shape}"
        )
    if _bytes(value) > MAX_VALUE_BYTES:
        raise ImportModelError(
            f"output {name!r} of {node.kind} node {node.name!r} would be {value}, more than "
            f"{MAX_VALUE_BYTES} bytes; give a smaller --input-shape"
        )


def _bytes(value: TensorType) -> int:
    assert isinstance(value.dtype, Plain)
    name = value.dtype.name
    item = ITEM_BYTES[name] if name in ITEM_BYTES else np.dtype(name).itemsize
    return int(np.prod(value.shape, dtype=object)) * item


def _unsupported(node: Node, reason: str) -> UnsupportedOpError:
    return UnsupportedOpError(
        node=node.name, op=node.kind, reason=reason, hint="Export the model without it."
    )
