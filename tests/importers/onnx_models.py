"""Small ONNX models, in the text form of ``onnx.parser`` or from parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper


def model(
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Mapping[str, Sequence[int | str | None] | None],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 21,
    dtype: int = onnx.TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Return a model; every input has ``dtype``, outputs declare no shape."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, dtype, dims) for name, dims in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(c), name) for name, c in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def one_node(op: str, dims: Sequence[int | str | None], **attrs: object) -> onnx.ModelProto:
    """Return a model of one node from ``x`` to ``y``."""
    return model([helper.make_node(op, ["x"], ["y"], **attrs)], inputs={"x": dims}, outputs=["y"])


def conv(
    dims: Sequence[int | str | None] = (1, 3, 8, 8), *, opset: int = 13, **attrs: object
) -> onnx.ModelProto:
    """Return a 3x3 convolution of 3 channels into 4, with a Relu."""
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", **attrs),
        helper.make_node("Relu", ["c"], ["y"], name="relu"),
    ]
    return model(nodes, inputs={"x": dims}, outputs=["y"], constants={"w": weight}, opset=opset)
