"""Sums in one form, Add of two."""

from __future__ import annotations

from tf2.ir import Node
from tf2.ir.rewriter import RewritePattern, Rewriter


class CanonicalizeSum(RewritePattern):
    """Write Sum of n tensors as a chain of Adds, left to right. Exact up to float rounding."""

    roots = frozenset({"Sum"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Rewrite one Sum whose operands all have the shape of the result."""
        graph = rewriter.graph
        shape = graph.shape(node.output)
        if len(node.inputs) < 2 or any(graph.shape(n) != shape for n in node.inputs):
            return
        adds: list[Node] = []
        total = node.inputs[0]
        last = len(node.inputs) - 1
        for i, operand in enumerate(node.inputs[1:], start=1):
            out = node.output if i == last else f"{node.output}.partial{i}"
            name = node.name if i == last else f"{node.name}.partial{i}"
            adds.append(Node(name=name, op="Add", inputs=(total, operand), outputs=(out,)))
            total = out
        partial = {add.output: graph.types[node.output] for add in adds[:-1]}
        rewriter.replace([node], adds, types=partial)
