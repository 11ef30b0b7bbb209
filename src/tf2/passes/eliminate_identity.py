"""Operators that change nothing at inference."""

from __future__ import annotations

import numpy as np

from tf2.ir import Graph, Node
from tf2.ir.rewriter import RewritePattern, Rewriter


class EliminateIdentity(RewritePattern):
    """Remove Identity, Dropout at inference, and reshapes, casts and pads that change nothing.

    One that writes a graph output stays: it gives the output its name.
    """

    roots = frozenset(
        {"Identity", "Dropout", "Reshape", "Flatten", "Cast", "Transpose", "Pad", "Concat"}
    )

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Remove one node that changes nothing."""
        graph = rewriter.graph
        if node.output in graph.outputs or not _changes_nothing(graph, node):
            return
        if any(
            name and (name in graph.users or name in graph.outputs) for name in node.outputs[1:]
        ):
            return
        rewriter.replace([node], [], rename={node.output: node.inputs[0]})


def _changes_nothing(graph: Graph, node: Node) -> bool:
    if node.op in ("Identity", "Dropout"):
        return True
    if node.op == "Concat":
        return len(node.inputs) == 1
    if node.op in ("Reshape", "Flatten"):
        return graph.shape(node.inputs[0]) == graph.shape(node.output)
    if node.op == "Cast":
        return graph.types[node.inputs[0]] == graph.types[node.output]
    if node.op == "Transpose":
        rank = len(graph.shape(node.output))
        return tuple(node.attr("perm", range(rank - 1, -1, -1))) == tuple(range(rank))
    pads = graph.constant(node.inputs[1])
    return pads is not None and not np.any(pads)
