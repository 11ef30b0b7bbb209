"""Float operators that ONNX Runtime computes slowly, written with those that it computes fast.

The same function up to float32 rounding, in standard ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tf2.execution.emitter import Emitter
from tf2.ir import Graph, Node

MOST_CHANNELS_SUMMED = 9
"""Of an LRN that is written as a sum of slices."""


def emit(emitter: Emitter, graph: Graph, node: Node) -> bool:
    """Write a node in its faster form; False when there is none, and nothing is written."""
    writer = _WRITERS.get(node.kind)
    return writer is not None and writer(emitter, graph, node)


def _lrn(emitter: Emitter, graph: Graph, node: Node) -> bool:
    """Write x / (bias + alpha/size * sum of squares over nearby channels) ** beta with slices.

    ONNX Runtime takes the power element by element (6 to 16 times as long). GoogLeNet, AlexNet and
    CaffeNet have beta = 3/4: s**(3/4) = sqrt(s) * sqrt(sqrt(s)).
    """
    size, beta = int(node.attr("size", 0)), float(np.float32(node.attr("beta", 0.75)))
    if beta not in (0.5, 0.75, 1.0) or not 1 <= size <= MOST_CHANNELS_SUMMED:
        return False
    x, name = node.inputs[0], node.name
    rank, channels = len(graph.shape(x)), graph.shape(x)[1]

    def step(op: str, suffix: str, *inputs: str) -> str:
        return emitter.node(op, list(inputs), f"{node.output}~{suffix}", name=f"{name}.{suffix}")

    def integers(suffix: str, *values: int) -> str:
        return emitter.constant(f"{name}.{suffix}", np.array(values, np.int64))

    before = (size - 1) // 2
    begins, ends = [0] * rank, [0] * rank
    begins[1], ends[1] = before, size - 1 - before
    padded = step("Pad", "padded", step("Mul", "squares", x, x), integers("pads", *begins, *ends))
    axis = integers("axis", 1)
    total = ""
    for i in range(size):
        bounds = integers(f"from{i}", i), integers(f"to{i}", i + channels)
        part = step("Slice", f"part{i}", padded, *bounds, axis)
        total = step("Add", f"sum{i}", total, part) if total else part
    share = emitter.constant(f"{name}.share", np.float32(node.attr("alpha", 1e-4) / size))
    bias = emitter.constant(f"{name}.bias", np.float32(node.attr("bias", 1.0)))
    power = step("Add", "scale", step("Mul", "shared", total, share), bias)
    if beta < 1.0:
        power = root = step("Sqrt", "root", power)
        if beta == 0.75:
            power = step("Mul", "power", root, step("Sqrt", "fourth_root", root))
    emitter.node("Div", [x, power], node.output, name=name)
    return True


_WRITERS: Mapping[str, Callable[[Emitter, Graph, Node], bool]] = {"LRN": _lrn}
