"""Lower and upper bounds in one form: Relu or Clip with constant bounds, one at a time."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np

from tf2.ir import FLOAT32, Graph, Node
from tf2.ir.rewriter import RewritePattern, Rewriter

Bounds = tuple[float, float]


def bounds_of(graph: Graph, node: Node) -> Bounds | None:
    """Return (low, high) of a Relu, Clip, Max or Min with constant scalar bounds, else None."""
    if node.kind == "Relu":
        return 0.0, inf
    if node.kind == "Clip":
        given = [_scalar(graph, node.operand(i)) if node.operand(i) else None for i in (1, 2)]
        if any(node.operand(i) and given[i - 1] is None for i in (1, 2)):
            return None
        low, high = (-inf if given[0] is None else given[0], inf if given[1] is None else given[1])
        return (low, high) if low <= high else None
    if node.kind not in ("Max", "Min") or len(node.inputs) != 2:
        return None
    bound = _scalar(graph, node.inputs[1])
    if bound is None or graph.shape(node.output) != graph.shape(node.inputs[0]):
        return None
    return (bound, inf) if node.op == "Max" else (-inf, bound)


def _scalar(graph: Graph, name: str) -> float | None:
    data = graph.constant(name)
    return float(data.reshape(-1)[0]) if data is not None and data.size == 1 else None


class CanonicalizeClip(RewritePattern):
    """Write Max and Min with a constant as Clip, and a bound after a bound as one. Exact."""

    roots = frozenset({"Clip", "Max", "Min", "Relu"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Rewrite one Max or Min, or merge a node into the bounds that it alone reads."""
        graph = rewriter.graph
        if graph.types[node.output].dtype != FLOAT32:
            return
        if (
            node.op in ("Max", "Min")
            and len(node.inputs) == 2
            and node.inputs[0] in graph.constants
        ):
            node = replace(node, inputs=node.inputs[::-1])  # the constant last
        bounds = bounds_of(graph, node)
        if bounds is None:
            return
        before = graph.producers.get(node.inputs[0])
        first = None if before is None else bounds_of(graph, before)
        if before is not None and first is not None and graph.sole_user(before.output) is not None:
            low, high = np.clip(first, *bounds).tolist()
            clip = _bounded(rewriter, node, before.inputs[0], low, high)
            rewriter.replace([before, graph.node(node.name)], [clip])
        elif node.op in ("Max", "Min"):
            clip = _bounded(rewriter, node, node.inputs[0], *bounds)
            rewriter.replace([graph.node(node.name)], [clip])


def _bounded(rewriter: Rewriter, node: Node, x: str, low: float, high: float) -> Node:
    """Return the Relu, or else the Clip, of these bounds in place of ``node``."""
    if (low, high) == (0.0, inf):
        return Node(name=node.name, op="Relu", inputs=(x,), outputs=node.outputs)
    names = [
        rewriter.constant(f"{node.name}.{which}", np.array(bound, np.float32))
        if np.isfinite(bound)
        else ""
        for which, bound in (("low", low), ("high", high))
    ]
    return Node(name=node.name, op="Clip", inputs=(x, *names), outputs=node.outputs)
