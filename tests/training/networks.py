"""Small networks to train: of random weights, and with what training meets in real ones."""

from __future__ import annotations

import numpy as np

from random_layers import Rng
from tf2.ir import FLOAT32, Graph, Node, TensorType, verify

SIZE = 8
CLASSES = 5


class Builder:
    """A float graph while it is built."""

    def __init__(self, rng: Rng, channels: int = 3) -> None:
        self._rng = rng
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.shapes: dict[str, tuple[int, ...]] = {"x": (1, channels, SIZE, SIZE)}

    def constant(self, name: str, data: np.ndarray) -> str:
        self.constants[name] = data.astype(np.float32)
        self.shapes[name] = data.shape
        return name

    def normal(self, *shape: int) -> np.ndarray:
        return self._rng.standard_normal(shape)

    def add(self, op: str, inputs: tuple[str, ...], shape: tuple[int, ...], **attrs) -> str:
        name = f"v{len(self.nodes)}"
        self.shapes[name] = shape
        node = Node(
            name=f"{op}{len(self.nodes)}", op=op, inputs=inputs, outputs=(name,), attrs=attrs
        )
        self.nodes.append(node)
        return name

    def conv(
        self, x: str, out: int, kernel: int = 3, *, groups: int = 1, then: str = "Relu"
    ) -> str:
        n, c, h, w = self.shapes[x]
        label = f"c{len(self.nodes)}"
        scale = np.sqrt(2 / (c // groups * kernel**2))
        weight = self.constant(f"{label}.w", self.normal(out, c // groups, kernel, kernel) * scale)
        bias = self.constant(f"{label}.b", 0.1 * self.normal(out))
        pads = (kernel // 2,) * 4
        y = self.add("Conv", (x, weight, bias), (n, out, h, w), pads=pads, group=groups)
        if then == "PRelu":
            slope = self.constant(f"{label}.slope", self._rng.uniform(-0.1, 0.4, (out, 1, 1)))
            return self.add(then, (y, slope), (n, out, h, w))
        attrs = {"alpha": 0.1} if then == "LeakyRelu" else {}
        return self.add(then, (y,), (n, out, h, w), **attrs) if then else y

    def finished(self, y: str) -> Graph:
        types = {name: TensorType(FLOAT32, shape) for name, shape in self.shapes.items()}
        return verify(
            Graph(
                name="small",
                inputs=("x",),
                outputs=(y,),
                nodes=tuple(self.nodes),
                types=types,
                constants=self.constants,
            )
        )


def small_network(rng: Rng, *, softmax: bool = False) -> Graph:
    """Residual block, depthwise layer, max pool, concat, average pool, fully connected layer."""
    net = Builder(rng)
    a = net.conv("x", 8)
    b = net.conv(net.conv(a, 8, then="PRelu"), 8, then="")
    total = net.add("Relu", (net.add("Add", (a, b), (1, 8, SIZE, SIZE)),), (1, 8, SIZE, SIZE))
    pooled = net.add(
        "MaxPool", (total,), (1, 8, SIZE // 2, SIZE // 2), kernel_shape=(2, 2), strides=(2, 2)
    )
    deep = net.conv(net.conv(pooled, 8, groups=8, then="LeakyRelu"), 12, 1)
    both = net.add("Concat", (net.conv(pooled, 4, 1), deep), (1, 16, 4, 4), axis=1)
    mean = net.add("AveragePool", (both,), (1, 16, 2, 2), kernel_shape=(2, 2), strides=(2, 2))
    flat = net.add("Flatten", (mean,), (1, 64), axis=1)
    weight = net.constant("fc.w", net.normal(CLASSES, 64) * 0.15)
    bias = net.constant("fc.b", np.zeros(CLASSES))
    y = net.add("Gemm", (flat, weight, bias), (1, CLASSES), transB=1, alpha=1.0, beta=1.0)
    return net.finished(net.add("Softmax", (y,), (1, CLASSES), axis=-1) if softmax else y)


def samples(rng: Rng, count: int) -> np.ndarray:
    return rng.standard_normal((count, 3, SIZE, SIZE)).astype(np.float32)


def batches(rng: Rng, count: int = 32) -> list[dict[str, np.ndarray]]:
    return [{"x": part} for part in np.split(samples(rng, count), 4)]
