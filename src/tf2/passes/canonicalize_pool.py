"""Averages over all spatial positions in one form, GlobalAveragePool."""

from __future__ import annotations

import numpy as np

from tf2.ir import Node, TensorType
from tf2.ir.rewriter import RewritePattern, Rewriter


class CanonicalizeGlobalPool(RewritePattern):
    """Write ReduceMean over exactly the spatial axes as GlobalAveragePool (and Flatten). Exact."""

    roots = frozenset({"ReduceMean"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Rewrite one ReduceMean."""
        graph = rewriter.graph
        shape = graph.shape(node.inputs[0])
        given = graph.constant(node.operand(1))
        if given is None or len(shape) < 3:
            return
        if sorted(np.asarray(given) % len(shape)) != list(range(2, len(shape))):
            return
        if int(node.attr("keepdims", 1)):
            pool = Node(
                name=node.name,
                op="GlobalAveragePool",
                inputs=node.inputs[:1],
                outputs=node.outputs,
            )
            rewriter.replace([node], [pool])
            return
        pooled = f"{node.output}.pooled"
        kept = TensorType(graph.types[node.output].dtype, (*shape[:2], *[1] * (len(shape) - 2)))
        pool = Node(
            name=f"{node.name}.pool",
            op="GlobalAveragePool",
            inputs=node.inputs[:1],
            outputs=(pooled,),
        )
        flat = Node(name=node.name, op="Flatten", inputs=(pooled,), outputs=node.outputs)
        rewriter.replace([node], [pool, flat], types={pooled: kept})
