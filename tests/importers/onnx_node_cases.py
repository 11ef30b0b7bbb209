"""ONNX's own test cases of single operators, run through the importer.

A case passes when the imported graph gives the expected outputs, within the tolerances of ONNX's
runner, both in the golden interpreter and in ONNX Runtime. One that does not must have a reason.
"""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from tf2.errors import Tf2Error
from tf2.execution import Runner, interpret
from tf2.importers.onnx import read_onnx
from tf2.ir import OPSET
from tf2.ir.dtypes import PLAIN

REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")

SHAPE_INPUTS = {
    "AffineGrid": (1,), "BlackmanWindow": (0,), "CenterCropPad": (1,), "Col2Im": (1, 2),
    "ConstantOfShape": (0,), "DFT": (1, 2), "Expand": (1,), "HammingWindow": (0,),
    "HannWindow": (0,), "MaxUnpool": (2,), "MelWeightMatrix": (0, 1, 2, 3, 4), "OneHot": (1,),
    "Pad": (1, 3), "Range": (0, 1, 2), "Reshape": (1,), "Resize": (1, 2, 3), "STFT": (1, 3),
    "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,), "Tile": (1,), "TopK": (1,),
    "Unsqueeze": (1,), "Upsample": (1,),
} | {f"Reduce{name}": (1,) for name in REDUCTIONS}  # fmt: skip
"""Inputs that decide the output's shape: the cases feed them, a network has them as constants."""

DATA_DEPENDENT = {"Compress", "NonMaxSuppression", "NonZero", "Unique"}
RANDOM = {"Bernoulli", "Multinomial", "RandomNormalLike", "RandomUniformLike"}
STRING_OPS = {"RegexFullMatch", "StringNormalizer", "StringSplit", "TfIdfVectorizer"}
YOUNG = {"BitCast", "CausalConvWithState", "CumProd", "LinearAttention", "TensorScatter", "SwiGLU"}

REASONS = {
    "test_convinteger_with_padding": "ONNX Runtime takes no zero point of rank 1 here",
    "test_maxunpool_export_with_output_shape": "ONNX Runtime differs from the standard",
    "test_image_decoder": "ONNX Runtime has no implementation",
    "test_resize_downsample_scales_linear_align_corners": "ONNX Runtime differs from the standard",
    "test_resize_downsample_scales_cubic_align_corners": "ONNX Runtime differs from the standard",
    "test_dft": "ONNX Runtime is less precise than the tolerance",
    "test_stft": "ONNX Runtime is less precise than the tolerance",
    "test_spacetodepth_crd_mode": "attribute younger than opset 21",
    "test_spacetodepth_dcr_mode": "attribute younger than opset 21",
    "test_mod_": "fmod=0 on floats, younger than opset 21",
}
"""Of cases by the start of their name; the others are decided by what is in the case."""


@functools.cache
def cases() -> dict[str, list[Any]]:
    """Return the cases by operator: those of the ONNX domain that test one node."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, on the infinities that the cases contain
        everything = collect_testcases(None)
    found = defaultdict(list)
    for case in everything:
        domains = {opset.domain for opset in case.model.opset_import}
        if domains == {""} and len(case.model.graph.node) == 1:
            found[case.model.graph.node[0].op_type].append(case)
    return dict(found)


def outcome(case: Any) -> str | None:
    """Return None when a case passes, else what went wrong."""
    inputs, expected = ([_array(v) for v in values] for values in case.data_sets[0])
    model, feeds = _with_constants(case.model, inputs)
    try:
        graph = read_onnx(model)
        results = [interpret(graph, feeds), Runner(graph, threads=1)(feeds)]
    except Tf2Error as error:
        return str(error)
    for found in results:
        for name, wanted in zip(found, expected, strict=True):
            error = _mismatch(np.asarray(found[name]), wanted, case.rtol, case.atol)
            if error:
                return f"{name}: {error}"
    return None


def reason(case: Any) -> str | None:
    """Return why a case need not pass; None when it must."""
    node = case.model.graph.node[0]
    named = next((why for start, why in REASONS.items() if case.name.startswith(start)), None)
    if named:
        return named
    values = [*case.model.graph.input, *case.model.graph.output]
    if any(value.type.WhichOneof("value") != "tensor_type" for value in values):
        return "sequences and optional values"
    if any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
        return "control flow"
    types = {value.type.tensor_type.elem_type for value in values}
    return (
        _reason_of_operator(node)
        or _reason_of_types(types)
        or _reason_of_schema(node, case.model.graph.input)
        or _reason_of_data(node, case.data_sets[0])
    )


def _reason_of_operator(node: onnx.NodeProto) -> str | None:
    if node.op_type in DATA_DEPENDENT:
        return "the output's shape depends on the data"
    if node.op_type in RANDOM:
        return "random numbers"
    if node.op_type in STRING_OPS:
        return "text"
    if node.op_type in YOUNG:
        return "operator younger than opset 21"
    if node.op_type == "Attention" and "" in node.input:
        return "absent inputs: ONNX's inliner cannot write it out"
    return None


def _reason_of_types(types: set[int]) -> str | None:
    names = {TensorProto.DataType.Name(t).lower() for t in types}
    if TensorProto.STRING in types:
        return "text"
    held = {"float", "double", *PLAIN} - {"bfloat16"}
    if names - held:
        return f"elements of {', '.join(sorted(names - held))}"
    unusual = names - {"float", "int64", "int32", "bool", "uint8", "int8"}
    if unusual:
        return f"ONNX Runtime has no implementation for {', '.join(sorted(unusual))}"
    return None


def _reason_of_schema(node: onnx.NodeProto, inputs: Sequence[onnx.ValueInfoProto]) -> str | None:
    if not defs.has(node.op_type, OPSET):
        return None
    formal = defs.get_schema(node.op_type, OPSET).inputs
    names = list(node.input)
    for value in inputs:
        kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
        position = min(names.index(value.name), len(formal) - 1)
        if f"tensor({kind})" not in formal[position].types:
            return f"{kind}, younger than opset 21 for this operator"
    return None


def _reason_of_data(node: onnx.NodeProto, data: tuple[Sequence[Any], Sequence[Any]]) -> str | None:
    arrays = [np.asarray(_array(v)) for values in data for v in values]
    if any(a.size == 0 for a in arrays):
        return "empty tensors"
    if node.op_type == "Dropout" and len(node.input) == 3:
        return "training mode"
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type in ("GRU", "LSTM", "RNN") and attributes.get("layout"):
        return "ONNX Runtime has no implementation for layout=1"
    return None


def _array(value: Any) -> np.ndarray:
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value, object if isinstance(value, list) else None)


def _with_constants(
    source: onnx.ModelProto, inputs: list[np.ndarray]
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Return the model with its shape inputs as initializers, and what is left to feed."""
    model = onnx.ModelProto()
    model.CopyFrom(source)
    for opset in model.opset_import:
        opset.version = max(opset.version, 7)  # Not, unchanged since 1, has cases of opset 1
    node = model.graph.node[0]
    positions = SHAPE_INPUTS.get(node.op_type, ())
    fixed = {node.input[i] for i in positions if i < len(node.input)}
    feeds = {}
    for value, array in zip(list(model.graph.input), inputs, strict=True):
        if value.name in fixed:
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
            model.graph.input.remove(value)
        else:
            feeds[value.name] = array
    return model, feeds


def _mismatch(found: np.ndarray, wanted: np.ndarray, rtol: float, atol: float) -> str | None:
    if found.shape != wanted.shape:
        return f"shape {found.shape}, expected {wanted.shape}"
    if wanted.dtype.kind not in "fc":
        return None if np.array_equal(found, wanted) else "differs"
    if found.dtype != wanted.dtype:
        return f"{found.dtype}, expected {wanted.dtype}"
    if np.allclose(found, wanted, rtol=rtol, atol=atol, equal_nan=True):
        return None
    return f"differs by {np.nanmax(np.abs(found.astype(float) - wanted.astype(float)))}"
