"""What a network costs: multiply-accumulates and weights, of its layers with weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tf2.ir import Graph, Node

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators with weights, the second operand."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """A network in figures.

    Attributes:
        flops: Multiply-accumulates of one sample, by weights that are not zero.
        params: Weights and biases, zeros left out.
        zeros: Weights that are exactly zero.
    """

    flops: int
    params: int
    zeros: int


def size_of(graph: Graph) -> Size:
    """Return the size of a float network; a product with a zero weight is none."""
    flops = sum(_flops(graph, node) for node in graph.nodes)
    read = {name for node in graph.nodes for name in node.inputs if name in graph.constants}
    floats = [graph.constants[n] for n in read if graph.constants[n].dtype.kind == "f"]
    weights = [data for data in floats if data.ndim > 1]
    zeros = sum(int((data == 0).sum()) for data in weights)
    return Size(flops=flops, params=sum(data.size for data in floats) - zeros, zeros=zeros)


def uses_of_weights(graph: Graph, node: Node) -> int:
    """Return how often each weight of a layer is multiplied by, for one sample."""
    weight, out = graph.shape(node.inputs[1]), graph.types[node.output].size
    if node.kind == "Conv":
        return out // weight[0]
    if node.kind == "ConvTranspose":
        return graph.types[node.inputs[0]].size // weight[0]
    columns = weight[0] if node.attr("transB", 0) else weight[-1]
    return out // columns


def _flops(graph: Graph, node: Node) -> int:
    if node.kind not in LAYERS:
        return 0
    weight = graph.constant(node.inputs[1])
    if weight is None:  # a product of two features
        x, out = graph.shape(node.inputs[0]), graph.types[node.output].size
        return out * (x[0] if node.attr("transA", 0) else x[-1])
    return int(np.count_nonzero(weight)) * uses_of_weights(graph, node)
