"""Channels taken out of a graph for good: weights are sliced, shapes shrink."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tf2.ir import Graph, Node, TensorType, verify
from tf2.pruning.coupling import Coupling, positions
from tf2.pruning.elements import Ids
from tf2.pruning.rules import MEETING, channel_span, fits_channels


def without_classes(coupling: Coupling, kept: np.ndarray) -> Graph:
    """Return the graph with only the kept classes of channels.

    It computes what the graph computes whose layers read zero weights for all others (see
    `channel_masks`): every value is a slice of that one's. A branch none of whose channels is left
    is gone with the residual add behind it.

    Args:
        coupling: Of the graph.
        kept: bool (count,); pinned classes are.
    """
    graph = removed_branches(coupling, kept)
    slicer = _Slicer(coupling, graph, kept)
    for node in graph.nodes:
        slicer.take(node)
    sliced = graph.replaced(nodes=slicer.nodes, types=slicer.types, constants=slicer.constants)
    return verify(sliced)


def dead_layers(coupling: Coupling, kept: np.ndarray) -> tuple[str, ...]:
    """Return the layers, by name, that read no channel any more."""
    return tuple(n.node.name for n in coupling.layers if not kept[n.reads].any())


def removed_branches(coupling: Coupling, kept: np.ndarray) -> Graph:
    """Return the graph without the layers that read nothing, and what only they needed."""
    graph = coupling.graph
    dead = set(dead_layers(coupling, kept))
    if not dead:
        return graph
    zero = {graph.node(name).output for name in dead}
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in dead:
            continue
        if node.op == "Add" and zero.intersection(node.inputs):
            (other,) = (name for name in node.inputs if name not in zero)
            renamed[node.output] = renamed.get(other, other)
            continue
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
    live = _needed(nodes, graph.outputs)
    return _without_repeated_relu(graph.replaced(nodes=live))


def _needed(nodes: list[Node], outputs: tuple[str, ...]) -> list[Node]:
    wanted, live = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            live.append(node)
            wanted.update(node.inputs)
    return live[::-1]


def _without_repeated_relu(graph: Graph) -> Graph:
    """Return the graph without a ReLU of what a ReLU gave: a removed branch leaves them."""
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    rectified: set[str] = set()
    for node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        if node.kind == "Relu":
            if inputs[0] in rectified and node.output not in graph.outputs:
                renamed[node.output] = inputs[0]
                continue
            rectified.add(node.output)
        nodes.append(replace(node, inputs=inputs))
    return graph.replaced(nodes=nodes)


@dataclass
class _Slicer:
    coupling: Coupling
    graph: Graph
    kept: np.ndarray
    nodes: list[Node] = field(default_factory=list)
    types: dict[str, TensorType] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def take(self, node: Node) -> None:
        """Add a node with its constants sliced, and the types of what it writes."""
        edit = _EDITS.get(node.kind)
        self.nodes.append(edit(self, node) if edit else node)
        for name in node.outputs:
            if name:
                self._shrink(name)

    def stays(self, value: str) -> np.ndarray:
        """Return the positions of a value's channels that stay."""
        return positions(self.kept, self.coupling.classes[value])

    def whole(self, value: str) -> bool:
        """Return whether all channels of a value stay."""
        classes: Ids | None = self.coupling.classes.get(value)
        return classes is None or bool(self.kept[classes].all())

    def with_constants(self, node: Node, changed: Mapping[int, np.ndarray]) -> Node:
        """Return the node with other constants; each node gets its own, shared or not."""
        inputs = list(node.inputs)
        for index, data in changed.items():
            name = f"{node.name}.pruned{index}"
            data = np.ascontiguousarray(data)
            self.constants[name] = data
            kind = self.graph.types[inputs[index]]
            self.types[name] = replace(kind, shape=data.shape)
            inputs[index] = name
        return replace(node, inputs=tuple(inputs))

    def _shrink(self, value: str) -> None:
        kind = self.graph.types[value]
        if value in self.coupling.classes and not self.whole(value):
            n, _, *rest = kind.shape
            self.types[value] = replace(kind, shape=(n, len(self.stays(value)), *rest))


def _conv(slicer: _Slicer, node: Node) -> Node:
    x, y = node.inputs[0], node.output
    if slicer.whole(x) and slicer.whole(y):
        return node
    weight = slicer.graph.constants[node.inputs[1]]
    inputs, outputs = slicer.stays(x), slicer.stays(y)
    groups = int(node.attr("group", 1))
    channels = len(slicer.coupling.classes[x])
    if groups == channels and groups > 1:  # depthwise
        weight = weight[outputs]
        node = node.with_attrs(group=len(inputs))
    else:
        columns = inputs[inputs < channels // groups]
        weight = weight[outputs][:, columns]
    return _with_bias(slicer, node, weight, outputs)


def _linear(slicer: _Slicer, node: Node) -> Node:
    x, y = node.inputs[0], node.output
    if slicer.whole(x) and slicer.whole(y):
        return node
    weight = slicer.graph.constants[node.inputs[1]]
    inputs, outputs = slicer.stays(x), slicer.stays(y)
    transposed = node.kind == "Gemm" and bool(node.attr("transB", 0))
    weight = weight[outputs][:, inputs] if transposed else weight[inputs][:, outputs]
    return _with_bias(slicer, node, weight, outputs)


def _with_bias(slicer: _Slicer, node: Node, weight: np.ndarray, outputs: np.ndarray) -> Node:
    changed = {1: weight}
    if node.operand(2):
        bias = slicer.graph.constants[node.inputs[2]]
        wide = bias.ndim and bias.shape[-1] > 1
        changed[2] = bias[..., outputs] if wide else bias
    return slicer.with_constants(node, changed)


def _per_channel(slicer: _Slicer, node: Node) -> Node:
    """Slice vectors of one value for each channel: normalization."""
    if slicer.whole(node.output):
        return node
    stays = slicer.stays(node.output)
    changed = {i: slicer.graph.constants[node.inputs[i]][stays] for i in range(1, len(node.inputs))}
    return slicer.with_constants(node, changed)


def _broadcast(slicer: _Slicer, node: Node) -> Node:
    """Slice constant operands that have the output's channels."""
    if slicer.whole(node.output):
        return node
    wide = slicer.graph.shape(node.output)
    changed: dict[int, np.ndarray] = {}
    for index, name in enumerate(node.inputs):
        data = slicer.graph.constant(name)
        if data is None:
            continue
        assert fits_channels(slicer.graph, node, index), "coupling pins others"
        axis = data.ndim - (len(wide) - 1)
        if axis >= 0 and data.shape[axis] != 1:
            changed[index] = np.take(data, slicer.stays(node.output), axis=axis)
    return slicer.with_constants(node, changed)


def _split(slicer: _Slicer, node: Node) -> Node:
    rank = len(slicer.graph.shape(node.inputs[0]))
    if int(node.attr("axis", 0)) % rank != 1 or slicer.whole(node.inputs[0]):
        return node
    sizes = np.array([len(slicer.stays(name)) for name in node.outputs], np.int64)
    return slicer.with_constants(node, {1: sizes})


def _slice(slicer: _Slicer, node: Node) -> Node:
    span = channel_span(slicer.graph, node)
    if span is None or slicer.whole(node.inputs[0]):
        return node
    bounds = [np.array(slicer.graph.constants[name]) for name in node.inputs[1:3]]
    rank = len(slicer.graph.shape(node.inputs[0]))
    axes = slicer.graph.constant(node.operand(3)) if node.operand(3) else None
    at = np.arange(bounds[0].size) if axes is None else np.asarray(axes).reshape(-1) % rank
    for place in np.flatnonzero(at == 1):
        before = slicer.kept[slicer.coupling.classes[node.inputs[0]]][: span.start].sum()
        bounds[0].reshape(-1)[place] = before
        bounds[1].reshape(-1)[place] = before + len(slicer.stays(node.output))
    return slicer.with_constants(node, {1: bounds[0], 2: bounds[1]})


def _pad(slicer: _Slicer, node: Node) -> Node:
    if slicer.whole(node.output):
        return node
    pads = np.array(slicer.graph.constants[node.inputs[1]])
    rank = len(pads) // 2
    kept = slicer.kept[slicer.coupling.classes[node.output]]
    front, back = int(pads[1]), int(pads[1 + rank])
    pads[1], pads[1 + rank] = kept[:front].sum(), kept[len(kept) - back :].sum()
    return slicer.with_constants(node, {1: pads})


def _reshape(slicer: _Slicer, node: Node) -> Node:
    if slicer.whole(node.output):
        return node
    _, _, *rest = slicer.graph.shape(node.output)
    shape = np.array([-1, len(slicer.stays(node.output)), *rest], np.int64)
    return slicer.with_constants(replace(node, attrs={}), {1: shape})


_EDITS: Mapping[str, Callable[[_Slicer, Node], Node]] = {
    **dict.fromkeys(MEETING, _broadcast),
    "PRelu": _broadcast,
    "BatchNormalization": _per_channel,
    "InstanceNormalization": _per_channel,
    "Conv": _conv,
    "Gemm": _linear,
    "MatMul": _linear,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Reshape": _reshape,
}
"""What to change in a node; the others take what they are given."""
