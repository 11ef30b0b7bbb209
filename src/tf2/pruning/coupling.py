"""Which channels of a network can only go together: the dependency graph, over the IR.

Every channel of every value is an element; operators that pass channels on (ReLU, pooling, concat,
padding with channels of zeros, flatten) hand elements over, operators that meet them (residual
adds, depthwise and grouped convolutions) join them. The classes that remain are what can be taken
out: no operator but a layer's sum then sees a difference. The idea is DepGraph's (Fang et al.
2023, arXiv:2301.12900), at the level of single channels, so that shortcuts which pad channels
with zeros need no rule of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf2.ir import Graph, Node
from tf2.pruning.cost import LAYERS

Ids = np.ndarray
"""Classes (or elements) of the channels of one value, int64 (C,)."""

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A layer with weights.

    Attributes:
        node: It.
        reads: Class of each input channel, (I,).
        writes: Class of each output channel, (O,).
        groups: Of a convolution.
        uses: Multiplications by each weight, for one sample.
        taps: Weights of one pair of input and output channel.
    """

    node: Node
    reads: Ids
    writes: Ids
    groups: int
    uses: int
    taps: int

    @property
    def depthwise(self) -> bool:
        """Whether each output channel reads one input channel: it sums over none."""
        return self.groups > 1 and self.groups == len(self.reads)

    @property
    def columns(self) -> Ids:
        """Class of each input channel that one output channel sums over."""
        return self.reads[: len(self.reads) // self.groups]


@dataclass(frozen=True, kw_only=True, eq=False)
class Coupling:
    """The classes of a graph.

    Attributes:
        graph: It.
        classes: Of the channels of each value that has them, by its name.
        count: Number of classes.
        pinned: Classes that must stay, bool (count,).
        layers: In order.
    """

    graph: Graph
    classes: Mapping[str, Ids]
    count: int
    pinned: np.ndarray
    layers: tuple[Layer, ...]


def coupling_of(graph: Graph) -> Coupling:
    """Return which channels of a float graph go together; what no rule knows is pinned."""
    walk = _Walk(graph)
    for name in graph.inputs:
        walk.pin(name)
    for node in graph.nodes:
        walk.take(node)
    for name in graph.outputs:
        walk.pin(name)
    return walk.finished()


class _Walk:
    """Elements while nodes are looked at, joined by union-find."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ids: dict[str, Ids] = {}
        self._parent: list[int] = []
        self._pinned: list[int] = []

    def take(self, node: Node) -> None:
        rule = _RULES.get(node.kind)
        if rule is None or not rule(self, node):
            for name in (*node.inputs, *node.outputs):
                self.pin(name)

    def of(self, value: str) -> Ids:
        """Return the elements of a value; new ones where it has none yet."""
        if value not in self.ids:
            shape = self.graph.shape(value)
            self.ids[value] = self.fresh(shape[1] if len(shape) > 1 else 0)
        return self.ids[value]

    def fresh(self, count: int) -> Ids:
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def pin(self, value: str) -> None:
        if value and value in self.graph.types and value not in self.graph.constants:
            self._pinned.extend(self.of(value).tolist())

    def join(self, a: Ids, b: Ids) -> None:
        for one, other in zip(a.tolist(), b.tolist(), strict=True):
            self._parent[self._root(other)] = self._root(one)

    def finished(self) -> Coupling:
        roots = np.array([self._root(i) for i in range(len(self._parent))], np.int64)
        distinct, number = np.unique(roots, return_inverse=True)
        pinned = np.zeros(len(distinct), bool)
        pinned[number[self._pinned]] = True
        classes = {name: number[ids] for name, ids in self.ids.items() if len(ids)}
        layers = [
            _layer(self.graph, node, classes)
            for node in self.graph.nodes
            if node.kind in LAYERS and node.inputs[1] in self.graph.constants
        ]
        return Coupling(
            graph=self.graph,
            classes=classes,
            count=len(distinct),
            pinned=pinned,
            layers=tuple(layer for layer in layers if layer is not None),
        )

    def _root(self, element: int) -> int:
        parent = self._parent
        while parent[element] != element:
            parent[element] = parent[parent[element]]
            element = parent[element]
        return element


def _layer(graph: Graph, node: Node, classes: Mapping[str, Ids]) -> Layer | None:
    reads, writes = classes.get(node.inputs[0]), classes.get(node.output)
    flat = node.kind in ("Gemm", "MatMul") and len(graph.shape(node.output)) != 2
    if reads is None or writes is None or flat:
        return None
    shape = graph.shape(node.inputs[1])
    taps = int(np.prod(shape[2:])) if node.kind in ("Conv", "ConvTranspose") else 1
    x, y = graph.types[node.inputs[0]].size, graph.types[node.output].size
    uses = x // len(reads) if node.kind == "ConvTranspose" else y // len(writes)
    groups = int(node.attr("group", 1))
    return Layer(node=node, reads=reads, writes=writes, groups=groups, uses=uses, taps=taps)


def _conv(walk: _Walk, node: Node) -> bool:
    reads, groups = walk.of(node.inputs[0]), int(node.attr("group", 1))
    if node.inputs[1] not in walk.graph.constants:
        return False
    writes = walk.of(node.output)
    if groups == 1:
        return True
    if groups == len(reads):  # depthwise: output channels follow their input channel
        each = len(writes) // groups
        walk.join(np.repeat(reads, each), writes)
        return True
    for ids in (reads, writes):  # the same channels of every group, so that groups stay alike
        first, *others = np.split(ids, groups)
        for other in others:
            walk.join(first, other)
    return True


def _linear(walk: _Walk, node: Node) -> bool:
    if node.attr("transA", 0) or node.inputs[1] not in walk.graph.constants:
        return False
    if any(len(walk.graph.shape(name)) != 2 for name in (*node.inputs[:2], node.output)):
        return False
    walk.of(node.inputs[0])
    walk.of(node.output)
    bias = node.operand(2)
    return not bias or bias in walk.graph.constants


def _pass(walk: _Walk, node: Node) -> bool:
    walk.ids[node.output] = walk.of(node.inputs[0])
    if node.kind != "PRelu":
        return all(not name or name in walk.graph.constants for name in node.inputs[1:])
    return node.inputs[1] in walk.graph.constants and fits_channels(walk.graph, node, 1)


def _meet(walk: _Walk, node: Node) -> bool:
    graph = walk.graph
    rank, channels = len(graph.shape(node.output)), graph.shape(node.output)[1:2]
    values = [name for name in node.inputs if name not in graph.constants]
    alike = all(len(graph.shape(v)) == rank and graph.shape(v)[1:2] == channels for v in values)
    fixed = [i for i, name in enumerate(node.inputs) if name in graph.constants]
    if rank < 2 or not values or not alike or not all(fits_channels(graph, node, i) for i in fixed):
        return False
    walk.ids[node.output] = walk.of(values[0])
    for value in values[1:]:
        walk.join(walk.of(values[0]), walk.of(value))
    return True


def fits_channels(graph: Graph, node: Node, index: int) -> bool:
    """Return whether a constant operand has one value for each output channel, or for all."""
    shape, wide = graph.shape(node.inputs[index]), graph.shape(node.output)
    axis = len(shape) - (len(wide) - 1)
    return len(shape) <= len(wide) and (axis < 0 or shape[axis] in (1, wide[1]))


def _concat(walk: _Walk, node: Node) -> bool:
    if any(name in walk.graph.constants for name in node.inputs):
        return False
    rank = len(walk.graph.shape(node.output))
    axis = int(node.attr("axis", 1)) % rank
    parts = [walk.of(name) for name in node.inputs]
    if axis == 1:
        walk.ids[node.output] = np.concatenate(parts)
        return True
    for part in parts[1:]:
        walk.join(parts[0], part)
    walk.ids[node.output] = parts[0]
    return axis > 1


def _split(walk: _Walk, node: Node) -> bool:
    ids = walk.of(node.inputs[0])
    rank = len(walk.graph.shape(node.inputs[0]))
    start, along = 0, int(node.attr("axis", 0)) % rank == 1
    if node.operand(1) not in walk.graph.constants and along:
        return False  # equal parts: they would have to stay equal
    for name in node.outputs:
        count = walk.graph.shape(name)[1]
        walk.ids[name] = ids[start : start + count] if along else ids
        start += count if along else 0
    return int(node.attr("axis", 0)) % rank > 0


def _slice(walk: _Walk, node: Node) -> bool:
    span = channel_span(walk.graph, node)
    if span is None:
        return False
    walk.ids[node.output] = walk.of(node.inputs[0])[span]
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


def _pad(walk: _Walk, node: Node) -> bool:
    graph = walk.graph
    pads, rank = graph.constant(node.inputs[1]), len(graph.shape(node.inputs[0]))
    if pads is None or len(pads) != 2 * rank or node.operand(3):
        return False
    front, back = int(pads[1]), int(pads[1 + rank])
    if ((front or back) and node.attr("mode", "constant") != "constant") or min(front, back) < 0:
        return False
    parts = (walk.fresh(front), walk.of(node.inputs[0]), walk.fresh(back))
    walk.ids[node.output] = np.concatenate(parts)
    return True


def _reshape(walk: _Walk, node: Node) -> bool:
    x, y = walk.graph.shape(node.inputs[0]), walk.graph.shape(node.output)
    if len(x) < 2 or len(y) < 2 or x[0] != y[0]:
        return False
    ids = walk.of(node.inputs[0])
    if y[1] == x[1]:
        walk.ids[node.output] = ids
        return True
    if len(y) == 2 and y[1] == int(np.prod(x[1:])):
        walk.ids[node.output] = np.repeat(ids, y[1] // x[1])
        return True
    return False


def _reduce(walk: _Walk, node: Node) -> bool:
    axes = walk.graph.constant(node.operand(1)) if node.operand(1) else None
    rank = len(walk.graph.shape(node.inputs[0]))
    if axes is None or any(int(a) % rank < 2 for a in np.asarray(axes).reshape(-1)):
        return False
    walk.ids[node.output] = walk.of(node.inputs[0])
    return True


def _transpose(walk: _Walk, node: Node) -> bool:
    if tuple(node.attr("perm", ()))[:2] != (0, 1):
        return False
    walk.ids[node.output] = walk.of(node.inputs[0])
    return True


def _resize(walk: _Walk, node: Node) -> bool:
    scales = walk.graph.constant(node.operand(2)) if node.operand(2) else None
    if node.operand(3) or scales is None or len(scales) < 2 or tuple(scales[:2]) != (1, 1):
        return False
    walk.ids[node.output] = walk.of(node.inputs[0])
    return True


Rule = Callable[[_Walk, Node], bool]

_RULES: Mapping[str, Rule] = {
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


def positions(kept: np.ndarray, classes: Sequence[int] | Ids) -> np.ndarray:
    """Return which channels stay, as their positions."""
    return np.flatnonzero(kept[np.asarray(classes, np.int64)])
