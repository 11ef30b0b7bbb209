"""Networks in which channels depend on each other in every way that can be taken apart."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from random_layers import Rng
from tf2.importers import load_model
from tf2.ir import Graph
from tf2.pruning.prune import ready

SIZE = 8
CLASSES = 5


class Net:
    """A float network while it is built, of random weights."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, data: np.ndarray) -> str:
        name = f"k{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(data, name))
        return name

    def normal(self, *shape: int, scale: float = 1.0) -> str:
        return self.constant((scale * self._rng.standard_normal(shape)).astype(np.float32))

    def positive(self, *shape: int) -> str:
        return self.constant(self._rng.uniform(0.5, 1.5, shape).astype(np.float32))

    def add(self, op: str, *inputs: str, outputs: int = 1, name: str = "", **attrs) -> str:
        number = len(self._nodes)
        names = [f"v{number}" if i == 0 else f"v{number}_{i}" for i in range(outputs)]
        label = name or f"{op.lower()}{number}"
        self._nodes.append(helper.make_node(op, inputs, names, name=label, **attrs))
        return names[0]

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 3, groups: int = 1, **attrs):
        fan = inputs // groups * kernel**2
        weight = self.normal(outputs, inputs // groups, kernel, kernel, scale=(2 / fan) ** 0.5)
        bias = self.normal(outputs, scale=0.1)
        pads = [kernel // 2] * 4
        return self.add("Conv", x, weight, bias, group=groups, pads=pads, **attrs)

    def conv_relu(self, x: str, inputs: int, outputs: int, kernel: int = 3, **attrs) -> str:
        return self.add("Relu", self.conv(x, inputs, outputs, kernel, **attrs))

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        weight = self.normal(outputs, inputs, scale=inputs**-0.5)
        return self.add("Gemm", x, weight, self.normal(outputs, scale=0.1), transB=1)

    def finished(self, y: str) -> Graph:
        """Return the network as pruning takes it, from "x" to ``y``."""
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
        result = helper.make_tensor_value_info(y, TensorProto.FLOAT, None)
        graph = helper.make_graph(self._nodes, "net", [given], [result], self._constants)
        opsets = [helper.make_opsetid("", 21)]
        model = helper.make_model(graph, ir_version=10, opset_imports=opsets)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.onnx"
            path.write_bytes(model.SerializeToString())
            return ready(load_model(path).graph)


def residual(rng: Rng) -> Graph:
    """Two residual blocks, the shortcut between stages padding channels with zeros."""
    net = Net(rng)
    x = net.conv_relu("x", 3, 8)
    x = net.add("Relu", net.add("Add", net.conv(net.conv_relu(x, 8, 8, name="a"), 8, 8), x))
    ends = net.constant(np.array([1 << 40, 1 << 40]))
    half = net.add(
        "Slice", x, net.constant(np.array([0, 0])), ends, net.constant(np.array([2, 3])),
        net.constant(np.array([2, 2])),
    )  # fmt: skip
    wide = net.add("Pad", half, net.constant(np.array([0, 4, 0, 0, 0, 4, 0, 0])))
    deep = net.conv(net.conv_relu(x, 8, 16, strides=[2, 2]), 16, 16)
    x = net.add("Relu", net.add("Add", deep, wide))
    mean = net.add("GlobalAveragePool", x)
    return net.finished(net.linear(net.add("Flatten", mean), 16, CLASSES))


def bottleneck(rng: Rng) -> Graph:
    """A bottleneck with a depthwise layer and a projection, and one that could go entirely."""
    net = Net(rng)
    x = net.conv_relu("x", 3, 8)
    y = net.conv_relu(net.conv_relu(x, 8, 16, 1), 16, 16, groups=16)
    x = net.add("Relu", net.add("Add", net.conv(y, 16, 24, 1), net.conv(x, 8, 24, 1)))
    y = net.conv_relu(net.conv_relu(x, 24, 8, 1), 8, 16, 3)
    x = net.add("Relu", net.add("Add", x, net.conv(y, 16, 24, 1)))
    flat = net.add("Flatten", net.add("MaxPool", x, kernel_shape=[4, 4], strides=[4, 4]))
    return net.finished(net.linear(net.add("Relu", net.linear(flat, 96, 16)), 16, CLASSES))


def branches(rng: Rng) -> Graph:
    """Concat of branches, a grouped layer, split, per-channel constants, PReLU, LeakyReLU."""
    net = Net(rng)
    x = net.conv_relu("x", 3, 16)
    one = net.add("PRelu", net.conv(x, 16, 8, 1), net.positive(8, 1, 1))
    two = net.add("LeakyRelu", net.conv(x, 16, 16, groups=4), alpha=0.1)
    pooled = net.add("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x = net.add("Concat", one, two, pooled, axis=1)
    x = net.add("Mul", net.add("Sigmoid", x), net.positive(40, 1, 1))
    first = net.add("Split", x, net.constant(np.array([24, 16])), outputs=2, axis=1)
    low = net.conv_relu(first, 24, 8)
    high = net.conv_relu(f"{first}_1", 16, 8)
    x = net.add("Max", low, high)
    mean = net.add("ReduceMean", x, net.constant(np.array([2, 3])), keepdims=0)
    return net.finished(net.linear(mean, 8, CLASSES))


NETWORKS = {"residual": residual, "bottleneck": bottleneck, "branches": branches}


def samples(rng: Rng, count: int) -> np.ndarray:
    return rng.standard_normal((count, 3, SIZE, SIZE)).astype(np.float32)
