"""How each operator hands channels on or joins them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tf2.ir import Graph, Node
from tf2.pruning.elements import Elements

PASSING = frozenset(
    (
        "Relu", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Clip", "Identity", "Elu", "Selu", "Celu",
        "HardSigmoid", "HardSwish", "Softplus", "Softsign", "Mish", "Gelu", "Abs", "Neg", "Exp",
        "Sqrt", "Erf", "ThresholdedRelu", "Dropout", "MaxPool", "AveragePool",
        "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization", "InstanceNormalization",
    )
)  # fmt: skip
"""Operators whose output channel c depends on input channel c alone."""

MEETING = frozenset(("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow"))
"""Operators on several values, channel by channel."""


def _conv(elements: Elements, node: Node) -> bool:
    reads, groups = elements.of(node.inputs[0]), int(node.attr("group", 1))
    if node.inputs[1] not in elements.graph.constants:
        return False
    writes = elements.of(node.output)
    if groups == 1:
        return True
    if groups == len(reads):  # depthwise: output channels follow their input channel
        each = len(writes) // groups
        elements.join(np.repeat(reads, each), writes)
        return True
    for ids in (reads, writes):  # the same channels of every group, so that groups stay alike
        first, *others = np.split(ids, groups)
        for other in others:
            elements.join(first, other)
    return True


def _linear(elements: Elements, node: Node) -> bool:
    if node.attr("transA", 0) or node.inputs[1] not in elements.graph.constants:
        return False
    if any(len(elements.graph.shape(name)) != 2 for name in (*node.inputs[:2], node.output)):
        return False
    elements.of(node.inputs[0])
    elements.of(node.output)
    bias = node.operand(2)
    return not bias or bias in elements.graph.constants


def _pass(elements: Elements, node: Node) -> bool:
    elements.ids[node.output] = elements.of(node.inputs[0])
    if node.kind != "PRelu":
        return all(not name or name in elements.graph.constants for name in node.inputs[1:])
    return node.inputs[1] in elements.graph.constants and fits_channels(elements.graph, node, 1)


def _meet(elements: Elements, node: Node) -> bool:
    graph = elements.graph
    rank, channels = len(graph.shape(node.output)), graph.shape(node.output)[1:2]
    values = [name for name in node.inputs if name not in graph.constants]
    alike = all(len(graph.shape(v)) == rank and graph.shape(v)[1:2] == channels for v in values)
    fixed = [i for i, name in enumerate(node.inputs) if name in graph.constants]
    if rank < 2 or not values or not alike or not all(fits_channels(graph, node, i) for i in fixed):
        return False
    elements.ids[node.output] = elements.of(values[0])
    for value in values[1:]:
        elements.join(elements.of(values[0]), elements.of(value))
    return True


def fits_channels(graph: Graph, node: Node, index: int) -> bool:
    """Return whether a constant operand has one value for each output channel, or for all."""
    shape, wide = graph.shape(node.inputs[index]), graph.shape(node.output)
    axis = len(shape) - (len(wide) - 1)
    return len(shape) <= len(wide) and (axis < 0 or shape[axis] in (1, wide[1]))


def _concat(elements: Elements, node: Node) -> bool:
    if any(name in elements.graph.constants for name in node.inputs):
        return False
    rank = len(elements.graph.shape(node.output))
    axis = int(node.attr("axis", 1)) % rank
    parts = [elements.of(name) for name in node.inputs]
    if axis == 1:
        elements.ids[node.output] = np.concatenate(parts)
        return True
    for part in parts[1:]:
        elements.join(parts[0], part)
    elements.ids[node.output] = parts[0]
    return axis > 1


def _split(elements: Elements, node: Node) -> bool:
    ids = elements.of(node.inputs[0])
    rank = len(elements.graph.shape(node.inputs[0]))
    start, along = 0, int(node.attr("axis", 0)) % rank == 1
    if node.operand(1) not in elements.graph.constants and along:
        return False  # equal parts: they would have to stay equal
    for name in node.outputs:
        count = elements.graph.shape(name)[1]
        elements.ids[name] = ids[start : start + count] if along else ids
        start += count if along else 0
    return int(node.attr("axis", 0)) % rank > 0


def _slice(elements: Elements, node: Node) -> bool:
    span = channel_span(elements.graph, node)
    if span is None:
        return False
    elements.ids[node.output] = elements.of(node.inputs[0])[span]
    return True


def channel_span(graph: Graph, node: Node) -> slice | None:
    """Return the channels that a Slice takes; None where they are no run of constant bounds."""
    constants = [graph.constant(name) if name else None for name in node.inputs[1:]]
    if any(name and data is None for name, data in zip(node.inputs[1:], constants, strict=True)):
        return None
    starts, ends = (np.asarray(constants[i]).reshape(-1) for i in (0, 1))
    rank, channels = len(graph.shape(node.inputs[0])), graph.shape(node.inputs[0])[1]
    axes = constants[2] if len(constants) > 2 else None
    steps = constants[3] if len(constants) > 3 else None
    at = np.arange(len(starts)) if axes is None else np.asarray(axes).reshape(-1) % rank
    by = np.ones(len(starts), int) if steps is None else np.asarray(steps).reshape(-1)
    found = np.flatnonzero(at == 1)
    if 0 in at or len(found) > 1 or (len(found) and by[found[0]] != 1):
        return None
    if not len(found):
        return slice(0, channels)
    first, last, _ = slice(int(starts[found[0]]), int(ends[found[0]])).indices(channels)
    return slice(first, last)


def _pad(elements: Elements, node: Node) -> bool:
    graph = elements.graph
    pads, rank = graph.constant(node.inputs[1]), len(graph.shape(node.inputs[0]))
    if pads is None or len(pads) != 2 * rank or node.operand(3):
        return False
    front, back = int(pads[1]), int(pads[1 + rank])
    if ((front or back) and node.attr("mode", "constant") != "constant") or min(front, back) < 0:
        return False
    parts = (elements.fresh(front), elements.of(node.inputs[0]), elements.fresh(back))
    elements.ids[node.output] = np.concatenate(parts)
    return True


def _reshape(elements: Elements, node: Node) -> bool:
    x, y = elements.graph.shape(node.inputs[0]), elements.graph.shape(node.output)
    if len(x) < 2 or len(y) < 2 or x[0] != y[0]:
        return False
    ids = elements.of(node.inputs[0])
    if y[1] == x[1]:
        elements.ids[node.output] = ids
        return True
    if len(y) == 2 and y[1] == int(np.prod(x[1:])):
        elements.ids[node.output] = np.repeat(ids, y[1] // x[1])
        return True
    return False


def _reduce(elements: Elements, node: Node) -> bool:
    axes = elements.graph.constant(node.operand(1)) if node.operand(1) else None
    rank = len(elements.graph.shape(node.inputs[0]))
    if axes is None or any(int(a) % rank < 2 for a in np.asarray(axes).reshape(-1)):
        return False
    elements.ids[node.output] = elements.of(node.inputs[0])
    return True


def _transpose(elements: Elements, node: Node) -> bool:
    if tuple(node.attr("perm", ()))[:2] != (0, 1):
        return False
    elements.ids[node.output] = elements.of(node.inputs[0])
    return True


def _resize(elements: Elements, node: Node) -> bool:
    scales = elements.graph.constant(node.operand(2)) if node.operand(2) else None
    if node.operand(3) or scales is None or len(scales) < 2 or tuple(scales[:2]) != (1, 1):
        return False
    elements.ids[node.output] = elements.of(node.inputs[0])
    return True


Rule = Callable[[Elements, Node], bool]
"""Looks at a node; False where it cannot say what depends on what."""

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(PASSING, _pass),
    **dict.fromkeys(MEETING, _meet),
    **dict.fromkeys(("Gemm", "MatMul"), _linear),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceSum"), _reduce),
    "Conv": _conv,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Transpose": _transpose,
    "Resize": _resize,
}  # fmt: skip
