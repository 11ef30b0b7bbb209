"""Which channels of a network can only go together: the dependency graph, over the IR.

Every channel of every value is an element; operators that pass channels on (ReLU, pooling, concat,
padding with channels of zeros, flatten) hand elements over, operators that meet them (residual
adds, depthwise and grouped convolutions) join them. The classes that remain are what can be taken
out: no operator but a layer's sum then sees a difference. The idea is DepGraph's (Fang et al.
2023, arXiv:2301.12900), at the level of single channels, so that shortcuts which pad channels
with zeros need no rule of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf2.ir import Graph, Node
from tf2.pruning.cost import LAYERS
from tf2.pruning.elements import Elements, Ids
from tf2.pruning.rules import RULES


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
    elements = Elements(graph)
    for name in graph.inputs:
        elements.pin(name)
    for node in graph.nodes:
        rule = RULES.get(node.kind)
        if rule is None or not rule(elements, node):
            for name in (*node.inputs, *node.outputs):
                elements.pin(name)
    for name in graph.outputs:
        elements.pin(name)
    classes, pinned = elements.classes()
    weighted = (n for n in graph.nodes if n.kind in LAYERS and n.inputs[1] in graph.constants)
    layers = (_layer(graph, node, classes) for node in weighted)
    return Coupling(
        graph=graph,
        classes=classes,
        count=len(pinned),
        pinned=pinned,
        layers=tuple(layer for layer in layers if layer is not None),
    )


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


def positions(kept: np.ndarray, classes: Sequence[int] | Ids) -> np.ndarray:
    """Return which channels stay, as their positions."""
    return np.flatnonzero(kept[np.asarray(classes, np.int64)])
