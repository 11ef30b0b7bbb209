"""Activations that are a clip and at most one slope below zero: what post-processing can apply."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from tf2.ir import Graph, Node

ACTIVATIONS = frozenset({"Relu", "Clip", "LeakyRelu", "PRelu"})

TAKES_ACTIVATION = frozenset({"Conv", "Gemm", "Add", "ConvTranspose"})
"""Operators whose result an activation can be fused into."""


@dataclass(frozen=True)
class Activation:
    """y = clip(x if x >= 0 else slope*x, low, high).

    Attributes:
        low: Lower bound, -inf for none.
        high: Upper bound, inf for none.
        slope: Per output channel (C,) or (1,); None for 1.
    """

    low: float = -inf
    high: float = inf
    slope: np.ndarray | None = None


LINEAR_ACTIVATION = Activation()


def activation_of(graph: Graph, node: Node) -> Activation | None:
    """Return what an activation node does, or None when it is not of that form."""
    if node.op == "Relu":
        return Activation(low=0.0)
    if node.op == "Clip":
        return _clip(graph, node)
    if node.op == "LeakyRelu":
        return Activation(slope=np.array([node.attr("alpha", 0.01)], np.float64))
    if node.op != "PRelu":
        return None
    slope = graph.constant(node.inputs[1])
    shape = graph.shape(node.output)
    if slope is None or len(shape) < 2 or slope.size not in (1, shape[1]):
        return None
    aligned = slope.reshape((1,) * (len(shape) - slope.ndim) + slope.shape)
    if slope.size > 1 and aligned.shape[1] != slope.size:
        return None
    return Activation(slope=slope.reshape(-1).astype(np.float64))


def _clip(graph: Graph, node: Node) -> Activation | None:
    bounds = [-inf, inf]
    for i, name in enumerate(node.inputs[1:3]):
        if not name:
            continue
        data = graph.constant(name)
        if data is None or data.size != 1:
            return None
        bounds[i] = float(data.reshape(-1)[0])
    low, high = bounds
    return Activation(low=low, high=high) if low <= 0 <= high and low < high else None
