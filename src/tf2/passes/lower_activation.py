"""An activation that no linear operator can take in, behind a depthwise identity convolution.

The array applies activations as it writes a convolution's result, so y = relu(x) becomes
y = relu(conv(x)) with one weight of 1 a channel: exact.
"""

from __future__ import annotations

import numpy as np

from tf2.ir import FLOAT32, Graph, Node
from tf2.ir.rewriter import RewritePattern, Rewriter
from tf2.passes.activation import ACTIVATIONS, Activation, activation_of
from tf2.passes.depthwise import replace_by_depthwise
from tf2.passes.on_array import array_values


class LowerActivation(RewritePattern):
    """Give an activation of its own a depthwise 1x1 convolution to be fused into. Exact."""

    roots = ACTIVATIONS

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Lower one activation that stands alone."""
        graph = rewriter.graph
        x = node.inputs[0]
        activation = activation_of(graph, node)
        if activation is None or graph.types[x].dtype != FLOAT32 or len(graph.shape(x)) < 2:
            return
        if _is_fused(graph, node, activation) or x not in array_values(graph):
            return
        ones = np.ones(graph.shape(x)[1])
        replace_by_depthwise(rewriter, node, x, ones, activation=node)


def _is_fused(graph: Graph, node: Node, activation: Activation) -> bool:
    """Tell whether the operator before takes the activation in; an addition takes no slope."""
    producer = graph.producers.get(node.inputs[0])
    if producer is None or graph.sole_user(node.inputs[0]) is not node:
        return False
    return producer.kind in ("Conv", "Gemm") or (
        producer.kind == "Add" and activation.slope is None
    )
