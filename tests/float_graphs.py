"""Small float graphs for the tests of passes, quantization and compression, shapes inferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper, shape_inference

from tf2.execution import Runner, interpret
from tf2.execution.onnx_writer import node_proto
from tf2.ir import FLOAT32, OPSET, Graph, Node, Plain, TensorType, verify

Rng = np.random.Generator


class FloatNet:
    """A float graph while it is built.

    Nodes are named after their operator and number ("conv0", "relu1", ...), each value after the
    node that writes it. Arrays among the operands become constants.

    Args:
        rng: Source of random weights.
        inputs: Shape of each graph input, batch 1.
    """

    def __init__(self, rng: Rng, **inputs: tuple[int, ...]) -> None:
        self.rng = rng
        self.inputs = tuple(inputs)
        self.types = {name: TensorType(FLOAT32, shape) for name, shape in inputs.items()}
        self.constants: dict[str, np.ndarray] = {}
        self.nodes: list[Node] = []

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the shape of a value."""
        return self.types[value].shape

    def constant(self, data: Any) -> str:
        """Add a constant (numbers are int64) and return its name."""
        array = np.asarray(data)
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        self.types[name] = TensorType(Plain(array.dtype.name), array.shape)
        return name

    def add(self, op: str, *operands: Any, outputs: int = 1, **attrs: Any) -> str:
        """Add a node and return its (first) output: the node's name."""
        inputs = tuple(x if isinstance(x, str) else self.constant(x) for x in operands)
        name = f"{op.lower()}{len(self.nodes)}"
        results = (name, *(f"{name}.{i}" for i in range(1, outputs)))
        node = Node(name=name, op=op, inputs=inputs, outputs=results, attrs=attrs)
        self.types.update(self._inferred(node))
        self.nodes.append(node)
        return name

    def _inferred(self, node: Node) -> dict[str, TensorType]:
        read = [name for name in node.inputs if name]
        found = shape_inference.infer_node_outputs(
            defs.get_schema(node.op, OPSET),
            node_proto(node),
            {name: _type_proto(self.types[name]) for name in read},
            {
                name: numpy_helper.from_array(self.constants[name])
                for name in read
                if name in self.constants
            },
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        return {name: _tensor_type(proto) for name, proto in found.items()}

    def weights(self, *shape: int) -> np.ndarray:
        """Return random weights that keep the size of what they act on."""
        fan_in = max(1, int(np.prod(shape[1:])))
        return (self.rng.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)

    def vector(self, size: int) -> np.ndarray:
        """Return random float32 numbers."""
        return self.rng.normal(size=size).astype(np.float32)

    def conv(
        self,
        x: str,
        channels: int,
        kernel: Sequence[int],
        *,
        bias: bool = True,
        group: int = 1,
        **attrs: Any,
    ) -> str:
        """Add a convolution with random weights."""
        weight = self.weights(channels, self.shape(x)[1] // group, *kernel)
        operands = [weight, 0.1 * self.vector(channels)] if bias else [weight]
        return self.add("Conv", x, *operands, group=group, kernel_shape=tuple(kernel), **attrs)

    def conv_transpose(
        self, x: str, channels: int, kernel: Sequence[int], *, group: int = 1, **attrs: Any
    ) -> str:
        """Add a transposed convolution with random weights."""
        weight = self.weights(self.shape(x)[1], channels // group, *kernel)
        bias = self.vector(channels)
        return self.add("ConvTranspose", x, weight, bias, group=group, **attrs)

    def gemm(self, x: str, features: int) -> str:
        """Add a fully connected layer in the canonical form."""
        weight = self.weights(features, self.shape(x)[1])
        bias = 0.1 * self.vector(features)
        return self.add("Gemm", x, weight, bias, transB=1, alpha=1.0, beta=1.0)

    def batch_norm(self, x: str, **attrs: Any) -> str:
        """Add a BatchNormalization with random parameters, half of the gains negative."""
        channels = self.shape(x)[1]
        variance = self.rng.uniform(0.3, 2.0, channels).astype(np.float32)
        parameters = (*(self.vector(channels) for _ in range(3)), variance)
        return self.add("BatchNormalization", x, *parameters, **attrs)

    def graph(self, *outputs: str, batch_is_free: bool = True) -> Graph:
        """Return the verified graph; default output is the last node's."""
        return verify(
            Graph(
                name="net",
                inputs=self.inputs,
                outputs=outputs or (self.nodes[-1].output,),
                nodes=tuple(self.nodes),
                types=self.types,
                constants=self.constants,
                batch_is_free=batch_is_free,
            )
        )


def _type_proto(kind: TensorType) -> onnx.TypeProto:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(str(kind.dtype)))
    return helper.make_tensor_type_proto(element, kind.shape)


def _tensor_type(proto: onnx.TypeProto) -> TensorType:
    tensor = proto.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorType(Plain(dtype), tuple(d.dim_value for d in tensor.shape.dim))


def feeds(graph: Graph, rng: Rng, batch: int = 2) -> dict[str, np.ndarray]:
    """Return a normally distributed batch, of the graph's own size where it is fixed."""
    shapes = {name: graph.shape(name) for name in graph.inputs}
    if graph.batch_is_free:
        shapes = {name: (batch, *shape[1:]) for name, shape in shapes.items()}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def ops(graph: Graph) -> list[str]:
    """Return the kinds of the nodes in order."""
    return [node.kind for node in graph.nodes]


def assert_same_function(
    before: Graph, after: Graph, x: Mapping[str, np.ndarray], *, tolerance: float = 2e-5
) -> None:
    """Compare ONNX Runtime's outputs of the first graph with both engines' of the second.

    The tolerance is a share of the largest output: float32 sums of up to a few hundred products in
    another order, or with another scaling, differ by some 1e-6 of it.
    """
    assert after.outputs == before.outputs
    expected = Runner(before, threads=1)(x)
    engines = [Runner(after, threads=1)(x)]
    if "ConvTranspose" not in ops(after):  # ONNX's reference misreads groups (onnx 1.23)
        engines.append(interpret(after, x))
    for found in engines:
        for name in before.outputs:
            scale = max(1e-30, float(np.abs(expected[name]).max(initial=0.0)))
            np.testing.assert_allclose(
                found[name] / scale, expected[name] / scale, rtol=0, atol=tolerance, err_msg=name
            )
